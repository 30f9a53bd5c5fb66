"""The [export] table of deemo.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class ExportSettings:
    """The [export] table."""

    seed: int = 0  # another seed gives other splits
    validation: Annotated[float, Field(ge=0, lt=0.5)] = 0.15  # share of the subjects
    test: Annotated[float, Field(ge=0, lt=0.5)] = 0.2  # share of the subjects
    keep_splits: bool = True  # subjects stay in the split that the previous version has them in
    alike: Annotated[int, Field(ge=0, le=64)] = (
        5  # clips whose perceptual hashes differ in at most this many of 256 bits are near duplicates; 0: no comparison
    )
    allow_proposed: bool = False  # export machine proposals too, marked as such
    gated: bool = True  # the card asks who wants access, and for consent to the terms
    terms: str = ""  # the terms of use, in Markdown; empty: the default terms
    contact: str = ""  # whom people write to who want to withdraw
