"""Material, Line, Found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from deemo_data.clip import Clip
from deemo_data.pipeline import run
from deemo_data.pipeline.run import Watcher
from deemo_data.pipeline.stage import Stage
from deemo_data.project import problems
from deemo_data.project.project import Project

if TYPE_CHECKING:
    from deemo_data.audit.attacks.face import Models
    from deemo_data.audit.attacks.scores import Score


@dataclass(frozen=True)
class Line:
    """One attack of one attacker, or one measure of what is still of use: a figure for each side.

    cells  {"before" or a profile's name: figure}, None where it could not be computed
    safer  which way is safer for an attack ("high" for an EER, "low" for a rate of hits); "" for a measure of use
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
class Found:
    """What came out in one channel. `worst`: {clip id: (how close the attacker came, in which frame, in words)}."""

    lines: list[Line] = field(default_factory=list)
    use: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    worst: dict[str, tuple[float, int, str]] = field(default_factory=dict)


@dataclass
class Material:
    """What the channels work on. `sides`: by profile, the same clips in the same order, with what that profile made."""

    project: Project
    sides: dict[str, list[Clip]]
    models: Models = ()
    workers: int = 0
    watcher: Watcher = field(default_factory=Watcher)
    missing: list[problems.Problem] = field(default_factory=list)

    @property
    def own(self) -> str:
        return self.project.config.project.profile

    @property
    def clips(self) -> list[Clip]:
        return self.sides[self.own]

    @property
    def subjects(self) -> list[str]:
        return [c.facts["subject"] for c in self.clips]

    def make(self, stage: Stage, clips: Iterable[Clip]) -> dict[str, Clip]:
        """{id: the clip plus what `stage` makes of it}; from the store where it is there. Those it fails for are missing."""
        done, failures = run.run_stages(
            [stage], clips, store_dir=self.project.store, secret=self.project.secret, workers=self.workers, watcher=self.watcher
        )
        self.missing += [problems.Problem(f.clip.id, "audit", f.reason, f.advice) for f in failures]
        return {c.id: c for c in done}

    def stage(self, name: str) -> Stage:
        """The project's own stage of that class name, with its settings."""
        return next(s for s in self.project.config.attempts[0] if type(s).__name__ == name)
