"""Pulling: only what is new is read, a stopped pull goes on, what is gone stays said, and an alarm closes the door."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from deemo_data.annotation import pull as annotation_pull
from deemo_data.annotation.export_file import pull_from_file
from deemo_data.annotation.label_studio import workspace
from deemo_data.annotation.label_studio.projects import TaskSummary
from deemo_data.annotation.pages.tasks import data_of
from deemo_data.annotation.pull_result import PullResult
from deemo_data.clip import Clip, Grid, SafeClip, write_clips
from deemo_data.errors import LabelError
from deemo_data.labels.label import Label, PushRecord, region_key
from deemo_data.labels.store import read_labels, record_pushed
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.project import corrections
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
from deemo_data.sources.subjects import Person, write_subjects
from deemo_data.workflow import export
from tests.makers.labels import clip_at
from tests.makers.results import annotation, choice, region

NFBL = load_nfbl("nfbl")
GRID = Grid(Fraction(25), False, Fraction(0), 300, 64, 36)
SOURCE = Clip("abc123", "abc123", 0, 12000, {}, {"grid": GRID.to_fact(), "consent": {"statement": "yes", "asserted": False}})
PEOPLE = {1: "ann@example.com", 2: "ben@example.com"}


class FakeServer:
    """Their project, as `projects.fetch_tasks` gives it: pages of two. `fails_at`: the page that never comes."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project, self.tasks, self.fails_at = project, [], -1
        monkeypatch.setattr("deemo_data.annotation.pull.connect_server", lambda project: None)
        monkeypatch.setattr("deemo_data.annotation.label_studio.projects.read_accounts", lambda server: PEOPLE)
        monkeypatch.setattr("deemo_data.annotation.label_studio.projects.fetch_tasks", self.pages)
        monkeypatch.setattr("deemo_data.annotation.label_studio.projects.is_our_project", lambda server, number, mark: self.ours)
        monkeypatch.setattr("deemo_data.annotation.label_studio.projects.delete_clips", self.delete)
        (project.private_dir / "label_studio.json").write_text(json.dumps({"projects": {"nfbl_timeline": 5}}))

    tasks: list[dict[str, Any]]
    ours = True

    def delete(self, server: object, number: int, clips: set[str]) -> int:
        before = len(self.tasks)
        self.tasks = [t for t in self.tasks if t["data"]["clip"] not in clips]
        return before - len(self.tasks)

    def add(self, clip: Clip, *annotations: dict[str, Any], template: str = "nfbl_timeline") -> None:
        record_pushed(self.project.labels_dir, [PushRecord.of(SafeClip(clip), NFBL, template, None)])
        number = len(self.tasks) + 1
        self.tasks.append(
            {"id": number, "project": 5, "created_at": f"t{number}", "data": data_of(SafeClip(clip), template),
             "annotations": list(annotations)}
        )  # fmt: skip

    def pages(
        self, server: object, number: int, size: int, wanted: Callable[[TaskSummary], bool]
    ) -> Iterator[list[dict[str, Any]]]:
        for page in range(0, len(self.tasks), 2):
            if page // 2 == self.fails_at:
                raise LabelError("the server went away")
            now = json.loads(json.dumps(self.tasks[page : page + 2]))
            for t in now:
                t["updated_at"] = region_key(t["annotations"])
            some = [t for t in now if wanted(TaskSummary(t["id"], t["data"]["clip"], t["created_at"], t["updated_at"], 1))]
            if some:
                yield some

    def pull(self) -> PullResult:
        return annotation_pull.pull(self.project)

    @property
    def spans(self) -> list[tuple[int, int]]:
        return sorted((lb.start_ms, lb.end_ms) for lb in read_labels(self.project.labels_dir) if lb.kind == "nfbl")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    return FakeServer(Project.make(tmp_path / "p"), monkeypatch)


def clip(number: int) -> Clip:
    return clip_at(100 * number, 100 * number + 90, grid=GRID)


def test_only_what_is_new_is_read(server: FakeServer) -> None:
    for n in range(3):
        server.add(clip(n), annotation(region(3, 8)))
    first, again = server.pull(), server.pull()
    assert (first.annotations, first.change.added, first.problems) == (3, 6, ())
    assert (again.tasks, again.annotations, again.change.added, again.change.same) == (3, 0, 0, 0)
    server.tasks[1]["annotations"].append(annotation(region(10, 20, id_="r2"), id_=2, who=2))
    third = server.pull()
    assert (third.annotations, third.change.added, third.change.same) == (2, 2, 2), "the whole of their task that changed"


def test_edits_and_deletions_are_new_lines(server: FakeServer) -> None:
    server.add(clip(0), annotation(region(3, 8), region(20, 30, id_="r2")))
    server.pull()
    before = (server.project.labels_dir / "project-5.jsonl").read_bytes()
    server.tasks[0]["annotations"][0]["result"] = [region(3, 9)]
    change = server.pull().change
    assert (change.added, change.changed, change.deleted) == (0, 1, 1)
    assert (server.project.labels_dir / "project-5.jsonl").read_bytes().startswith(before)
    assert server.spans == [(80, 360)]
    raw = (server.project.labels_dir / "raw" / "project-5.jsonl").read_text().splitlines()
    assert len(raw) == 2, "what was there before is kept too"


def test_a_stopped_pull_loses_nothing_and_goes_on(server: FakeServer) -> None:
    for n in range(3):
        server.add(clip(n), annotation(region(3, 8)))
    server.fails_at = 1
    with pytest.raises(LabelError, match="went away"):
        server.pull()
    assert len(server.spans) == 2
    server.fails_at = -1
    assert server.pull().annotations == 1
    assert len(server.spans) == 3


def test_what_is_deleted_there_stays_said_and_is_told_once(server: FakeServer) -> None:
    for n in range(3):
        server.add(clip(n), annotation(region(3, 8)))
    server.pull()
    gone = server.tasks.pop(1)["data"]["clip"]
    assert server.pull().problems == (f"clip {gone}: was deleted in Label Studio; its labels are kept",)
    assert server.pull().problems == ()
    assert len(server.spans) == 3


def test_what_is_not_ours_is_told_and_left(server: FakeServer) -> None:
    server.add(clip(0), annotation(region(3, 8)))
    server.add(clip(1), annotation(region(3, 8)))
    server.tasks[0]["data"]["num_frames"] = 91
    assert server.pull().problems == ("task 1 (c-0.mp4): no clip was pushed under its id, fps and number of frames, left out",)
    assert len(server.spans) == 1


def test_with_another_vocabulary_everything_is_read_anew(server: FakeServer) -> None:
    server.add(clip(0), annotation(region(3, 8, "Brow raise")))
    assert "'Brow raise' is not in vocabulary imigue-32 1" in server.pull().problems[0]
    assert server.pull().problems == (), "told once"
    server.project.config.project.__dict__["nfbl"] = "mine.toml"
    (server.project.root / "mine.toml").write_text(
        'kind="nfbl"\nname="mine"\nversion="1"\nprovenance="x"\n[groups]\ng={name="G"}\n'
        '[[class]]\nid=0\nname="Brow raise"\nbody_part="head"\ngroup="g"\ndefinition="."\n'
    )
    assert server.pull().problems == ("task 1 (c-0.mp4): pushed with vocabulary imigue-32 1, read with mine 1",)
    assert server.spans == [(80, 320)]


def test_somebody_of_the_other_group_is_told(server: FakeServer) -> None:
    (server.project.private_dir / workspace.ANNOTATORS_FILE).write_text("email,group\nben@example.com,adjudicate\n")
    server.add(clip(0), annotation(region(3, 8), who=1), annotation(region(3, 8), id_=2, who=2))
    (line,) = server.pull().problems
    assert line.endswith("who is of the group adjudicate; taken all the same")
    assert "ben" not in line
    assert len(server.spans) == 2


def test_what_identifies_is_withheld_at_once_and_once(server: FakeServer) -> None:
    project = server.project
    write_clips([SOURCE], project.root / "sources.jsonl")
    private = Clip.of_span(SOURCE, 4000, 7600)
    write_clips([replace(private, files={}, facts={})], project.root / "clips.jsonl")
    outside = replace(
        private, id=derive_public_id(project.secret, "c", private.id), source=derive_public_id(project.secret, "v", SOURCE.id)
    )
    shown = outside.with_results(clip(0).files, {})
    project.released_dir.mkdir(parents=True)
    (project.released_dir / f"{outside.id}.mp4").write_bytes(b"...")
    server.add(shown, annotation(choice("identifying", "nothing")), template="clip_review")
    assert server.pull().problems == ()
    assert (project.released_dir / f"{outside.id}.mp4").exists()
    server.tasks[0]["annotations"].append(annotation(choice("identifying", "voice"), id_=2, who=2))
    line, taken = server.pull().problems
    assert line == f"clip {outside.id}: an annotator sees something identifying (voice); withheld. Type: deemo review DIR"
    assert taken == "1 clips may no longer be shown: taken out of Label Studio (nfbl_timeline); their labels are kept"
    assert server.tasks == []
    assert corrections.is_withheld(project.root, private)
    assert not (project.released_dir / f"{outside.id}.mp4").exists()
    (held,) = corrections.read_withheld_spans(project.root)
    corrections.allow_span(project.root, held.id)
    server.add(shown, annotation(choice("identifying", "voice"), id_=2, who=2), template="clip_review")
    assert server.pull().problems == ()
    assert not corrections.is_withheld(project.root, private), "its owner looked at it: the same words do not close it again"


def test_an_alarm_counts_when_the_clip_is_cut_anew_and_when_it_was_skipped(server: FakeServer) -> None:
    project = server.project
    write_clips([SOURCE], project.root / "sources.jsonl")
    private = Clip.of_span(SOURCE, 4000, 7600)
    shown = replace(private, id="c-old", source=derive_public_id(project.secret, "v", SOURCE.id)).with_results(clip(0).files, {})
    project.released_dir.mkdir(parents=True)
    (project.released_dir / "c-old.mp4").write_bytes(b"...")
    server.add(shown, annotation(choice("identifying", "face"), was_cancelled=True), template="clip_review")
    skipped, alarm, _ = server.pull().problems
    assert "was skipped" in skipped
    assert "sees something identifying (face); withheld" in alarm
    assert corrections.is_withheld(project.root, private)
    assert not (project.released_dir / "c-old.mp4").exists()
    assert not [lb for lb in read_labels(project.labels_dir) if lb.kind == "seen"], "a skipped clip was not looked at"


def test_a_project_that_is_not_ours_stops_nothing(server: FakeServer) -> None:
    server.add(clip(0), annotation(region(3, 8)))
    server.pull()
    server.ours = False
    assert server.pull().problems == ("project 5 for nfbl_timeline is not there any more, or not ours; its labels are kept",)
    assert len(server.spans) == 1


def test_nothing_was_pushed_yet(server: FakeServer) -> None:
    (server.project.private_dir / "label_studio.json").unlink()
    with pytest.raises(LabelError, match="nothing of this project was pushed"):
        server.pull()


def test_an_older_export_does_not_undo_what_was_pulled(server: FakeServer, tmp_path: Path) -> None:
    server.add(clip(0), annotation(region(3, 8)))
    server.tasks[0]["updated_at"] = "2026-01-01T00:00:00Z"
    (tmp_path / "old.json").write_text(json.dumps(server.tasks))
    server.tasks[0]["annotations"] = [annotation(region(3, 9)), annotation(region(10, 20, id_="r2"), id_=2, who=2)]
    server.pull()
    (log,) = (server.project.labels_dir / "raw").glob("*.jsonl")
    log.write_text(log.read_text().replace(region_key(server.tasks[0]["annotations"]), "2026-01-02T00:00:00Z"))
    write_clips([SOURCE], server.project.root / "sources.jsonl")
    pulled = pull_from_file(server.project, tmp_path / "old.json")
    assert pulled.problems == ("task 1 (c-0.mp4): is older here than what was pulled, left out",)
    assert server.spans == [(80, 360), (360, 800)]


def test_an_alarm_in_a_file_counts_too(server: FakeServer, tmp_path: Path) -> None:
    write_clips([SOURCE], server.project.root / "sources.jsonl")
    private = Clip.of_span(SOURCE, 4000, 7600)
    shown = replace(private, id="c-x", source=derive_public_id(server.project.secret, "v", SOURCE.id)).with_results(
        clip(0).files, {}
    )
    server.add(shown, annotation(choice("identifying", "face")), template="clip_review")
    (tmp_path / "e.json").write_text(json.dumps(server.tasks))
    assert "withheld" in pull_from_file(server.project, tmp_path / "e.json").problems[-1]
    assert corrections.is_withheld(server.project.root, private)


def test_a_known_name_in_what_annotators_write_does_not_leave(server: FakeServer, weights: Path) -> None:
    project, source = server.project, derive_public_id(server.project.secret, "v", SOURCE.id)
    write_subjects(project.private_dir / "subjects.csv", [Person(SOURCE.id, "s-1", "Zebulon Quixote", ("Marguerite",))])
    said = [
        Label("c-1", source, 0, 100, "reasoning", "I think that Marguerite seems glad.", "a-1"),
        Label("c-1", source, 0, 100, "reasoning", "The person seems glad.", "a-2"),
    ]
    kept, lines = export.drop_labels_with_names(project, said)
    assert [lb.annotator for lb in kept] == ["a-2"]
    assert "reasoning has a name that is known of its source" in lines[0]
    assert "Marguerite" not in lines[0]
