"""The files of a dataset that is being checked: their digests, and which of them differ from the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deemo_data.files import File


@dataclass
class DatasetFiles:
    """The files of one dataset folder. Each file is read at most once for its digest.

    damaged  paths of files that are missing or differ from the manifest: their digest is reported once, and not for every row
    tables   path in the folder -> file, for tables that can be read
    columns  config -> names of its columns, of the first table of the config
    digests  absolute path -> sha256, as far as it was needed
    """

    folder: Path
    damaged: set[str] = field(default_factory=set)
    tables: dict[str, Path] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    digests: dict[Path, str] = field(default_factory=dict)

    def digest(self, path: Path) -> str:
        if path not in self.digests:
            self.digests[path] = File.of(path).sha256
        return self.digests[path]

    def is_damaged(self, path: Path) -> bool:
        return path.relative_to(self.folder).as_posix() in self.damaged
