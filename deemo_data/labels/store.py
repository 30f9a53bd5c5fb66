"""Reads and writes labels/: append-only JSONL files of labels, and the push ledger that says what annotators were shown.

A row of a label file is a Label with a key, or the deletion of a key: {"key": …, "deleted": true}. The last row of a key is in
force. A key says which region of which annotation the label came from; its part before the first "/" is a Label Studio task.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from deemo_data.errors import LabelError
from deemo_data.files import append_lines, read_lines
from deemo_data.labels.label import Label, PushRecord

LEDGER_FILE = "pushed.jsonl"


def record_pushed(folder: Path, records: Iterable[PushRecord]) -> None:
    """Append to the ledger what is about to be shown; records that it already has are not written again."""
    existing = {_digest_of(vars(record)) for record in read_ledger(folder)}
    new = [vars(record) for record in records if _digest_of(vars(record)) not in existing]
    append_lines(folder / LEDGER_FILE, [{k: v for k, v in row.items() if k != "drafts" or v} for row in new])


def read_ledger(folder: Path) -> list[PushRecord]:
    """All push records, oldest first. Raises LabelError when a line is not a push record."""
    records = []
    for number, _, row in read_lines(folder / LEDGER_FILE):
        try:
            record = PushRecord(**row)
            times = (record.start_ms, record.end_ms, record.num_frames, record.first_frame)
            names = (record.clip, record.source, record.fps, record.template)
            if not all(isinstance(name, str) for name in names) or Fraction(record.fps) <= 0:
                raise ValueError("a name or a rate is none")
            if not all(type(x) is int for x in times):
                raise ValueError("a time is no whole number")
            if not all(isinstance(text, str) for pair in (record.drafts or {}).items() for text in pair):
                raise ValueError("the digest of a draft is none")
        except (AttributeError, TypeError, ValueError, ZeroDivisionError) as e:
            raise LabelError(f"{LEDGER_FILE} line {number}: {e}", "Put the file back from your backup") from e
        records.append(record)
    return records


def read_labels(folder: Path) -> list[Label]:
    """The labels in force in all files of labels/, in order of their keys. Raises LabelError when a row is not a label."""
    labels: dict[str, Label] = {}
    for name, row in _read_rows(folder):
        key = row.pop("key")
        if row.get("deleted"):
            labels.pop(key, None)
            continue
        try:
            label = labels[key] = Label(**row)
            if not (type(label.start_ms) is type(label.end_ms) is int and label.start_ms < label.end_ms):
                raise TypeError(f"{label.start_ms}-{label.end_ms} ms is no span")
            if not all(isinstance(x, str) for x in (label.clip, label.source, label.kind, label.annotator)):
                raise TypeError(f"label {key}: a name is no text")
        except TypeError as e:
            raise LabelError(f"{name}: {e}", "Was it written by another version of deemo?") from e
    return [label for _, label in sorted(labels.items(), key=lambda kv: kv[0])]


@dataclass(frozen=True)
class ChangeCounts:
    """How many labels in force an update added, changed, deleted and left the same."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    same: int = 0

    def __add__(self, other: ChangeCounts) -> ChangeCounts:
        return ChangeCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


class LabelStore:
    """The labels in force in a folder, held as digests only: enough to see which labels are new, in little memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._digests: dict[str, dict[str, str]] = {}  # {task: {key: digest of the row}}
        for _, row in _read_rows(folder):
            self._index_row(row)

    def keys_of_task(self, task: str) -> list[str]:
        """The keys of the labels in force that came from a Label Studio task, sorted."""
        return sorted(self._digests.get(task, ()))

    def update_labels(
        self,
        name: str,
        labels: dict[str, Label],
        deleted: Iterable[str] = (),
        on_new_labels: Callable[[list[Label]], object] = lambda labels: None,
    ) -> ChangeCounts:
        """Append labels to labels/NAME.jsonl: one row per new or changed label, and one per deleted label.

        labels         {key: label}; a label that is in force already adds nothing
        deleted        keys of labels that no longer exist; those in `labels` or not in force are ignored
        on_new_labels  called with the new and changed labels before they are written
        """
        rows: list[dict[str, Any]] = [{"key": key, **vars(label)} for key, label in labels.items()]
        new_rows = [(row, digest) for row in rows if (digest := _digest_of(row)) != self._digest_of_key(row["key"])]
        on_new_labels([labels[row["key"]] for row, _ in new_rows])
        added = sum(not self._digest_of_key(row["key"]) for row, _ in new_rows)
        deletions = [{"key": key, "deleted": True} for key in sorted(set(deleted) - set(labels)) if self._digest_of_key(key)]
        append_lines(self.folder / f"{name}.jsonl", [*(row for row, _ in new_rows), *deletions])
        for row, digest in new_rows:
            self._index_row(row, digest)
        for row in deletions:
            self._index_row(row)
        return ChangeCounts(added, len(new_rows) - added, len(deletions), len(labels) - len(new_rows))

    def _digest_of_key(self, key: str) -> str:
        return self._digests.get(key.split("/")[0], {}).get(key, "")

    def _index_row(self, row: dict[str, Any], digest: str = "") -> None:
        keys = self._digests.setdefault(row["key"].split("/")[0], {})
        if row.get("deleted"):
            keys.pop(row["key"], None)
        else:
            keys[row["key"]] = digest or _digest_of(row)


def update_labels(folder: Path, name: str, labels: dict[str, Label], deleted: Iterable[str] = ()) -> ChangeCounts:
    """`LabelStore.update_labels` for a single update of a folder."""
    return LabelStore(folder).update_labels(name, labels, deleted)


def _read_rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file name, row) of every row of the label files, deletions included."""
    for path in sorted(folder.glob("*.jsonl")):
        if path.name != LEDGER_FILE:
            for _, _, row in read_lines(path):
                if not isinstance(row.get("key"), str):
                    raise LabelError(f"{path.name}: a line has no key", "Put the file back from your backup")
                yield path.name, row


def _digest_of(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:32]
