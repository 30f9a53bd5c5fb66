"""Every clip with what the store has of it now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from deemo_data.clip import Clip
from deemo_data.errors import ProjectError
from deemo_data.pipeline import entry, order, run, store
from deemo_data.pipeline.run import Failure
from deemo_data.pipeline.workers import run_locally
from deemo_data.project.project import Project

CLIPS_PER_BATCH = 2000  # clips that a process is handed to look up at a time: what takes longer than to start one
MADE = {name for stage in order.ORDER for name in (*stage.makes, *stage.tells)}

T = TypeVar("T")


def read_sources_by_id(project: Project) -> dict[str, Clip]:
    """{source id: source}; empty for a project that has none yet."""
    return {s.source: s for s in project.sources()} if (project.root / "sources.jsonl").exists() else {}


def read_known_clips(project: Project) -> list[Clip]:
    return project.clips() if (project.root / "clips.jsonl").exists() else []


def stage_outputs_of(clip: Clip) -> Clip:
    """Of a clip, what the stages made: a row of clips.jsonl (what is known of the source, sources.jsonl says)."""
    files = {n: f for n, f in clip.files.items() if n in MADE}
    facts = {n: v for n, v in clip.facts.items() if n in MADE}
    return replace(clip, files=files, facts=facts)


def source_facts_of(clip: Clip) -> Clip:
    """Of a clip, what is known of its source: how it goes into its first stage."""
    files = {n: f for n, f in clip.files.items() if n not in MADE}
    facts = {n: v for n, v in clip.facts.items() if n not in MADE}
    return replace(clip, files=files, facts=facts)


Told = Callable[[int, entry.Made], None]  # hears of each entry that is found, and of which attempt it is


def by_parts(project: Project, work: Callable[[list[Clip]], T], workers: int = 2) -> list[T]:
    """`work` of each part of the project's clips, in their order; done by processes where there are several parts."""
    clips = project.each_clip()
    parts = iter(lambda: list(islice(clips, CLIPS_PER_BATCH)), [])
    first = next(parts, [])
    hands = workers if len(first) == CLIPS_PER_BATCH else 0
    done = run_locally(partial(_numbered, work), enumerate(chain([first], parts)), hands, _died)
    return [result for _, result in sorted(done, key=lambda numbered: numbered[0])]


def _numbered(work: Callable[[list[Clip]], T], part: tuple[int, list[Clip]]) -> tuple[int, T]:
    return part[0], work(part[1])


def _died(part: tuple[int, list[Clip]]) -> Any:
    raise ProjectError("a process that looked clips up died (killed, or out of memory)", "Run again")


def current(project: Project) -> list[Clip]:
    """All clips, each with what the store has of it under the deemo.toml of now: what an older one made does not count."""
    found = [found for part in by_parts(project, partial(_part, project)) for found in part]
    failed = sorted((f for f in found if isinstance(f, Failure)), key=lambda f: place_of(f.stage))
    return [*(c for c in found if isinstance(c, Clip)), *(f.clip for f in failed)]


def _part(project: Project, clips: list[Clip]) -> list[Clip | Failure]:
    return list(look_up(project, clips))


def look_up(project: Project, clips: Iterable[Clip], told: Told = lambda number, made: None) -> Iterator[Clip | Failure]:
    """Each clip `through` the stages without any work: as far as the store knows it, or why it cannot be looked up."""
    attempts = [[store.Entries(s, project.store, project.secret) for s in stages] for stages in project.config.attempts]
    for clip in clips:
        start, done, failure = source_facts_of(clip), None, None  # type: Clip, Clip | None, Failure | None
        for number, stages in enumerate(attempts):
            got = run.replay_from_store(stages, start, partial(told, number))
            if isinstance(got, Failure):
                failure = got
            elif done is None or "leaks_passed" in got.facts:
                done = got
            if done is None or done.facts.get("leaks_passed") is not False:
                break
        yield failure or done or clip


def place_of(stage: str) -> int:
    return [s.__name__ for s in order.ORDER].index(stage)
