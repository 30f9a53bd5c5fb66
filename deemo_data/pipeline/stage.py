"""The Stage protocol; its table name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Protocol

from deemo_data.clip import Clip, Facts


class Stage(Protocol):
    """Files in, files out. A frozen dataclass whose fields are its parameters."""

    version: ClassVar[int]  # raise it when the same parameters would now make something else
    needs: ClassVar[tuple[str, ...]]  # files and facts, by name; "secret" gives a key derived for this stage
    makes: ClassVar[dict[str, str]]  # files: name -> file name
    tells: ClassVar[tuple[str, ...]]  # facts

    def __call__(self, clip: Clip, out: Path) -> Facts: ...


def table_name(stage: str) -> str:
    """MaskVideo -> mask_video."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", stage).lower()
