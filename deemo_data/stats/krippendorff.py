"""Krippendorff's alpha: agreement of any number of annotators, corrected for chance.

alpha = 1 - observed / expected disagreement: 1 is perfect agreement, 0 is what chance gives. A unit is what annotators give a
value to. Units with one value say nothing and drop out. Everything here is computed from sums over units, so that a bootstrap
(stats/resampling.py) only has to weight the units. Source: Krippendorff, Content Analysis: An Introduction to Its Methodology.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np


MeasurementLevel = Literal["nominal", "ordinal", "interval"]


def count_coincidences(counts: np.ndarray) -> np.ndarray:
    """The coincidence matrix of each unit: how often two annotators gave it each pair of values, per other annotator (N, V, V).

    counts  (N, V) how many annotators gave unit N the value V
    """
    import numpy as np

    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    annotators = counts.sum(axis=1)
    return np.where(annotators > 1, 1, 0)[:, None, None] * pairs / np.maximum(annotators - 1, 1)[:, None, None]


def krippendorff_alpha(coincidences: np.ndarray, level: MeasurementLevel = "nominal", values: Sequence[float] = ()) -> np.ndarray:
    """Alpha of summed coincidences (..., V, V): (...); NaN where all values are the same.

    level   "nominal": values are equal or not; "ordinal": columns stand in ascending order; "interval": numbers with distances
    values  (V,) the numbers that the columns stand for, at the level "interval"
    """
    import numpy as np

    totals = coincidences.sum(axis=-1)  # how often each value was given
    if level == "nominal":
        distances = 1 - np.eye(coincidences.shape[-1])
    else:
        positions = np.asarray(values, float) if level == "interval" else np.cumsum(totals, axis=-1) - totals / 2
        distances = (positions[..., :, None] - positions[..., None, :]) ** 2
    observed = (coincidences * distances).sum(axis=(-2, -1))
    expected = (totals[..., :, None] * totals[..., None, :] * distances).sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (totals.sum(axis=-1) - 1) * observed / expected, np.nan)


def multilabel_alpha(disagreements: np.ndarray, present: np.ndarray, opportunities: np.ndarray) -> np.ndarray:
    """Alpha of sets of labels, from sums over units. The distance of two sets is the number of labels that only one of them has.

    With one label this is the nominal alpha of present and absent.

    disagreements  (..., labels) pairs of annotators of whom exactly one gave the label, divided by the unit's annotators - 1
    present        (..., labels) how often the label was given
    opportunities  (...) how often it could have been given: annotators × units
    """
    import numpy as np

    expected = (present * (opportunities[..., None] - present)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (opportunities - 1) * disagreements.sum(axis=-1) / expected, np.nan)
