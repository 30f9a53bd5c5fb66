"""The dataset's Parquet tables: their columns and types, and a writer that holds one page of rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.layout import HALVES
from deemo_data.labels.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features


LEVELS = ["none", "proposed", "single", "reviewed", "adjudicated"]
UNITS = ["picture", "shoulders"]  # of body points: shares of the picture, or shoulder widths from between the shoulders
PAGES = {"nfbl": 16, "mer": 256}  # rows of a row group, which is what a reader takes at once: of nfbl some 1 MB of body points


def nfbl_features(vocabulary: Nfbl) -> Features:
    """The columns of config nfbl. `file_name` is what the loader makes `video` of."""
    from datasets import ClassLabel, Features, List, Value

    event = {
        "start_ms": Value("int64"), "end_ms": Value("int64"), "start_frame": Value("int32"), "end_frame": Value("int32"),
        "label": ClassLabel(names=vocabulary.labels), "group": ClassLabel(names=list(vocabulary.groups)),
        "annotators": Value("int32"), "agreement": Value("float32"), "status": ClassLabel(names=LEVELS),
        "truncated": Value("bool"),
    }  # fmt: skip
    text, number, half = Value("string"), Value("int32"), List(Value("float16"))
    return Features({
        "clip_id": text, "subject_id": text, "subject_assumed": Value("bool"), "file_name": text, "fps": Value("float64"),
        "fps_num": number, "fps_den": number, "num_frames": number, "duration_ms": Value("int64"), "width": number,
        "height": number, "annotation": ClassLabel(names=LEVELS), "events": List(event), "body": half, "body_confidence": half,
        "body_frames": number, "body_people": number, "body_points": number, "body_dims": number,
        "body_unit": ClassLabel(names=UNITS), "prosody_f0": half, "prosody_energy": half, "prosody_rate": half,
        "transcript": text,
        "consent": {"statement": text, "asserted": Value("bool")}, "licence": text, "leaks": text,
        "provenance": List({"name": text, "sha256": text}), "vocabulary": text,
    })  # fmt: skip


def mer_features(vocabulary: Emotions) -> Features:
    """The columns of config mer."""
    from datasets import ClassLabel, Features, List, Value

    text = Value("string")
    return Features({
        "record_id": text, "clip_id": text, "subject_id": text, "file_name": text, "transcript": text,
        "task": ClassLabel(names=["recognition", "reasoning"]), "instruction": text, "response": text,
        "emotion": ClassLabel(names=vocabulary.labels), "sentiment": ClassLabel(names=list(vocabulary.sentiments)),
        "emotion_words": List(text), "clues": {"video": text, "audio": text, "text": text},
        "conversations": List({"from": text, "value": text}),
        "evidence": List({"event": text, "start_ms": Value("int64"), "end_ms": Value("int64")}),
        "status": ClassLabel(names=LEVELS), "vocabulary": text,
    })  # fmt: skip


class Table:
    """A table that is being written beside its place. It never holds more than a page; without a row there is no file."""

    def __init__(self, path: Path, features: Features, page: int) -> None:
        self.path, self.features, self.page = path, features, page
        self.aside = path.with_name(f".{path.name}.{os.getpid()}")
        self.rows = 0
        self._heap: list[dict[str, Any]] = []
        self._writer: Any = None

    def add(self, row: dict[str, Any]) -> None:
        self._heap.append(row)
        self.rows += 1
        if len(self._heap) == self.page:
            self._flush()

    def close(self) -> int:
        """How many rows it has."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
        return self.rows

    def _flush(self) -> None:
        import pyarrow.parquet as pq

        if not self._heap:
            return
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            schema = self.features.arrow_schema
            halves = [f"{n}.list.element" for n in HALVES if n in schema.names]
            self._writer = pq.ParquetWriter(
                self.aside, schema, compression="zstd", use_dictionary=False, use_byte_stream_split=halves
            )
        self._writer.write_table(arrow(self._heap, self.features), row_group_size=self.page)
        self._heap = []


def arrow(page: Sequence[dict[str, Any]], features: Features) -> pa.Table:
    """Rows as an Arrow table whose schema carries the features; float16 lists are put together without Python numbers."""
    import pyarrow as pa

    schema = features.arrow_schema
    columns = []
    for column in schema:
        values = [row[column.name] for row in page]
        if values and isinstance(values[0], pa.Array):
            ends = [0]
            for v in values:
                ends.append(ends[-1] + len(v))
            lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.concat_arrays(values))
            columns.append(lists.cast(column.type))
        else:
            columns.append(pa.array([_coded(v, features[column.name]) for v in values], column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _coded(value: Any, feature: Any) -> Any:
    """Class names as the numbers that ClassLabel stores."""
    if isinstance(feature, dict):
        return {k: _coded(value[k], f) for k, f in feature.items()}
    if hasattr(feature, "str2int"):
        return feature.str2int(value)
    if hasattr(feature, "feature"):
        return [_coded(v, feature.feature) for v in value]
    return value
