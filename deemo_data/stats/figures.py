"""A figure as JSON: value, interval, chance, n, or why it is missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deemo_data.stats.resampling import interval

if TYPE_CHECKING:
    import numpy as np


THRESHOLDS = (0.3, 0.5, 0.7)  # temporal IoU from which on two events are one
FEW_EVENTS = 5  # fewer, or all of them in one clip, and a figure would be an anecdote


def figure(
    values: np.ndarray, n: int, unit: str, units: int, *, chance: float | None = None, few: int = FEW_EVENTS
) -> dict[str, Any]:
    """A figure as agreement.json has it: value, low, high, chance, n of `unit`, and why something is missing.

    values  (1 + rounds,): the figure, and what it is in each round
    units   how many of what is drawn hold something
    """
    told: dict[str, Any] = {"value": None, "low": None, "high": None, "chance": None, "n": n, "unit": unit, "why": None}
    if n < few or units < 2:
        return told | {"why": missing(n, unit, units)}
    if math.isnan(values[0]):
        return told | {"why": "everybody said the same everywhere: there is nothing to tell agreement from chance"}
    told |= {"value": rounded(values[0]), "chance": None if chance is None or math.isnan(chance) else rounded(chance)}
    if len(values) == 1:
        return told | {"why": "no rounds of resampling were asked for"}
    if ends := interval(values[1:], units):
        return told | {"low": rounded(ends[0]), "high": rounded(ends[1])}
    return told | {"why": "too few for an interval"}


def missing(n: int, unit: str, units: int) -> str:
    """Why there is no figure."""
    if not n:
        return f"no {unit}"
    return f"{n} {unit}: too few" if units > 1 else f"{n} {unit}, all of one clip or subject: too few"


def rounded(x: float) -> float:
    return round(float(x), 6)
