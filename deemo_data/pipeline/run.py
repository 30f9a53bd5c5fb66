"""The loop: takes clips through stages, step by step, and lists every clip that fails with its reason.

Input: stages and clips. Output: the clips that got through all stages, and the failures. Each result is looked up in the store
first (store.py). It is made only when it is missing, by worker processes (workers.py) or by a Ray cluster (cluster.py). The
commands in workflow/ call `run_stages`.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from deemo_data.clip import Clip
from deemo_data.errors import DeemoError
from deemo_data.pipeline import store
from deemo_data.pipeline.cluster import ClusterCheck, run_on_ray
from deemo_data.pipeline.entry import StoreEntry
from deemo_data.pipeline.order import INITIAL_INPUTS, PER_SOURCE_STAGES
from deemo_data.pipeline.stage import Stage
from deemo_data.pipeline.workers import run_locally, worker_pool

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One stage to run on one clip (or, for a stage of PER_SOURCE_STAGES, on one whole source)."""

    stage: Stage
    clip: Clip

    @property
    def name(self) -> str:
        return type(self.stage).__name__


@dataclass(frozen=True)
class Failure:
    """A clip that did not get through a stage this time. It is never stored: the next run tries again."""

    clip: Clip
    stage: str
    reason: str
    advice: str
    bug: str = ""  # the traceback, when it was not one of our own errors


@dataclass(frozen=True)
class Watcher:
    """Callbacks that report a run's progress. They are called in the main process, never in a worker.

    on_stage  a stage begins: its name, the number of clips, and how many of them the store already has
    on_clip   one more clip is through a stage: the stage's name
    """

    on_stage: Callable[[str, int, int], None] = lambda stage, clips, done: None
    on_clip: Callable[[str], None] = lambda stage: None


SILENT_WATCHER = Watcher()


def run_stages(
    stages: Sequence[Stage],
    clips: Iterable[Clip],
    *,
    store_dir: Path,
    secret: bytes,
    workers: int = 0,
    only: Container[str] | None = None,
    watcher: Watcher = SILENT_WATCHER,
    cluster: ClusterCheck | None = None,
) -> tuple[list[Clip], list[Failure]]:
    """Take all clips through all stages, step by step, with `workers` processes or a cluster. Stored results are reused.

    only  names of the stages that may run; for the other stages, only stored results are used. A clip that lacks an input of a
          stage in `only` is a failure.

    A stage of PER_SOURCE_STAGES gets the whole source, once for all its clips. Each clip is in exactly one of the two lists.
    """
    current = {c.id: c for c in clips}  # the clips that have not failed, each with all that was made of it up to now
    failed: dict[str, Failure] = {}
    position = {type(stage).__name__: number for number, stage in enumerate(stages)}

    def fail(failure: Failure) -> None:
        """Record a failure. When several stages of a step fail for a clip, the first in the order of stages is reported."""
        other = failed.get(failure.clip.id)
        if other is None or position[failure.stage] < position[other.stage]:
            failed[failure.clip.id] = failure

    with worker_pool() as pool:
        run_all = partial(run_on_ray, check=cluster) if cluster else partial(run_locally, pool=pool)
        for step in group_into_steps(stages):
            jobs: dict[tuple[str, str], Job] = {}
            waiting: dict[tuple[str, str], list[str]] = {}  # ids of the clips that wait for a job
            for stage in step:
                name = type(stage).__name__
                may_run = only is None or name in only
                entries = store.StageEntries(stage, store_dir, secret)
                for clip in [c for c in current.values() if c.id not in failed]:
                    if lacking := [n for n in entries.needs if n not in clip.files and n not in clip.facts]:
                        if may_run:
                            fail(Failure(clip, name, *explain_lack(lacking)))
                        continue
                    entry = find_entry(entries, clip)
                    if isinstance(entry, Failure):
                        fail(entry)
                    elif entry is not None:
                        current[clip.id] = clip.with_results(entry.files, entry.facts)
                    elif may_run:
                        input_clip = clip.source_clip() if isinstance(stage, PER_SOURCE_STAGES) else clip
                        jobs.setdefault((name, input_clip.id), Job(stage, input_clip))
                        waiting.setdefault((name, input_clip.id), []).append(clip.id)
                if may_run:
                    to_do = sum(len(ids) for (other, _), ids in waiting.items() if other == name)
                    watcher.on_stage(name, len(current), len(current) - to_do)
            work = partial(run_job, store_dir=store_dir, secret=secret)
            for job, result in run_all(work, jobs.values(), min(workers, len(jobs)), fail_job):
                for clip in [current[i] for i in waiting[job.name, job.clip.id]]:
                    if isinstance(result, Failure):
                        fail(replace(result, clip=clip))
                    else:
                        current[clip.id] = add_outputs(clip, job.stage, result)
                    watcher.on_clip(job.name)
            current = {i: c for i, c in current.items() if i not in failed}
    return list(current.values()), list(failed.values())


def explain_lack(names: Sequence[str]) -> tuple[str, str]:
    """(reason, advice) for a clip that lacks these inputs: facts that ingest did not make in the past, or results of stages."""
    if old := sorted(set(names) & set(INITIAL_INPUTS)):
        reason = f"it was taken in by an earlier version of deemo, which did not note its {', '.join(old)}"
        return reason, "Type: deemo ingest again with the same sources, then deemo segment"
    return f"{', '.join(sorted(names))} has not been made for it", "Type: deemo run, without --only"


def group_into_steps(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Group stages into steps, so that no stage of a step needs an output of another stage of the same step.

    Each stage is in the latest step that the stages after it allow. So short stages keep the cores busy beside the long ones in
    the middle of the order.
    """
    steps_after: list[int] = []  # how many steps come after the stage's own, from the last stage to the first
    for number, stage in reversed(list(enumerate(stages))):
        later = zip(stages[:number:-1], steps_after, strict=True)
        users = [n for other, n in later if set(other.needs) & {*stage.makes, *stage.tells}]
        steps_after.append(max(users, default=-1) + 1)
    pairs = list(zip(stages, reversed(steps_after), strict=True))
    return [[stage for stage, n in pairs if n == number] for number in range(max(steps_after, default=-1), -1, -1)]


def replay_from_store(
    stage_entries: Sequence[store.StageEntries], clip: Clip, on_entry: Callable[[StoreEntry], None] = lambda entry: None
) -> Clip | Failure:
    """The clip with everything that the store has of it: `run_stages` with `only=()`, for one clip.

    `on_entry` is called with each entry that is found.
    """
    for entries in stage_entries:
        if all(n in clip.files or n in clip.facts for n in entries.needs):
            entry = find_entry(entries, clip)
            if isinstance(entry, Failure):
                return entry
            if entry is not None:
                on_entry(entry)
                clip = clip.with_results(entry.files, entry.facts)
    return clip


def find_entry(entries: store.StageEntries, clip: Clip) -> StoreEntry | Failure | None:
    """The store's entry of a stage for the clip. The entry of a whole source is looked up once for all its clips."""
    if not isinstance(entries.stage, PER_SOURCE_STAGES):
        return catch_failure(entries.name, clip, entries.find)
    if clip.source not in entries.by_source:
        entries.by_source[clip.source] = catch_failure(entries.name, clip.source_clip(), entries.find)
    entry: StoreEntry | Failure | None = entries.by_source[clip.source]
    return replace(entry, clip=clip) if isinstance(entry, Failure) else entry


def add_outputs(clip: Clip, stage: Stage, result: Clip) -> Clip:
    """The clip with the outputs of `stage`, which are on `result`: the same clip after the stage, or its whole source."""
    return clip.with_results({n: result.files[n] for n in stage.makes}, {n: result.facts[n] for n in stage.tells})


def catch_failure(stage: str, clip: Clip, work: Callable[[Clip], T]) -> T | Failure:
    """`work(clip)`, or why it failed. This is the only place where the failure of a clip is caught."""
    try:
        return work(clip)
    except DeemoError as e:
        return Failure(clip, stage, e.what, e.advice)
    except OSError as e:
        advice = "Free some space and run again" if e.errno == errno.ENOSPC else "Run again once that is mended"
        return Failure(clip, stage, f"{e.strerror or e}: {e.filename or ''}".rstrip(": "), advice)
    except Exception as e:
        return Failure(clip, stage, f"{type(e).__name__}: {e}", "This is a fault of deemo: out/run.json has the traceback",
                       traceback.format_exc())  # fmt: skip


def run_job(job: Job, store_dir: Path, secret: bytes) -> tuple[Job, Clip | Failure]:
    """Run a job in a worker. Returns the job with the clip after the stage, or with the failure."""
    return job, catch_failure(job.name, job.clip, partial(store.apply_stage, job.stage, store_dir=store_dir, secret=secret))


def dead_worker_failure(stage: str, clip: Clip) -> Failure:
    return Failure(clip, stage, "the process working on it died (killed, out of memory, or a crash in a library)",
                   "Run again, with --workers 1 if memory is short")  # fmt: skip


def fail_job(job: Job) -> tuple[Job, Clip | Failure]:
    """What stands in for the result of `run_job` when its worker died."""
    return job, dead_worker_failure(job.name, job.clip)
