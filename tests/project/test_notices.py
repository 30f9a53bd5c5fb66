"""Notices: what was guessed, changed or left out is in out/notices.json, printed once for each kind, and in deemo status."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from deemo_data.cli.output import print_notices
from deemo_data.cli.project import status_command
from deemo_data.clip import write_clips
from deemo_data.notices import Notice, notices_of_facts
from deemo_data.project.clips import read_project_clips
from deemo_data.project.notices import group_notices, iterate_notices, write_notices
from deemo_data.project.project import Project
from deemo_data.workflow.forget import forget_person
from tests.makers.people import NAMES, project

__all__ = ["project"]
FLIP = Notice("flip", "the pictures are shown mirrored")
TRACK = Notice("sound_track", "sound track 2 of 2 is used")


@pytest.fixture
def told(project: Project) -> Project:
    """Both sources have a flip, the first one a second sound track, one clip a stage's notice."""
    first, second = project.read_sources()
    rows = [
        first.with_results({}, {"notices": [FLIP.to_fact(), TRACK.to_fact()]}),
        second.with_results({}, {"notices": [FLIP.to_fact()]}),
    ]
    write_clips(rows, project.root / "sources.jsonl")
    clip, *others = read_project_clips(project)
    clip = replace(clip, files={}, facts={"transcribe_notices": [Notice("invented_speech", "2 segments left out").to_fact()]})
    write_clips([clip, *(replace(c, files={}, facts={}) for c in others)], project.root / "clips.jsonl")
    return project


def test_notices_of_facts_takes_the_facts_that_are_named_so() -> None:
    facts = {"notices": [FLIP.to_fact()], "grid": {}, "find_text_notices": [TRACK.to_fact()]}
    assert notices_of_facts(facts) == [TRACK, FLIP]
    assert notices_of_facts(facts, ["find_text_notices", "transcribe_notices"]) == [TRACK]
    assert notices_of_facts({}) == []


def test_groups_count_sources_and_clips_and_add_up(told: Project) -> None:
    groups = {(g.level, g.first.notice.kind): g.count for g in group_notices(told)}
    assert groups == {("source", "flip"): 2, ("source", "sound_track"): 1, ("clip", "invented_speech"): 1}
    assert sum(groups.values()) == len(list(iterate_notices(told)))


def test_the_report_has_every_notice_with_its_source_or_clip(told: Project) -> None:
    write_notices(told)
    report = json.loads((told.out_dir / "notices.json").read_text())
    assert report["sources_by_kind"] == {"flip": 2, "sound_track": 1}
    assert report["clips_by_kind"] == {"invented_speech": 1}
    assert [(n.get("source") or n.get("clip"), n["kind"]) for n in report["notices"]] == [
        ("aaaaaaaaaaaa", "flip"), ("aaaaaaaaaaaa", "sound_track"), ("bbbbbbbbbbbb", "flip"),
        ("aaaaaaaaaaaa-0-4000", "invented_speech"),
    ]  # fmt: skip
    assert report["notices"][0]["file"] == "aaaaaaaaaaaa.mp4"


def test_a_project_without_lists_has_an_empty_report(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = Project.make(tmp_path_factory.mktemp("empty") / "p")
    write_notices(made)
    assert json.loads((made.out_dir / "notices.json").read_text())["notices"] == []


def test_one_line_is_printed_for_each_kind(told: Project, capsys: pytest.CaptureFixture[str]) -> None:
    print_notices(told, "source")
    lines = capsys.readouterr().err.splitlines()
    assert "notices.json" in lines[0]
    assert lines[1:] == [
        "  flip, 2 sources: for example aaaaaaaaaaaa.mp4: the pictures are shown mirrored",
        "  sound track, 1 source: aaaaaaaaaaaa.mp4: sound track 2 of 2 is used",
    ]


def test_nothing_is_printed_without_notices(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    print_notices(project, "source")
    print_notices(project, "clip")
    assert capsys.readouterr().err == ""


def test_status_shows_them(told: Project) -> None:
    shown = CliRunner().invoke(status_command, [str(told.root)]).output
    assert "invented speech, 1 clip: aaaaaaaaaaaa-0-4000: 2 segments left out" in " ".join(shown.split())


def test_what_is_forgotten_leaves_the_report(told: Project) -> None:
    write_notices(told)
    forget_person(told, NAMES["aaaaaaaaaaaa"])
    write_notices(told)
    assert "aaaaaaaaaaaa" not in (told.out_dir / "notices.json").read_text()
    assert {p.id for p in iterate_notices(told)} == {"bbbbbbbbbbbb"}
