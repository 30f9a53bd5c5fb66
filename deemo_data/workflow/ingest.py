"""`deemo ingest`: footage in, sources.jsonl and private/subjects.csv out.

sources/ reads the table and probes the footage. This file merges the result with what the project already has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from deemo_data.clip import Clip, write_clips
from deemo_data.errors import ProjectError
from deemo_data.pipeline import workers
from deemo_data.pipeline.run import SILENT_WATCHER, Watcher
from deemo_data.project import notices, release, withdrawals
from deemo_data.project.clips import read_clips_if_any, read_sources_by_id
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project
from deemo_data.sources import intake, isolated_probe, source_table
from deemo_data.sources.intake import IntakeOptions
from deemo_data.sources.summary import render_summary, renew_all_notices, summarise_intake


def ingest_sources(
    project: Project,
    where: str,
    consent: str | None = None,
    *,
    allow_local: bool = False,
    replace_all: bool = False,
    watcher: Watcher = SILENT_WATCHER,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[list[Clip], list[Problem]]:
    """Add footage to sources.jsonl; the sources taken in, and what was refused. What was recorded of a source before stays,
    unless the table states something new.

    where        a folder, a video, a CSV or a web address (source_table.read_source_rows)
    consent      a statement for all sources that have none of their own
    allow_local  also fetch from this machine and private networks
    replace_all  drop the sources that are not in `where`, and take their clips back
    tell         called with each line that says what was taken in, left out and guessed; the lines may show names of people

    Raises ProjectError when the project has no source afterwards.
    """
    given = source_table.read_given_sources(where)
    watcher.on_stage("Ingest", len({row.uri for row in given.rows}), 0)
    with workers.worker_pool() as pool:
        options = IntakeOptions(
            secret=project.secret, downloads=project.private_dir / "downloads", subjects=project.private_dir / "subjects.csv",
            consent=consent, vfr_fps=project.config.project.vfr_fps, allow_local_addresses=allow_local,
            probe=partial(isolated_probe.probe_in_process, pool),
        )  # fmt: skip
        earlier = list(read_sources_by_id(project).values())
        taken = intake.take_in_sources(given.rows, options, earlier, lambda uri: watcher.on_clip("Ingest"))
    problems = [Problem(uri, "ingest", reason, advice) for uri, reason, advice in (*given.refusals, *taken.refusals)]
    with project.lock():
        new_sources, withdrawn = withdrawals.drop_withdrawn(project, taken.sources)
        problems += withdrawn
        taken.refuse_sources({s.source for s in taken.sources} - {s.source for s in new_sources})
        sources = read_sources_by_id(project)  # again: another process may have ingested meanwhile
        for source in new_sources:
            sources[source.source] = intake.merge_with_earlier(source, sources.get(source.source))
        denied = [s for s in sources.values() if intake.is_denied(s, taken.denials)]
        sources |= {s.source: intake.deny_consent(s, taken.denials) for s in denied}
        sources = renew_all_notices(sources, project.private_dir / "subjects.csv")
        id_at_path = {s.files["source"].path: s.source for s in new_sources}
        # A path that has new content now: the source that had the old content goes.
        sources = {i: s for i, s in sources.items() if id_at_path.get(s.files["source"].path, i) == i}
        if replace_all:
            sources = {s.source: sources[s.source] for s in new_sources}
        clips = read_clips_if_any(project)
        write_clips(sources.values(), project.root / "sources.jsonl")
        recorded = [sources[s.source] for s in new_sources]
        report = summarise_intake(given, taken, recorded, denied)
        project.write_report("ingest.json", report | {"problems": [vars(p) for p in problems]})
        dropped = [c for c in clips if c.source not in sources]
        release.take_back_clips(read_clips_if_any(project), project, dropped)
        notices.write_notices(project)
    for line in render_summary(report, given, sources.values()):
        tell(line)
    if not sources:
        raise ProjectError(
            f"no footage could be taken in from {source_table.show_place(where)}",
            str(problems[0]) if problems else f"None of its {report['files']} files holds a video",
        )
    return recorded, problems
