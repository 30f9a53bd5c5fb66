"""Which pushed clips are barred from annotators; reports of identifying content are in test_pull.py."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from deemo_data.annotation.withholding import find_barred_clips, withhold_identifying
from deemo_data.clip import Clip, Grid, SafeClip, write_clips
from deemo_data.labels.label import Label, PushRecord
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.project import corrections
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
from tests.makers.labels import clip_at

GRID = Grid(Fraction(25), False, Fraction(0), 300, 64, 36)
CONSENT = {"statement": "yes", "asserted": False}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path / "p")


def add_source(project: Project, statement: str = "yes") -> Clip:
    source = Clip("abc123", "abc123", 0, 12000, {}, {"grid": GRID.to_fact(), "consent": CONSENT | {"statement": statement}})
    write_clips([source], project.root / "sources.jsonl")
    return source


def line_of(project: Project, source: str = "abc123") -> PushRecord:
    clip = replace(clip_at(0, 90, grid=GRID), id="c-1", source=derive_public_id(project.secret, "v", source))
    return PushRecord.of(SafeClip(clip), load_nfbl("nfbl"), "nfbl_timeline", None)


def test_a_clip_with_consent_is_not_barred(project: Project) -> None:
    add_source(project)
    assert find_barred_clips(project, [line_of(project)]) == set()


@pytest.mark.parametrize("statement", ["", "no", "withdrawn"])
def test_a_clip_without_consent_is_barred(project: Project, statement: str) -> None:
    add_source(project, statement)
    assert find_barred_clips(project, [line_of(project)]) == {"c-1"}


def test_a_clip_whose_footage_is_gone_is_barred(project: Project) -> None:
    assert find_barred_clips(project, [line_of(project)]) == set(), "without lists nothing is known of any footage"
    add_source(project)
    assert find_barred_clips(project, [line_of(project, "another")]) == {"c-1"}


def test_a_withheld_span_bars_the_clips_that_it_touches(project: Project) -> None:
    source = add_source(project)
    corrections.withhold_clip(project.root, Clip.of_span(source, 1000, 2000))
    assert find_barred_clips(project, [line_of(project)]) == {"c-1"}


def test_other_answers_withhold_nothing(project: Project) -> None:
    add_source(project)
    about = derive_public_id(project.secret, "v", "abc123")
    answers = [("identifying", ["nothing"]), ("intensity", ["clear"])]
    labels = [Label("c-1", about, 0, 3600, "choice", {"name": n, "choices": c}, "a-1") for n, c in answers]
    assert withhold_identifying(project, labels) == []
    assert corrections.read_withheld_spans(project.root) == []
