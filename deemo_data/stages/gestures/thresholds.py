"""The settings of the stage Propose: the amount from which each rule holds, and how proposals are selected.

The rules read these fields; the stage `Propose` inherits them, so they are also the table [propose] of deemo.toml. Their names
and defaults are part of the stage's cache key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(gt=0, le=1)]
Length = Annotated[float, Field(gt=0, le=3)]


@dataclass(frozen=True)
class Thresholds:
    """Fields of the table [propose] of deemo.toml. Lengths are in units of the body, so that they hold at any distance."""

    small: Annotated[float, Field(ge=0, le=1)] = 0.05  # share of the picture's width: a body with narrower shoulders is ignored
    touch: Length = 0.15  # face widths between fingers and a place of the head
    in_front: Annotated[float, Field(gt=1, le=3)] = 1.35  # a hand that looks this many times too large is in front of the face
    cover: Share = 0.4  # share of the face behind hands
    arm: Length = 0.45  # shoulder widths between wrist and elbow or hip
    around: Length = 0.2  # shoulder widths between finger tips and the other hand's knuckles, where hands hold each other
    apart: Length = 0.15  # shoulder widths per second: the fastest that two hands move against each other while they hold
    laced: Share = 0.85  # share of neighbouring fingers that belong to different hands
    tips: Length = 0.07  # shoulder widths between finger tips that meet
    grip: Length = 0.5  # palm lengths between thumb and index finger
    gesture: Length = 0.15  # shoulder widths per second
    shrug: Length = 0.08  # shoulder widths
    lean: Length = 0.25  # shoulder widths
    rise: Length = 0.12  # shoulder widths
    chin: Length = 0.09  # face widths
    least_ms: Annotated[int, Field(ge=100, le=5000)] = 350  # a rule has to hold for this long
    bridge_ms: Annotated[int, Field(ge=0, le=2000)] = 200  # a gap up to this long does not end an interval
    slack: Share = 0.3  # an interval ends where the amount misses the threshold by this share of it
    least_score: Annotated[float, Field(ge=0, le=1)] = 0.3
    most: Annotated[int, Field(ge=1, le=100)] = 12  # proposals per clip
