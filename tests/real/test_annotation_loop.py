"""The annotation loop against a real Label Studio: every frame comes back, and what goes wrong costs nothing else."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest

from deemo_data.annotation import pull, push
from deemo_data.annotation.label_studio import local_server, workspace
from deemo_data.annotation.pages.tasks import region_json
from deemo_data.clip import Clip, Grid, SafeClip
from deemo_data.files import File
from deemo_data.labels import store
from deemo_data.labels.label import AnnotationLevel
from deemo_data.labels.placing import place_events
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
from deemo_data.workflow import ingest
from tests.makers.annotation_loop import marked
from tests.makers.commands import process
from tests.makers.label_studio import LabelStudio, free_port, migrated
from tests.makers.results import choice

pytestmark = pytest.mark.slow
NFBL = load_nfbl("nfbl")
LEVELS = get_args(AnnotationLevel)  # in the order of their numbers in the dataset
RATES = [
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
]
FOOTAGE = (
    "edge_real_vfr_timing_no_person.mp4",
    "selfie_rotated90_2people_cc.mp4",
    "asl_eat.mkv",
    "grid_bbaf2n.mpg",
    "event_1s_xvid_mp3.avi",
)


@pytest.fixture
def study(label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own at the server, whose videos lie in the folder that it serves."""
    monkeypatch.setattr(Project, "released_dir", label_studio.project.released_dir)
    project = Project.make(tmp_path / "project")
    said = {"url": label_studio.url, "token": label_studio.token}
    (project.private_dir / workspace.ADDRESS_FILE).write_text(json.dumps(said))
    return project


def cut(source: Clip, first: int, end: int, number: int) -> SafeClip:
    """A released clip over frames [first, end) of its source's grid, as far as Label Studio is told of it."""
    grid = source.grid
    name = f"c-{number:016x}"
    files = {"video": File(f"/somewhere/{name}.mp4", "0" * 64)}
    facts = {"grid": grid.to_fact(), "subject": "s-1", "transcript": "", "proposals": []}
    return SafeClip(Clip(name, derive_public_id(b"k" * 32, "v", source.id), grid.ms_at(first), grid.ms_at(end), files, facts))


def sources(media: Path, tmp_path: Path) -> list[Clip]:
    """Made-up ones at all rates, of steady and of changing rate, that begin anywhere on their own clock; and real footage."""
    chance = random.Random(4)
    made = [
        Clip(f"{n:012x}", f"{n:012x}", 0, 0, {}, {"grid": Grid(
            fps, n % 3 == 0, Fraction(chance.randrange(-900, 90_000), 90_000), 20_000, 64, 36).to_fact()})
        for n, fps in enumerate(RATES * 3)
    ]  # fmt: skip
    real = Project.make(tmp_path / "real")
    (tmp_path / "footage").mkdir()
    for name in FOOTAGE:
        (tmp_path / "footage" / name).symlink_to(media / "video" / name)
    taken, missing = ingest.ingest_sources(real, str(tmp_path / "footage"), "for tests")
    assert missing == []
    return made + taken


def test_every_frame_comes_back(study: Project, label_studio: LabelStudio, media: Path, tmp_path: Path) -> None:
    """Clip, push, annotation, pull, label, event: the frames that were marked, in 120 clips and some 500 events."""
    chance = random.Random(7)
    clips: dict[str, SafeClip] = {}
    everything = sources(media, tmp_path)
    for number in range(120):
        source = chance.choice(everything)
        first = chance.randrange(source.grid.frames - 1)
        clip = cut(source, first, chance.randrange(first + 1, min(first + 700, source.grid.frames) + 1), number)
        clips[clip.id] = clip
    server = workspace.connect_server(study)
    handed = push.push_clips(study, server, list(clips.values()), "nfbl_timeline")
    assert (handed.new, handed.already_there) == (120, 0)
    number_there = workspace.read_project_numbers(study)["nfbl_timeline"]
    tokens = [label_studio.annotator(name)[2] for name in ("ann", "ben")]
    drawn: dict[str, list[tuple[int, int, str]]] = {}
    for name, task in label_studio.tasks(number_there).items():
        frames = clips[name].num_frames
        spans = {(0, frames), (frames - 1, frames), (0, 1)}
        for _ in range(2):
            start = chance.randrange(frames)
            spans.add((start, chance.randrange(start + 1, frames + 1)))
        drawn[name] = [(s, e, chance.choice(NFBL.labels)) for s, e in sorted(spans)]
        marked = [{"id": f"{n:016x}", "label": c, "start_frame": s, "end_frame": e, "score": 1, "why": ""}
                  for n, (s, e, c) in enumerate(drawn[name])]  # fmt: skip
        label_studio.hand_in(chance.choice(tokens), task, *map(region_json, marked))
    pulled = pull.pull(study)
    assert (pulled.annotations, pulled.problems) == (120, ())
    found = store.read_labels(study.labels_dir)
    wrong = []
    for name, want in drawn.items():
        placed = place_events([lb for lb in found if lb.clip == name], clips[name])
        got = sorted((p.start_frame, p.end_frame, p.label.value["label"]) for p in placed)
        if got != sorted(want):
            wrong.append((clips[name].grid, want, got))
    assert wrong == []
    again = pull.pull(study)
    assert (again.annotations, again.change.added, again.problems) == (0, 0, ())
    assert push.push_clips(study, server, list(clips.values()), "nfbl_timeline").new == 0


ODD = {
    "not of the vocabulary": ({"timelinelabels": ["Brow raise"]}, "'Brow raise' is not in vocabulary imigue-32 1"),
    "backwards": ({"ranges": [{"start": 30, "end": 20}]}, "30-20 ends before it starts"),
    "frame 0": ({"ranges": [{"start": 0, "end": 20}]}, "0-20 begins before frame 1, the first"),
    "half frames": ({"ranges": [{"start": 2.5, "end": 20}]}, "2.5-20 is not in whole frames"),
    "past the end": ({"ranges": [{"start": 80, "end": 120}]}, "80-120 goes past frame 100, the last"),
    "without ranges": ({"ranges": None}, "has no ranges"),
    "without a class": ({"timelinelabels": []}, "has no class"),
}


def plain(project: Project, count: int, first: int = 0) -> list[SafeClip]:
    """Clips of 100 frames of one source."""
    source = Clip("f" * 12, "f" * 12, 0, 0, {}, {"grid": Grid(Fraction(25), False, Fraction(0), 20_000, 64, 36).to_fact()})
    return [cut(source, 100 * n, 100 * n + 100, n) for n in range(first, first + count)]


def test_what_is_odd_is_one_line_and_costs_nothing_else(study: Project, label_studio: LabelStudio) -> None:
    clips = plain(study, len(ODD) + 1)
    push.push_clips(study, workspace.connect_server(study), clips, "nfbl_timeline")
    token = label_studio.annotator("ann")[2]
    tasks = label_studio.tasks(workspace.read_project_numbers(study)["nfbl_timeline"])
    for clip, (change, _) in zip(clips, ODD.values(), strict=False):
        bad = marked(10, 20, id_="bad")
        bad["value"] = {k: v for k, v in {**bad["value"], **change}.items() if v is not None}
        label_studio.hand_in(token, tasks[clip.id], marked(3, 8, id_="good"), bad)
    label_studio.hand_in(token, tasks[clips[-1].id], marked(3, 8))
    pulled = pull.pull(study)
    assert len(pulled.problems) == len(ODD)
    for line, (_, told) in zip(pulled.problems, ODD.values(), strict=True):
        assert told in line
        assert line.endswith("left out")
    assert sum(lb.kind == "nfbl" for lb in store.read_labels(study.labels_dir)) == len(clips), "the good ones are all there"


def test_edits_deletions_and_what_is_gone(study: Project, label_studio: LabelStudio) -> None:
    clips = plain(study, 4)
    server = workspace.connect_server(study)
    push.push_clips(study, server, clips, "nfbl_timeline")
    number = workspace.read_project_numbers(study)["nfbl_timeline"]
    tasks, token = label_studio.tasks(number), label_studio.annotator("ann")[2]
    made = [label_studio.hand_in(token, tasks[c.id], marked(3, 8), marked(10, 20, id_="r2")) for c in clips]
    assert pull.pull(study).change.added == 12
    with label_studio.client(token) as client:
        client.patch(f"/api/annotations/{made[0]['id']}", json={"result": [marked(3, 9)]})
        client.delete(f"/api/annotations/{made[1]['id']}")
        client.delete(f"/api/tasks/{tasks[clips[2].id]}")
    pulled = pull.pull(study)
    assert (pulled.change.changed, pulled.change.deleted) == (2, 1 + 3), "with the region its look, which has a new time"
    assert pulled.problems == (f"clip {clips[2].id}: was deleted in Label Studio; its labels are kept",)
    held = {c.id: sum(lb.clip == c.id for lb in store.read_labels(study.labels_dir)) for c in clips}
    assert list(held.values()) == [2, 0, 3, 3]
    assert pull.pull(study).problems == ()
    again = push.push_clips(study, server, clips, "nfbl_timeline")
    assert again.new == 1, "the deleted one is pushed anew"
    recut = [replace(clips[3], end_ms=clips[3].end_ms)]
    assert push.push_clips(study, server, recut, "nfbl_timeline").new == 0


def test_two_see_each_clip_and_a_third_none(study: Project, label_studio: LabelStudio) -> None:
    """Blind double labelling by the label stream: whoever asks for the next clip gets one that needs them."""
    clips = plain(study, 3)
    push.push_clips(study, workspace.connect_server(study), clips, "nfbl_timeline")
    number = workspace.read_project_numbers(study)["nfbl_timeline"]
    for name in ("ann", "ben", "dan"):
        token = label_studio.annotator(name)[2]
        got = []
        with label_studio.client(token) as client:
            while (answer := client.get(f"/api/projects/{number}/next")).status_code == 200:
                got.append(answer.json()["data"]["clip"])
                label_studio.hand_in(token, answer.json()["id"], marked(3, 8))
        assert sorted(got) == ([] if name == "dan" else [c.id for c in clips])


# ── the whole of it, as a user types it ──────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def line(
    media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory, label_studio: LabelStudio
) -> Iterator[LabelStudio]:
    """A project of two real clips with a Label Studio of its own, and an annotator each of both groups and one more."""
    root = tmp_path_factory.mktemp("line")
    (root / "footage").mkdir()
    for name in ("asl_eat.mkv", "grid_bbaf2n.mpg"):
        (root / "footage" / name).symlink_to(media / "video" / name)
    assert process("build", root / "project", root / "footage", "--consent", "for tests").status == 0
    project = Project.open(root / "project")
    shutil.copytree(migrated(local_server.find_program(), root / "first"), project.private_dir, dirs_exist_ok=True)
    with local_server.start_server(project, free_port()):
        said = workspace.read_address(project)
        yield LabelStudio(said["url"], said["token"], project)


def test_the_whole_loop(line: LabelStudio) -> None:
    project = line.project
    ann, ben, cleo = (line.annotator(n, g)[2] for n, g in (("ann", "label"), ("ben", "label"), ("cleo", "adjudicate")))
    said = process("templates", project.root, "--install")
    assert said.status == 0, said.err
    with line.client(ann) as client:
        assert client.get("/api/current-user/hotkeys/").json()["custom_hotkeys"]["annotation:annotation:skip"]["active"] is False
    said = process("push", project.root)
    assert said.status == 0, said.err
    assert said.out.startswith("2 clips pushed")
    assert "/projects/" in said.out
    assert "labeling=1" in said.out
    assert "0 clips pushed" in process("push", project.root).out
    tasks = line.tasks(workspace.read_project_numbers(project)["nfbl_timeline"])
    one, two = sorted(tasks)
    with line.client(ann) as client:
        video = client.get(client.get(f"/api/tasks/{tasks[one]}").json()["data"]["video"], headers={"Range": "bytes=0-99"})
        assert (video.status_code, video.headers["content-type"]) == (206, "video/mp4")
    for clip in (one, two):
        line.hand_in(ann, tasks[clip], marked(3, 20), marked(25, 40, "Moving torso", "r2"))
    line.hand_in(ben, tasks[one], marked(3, 21))
    line.hand_in(ben, tasks[two], marked(3, 20), marked(25, 40, "Moving torso", "r2"))
    said = process("pull", project.root)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("4 annotations of 2 tasks read: 11 labels new")
    assert "labelled: 0 by one person, 2 by more, 0 adjudicated (2 people)" in process("status", project.root).out
    said = process("agree", project.root, "--rounds", "50")
    assert said.status == 0, said.err
    assert (project.out_dir / "agreement.html").stat().st_size > 10_000
    assert (
        "example.com" not in (project.out_dir / "agreement.json").read_text() + (project.out_dir / "agreement.html").read_text()
    )
    said = process("push", project.root, "--adjudicate")
    assert said.out.startswith("1 clips pushed"), said.err
    (disputed, task), *none = line.tasks(workspace.read_project_numbers(project)["adjudicate"]).items()
    assert (disputed, none) == (one, [])
    with line.client(cleo) as client:
        (shown,) = client.get(f"/api/tasks/{task}").json()["predictions"]
    names = [r["from_name"] for r in shown["result"]]
    assert names.count("nfbl") == 1, "what both agree on can be drawn on"
    assert len([n for n in names if n.startswith("ann_")]) == 3, "what each of them said"
    line.hand_in(cleo, task, *shown["result"], marked(26, 41, "Moving torso", "r9"))
    assert process("pull", project.root).status == 0
    assert process("export", project.root).status == 0
    assert process("validate", project.dataset_dir).status == 0
    rows = {}
    for split in ("train", "validation", "test"):
        if (project.dataset_dir / split / "metadata.parquet").exists():
            table = pq.read_table(project.dataset_dir / split / "metadata.parquet")
            rows |= {r["clip_id"]: r for r in table.to_pylist()}
    level = {r: rows[r]["annotation"] for r in (one, two)}
    assert level == {one: LEVELS.index("adjudicated"), two: LEVELS.index("reviewed")}
    spans = [(e["start_frame"], e["end_frame"], e["status"]) for e in rows[one]["events"]]
    assert spans[-1] == (26, 41, LEVELS.index("adjudicated"))
    assert rows[one]["events"][-1]["agreement"] == 0.5
    assert {e["status"] for e in rows[two]["events"]} == {LEVELS.index("reviewed")}


def test_an_alarm_takes_the_video_off_the_server(line: LabelStudio) -> None:
    project, token = line.project, line.annotator("ann")[2]
    assert process("push", project.root, "--template", "clip_review").status == 0
    tasks = line.tasks(workspace.read_project_numbers(project)["clip_review"])
    clip = max(tasks)
    line.hand_in(token, tasks[clip], choice("strong_emotion", "yes"), choice("identifying", "spoken name"))
    said = process("pull", project.root)
    assert said.status == 1
    assert f"clip {clip}: an annotator sees something identifying (spoken name); withheld" in said.err
    with line.client(token) as client:
        assert client.get(f"/api/tasks/{tasks[clip]}").status_code == 404
        assert client.get(f"/data/local-files/?d=clips/{clip}.mp4").status_code in (404, 500)
    assert clip not in line.tasks(workspace.read_project_numbers(project)["nfbl_timeline"]), "on no page"
    said = process("push", project.root)
    assert said.status == 1
    assert "its owner withholds it" in said.err


@pytest.mark.parametrize(
    ("command", "change", "told"),
    [
        ("push", {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": "0" * 40}, "no Label Studio answers at"),
        ("pull", {"LABEL_STUDIO_URL": "http://127.0.0.1:9"}, "there is no token for Label Studio at"),
        ("templates", {"LABEL_STUDIO_URL": "nonsense", "LABEL_STUDIO_API_KEY": "x"}, "is no address of a Label Studio"),
        ("pull", {"LABEL_STUDIO_API_KEY": "0" * 40}, "does not know this token"),
        ("push", {"LABEL_STUDIO_API_KEY": "a b"}, "is damaged"),
    ],
)
def test_a_server_that_is_wrong_is_one_line(
    line: LabelStudio, monkeypatch: pytest.MonkeyPatch, command: str, change: dict[str, str], told: str
) -> None:
    before = {p: p.read_bytes() for p in line.project.labels_dir.rglob("*.jsonl")}
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    said = process(command, line.project.root, *(["--install"] if command == "templates" else []))
    assert said.status == 2
    assert told in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert {p: p.read_bytes() for p in line.project.labels_dir.rglob("*.jsonl")} == before


def test_another_project_in_our_place_is_one_line(line: LabelStudio) -> None:
    path = line.project.private_dir / workspace.ADDRESS_FILE
    kept = path.read_text()
    with line.client() as client:
        other = client.post("/api/projects/", json={"title": "somebody's"}).json()["id"]
    try:
        said = json.loads(kept)
        path.write_text(json.dumps(said | {"projects": {"nfbl_timeline": other}}))
        answer = process("push", line.project.root)
        assert answer.status == 2
        assert f"project {other} at {line.url} is not the one of" in answer.err
        path.write_text(json.dumps(said | {"projects": {"nfbl_timeline": 99_999}}))
        answer = process("push", line.project.root)
        assert answer.status == 2
        assert "is gone from Label Studio" in answer.err
    finally:
        path.write_text(kept)
