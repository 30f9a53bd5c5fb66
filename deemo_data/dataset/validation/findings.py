"""Finding: one thing that is wrong with a dataset, or worth knowing; and the list that all checks add to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from deemo_data.errors import to_printable_line


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (error) or worth knowing (warning), and where: a file, or a clip of a split."""

    level: Literal["error", "warning"]
    where: str
    what: str

    def __str__(self) -> str:
        return to_printable_line(f"{self.level}: {self.where}: {self.what}")


@dataclass
class Findings:
    """Everything that the checks found so far, in the order in which they found it."""

    items: list[Finding] = field(default_factory=list)

    def error(self, location: str, message: str) -> None:
        self.items.append(Finding("error", location, message))

    def warn(self, location: str, message: str) -> None:
        self.items.append(Finding("warning", location, message))
