"""Where annotators work and who they are, as the project knows it; and how far their work is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deemo_data.annotation import agree
from deemo_data.annotation.agree import Progress
from deemo_data.annotation.label_studio import workspace
from deemo_data.annotation.label_studio.workspace import Annotator
from deemo_data.clip import SafeClip
from deemo_data.errors import ConfigError, LabelError
from deemo_data.labels import store
from deemo_data.labels.label import Pushed
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.project.project import Project
from tests.makers.labels import clip_at, said


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    return Project.make(tmp_path / "p")


def test_without_a_server_it_says_what_to_type(project: Project) -> None:
    with pytest.raises(LabelError) as e:
        workspace.server_of(project)
    assert "make label-studio PROJECT=" in e.value.advice
    assert "LABEL_STUDIO_URL" in e.value.advice


def test_the_environment_goes_before_the_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr("deemo_data.annotation.label_studio.connection.connect", lambda url, token: asked.append((url, token)))
    (project.private / workspace.ADDRESS).write_text(json.dumps({"url": "http://here", "token": "mine", "projects": {"x": 3}}))
    workspace.server_of(project)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://there")
    with pytest.raises(LabelError, match="no token"):
        workspace.server_of(project)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "theirs")
    workspace.server_of(project)
    assert asked == [("http://here", "mine"), ("http://there", "theirs")], "no server is told the token of another"
    assert workspace.project_numbers(project) == {"x": 3}


def test_a_damaged_address_is_named(project: Project) -> None:
    (project.private / workspace.ADDRESS).write_text("{")
    with pytest.raises(ConfigError, match=r"private/label_studio\.json is damaged"):
        workspace.project_numbers(project)


def test_annotators(project: Project) -> None:
    assert workspace.annotators(project) == []
    (project.private / workspace.ANNOTATORS).write_text("email,group\nann@example.com,\nben@example.com,adjudicate\n")
    ann, ben = workspace.annotators(project)
    assert (ann, ben) == (Annotator("ann@example.com", "label"), Annotator("ben@example.com", "adjudicate"))


@pytest.mark.parametrize("row", ["ann,label", "ann@example.com,second", ",label"])
def test_a_wrong_row_is_named_by_its_line(project: Project, row: str) -> None:
    (project.private / workspace.ANNOTATORS).write_text(f"email,group\nben@example.com,label\n{row}\n")
    with pytest.raises(ConfigError, match=r"annotators\.csv line 3"):
        workspace.annotators(project)


def test_how_far_it_is(project: Project) -> None:
    assert agree.progress(project) == Progress(0, 0, 0, 0, 0)
    nfbl = load_nfbl("nfbl")
    clips = [SafeClip(replace(clip_at(0, 100), id=f"c-{n}")) for n in range(5)]
    lines = [Pushed.of(c, nfbl, "nfbl_timeline", None) for c in clips]
    store.record_pushed(project.labels, [*lines, Pushed.of(clips[3], nfbl, "adjudicate", None)])
    looks = [
        (1, "a-1", "nfbl"),
        (2, "a-1", "nfbl"),
        (2, "a-2", "nfbl"),
        (3, "a-1", "nfbl"),
        (3, "a-9", "adjudicated"),
        (4, "a-1", "clip"),
    ]
    store.update(project.labels, "p", {f"k{n}": said("seen", value, clips[c], who) for n, (c, who, value) in enumerate(looks)})
    assert agree.progress(project) == Progress(pushed=5, single=1, reviewed=1, adjudicated=1, people=3)
