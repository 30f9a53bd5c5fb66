"""The loop: clips through stages, failures, progress."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from deemo_data.clip import Clip
from deemo_data.errors import DeemoError
from deemo_data.pipeline import entry, store
from deemo_data.pipeline.cluster import ClusterCheck, run_on_ray
from deemo_data.pipeline.order import PER_SOURCE
from deemo_data.pipeline.stage import Stage
from deemo_data.pipeline.workers import run_locally, worker_pool

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One stage, to be done for one clip (or, of PER_SOURCE, for one source)."""

    stage: Stage
    clip: Clip

    @property
    def name(self) -> str:
        return type(self.stage).__name__


@dataclass(frozen=True)
class Failure:
    """A clip that did not make it through a stage this time. Never in the store: the next run tries again."""

    clip: Clip
    stage: str
    reason: str
    advice: str
    bug: str = ""  # the traceback, when it was not one of our own errors


@dataclass(frozen=True)
class Watcher:
    """What a run tells the person watching: called in this process, never in a worker."""

    stage: Callable[[str, int, int], None] = lambda stage, clips, done: None  # a stage begins: all clips, those in the store
    clip: Callable[[str], None] = lambda stage: None  # one more clip is through a stage


def run_stages(
    stages: Sequence[Stage],
    clips: Iterable[Clip],
    *,
    store_dir: Path,
    secret: bytes,
    workers: int = 0,
    make: Container[str] | None = None,
    watcher: Watcher = Watcher(),
    cluster: ClusterCheck | None = None,
) -> tuple[list[Clip], list[Failure]]:
    """All clips through all stages, step by step, by `workers` processes or a cluster. What is in the store is not done again.

    With `make`, only the stages of those names do any work; of the others, what the store has is used. A clip that
    lacks what a stage of `make` needs is a failure. A stage of PER_SOURCE is handed the whole source, once for all its clips.
    """
    now = {c.id: c for c in clips}  # what is known of each that has not failed
    failed: dict[str, Failure] = {}
    place = {type(stage).__name__: number for number, stage in enumerate(stages)}

    def fail(failure: Failure) -> None:
        """Of several stages of a step that fail for a clip, the first in order is told, whichever came first in time."""
        other = failed.get(failure.clip.id)
        if other is None or place[failure.stage] < place[other.stage]:
            failed[failure.clip.id] = failure

    with worker_pool() as crew:
        spread = partial(run_on_ray, hired=cluster) if cluster else partial(run_locally, hired=crew)
        for step in steps(stages):
            todo: dict[tuple[str, str], Job] = {}
            waiting: dict[tuple[str, str], list[str]] = {}  # ids of the clips that a job is done for
            for stage in step:
                name = type(stage).__name__
                works = make is None or name in make
                entries = store.Entries(stage, store_dir, secret)
                for clip in [c for c in now.values() if c.id not in failed]:
                    if lacking := [n for n in entries.needs if n not in clip.files and n not in clip.facts]:
                        if works:
                            reason = f"{', '.join(sorted(lacking))} has not been made for it"
                            fail(Failure(clip, name, reason, "Type: deemo run, without --only"))
                        continue
                    got = look_up(entries, clip)
                    if isinstance(got, Failure):
                        fail(got)
                    elif got is not None:
                        now[clip.id] = clip.knowing(got.files, got.facts)
                    elif works:
                        handed = clip.whole() if isinstance(stage, PER_SOURCE) else clip
                        todo.setdefault((name, handed.id), Job(stage, handed))
                        waiting.setdefault((name, handed.id), []).append(clip.id)
                if works:
                    left = sum(len(ids) for (other, _), ids in waiting.items() if other == name)
                    watcher.stage(name, len(now), len(now) - left)
            work = partial(do, store_dir=store_dir, secret=secret)
            for job, result in spread(work, todo.values(), min(workers, len(todo)), lost):
                for clip in [now[i] for i in waiting[job.name, job.clip.id]]:
                    if isinstance(result, Failure):
                        fail(replace(result, clip=clip))
                    else:
                        now[clip.id] = knowing(clip, job.stage, result)
                    watcher.clip(job.name)
            now = {i: c for i, c in now.items() if i not in failed}
    return list(now.values()), list(failed.values())


def steps(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Stages that may work side by side: none needs what another one of its step makes. Each as late as those after it allow.

    Late, so that the short ones keep the cores busy beside the long ones in the middle of the line.
    """
    behind: list[int] = []  # how many steps come after the stage's, from the last stage to the first
    for number, stage in reversed(list(enumerate(stages))):
        after = zip(stages[:number:-1], behind, strict=True)
        users = [n for other, n in after if set(other.needs) & {*stage.makes, *stage.tells}]
        behind.append(max(users, default=-1) + 1)
    pairs = list(zip(stages, reversed(behind), strict=True))
    return [[stage for stage, n in pairs if n == number] for number in range(max(behind, default=-1), -1, -1)]


def replay_from_store(
    stages: Sequence[store.Entries], clip: Clip, told: Callable[[entry.Made], None] = lambda made: None
) -> Clip | Failure:
    """The clip with all that the store has of it: `run` with `make=()`, for one clip. `told` hears each entry."""
    for entries in stages:
        if all(n in clip.files or n in clip.facts for n in entries.needs):
            got = look_up(entries, clip)
            if isinstance(got, Failure):
                return got
            if got is not None:
                told(got)
                clip = clip.knowing(got.files, got.facts)
    return clip


def look_up(entries: store.Entries, clip: Clip) -> entry.Made | Failure | None:
    """What the store has of a stage's for the clip; what is made of the whole source is looked up once for all its clips."""
    if not isinstance(entries.stage, PER_SOURCE):
        return attempt(entries.name, clip, entries.find)
    if clip.source not in entries.of_source:
        entries.of_source[clip.source] = attempt(entries.name, clip.whole(), entries.find)
    got: entry.Made | Failure | None = entries.of_source[clip.source]
    return replace(got, clip=clip) if isinstance(got, Failure) else got


def knowing(clip: Clip, stage: Stage, made: Clip) -> Clip:
    """The clip plus what `stage` made for it, or for the whole of its source."""
    return clip.knowing({n: made.files[n] for n in stage.makes}, {n: made.facts[n] for n in stage.tells})


def attempt(stage: str, clip: Clip, work: Callable[[Clip], T]) -> T | Failure:
    """`work(clip)`, or why it failed: the one place where a clip's failure is caught."""
    try:
        return work(clip)
    except DeemoError as e:
        return Failure(clip, stage, e.what, e.advice)
    except OSError as e:
        advice = "Free some space and run again" if e.errno == 28 else "Run again once that is mended"
        return Failure(clip, stage, f"{e.strerror or e}: {e.filename or ''}".rstrip(": "), advice)
    except Exception as e:
        return Failure(clip, stage, f"{type(e).__name__}: {e}", "This is a fault of deemo: out/run.json has the traceback",
                       traceback.format_exc())  # fmt: skip


def do(job: Job, store_dir: Path, secret: bytes) -> tuple[Job, Clip | Failure]:
    return job, attempt(job.name, job.clip, partial(store.apply, job.stage, store=store_dir, secret=secret))


def died(stage: str, clip: Clip) -> Failure:
    return Failure(clip, stage, "the process working on it died (killed, out of memory, or a crash in a library)",
                   "Run again, with --workers 1 if memory is short")  # fmt: skip


def lost(job: Job) -> tuple[Job, Clip | Failure]:
    return job, died(job.name, job.clip)
