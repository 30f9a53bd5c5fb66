"""What was pulled: once, with a checksum, without names, and what is gone there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deemo_data.annotation.raw_log import Log, snapshot
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
    held = snapshot(task(annotation()), SECRET)
    log = Log(tmp_path / "p.jsonl", "v 1")
    assert log.is_new("k", held)
    log.note({"k": held}, {"k": "noon"})
    assert not log.is_new("k", held)
    again = Log(tmp_path / "p.jsonl", "v 1")
    assert again.is_current("k", "noon")
    assert not again.is_current("k", "later")
    assert not Log(tmp_path / "p.jsonl", "v 2").is_current("k", "noon")
    assert not again.is_new("k", held)
    assert again.is_new("k", snapshot(task(annotation(result=[{"id": "r"}])), SECRET))
    assert Log(tmp_path / "p.jsonl", "v 2").is_new("k", held), "with another vocabulary everything is read anew"


def test_nobodys_name_is_kept(tmp_path: Path) -> None:
    held = snapshot(task(annotation(completed_by={"id": 3, "email": "ann@example.com"})), SECRET)
    Log(tmp_path / "p.jsonl", "v").note({"k": held}, {"k": "noon"})
    assert "ann@" not in (tmp_path / "p.jsonl").read_text()
    assert held["annotations"][0]["by"] == snapshot(task(annotation()), SECRET)["annotations"][0]["by"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    Log(tmp_path / "p.jsonl", "v").note({"k": snapshot(task(annotation()), SECRET), "l": snapshot(task(id_=8), SECRET)}, {})
    first, second = (tmp_path / "p.jsonl").read_text().splitlines()
    row = json.loads(second)
    row["held"]["id"] = 9
    (tmp_path / "p.jsonl").write_text(f"{first}\n{json.dumps(row)}\n")
    with pytest.raises(LabelError, match=r"p\.jsonl line 2 is damaged"):
        Log(tmp_path / "p.jsonl", "v")


def test_what_is_gone_there_is_told_once(tmp_path: Path) -> None:
    log = Log(tmp_path / "p.jsonl", "v")
    log.note({"k": snapshot(task(annotation()), SECRET), "l": snapshot(task(id_=8), SECRET)}, {})
    assert log.note_gone({"k"}) == ["c-1"]
    assert log.note_gone({"k"}) == []
    assert Log(tmp_path / "p.jsonl", "v").note_gone({"k"}) == []
    assert '"clip": "c-1"' in (tmp_path / "p.jsonl").read_text(), "what it held is kept"
