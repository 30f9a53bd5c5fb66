"""What Label Studio held when labels were pulled, as it said it: a line for each of their tasks, and one more after each change.

    labels/raw/project-N.jsonl   {"task", "clip", "updated_at", "sha256", "held", "read_with"}, or {"task", "gone": true}

It is the raw material of labels/: nothing can fetch it again once it is deleted there. Nobody's name or address is in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container
from pathlib import Path
from typing import Any, NamedTuple

from deemo_data.annotation.results import KEPT_OF_ANNOTATION, annotations_of
from deemo_data.errors import LabelError
from deemo_data.files import append_lines, read_whole_lines
from deemo_data.pseudonyms import pseudonym

KEPT = ("id", "project", "created_at", "data")
KEPT_OF_ANNOTATIONS = (*KEPT_OF_ANNOTATION, "was_cancelled", "prediction", "result")


class Known(NamedTuple):
    """What one of their tasks held when it was pulled: its checksum, the vocabularies it was read with, when it had changed."""

    sha256: str
    read_with: str
    updated_at: str
    clip: str


class Log:
    """What was pulled before from one of their projects. Raises LabelError for a line whose checksum is not right.

    read_with  what else the labels depend on, the vocabularies: after a change everything is read anew
    """

    def __init__(self, path: Path, read_with: str) -> None:
        self.path, self.read_with = path, read_with
        self.known: dict[str, Known] = {}
        for number, row in enumerate(read_whole_lines(path), 1):
            gone = row.get("gone") and "task" in row
            if not gone and ("held" not in row or digest(row["held"]) != row.get("sha256")):
                raise LabelError(f"{path.name} line {number} is damaged", "Put the file back from your backup")
            if gone:
                self.known.pop(row["task"], None)
            else:
                self._know(row)

    def _know(self, row: dict[str, Any]) -> None:
        self.known[row["task"]] = Known(row["sha256"], row["read_with"], row["updated_at"], row["clip"])

    def is_current(self, task: str, updated_at: str) -> bool:
        """Whether it was pulled as it is: nothing of it has changed there since."""
        known = self.known.get(task)
        return known is not None and (known.read_with, known.updated_at) == (self.read_with, updated_at)

    def is_new(self, task: str, held: dict[str, Any]) -> bool:
        known = self.known.get(task)
        return known is None or (known.sha256, known.read_with) != (digest(held), self.read_with)

    def about(self, clips: Container[str]) -> set[str]:
        """Their tasks that are about some clips."""
        return {task for task, known in self.known.items() if known.clip in clips}

    def note(self, held: dict[str, dict[str, Any]], when: dict[str, str]) -> None:
        """Write down what their tasks hold now, and when that changed; both by the first part of the keys of the labels."""
        rows: list[dict[str, Any]] = []
        for task, what in held.items():
            about = {"clip": str(what["data"].get("clip")), "updated_at": str(when.get(task, ""))}
            rows.append({"task": task, **about, "sha256": digest(what), "held": what, "read_with": self.read_with})
        append_lines(self.path, rows)
        for row in rows:
            self._know(row)

    def note_gone(self, seen: set[str]) -> list[str]:
        """The clips whose tasks were there before and are not among `seen`; each is told once."""
        gone = {t: known.clip for t, known in self.known.items() if t not in seen}
        append_lines(self.path, [{"task": t, "gone": True} for t in gone])
        for t in gone:
            del self.known[t]
        return sorted(gone.values())


def snapshot(task: dict[str, Any], secret: bytes) -> dict[str, Any]:
    """Of one of their tasks, what is kept: the data, and the annotations with a pseudonym for who made them."""
    annotations = [
        {k: a[k] for k in KEPT_OF_ANNOTATIONS if k in a} | {"by": pseudonym(secret, a.get("completed_by", "unknown"))}
        for a in annotations_of(task)
    ]
    return {k: task[k] for k in KEPT if k in task} | {"annotations": annotations}


def digest(held: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()
