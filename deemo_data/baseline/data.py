"""Reads an exported dataset folder: one `Example` for each clip that has an emotion.

`load_dataset` joins the tables nfbl and mer of all splits. It reads their short columns only; an example reads its curves,
pictures and sound from disk when it is asked for them (`read_body`, `read_voice`, `read_frames`, `read_sound`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Clip, Grid
from deemo_data.dataset.counts import class_names, read_rows
from deemo_data.dataset.layout import SPLITS, TABLES
from deemo_data.errors import DatasetError
from deemo_data.files import File

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


REQUIRED_COLUMNS = {
    "nfbl": ("clip_id", "subject_id", "file_name", "fps_num", "fps_den", "num_frames", "duration_ms", "width", "height",
             "annotation", "events", "body", "body_confidence", "body_frames", "body_people", "body_points", "body_dims",
             "prosody_f0", "prosody_energy", "prosody_rate", "transcript", "consent", "licence"),
    "mer": ("clip_id", "task", "instruction", "response", "emotion", "sentiment", "emotion_words", "clues"),
}  # fmt: skip
EXPORT_ADVICE = "Type: deemo export PROJECT, it writes the dataset anew with every column"
VOICE_COLUMNS = ("f0", "energy", "voiced", "rate")  # of Example.read_voice
MAX_CACHED_ROW_GROUPS = 8  # row groups of the long columns that stay in memory
LONG_COLUMNS = (
    "body", "body_confidence", "body_frames", "body_people", "body_points", "body_dims", "prosody_f0", "prosody_energy",
    "prosody_rate",
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A clip with an emotion: its annotations, and where its curves, pictures and sound lie.

    emotion_words          emotion words of its annotators, from an open vocabulary
    clues                  "video", "audio" and "text" -> what the annotators wrote; "" where they wrote nothing
    instruction            the question about the emotion, as its record asks it
    reasoning              the first reasoning of its records; "" if there is none
    reasoning_instruction  the instruction of that reasoning; "" if there is none
    events                 (start_frame, end_frame, class) of body language, half-open
    events_annotated       whether somebody annotated body language; if not, missing events mean nothing
    video_bytes            size of the video file
    source_facts           consent, asserted, licence, fps, width, height, annotation: facts that can distinguish sources
    table, row             where its long columns lie: the Parquet file of table nfbl, and the row number in it
    """

    clip_id: str
    subject_id: str
    split: str
    emotion: str
    sentiment: str
    transcript: str
    emotion_words: tuple[str, ...]
    clues: Mapping[str, str]
    instruction: str
    reasoning: str
    reasoning_instruction: str
    events: tuple[tuple[int, int, str], ...]
    events_annotated: bool
    fps: float
    num_frames: int
    duration_ms: int
    width: int
    height: int
    video_bytes: int
    source_facts: Mapping[str, Any]
    video: Path
    table: Path
    row: int

    def read_body(self) -> NDArray[np.float32]:
        """(frames, points, 4) float32: x, y, z and confidence of the first person; all 0 where a point was not found."""
        import numpy as np

        columns = self._read_long_columns()
        shape = [columns[f"body_{n}"] for n in ("frames", "people", "points", "dims")]
        points = columns["body"].astype(np.float32).reshape(shape)[:, 0]
        confidence = columns["body_confidence"].astype(np.float32).reshape(shape[:3])[:, 0]
        is_found = np.isfinite(points).all(axis=-1) & np.isfinite(confidence)
        body = np.concatenate([points, confidence[..., None]], axis=-1)
        return np.where(is_found[..., None], body, np.float32(0))

    def read_voice(self) -> NDArray[np.float32]:
        """(steps of 10 ms, 4) float32, see VOICE_COLUMNS: semitones, dB, 1 where voiced, onsets per second.

        F0 is interpolated over pauses and is relative to the median of the voiced steps, so that a rise stays a rise. Energy is
        relative to the median of the clip.
        """
        import numpy as np

        columns = self._read_long_columns()
        f0, energy, rate = (columns[f"prosody_{n}"].astype(np.float32) for n in ("f0", "energy", "rate"))
        voiced = np.isfinite(f0)
        if voiced.any():
            steps = np.arange(len(f0))
            f0 = np.interp(steps, steps[voiced], f0[voiced] - np.median(f0[voiced]))
        else:
            f0 = np.zeros(len(f0))
        energy = energy - np.median(energy) if len(energy) else energy
        return np.stack([f0, energy, voiced, rate], axis=1).astype(np.float32)

    def read_frames(self, count: int, size: int) -> NDArray[np.uint8]:
        """(count, size, size, 3) uint8, RGB: evenly spaced frames of the masked clip, resized to a square."""
        import numpy as np

        from deemo_data.media.frames import read_frames

        indices = [(2 * k + 1) * self.num_frames // (2 * count) for k in range(count)]
        pictures = {f.index: f.rgb(size, size) for f in read_frames(self._as_clip()) if f.index in set(indices)}
        return np.stack([pictures[k] for k in indices])

    def read_sound(self) -> NDArray[np.float32]:
        """(samples,) float32, mono at 16 kHz: the altered voice; silence when the clip has no sound track."""
        from deemo_data.media.sound import read_sound

        return read_sound(self._as_clip())

    def _as_clip(self) -> Clip:
        """The masked video as a clip whose source is the whole file."""
        fps = Fraction(self.source_facts["fps"])
        grid = Grid(fps, False, Fraction(0), self.num_frames, self.width, self.height)
        return Clip(
            self.clip_id, self.clip_id, 0, self.duration_ms, {"source": File(str(self.video), "")}, {"grid": grid.to_fact()}
        )

    def _read_long_columns(self) -> dict[str, Any]:
        """Column -> its value in this example's row: lists as NumPy arrays."""
        stamp = self.table.stat().st_mtime_ns
        group, first_row = _find_row_groups(self.table, stamp)[self.row]
        columns = _read_row_group(self.table, stamp, group)
        return {name: _value_at(columns[name], self.row - first_row) for name in columns.column_names}


@dataclass(frozen=True)
class Dataset:
    """The examples of a dataset folder.

    emotions, classes  names of its emotions and of its body-language classes, in the order of their class numbers
    vocabularies       name and version of the vocabularies that its records name
    warnings           facts that somebody who trains on it should know
    """

    folder: Path
    examples: tuple[Example, ...]
    emotions: tuple[str, ...]
    classes: tuple[str, ...]
    vocabularies: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def in_split(self, split: str) -> tuple[Example, ...]:
        """The examples of a split, in order of their clip ids."""
        return tuple(e for e in self.examples if e.split == split)


def load_dataset(folder: Path) -> Dataset:
    """Read a dataset folder, or the dataset of a project folder. Examples are ordered by split and clip id.

    Raises DatasetError when a column is missing (it names the column), and when no clip has an emotion.
    """
    folder = folder / "out" / "dataset" if (folder / "deemo.toml").exists() else folder
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder", "Give the folder of a dataset, such as PROJECT/out/dataset")
    tables = {s: folder / s / TABLES["nfbl"] for s in SPLITS if (folder / s / TABLES["nfbl"]).is_file()}
    if not tables:
        raise DatasetError(f"{folder} holds no table SPLIT/{TABLES['nfbl']}", "Type: deemo export PROJECT")
    examples: list[Example] = []
    names: dict[str, tuple[str, ...]] = {}
    vocabularies: dict[str, None] = {}
    for split, table in tables.items():
        mer = folder / split / TABLES["mer"]
        names |= _read_class_names(table, "nfbl") | (_read_class_names(mer, "mer") if mer.is_file() else {})
        records: dict[str, list[dict[str, Any]]] = {}
        for record in read_rows(mer):
            records.setdefault(record["clip_id"], []).append(record)
            vocabularies.setdefault(record.get("vocabulary", ""))
        for number, row in enumerate(read_rows(table)):
            if row["clip_id"] in records:
                examples.append(_make_example(row, records[row["clip_id"]], split, table, number))
    if not examples:
        raise DatasetError(
            f"{folder}: no clip has an emotion", "Type: deemo push PROJECT, deemo pull PROJECT, deemo export PROJECT"
        )
    splits = {e.split for e in examples}
    warnings = tuple(f"no clip of split {s} has an emotion" for s in SPLITS if s not in splits)
    examples.sort(key=lambda e: (SPLITS.index(e.split), e.clip_id))
    return Dataset(folder, tuple(examples), names["emotion"], names["events.label"], tuple(vocabularies), warnings)


def _read_class_names(table: Path, config: str) -> dict[str, tuple[str, ...]]:
    """Class names of the columns "emotion" and "events.label". Raises DatasetError when the table lacks a required column."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(table)
    if missing := [c for c in REQUIRED_COLUMNS[config] if c not in schema.names]:
        raise DatasetError(f"config {config}: {table} has no column {missing[0]}", EXPORT_ADVICE)
    names_of_column = {k: tuple(v) for k, v in class_names(schema).items()}
    for column in ("emotion", "sentiment") if config == "mer" else ("annotation", "events.label"):
        if column not in names_of_column:
            raise DatasetError(f"config {config}: column {column} of {table} does not name its classes", EXPORT_ADVICE)
    return {k: v for k, v in names_of_column.items() if k in ("emotion", "events.label")}


def _make_example(row: Mapping[str, Any], records: list[dict[str, Any]], split: str, table: Path, number: int) -> Example:
    """The example of a row of table nfbl and of the clip's records in table mer; number: of the row in its file."""
    first = next((r for r in records if r["task"] == "recognition" and r["response"] == r["emotion"]), records[0])
    reason = next((r for r in records if r["task"] == "reasoning"), {"response": "", "instruction": ""})
    video = table.parent / row["file_name"]
    if not video.is_file():
        raise DatasetError(f"clip {row['clip_id']}: its video {video} is not there", EXPORT_ADVICE)
    consent = row["consent"] or {"statement": "", "asserted": False}
    facts = {
        "consent": consent["statement"], "asserted": consent["asserted"], "licence": row["licence"] or "",
        "fps": f"{row['fps_num']}/{row['fps_den']}", "width": row["width"], "height": row["height"],
        "annotation": row["annotation"],
    }  # fmt: skip
    return Example(
        clip_id=row["clip_id"], subject_id=row["subject_id"], split=split, emotion=first["emotion"],
        sentiment=first["sentiment"], transcript=row["transcript"] or "", emotion_words=tuple(first["emotion_words"] or ()),
        clues={m: (first["clues"] or {}).get(m) or "" for m in ("video", "audio", "text")},
        instruction=first["instruction"], reasoning=reason["response"], reasoning_instruction=reason["instruction"],
        events=tuple((e["start_frame"], e["end_frame"], e["label"]) for e in row["events"] or ()),
        events_annotated=row["annotation"] != "none", fps=row["fps_num"] / row["fps_den"], num_frames=row["num_frames"],
        duration_ms=row["duration_ms"], width=row["width"], height=row["height"], video_bytes=video.stat().st_size,
        source_facts=facts, video=video, table=table, row=number,
    )  # fmt: skip


@lru_cache(maxsize=len(SPLITS))
def _find_row_groups(table: Path, stamp: int) -> tuple[tuple[int, int], ...]:
    """For each row of a table: (number of its row group, first row of that group).

    stamp  modification time of the file: a table that was written again is read again
    """
    import pyarrow.parquet as pq

    def each() -> Iterator[tuple[int, int]]:
        first = 0
        meta = pq.read_metadata(table)
        for group in range(meta.num_row_groups):
            count = meta.row_group(group).num_rows
            yield from [(group, first)] * count
            first += count

    return tuple(each())


@lru_cache(maxsize=MAX_CACHED_ROW_GROUPS)
def _read_row_group(table: Path, stamp: int, group: int) -> Any:
    """The long columns of one row group, as a pyarrow table."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(table).read_row_group(group, columns=list(LONG_COLUMNS)).combine_chunks()


def _value_at(column: Any, place: int) -> Any:
    """The value of a pyarrow column at a row: a list as a NumPy array (without Python numbers in between), others as they are."""
    value = column[place]
    return value.values.to_numpy(zero_copy_only=False) if hasattr(value, "values") else value.as_py()
