"""A figure as JSON: its value, 95 % interval, chance level and n, or the reason why one of them is missing.

Reports never show a bare number. `make_figure` builds the JSON object; reports/agreement.py renders it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deemo_data.stats.resampling import bootstrap_interval

if TYPE_CHECKING:
    import numpy as np


IOU_THRESHOLDS = (0.3, 0.5, 0.7)  # temporal IoU at which two events count as the same event
MIN_EVENTS = 5  # with fewer, or with all of them in one clip, a figure says nothing


def make_figure(
    values: np.ndarray, n: int, unit: str, units: int, *, chance: float | None = None, min_n: int = MIN_EVENTS
) -> dict[str, Any]:
    """A figure as agreement.json holds it: value, low, high, chance, n, unit, and `why` one of them is missing.

    values  (1 + rounds,): the figure, then its value in each round of the bootstrap
    n       how many things it rests on; `unit` names them ("events", "clips")
    units   how many of the resampled units (subjects or clips) hold at least one of them
    chance  what the figure would be by chance; None where there is no such level
    min_n   with fewer things there is no figure
    """
    result: dict[str, Any] = {"value": None, "low": None, "high": None, "chance": None, "n": n, "unit": unit, "why": None}
    if n < min_n or units < 2:
        return result | {"why": why_missing(n, unit, units)}
    if math.isnan(values[0]):
        return result | {"why": "everybody said the same everywhere: there is nothing to tell agreement from chance"}
    result |= {"value": round_figure(values[0]), "chance": None if chance is None or math.isnan(chance) else round_figure(chance)}
    if len(values) == 1:
        return result | {"why": "no rounds of resampling were asked for"}
    if ends := bootstrap_interval(values[1:], units):
        return result | {"low": round_figure(ends[0]), "high": round_figure(ends[1])}
    return result | {"why": "too few for an interval"}


def why_missing(n: int, unit: str, units: int) -> str:
    """The reason why there is no figure, as a report says it."""
    if not n:
        return f"no {unit}"
    return f"{n} {unit}: too few" if units > 1 else f"{n} {unit}, all of one clip or subject: too few"


def round_figure(x: float) -> float:
    """Rounded to six decimals, so that a report does not change with the last bits of a sum."""
    return round(float(x), 6)
