"""What a channel of the audit gets (`Material`) and what it returns (`ChannelResult` with its `ResultLine`s).

Each channel is one function in a file of its own: face.py, voice.py, body.py, words.py. run.py calls them all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from deemo_data.clip import Clip
from deemo_data.pipeline import run
from deemo_data.pipeline.run import Watcher
from deemo_data.pipeline.stage import Stage
from deemo_data.project import problems
from deemo_data.project.project import Project
from deemo_data.reports.privacy_verdict import UNPROTECTED

if TYPE_CHECKING:
    from deemo_data.audit.attacks.face import Models
    from deemo_data.audit.attacks.scores import Score


@dataclass(frozen=True)
class ResultLine:
    """One attack by one attacker, or one measure of utility, with a figure for each side.

    cells  {"before" or the name of a profile: figure}; None where it could not be computed
    safer  the direction that is safer: "high" for an EER, "low" for a hit rate, "" for a measure of utility
    """

    attack: str
    attacker: str
    measure: str
    cells: dict[str, Score | None]
    safer: Literal["high", "low", ""]
    weights: str = ""
    note: str = ""

    def to_row(self, sides: Iterable[str]) -> dict[str, Any]:
        figures = {side: self.cells.get(side) for side in sides}
        return vars(self) | {"cells": {side: score.to_row() if score else None for side, score in figures.items()}}


@dataclass
class ChannelResult:
    """The result of one channel. `worst`: {clip id: (how close the attacker came, in which frame, in words)}."""

    lines: list[ResultLine] = field(default_factory=list)
    use: list[ResultLine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    worst: dict[str, tuple[float, int, str]] = field(default_factory=dict)

    def to_json(self, sides: Collection[str], seconds: float) -> dict[str, Any]:
        """The channel as privacy.json holds it. `sides`: the names of the profiles, in their order in the report."""
        return {
            "lines": [line.to_row([UNPROTECTED, *sides]) for line in self.lines],
            "use": [line.to_row(sides) for line in self.use],
            "notes": self.notes,
            "seconds": round(seconds, 1),
        }


@dataclass
class Material:
    """The input of all channels. `sides`: for each profile, the same clips in the same order, with the files of that profile."""

    project: Project
    sides: dict[str, list[Clip]]
    models: Models = ()
    workers: int = 0
    watcher: Watcher = field(default_factory=Watcher)
    missing: list[problems.Problem] = field(default_factory=list)

    @property
    def own_profile(self) -> str:
        return self.project.config.project.profile

    @property
    def clips(self) -> list[Clip]:
        return self.sides[self.own_profile]

    @property
    def subjects(self) -> list[str]:
        return [c.facts["subject"] for c in self.clips]

    def run_stage(self, stage: Stage, clips: Iterable[Clip]) -> dict[str, Clip]:
        """Run one stage, or take its results from the store: {clip id: clip with the results}. Failed clips go to `missing`."""
        done, failures = run.run_stages(
            [stage],
            clips,
            store_dir=self.project.store_dir,
            secret=self.project.secret,
            workers=self.workers,
            watcher=self.watcher,
        )
        self.missing += [problems.Problem(f.clip.id, "audit", f.reason, f.advice) for f in failures]
        return {c.id: c for c in done}

    def stage_named(self, name: str) -> Stage:
        """The stage with that class name, with the settings of the project."""
        return next(s for s in self.project.config.attempts[0] if type(s).__name__ == name)
