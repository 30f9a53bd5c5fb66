"""`deemo ingest`: footage in, sources.jsonl and private/subjects.csv out.

sources/ reads the table and probes the footage. This file merges the result with what the project already has.
"""

from __future__ import annotations

from functools import partial

from deemo_data.clip import Clip, write_clips
from deemo_data.errors import ProjectError
from deemo_data.pipeline import workers
from deemo_data.pipeline.run import SILENT_WATCHER, Watcher
from deemo_data.project import notices, release, withdrawals
from deemo_data.project.clips import read_clips_if_any, read_sources_by_id
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project
from deemo_data.sources import download, intake, isolated_probe, source_table
from deemo_data.sources.intake import IntakeOptions


def ingest_sources(
    project: Project,
    where: str,
    consent: str | None = None,
    *,
    allow_local: bool = False,
    replace_all: bool = False,
    watcher: Watcher = SILENT_WATCHER,
) -> tuple[list[Clip], list[Problem]]:
    """Add footage to sources.jsonl; the sources taken in, and what was refused. What was recorded of a source before stays,
    unless the table states something new.

    where        a folder, a video, a CSV or a web address (source_table.read_source_rows)
    consent      a statement for all sources that have none of their own
    allow_local  also fetch from this machine and private networks
    replace_all  drop the sources that are not in `where`, and take their clips back

    Raises ProjectError when the project has no source afterwards.
    """
    rows = source_table.read_source_rows(where)
    watcher.on_stage("Ingest", len({row.uri for row in rows}), 0)
    with workers.worker_pool() as pool:
        options = IntakeOptions(
            secret=project.secret, downloads=project.private_dir / "downloads", subjects=project.private_dir / "subjects.csv",
            consent=consent, vfr_fps=project.config.project.vfr_fps, allow_local_addresses=allow_local,
            probe=partial(isolated_probe.probe_in_process, pool),
        )  # fmt: skip
        earlier = list(read_sources_by_id(project).values())
        new_sources, refusals = intake.take_in_sources(rows, options, earlier, lambda uri: watcher.on_clip("Ingest"))
    problems = [Problem(uri, "ingest", reason, advice) for uri, reason, advice in refusals]
    with project.lock():
        new_sources, withdrawn = withdrawals.drop_withdrawn(project, new_sources)
        problems += withdrawn
        sources = read_sources_by_id(project)  # again: another process may have ingested meanwhile
        for source in new_sources:
            sources[source.source] = intake.merge_with_earlier(source, sources.get(source.source))
        id_at_path = {s.files["source"].path: s.source for s in new_sources}
        # A path that has new content now: the source that had the old content goes.
        sources = {i: s for i, s in sources.items() if id_at_path.get(s.files["source"].path, i) == i}
        if replace_all:
            sources = {s.source: sources[s.source] for s in new_sources}
        clips = read_clips_if_any(project)
        write_clips(sources.values(), project.root / "sources.jsonl")
        project.write_report("ingest.json", [vars(p) for p in problems])
        dropped = [c for c in clips if c.source not in sources]
        release.take_back_clips(read_clips_if_any(project), project, dropped)
        notices.write_notices(project)
    if not sources:
        raise ProjectError(
            f"no footage could be taken in from {download.redact_address(where)}",
            str(problems[0]) if problems else "The folder has no videos",
        )
    return new_sources, problems
