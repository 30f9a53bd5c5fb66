"""What is counted in the tables is what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from deemo_data.dataset import counts
from tests.makers.documents import build_dataset


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return counts.count_dataset(build_dataset(tmp_path_factory.mktemp("counts")))


def test_totals(counted: dict[str, Any]) -> None:
    assert {k: counted[k] for k in ("clips", "subjects", "subjects_assumed", "events", "records", "transcripts", "names")} == {
        "clips": 6, "subjects": 5, "subjects_assumed": 0, "events": 10, "records": 5, "transcripts": 6, "names": 6}  # fmt: skip
    assert counted["seconds"] == 4.0, "six of 667 ms"
    assert counted["annotation"] == {"none": 1, "reviewed": 4, "single": 1}
    assert counted["people"] == {"1": 6, "2": 4}
    assert counted["emotions"] == {"happy": 4, "sad": 1}
    assert counted["leaks"]["looked_at"] == 120
    assert counted["consent"] == {"test media": 6}
    assert counted["asserted"] == 6
    assert counted["rates"] == {"30000/1001": 6}
    assert counted["lengths"] == {"   0": 6}


def test_splits_add_up(counted: dict[str, Any]) -> None:
    assert list(counted["splits"]) == ["train", "validation", "test"]
    for key in ("clips", "subjects", "events", "records"):
        assert sum(row[key] for row in counted["splits"].values()) == counted[key]


def test_classes_and_what_they_come_with(counted: dict[str, Any]) -> None:
    assert counted["classes"]["Folding arms"] == {
        "group": "self-protective", "events": 5, "median_ms": 200, "clips": 5, "subjects": 5}  # fmt: skip
    assert counted["together"]["happy"] == {"Folding arms": 4, "Head up": 4}
    assert counted["together"]["sad"] == {"Folding arms": 1, "Head up": 1}


def test_tables_that_are_no_longer_part_of_it_are_not_counted(tmp_path: Path) -> None:
    folder = build_dataset(tmp_path)
    whole = counts.count_dataset(folder)
    some = counts.count_dataset(folder, of={"train/metadata.parquet"})
    assert some["clips"] == whole["splits"]["train"]["clips"] < whole["clips"]
    assert some["records"] == 0


def test_an_empty_folder(tmp_path: Path) -> None:
    nothing = counts.count_dataset(tmp_path)
    assert (nothing["clips"], nothing["splits"], nothing["classes"]) == (0, {}, {})


def test_numbers_without_a_name() -> None:
    assert counts.decode_classes({"a": [{"b": 1}, {"b": 9}, {"b": -1}]}, {"a.b": ["x", "y"]}) == {
        "a": [{"b": "y"}, {"b": "number 9"}, {"b": "number -1"}]
    }
    assert counts.class_names(pa.schema([("a", pa.int64())])) == {}
