"""Checks of a dataset: nulls that are honest, leaks that were planted are found, and small data is not given an all-clear."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.baseline.checks import identity, learning, run, shortcuts
from deemo_data.baseline.checks.check import thinned
from deemo_data.baseline.checks.statistics import (
    ALPHA,
    NEGLIGIBLE,
    ROUNDS,
    WORTH,
    Finding,
    Measured,
    as_numbers,
    deal_folds,
    draws,
    feared,
    freely,
    guesses,
    hoped,
    interval,
    judge,
    kernel,
    probe,
    recall,
    smoothers,
    told,
    whole_groups,
    within_groups,
)
from tests.makers.check_material import EMOTIONS, made, on_disk
from tests.makers.films import film

groups_of = st.lists(st.integers(0, 5), min_size=1, max_size=40)


def finding(p: float = 1.0, effect: float = 0.0, smallest: float = 0.1) -> Finding:
    return Finding("x", 0.5, None, None, 0.5, (0, 0, 0, 0), effect, p, smallest, 10, "clips")


# Nulls


@given(groups_of, st.integers(0, 1000))
def test_whole_groups_are_dealt_and_nobody_is_lost(groups: list[int], seed: int) -> None:
    order = whole_groups([str(g) for g in groups])(np.random.default_rng(seed))
    assert sorted(order) == list(range(len(groups)))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_groups_of_one_size_stay_together(count: int, size: int, seed: int) -> None:
    groups = np.repeat(np.arange(count), size)
    dealt = groups[whole_groups(groups)(np.random.default_rng(seed))]
    assert all(len(set(dealt[groups == g])) == 1 for g in range(count))
    assert sorted(Counter(dealt).values()) == [size] * count


@given(groups_of, st.integers(0, 1000))
def test_within_groups_values_stay_where_they_belong(groups: list[int], seed: int) -> None:
    order = within_groups(groups)(np.random.default_rng(seed))
    assert sorted(order) == list(range(len(groups)))
    assert np.array_equal(np.array(groups)[order], groups)


def test_draws_begin_with_the_truth() -> None:
    drawn = draws(freely(7), 20, 3)
    assert drawn.shape == (21, 7)
    assert drawn[0].tolist() == list(range(7))
    assert len({tuple(row) for row in drawn}) > 15
    assert np.array_equal(drawn, draws(freely(7), 20, 3))


def test_a_null_that_ignores_people_errs_and_ours_does_not() -> None:
    """Features and labels both cluster by person, and have nothing to do with each other."""
    free, whole, tried = 0, 0, 25
    for seed in range(tried):
        rng = np.random.default_rng(seed)
        people = np.repeat(np.arange(12), 20)
        labels = np.repeat(rng.integers(0, 2, 12), 20)
        labels[rng.random(len(labels)) < 0.1] ^= 1
        table = rng.standard_normal((12, 4))[people] + 0.3 * rng.standard_normal((len(people), 4))
        made_by = smoothers(kernel(table), deal_folds(people, 5, seed))
        for deal in (freely(len(people)), whole_groups(people)):
            found = judge([probe("x", made_by, labels[draws(deal, ROUNDS, seed)], 2, people)])[0]
            seen = found.p <= 0.05
            free, whole = (
                (free + seen, whole) if deal is not None and deal.__qualname__.startswith("freely") else (free, whole + seen)
            )
    assert whole <= 0.15 * tried
    assert free > 2 * whole + 3, "else this test shows nothing"


# Figures


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_average_recall_is_that_of_sklearn(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import recall_score

    truth, said = (np.array(v) for v in zip(*pairs, strict=True))
    there = sorted(set(truth.tolist()))
    wanted = recall_score(truth, said, labels=there, average="macro", zero_division=0)
    assert recall(truth, said, 4) == pytest.approx(wanted)


@given(st.integers(2, 30), st.integers(2, 8), st.integers(0, 99))
@settings(max_examples=30)
def test_folds_never_part_a_group(people: int, folds: int, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, people, 80)
    fold = deal_folds(groups, folds, seed)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
    assert set(fold) <= set(range(folds))


def test_a_smoother_is_ridge_regression_on_the_other_folds() -> None:
    from sklearn.kernel_ridge import KernelRidge

    rng = np.random.default_rng(1)
    gram = kernel(rng.standard_normal((40, 6)))
    folds, targets = np.arange(40) % 4, rng.standard_normal((40, 3))
    said = smoothers(gram, folds, ridges=[0.7])[0] @ targets
    for fold in range(4):
        train, test = folds != fold, folds == fold
        model = KernelRidge(alpha=0.7, kernel="precomputed").fit(gram[np.ix_(train, train)], targets[train])
        assert np.allclose(said[test], model.predict(gram[np.ix_(test, train)]))


def test_a_smoother_never_sees_the_clip_it_speaks_of() -> None:
    rng = np.random.default_rng(2)
    gram, folds = kernel(rng.standard_normal((30, 5))), np.arange(30) % 5
    for one in smoothers(gram, folds, kept=np.arange(30) < 20):
        assert not one[folds[:, None] == folds[None]].any()
        assert not one[:, 20:].any()
        assert one[:, :20].any()


def test_constant_figures_say_nothing() -> None:
    assert not kernel(np.ones((10, 3))).any()
    mixed = np.concatenate([np.full((10, 1), 5.0), np.random.default_rng(0).standard_normal((10, 2))], axis=1)
    assert np.allclose(kernel(mixed), kernel(mixed[:, 1:]))
    assert np.trace(kernel(mixed)) == pytest.approx(10)


def test_rare_classes_count_as_much_as_common_ones() -> None:
    truth = np.array([0] * 270 + [1] * 30)
    table = truth[:, None] + 0.8 * np.random.default_rng(0).standard_normal((300, 1))
    made_by = smoothers(kernel(table), np.arange(300) % 5)[1]
    assert recall(truth, guesses(made_by, truth[None], 2)[0], 2) > 0.65
    likelier = (made_by @ truth > 0.5).astype(int)
    assert recall(truth, likelier, 2) < 0.55, "what is likelier is nearly always the common one"


def test_intervals_are_wider_when_people_differ() -> None:
    truth = np.tile([0, 1], 60)
    people = np.repeat(np.arange(12), 10)
    alike = np.arange(120) % 4 > 0
    differ = people % 4 > 0
    one, other = interval(alike, truth, people), interval(differ, truth, people)
    assert one is not None
    assert other is not None
    assert one[1] - one[0] < 0.5 * (other[1] - other[0])
    assert interval(alike, truth, np.arange(120) % 4) is None


# Verdicts


@pytest.mark.parametrize(
    ("found", "fears", "hopes"),
    [
        ([finding(p=ALPHA, effect=0.3)], "problem", "ok"),
        ([finding(p=ALPHA, effect=0.3, smallest=0.9)], "problem", "ok"),
        ([finding(p=ALPHA, effect=NEGLIGIBLE / 2)], "ok", "problem"),
        ([finding(p=0.02, effect=0.3)], "ok", "problem"),
        ([finding(smallest=WORTH + 0.01)], "inconclusive", "inconclusive"),
        ([finding(), finding(smallest=0.9)], "inconclusive", "inconclusive"),
        ([finding(), finding(p=0.001, effect=0.1)], "problem", "ok"),
        ([], "inconclusive", "inconclusive"),
    ],
)
def test_what_a_verdict_rests_on(found: list[Finding], fears: str, hopes: str) -> None:
    assert (feared(found), hoped(found)) == (fears, hopes)


def test_figures_of_a_check_share_one_chance_to_err() -> None:
    """p of max-T: uniform or larger when nothing is there, however many figures; and each p is at least its own."""
    rng, errors, rounds = np.random.default_rng(0), 0, 300
    for _ in range(rounds):
        values = rng.standard_normal((8, 1 + ROUNDS))
        found = judge([Measured(str(k), row[0], row[1:], 10) for k, row in enumerate(values)], alpha=0.05)
        errors += min(f.p for f in found) <= 0.05
        for f, row in zip(found, values, strict=True):
            assert f.p >= (1 + (row[1:] >= row[0]).sum()) / (1 + ROUNDS) - 1e-9 or f.p == pytest.approx(1)
            assert f.chance == pytest.approx(row[1:].mean())
    assert errors / rounds < 0.09


@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_the_smallest_effect_is_seen_four_times_of_five(alpha: float) -> None:
    """A true effect of just that size, on new draws of labels and features, is seen in about 80 % of them."""
    rng, n, classes = np.random.default_rng(5), 200, 2
    truth = np.arange(n) % classes
    null = np.array([recall(truth, rng.integers(0, classes, n), classes) for _ in range(1000)])
    smallest = judge([Measured("x", 0.5, null, n)], alpha)[0].smallest
    seen = 0
    for _ in range(400):
        right = rng.random(n) < 0.5 + smallest * 0.5
        value = float(recall(truth, np.where(right, truth, 1 - truth), classes))
        seen += judge([Measured("x", value, null, n)], alpha)[0].p <= alpha
    assert 0.7 < seen / 400 < 0.9


def test_too_few_permutations_can_never_see_anything() -> None:
    found = judge([Measured("x", 1.0, np.linspace(0.4, 0.6, 20), 10)])
    assert found[0].p > ALPHA
    assert found[0].smallest == np.inf
    assert feared(found) == "inconclusive"


# Checks


def test_what_can_be_learned_is() -> None:
    check = learning.learnable(made(signal=1.0))
    assert check.verdict == "ok"
    assert check.findings[0].value > 0.8
    assert check.findings[0].p == pytest.approx(1 / (1 + ROUNDS))
    assert check.words[0].startswith("Yes")


def test_shuffled_labels_are_not_learnable() -> None:
    check = learning.learnable(made(signal=1.0, subjects=40, shuffled=True))
    assert check.verdict == "problem"
    assert "Not learnable" in check.words[0]
    assert abs(check.findings[0].effect) < WORTH


def test_few_people_give_no_verdict_and_the_reason(tmp_path: Path) -> None:
    for check in run.run(on_disk(made(subjects=4, each=3, splits=False), tmp_path)):
        assert check.verdict == "inconclusive", check.name
        assert any(c.isdigit() for c in check.words[0]) or "one split" in check.words[0]
    few = learning.learnable(made(subjects=4, each=20))
    assert "4 subjects" in few.words[0]


def test_a_figure_that_cannot_move_sees_nothing() -> None:
    """Eleven clips are too few for any tree to split: that is no all-clear."""
    found = judge([Measured("x", 0.5, np.full(ROUNDS, 0.5), 11)])
    assert found[0].smallest == np.inf
    assert feared(found) == hoped(found) == "inconclusive"
    assert told(found[0])["smallest"] is None
    check = shortcuts.shortcuts(made(subjects=10, each=1))
    assert check.verdict == "inconclusive"
    assert "No effect would have been seen for sure, not even a full one." in check.words


def test_a_fact_that_three_clips_have_hides_nothing() -> None:
    whole = made(subjects=30, each=8)
    odd = tuple(replace(e, fps=30.0) if k < 3 else e for k, e in enumerate(whole.examples))
    check = shortcuts.shortcuts(replace(whole, examples=odd))
    assert check.verdict == "ok"
    assert "frame rate" in check.more["same"]


def test_one_emotion_gives_no_verdict() -> None:
    whole = made()
    same = replace(whole, examples=tuple(replace(e, emotion="sad") for e in whole.examples))
    for check in (learning.learnable, learning.modalities, shortcuts.shortcuts, learning.curve):
        found = check(same)
        assert found.verdict == "inconclusive"
        assert "sad" in found.words[0]


def test_little_data_is_no_all_clear(tmp_path: Path) -> None:
    """And what comes out can be written as JSON."""
    small = on_disk(made(subjects=6, each=4), tmp_path)
    found = {c.name: c for c in run.run(small)}
    assert found["shortcuts"].verdict == found["identity"].verdict == "inconclusive"
    assert max(f.smallest for f in found["shortcuts"].findings) > WORTH
    assert found["duplicates"].verdict == "inconclusive", "no picture could be compared"
    written = [c.told() for c in found.values()]
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert list(found) == list(run.ORDER)


@pytest.mark.slow
def test_which_modality_adds_something() -> None:
    check = learning.modalities(made(each=8, signal=0.5, voice=0.4))
    verdicts = {f.name: f.seen() for f in check.findings}
    assert verdicts == {"lost without body": True, "lost without voice": True}, (
        "the transcript is the same everywhere, so it is not there"
    )
    assert check.verdict == "ok"
    assert "The transcript is empty, or the same in all clips." in check.words
    only = learning.modalities(made(subjects=40, each=8, signal=0.8, voice=0.0))
    assert {f.name: f.seen() for f in only.findings} == {"lost without body": True, "lost without voice": False}
    assert only.verdict == "problem"
    assert any(w.startswith("The voice adds nothing") for w in only.words)


def test_what_is_said_twice_is_no_problem() -> None:
    """The transcript names the emotion, and so does the body: neither is missed when it goes."""
    check = learning.modalities(made(each=5, signal=4.0, words=True))
    said = " ".join(check.words)
    assert "The transcript says something, but nothing that the others do not say" in said
    assert "The body says something" in said


@pytest.mark.parametrize("lengths", [pytest.param("straight", marks=pytest.mark.slow), "u"])
def test_a_short_cut_by_length_is_found(lengths: str) -> None:
    check = shortcuts.shortcuts(made(each=6, lengths=lengths))
    assert check.verdict == "problem"
    assert {f.name for f in check.findings if f.seen()} >= {"clip length", "all of these"}
    assert check.words[0].startswith("The emotion can be told without looking")
    assert set(check.more["drawn"]["clip length"]) == set(EMOTIONS)
    assert sum(map(len, check.more["drawn"]["clip length"].values())) == 144


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("fps", "width", "annotation")]


@pytest.mark.parametrize("fact", ["consent", "bytes", *SLOW])
def test_a_short_cut_by_any_fact_is_found(fact: str) -> None:
    whole = made(subjects=10, each=8, seed=3)

    def told(e: Any) -> Any:
        is_sad = e.emotion == "sad"
        if fact in ("consent", "annotation"):
            return replace(e, source_facts={**e.source_facts, fact: f"as filed {is_sad}"})
        return replace(e, **{fact: {"fps": 25.0, "width": 640, "bytes": 200_000}[fact] * (2 if is_sad else 1)})

    check = shortcuts.shortcuts(replace(whole, examples=tuple(told(e) for e in whole.examples)))
    kind = {"fps": "frame rate", "width": "picture size", "consent": "consent and licence", "bytes": "file size",
            "annotation": "how it was annotated"}[fact]  # fmt: skip
    assert check.verdict == "problem"
    assert kind in {f.name for f in check.findings if f.seen()}
    assert kind not in check.more["same"]


def test_no_short_cut_is_found_where_there_is_none() -> None:
    check = shortcuts.shortcuts(made(subjects=30, each=8))
    assert check.verdict == "ok"
    assert set(check.more["same"]) == {"frame rate", "picture size", "consent and licence", "how it was annotated"}
    assert all(f.could_see() for f in check.findings)


@pytest.mark.slow
def test_a_length_that_is_the_persons_is_no_short_cut() -> None:
    """Each person has clips of one length and one usual emotion: that is their emotion, not the length."""
    seen = 0
    for seed in range(12):
        whole = made(clustered=True, seed=seed)
        own = {s: 4000 + 60 * k for k, s in enumerate(np.random.default_rng(seed).permutation(sorted(set(whole.subjects))))}
        there = tuple(replace(e, duration_ms=own[e.subject_id], bytes=own[e.subject_id]) for e in whole.examples)
        seen += shortcuts.shortcuts(replace(whole, examples=there)).verdict == "problem"
    assert seen <= 1


def test_who_it_is_tells_the_emotion_or_not() -> None:
    assert shortcuts.subject_and_label(made(clustered=True)).verdict == "problem"
    free = shortcuts.subject_and_label(made(subjects=60))
    assert free.verdict == "ok"
    assert free.findings[0].effect < NEGLIGIBLE


def test_who_is_recognised() -> None:
    leak = identity.identity(made(who=2.0))
    assert leak.verdict == "problem"
    assert {f.name for f in leak.findings if f.seen()} == {"limb lengths", "random encoder"}
    assert leak.words[0].startswith("Yes. Of 16 people")
    assert leak.clips == 160
    clean = identity.identity(made())
    assert clean.verdict == "ok"


def test_a_usual_emotion_is_no_identity() -> None:
    """Features show the emotion, and people have usual ones: that alone must name nobody."""
    seen = sum(identity.identity(made(each=6, clustered=True, signal=3.0, seed=seed)).verdict == "problem" for seed in range(6))
    assert seen <= 1


def test_the_verdict_rests_on_inputs_and_not_on_trained_features() -> None:
    leak, rng = made(who=2.0), np.random.default_rng(0)
    hidden = identity.identity(replace(leak, trained={"trained encoders": rng.standard_normal((240, 8))}))
    assert hidden.verdict == "problem"
    assert [f.seen() for f in hidden.beside] == [False]
    clean = made()
    shown = replace(clean, trained={"trained encoders": leak.summaries.parts["limb lengths"]})
    assert identity.identity(shown).verdict == "ok"
    assert identity.identity(shown).beside[0].seen()
    before = replace(clean, untrained={"untrained encoders": leak.summaries.parts["limb lengths"]})
    assert identity.identity(before).verdict == "problem"


def test_only_the_train_split_is_asked_who_it_is() -> None:
    whole = made(who=2.0)
    train = {e.subject_id for e in whole.examples if e.split == "train"}
    assert identity.identity(whole).subjects == len(train) == 16


def test_a_learning_curve_rises_or_not() -> None:
    rising = learning.curve(made(signal=0.5, subjects=40, each=5))
    assert rising.verdict == "ok"
    assert [p["subjects"] for p in rising.more["points"]] == [2, 4, 8, 16, 32]
    assert rising.more["points"][-1]["value"] > rising.more["points"][0]["value"] + 0.1
    assert learning.curve(made(subjects=40, each=8)).verdict == "problem"
    easy = learning.curve(made(signal=6.0, each=12))
    assert easy.verdict == "ok"


def test_duplicates_across_splits(tmp_path: Path) -> None:
    whole = made(subjects=6, each=2)
    rows = []
    for k, e in enumerate(whole.examples):
        path = tmp_path / f"{e.clip_id}.mp4"
        film(path, k)
        rows.append(replace(e, video=path))
    apart = shortcuts.duplicates(replace(whole, examples=tuple(rows)))
    assert apart.verdict == "ok"
    assert apart.more["count"] == 0
    twin = [*rows[:-1], replace(rows[-1], video=rows[0].video)]
    same = shortcuts.duplicates(replace(whole, examples=tuple(twin)))
    assert same.verdict == "problem"
    assert {rows[0].clip_id, rows[-1].clip_id} in [set(p["clips"]) for p in same.more["pairs"]]
    long = " ".join(["word"] * shortcuts.WORDS)
    told = [replace(e, transcript=long) if k in (0, len(rows) - 1) else e for k, e in enumerate(rows)]
    assert shortcuts.duplicates(replace(whole, examples=tuple(told))).verdict == "problem"
    grey = replace(
        whole,
        examples=tuple(twin),
        summaries=replace(whole.summaries, parts={"frames": np.arange(12 * 98.0).reshape(12, 98) / 99}),
    )
    assert shortcuts.duplicates(grey).more["pairs"][0]["why"] == "have the same video", "of other colours, so no look-alikes"
    within = [rows[0], replace(rows[1], video=rows[0].video), *rows[2:]]
    assert shortcuts.duplicates(replace(whole, examples=tuple(within))).verdict == "ok", "both are of one subject"


def test_of_many_clips_whole_subjects_are_drawn() -> None:
    whole = made(subjects=20, each=10)
    some = thinned(whole, 60)
    assert len(some.examples) == 60
    assert set(Counter(some.subjects).values()) == {10}
    kept = [k for k, e in enumerate(whole.examples) if e.subject_id in set(some.subjects)]
    assert np.array_equal(some.summaries.body, whole.summaries.body[kept])
    assert thinned(whole) is whole
    assert len(thinned(made(subjects=2, each=100), 60).examples) == 60


def test_class_numbers_follow_the_datasets_order() -> None:
    numbers, names = as_numbers(["sad", "happy", "sad"], EMOTIONS)
    assert names == ["happy", "sad"]
    assert numbers.tolist() == [1, 0, 1]
