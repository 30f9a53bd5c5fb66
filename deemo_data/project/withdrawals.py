"""Withdrawn.jsonl."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from deemo_data.clip import Clip
from deemo_data.errors import ProjectError
from deemo_data.files import append_lines, read_whole_lines
from deemo_data.project.clips import read_sources_by_id
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive

WITHDRAWN = "withdrawn.jsonl"


def record_withdrawal(project: Project, sources: Collection[str], outside: Iterable[str], clips: int, labels: int) -> None:
    """A line for a withdrawal, unless there is one for all these sources: then one that was killed is being finished.

    sources  ids of the footage; outside: what it and its clips are called outside
    """
    known = marks(project)
    fresh = [source for source in sources if mark_of(project, source) not in known]
    if not fresh:
        return
    found = sorted({mark_of(project, name) for name in (*fresh, *outside)} - set(known))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    append_lines(project.root / WITHDRAWN, [{"at": at, "sources": len(fresh), "clips": clips, "labels": labels, "marks": found}])


def mark_of(project: Project, name: str) -> str:
    return derive(project.secret, f"withdrawn:{name}")[:32]


def marks(project: Project) -> dict[str, str]:
    """{mark: when it was withdrawn}, of all withdrawals."""
    return {mark: str(row["at"]) for row in read_whole_lines(project.root / WITHDRAWN) for mark in row["marks"]}


def withdrawn_at(project: Project, source: Clip) -> str:
    """When the footage was withdrawn; empty when it was not."""
    known = marks(project)
    names = (source.source, source.files["source"].sha256)  # the digest: marks were made of it once
    return next((at for name in names if (at := known.get(mark_of(project, name)))), "")


def withdrawn_clips(project: Project, clips: Iterable[str]) -> set[str]:
    """Of some clips, by their public ids, those that were withdrawn."""
    known = marks(project)
    return {clip for clip in clips if mark_of(project, clip) in known} if known else set()


def raise_if_new(project: Project, before: Collection[str]) -> None:
    """Raises ProjectError when somebody withdrew since `marks` were `before`: what was worked out since may be about them."""
    if set(marks(project)) - set(before):
        raise ProjectError(
            "somebody withdrew (deemo forget) while this was at work: it is not kept", "Type the same command again"
        )


def erase_withdrawn_since(project: Project, clips: Sequence[Clip]) -> set[str]:
    """The sources that were withdrawn while we worked on their clips; what we made of them goes again. With the lock only."""
    from deemo_data.pipeline.store import from_store

    gone = withdrawn_clips(project, {c.source for c in clips} - set(read_sources_by_id(project)))
    from_store(project.store, gone)
    return gone
