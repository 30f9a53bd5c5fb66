"""A dataset folder as the baseline sees it: one example a clip that has an emotion; its curves and pictures are read later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Clip, Grid
from deemo_data.dataset.counts import class_names, rows_of
from deemo_data.dataset.layout import SPLITS, TABLES
from deemo_data.errors import DatasetError
from deemo_data.files import File

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NEEDED = {
    "nfbl": ("clip_id", "subject_id", "file_name", "fps_num", "fps_den", "num_frames", "duration_ms", "width", "height",
             "annotation", "events", "body", "body_confidence", "body_frames", "body_people", "body_points", "body_dims",
             "prosody_f0", "prosody_energy", "prosody_rate", "transcript", "consent", "licence"),
    "mer": ("clip_id", "task", "instruction", "response", "emotion", "sentiment", "emotion_words", "clues"),
}  # fmt: skip
AGAIN = "Type: deemo export PROJECT, it writes the dataset anew with every column"
VOICE = ("f0", "energy", "voiced", "rate")  # columns of Example.voice
PAGES = 8  # row groups of long columns that are kept


@dataclass(frozen=True)
class Example:
    """A clip with an emotion: what was said about it, and where its curves and pictures lie.

    words        open-vocabulary emotion words of its annotators
    clues        "video", "audio" and "text" -> what they wrote; "" where nobody did
    instruction  the question of the list of emotions, as its record asks it
    reasoning    the first reasoning of its records; "" if there is none
    asked        the instruction of that reasoning; "" if there is none
    events       (start_frame, end_frame, class) of body language, half-open
    looked_at    whether anybody looked for body language (else no events say nothing)
    bytes        of the video file
    source_facts consent, asserted, licence, fps, width, height, annotation: what could tell a source from another
    table, row   where its long columns lie
    """

    clip_id: str
    subject_id: str
    split: str
    emotion: str
    sentiment: str
    transcript: str
    words: tuple[str, ...]
    clues: Mapping[str, str]
    instruction: str
    reasoning: str
    asked: str
    events: tuple[tuple[int, int, str], ...]
    looked_at: bool
    fps: float
    num_frames: int
    duration_ms: int
    width: int
    height: int
    bytes: int
    source_facts: Mapping[str, Any]
    video: Path
    table: Path
    row: int

    def body(self) -> NDArray[np.float32]:
        """(frames, points, 4) float32: x, y, z and confidence of the first person; all 0 where nothing was found."""
        import numpy as np

        columns = self._columns()
        shape = [columns[f"body_{n}"] for n in ("frames", "people", "points", "dims")]
        points = columns["body"].astype(np.float32).reshape(shape)[:, 0]
        sure = columns["body_confidence"].astype(np.float32).reshape(shape[:3])[:, 0]
        found = np.isfinite(points).all(axis=-1) & np.isfinite(sure)
        both = np.concatenate([points, sure[..., None]], axis=-1)
        return np.where(found[..., None], both, np.float32(0))

    def voice(self) -> NDArray[np.float32]:
        """(steps of 10 ms, 4) float32, columns VOICE: semitones, dB around the clip's median, 1 where voiced, onsets a second.

        F0 is interpolated over pauses and centred on the median of the voiced steps: what rises then still rises.
        """
        import numpy as np

        columns = self._columns()
        tones, loud, rate = (columns[f"prosody_{n}"].astype(np.float32) for n in ("f0", "energy", "rate"))
        voiced = np.isfinite(tones)
        if voiced.any():
            steps = np.arange(len(tones))
            tones = np.interp(steps, steps[voiced], tones[voiced] - np.median(tones[voiced]))
        else:
            tones = np.zeros(len(tones))
        loud = loud - np.median(loud) if len(loud) else loud
        return np.stack([tones, loud, voiced, rate], axis=1).astype(np.float32)

    def frames(self, count: int, size: int) -> NDArray[np.uint8]:
        """(count, size, size, 3) uint8, red first: pictures of the masked clip, evenly spaced, squeezed to a square."""
        import numpy as np

        from deemo_data.media.frames import read_frames

        wanted = [(2 * k + 1) * self.num_frames // (2 * count) for k in range(count)]
        made = {f.index: f.rgb(size, size) for f in read_frames(self._clip()) if f.index in set(wanted)}
        return np.stack([made[k] for k in wanted])

    def sound(self) -> NDArray[np.float32]:
        """(samples,) float32, mono at 16 kHz: the altered voice; silence where the clip has no sound track."""
        from deemo_data.media.sound import read_sound

        return read_sound(self._clip())

    def _clip(self) -> Clip:
        fps = Fraction(self.source_facts["fps"])
        grid = Grid(fps, False, Fraction(0), self.num_frames, self.width, self.height)
        return Clip(
            self.clip_id, self.clip_id, 0, self.duration_ms, {"source": File(str(self.video), "")}, {"grid": grid.to_fact()}
        )

    def _columns(self) -> dict[str, Any]:
        stamp = self.table.stat().st_mtime_ns
        group, first = _groups(self.table, stamp)[self.row]
        page = _page(self.table, stamp, group)
        return {name: _values(page[name], self.row - first) for name in page.column_names}


@dataclass(frozen=True)
class Dataset:
    """The examples of a folder.

    emotions, classes  the names of its emotions and of its classes of body language, in the order of their numbers
    vocabularies       name and version of those that its records carry
    warnings           what somebody who trains on it should know
    """

    folder: Path
    examples: tuple[Example, ...]
    emotions: tuple[str, ...]
    classes: tuple[str, ...]
    vocabularies: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def of(self, split: str) -> tuple[Example, ...]:
        """The examples of a split, by clip id."""
        return tuple(e for e in self.examples if e.split == split)


def load(folder: Path) -> Dataset:
    """The examples of a dataset folder, or of the dataset of a project folder, ordered by split and clip id.

    Raises DatasetError, naming the column, where one that is needed is missing, and where no clip has an emotion.
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
        names |= _names(table, "nfbl") | (_names(mer, "mer") if mer.is_file() else {})
        said = list(rows_of(mer))
        records: dict[str, list[dict[str, Any]]] = {}
        for record in said:
            records.setdefault(record["clip_id"], []).append(record)
            vocabularies.setdefault(record.get("vocabulary", ""))
        for number, row in enumerate(rows_of(table)):
            if row["clip_id"] in records:
                examples.append(_example(row, records[row["clip_id"]], split, table, number))
    if not examples:
        raise DatasetError(
            f"{folder}: no clip has an emotion", "Type: deemo push PROJECT, deemo pull PROJECT, deemo export PROJECT"
        )
    here = {e.split for e in examples}
    warnings = tuple(f"no clip of split {s} has an emotion" for s in SPLITS if s not in here)
    examples.sort(key=lambda e: (SPLITS.index(e.split), e.clip_id))
    return Dataset(folder, tuple(examples), names["emotion"], names["events.label"], tuple(vocabularies), warnings)


def _names(table: Path, config: str) -> dict[str, tuple[str, ...]]:
    """The class names of a table's columns, after a look at whether it has all that are needed."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(table)
    if lacking := [c for c in NEEDED[config] if c not in schema.names]:
        raise DatasetError(f"config {config}: {table} has no column {lacking[0]}", AGAIN)
    found = {k: tuple(v) for k, v in class_names(schema).items()}
    for column in ("emotion", "sentiment") if config == "mer" else ("annotation", "events.label"):
        if column not in found:
            raise DatasetError(f"config {config}: column {column} of {table} does not name its classes", AGAIN)
    return {k: v for k, v in found.items() if k in ("emotion", "events.label")}


def _example(row: Mapping[str, Any], records: list[dict[str, Any]], split: str, table: Path, number: int) -> Example:
    first = next((r for r in records if r["task"] == "recognition" and r["response"] == r["emotion"]), records[0])
    reason = next((r for r in records if r["task"] == "reasoning"), {"response": "", "instruction": ""})
    video = table.parent / row["file_name"]
    if not video.is_file():
        raise DatasetError(f"clip {row['clip_id']}: its video {video} is not there", AGAIN)
    consent = row["consent"] or {"statement": "", "asserted": False}
    facts = {
        "consent": consent["statement"], "asserted": consent["asserted"], "licence": row["licence"] or "",
        "fps": f"{row['fps_num']}/{row['fps_den']}", "width": row["width"], "height": row["height"],
        "annotation": row["annotation"],
    }  # fmt: skip
    return Example(
        clip_id=row["clip_id"], subject_id=row["subject_id"], split=split, emotion=first["emotion"],
        sentiment=first["sentiment"], transcript=row["transcript"] or "", words=tuple(first["emotion_words"] or ()),
        clues={m: (first["clues"] or {}).get(m) or "" for m in ("video", "audio", "text")},
        instruction=first["instruction"], reasoning=reason["response"], asked=reason["instruction"],
        events=tuple((e["start_frame"], e["end_frame"], e["label"]) for e in row["events"] or ()),
        looked_at=row["annotation"] != "none", fps=row["fps_num"] / row["fps_den"], num_frames=row["num_frames"],
        duration_ms=row["duration_ms"], width=row["width"], height=row["height"], bytes=video.stat().st_size,
        source_facts=facts, video=video, table=table, row=number,
    )  # fmt: skip


LONG = ("body", "body_confidence", "body_frames", "body_people", "body_points", "body_dims", "prosody_f0", "prosody_energy",
        "prosody_rate")  # fmt: skip


@lru_cache(maxsize=len(SPLITS))
def _groups(table: Path, stamp: int) -> tuple[tuple[int, int], ...]:
    """Of each row: its row group, and that group's first row. `stamp`: a table written anew is read anew."""
    import pyarrow.parquet as pq

    def each() -> Iterator[tuple[int, int]]:
        first = 0
        meta = pq.read_metadata(table)
        for group in range(meta.num_row_groups):
            count = meta.row_group(group).num_rows
            yield from [(group, first)] * count
            first += count

    return tuple(each())


@lru_cache(maxsize=PAGES)
def _page(table: Path, stamp: int, group: int) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(table).read_row_group(group, columns=list(LONG)).combine_chunks()


def _values(column: Any, place: int) -> Any:
    """A list as an array, without Python numbers between; any other value as it is."""
    value = column[place]
    return value.values.to_numpy(zero_copy_only=False) if hasattr(value, "values") else value.as_py()
