"""withdrawn.jsonl: who withdrew (`deemo forget`), without saying who.

A line is {"at", "sources", "clips", "labels", "marks"}: the time, how much was erased, and keyed hashes (HMAC) of the ids of the
sources and of their public ids. A mark recognises a source that comes back later. Without the project's secret, nobody can tell
from a mark whose source it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from deemo_data.clip import Clip
from deemo_data.errors import ProjectError
from deemo_data.files import append_lines, read_lines
from deemo_data.pipeline.store import erase_sources
from deemo_data.project.clips import read_sources_by_id
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_key
from deemo_data.sources import download, subjects

WITHDRAWALS_FILE = "withdrawn.jsonl"


def record_withdrawal(project: Project, sources: Collection[str], public_ids: Iterable[str], clips: int, labels: int) -> None:
    """Append a line for a withdrawal. Nothing is added when there are lines for all these sources: a `deemo forget` that was
    killed is then being finished.

    sources        ids of the sources
    public_ids     the public ids of these sources and of their clips
    clips, labels  how many are erased
    """
    earlier = read_marks(project)
    new_sources = [source for source in sources if mark_of(project, source) not in earlier]
    if not new_sources:
        return
    marks = sorted({mark_of(project, name) for name in (*new_sources, *public_ids)} - set(earlier))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    row = {"at": at, "sources": len(new_sources), "clips": clips, "labels": labels, "marks": marks}
    append_lines(project.root / WITHDRAWALS_FILE, [row])


def mark_of(project: Project, name: str) -> str:
    """The mark of a source's id, or of a public id: 32 hex digits."""
    return derive_key(project.secret, f"withdrawn:{name}")[:32]


def read_marks(project: Project) -> dict[str, str]:
    """{mark: time of the withdrawal} of all withdrawals."""
    return {mark: str(row["at"]) for _, _, row in read_lines(project.root / WITHDRAWALS_FILE) for mark in row["marks"]}


def withdrawn_at(project: Project, source: Clip) -> str:
    """The time at which a source was withdrawn; empty when it was not."""
    marks = read_marks(project)
    names = (source.source, source.files["source"].sha256)  # older lines have a mark of the digest instead of the id
    return next((at for name in names if (at := marks.get(mark_of(project, name)))), "")


def withdrawn_clips(project: Project, clips: Iterable[str]) -> set[str]:
    """The public ids among `clips` that were withdrawn."""
    marks = read_marks(project)
    return {clip for clip in clips if mark_of(project, clip) in marks} if marks else set()


@contextmanager
def unless_withdrawn(project: Project, before: Collection[str], clips: Sequence[Clip] = ()) -> Iterator[None]:
    """Hold the project's lock while results are written, unless somebody withdrew during the computation.

    before  `read_marks` as they were when the computation began
    clips   the clips for which the computation added entries to the store

    Long computations do not hold the lock, so that `deemo forget` never waits for them. After a withdrawal their results may
    be about the person who withdrew: this erases what the store has of that person and raises ProjectError.
    """
    with project.lock():
        erase_withdrawn_since(project, clips)
        if set(read_marks(project)) - set(before):
            raise ProjectError(
                "somebody withdrew (deemo forget) while this was at work: it is not kept", "Type the same command again"
            )
        yield


def erase_withdrawn_since(project: Project, clips: Sequence[Clip]) -> set[str]:
    """Erase what a computation stored about sources that were withdrawn while it ran; the ids of these sources.

    clips  the clips that the computation worked on. The caller holds the project's lock.
    """
    withdrawn = withdrawn_clips(project, {c.source for c in clips} - set(read_sources_by_id(project)))
    erase_sources(project.store_dir, withdrawn)
    return withdrawn


def drop_withdrawn(project: Project, new_sources: Sequence[Clip]) -> tuple[list[Clip], list[Problem]]:
    """Sources without those that were withdrawn (`deemo forget`), and a problem for each of these.

    Their downloads and their lines in private/subjects.csv are deleted again. The caller holds the project's lock.
    """
    withdrawn = {s.source: s for s in new_sources if withdrawn_at(project, s)}
    downloads = [s.path("source") for s in withdrawn.values() if project.private_dir in s.path("source").parents]
    download.delete_downloads(project.private_dir / "downloads", downloads, set(withdrawn))
    if withdrawn:
        subjects.write_subjects(project.private_dir / "subjects.csv", [], without=withdrawn)
    problems = []
    for source in withdrawn.values():
        reason = f"footage that was withdrawn on {withdrawn_at(project, source)[:10]} (deemo forget)"
        problems.append(Problem("a source", "ingest", reason, "Take it out of what you give to deemo"))
    return [s for s in new_sources if s.source not in withdrawn], problems
