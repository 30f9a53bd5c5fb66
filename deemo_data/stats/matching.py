"""Overlap of events in time: temporal IoU (tIoU), one-to-one matching, F1.

An event is a half-open span [start, end) of whole frames or milliseconds. The tIoU of two events is the time that both cover,
divided by the time that at least one covers. `temporal_iou` is exact. `temporal_ious` computes many pairs at once, as floats.
Both decide alike whether a tIoU reaches a threshold such as 0.5 or 0.3, also exactly at the border (for numbers below 2**40).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def temporal_iou(a: tuple[int, int], b: tuple[int, int]) -> Fraction:
    """The exact tIoU of two events; 0 when they only touch. At least one of them must last longer than 0."""
    both = max(min(a[1], b[1]) - max(a[0], b[0]), 0)
    return Fraction(both, (a[1] - a[0]) + (b[1] - b[0]) - both)


def temporal_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The tIoU of events a (n, 2) with b (m, 2): (n, m)."""
    import numpy as np

    both = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    both = np.maximum(both, 0)
    return both / ((a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None, :] - both)


def match_events(
    ious: np.ndarray, allowed: np.ndarray, min_iou: float, preferred: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pair events one to one: (rows, columns) of `ious` (n, m) of at least `min_iou` where `allowed` (n, m).

    There are as many pairs as possible; among such matchings, the one with the largest sum of tIoU.

    preferred  (n, m) pairs that win over others when the number of pairs is the same
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    possible = allowed & (ious >= min_iou)
    scale = min(ious.shape) + 1  # larger than the number of pairs: closeness never outweighs one pair more
    closeness = ious if preferred is None else (ious + scale * preferred) / (scale + 1)
    rows, columns = linear_sum_assignment(np.where(possible, 1 + closeness / scale, 0), maximize=True)
    kept = possible[rows, columns]
    return rows[kept], columns[kept]


def match_probability(a: np.ndarray, b: np.ndarray, length: int, min_iou: float) -> np.ndarray:
    """The probability that an event of each length in `a` (n,) has a tIoU of at least `min_iou` with one of `b` (m,): (n, m).

    Lengths are in frames, of a clip of `length` frames. One of the two events is shifted by every number of frames from 0 to
    `length` - 1, on a circle. The result is the mean over all shifts, not a random draw.
    """
    import numpy as np

    total = a[:, None] + b[None, :]
    needed = np.maximum(np.ceil(min_iou * total / (1 + min_iou) - 1e-9), 1)  # frames that both must cover
    shifts = np.where(needed > np.minimum(a[:, None], b[None, :]), 0, total - 2 * needed + 1)
    return np.where(needed <= total - length, length, np.clip(shifts, 0, length)) / length


def f1_score(matched: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """F1 of two annotators: 2 × matched / marked, with `marked` the events of both together; NaN where there are none."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(marked > 0, 2 * matched / marked, np.nan)
