"""Labels/*.jsonl, append-only, and the push ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from deemo_data.errors import LabelError
from deemo_data.files import append_lines, read_whole_lines
from deemo_data.labels.label import Label, Pushed

LEDGER = "pushed.jsonl"


def record_pushed(folder: Path, lines: Iterable[Pushed]) -> None:
    """Note in the ledger what is about to be shown; what it knows already is not written again."""
    known = {_said(vars(p)) for p in read_ledger(folder)}
    append_lines(folder / LEDGER, [vars(p) for p in lines if _said(vars(p)) not in known])


def read_ledger(folder: Path) -> list[Pushed]:
    """Everything ever pushed, oldest first."""
    lines = []
    for number, row in enumerate(read_whole_lines(folder / LEDGER), 1):
        try:
            line = Pushed(**row)
            times = (line.start_ms, line.end_ms, line.num_frames, line.first_frame)
            if not all(isinstance(x, str) for x in (line.clip, line.source, line.fps, line.template)) or Fraction(line.fps) <= 0:
                raise ValueError("a name or a rate is none")
            if not all(type(x) is int for x in times):
                raise ValueError("a time is no whole number")
        except (TypeError, ValueError, ZeroDivisionError) as e:
            raise LabelError(f"{LEDGER} line {number}: {e}", "Put the file back from your backup") from e
        lines.append(line)
    return lines


def in_force(folder: Path) -> list[Label]:
    """The labels of all files below labels/ that hold now: of each, the last line, unless that deletes it."""
    found: dict[str, Label] = {}
    for name, row in _all(folder):
        key = row.pop("key")
        if row.get("deleted"):
            found.pop(key, None)
            continue
        try:
            label = found[key] = Label(**row)
            if not (type(label.start_ms) is type(label.end_ms) is int and label.start_ms < label.end_ms):
                raise TypeError(f"{label.start_ms}-{label.end_ms} ms is no span")
            if not all(isinstance(x, str) for x in (label.clip, label.source, label.kind, label.annotator)):
                raise TypeError(f"label {key}: a name is no text")
        except TypeError as e:
            raise LabelError(f"{name}: {e}", "Was it written by another version of deemo?") from e
    return [label for _, label in sorted(found.items(), key=lambda kv: kv[0])]


@dataclass(frozen=True)
class Change:
    """What reading did to the labels in force, in numbers of them."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    same: int = 0

    def __add__(self, other: Change) -> Change:
        mine, theirs = astuple(self), astuple(other)
        return Change(*(m + t for m, t in zip(mine, theirs, strict=True)))


class LabelStore:
    """What labels/ holds, as digests: enough to tell what is new, whatever its size.

    The first part of a key, before its "/", is one of their tasks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._digests: dict[str, dict[str, str]] = {}
        for _, row in _all(folder):
            self._note(row)

    def keys(self, task: str) -> list[str]:
        """The labels in force that came from one of their tasks."""
        return sorted(self._digests.get(task, ()))

    def update(
        self,
        name: str,
        said: dict[str, Label],
        gone: Iterable[str] = (),
        told: Callable[[list[Label]], object] = lambda news: None,
    ) -> Change:
        """Write labels by key into labels/NAME.jsonl: new ones and changed ones as new lines, and a line for each that is gone.

        A key says which region of which annotation it is; the same said twice adds nothing.

        told  hears what is new or changed before it is written
        """
        rows: list[dict[str, Any]] = [{"key": key, **vars(label)} for key, label in said.items()]
        news = [(row, digest) for row in rows if (digest := _said(row)) != self._of(row["key"])]
        told([said[row["key"]] for row, _ in news])
        added = sum(not self._of(row["key"]) for row, _ in news)
        lost = [{"key": key, "deleted": True} for key in sorted(set(gone) - set(said)) if self._of(key)]
        append_lines(self.folder / f"{name}.jsonl", [*(row for row, _ in news), *lost])
        for row, digest in news:
            self._note(row, digest)
        for row in lost:
            self._note(row)
        return Change(added, len(news) - added, len(lost), len(said) - len(news))

    def _of(self, key: str) -> str:
        return self._digests.get(key.split("/")[0], {}).get(key, "")

    def _note(self, row: dict[str, Any], digest: str = "") -> None:
        keys = self._digests.setdefault(row["key"].split("/")[0], {})
        if row.get("deleted"):
            keys.pop(row["key"], None)
        else:
            keys[row["key"]] = digest or _said(row)


def update(folder: Path, name: str, said: dict[str, Label], gone: Iterable[str] = ()) -> Change:
    """`Shelf.update`, once."""
    return LabelStore(folder).update(name, said, gone)


def _all(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file name, row) of everything said, deletions too."""
    for path in sorted(folder.glob("*.jsonl")):
        if path.name != LEDGER:
            for row in read_whole_lines(path):
                if not isinstance(row.get("key"), str):
                    raise LabelError(f"{path.name}: a line has no key", "Put the file back from your backup")
                yield path.name, row


def _said(row: dict[str, Any]) -> str:
    """The digest of a row."""
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:32]
