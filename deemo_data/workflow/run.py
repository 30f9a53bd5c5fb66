"""Deemo run."""

from __future__ import annotations

from collections.abc import Sequence

from deemo_data.clip import Clip, write_clips
from deemo_data.errors import ConfigError
from deemo_data.pipeline import store
from deemo_data.pipeline.cluster import ClusterCheck, hired
from deemo_data.pipeline.run import Failure, Watcher, run_stages
from deemo_data.pipeline.stage import Stage, table_name
from deemo_data.project import release
from deemo_data.project.clips import source_facts_of, stage_outputs_of
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project, vocabularies
from deemo_data.project.withdrawals import erase_withdrawn_since


def choose(stages: Sequence[Stage], until: str | None, only: str | None) -> set[str]:
    """Names of the stages that may do work: those up to `until` (included), or `only` one."""
    names = [table_name(type(s).__name__) for s in stages]
    for name in (until, only):
        if name is not None and name not in names:
            raise ConfigError(f"there is no stage {name!r}", f"Stages: {', '.join(names)}")
    end = names.index(until) + 1 if until else len(names)
    return {type(s).__name__ for s, n in zip(stages, names, strict=True) if n in names[:end] and only in (None, n)}


def run(
    project: Project,
    *,
    until: str | None = None,
    only: str | None = None,
    workers: int = 2,
    ray: str | None = None,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> tuple[list[Clip], list[Problem]]:
    """All clips through the stages; those the leak check refused once more through each further [[attempt]]."""
    store.tidy(project.store)
    vocabularies(project)  # a typo there is better said now than after the night
    clips = [source_facts_of(c) for c in project.each_clip()]
    make = choose(project.config.attempts[0], until, only)
    with hired(ray, project.store) as cluster:
        done, failed = run_attempts(project, clips, make, workers, watcher, cluster)
    missing = [Problem(i, table_name(f.stage), f.reason, f.advice) for i, f in sorted(failed.items())]
    missing += [
        Problem(c.id, "check_leaks", release.leaks_of(c), "It stays here: see docs/privacy.md")
        for c in done.values() if c.facts.get("leaks_passed") is False
    ]  # fmt: skip
    with project.locked():
        gone = erase_withdrawn_since(project, clips)
        clips = [c for c in clips if c.source not in gone]
        here = {c.id for c in clips}
        done = {i: c for i, c in done.items() if i in here}
        missing = [m for m in missing if m.what in here]
        now = {i: f.clip for i, f in failed.items()} | done
        write_clips((stage_outputs_of(now.get(c.id, c)) for c in project.each_clip()), project.root / "clips.jsonl")
        bugs = {i: f.bug for i, f in failed.items() if f.bug}
        lines = [vars(m) | ({"bug": bugs[m.what]} if m.what in bugs else {}) for m in missing]
        project.write_report("run.json", {"clips": len(clips), "came_out": len(clips) - len(missing), "did_not": lines})
        release.take_back(done.values(), project)
    return [c for c in done.values() if c.facts.get("leaks_passed") is not False], missing


def run_attempts(
    project: Project,
    clips: Sequence[Clip],
    make: set[str],
    workers: int = 0,
    watcher: Watcher = Watcher(),  # noqa: B008
    cluster: ClusterCheck | None = None,
) -> tuple[dict[str, Clip], dict[str, Failure]]:
    """Clips through the stages, by id: as far as they got, and why others did not. `make`: the stages that may work."""
    done: dict[str, Clip] = {}
    failed: dict[str, Failure] = {}
    for number, stages in enumerate(project.config.attempts):
        todo = clips if number == 0 else [c for c in done.values() if c.facts.get("leaks_passed") is False]
        if not todo:
            break
        got, failures = run_stages(
            stages, map(source_facts_of, todo), store_dir=project.store, secret=project.secret, workers=workers, make=make,
            watcher=watcher,
            cluster=cluster,
        )  # fmt: skip
        done |= {c.id: c for c in got if number == 0 or "leaks_passed" in c.facts}  # one not tried again keeps its refusal
        failed |= {f.clip.id: f for f in failures}
    return {i: c for i, c in done.items() if i not in failed}, failed
