"""What the baseline reads from a dataset folder, and what it says about one that it cannot read."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deemo_data.baseline.data import VOICE_COLUMNS, Dataset, load_dataset
from deemo_data.dataset.validation.dataset import validate_dataset
from deemo_data.errors import DatasetError
from tests.makers.planted import EMOTIONS, GESTURES, MELODIES, NOTHING, half_of, write_planted_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted_dataset(tmp_path_factory.mktemp("planted"), 6, 4, seed=3, validation=1 / 6, test=2 / 6)


@pytest.fixture(scope="module")
def dataset(made: Path) -> Dataset:
    return load_dataset(made)


def test_the_planted_dataset_is_sound(made: Path) -> None:
    assert [str(f) for f in validate_dataset(made) if f.level == "error"] == []


def test_one_example_a_clip(dataset: Dataset, made: Path) -> None:
    assert [len(dataset.in_split(s)) for s in ("train", "validation", "test")] == [12, 4, 8]
    assert {s: len({e.subject_id for e in dataset.in_split(s)}) for s in ("train", "validation", "test")} == {
        "train": 3, "validation": 1, "test": 2,
    }  # fmt: skip
    assert dataset.emotions[:2] == ("happy", "sad")
    assert len(dataset.emotions) == 12
    assert len(dataset.classes) == 32
    assert dataset.vocabularies == ("emotions-12 1",)
    assert dataset.warnings == ()
    for e in dataset.examples:
        place = EMOTIONS.index(e.emotion)
        body = half_of(e.clip_id, made) == "body"
        assert e.clues["video"] == (f"{GESTURES[place]} is seen." if body else NOTHING["video"])
        assert e.clues["audio"] == (NOTHING["audio"] if body else f"The voice {MELODIES[place]}.")
        assert [label for _, _, label in e.events] == ([GESTURES[place]] if body else [])
        assert all(0 <= start < end <= e.num_frames for start, end, _ in e.events)
        assert e.emotion in e.instruction
        assert e.reasoning.endswith(f"So the person is {e.emotion}.")
        assert e.reasoning_instruction != e.instruction
        assert (e.events_annotated, e.sentiment, e.fps, e.width, e.height) == (True, e.sentiment, 25.0, 64, 48)
        assert e.video_bytes == e.video.stat().st_size
        assert e.source_facts["licence"] == "CC BY 4.0"


def test_each_subject_has_every_emotion_about_as_often(tmp_path: Path) -> None:
    found = load_dataset(write_planted_dataset(tmp_path, 3, 8, seed=1))
    assert set(Counter((e.subject_id, e.emotion) for e in found.examples).values()) == {2}


def test_body_points(dataset: Dataset) -> None:
    import av

    for e in dataset.examples[::5]:
        body = e.read_body()
        assert (body.shape, body.dtype) == ((e.num_frames, 64, 4), np.float32)
        assert np.isfinite(body).all()
        lost = body[..., 3] == 0
        assert 0 < lost.mean() < 0.1
        assert (body[lost] == 0).all()
        with av.open(str(e.video)) as container:
            assert container.streams.video[0].frames == e.num_frames


def test_a_row_is_that_of_its_clip(dataset: Dataset) -> None:
    """Rows of several row groups, in whatever order they are asked for."""
    e = dataset.in_split("train")[-1]
    table = pq.read_table(e.table).to_pylist()
    row = next(r for r in table if r["clip_id"] == e.clip_id)
    there = np.array(row["body"], np.float32).reshape(e.num_frames, 64, 3)
    assert np.array_equal(np.nan_to_num(there), e.read_body()[..., :3])


def test_the_voice_is_centred_on_what_is_voiced_and_interpolated(dataset: Dataset) -> None:
    for e in dataset.examples[::5]:
        voice = e.read_voice()
        assert voice.shape == (round(e.duration_ms / 10), len(VOICE_COLUMNS))
        assert np.isfinite(voice).all()
        voiced = voice[:, 2] == 1
        assert 0.5 < voiced.mean() < 1
        assert abs(np.median(voice[voiced, 0])) < 0.01
        assert abs(np.median(voice[:, 1])) < 0.01
        for gap in np.flatnonzero(~voiced)[1:-1]:
            before, after = np.flatnonzero(voiced[:gap]), np.flatnonzero(voiced[gap:])
            if len(before) and len(after):
                ends = voice[before[-1], 0], voice[gap + after[0], 0]
                assert min(ends) - 1e-3 <= voice[gap, 0] <= max(ends) + 1e-3


def test_pictures_are_evenly_spaced(dataset: Dataset) -> None:
    import av

    e = dataset.examples[0]
    frames = e.read_frames(4, 16)
    assert (frames.shape, frames.dtype) == ((4, 16, 16, 3), np.uint8)
    with av.open(str(e.video)) as container:
        every = [f.reformat(16, 16, "rgb24").to_ndarray().astype(float) for f in container.decode(video=0)]
    for k, frame in enumerate(frames):
        wanted = (2 * k + 1) * e.num_frames // 8
        apart = [np.abs(frame - other).mean() for other in every]
        assert apart[wanted] == min(apart)
        assert apart[wanted] < 3
    assert e.read_sound().shape == (e.duration_ms * 16,), "silence where there is no sound track"


def damaged(made: Path, out: Path, change: Callable[[Path], None]) -> Path:
    shutil.copytree(made, out)
    change(out)
    return out


def without(config: str, column: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        table = folder / "train" / ("metadata.parquet" if config == "nfbl" else "clips/metadata.parquet")
        pq.write_table(pq.read_table(table).drop_columns([column]), table)

    return change


@pytest.mark.parametrize(
    ("config", "column"), [("nfbl", "prosody_f0"), ("nfbl", "body"), ("mer", "clues"), ("mer", "instruction")]
)
def test_a_missing_column_is_named(made: Path, tmp_path: Path, config: str, column: str) -> None:
    with pytest.raises(DatasetError, match=rf"config {config}: .*metadata.parquet has no column {column}. Type: deemo export"):
        load_dataset(damaged(made, tmp_path / "d", without(config, column)))


def test_class_names_are_needed(made: Path, tmp_path: Path) -> None:
    def plain(folder: Path) -> None:
        table = folder / "train/clips/metadata.parquet"
        pq.write_table(pq.read_table(table).replace_schema_metadata(), table)

    with pytest.raises(DatasetError, match=r"column emotion of .* does not name its classes"):
        load_dataset(damaged(made, tmp_path / "d", plain))


def test_a_dataset_without_emotions(made: Path, tmp_path: Path) -> None:
    def forget(folder: Path) -> None:
        for table in folder.glob("*/clips/metadata.parquet"):
            table.unlink()

    with pytest.raises(DatasetError, match="no clip has an emotion"):
        load_dataset(damaged(made, tmp_path / "d", forget))


def test_a_video_that_is_gone(made: Path, tmp_path: Path) -> None:
    def lose(folder: Path) -> None:
        next(folder.glob("train/clips/*.mp4")).unlink()

    with pytest.raises(DatasetError, match=r"clip c-\d+: its video .* is not there"):
        load_dataset(damaged(made, tmp_path / "d", lose))


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        load_dataset(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="holds no table"):
        load_dataset(tmp_path)


def test_of_a_project_its_dataset(made: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "deemo.toml").touch()
    (tmp_path / "out/dataset").symlink_to(made)
    assert len(load_dataset(tmp_path).examples) == 24


def test_a_split_without_emotions_is_said(tmp_path: Path) -> None:
    assert load_dataset(write_planted_dataset(tmp_path, 2, 2, seed=1)).warnings == ("no clip of split validation has an emotion",)


def test_a_table_written_anew_is_read_anew(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "d")
    e = load_dataset(tmp_path / "d").in_split("test")[0]
    before = e.read_voice()
    table = pq.read_table(e.table)
    place = table.schema.get_field_index("prosody_energy")
    louder = pa.chunked_array([pa.array([[float(k) for k in range(len(row))] for row in table["prosody_energy"].to_pylist()],
                                        table.schema.field(place).type)])  # fmt: skip
    pq.write_table(table.set_column(place, table.schema.field(place), louder), e.table)
    assert not np.array_equal(e.read_voice()[:, 1], before[:, 1])


def test_what_is_planted_can_be_told_apart(tmp_path: Path) -> None:
    """With hands and limbs of one's own, and another length for each emotion; neither, where it was not asked for."""
    plain = load_dataset(write_planted_dataset(tmp_path / "plain", 3, 8, seed=5))
    leaky = load_dataset(write_planted_dataset(tmp_path / "leak", 3, 8, seed=5, leak="limbs"))
    short = load_dataset(write_planted_dataset(tmp_path / "short", 2, 8, seed=5, shortcut="length"))
    middle = load_dataset(write_planted_dataset(tmp_path / "middle", 2, 8, seed=5, shortcut="u-length"))

    def spread(found: Dataset) -> float:
        """Of the upper arms' lengths between subjects, over that between the clips of one."""
        arms: dict[str, list[float]] = {}
        for e in found.examples:
            body = e.read_body()
            sure = (body[:, 0, 3] > 0) & (body[:, 2, 3] > 0)
            arms.setdefault(e.subject_id, []).append(
                float(np.median(np.linalg.norm(body[sure, 0, :3] - body[sure, 2, :3], axis=1)))
            )
        return float(np.std([np.mean(a) for a in arms.values()]) / np.mean([np.std(a) for a in arms.values()]))

    assert spread(leaky) > 1.5 * spread(plain)
    lengths = {s: {EMOTIONS[k]: [e.num_frames for e in d.examples if e.emotion == EMOTIONS[k]] for k in range(4)}
               for s, d in (("plain", plain), ("short", short), ("middle", middle))}  # fmt: skip
    means = [np.mean(v) for v in lengths["short"].values()]
    assert np.all(np.diff(means) > 5)
    assert np.ptp([np.mean(v) for v in lengths["plain"].values()]) < 12
    assert set(lengths["middle"]["happy"]) <= set(range(60, 66))
    assert set(lengths["middle"]["sad"]).isdisjoint(range(57, 70))


def test_without_cues_nothing_is_seen_or_heard(tmp_path: Path) -> None:
    found = load_dataset(write_planted_dataset(tmp_path, 2, 4, seed=1, body=False, voice=False))
    assert {(e.clues["video"], e.clues["audio"], e.events) for e in found.examples} == {(NOTHING["video"], NOTHING["audio"], ())}
    assert json.loads((tmp_path / "dataset/deemo.json").read_text())["counts"]["events"] == 0
