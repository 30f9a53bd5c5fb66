"""The arithmetic of agreement: matching events, Krippendorff's alpha, what chance gives, and intervals by resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

THRESHOLDS = (0.3, 0.5, 0.7)  # temporal IoU from which on two events are one
FEW_EVENTS = 5  # fewer, or all of them in one clip, and a figure would be an anecdote
FEW_UNITS = 5  # an interval wants at least so many clips (or subjects) that hold something
SUBJECTS = 10  # from so many on subjects are resampled, not clips: clips of one person are alike
SURE = 0.95

Level = Literal["nominal", "ordinal", "interval"]


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


def alpha_present(apart: np.ndarray, present: np.ndarray, everything: np.ndarray) -> np.ndarray:
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


@dataclass(frozen=True)
class Resampling:
    """How often each clip is drawn, round by round: sums over clips are made once, and weighted here.

    weights  (1 + rounds, clips); the first row is the clips as they are
    unit_of  (clips,) what is drawn together: the clip's subject, or the clip alone
    by       "subjects" or "clips"
    """

    weights: np.ndarray
    unit_of: np.ndarray
    by: str

    @classmethod
    def of(cls, subjects: Sequence[str], rounds: int, seed: int) -> Resampling:
        """Over clips, each given by its subject."""
        import numpy as np

        by = "subjects" if len(set(subjects)) >= SUBJECTS else "clips"
        _, unit_of = np.unique(np.array(subjects, dtype=str), return_inverse=True)
        if by == "clips":
            unit_of = np.arange(len(subjects))
        units = int(unit_of.max()) + 1 if len(unit_of) else 0
        drawn = np.ones((1 + rounds, units))
        if units:
            drawn[1:] = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=rounds)
        return cls(drawn[:, unit_of], unit_of, by)

    def total(self, stat: np.ndarray, where: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Sums of `stat` (clips, ...) in every round: (1 + rounds, ...). `where`: which clips it is about."""
        import numpy as np

        return np.tensordot(self.weights[:, where], stat, axes=1)

    def units(self, holds: np.ndarray, where: np.ndarray | slice = slice(None)) -> int:
        """How many of what is drawn hold something. `holds` (clips,)."""
        return len(set(self.unit_of[where][holds].tolist()))


def interval(values: np.ndarray, units: int) -> tuple[float, float] | None:
    """The 95 % interval of resampled values, by percentiles that are moved out for few units; None where it means nothing.

    With n units percentiles are too narrow, by (n - 1) / n in variance and by t against normal: Hesterberg's expanded
    percentiles (The American Statistician 69, 2015, 371-386) make up for both.
    """
    import numpy as np
    from scipy.special import ndtr, stdtrit

    known = values[~np.isnan(values)]
    if units < FEW_UNITS or len(known) < 0.9 * max(len(values), 1) or not len(known):
        return None
    tail = float(ndtr(math.sqrt(units / (units - 1)) * stdtrit(units - 1, (1 - SURE) / 2)))
    low, high = np.quantile(known, (tail, 1 - tail))
    return float(low), float(high)


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


def quantiles(values: np.ndarray, counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Weighted quantiles, the smallest value up to which at least the share lies: (rounds, shares); NaN without any.

    values  (V,) in order
    counts  (rounds, V) how often each occurs
    """
    import numpy as np

    if not len(values):
        return np.full((len(counts), len(shares)), np.nan)
    upto = np.cumsum(counts, axis=1)
    found = [values[np.argmax(upto >= share * upto[:, -1:] - 1e-9, axis=1)] for share in shares]
    return np.where(upto[:, -1:] > 0, np.stack(found, axis=1), np.nan)
