"""Bootstrap over subjects and its intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

FEW_UNITS = 5  # an interval wants at least so many clips (or subjects) that hold something
SUBJECTS = 10  # from so many on subjects are resampled, not clips: clips of one person are alike
SURE = 0.95


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
