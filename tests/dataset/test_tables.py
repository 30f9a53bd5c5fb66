"""The writer of tables: a page at a time, the same bytes, and nothing where there is nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value

from deemo_data.baseline.data import load_dataset
from deemo_data.dataset.layout import FLOAT16_COLUMNS
from deemo_data.dataset.tables import ROWS_PER_GROUP, TableWriter, to_arrow
from deemo_data.dataset.validation.dataset import validate_dataset
from deemo_data.files import staged
from tests.makers.documents import build_dataset

FEATURES = Features({"id": Value("string"), "kind": ClassLabel(names=["a", "b"]), "body": List(Value("float16"))})


def row(number: int) -> dict[str, object]:
    return {"id": str(number), "kind": "ab"[number % 2], "body": pa.array(np.arange(number, dtype=np.float16))}


def test_rows_come_back_in_pages(tmp_path: Path) -> None:
    path = tmp_path / "t" / "metadata.parquet"
    with staged(path) as staging:
        table = TableWriter(staging, FEATURES, 4)
        for number in range(10):
            table.add(row(number))
        assert len(table._pending) == 2, "it holds no more than a page"
        assert table.close() == 10
        assert not path.exists(), "it lies aside until it is put in its place"
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)] == [4, 4, 2]
    read = file.read().to_pylist()
    assert [r["kind"] for r in read] == [0, 1] * 5
    assert [len(r["body"]) for r in read] == list(range(10))
    assert Features.from_arrow_schema(file.schema_arrow) == FEATURES


def test_without_a_row_there_is_no_file(tmp_path: Path) -> None:
    table = TableWriter(tmp_path / "t" / "metadata.parquet", FEATURES, 4)
    assert table.close() == 0
    assert list(tmp_path.iterdir()) == []


def test_half_floats_are_not_touched(tmp_path: Path) -> None:
    values = np.array([np.nan, -0.0, 6e-8, 65504], np.float16)
    made = to_arrow([{"id": "x", "kind": "a", "body": pa.array(values)}], FEATURES)
    assert made["body"].combine_chunks().flatten().to_numpy(zero_copy_only=False).tobytes() == values.tobytes()


def test_a_class_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="c"):
        to_arrow([{"id": "x", "kind": "c", "body": pa.array([], pa.float16())}], FEATURES)


def test_pages_are_what_a_reader_takes_at_once() -> None:
    assert ROWS_PER_GROUP["nfbl"] <= 32, "a row of 10 s has some 100 kB of body points"


def test_half_floats_are_written_as_common_readers_read_them(tmp_path: Path) -> None:
    """DuckDB cannot read half floats under BYTE_STREAM_SPLIT; under PLAIN it can, as Polars and pandas can."""
    table = TableWriter(tmp_path / "t.parquet", FEATURES, 4)
    for number in range(1, 6):
        table.add(row(number))
    table.close()
    meta = pq.read_metadata(tmp_path / "t.parquet")
    columns = [meta.row_group(g).column(c) for g in range(meta.num_row_groups) for c in range(meta.num_columns)]
    assert {e for c in columns for e in c.encodings} <= {"PLAIN", "RLE"}
    assert {c.compression for c in columns} == {"ZSTD"}


def test_tables_of_earlier_versions_are_read(tmp_path: Path) -> None:
    dataset = build_dataset(tmp_path / "made")
    for path in dataset.rglob("*.parquet"):
        old = pq.read_table(path)
        half = [f"{n}.list.element" for n in FLOAT16_COLUMNS if n in old.column_names]
        old = old.drop_columns(["authors"]) if "authors" in old.column_names else old
        pq.write_table(old, path, compression="zstd", use_dictionary=False, use_byte_stream_split=half or False)
        manifest = json.loads((dataset / "deemo.json").read_text())
        manifest["files"][path.relative_to(dataset).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        (dataset / "deemo.json").write_text(json.dumps(manifest))
    faults = [str(f) for f in validate_dataset(dataset) if f.level == "error"]
    assert [f for f in faults if "croissant.json" not in f] == [], "only the documents still describe other files"
    assert np.isfinite(load_dataset(dataset).examples[0].read_body()).all()
