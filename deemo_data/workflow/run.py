"""`deemo run`: every clip through the stages; results into the store, clips.jsonl and out/run.json.

pipeline/ does the work. This file chooses the stages, repeats them for clips that the leak check refused, and writes the lists.
"""

from __future__ import annotations

from collections.abc import Sequence

from deemo_data.clip import Clip, write_clips
from deemo_data.errors import ConfigError
from deemo_data.pipeline import store
from deemo_data.pipeline.cluster import ClusterCheck, optional_cluster
from deemo_data.pipeline.run import SILENT_WATCHER, Failure, Watcher, run_stages
from deemo_data.pipeline.stage import Stage, table_name
from deemo_data.project import notices, release
from deemo_data.project.clips import iterate_project_clips, source_facts_of, stage_outputs_of
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project, load_vocabularies
from deemo_data.project.withdrawals import erase_withdrawn_since


def select_stages(stages: Sequence[Stage], until: str | None, only: str | None) -> set[str]:
    """Class names of the stages that may work: those up to and including `until`, or `only` that one.

    `until` and `only` are names as in deemo.toml. Raises ConfigError for a name that is no stage.
    """
    names = [table_name(type(s).__name__) for s in stages]
    for name in (until, only):
        if name is not None and name not in names:
            raise ConfigError(f"there is no stage {name!r}", f"Stages: {', '.join(names)}")
    end = names.index(until) + 1 if until else len(names)
    return {type(s).__name__ for s, n in zip(stages, names, strict=True) if n in names[:end] and only in (None, n)}


def run_project(
    project: Project,
    *,
    until: str | None = None,
    only: str | None = None,
    workers: int = 2,
    ray: str | None = None,
    watcher: Watcher = SILENT_WATCHER,
) -> tuple[list[Clip], list[Problem]]:
    """Put all clips through the stages; the clips that may be released as far as the leak check goes, and the problems.

    Clips that the leak check refuses go through each further [[attempt]] of deemo.toml, until it passes them.

    until, only  which stages may work (see `select_stages`); the others take what the store has
    workers      processes; 0 works in this one
    ray          address of a Ray cluster that works instead
    """
    store.remove_leftovers(project.store_dir)
    load_vocabularies(project)  # an error in them shows now and not after hours of work
    clips = [source_facts_of(c) for c in iterate_project_clips(project)]
    stages = select_stages(project.config.attempts[0], until, only)
    with optional_cluster(ray, project.store_dir) as cluster:
        done, failures = run_attempts(project, clips, stages, workers, watcher, cluster)
    problems = [Problem(i, table_name(f.stage), f.reason, f.advice) for i, f in sorted(failures.items())]
    problems += [
        Problem(c.id, "check_leaks", release.describe_leaks(c), "It stays here: see docs/privacy.md")
        for c in done.values() if c.facts.get("leaks_passed") is False
    ]  # fmt: skip
    with project.lock():
        withdrawn = erase_withdrawn_since(project, clips)
        clips = [c for c in clips if c.source not in withdrawn]
        ids = {c.id for c in clips}
        done = {i: c for i, c in done.items() if i in ids}
        problems = [p for p in problems if p.what in ids]
        latest = {i: f.clip for i, f in failures.items()} | done
        rows = (stage_outputs_of(latest.get(c.id, c)) for c in iterate_project_clips(project))
        write_clips(rows, project.root / "clips.jsonl")
        bugs = {i: f.bug for i, f in failures.items() if f.bug}
        lines = [vars(p) | ({"bug": bugs[p.what]} if p.what in bugs else {}) for p in problems]
        project.write_report("run.json", {"clips": len(clips), "came_out": len(clips) - len(problems), "did_not": lines})
        release.take_back_clips(done.values(), project)
        notices.write_notices(project)
    return [c for c in done.values() if c.facts.get("leaks_passed") is not False], problems


def run_attempts(
    project: Project,
    clips: Sequence[Clip],
    only: set[str],
    workers: int = 0,
    watcher: Watcher = SILENT_WATCHER,
    cluster: ClusterCheck | None = None,
) -> tuple[dict[str, Clip], dict[str, Failure]]:
    """Put clips through the stages, attempt after attempt: ({id: finished clip}, {id: failure}).

    only  class names of the stages that may work; the others take what the store has
    """
    done: dict[str, Clip] = {}
    failures: dict[str, Failure] = {}
    for number, stages in enumerate(project.config.attempts):
        pending = clips if number == 0 else [c for c in done.values() if c.facts.get("leaks_passed") is False]
        if not pending:
            break
        finished, failed = run_stages(
            stages, map(source_facts_of, pending), store_dir=project.store_dir, secret=project.secret, workers=workers, only=only,
            watcher=watcher,
            cluster=cluster,
        )  # fmt: skip
        done |= {c.id: c for c in finished if number == 0 or "leaks_passed" in c.facts}  # one not tried again stays refused
        failures |= {f.clip.id: f for f in failed}
    return {i: c for i, c in done.items() if i not in failures}, failures
