"""One person is forgotten beside a real Label Studio: nothing of theirs is left there, on its disk, or in the project."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deemo_data.annotation import push as annotation_push
from deemo_data.annotation.label_studio import local_server, workspace
from deemo_data.annotation.label_studio import projects as label_studio_there
from deemo_data.clip import Clip, SafeClip, write_clips
from deemo_data.files import File
from deemo_data.labels import store
from deemo_data.project import corrections, release, withdrawals
from deemo_data.project.clips import read_clips_if_any, read_project_clips
from deemo_data.project.project import Project
from deemo_data.project.search import find_secrets
from deemo_data.pseudonyms import derive_public_id
from deemo_data.sources.subjects import read_subjects
from deemo_data.workflow import forget
from tests.makers.annotation_loop import marked
from tests.makers.commands import only_line, process
from tests.makers.label_studio import LabelStudio, free_port, migrated
from tests.makers.people import NAMES, everything, traces, two_people
from tests.makers.results import choice, text_answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the footage of four goes through all stages first
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
    shutil.copytree(migrated(local_server.find_program(), root / "first"), project.private_dir, dirs_exist_ok=True)
    with local_server.start_server(project, free_port()):
        at = workspace.read_address(project)
        yield LabelStudio(at["url"], at["token"], project)


def person(project: Project, name: str) -> Person:
    sources = [p for p in read_subjects(project.private_dir / "subjects.csv") if p.name == name]
    clips = [c for c in read_project_clips(project) if c.source in {p.source for p in sources}]
    outside = [derive_public_id(project.secret, "c", c.id) for c in clips]
    heard = [words for c in clips if len(words := str(c.facts.get("transcript") or "")) > 9]
    traces = {name, name.split()[-1], *WROTE.get(name, "").split(), *heard, *outside, *(p.subject for p in sources)}
    traces |= {p.source for p in sources} | {derive_public_id(project.secret, "v", p.source) for p in sources}
    return Person(name, sorted(outside), sorted(traces - {""}))


def found_in(folder: Path, traces: list[str]) -> dict[str, set[str]]:
    """{trace: files below a folder in which it stands}"""
    found: dict[str, set[str]] = {}
    for hit in find_secrets(folder, traces):
        found.setdefault(traces[hit.secret], set()).add(hit.file)
    return found


def about_tasks(project: Project, tasks: set[int]) -> dict[str, int]:
    """{table of the server's database: how many of its rows are about one of these tasks}"""
    found = {}
    with closing(sqlite3.connect(project.private_dir / workspace.SERVER_FOLDER / "label_studio.sqlite3")) as db:
        for (table,) in db.execute("select name from sqlite_master where type = 'table'").fetchall():
            columns = [c[1] for c in db.execute(f'pragma table_info("{table}")') if c[1] in ("task_id", "entity_id")]
            name = "tasks" if table == "task" else table
            columns += ["id"] if table == "task" else []
            for column in columns:
                if about := sum(row[0] in tasks for row in db.execute(f'select "{column}" from "{table}"')):
                    found[name] = about
    return found


def made_of(project: Project, who: Person) -> set[str]:
    """The digests of all that was made of somebody's footage, as far as it is not made of another's too."""
    entries = {p: json.loads(p.read_text()) for p in project.store_dir.glob("*/*/entry.json")}
    mine = {f["sha256"] for e in entries.values() if e["source"] in who.traces for f in e["files"].values()}
    return mine - {f["sha256"] for e in entries.values() if e["source"] not in who.traces for f in e["files"].values()}


def digests(folder: Path) -> set[str]:
    return {File.of(p).sha256 for p in folder.rglob("*") if p.is_file()}


def about(text: str) -> list[dict[str, Any]]:
    """What is handed in on mer_clues."""
    return [text_answer("clue_video", text), choice("sentiment", "positive"), choice("emotion", "happy")]


def label_everything(line: LabelStudio) -> None:
    """Every template pushed, annotated by two, one skipped, one draft, pulled; then agreement, moments, adjudication, export."""
    project = line.project
    tokens = [line.annotator(name)[2] for name in ("ann", "ben")]
    cleo = line.annotator("cleo", "adjudicate")[2]
    wrote = {clip: WROTE[who] for who in WROTE for clip in person(project, who).clips}
    for page in PAGES[:3]:
        assert process("push", project.root, "--template", page).status == 0
        tasks = line.tasks(workspace.read_project_numbers(project)[page])
        assert tasks
        for clip, task in tasks.items():
            for number, token in enumerate(tokens):
                if page == "nfbl_timeline":
                    line.hand_in(
                        token, task, marked(3, 20), marked(25, 35 + number, ("Moving torso", "Folding arms")[number], "r2")
                    )
                elif page == "clip_review":
                    line.hand_in(token, task, choice("strong_emotion", "yes"), choice("identifying", "nothing"))
                else:
                    line.hand_in(token, task, *about(f"They show {wrote.get(clip, 'little')}."))
            with line.client(cleo) as client:
                draft = client.post(f"/api/tasks/{task}/drafts", json={"result": [marked(5, 9)], "lead_time": 1})
                assert draft.status_code == 201, draft.text
                skipped = client.post(
                    f"/api/tasks/{task}/annotations?was_cancelled=1", json={"result": [], "was_cancelled": True}
                )
                assert skipped.status_code == 201, skipped.text
                client.get(f"/data/local-files/?d=clips/{clip}.mp4", headers={"Range": "bytes=0-9"})
        assert "was skipped" in process("pull", project.root).err
    assert process("agree", project.root, "--rounds", "20").status == 0
    assert process("moments", project.root).status == 0
    assert process("push", project.root, "--adjudicate").status == 0
    for task in line.tasks(workspace.read_project_numbers(project)["adjudicate"]).values():
        line.hand_in(cleo, task, marked(3, 20))
    assert process("pull", project.root).status in (0, 1)
    said = process("export", project.root)
    assert said.status == 0, said.err


def rows_of(project: Project, config: str) -> dict[str, dict[str, Any]]:
    found = {}
    for path in project.dataset_dir.glob(f"*/{'metadata.parquet' if config == 'nfbl' else 'clips/metadata.parquet'}"):
        found |= {r.get("record_id") or r["clip_id"]: r for r in pq.read_table(path).to_pylist()}
    return found


def test_one_is_forgotten_everywhere(line: LabelStudio) -> None:
    project = line.project
    label_everything(line)
    gone, stays = person(project, "Zebulon Quixote"), person(project, "Perpetua Birdwhistle")
    assert len(gone.clips) == 2
    before, made = found_in(project.root, gone.traces), made_of(project, gone)
    for trace in gone.traces:
        assert before.get(trace), f"{trace} is nowhere before: the search would prove nothing"
    assert len(made) > 20
    assert made <= digests(project.root)
    there = {page: line.tasks(number) for page, number in workspace.read_project_numbers(project).items()}
    assert set(there) == set(PAGES)
    assert all(set(gone.clips) & set(tasks) for tasks in there.values())
    tasks = {task for page in there.values() for clip, task in page.items() if clip in gone.clips}
    assert {"tasks", "task_completion", "prediction", "tasks_annotationdraft"} <= set(about_tasks(project, tasks))
    rows = {config: rows_of(project, config) for config in ("nfbl", "mer")}
    kept_labels = [lb for lb in store.read_labels(project.labels_dir) if lb.clip not in gone.clips]

    said = process("forget", project.root, "zebulon quixote", "--yes")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("2 sources, 2 clips, ")
    assert said.out.count("yours to delete") == 2
    assert found_in(project.root, gone.traces) == {}
    assert made & digests(project.root) == set()
    assert about_tasks(project, tasks) == {}
    for page, number in workspace.read_project_numbers(project).items():
        assert line.tasks(number) == {c: t for c, t in there[page].items() if c not in gone.clips}
    with line.client() as client:
        for clip in gone.clips:
            assert client.get(f"/data/local-files/?d=clips/{clip}.mp4").status_code in (404, 500)
    assert store.read_labels(project.labels_dir) == kept_labels
    os.truncate(project.private_dir / workspace.SERVER_FOLDER / "server.log", 0)  # we just asked for addresses of theirs

    assert found_in(project.root, stays.traces).keys() == set(stays.traces)
    said = process("pull", project.root)
    assert "0 labels new, 0 changed, 0 deleted" in said.out
    assert "deleted in Label Studio" not in said.err
    assert process("push", project.root).out.startswith("0 clips pushed")
    assert process("export", project.root).status == 0
    for config, old in rows.items():
        new = rows_of(project, config)
        assert set(new) == {i for i, r in old.items() if r["clip_id"] not in gone.clips}
    went = [sum(r["clip_id"] in gone.clips for r in rows[config].values()) for config in rows]
    log = (project.dataset_dir / "CHANGELOG.md").read_text()
    assert went == [2, 2]
    assert "2 clips and 2 emotion records because somebody withdrew" in log
    assert "Delete your copies of earlier versions" in log
    assert process("validate", project.dataset_dir).status == 0
    assert found_in(project.root, gone.traces) == {}

    (stone,) = [json.loads(row) for row in (project.root / "withdrawn.jsonl").read_text().splitlines()]
    assert {k: stone[k] for k in ("sources", "clips")} == {"sources": 2, "clips": 2}
    assert stone["labels"] > 10
    said = process("ingest", project.root, project.root.parent / "footage" / "sources.csv")
    assert said.status == 1
    assert said.err.count("was withdrawn on") == 2
    assert set(found_in(project.root, gone.traces)) == set(), "nothing of who was refused is kept"
    said = process("forget", project.root, "zebulon quixote", "--yes")
    assert said.status == 2
    assert len(said.lines) == 1


# ── a server that is not as it should be, many clips at once ─────────────────────────────────────────────────────


def shown(project: Project, clip: Clip) -> SafeClip:
    """A clip as Label Studio is told of it, whatever was made of it."""
    name = derive_public_id(project.secret, "c", clip.id)
    facts = {"grid": clip.facts["grid"], "subject": clip.facts["subject"], "transcript": f"of {name}", "proposals": []}
    files = {"video": File(f"/somewhere/{name}.mp4", "0" * 64)}
    return SafeClip(Clip(name, derive_public_id(project.secret, "v", clip.source), clip.start_ms, clip.end_ms, files, facts))


def push(root: Path, served: Path) -> None:
    """`deemo push`, in a process of its own, of all clips on the list."""
    Project.released_dir = served  # type: ignore[assignment]
    release.read_current_clips = read_clips_if_any  # type: ignore[assignment]
    release.release_clips = lambda clips, project: ([shown(project, c) for c in clips], [])  # type: ignore[assignment]
    annotation_push.push(Project.open(root))


def slow_forget(root: Path, who: str) -> None:
    """`deemo forget`, in a process of its own, that takes two seconds longer."""
    forget.erase_corrections = lambda *_: time.sleep(2)  # type: ignore[assignment]
    forget.forget_person(Project.open(root), who)


def killed_forget(root: Path, who: str, name: str) -> None:
    """`deemo forget`, in a process of its own, that is killed when it comes to the function of that name."""
    setattr(forget, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    forget.forget_person(Project.open(root), who)


def started(what: Callable[..., None], *arguments: object) -> BaseProcess:
    process = get_context("spawn").Process(target=what, args=arguments)
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    process.join(120)
    return process.exitcode


@pytest.fixture
def desk(label_studio: LabelStudio, tmp_path: Path) -> Project:
    """Two people with a clip each and 60 more, as yet not pushed, sent 5 at a time."""
    project = two_people(tmp_path)
    said = {"url": label_studio.url, "token": label_studio.token}
    (project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps(said))
    (project.labels_dir / store.LEDGER_FILE).unlink()
    config = project.root / "deemo.toml"
    config.write_text(config.read_text().replace("batch = 250", "batch = 5"))
    more = [Clip.of_span(s, 40 * n, 40 * n + 40) for s in project.read_sources() for n in range(60)]
    write_clips([replace(c, files={}, facts={}) for c in (*read_clips_if_any(project), *more)], project.root / "clips.jsonl")
    assert Project.open(project.root).config.labelling.batch == 5
    return Project.open(project.root)


def there(desk: Project) -> list[str]:
    """The clips in all our projects at the server, sorted; one that is there twice stands twice."""
    server = workspace.connect_server(desk)
    found = [
        b.clip
        for n in label_studio_there.find_our_projects(server, workspace.mark_of_project(desk))
        for b in label_studio_there.list_tasks(server, n)
    ]
    return sorted(found)


def outside(desk: Project, source: str) -> list[str]:
    return sorted(derive_public_id(desk.secret, "c", c.id) for c in read_clips_if_any(desk) if c.source == source)


ZEBULON, PERPETUA = NAMES  # sources


def test_two_pushes_at_once_and_a_forget_meanwhile(desk: Project, label_studio: LabelStudio) -> None:
    served, his, hers = label_studio.project.released_dir, outside(desk, ZEBULON), outside(desk, PERPETUA)
    pushes = [started(push, desk.root, served) for _ in range(2)]
    while not (desk.labels_dir / store.LEDGER_FILE).exists():
        time.sleep(0.02)
    gone = forget.forget_person(desk, "Zebulon Quixote")
    assert [ended(p) for p in pushes] == [0, 0]
    assert gone.leftovers == ()
    assert there(desk) == hers
    ledger = [line.clip for line in store.read_ledger(desk.labels_dir)]
    assert sorted(ledger) == hers
    assert set(his).isdisjoint(ledger)


def test_a_push_that_waits_for_a_forget(desk: Project, label_studio: LabelStudio) -> None:
    served, hers = label_studio.project.released_dir, outside(desk, PERPETUA)
    assert ended(started(push, desk.root, served)) == 0
    assert len(there(desk)) == 122
    removal = started(slow_forget, desk.root, "Zebulon Quixote")
    while not (desk.root / withdrawals.WITHDRAWALS_FILE).exists():
        time.sleep(0.02)
    assert ended(started(push, desk.root, served)) == 0
    assert ended(removal) == 0
    assert there(desk) == sorted(line.clip for line in store.read_ledger(desk.labels_dir)) == hers


@pytest.mark.parametrize("name", ["iterate_label_rows", "erase_outputs", "erase_server_traces", "write_subjects"])
def test_killed_and_typed_again(desk: Project, label_studio: LabelStudio, name: str) -> None:
    hers = outside(desk, PERPETUA)
    assert ended(started(push, desk.root, label_studio.project.released_dir)) == 0
    assert ended(started(killed_forget, desk.root, "Zebulon Quixote", name)) == -signal.SIGKILL
    said = process("forget", desk.root, "Zebulon Quixote", "--yes")
    assert (said.status, said.err) == (0, "")
    assert there(desk) == hers
    assert found_in(desk.root, traces(desk, ZEBULON, "Zebulon")) == {}
    assert len((desk.root / withdrawals.WITHDRAWALS_FILE).read_text().splitlines()) == 1


def test_a_server_that_says_no_is_one_line_and_the_next_time_it_goes(desk: Project, label_studio: LabelStudio) -> None:
    assert ended(started(push, desk.root, label_studio.project.released_dir)) == 0
    hers, before = outside(desk, PERPETUA), everything(desk)
    for change, told in (
        ({"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": "0" * 40}, "no Label Studio answers at"),
        ({"LABEL_STUDIO_API_KEY": "0" * 40}, "does not know this token"),
        ({"LABEL_STUDIO_URL": "http://127.0.0.1:9"}, "there is no token for Label Studio at"),
    ):
        said = process("forget", desk.root, "Zebulon Quixote", "--yes", **change)
        assert said.status == 2
        assert told in only_line(said)
    assert everything(desk) == before
    said = process("forget", desk.root, "Zebulon Quixote", "--yes")
    assert (said.status, said.err) == (0, "")
    assert there(desk) == hers


def test_projects_that_were_deleted_lost_or_renamed_there(desk: Project, label_studio: LabelStudio) -> None:
    """One is deleted there, of one we lost the number, one has another description now; and of two numbers none is ours."""
    numbers = []
    path = desk.private_dir / workspace.ADDRESS_FILE
    for _ in range(3):
        said = json.loads(path.read_text())
        path.write_text(json.dumps(said | {"projects": {"nfbl_timeline": None}}))
        assert ended(started(push, desk.root, label_studio.project.released_dir)) == 0
        numbers.append(workspace.read_project_numbers(desk)["nfbl_timeline"])
    assert len(set(numbers)) == 3
    with label_studio.client() as client:
        client.delete(f"/api/projects/{numbers[0]}/")
        client.patch(f"/api/projects/{numbers[2]}/", json={"description": "ours, says somebody"})
        other = client.post("/api/projects/", json={"title": "somebody's"}).json()["id"]
        client.post(f"/api/projects/{other}/import", json=[{"data": {"clip": "c-" + "7" * 16}}])
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"projects": said["projects"] | {"mer_clues": 99_999, "clip_review": other}}))
    answer = process("forget", desk.root, "Zebulon Quixote", "--yes")
    assert (answer.status, answer.err) == (0, "")
    hers = outside(desk, PERPETUA)
    for number in numbers[1:]:
        assert sorted(label_studio.tasks(number)) == hers
    assert len(label_studio.tasks(other)) == 1


def test_what_a_server_still_has_of_somebody_goes_with_the_next_pull(desk: Project, label_studio: LabelStudio) -> None:
    """--without-label-studio, and later the server is there again."""
    assert ended(started(push, desk.root, label_studio.project.released_dir)) == 0
    said = process("forget", desk.root, "Zebulon Quixote", "--without-label-studio", "--yes")
    assert said.status == 0
    assert len(there(desk)) == 122
    hers = outside(desk, PERPETUA)
    for held in corrections.read_withheld_spans(desk.root):
        corrections.allow_span(desk.root, held.id)
    said = process("pull", desk.root)
    assert said.line_with("61 clips may no longer be shown: taken out of Label Studio")
    assert "no clip was pushed" not in said.err
    assert there(desk) == hers
    said = process("forget", desk.root, "Perpetua Birdwhistle", "--without-label-studio", "--yes")
    assert "goes with the next deemo pull" in said.err
    assert there(desk) == hers
