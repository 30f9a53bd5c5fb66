"""Files of a conversion take their places together, or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from deemo_data.dataset.conversion.writing import ARRAY, StagedFiles


def test_when_one_file_cannot_be_finished_all_stay_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.json", "b.json", "c.json"):
        (tmp_path / name).write_text("[\nOLD\n]\n")
    files = StagedFiles(tmp_path)
    for name in ("a.json", "b.json", "c.json"):
        files.add(name, "NEW", ARRAY)
    full = files._open["b.json"][0]

    def write(text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(full, "write", write)
    with pytest.raises(OSError, match="No space left"):
        files.commit()
    files.discard()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == dict.fromkeys(("a.json", "b.json", "c.json"), "[\nOLD\n]\n")


def test_files_that_are_the_same_are_not_touched(tmp_path: Path) -> None:
    for changed in (1, 0):
        files = StagedFiles(tmp_path)
        files.add("a.json", "NEW", ARRAY)
        assert files.commit() == ["a.json"]
        files.discard()
        assert files.changed == changed
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
