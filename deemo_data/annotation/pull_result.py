"""What a pull brought: counts and problems, whether from a server or from a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from deemo_data.annotation.reading.tally import Tally
from deemo_data.labels.store import ChangeCounts


@dataclass(frozen=True)
class PullResult:
    """What was read from Label Studio. Results of parts of a pull are added with `+`.

    tasks        tasks that are about clips of the project
    annotations  annotations that were read
    change       what that did to the labels in force
    problems     one line for each thing that was left out or needs attention, with its place
    tally        what became of each annotation, region and answer, in numbers that add up
    notices      what was guessed about the match table
    """

    tasks: int = 0
    annotations: int = 0
    change: ChangeCounts = field(default_factory=ChangeCounts)
    problems: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)
    notices: tuple[str, ...] = ()

    @classmethod
    def of_problems(cls, *problems: str) -> PullResult:
        """A part of a pull that brought only problems."""
        return cls(problems=problems)

    def __add__(self, other: PullResult) -> PullResult:
        counts = (self.tasks + other.tasks, self.annotations + other.annotations, self.change + other.change)
        return PullResult(*counts, self.problems + other.problems, self.tally + other.tally, self.notices + other.notices)
