"""One person is forgotten beside a real Label Studio: nothing of theirs is left there, on its disk, or in the project."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from label_studio_fixture import LabelStudio, free_port, migrated
from test_annotation_loop import marked
from test_cli import process
from test_label_export import chosen, written

from deemo_data import annotate, label_server, labels
from deemo_data.attacks.metadata import planted
from deemo_data.clip import Clip
from deemo_data.config import Project
from deemo_data.ingest import read_subjects
from deemo_data.release import public_id

pytestmark = pytest.mark.slow
PAGES = ("nfbl_timeline", "clip_review", "mer_clues", "adjudicate")
FOOTAGE = {  # file: who
    "grid_bbaf2n.mpg": "Zebulon Quixote",
    "asl_eat.mkv": "Zebulon Quixote",
    "grid_lrwp9a.mpg": "Perpetua Birdwhistle",
    "asl_no.mkv": "Ottoline Featherstonehaugh",
}
WROTE = {"Zebulon Quixote": "zymurgical quandary", "Perpetua Birdwhistle": "pomological rhapsody"}


@dataclass(frozen=True)
class Person:
    """All by which somebody could be found."""

    name: str
    clips: list[str]  # public
    traces: list[str]


@pytest.fixture(scope="module")
def line(
    media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory, label_studio: LabelStudio
) -> Iterator[LabelStudio]:
    """A project of real clips of three people, with a Label Studio of its own."""
    root = tmp_path_factory.mktemp("forget")
    (root / "footage").mkdir()
    with open(root / "footage" / "sources.csv", "w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["uri", "subject", "consent"])
        for name, who in FOOTAGE.items():
            (root / "footage" / name).symlink_to(media / "video" / name)
            table.writerow([name, who, "for tests"])
    said = process("build", root / "project", root / "footage" / "sources.csv")
    assert said.status == 0, said.err
    project = Project.open(root / "project")
    shutil.copytree(migrated(label_server.program(), root / "first"), project.private, dirs_exist_ok=True)
    with label_server.running(project, free_port()):
        at = annotate.address(project)
        yield LabelStudio(at["url"], at["token"], project)


def person(project: Project, name: str) -> Person:
    sources = [p for p in read_subjects(project.private / "subjects.csv") if p.name == name]
    clips = [c for c in project.clips() if c.source in {p.source for p in sources}]
    outside = [public_id(project.secret, "c", c.id) for c in clips]
    heard = [words for c in clips if len(words := str(c.facts.get("transcript") or "")) > 9]
    traces = {name, name.split()[-1], *WROTE.get(name, "").split(), *heard, *outside, *(p.subject for p in sources)}
    traces |= {p.source for p in sources} | {public_id(project.secret, "v", p.source) for p in sources}
    return Person(name, sorted(outside), sorted(traces - {""}))


def found_in(folder: Path, traces: list[str]) -> dict[str, set[str]]:
    """{trace: files below a folder in which it stands}"""
    found: dict[str, set[str]] = {}
    for hit in planted(folder, traces):
        found.setdefault(traces[hit.secret], set()).add(hit.file)
    return found


def rows_of_database(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(project.private / label_server.FOLDER / "label_studio.sqlite3")) as db:
        names = [r[0] for r in db.execute("select name from sqlite_master where type = 'table'")]
        return {n: db.execute(f'select * from "{n}"').fetchall() for n in names}


def label_everything(line: LabelStudio) -> None:
    """Every template pushed, annotated by two, one skipped, one draft, pulled; then agreement, moments, adjudication, export."""
    project = line.project
    tokens = [line.annotator(name)[2] for name in ("ann", "ben")]
    cleo = line.annotator("cleo", "adjudicate")[2]
    wrote = {clip: WROTE[who] for who in WROTE for clip in person(project, who).clips}
    for page in PAGES[:3]:
        assert process("push", project.root, "--template", page).status == 0
        tasks = line.tasks(annotate.desks(project)[page])
        assert tasks
        for clip, task in tasks.items():
            for number, token in enumerate(tokens):
                if page == "nfbl_timeline":
                    line.hand_in(token, task, marked(3, 20), marked(25, 35 + number, ("Moving torso", "Folding arms")[number], "r2"))
                elif page == "clip_review":
                    line.hand_in(token, task, chosen("strong_emotion", "yes"), chosen("identifying", "nothing"))
                else:
                    line.hand_in(token, task, written("clue_video", f"They show {wrote.get(clip, 'little')}."), chosen("sentiment", "positive"))
            with line.client(cleo) as client:
                draft = client.post(f"/api/tasks/{task}/drafts", json={"result": [marked(5, 9)], "lead_time": 1})
                assert draft.status_code == 201, draft.text
                skipped = client.post(f"/api/tasks/{task}/annotations?was_cancelled=1", json={"result": [], "was_cancelled": True})
                assert skipped.status_code == 201, skipped.text
                client.get(f"/data/local-files/?d=clips/{clip}.mp4", headers={"Range": "bytes=0-9"})
        said = process("pull", project.root)
        assert said.status == 0, said.err + said.out
    assert process("agree", project.root, "--rounds", "20").status == 0
    assert process("moments", project.root).status == 0
    assert process("push", project.root, "--adjudicate").status == 0
    for task in line.tasks(annotate.desks(project)["adjudicate"]).values():
        line.hand_in(cleo, task, marked(3, 20))
    assert process("pull", project.root).status == 0
    said = process("export", project.root)
    assert said.status == 0, said.err


def test_one_is_forgotten_everywhere(line: LabelStudio) -> None:
    project = line.project
    label_everything(line)
    gone, stays = person(project, "Zebulon Quixote"), person(project, "Perpetua Birdwhistle")
    assert len(gone.clips) == 2
    before = found_in(project.root, gone.traces)
    for trace in gone.traces:
        assert before.get(trace), f"{trace} is nowhere before: the search would prove nothing"
    print({t: sorted(f)[:12] for t, f in before.items()})
    there = {page: line.tasks(number) for page, number in annotate.desks(project).items()}
    assert all(set(gone.clips) & set(tasks) for tasks in there.values()), there
    kept_labels = [lb for lb in labels.in_force(project.labels) if lb.clip not in gone.clips]
    version = json.loads((project.dataset / "deemo.json").read_text())["version"]
    said = process("forget", project.root, "zebulon quixote", "--yes")
    print(said)
    after = found_in(project.root, gone.traces)
    assert after == {}
    assert said.status == 0, said.err
    assert said.out.count("yours to delete") == 2
    for page, number in annotate.desks(project).items():
        assert line.tasks(number) == {c: t for c, t in there[page].items() if c not in gone.clips}
    assert labels.in_force(project.labels) == kept_labels
    assert found_in(project.root, stays.traces).keys() == set(stays.traces)
