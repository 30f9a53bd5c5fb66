"""Permutation tests: null distributions that respect subjects, figures with known values, and verdicts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.baseline.checks.statistics import (
    ALPHA,
    MIN_EFFECT,
    PERMUTATION_ROUNDS,
    TARGET_EFFECT,
    Finding,
    Measurement,
    assign_folds,
    average_recall,
    draw_permutations,
    encode_labels,
    fit_smoothers,
    judge_measurements,
    judge_unwanted_effect,
    judge_wanted_effect,
    linear_kernel,
    measure_probe,
    permute_freely,
    permute_whole_groups,
    permute_within_groups,
    predict_classes,
    recall_interval,
)
from tests.makers.check_material import EMOTIONS

groups_of = st.lists(st.integers(0, 5), min_size=1, max_size=40)


def finding(p: float = 1.0, effect: float = 0.0, smallest: float = 0.1) -> Finding:
    return Finding("x", 0.5, None, None, 0.5, (0, 0, 0, 0), effect, p, smallest, 10, "clips")


@given(groups_of, st.integers(0, 1000))
def test_whole_groups_are_dealt_and_nobody_is_lost(groups: list[int], seed: int) -> None:
    order = permute_whole_groups([str(g) for g in groups])(np.random.default_rng(seed))
    assert sorted(order) == list(range(len(groups)))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_groups_of_one_size_stay_together(count: int, size: int, seed: int) -> None:
    groups = np.repeat(np.arange(count), size)
    dealt = groups[permute_whole_groups(groups)(np.random.default_rng(seed))]
    assert all(len(set(dealt[groups == g])) == 1 for g in range(count))
    assert sorted(Counter(dealt).values()) == [size] * count


@given(groups_of, st.integers(0, 1000))
def test_within_groups_values_stay_where_they_belong(groups: list[int], seed: int) -> None:
    order = permute_within_groups(groups)(np.random.default_rng(seed))
    assert sorted(order) == list(range(len(groups)))
    assert np.array_equal(np.array(groups)[order], groups)


def test_draws_begin_with_the_truth() -> None:
    drawn = draw_permutations(permute_freely(7), 20, 3)
    assert drawn.shape == (21, 7)
    assert drawn[0].tolist() == list(range(7))
    assert len({tuple(row) for row in drawn}) > 15
    assert np.array_equal(drawn, draw_permutations(permute_freely(7), 20, 3))


def test_a_null_that_ignores_people_errs_and_ours_does_not() -> None:
    """Features and labels both cluster by person, and have nothing to do with each other."""
    free, whole, tried = 0, 0, 25
    for seed in range(tried):
        rng = np.random.default_rng(seed)
        people = np.repeat(np.arange(12), 20)
        labels = np.repeat(rng.integers(0, 2, 12), 20)
        labels[rng.random(len(labels)) < 0.1] ^= 1
        table = rng.standard_normal((12, 4))[people] + 0.3 * rng.standard_normal((len(people), 4))
        made_by = fit_smoothers(linear_kernel(table), assign_folds(people, 5, seed))
        for deal in (permute_freely(len(people)), permute_whole_groups(people)):
            found = judge_measurements(
                [measure_probe("x", made_by, labels[draw_permutations(deal, PERMUTATION_ROUNDS, seed)], 2, people)]
            )[0]
            seen = found.p <= 0.05
            free, whole = (
                (free + seen, whole)
                if deal is not None and deal.__qualname__.startswith("permute_freely")
                else (free, whole + seen)
            )
    assert whole <= 0.15 * tried
    assert free > 2 * whole + 3, "else this test shows nothing"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_average_recall_is_that_of_sklearn(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import recall_score

    truth, said = (np.array(v) for v in zip(*pairs, strict=True))
    there = sorted(set(truth.tolist()))
    wanted = recall_score(truth, said, labels=there, average="macro", zero_division=0)
    assert average_recall(truth, said, 4) == pytest.approx(wanted)


@given(st.integers(2, 30), st.integers(2, 8), st.integers(0, 99))
@settings(max_examples=30)
def test_folds_never_part_a_group(people: int, folds: int, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, people, 80)
    fold = assign_folds(groups, folds, seed)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
    assert set(fold) <= set(range(folds))


def test_a_smoother_is_ridge_regression_on_the_other_folds() -> None:
    from sklearn.kernel_ridge import KernelRidge

    rng = np.random.default_rng(1)
    gram = linear_kernel(rng.standard_normal((40, 6)))
    folds, targets = np.arange(40) % 4, rng.standard_normal((40, 3))
    said = fit_smoothers(gram, folds, ridges=[0.7])[0] @ targets
    for fold in range(4):
        train, test = folds != fold, folds == fold
        model = KernelRidge(alpha=0.7, kernel="precomputed").fit(gram[np.ix_(train, train)], targets[train])
        assert np.allclose(said[test], model.predict(gram[np.ix_(test, train)]))


def test_a_smoother_never_sees_the_clip_it_speaks_of() -> None:
    rng = np.random.default_rng(2)
    gram, folds = linear_kernel(rng.standard_normal((30, 5))), np.arange(30) % 5
    for one in fit_smoothers(gram, folds, learnable=np.arange(30) < 20):
        assert not one[folds[:, None] == folds[None]].any()
        assert not one[:, 20:].any()
        assert one[:, :20].any()


def test_constant_figures_say_nothing() -> None:
    assert not linear_kernel(np.ones((10, 3))).any()
    mixed = np.concatenate([np.full((10, 1), 5.0), np.random.default_rng(0).standard_normal((10, 2))], axis=1)
    assert np.allclose(linear_kernel(mixed), linear_kernel(mixed[:, 1:]))
    assert np.trace(linear_kernel(mixed)) == pytest.approx(10)


def test_rare_classes_count_as_much_as_common_ones() -> None:
    truth = np.array([0] * 270 + [1] * 30)
    table = truth[:, None] + 0.8 * np.random.default_rng(0).standard_normal((300, 1))
    made_by = fit_smoothers(linear_kernel(table), np.arange(300) % 5)[1]
    assert average_recall(truth, predict_classes(made_by, truth[None], 2)[0], 2) > 0.65
    likelier = (made_by @ truth > 0.5).astype(int)
    assert average_recall(truth, likelier, 2) < 0.55, "what is likelier is nearly always the common one"


def test_intervals_are_wider_when_people_differ() -> None:
    truth = np.tile([0, 1], 60)
    people = np.repeat(np.arange(12), 10)
    alike = np.arange(120) % 4 > 0
    differ = people % 4 > 0
    one, other = recall_interval(alike, truth, people), recall_interval(differ, truth, people)
    assert one is not None
    assert other is not None
    assert one[1] - one[0] < 0.5 * (other[1] - other[0])
    assert recall_interval(alike, truth, np.arange(120) % 4) is None


@pytest.mark.parametrize(
    ("found", "fears", "hopes"),
    [
        ([finding(p=ALPHA, effect=0.3)], "problem", "ok"),
        ([finding(p=ALPHA, effect=0.3, smallest=0.9)], "problem", "ok"),
        ([finding(p=ALPHA, effect=MIN_EFFECT / 2)], "ok", "problem"),
        ([finding(p=0.02, effect=0.3)], "ok", "problem"),
        ([finding(smallest=TARGET_EFFECT + 0.01)], "inconclusive", "inconclusive"),
        ([finding(), finding(smallest=0.9)], "inconclusive", "inconclusive"),
        ([finding(), finding(p=0.001, effect=0.1)], "problem", "ok"),
        ([], "inconclusive", "inconclusive"),
    ],
)
def test_what_a_verdict_rests_on(found: list[Finding], fears: str, hopes: str) -> None:
    assert (judge_unwanted_effect(found), judge_wanted_effect(found)) == (fears, hopes)


def test_figures_of_a_check_share_one_chance_to_err() -> None:
    """p of max-T: uniform or larger when nothing is there, however many figures; and each p is at least its own."""
    rng, errors, rounds = np.random.default_rng(0), 0, 300
    for _ in range(rounds):
        values = rng.standard_normal((8, 1 + PERMUTATION_ROUNDS))
        found = judge_measurements([Measurement(str(k), row[0], row[1:], 10) for k, row in enumerate(values)], alpha=0.05)
        errors += min(f.p for f in found) <= 0.05
        for f, row in zip(found, values, strict=True):
            assert f.p >= (1 + (row[1:] >= row[0]).sum()) / (1 + PERMUTATION_ROUNDS) - 1e-9 or f.p == pytest.approx(1)
            assert f.chance == pytest.approx(row[1:].mean())
    assert errors / rounds < 0.09


@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_the_smallest_effect_is_seen_four_times_of_five(alpha: float) -> None:
    """A true effect of just that size, on new draws of labels and features, is seen in about 80 % of them."""
    rng, n, classes = np.random.default_rng(5), 200, 2
    truth = np.arange(n) % classes
    null = np.array([average_recall(truth, rng.integers(0, classes, n), classes) for _ in range(1000)])
    smallest = judge_measurements([Measurement("x", 0.5, null, n)], alpha)[0].smallest
    seen = 0
    for _ in range(400):
        right = rng.random(n) < 0.5 + smallest * 0.5
        value = float(average_recall(truth, np.where(right, truth, 1 - truth), classes))
        seen += judge_measurements([Measurement("x", value, null, n)], alpha)[0].p <= alpha
    assert 0.7 < seen / 400 < 0.9


def test_too_few_permutations_can_never_see_anything() -> None:
    found = judge_measurements([Measurement("x", 1.0, np.linspace(0.4, 0.6, 20), 10)])
    assert found[0].p > ALPHA
    assert found[0].smallest == np.inf
    assert judge_unwanted_effect(found) == "inconclusive"


def test_class_numbers_follow_the_datasets_order() -> None:
    numbers, names = encode_labels(["sad", "happy", "sad"], EMOTIONS)
    assert names == ["happy", "sad"]
    assert numbers.tolist() == [1, 0, 1]
