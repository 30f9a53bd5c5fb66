"""How far a project is: every clip looked up in the store; where there are many, by several processes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial

from deemo_data.clip import Clip
from deemo_data.errors import NotReleasable
from deemo_data.pipeline import entry, environment
from deemo_data.pipeline.run import Failure
from deemo_data.pipeline.stage import table_name
from deemo_data.project import problems, release
from deemo_data.project.clips import by_parts, look_up, place_of
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project


@dataclass(frozen=True)
class StageState:
    """One stage over all clips: how many it is done for, and what library versions it was done with that are not ours now."""

    name: str
    made: int
    other_versions: tuple[str, ...]


@dataclass
class Seen:
    """What was seen of some clips; of each stage of attempt 0, by name. Clips are not held: there may be many."""

    clips: int = 0
    made: Counter[str] = field(default_factory=Counter)
    other: defaultdict[str, set[str]] = field(default_factory=partial(defaultdict, set))
    kept: list[tuple[int, Problem]] = field(default_factory=list)  # place of the stage it failed in (-1: none), why it may not go

    def add(self, more: Seen) -> None:
        self.clips += more.clips
        self.made.update(more.made)
        for name, versions in more.other.items():
            self.other[name] |= versions
        self.kept += more.kept


def status(project: Project, workers: int = 2) -> tuple[int, list[StageState], list[Problem]]:
    """(how many clips there are; the state of each stage of attempt 0; what may not be released, and why)."""
    seen = Seen()
    for found in by_parts(project, partial(look, project, environment.versions()), workers):
        seen.add(found)
    names = [type(s).__name__ for s in project.config.attempts[0]]
    states = [StageState(table_name(n), seen.made[n], tuple(sorted(seen.other[n]))) for n in names]
    return seen.clips, states, [missing for _, missing in sorted(seen.kept, key=lambda kept: kept[0])]


def look(project: Project, now: dict[str, str], clips: list[Clip]) -> Seen:
    """What the store has of some clips of a project. `now`: the versions of the libraries."""
    seen = Seen()

    def told(attempt: int, found: entry.Made) -> None:
        if attempt == 0:
            stage, versions = found.entry["stage"], found.entry["versions"]
            seen.made[stage] += 1
            if versions != now:
                seen.other[stage] |= {f"{n} {v}" for n, v in versions.items() if now.get(n) != v}

    for found in look_up(project, clips, told):
        clip, place = (found.clip, place_of(found.stage)) if isinstance(found, Failure) else (found, -1)
        try:
            release.may_go(clip, project)
        except NotReleasable as e:
            seen.kept += [(place, m) for m in problems.as_problems([(clip, e)])]
        seen.clips += 1
    return seen
