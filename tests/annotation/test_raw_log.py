"""What was pulled: once, with a checksum, without names, and what is gone there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deemo_data.annotation.raw_log import RawLog, snapshot_of
from deemo_data.errors import LabelError

SECRET = b"k" * 32


def task(*annotations: dict[str, Any], id_: int = 7) -> dict[str, Any]:
    return {
        "id": id_,
        "project": 2,
        "created_at": "then",
        "data": {"clip": "c-1"},
        "annotations": list(annotations),
        "updated_by": 3,
    }


def annotation(**more: Any) -> dict[str, Any]:
    return {"id": 1, "completed_by": 3, "created_username": "ann@example.com, 3", "result": []} | more


def test_what_is_as_before_is_not_new(tmp_path: Path) -> None:
    held = snapshot_of(task(annotation()), SECRET)
    log = RawLog(tmp_path / "p.jsonl", "v 1")
    assert log.is_new("k", held)
    log.record({"k": held}, {"k": "noon"})
    assert not log.is_new("k", held)
    again = RawLog(tmp_path / "p.jsonl", "v 1")
    assert again.is_current("k", "noon")
    assert not again.is_current("k", "later")
    assert not RawLog(tmp_path / "p.jsonl", "v 2").is_current("k", "noon")
    assert not again.is_new("k", held)
    assert again.is_new("k", snapshot_of(task(annotation(result=[{"id": "r"}])), SECRET))
    assert RawLog(tmp_path / "p.jsonl", "v 2").is_new("k", held), "with another vocabulary everything is read anew"


def test_nobodys_name_is_kept(tmp_path: Path) -> None:
    held = snapshot_of(task(annotation(completed_by={"id": 3, "email": "ann@example.com"})), SECRET)
    RawLog(tmp_path / "p.jsonl", "v").record({"k": held}, {"k": "noon"})
    assert "ann@" not in (tmp_path / "p.jsonl").read_text()
    assert held["annotations"][0]["by"] == snapshot_of(task(annotation()), SECRET)["annotations"][0]["by"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    RawLog(tmp_path / "p.jsonl", "v").record(
        {"k": snapshot_of(task(annotation()), SECRET), "l": snapshot_of(task(id_=8), SECRET)}, {}
    )
    first, second = (tmp_path / "p.jsonl").read_text().splitlines()
    row = json.loads(second)
    row["held"]["id"] = 9
    (tmp_path / "p.jsonl").write_text(f"{first}\n{json.dumps(row)}\n")
    with pytest.raises(LabelError, match=r"p\.jsonl line 2 is damaged"):
        RawLog(tmp_path / "p.jsonl", "v")


def test_what_is_gone_there_is_told_once(tmp_path: Path) -> None:
    log = RawLog(tmp_path / "p.jsonl", "v")
    log.record({"k": snapshot_of(task(annotation()), SECRET), "l": snapshot_of(task(id_=8), SECRET)}, {})
    assert log.record_deleted({"k"}) == ["c-1"]
    assert log.record_deleted({"k"}) == []
    assert RawLog(tmp_path / "p.jsonl", "v").record_deleted({"k"}) == []
    assert '"clip": "c-1"' in (tmp_path / "p.jsonl").read_text(), "what it held is kept"
