"""Scores: the equal error rate and rank-1 are what books say they are, and intervals are as wide as few people make them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deemo_data.audit.attacks import scores
from deemo_data.audit.attacks.scores import (
    Score,
    binomial_interval,
    eer_interval,
    eer_score,
    equal_error_rate,
    is_within_chance,
    rank1_hits,
    rank1_rate,
    rank1_score,
)

numbers = st.lists(st.integers(-20, 20), min_size=1, max_size=30)


def pairs(people: int, clips: int, apart: float, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Cosines of all pairs of clips of people whose voices are `apart`, and whose they are."""
    draw = np.random.default_rng(seed)
    voices = draw.normal(size=(people, 1, 6)) * apart + draw.normal(size=(people, clips, 6))
    voices = voices.reshape(-1, 6) / np.linalg.norm(voices.reshape(-1, 6), axis=1, keepdims=True)
    whose = np.repeat([f"s{i}" for i in range(people)], clips)
    one, other = np.triu_indices(len(whose), 1)
    return (voices @ voices.T)[one, other], whose[one], whose[other]


# ── the equal error rate ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.0, 3.0])
def test_eer_of_two_bells_is_the_tail_beyond_their_middle(distance: float) -> None:
    draw = np.random.default_rng(1)
    expected = 0.5 * math.erfc(distance / 2 / math.sqrt(2))
    assert equal_error_rate(draw.normal(distance, 1, 40_000), draw.normal(0, 1, 40_000)) == pytest.approx(expected, abs=0.006)


def test_eer_at_its_ends() -> None:
    assert equal_error_rate([3, 4, 5], [0, 1, 2]) == 0
    assert equal_error_rate([0, 1, 2], [3, 4, 5]) == 1
    assert equal_error_rate([7, 7], [7, 7, 7]) == 0.5  # who cannot tell guesses
    assert equal_error_rate([1, 3], [0, 2]) == 0.5
    assert equal_error_rate([1, 3, 3, 3], [0, 0, 0, 2]) == 0.25
    assert math.isnan(equal_error_rate([], [1]))


@given(numbers, numbers)
def test_eer_turned_round_is_the_rest(target: list[int], nontarget: list[int]) -> None:
    assert equal_error_rate(target, nontarget) == pytest.approx(1 - equal_error_rate(nontarget, target), abs=1e-9)
    assert equal_error_rate(target, nontarget) == pytest.approx(
        equal_error_rate(np.exp(np.array(target) / 9), np.exp(np.array(nontarget) / 9)), abs=1e-9
    )


@given(numbers, numbers)
def test_eer_is_never_below_that_of_the_convex_hull(target: list[int], nontarget: list[int]) -> None:
    legal_eval = pytest.importorskip("legal_eval")
    assert equal_error_rate(target, nontarget) >= legal_eval.rocch_eer(np.array(target), np.array(nontarget)) - 1e-9


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=25))
def test_a_pair_of_weight_three_counts_like_three(rows: list[tuple[int, bool, int]]) -> None:
    values, same, weight = (np.array(column) for column in zip(*rows, strict=True))
    once = scores._equal_error_rates(values.astype(float), same, weight[None].astype(float))[0]
    often = np.repeat(np.arange(len(rows)), weight)
    expected = equal_error_rate(values[often][same[often]], values[often][~same[often]])
    assert math.isnan(expected) if math.isnan(once) else once == pytest.approx(expected, abs=1e-9)


# ── its interval ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("apart", [0.0, 1.0])
def test_the_interval_of_six_people_holds_the_truth_nearly_always(apart: float) -> None:
    values, one, other = pairs(300, 3, apart, 99)
    truth = equal_error_rate(values[one == other], values[one != other])
    held = [low <= truth <= high for low, high in (eer_interval(*pairs(6, 3, apart, seed)) for seed in range(24))]
    assert sum(held) >= 21


def test_more_people_make_it_narrower_and_more_clips_of_the_same_hardly_do() -> None:
    def width(people: int, clips: int) -> float:
        found = [eer_interval(*pairs(people, clips, 1.0, seed)) for seed in range(4)]
        return float(np.mean([high - low for low, high in found]))

    assert width(24, 2) < 0.6 * width(6, 2)
    assert width(6, 6) > 0.5 * width(6, 2)


def test_copies_of_clips_do_not_make_it_narrower() -> None:
    values, one, other = pairs(8, 3, 1.0, 4)
    low, high = eer_interval(values, one, other)
    again = eer_interval(np.tile(values, 5), np.tile(one, 5), np.tile(other, 5))
    assert again == pytest.approx((low, high), abs=1e-9)


def test_the_same_scores_give_the_same_interval_and_another_seed_nearly() -> None:
    made = pairs(12, 3, 1.0, 4)
    assert eer_interval(*made) == eer_interval(*made)
    assert eer_interval(*made) != eer_interval(*made, seed=1)
    assert eer_interval(*made) == pytest.approx(eer_interval(*made, seed=1), abs=0.05)


def test_memory_bound_draws_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pairs(6, 3, 1.0, 4)
    whole = eer_interval(*made)
    monkeypatch.setattr(scores, "MAX_WEIGHTS_IN_MEMORY", 1000)
    assert eer_interval(*made) == pytest.approx(whole, abs=1e-12)


def test_of_one_or_two_people_nothing_is_known() -> None:
    assert eer_interval([1, 0, 0], ["a", "a", "a"], ["a", "b", "b"]) == (0, 1)
    assert all(math.isnan(v) for v in eer_interval([1, 0], ["a", "a"], ["a", "a"]))
    score = eer_score([1.0, 0.0, 0.5], ["a", "a", "b"], ["a", "b", "b"])
    assert (score.value, score.low, score.high, score.n) == (0, 0, 1, 2)


# ── rank-1 ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_rank1_counts_the_nearest() -> None:
    similar = [[0.9, 0.1, 0.2], [0.3, 0.8, 0.1], [0.7, 0.1, 0.2], [0.0, 0.1, 0.3]]
    assert rank1_hits(similar, ["a", "b", "c"], ["a", "b", "c", "c"]).tolist() == [1, 1, 0, 1]
    assert rank1_rate(similar, ["a", "b", "c"], ["a", "b", "c", "c"]) == 0.75
    assert rank1_rate(similar, ["a", "a", "b"], ["a", "a", "b", "b"]) == 0.75


def test_who_cannot_decide_guesses_among_people_not_among_clips() -> None:
    nan = math.nan
    gallery = ["a", "a", "a", "b", "c"]
    assert rank1_hits([[1, 1, 0, 1, 0]], gallery, ["a"]).tolist() == [0.5]
    assert rank1_hits([[nan] * 5, [nan] * 5], gallery, ["a", "b"]) == pytest.approx([1 / 3, 1 / 3])
    assert rank1_hits([[nan, nan, nan, 0.1, nan]], gallery, ["b"]).tolist() == [1]
    assert rank1_hits([[-math.inf, 0.2, nan, 0.1, nan]], gallery, ["a"]).tolist() == [1]
    assert rank1_hits([[0.5, 0.1]], ["a", "b"], ["nobody known"]).tolist() == [0]


def test_blind_attackers_come_out_at_chance() -> None:
    draw, people = np.random.default_rng(3), [f"s{i // 4}" for i in range(80)]
    score = rank1_score(draw.random((80, 80)), people, people)
    assert score.chance == 1 / 20
    assert is_within_chance(score)
    assert not is_within_chance(rank1_score(np.eye(80), people, people))


@pytest.mark.parametrize(
    ("count", "n", "expected"), [(0, 13, (0, 0.2471)), (5, 10, (0.1871, 0.8129)), (10, 10, (0.6915, 1)), (0, 0, (0, 1))]
)
def test_binomial_intervals_of_the_tables(count: int, n: int, expected: tuple[float, float]) -> None:
    assert binomial_interval(count, n) == pytest.approx(expected, abs=1e-4)


def test_few_people_get_the_exact_interval_and_many_the_bootstrap() -> None:
    right = np.tile([1.0, 1.0, 0.0], 5)
    assert scores.share_interval(right, [f"s{i // 3}" for i in range(15)]) == binomial_interval(10, 15)
    alike = np.repeat([1.0, 0.0], 60)  # ten people always found, ten never: 120 clips say no more than 20
    low, high = scores.share_interval(alike, [f"s{i // 6}" for i in range(120)])
    exact = binomial_interval(60, 120)
    assert high - low > 1.8 * (exact[1] - exact[0])
    assert low < 0.5 < high


def test_means_are_weighted_and_drawn_by_person() -> None:
    people = ["a", "a", "b", "c", "d", "e"]
    low, high = scores.mean_interval([0.1, 0.1, 0.1, 0.1, 0.1, 0.1], people)
    assert (low, high) == pytest.approx((0.1, 0.1))
    low, high = scores.mean_interval([0, 0, 0, 0, 0, 1], people, weights=[1, 1, 1, 1, 1, 95])
    assert high > 0.9
    assert math.isnan(scores.mean_interval([1, 2], ["a", "a"])[0])


def test_a_score_is_a_row_of_json() -> None:
    row = Score(0.123456, math.nan, 0.5, 0.5, 6, "speakers").to_row()
    expected = {"value": 0.1235, "low": None, "high": 0.5, "chance": 0.5, "n": 6, "unit": "speakers", "within_chance": False}
    assert json.loads(json.dumps(row, allow_nan=False)) == expected
    assert Score(0.4, 0.2, 0.6, 0.5, 6, "speakers").to_row()["within_chance"]
    assert not is_within_chance(Score(0.4, 0.2, 0.6, None, 6, "clips"))
