"""Splits: no subject in two, even emotions, subjects that are tied on one side, and nobody moves without need."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.dataset.export.splits import SplitShares, assign_splits, unevenness, weigh_subjects
from deemo_data.dataset.layout import SPLITS
from deemo_data.labels.vocabulary import load_emotions
from tests.makers.labels import NTSC, clip_at, said


def people(n: int) -> dict[str, dict[str, int]]:
    return {f"s-{k:08x}": {"": 1} for k in range(n)}


def counted(dealt: dict[str, str]) -> dict[str, int]:
    return {s: list(dealt.values()).count(s) for s in SPLITS}


@given(st.integers(1, 60), st.integers(0, 5))
def test_everybody_is_in_one_split(n: int, seed: int) -> None:
    subjects = people(n)
    dealt = assign_splits(subjects, SplitShares(seed))
    counts = counted(dealt)
    assert dealt.keys() == set(subjects)
    assert assign_splits(dict(reversed(subjects.items())), SplitShares(seed)) == dealt
    assert counts["train"] >= 1
    assert (counts["test"] > 0) == (n > 1)
    assert (counts["validation"] > 0) == (n > 2)
    if n > 2:
        assert counts["test"] == max(1, round(n * 0.2))
        assert counts["validation"] == max(1, round(n * 0.15))


def test_another_seed_deals_otherwise() -> None:
    assert len({tuple(assign_splits(people(40), SplitShares(seed)).values()) for seed in range(5)}) == 5


def skewed(n: int, seed: int) -> dict[str, dict[str, int]]:
    """Subjects with a mood each: most of a subject's clips are of one emotion."""
    rng = np.random.default_rng(seed)
    names = ["happy", "sad", "angry", "anxious"]
    found = {}
    for k in range(n):
        moods = Counter(rng.choice(names, 12, p=rng.dirichlet([0.25] * 4)).tolist())
        found[f"s-{k:08x}"] = {"": 12, **moods}
    return found


@pytest.mark.parametrize("n", [10, 30, 80])
def test_emotions_are_spread_more_evenly_than_by_one_deal(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [unevenness(w, assign_splits(w, SplitShares(k))) for k in range(8) if (w := skewed(n, k))]
    monkeypatch.setattr("deemo_data.dataset.export.splits.MAX_DEALS", 1)
    blind = [unevenness(w, assign_splits(w, SplitShares(k))) for k in range(8) if (w := skewed(n, k))]
    assert np.mean(ours) < 0.6 * np.mean(blind)


def test_unevenness_is_the_share_out_of_place() -> None:
    weights = {"a": {"happy": 2, "": 2}, "b": {"sad": 2, "": 2}}
    assert unevenness(weights, {"a": "train", "b": "test"}) == 0.5
    assert unevenness(weights, {"a": "train", "b": "train"}) == 0
    assert unevenness({"a": {"": 3}}, {"a": "train"}) == 0


@given(st.integers(3, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=12))
def test_tied_subjects_are_on_one_side(n: int, pairs: list[tuple[int, int]]) -> None:
    ties = [(f"s-{a % n:08x}", f"s-{b % n:08x}") for a, b in pairs]
    dealt = assign_splits(people(n), SplitShares(), [*ties, ("s-gone", "s-00000000")])
    assert all(dealt[a] == dealt[b] for a, b in ties)
    assert "s-gone" not in dealt


def test_ties_go_on_through_a_third() -> None:
    dealt = assign_splits(people(9), SplitShares(), [("s-00000001", "s-00000002"), ("s-00000002", "s-00000007")])
    assert len({dealt[f"s-0000000{k}"] for k in (1, 2, 7)}) == 1


def test_all_tied_are_all_in_train() -> None:
    assert set(assign_splits(people(3), SplitShares(), [tuple(people(3))]).values()) == {"train"}


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 3))
def test_newcomers_move_nobody(n: int, more: int, seed: int) -> None:
    before = assign_splits(people(n), SplitShares(seed))
    after = assign_splits(people(n + more), SplitShares(seed), earlier=before)
    assert {s: after[s] for s in before} == before
    counts = counted(after)
    assert counts["test"] >= 1
    if n + more > 2:
        assert counts["validation"] >= 1
    assert counts["test"] >= min(max(1, round((n + more) * 0.2)), more)


@given(st.integers(3, 30), st.data())
def test_leavers_move_nobody_unless_a_split_would_be_empty(n: int, data: Any) -> None:
    before = assign_splits(people(n), SplitShares())
    left = sorted(data.draw(st.sets(st.sampled_from(sorted(before)), min_size=1)))
    after = assign_splits({s: {"": 1} for s in left}, SplitShares(), earlier=before)
    needed = SPLITS if len(left) > 2 else ("train", "test")[: len(left)]
    if all(s in {before[x] for x in left} for s in needed):
        assert after == {s: before[s] for s in left}
    assert set(needed) <= set(after.values())


def test_who_was_apart_and_shows_the_same_comes_together() -> None:
    before = {"s-00000000": "train", "s-00000001": "test", "s-00000002": "validation", "s-00000003": "test"}
    after = assign_splits(people(4), SplitShares(), [("s-00000000", "s-00000001")], before)
    assert after["s-00000000"] == after["s-00000001"] == "train"
    assert after["s-00000002"] == "validation"


def test_what_subjects_bring() -> None:
    a, b = clip_at(0, 100), clip_at(200, 300)
    emotions = load_emotions("emotions")
    stale = clip_at(0, 50, grid=NTSC)
    labels = [said("emotion", "happy", a), said("emotion", "HAPPY", a, "a-2"), said("emotion", "sad", b)]
    labels += [said("emotion", "hangry", b), said("clue_text", "sad", b), said("emotion", "sad", stale)]
    assert weigh_subjects([a, b], labels, emotions) == {"s-1": {"": 2, "happy": 2, "sad": 1}}
