"""Figures of recognition against scikit-learn, over random answers; and intervals against what they claim."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.data import Example
from deemo_data.baseline.scoring import metrics
from deemo_data.errors import DatasetError
from tests.makers.answers import make_example

LABELS = ("angry", "calm", "happy", "sad")


def examples(gold: list[str], subjects: list[str] | None = None) -> list[Example]:
    return [make_example(f"c{n}", subjects[n] if subjects else f"s{n}", label) for n, label in enumerate(gold)]


def run(said: list[str | None], p: np.ndarray | None = None) -> list[Answer]:
    each = [None] * len(said) if p is None else [dict(zip(LABELS, map(float, row), strict=True)) for row in p]
    return [Answer(f"c{n}", label, q) for n, (label, q) in enumerate(zip(said, each, strict=True))]


GOLD_AND_SAID = st.lists(
    st.tuples(st.sampled_from(LABELS), st.none() | st.sampled_from(LABELS), st.sampled_from("abcdefg")), min_size=1, max_size=40
)


@settings(deadline=None)
@given(GOLD_AND_SAID)
def test_figures_are_those_of_scikit_learn(rows: list[tuple[str, str | None, str]]) -> None:
    gold, said = [r[0] for r in rows], [r[1] or "no answer" for r in rows]
    told = metrics.score_recognition(examples(gold, [r[2] for r in rows]), [run([r[1] for r in rows])], LABELS, rounds=5)
    seen = sorted({*gold, *said} - {"no answer"})
    there = sorted(set(gold))
    close = {"abs": 1e-6}
    assert told["accuracy"]["value"] == pytest.approx(accuracy_score(gold, said), **close)
    assert told["uar"]["value"] == pytest.approx(
        recall_score(gold, said, labels=there, average="macro", zero_division=0), **close
    )
    for name, how in (("f1_macro", "macro"), ("f1_weighted", "weighted")):
        assert told[name]["value"] == pytest.approx(f1_score(gold, said, labels=seen, average=how, zero_division=0), **close)
    wanted = confusion_matrix(gold, said, labels=[*LABELS, "no answer"])
    assert told["confusion"]["counts"] == wanted[:-1].tolist()
    assert told["no_answer"] == [said.count("no answer")]
    precision = precision_score(gold, said, labels=LABELS, average=None, zero_division=np.nan)
    for row, expected in zip(told["by_label"], precision, strict=True):
        assert row["clips"] == gold.count(row["label"])
        assert (row["precision"] is None) if np.isnan(expected) else row["precision"] == pytest.approx(expected, **close)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30))
def test_uar_is_balanced_accuracy_where_everything_is_answered(rows: list[tuple[str, str]]) -> None:
    gold, said = map(list, zip(*rows, strict=True))
    told = metrics.score_recognition(examples(gold), [run(said)], LABELS, rounds=2)
    with np.testing.suppress_warnings() as sup:
        sup.filter(UserWarning)  # it says that a label was answered that nobody has
        assert told["uar"]["value"] == pytest.approx(balanced_accuracy_score(gold, said), abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_brier_and_ece_are_what_they_say(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(4, 0.5), size=n)
    gold = list(random.choice(LABELS, n))
    told = metrics.score_recognition(examples(gold), [run([LABELS[k] for k in p.argmax(axis=1)], p)], LABELS, rounds=2)[
        "calibration"
    ]
    truth = np.array([[label == g for label in LABELS] for g in gold], float)
    one_by_one = sum(brier_score_loss(truth[:, k], p[:, k], labels=[0, 1]) for k in range(4))
    assert told["brier"]["value"] == pytest.approx(one_by_one, abs=1e-6)
    by_hand, edges = 0.0, np.arange(11) / 10
    sure, right = p.max(axis=1), np.array([LABELS[k] for k in p.argmax(axis=1)]) == gold
    for low, high in pairwise(edges):
        inside = (sure >= low) & ((sure < high) | (high == 1))
        if inside.any():
            by_hand += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert told["ece"]["value"] == pytest.approx(by_hand, abs=1e-6)
    assert sum(b["answers"] for b in told["bins"]) == n


def test_calibrated_probabilities_are_near_what_chance_gives_and_boasting_is_not() -> None:
    random = np.random.default_rng(1)
    p = random.dirichlet(np.ones(4), size=600)
    gold = [LABELS[random.choice(4, p=row)] for row in p]
    said: list[str | None] = [LABELS[k] for k in p.argmax(axis=1)]
    subjects = [f"s{n % 30}" for n in range(600)]
    honest = metrics.score_recognition(examples(gold, subjects), [run(said, p)], LABELS, rounds=500)["calibration"]["ece"]
    assert honest["value"] < 2 * honest["by_chance"]
    sharp = p**4 / (p**4).sum(axis=1, keepdims=True)
    boasting = metrics.score_recognition(examples(gold, subjects), [run(said, sharp)], LABELS, rounds=500)["calibration"]["ece"]
    assert boasting["low"] > 3 * boasting["by_chance"]


def test_a_refusal_and_a_missing_clip_are_wrong_and_counted() -> None:
    clips = examples(["sad", "sad", "happy", "happy"])
    told = metrics.score_recognition(clips, [run(["sad", None, "happy"])], LABELS, rounds=10)
    assert told["accuracy"]["value"] == 0.5
    assert told["uar"]["value"] == 0.5
    assert (told["no_answer"], told["missing"]) == ([2], [1])
    assert told["confusion"]["counts"][3] == [0, 0, 0, 1, 1]
    assert told["confusion"]["columns"][-1] == "no answer"


def test_answers_without_probabilities_have_no_calibration() -> None:
    clips, p = examples(["sad", "happy"]), np.full((2, 4), 0.25)
    none = metrics.score_recognition(clips, [run(["sad", "sad"])], LABELS, rounds=10)["calibration"]
    assert none == {"without": 2, "why": "no answer of a run has probabilities", "ece": None, "brier": None, "bins": []}
    half = metrics.score_recognition(clips, [run(["sad"], p[:1])], LABELS, rounds=10)["calibration"]
    assert half["without"] == 1
    assert half["brier"]["value"] == pytest.approx(0.75**2 + 3 * 0.25**2)


def test_seeds_are_averaged_and_shown_one_by_one() -> None:
    clips = examples(["sad"] * 10)
    runs = [run(["sad"] * 10), run(["sad"] * 4 + ["happy"] * 6)]
    told = metrics.score_recognition(clips, runs, LABELS, rounds=2000)
    assert told["accuracy"]["value"] == pytest.approx(0.7)
    assert told["accuracy"]["by_seed"] == [1.0, 0.4]
    assert (told["seeds"], told["confusion"]["counts"][3]) == (2, [0, 0, 6, 14, 0])
    assert told["accuracy"]["low"] <= 0.4, "the worse seed may be drawn twice"
    assert told["accuracy"]["high"] == 1.0
    assert told["by_label"][3]["clips"] == 10


def test_the_order_of_answers_means_nothing_and_a_fixed_seed_gives_the_same_figures() -> None:
    random = np.random.default_rng(3)
    gold, said = list(random.choice(LABELS, 60)), list(random.choice(LABELS, 60))
    clips = examples(gold, [f"s{n % 12}" for n in range(60)])
    once = metrics.score_recognition(clips, [run(said)], LABELS, rounds=300)
    assert metrics.score_recognition(clips, [run(said)[::-1]], LABELS, rounds=300) == once
    assert metrics.score_recognition(clips, [run(said)], LABELS, rounds=300, seed=1)["accuracy"]["low"] != once["accuracy"]["low"]


def test_clips_of_one_subject_are_drawn_together() -> None:
    """Ten subjects of 30 clips, of whom half are always right: the interval is that of ten, not of 300."""
    clips = examples(["sad"] * 300, [f"s{n % 10}" for n in range(300)])
    said: list[str | None] = ["sad" if n % 10 < 5 else "happy" for n in range(300)]
    by_subject = metrics.score_recognition(clips, [run(said)], LABELS)["accuracy"]
    alone = metrics.score_recognition(examples(["sad"] * 300), [run(said)], LABELS)["accuracy"]
    assert by_subject["high"] - by_subject["low"] > 0.55
    assert alone["high"] - alone["low"] < 0.13


def test_an_interval_over_subjects_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        skill = random.beta(8, 2, size=20)  # of each subject; mean 0.8
        right = random.random((20, 6)) < skill[:, None]
        clips = examples(["sad"] * 120, [f"s{n // 6}" for n in range(120)])
        said: list[str | None] = ["sad" if r else None for r in right.ravel()]
        found = metrics.score_recognition(clips, [run(said)], ("sad", "happy"), rounds=400)["accuracy"]
        held += found["low"] <= 0.8 <= found["high"]
    assert held >= 182, f"{held} of 200"  # 95 % of 200 are 190, with a standard deviation of 3


def test_few_subjects_have_a_figure_and_no_interval() -> None:
    told = metrics.score_recognition(examples(["sad"] * 8, ["a", "b"] * 4), [run(["sad"] * 8)], LABELS, rounds=100)["accuracy"]
    assert (told["value"], told["low"], told["high"]) == (1.0, None, None)


def test_a_difference_is_paired() -> None:
    """Two models that are wrong about the same difficult subjects differ surely, though each one's interval is wide."""
    clips = examples(["sad"] * 400, [f"s{n % 20}" for n in range(400)])
    weak: list[str | None] = ["sad" if n % 20 < 10 else "happy" for n in range(400)]
    better: list[str | None] = ["sad" if n % 20 < 10 or n // 20 < 4 else "happy" for n in range(400)]
    apart = metrics.score_difference(clips, [run(better)], [run(weak)], LABELS)
    assert apart["value"] == pytest.approx(0.1)
    assert apart["low"] > 0.04
    one, other = (metrics.score_recognition(clips, [run(said)], LABELS)["accuracy"] for said in (better, weak))
    assert one["low"] < other["high"]
    assert metrics.score_difference(clips, [run(weak)], [run(weak), run(weak)], LABELS, measure="uar")["value"] == 0


def test_nothing_to_score_is_one_line() -> None:
    for clips, runs in (([], [run(["sad"])]), (examples(["sad"]), [])):
        with pytest.raises(DatasetError, match="nothing to score"):
            metrics.score_recognition(clips, runs, LABELS)


def test_thousands_of_rounds_take_no_time() -> None:
    import time

    random = np.random.default_rng(0)
    labels = tuple(f"e{k}" for k in range(12))
    clips = examples(list(random.choice(labels, 2000)), [f"s{n % 70}" for n in range(2000)])
    p = random.dirichlet(np.ones(12), size=2000)
    runs = [
        [Answer(f"c{n}", labels[k], dict(zip(labels, map(float, p[n]), strict=True))) for n, k in enumerate(p.argmax(axis=1))]
        for _ in range(3)
    ]
    begun = time.process_time()
    metrics.score_recognition(clips, runs, labels)
    assert time.process_time() - begun < 5
