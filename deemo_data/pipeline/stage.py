"""The contract of a stage, the unit of work of the pipeline: files and facts in, files and facts out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Protocol

from deemo_data.clip import Clip, Facts


class Stage(Protocol):
    """A stage: a frozen dataclass whose fields are its parameters.

    version  raise it when the same parameters now give another result
    needs    names of the files and facts that it reads; "secret" is a key derived for this stage
    makes    files that it writes: {name: file name}
    tells    names of the facts that it returns

    A call reads what it needs from the clip, writes its files into the folder `out`, and returns its facts.
    """

    version: ClassVar[int]
    needs: ClassVar[tuple[str, ...]]
    makes: ClassVar[dict[str, str]]
    tells: ClassVar[tuple[str, ...]]

    def __call__(self, clip: Clip, out: Path) -> Facts: ...


def table_name(stage: str) -> str:
    """The name of a stage's table in deemo.toml: MaskVideo -> mask_video."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", stage).lower()
