"""Validate: a sound dataset has no errors, and each way to break one is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_export import make_clip, marked, run
from test_labels import said

from deemo_data.errors import DatasetError
from deemo_data.validate import validate


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sound")
    clips = [make_clip(root / "released", n) for n in range(3)]
    run(clips, [marked(c, 2, 9) for c in clips] + [said("emotion", "happy", c) for c in clips], root / "dataset")
    return root / "dataset"


@pytest.fixture
def dataset(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "d")
    return tmp_path / "d"


def errors(folder: Path) -> list[str]:
    return [str(f) for f in validate(folder) if f.level == "error"]


def change(path: Path, edit: Callable[[list[dict[str, Any]]], object]) -> None:
    """Rewrite a table's rows, its schema kept."""
    table = pq.read_table(path)
    found = table.to_pylist()
    edit(found)
    pq.write_table(pa.Table.from_pylist(found, schema=table.schema), path)


def test_ours_is_sound(sound: Path) -> None:
    assert validate(sound) == []


ROWS: dict[str, tuple[Callable[[list[dict[str, Any]]], object], str]] = {
    "frames": (lambda r: r[0].update(num_frames=21, body_frames=21, duration_ms=701), "body is not as long"),
    "more frames than the video": (
        lambda r: r[0].update(num_frames=21, body_frames=21, duration_ms=701, body=r[0]["body"] + [0] * 192,
                              body_confidence=r[0]["body_confidence"] + [0] * 64), "num_frames is 21, its video has 20"),
    "event outside": (lambda r: r[0]["events"][0].update(end_frame=30, end_ms=1001), "ends at frame 30"),
    "event backwards": (lambda r: r[0]["events"][0].update(end_frame=1, end_ms=33), "ends before it starts"),
    "ms are not the frame's": (lambda r: r[0]["events"][0].update(start_ms=99), "frame 2 is at 67 ms, not 99"),
    "fps": (lambda r: r[0].update(fps=30.0), "fps_num/fps_den is 30000/1001"),
    "face points": (lambda r: r[0].update(body_points=75), "face points are in it"),
    "no such class": (lambda r: r[0]["events"][0].update(label=77), "label"),
    "no subject": (lambda r: r[0].update(subject_id=None), "subject_id"),
    "unlabelled with events": (lambda r: r[0].update(annotation=0), "annotation is none, and there are events"),
    "width": (lambda r: r[0].update(width=128), "the row says 128x36"),
    "a row twice": (lambda r: r.append(r[0]), "has 2 rows"),
    "video outside": (lambda r: r[0].update(file_name="../test/clips/a.mp4"), "lies outside the table's folder"),
    "video gone": (lambda r: r[0].update(file_name="clips/other.mp4"), "its video clips/other.mp4 is not there"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "told"), ROWS.values(), ids=ROWS)
def test_a_broken_row_is_found(dataset: Path, edit: Callable[[list[dict[str, Any]]], object], told: str) -> None:
    change(dataset / "train/metadata.parquet", edit)
    found = errors(dataset)
    assert [f for f in found if told in f], found
    assert [f for f in found if "train/metadata.parquet: is not the file that was exported" in f], "its digest differs too"


def test_a_broken_record_is_found(dataset: Path) -> None:
    change(dataset / "train/clips/metadata.parquet", lambda r: r[0].update(response="sad"))
    assert any("the last turn is not the response" in e for e in errors(dataset))


def test_a_subject_or_video_in_two_splits(dataset: Path) -> None:
    other = pq.read_table(dataset / "train/metadata.parquet").to_pylist()[0]
    change(dataset / "test/metadata.parquet", lambda r: r[0].update(subject_id=other["subject_id"]))
    here = next((dataset / "test/clips").glob("*.mp4"))
    shutil.copyfile(next((dataset / "train/clips").glob("*.mp4")), here)
    found = "\n".join(errors(dataset))
    assert f"subject {other['subject_id']}: is in the splits test, train" in found
    assert "have the same video in the splits test, train" in found
    assert f"{here.relative_to(dataset)}: is not the file that was exported" in found


def test_a_video_that_is_none(dataset: Path) -> None:
    video = next((dataset / "train/clips").glob("*.mp4"))
    video.write_bytes(b"not a video")
    assert any("its video cannot be opened" in e for e in errors(dataset))
    video.unlink()
    assert any("is in deemo.json and not there" in e for e in errors(dataset))


def test_a_table_that_is_none(dataset: Path) -> None:
    (dataset / "train/metadata.parquet").write_bytes(b"PAR1")
    assert any("train/metadata.parquet: cannot be read as Parquet" in e for e in errors(dataset))


def test_assumed_subjects_and_strange_files_are_worth_a_warning(dataset: Path) -> None:
    change(dataset / "train/metadata.parquet", lambda r: r[0].update(subject_assumed=True))
    (dataset / "extra.csv").write_text("a")
    warned = [str(f) for f in validate(dataset) if f.level == "warning"]
    assert warned == ["warning: subjects: 1 of 3 are assumed, one a source: nobody said who is seen",
                      "warning: extra.csv: is not in deemo.json"]  # fmt: skip


def test_someone_elses(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"clip_id": ["a", "b"], "events": [[], []], "mood": ["x", "y"]}), tmp_path / "data/train-0.parquet")
    found = [str(f) for f in validate(tmp_path)]
    missing = next(f for f in found if "needs the columns" in f)
    assert missing.startswith("error: data/train-0.parquet: config nfbl needs the columns annotation, body, ")
    assert any("does not know: mood" in f for f in found)
    assert any("README.md: there is no card" in f for f in found)


def test_no_dataset_at_all(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no Parquet table"):
        validate(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        validate(tmp_path / "gone")
