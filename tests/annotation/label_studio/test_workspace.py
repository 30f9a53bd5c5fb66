"""Where annotators work and who they are, as the project knows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deemo_data.annotation.label_studio import workspace
from deemo_data.annotation.label_studio.workspace import Annotator
from deemo_data.errors import ConfigError, LabelError
from deemo_data.project.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    return Project.make(tmp_path / "p")


def test_without_a_server_it_says_what_to_type(project: Project) -> None:
    with pytest.raises(LabelError) as e:
        workspace.connect_server(project)
    assert "make label-studio PROJECT=" in e.value.advice
    assert "LABEL_STUDIO_URL" in e.value.advice


def test_the_environment_goes_before_the_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr("deemo_data.annotation.label_studio.connection.connect", lambda url, token: asked.append((url, token)))
    (project.private_dir / workspace.ADDRESS_FILE).write_text(
        json.dumps({"url": "http://here", "token": "mine", "projects": {"x": 3}})
    )
    workspace.connect_server(project)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://there")
    with pytest.raises(LabelError, match="no token"):
        workspace.connect_server(project)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "theirs")
    workspace.connect_server(project)
    assert asked == [("http://here", "mine"), ("http://there", "theirs")], "no server is told the token of another"
    assert workspace.read_project_numbers(project) == {"x": 3}


def test_a_damaged_address_is_named(project: Project) -> None:
    (project.private_dir / workspace.ADDRESS_FILE).write_text("{")
    with pytest.raises(ConfigError, match=r"private/label_studio\.json is damaged"):
        workspace.read_project_numbers(project)


def test_annotators(project: Project) -> None:
    assert workspace.read_annotators(project) == []
    (project.private_dir / workspace.ANNOTATORS_FILE).write_text("email,group\nann@example.com,\nben@example.com,adjudicate\n")
    ann, ben = workspace.read_annotators(project)
    assert (ann, ben) == (Annotator("ann@example.com", "label"), Annotator("ben@example.com", "adjudicate"))


@pytest.mark.parametrize("row", ["ann,label", "ann@example.com,second", ",label"])
def test_a_wrong_row_is_named_by_its_line(project: Project, row: str) -> None:
    (project.private_dir / workspace.ANNOTATORS_FILE).write_text(f"email,group\nben@example.com,label\n{row}\n")
    with pytest.raises(ConfigError, match=r"annotators\.csv line 3"):
        workspace.read_annotators(project)
