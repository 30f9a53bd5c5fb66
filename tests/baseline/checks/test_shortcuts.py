"""Checks for short cuts: planted ones are found, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.baseline.checks import shortcuts
from deemo_data.baseline.checks.statistics import (
    MIN_EFFECT,
    PERMUTATION_ROUNDS,
    Measurement,
    finding_to_json,
    judge_measurements,
    judge_unwanted_effect,
    judge_wanted_effect,
)
from tests.makers.check_material import EMOTIONS, make_material
from tests.makers.films import write_film


def test_a_figure_that_cannot_move_sees_nothing() -> None:
    """Eleven clips are too few for any tree to split: that is no all-clear."""
    found = judge_measurements([Measurement("x", 0.5, np.full(PERMUTATION_ROUNDS, 0.5), 11)])
    assert found[0].smallest == np.inf
    assert judge_unwanted_effect(found) == judge_wanted_effect(found) == "inconclusive"
    assert finding_to_json(found[0])["smallest"] is None
    check = shortcuts.check_shortcuts(make_material(subjects=10, each=1))
    assert check.verdict == "inconclusive"
    assert "No effect would have been seen for sure, not even a full one." in check.sentences


def test_a_fact_that_three_clips_have_hides_nothing() -> None:
    whole = make_material(subjects=30, each=8)
    odd = tuple(replace(e, fps=30.0) if k < 3 else e for k, e in enumerate(whole.examples))
    check = shortcuts.check_shortcuts(replace(whole, examples=odd))
    assert check.verdict == "ok"
    assert "frame rate" in check.details["same"]


@pytest.mark.parametrize("lengths", [pytest.param("straight", marks=pytest.mark.slow), "u"])
def test_a_short_cut_by_length_is_found(lengths: str) -> None:
    check = shortcuts.check_shortcuts(make_material(each=6, lengths=lengths))
    assert check.verdict == "problem"
    assert {f.name for f in check.findings if f.is_detected()} >= {"clip length", "all of these"}
    assert check.sentences[0].startswith("The emotion can be told without looking")
    assert set(check.details["drawn"]["clip length"]) == set(EMOTIONS)
    assert sum(map(len, check.details["drawn"]["clip length"].values())) == 144


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("fps", "width", "annotation")]


@pytest.mark.parametrize("fact", ["consent", "video_bytes", *SLOW])
def test_a_short_cut_by_any_fact_is_found(fact: str) -> None:
    whole = make_material(subjects=10, each=8, seed=3)

    def told(e: Any) -> Any:
        is_sad = e.emotion == "sad"
        if fact in ("consent", "annotation"):
            return replace(e, source_facts={**e.source_facts, fact: f"as filed {is_sad}"})
        return replace(e, **{fact: {"fps": 25.0, "width": 640, "video_bytes": 200_000}[fact] * (2 if is_sad else 1)})

    check = shortcuts.check_shortcuts(replace(whole, examples=tuple(told(e) for e in whole.examples)))
    kind = {"fps": "frame rate", "width": "picture size", "consent": "consent and licence", "video_bytes": "file size",
            "annotation": "how it was annotated"}[fact]  # fmt: skip
    assert check.verdict == "problem"
    assert kind in {f.name for f in check.findings if f.is_detected()}
    assert kind not in check.details["same"]


def test_no_short_cut_is_found_where_there_is_none() -> None:
    check = shortcuts.check_shortcuts(make_material(subjects=30, each=8))
    assert check.verdict == "ok"
    assert set(check.details["same"]) == {"frame rate", "picture size", "consent and licence", "how it was annotated"}
    assert all(f.is_sensitive() for f in check.findings)


@pytest.mark.slow
def test_a_length_that_is_the_persons_is_no_short_cut() -> None:
    """Each person has clips of one length and one usual emotion: that is their emotion, not the length."""
    seen = 0
    for seed in range(12):
        whole = make_material(clustered=True, seed=seed)
        own = {s: 4000 + 60 * k for k, s in enumerate(np.random.default_rng(seed).permutation(sorted(set(whole.subjects))))}
        there = tuple(replace(e, duration_ms=own[e.subject_id], video_bytes=own[e.subject_id]) for e in whole.examples)
        seen += shortcuts.check_shortcuts(replace(whole, examples=there)).verdict == "problem"
    assert seen <= 1


def test_who_it_is_tells_the_emotion_or_not() -> None:
    assert shortcuts.check_subject_and_label(make_material(clustered=True)).verdict == "problem"
    free = shortcuts.check_subject_and_label(make_material(subjects=60))
    assert free.verdict == "ok"
    assert free.findings[0].effect < MIN_EFFECT


def test_duplicates_across_splits(tmp_path: Path) -> None:
    whole = make_material(subjects=6, each=2)
    rows = []
    for k, e in enumerate(whole.examples):
        path = tmp_path / f"{e.clip_id}.mp4"
        write_film(path, k)
        rows.append(replace(e, video=path))
    apart = shortcuts.check_duplicates(replace(whole, examples=tuple(rows)))
    assert apart.verdict == "ok"
    assert apart.details["count"] == 0
    twin = [*rows[:-1], replace(rows[-1], video=rows[0].video)]
    same = shortcuts.check_duplicates(replace(whole, examples=tuple(twin)))
    assert same.verdict == "problem"
    assert {rows[0].clip_id, rows[-1].clip_id} in [set(p["clips"]) for p in same.details["pairs"]]
    long = " ".join(["word"] * shortcuts.MIN_TRANSCRIPT_WORDS)
    told = [replace(e, transcript=long) if k in (0, len(rows) - 1) else e for k, e in enumerate(rows)]
    assert shortcuts.check_duplicates(replace(whole, examples=tuple(told))).verdict == "problem"
    grey = replace(
        whole,
        examples=tuple(twin),
        features=replace(whole.features, identity_inputs={"frames": np.arange(12 * 98.0).reshape(12, 98) / 99}),
    )
    assert shortcuts.check_duplicates(grey).details["pairs"][0]["why"] == "have the same video", (
        "of other colours, so no look-alikes"
    )
    within = [rows[0], replace(rows[1], video=rows[0].video), *rows[2:]]
    assert shortcuts.check_duplicates(replace(whole, examples=tuple(within))).verdict == "ok", "both are of one subject"
