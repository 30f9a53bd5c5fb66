"""What Label Studio held when labels were pulled: one line per task, and one more after each change.

    labels/raw/project-N.jsonl   {"task", "clip", "updated_at", "sha256", "held", "read_with"}, or {"task", "gone": true}

"held" is the snapshot of the task that `snapshot_of` makes, and "sha256" is its checksum. "read_with" names the vocabularies
that the task was read with. The log is the raw material of labels/: what is deleted on the server exists only here. It holds
no name and no address of an annotator.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container
from pathlib import Path
from typing import Any, NamedTuple

from deemo_data.annotation.results import ANNOTATION_KEYS, annotations_of
from deemo_data.errors import LabelError
from deemo_data.files import append_lines, read_lines
from deemo_data.pseudonyms import derive_pseudonym

TASK_KEYS = ("id", "project", "created_at", "data")
SNAPSHOT_ANNOTATION_KEYS = (*ANNOTATION_KEYS, "was_cancelled", "prediction", "result")


class PulledTask(NamedTuple):
    """The state of a task at the last pull.

    sha256      checksum of its snapshot
    read_with   the vocabularies it was read with
    updated_at  when it had last changed on the server
    clip        public id of its clip
    """

    sha256: str
    read_with: str
    updated_at: str
    clip: str


class RawLog:
    """The log of one Label Studio project. Raises LabelError for a line whose checksum is wrong.

    read_with  the vocabularies of this pull: labels depend on them, so after a change of vocabulary every task is read again
    """

    def __init__(self, path: Path, read_with: str) -> None:
        self.path, self.read_with = path, read_with
        self.pulled: dict[str, PulledTask] = {}
        for number, _, row in read_lines(path):
            deleted = row.get("gone") and "task" in row
            if not deleted and ("held" not in row or digest_of(row["held"]) != row.get("sha256")):
                raise LabelError(f"{path.name} line {number} is damaged", "Put the file back from your backup")
            if deleted:
                self.pulled.pop(row["task"], None)
            else:
                self._remember(row)

    def _remember(self, row: dict[str, Any]) -> None:
        self.pulled[row["task"]] = PulledTask(row["sha256"], row["read_with"], row["updated_at"], row["clip"])

    def is_current(self, task: str, updated_at: str) -> bool:
        """Whether the task was pulled in this state: nothing in it has changed on the server since."""
        pulled = self.pulled.get(task)
        return pulled is not None and (pulled.read_with, pulled.updated_at) == (self.read_with, updated_at)

    def is_new(self, task: str, snapshot: dict[str, Any]) -> bool:
        """Whether the snapshot, or the vocabularies, differ from the last pull of the task."""
        pulled = self.pulled.get(task)
        return pulled is None or (pulled.sha256, pulled.read_with) != (digest_of(snapshot), self.read_with)

    def tasks_of_clips(self, clips: Container[str]) -> set[str]:
        """The keys of the pulled tasks of these clips (public ids)."""
        return {task for task, pulled in self.pulled.items() if pulled.clip in clips}

    def record(self, snapshots: dict[str, dict[str, Any]], updated_at: dict[str, str]) -> None:
        """Append the snapshots, and the times of the last change. Both are by task key (`results.make_task_key`)."""
        rows: list[dict[str, Any]] = []
        for task, snapshot in snapshots.items():
            facts = {"clip": str(snapshot["data"].get("clip")), "updated_at": str(updated_at.get(task, ""))}
            rows.append({"task": task, **facts, "sha256": digest_of(snapshot), "held": snapshot, "read_with": self.read_with})
        append_lines(self.path, rows)
        for row in rows:
            self._remember(row)

    def record_deleted(self, listed: set[str]) -> list[str]:
        """Record that pulled tasks are no longer among the `listed` ones. Returns their clips, sorted, once for each task."""
        deleted = {task: pulled.clip for task, pulled in self.pulled.items() if task not in listed}
        append_lines(self.path, [{"task": task, "gone": True} for task in deleted])
        for task in deleted:
            del self.pulled[task]
        return sorted(deleted.values())


def snapshot_of(task: dict[str, Any], secret: bytes) -> dict[str, Any]:
    """What the log keeps of a task: its data and its annotations, with pseudonyms in place of the annotators."""
    annotations = [
        {k: a[k] for k in SNAPSHOT_ANNOTATION_KEYS if k in a} | {"by": derive_pseudonym(secret, a.get("completed_by", "unknown"))}
        for a in annotations_of(task)
    ]
    return {k: task[k] for k in TASK_KEYS if k in task} | {"annotations": annotations}


def digest_of(snapshot: dict[str, Any]) -> str:
    """SHA-256 of a snapshot, in hexadecimal."""
    return hashlib.sha256(json.dumps(snapshot, sort_keys=True).encode()).hexdigest()
