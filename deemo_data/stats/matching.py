"""Temporal IoU, one-to-one matching of events, F1."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Temporal IoU of events a (n, 2) with b (m, 2), half-open spans: (n, m)."""
    import numpy as np

    both = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    both = np.maximum(both, 0)
    return both / ((a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None, :] - both)


def match(
    overlap: np.ndarray, allowed: np.ndarray, least: float, prefer: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One-to-one pairs (rows, columns) of `overlap` >= `least` where `allowed`: as many as can be; of those, the closest.

    prefer  pairs to take before others that are as many
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    fits = allowed & (overlap >= least)
    many = min(overlap.shape) + 1
    closeness = overlap if prefer is None else (overlap + many * prefer) / (many + 1)
    rows, columns = linear_sum_assignment(np.where(fits, 1 + closeness / many, 0), maximize=True)
    kept = fits[rows, columns]
    return rows[kept], columns[kept]


def expected_matches(a: np.ndarray, b: np.ndarray, length: int, least: float) -> np.ndarray:
    """How likely an event of each length in `a` (n,) meets one of `b` (m,) with IoU >= `least`: (n, m).

    One of them is shifted by every number of frames from 0 to `length` - 1, on a circle: the mean over all shifts, not a draw.
    """
    import numpy as np

    total = a[:, None] + b[None, :]
    needed = np.maximum(np.ceil(least * total / (1 + least) - 1e-9), 1)  # frames that both must cover
    shifts = np.where(needed > np.minimum(a[:, None], b[None, :]), 0, total - 2 * needed + 1)
    return np.where(needed <= total - length, length, np.clip(shifts, 0, length)) / length


def f1(matched: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """2 × matched / (events of the one + events of the other); NaN where nobody marked anything."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(marked > 0, 2 * matched / marked, np.nan)
