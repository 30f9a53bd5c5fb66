"""Krippendorff's alpha: nominal, ordinal, interval, sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np


Level = Literal["nominal", "ordinal", "interval"]


def coincidences(counts: np.ndarray) -> np.ndarray:
    """Krippendorff's coincidences of each unit. `counts` (N, V): how many gave the unit each value. (N, V, V)."""
    import numpy as np

    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    people = counts.sum(axis=1)
    return np.where(people > 1, 1, 0)[:, None, None] * pairs / np.maximum(people - 1, 1)[:, None, None]


def alpha(seen: np.ndarray, level: Level = "nominal", values: Sequence[float] = ()) -> np.ndarray:
    """Krippendorff's alpha of summed coincidences (..., V, V): 1 - observed / expected disagreement; NaN without variation.

    values  of the V columns, for the level "interval"; for "ordinal" the columns stand in their order
    """
    import numpy as np

    each = seen.sum(axis=-1)
    if level == "nominal":
        apart = 1 - np.eye(seen.shape[-1])
    else:
        place = np.asarray(values, float) if level == "interval" else np.cumsum(each, axis=-1) - each / 2
        apart = (place[..., :, None] - place[..., None, :]) ** 2
    observed = (seen * apart).sum(axis=(-2, -1))
    expected = (each[..., :, None] * each[..., None, :] * apart).sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (each.sum(axis=-1) - 1) * observed / expected, np.nan)


def alpha_multilabel(apart: np.ndarray, present: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Alpha of sets of labels, from sums over units; the distance of two sets is how many labels only one of them has.

    With one label this is the nominal alpha of present and absent.

    apart       (..., labels) pairs of annotators of whom one says that it is there, each unit's divided by its annotators - 1
    present     (..., labels) how often it was said to be there
    everything  (...) how often anything could have been said: annotators × units
    """
    import numpy as np

    expected = (present * (everything[..., None] - present)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (everything - 1) * apart.sum(axis=-1) / expected, np.nan)
