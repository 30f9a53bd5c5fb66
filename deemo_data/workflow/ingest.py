"""Deemo ingest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from deemo_data.clip import Clip, write_clips
from deemo_data.errors import ProjectError
from deemo_data.pipeline import workers
from deemo_data.pipeline.run import Watcher
from deemo_data.project import release, withdrawals
from deemo_data.project.clips import read_known_clips, read_sources_by_id
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project
from deemo_data.sources import download, intake, isolated_probe, source_table, subjects


def ingest(
    project: Project,
    where: str,
    consent: str | None,
    *,
    allow_local: bool = False,
    replace_all: bool = False,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> tuple[list[Clip], list[Problem]]:
    """Ingest: add footage to sources.jsonl. What was said of a source before stays, unless something new is said.

    With `replace_all`, sources that are not among `where` are dropped, and their clips are taken back.
    """
    rows = source_table.read_sources(where)
    watcher.stage("Ingest", len({row.uri for row in rows}), 0)
    before = read_sources_by_id(project)
    with workers.worker_pool() as crew:
        taken, refused = intake.ingest(
            rows, secret=project.secret, downloads=project.private / "downloads", consent=consent,
            known=list(before.values()), vfr_fps=project.config.project.vfr_fps, subjects=project.private / "subjects.csv",
            allow_local_addresses=allow_local,
            probe=partial(isolated_probe.probed, crew), done=lambda uri: watcher.clip("Ingest"),
        )  # fmt: skip
    missing = [Problem(uri, "ingest", reason, advice) for uri, reason, advice in refused]
    with project.locked():
        taken = without_withdrawn(project, taken, missing)
        before = read_sources_by_id(project)  # anew: somebody may have ingested meanwhile
        for source in taken:
            before[source.source] = intake.remembering(source, before.get(source.source))
        here = {s.files["source"].path: s.source for s in taken}  # other bytes at a path: the old source is gone
        before = {i: s for i, s in before.items() if here.get(s.files["source"].path, i) == i}
        if replace_all:
            before = {s.source: before[s.source] for s in taken}
        clips = read_known_clips(project)
        write_clips(before.values(), project.root / "sources.jsonl")
        project.write_report("ingest.json", [vars(m) for m in missing])
        release.take_back(read_known_clips(project), project, gone=[c for c in clips if c.source not in before])
    if not before:
        raise ProjectError(
            f"no footage could be taken in from {download.shown(where)}",
            str(missing[0]) if missing else "The folder has no videos",
        )
    return taken, missing


def without_withdrawn(project: Project, taken: Sequence[Clip], missing: list[Problem]) -> list[Clip]:
    """Footage without what was withdrawn, also just now; of that, neither a download nor a line in subjects.csv is kept."""
    from deemo_data.sources.download import from_downloads

    gone = {s.source: s for s in taken if withdrawals.withdrawn_at(project, s)}
    ours = [s.path("source") for s in gone.values() if project.private in s.path("source").parents]
    from_downloads(project.private / "downloads", ours, set(gone))
    if gone:
        subjects.write_subjects(project.private / "subjects.csv", [], without=gone)
    for source in gone.values():
        reason = f"footage that was withdrawn on {withdrawals.withdrawn_at(project, source)[:10]} (deemo forget)"
        missing.append(Problem("a source", "ingest", reason, "Take it out of what you give to deemo"))
    return [s for s in taken if s.source not in gone]
