"""The Parquet tables of a dataset: their columns and types, and a writer that holds one row group in memory.

The columns are those of the models in records.py, with two differences: classes are stored as numbers (ClassLabel), and `video`
is called `file_name`, from which the loader of `datasets` makes `video`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.labels.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features


ANNOTATION_LEVELS = ["none", "proposed", "single", "reviewed", "adjudicated"]
RECORD_STATUSES = [*ANNOTATION_LEVELS, "drafted"]
AUTHOR_FIELDS = ["response", "clue_video", "clue_audio", "clue_text"]
AUTHOR_WAYS = ["chosen", "written", "edited", "drafted", "unknown"]
BODY_UNITS = ["picture", "shoulders"]  # shares of the picture, or shoulder widths from the middle of the shoulders
OPTIONAL_COLUMNS = ("authors",)  # lists that rows of earlier versions lack
ROWS_PER_GROUP = {
    "nfbl": 16,
    "mer": 256,
}  # a reader loads one row group at a time: 16 rows of nfbl have about 1 MB of body points


def nfbl_features(vocabulary: Nfbl) -> Features:
    """The columns of config nfbl."""
    from datasets import ClassLabel, Features, List, Value

    event = {
        "start_ms": Value("int64"), "end_ms": Value("int64"), "start_frame": Value("int32"), "end_frame": Value("int32"),
        "label": ClassLabel(names=vocabulary.labels), "group": ClassLabel(names=list(vocabulary.groups)),
        "annotators": Value("int32"), "agreement": Value("float32"), "status": ClassLabel(names=ANNOTATION_LEVELS),
        "truncated": Value("bool"),
    }  # fmt: skip
    text, number, float16_list = Value("string"), Value("int32"), List(Value("float16"))
    return Features({
        "clip_id": text, "subject_id": text, "subject_assumed": Value("bool"), "file_name": text, "fps": Value("float64"),
        "fps_num": number, "fps_den": number, "num_frames": number, "duration_ms": Value("int64"), "width": number,
        "height": number, "annotation": ClassLabel(names=ANNOTATION_LEVELS), "events": List(event), "body": float16_list,
        "body_confidence": float16_list,
        "body_frames": number, "body_people": number, "body_points": number, "body_dims": number,
        "body_unit": ClassLabel(names=BODY_UNITS), "prosody_f0": float16_list, "prosody_energy": float16_list,
        "prosody_rate": float16_list, "transcript": text,
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
        "status": ClassLabel(names=RECORD_STATUSES), "vocabulary": text,
        "authors": List({
            "field": ClassLabel(names=AUTHOR_FIELDS), "annotator": text, "how": ClassLabel(names=AUTHOR_WAYS), "text": text,
        }),
    })  # fmt: skip


class TableWriter:
    """Writes a Parquet file row group by row group. Only the rows of one group are in memory. Without a row there is no file."""

    def __init__(self, path: Path, features: Features, rows_per_group: int) -> None:
        self.path, self.features, self.rows_per_group = path, features, rows_per_group
        self.rows = 0
        self._pending: list[dict[str, Any]] = []
        self._writer: Any = None

    def add(self, row: dict[str, Any]) -> None:
        self._pending.append(row)
        self.rows += 1
        if len(self._pending) == self.rows_per_group:
            self._flush()

    def close(self) -> int:
        """Write the last rows and close the file. Returns how many rows it has."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
        return self.rows

    def _flush(self) -> None:
        import pyarrow.parquet as pq

        if not self._pending:
            return
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            schema = self.features.arrow_schema
            # No byte_stream_split: of half floats DuckDB cannot read it. docs/decisions/0004-dataset-layout.md has the sizes.
            self._writer = pq.ParquetWriter(self.path, schema, compression="zstd", use_dictionary=False)
        self._writer.write_table(to_arrow(self._pending, self.features), row_group_size=self.rows_per_group)
        self._pending = []


def to_arrow(rows: Sequence[dict[str, Any]], features: Features) -> pa.Table:
    """Rows as an Arrow table whose schema carries the features. Lists that are Arrow arrays are joined without Python numbers."""
    import pyarrow as pa

    schema = features.arrow_schema
    columns = []
    for column in schema:
        values = [row.get(column.name, []) if column.name in OPTIONAL_COLUMNS else row[column.name] for row in rows]
        if values and isinstance(values[0], pa.Array):
            offsets = [0]
            for value in values:
                offsets.append(offsets[-1] + len(value))
            lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.concat_arrays(values))
            columns.append(lists.cast(column.type))
        else:
            columns.append(pa.array([_encode_classes(v, features[column.name]) for v in values], column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _encode_classes(value: Any, feature: Any) -> Any:
    """A value with class names replaced by the numbers that ClassLabel stores."""
    if isinstance(feature, dict):
        return {k: _encode_classes(value[k], f) for k, f in feature.items()}
    if hasattr(feature, "str2int"):
        return feature.str2int(value)
    if hasattr(feature, "feature"):
        return [_encode_classes(v, feature.feature) for v in value]
    return value
