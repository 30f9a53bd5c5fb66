"""The writer of tables: a page at a time, the same bytes, and nothing where there is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value

from deemo_data.dataset.tables import ROWS_PER_GROUP, TableWriter, to_arrow
from deemo_data.files import staged

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
