"""Checks of learning: planted signals are found, and shuffled labels are not learnable."""

from __future__ import annotations

import pytest

from deemo_data.baseline.checks import learning
from deemo_data.baseline.checks.statistics import (
    PERMUTATION_ROUNDS,
    TARGET_EFFECT,
)
from tests.makers.check_material import make_material


def test_what_can_be_learned_is() -> None:
    check = learning.check_learnable(make_material(signal=1.0))
    assert check.verdict == "ok"
    assert check.findings[0].value > 0.8
    assert check.findings[0].p == pytest.approx(1 / (1 + PERMUTATION_ROUNDS))
    assert check.sentences[0].startswith("Yes")


def test_shuffled_labels_are_not_learnable() -> None:
    check = learning.check_learnable(make_material(signal=1.0, subjects=40, shuffled=True))
    assert check.verdict == "problem"
    assert "Not learnable" in check.sentences[0]
    assert abs(check.findings[0].effect) < TARGET_EFFECT


@pytest.mark.slow
def test_which_modality_adds_something() -> None:
    check = learning.check_modalities(make_material(each=8, signal=0.5, voice=0.4))
    verdicts = {f.name: f.is_detected() for f in check.findings}
    assert verdicts == {"lost without body": True, "lost without voice": True}, (
        "the transcript is the same everywhere, so it is not there"
    )
    assert check.verdict == "ok"
    assert "The transcript is empty, or the same in all clips." in check.sentences
    only = learning.check_modalities(make_material(subjects=40, each=8, signal=0.8, voice=0.0))
    assert {f.name: f.is_detected() for f in only.findings} == {"lost without body": True, "lost without voice": False}
    assert only.verdict == "problem"
    assert any(w.startswith("The voice adds nothing") for w in only.sentences)


def test_what_is_said_twice_is_no_problem() -> None:
    """The transcript names the emotion, and so does the body: neither is missed when it goes."""
    check = learning.check_modalities(make_material(each=5, signal=4.0, words=True))
    said = " ".join(check.sentences)
    assert "The transcript says something, but nothing that the others do not say" in said
    assert "The body says something" in said


def test_a_learning_curve_rises_or_not() -> None:
    rising = learning.check_learning_curve(make_material(signal=0.5, subjects=40, each=5))
    assert rising.verdict == "ok"
    assert [p["subjects"] for p in rising.details["points"]] == [2, 4, 8, 16, 32]
    assert rising.details["points"][-1]["value"] > rising.details["points"][0]["value"] + 0.1
    assert learning.check_learning_curve(make_material(subjects=40, each=8)).verdict == "problem"
    easy = learning.check_learning_curve(make_material(signal=6.0, each=12))
    assert easy.verdict == "ok"
