"""Finding, and what was met so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deemo_data.dataset.validation.rows import ClipRow
from deemo_data.errors import plain
from deemo_data.files import File


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (error) or worth knowing (warning), and where: a file, or a clip of a split."""

    level: Literal["error", "warning"]
    where: str
    what: str

    def __str__(self) -> str:
        return plain(f"{self.level}: {self.where}: {self.what}")


@dataclass
class Seen:
    """What has been met so far, over all tables.

    clips   clip id -> the rows of nfbl that have it
    records record id -> how many rows of mer have it
    lone    clip ids of mer -> split
    videos  digest -> (clip id, split)
    allowed names of classes that texts may hold
    wrong   files that are not those of the manifest: nothing else is said of their digest
    """

    folder: Path
    manifest: Mapping[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    splits_of_subject: dict[str, set[str]] = field(default_factory=dict)
    clips: dict[str, list[ClipRow]] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    lone: dict[str, str] = field(default_factory=dict)
    videos: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    digests: dict[Path, str] = field(default_factory=dict)
    assumed: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    allowed: list[str] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)
    tables: dict[str, Path] = field(default_factory=dict)  # path in the folder -> file, of tables that could be read

    def error(self, where: str, what: str) -> None:
        self.findings.append(Finding("error", where, what))

    def warn(self, where: str, what: str) -> None:
        self.findings.append(Finding("warning", where, what))

    def digest(self, path: Path) -> str:
        if path not in self.digests:
            self.digests[path] = File.of(path).sha256
        return self.digests[path]
