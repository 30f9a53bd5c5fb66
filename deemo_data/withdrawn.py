"""What was withdrawn from a project: when, how much, and marks by which footage and clips are known again, but nobody.

    withdrawn.jsonl   {"at", "sources", "clips", "labels", "marks"}, one line a withdrawal

A mark is an HMAC, under the project's secret, of a source's id (which is of the footage's digest) or of a clip's public id. By it
footage that was withdrawn is not taken in again by mistake, and a clip that is still in some Label Studio is taken out there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deemo_data.clip import Clip
from deemo_data.errors import ProjectError
from deemo_data.labels import append, whole_lines
from deemo_data.store import derive

if TYPE_CHECKING:
    from deemo_data.config import Project

WITHDRAWN = "withdrawn.jsonl"


def note(project: Project, sources: Collection[str], outside: Iterable[str], clips: int, labels: int) -> None:
    """A line for a withdrawal, unless there is one for all these sources: then one that was killed is being finished.

    sources  ids of the footage; outside: what it and its clips are called outside
    """
    known = marks(project)
    fresh = [source for source in sources if mark_of(project, source) not in known]
    if not fresh:
        return
    found = sorted({mark_of(project, name) for name in (*fresh, *outside)} - set(known))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    append(project.root / WITHDRAWN, [{"at": at, "sources": len(fresh), "clips": clips, "labels": labels, "marks": found}])


def mark_of(project: Project, name: str) -> str:
    return derive(project.secret, f"withdrawn:{name}")[:32]


def marks(project: Project) -> dict[str, str]:
    """{mark: when it was withdrawn}, of all withdrawals."""
    return {mark: str(row["at"]) for row in whole_lines(project.root / WITHDRAWN) for mark in row["marks"]}


def when(project: Project, source: Clip) -> str:
    """When the footage was withdrawn; empty when it was not."""
    known = marks(project)
    names = (source.source, source.files["source"].sha256)  # the digest: marks were made of it once
    return next((at for name in names if (at := known.get(mark_of(project, name)))), "")


def among(project: Project, clips: Iterable[str]) -> set[str]:
    """Of some clips, by their public ids, those that were withdrawn."""
    known = marks(project)
    return {clip for clip in clips if mark_of(project, clip) in known} if known else set()


def check(project: Project, before: Collection[str]) -> None:
    """Raises ProjectError when somebody withdrew since `marks` were `before`: what was worked out since may be about them."""
    if set(marks(project)) - set(before):
        raise ProjectError(
            "somebody withdrew (deemo forget) while this was at work: it is not kept", "Type the same command again"
        )
