"""What was withdrawn from a project: when, how much, and a mark by which the footage is known again, but nobody.

    withdrawn.jsonl   {"at", "sources", "clips", "labels", "marks"}, one line a withdrawal

A mark is an HMAC of the footage's digest under the project's secret: footage that was withdrawn is not taken in again by mistake.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deemo_data.clip import Clip
from deemo_data.labels import append, whole_lines
from deemo_data.store import derive

if TYPE_CHECKING:
    from deemo_data.config import Project

WITHDRAWN = "withdrawn.jsonl"


def note(project: Project, sources: list[Clip], clips: int, labels: int) -> None:
    marks = sorted(mark_of(project, s) for s in sources)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    append(project.root / WITHDRAWN, [{"at": at, "sources": len(sources), "clips": clips, "labels": labels, "marks": marks}])


def mark_of(project: Project, source: Clip) -> str:
    return derive(project.secret, f"withdrawn:{source.files['source'].sha256}")[:32]


def when(project: Project, source: Clip) -> str:
    """When the footage was withdrawn; empty when it was not."""
    mark = mark_of(project, source)
    return next((str(row["at"]) for row in whole_lines(project.root / WITHDRAWN) if mark in row["marks"]), "")
