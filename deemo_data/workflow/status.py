"""`deemo status`: how far a project is. Every clip is looked up in the store, by several processes where there are many."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deemo_data.clip import Clip
from deemo_data.errors import NotReleasable
from deemo_data.pipeline import entry, environment
from deemo_data.pipeline.run import Failure
from deemo_data.pipeline.stage import table_name
from deemo_data.project import problems, release
from deemo_data.project.clips import look_up_clips, map_clip_batches, stage_position
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project


@dataclass(frozen=True)
class StageState:
    """One stage over all clips.

    clips_done      clips that it is done for, under the current settings
    other_versions  versions of libraries that it was done with and that differ from the installed ones
    """

    name: str
    clips_done: int
    other_versions: tuple[str, ...]


@dataclass
class ClipCounts:
    """Counts over some clips, by class name of the stages of attempt 0. The clips themselves are not kept: there may be many.

    problems  (position of the stage that failed, -1 for none; why the clip may not be released)
    """

    clips: int = 0
    done: Counter[str] = field(default_factory=Counter)
    other_versions: defaultdict[str, set[str]] = field(default_factory=partial(defaultdict, set))
    problems: list[tuple[int, Problem]] = field(default_factory=list)

    def add(self, other: ClipCounts) -> None:
        self.clips += other.clips
        self.done.update(other.done)
        for name, versions in other.other_versions.items():
            self.other_versions[name] |= versions
        self.problems += other.problems


def compute_status(project: Project, workers: int = 2) -> tuple[int, list[StageState], list[Problem]]:
    """(the number of clips; the state of each stage of attempt 0; which clips may not be released, and why)."""
    total = ClipCounts()
    for counts in map_clip_batches(project, partial(count_clips, project, environment.library_versions()), workers):
        total.add(counts)
    names = [type(s).__name__ for s in project.config.attempts[0]]
    states = [StageState(table_name(n), total.done[n], tuple(sorted(total.other_versions[n]))) for n in names]
    return total.clips, states, [problem for _, problem in sorted(total.problems, key=lambda entry: entry[0])]


def read_ingest_report(project: Project) -> Any:
    """The content of out/ingest.json: what the last `deemo ingest` did. None where there is none that can be read."""
    try:
        return json.loads((project.out_dir / "ingest.json").read_bytes())
    except (OSError, ValueError):
        return None


def count_clips(project: Project, installed: dict[str, str], clips: list[Clip]) -> ClipCounts:
    """Look some clips of a project up. `installed`: {library: version} here and now."""
    counts = ClipCounts()

    def count_entry(attempt: int, stored: entry.StoreEntry) -> None:
        if attempt == 0:
            stage, versions = stored.record["stage"], stored.record["versions"]
            counts.done[stage] += 1
            if versions != installed:
                counts.other_versions[stage] |= {f"{n} {v}" for n, v in versions.items() if installed.get(n) != v}

    for result in look_up_clips(project, clips, count_entry):
        clip, position = (result.clip, stage_position(result.stage)) if isinstance(result, Failure) else (result, -1)
        try:
            release.check_releasable(clip, project)
        except NotReleasable as e:
            counts.problems += [(position, problem) for problem in problems.refusals_to_problems([(clip, e)])]
        counts.clips += 1
    return counts
