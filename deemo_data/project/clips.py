"""The clips of a project: clips.jsonl joined with what is known of each source, and with the stored results of the stages.

Three views of a clip, from least to most:

    source_facts_of        what is known of its source: the input of the first stage
    iterate_project_clips  that, plus what clips.jsonl lists as made by the last run
    read_current_clips     that, plus what the store has now under the current deemo.toml
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from deemo_data.clip import Clip, iterate_clips
from deemo_data.errors import ProjectError
from deemo_data.pipeline import entry, order, run, store
from deemo_data.pipeline.run import Failure
from deemo_data.pipeline.workers import run_locally
from deemo_data.project import corrections, speakers
from deemo_data.project.project import Project
from deemo_data.sources.subjects import read_subjects

CLIPS_PER_BATCH = 2000  # looking up so many takes longer than starting a process
STAGE_OUTPUTS = {name for stage in order.STAGE_ORDER for name in (*stage.makes, *stage.tells)}

T = TypeVar("T")


def read_project_clips(project: Project) -> list[Clip]:
    """All clips of the project (`iterate_project_clips`), as a list."""
    return list(iterate_project_clips(project))


def iterate_project_clips(project: Project) -> Iterator[Clip]:
    """The clips of clips.jsonl in its order, one at a time, each joined with what is known of its source.

    To the files and facts that stages made, this adds those of its source (sources.jsonl) and three facts that people gave:
    `known_names` (private/subjects.csv), `drawn` (boxes, corrections/) and `speakers_said` (corrections/speakers.json). A clip
    whose source is no longer in sources.jsonl is left out. Raises ProjectError where a list is missing.
    """
    sources = {s.source: s for s in project.read_sources()}
    names = {p.source: p.all_names for p in read_subjects(project.private_dir / "subjects.csv")}
    boxes, corrected_speakers = corrections.boxes_by_source(project.root), speakers.read_speakers(project.root)
    for row in iterate_clips(project.root / "clips.jsonl"):
        if source := sources.get(row.source):
            facts = {
                "drawn": corrections.boxes_on_clip(row, boxes), "speakers_said": corrected_speakers.get(row.source, {}),
                "known_names": list(names.get(row.source, ())),
            }  # fmt: skip
            yield source.with_results(row.files, row.facts | facts).over_span_of(row)


def read_sources_by_id(project: Project) -> dict[str, Clip]:
    """{source id: source}; empty for a project that has none yet."""
    return {s.source: s for s in project.read_sources()} if (project.root / "sources.jsonl").exists() else {}


def read_clips_if_any(project: Project) -> list[Clip]:
    """As `read_project_clips`; empty for a project whose sources are not cut yet."""
    return read_project_clips(project) if (project.root / "clips.jsonl").exists() else []


def stage_outputs_of(clip: Clip) -> Clip:
    """A clip with only the files and facts that stages made: a row of clips.jsonl. The rest is in sources.jsonl."""
    files = {n: f for n, f in clip.files.items() if n in STAGE_OUTPUTS}
    facts = {n: v for n, v in clip.facts.items() if n in STAGE_OUTPUTS}
    return replace(clip, files=files, facts=facts)


def source_facts_of(clip: Clip) -> Clip:
    """A clip with only what is known of its source: the input of its first stage."""
    files = {n: f for n, f in clip.files.items() if n not in STAGE_OUTPUTS}
    facts = {n: v for n, v in clip.facts.items() if n not in STAGE_OUTPUTS}
    return replace(clip, files=files, facts=facts)


# ── with the results in the store ────────────────────────────────────────────────────────────────────────────


OnEntry = Callable[[int, entry.StoreEntry], None]  # called with each entry that the store has, and the number of its attempt


def read_current_clips(project: Project) -> list[Clip]:
    """All clips, each with the stored results that match the current deemo.toml; results of older settings are ignored.

    Clips that cannot be looked up to the end come last, in the order of the stages that they stop at.
    """
    results = [result for batch in map_clip_batches(project, partial(_look_up_batch, project)) for result in batch]
    failures = sorted((r for r in results if isinstance(r, Failure)), key=lambda f: stage_position(f.stage))
    return [*(r for r in results if isinstance(r, Clip)), *(f.clip for f in failures)]


def map_clip_batches(project: Project, work: Callable[[list[Clip]], T], workers: int = 2) -> list[T]:
    """`work(clips)` for each batch of CLIPS_PER_BATCH clips of the project, in their order.

    `workers` processes do it, or this process where there is less than one full batch.
    """
    clips = iterate_project_clips(project)
    batches = iter(lambda: list(islice(clips, CLIPS_PER_BATCH)), [])
    first = next(batches, [])
    processes = workers if len(first) == CLIPS_PER_BATCH else 0
    results = run_locally(partial(_work_on_batch, work), enumerate(chain([first], batches)), processes, _raise_process_died)
    return [result for _, result in sorted(results, key=lambda numbered: numbered[0])]


def _work_on_batch(work: Callable[[list[Clip]], T], batch: tuple[int, list[Clip]]) -> tuple[int, T]:
    return batch[0], work(batch[1])


def _raise_process_died(batch: tuple[int, list[Clip]]) -> Any:
    raise ProjectError("a process that looked clips up died (killed, or out of memory)", "Run again")


def _look_up_batch(project: Project, clips: list[Clip]) -> list[Clip | Failure]:
    return list(look_up_clips(project, clips))


def look_up_clips(
    project: Project, clips: Iterable[Clip], on_entry: OnEntry = lambda number, entry: None
) -> Iterator[Clip | Failure]:
    """Each clip with its stored results, as far as the store has them, or the failure to look it up. No stage does any work.

    A clip that the leak check refused in one [[attempt]] is looked up in the next one.
    """
    attempts = [[store.StageEntries(s, project.store_dir, project.secret) for s in stages] for stages in project.config.attempts]
    for clip in clips:
        start, latest, failure = source_facts_of(clip), None, None  # type: Clip, Clip | None, Failure | None
        for number, stages in enumerate(attempts):
            result = run.replay_from_store(stages, start, partial(on_entry, number))
            if isinstance(result, Failure):
                failure = result
            elif latest is None or "leaks_passed" in result.facts:
                latest = result
            if latest is None or latest.facts.get("leaks_passed") is not False:
                break
        yield failure or latest or clip


def stage_position(stage: str) -> int:
    """The place of a stage, by class name, in the order of the stages."""
    return [s.__name__ for s in order.STAGE_ORDER].index(stage)
