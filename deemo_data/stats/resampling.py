"""The bootstrap over people: the one method behind every interval that a report shows.

What is resampled   People: the subjects of the clips. A round draws as many people as there are, with replacement, and takes all
    clips of a person together, because clips of one person resemble each other. A figure about pairs of people counts a pair as
    often as both people were drawn together. Where a model was trained with several seeds, the seeds are drawn too, independently
    of the subjects (Owen, Annals of Applied Statistics 1, 2007, 386-411).
    Agreement between annotators draws single clips while there are fewer than MIN_SUBJECTS subjects, and the report says so:
    so few subjects would leave it without any interval, and it describes annotators rather than subjects.
Which interval      The central 95 % of the resampled values: percentiles.
Few people          With n people plain percentiles are too narrow, by (n - 1) / n in variance and by the normal distribution
    against Student's t. Hesterberg's expanded percentiles make up for both: the tails are moved outwards (The American
    Statistician 69, 2015, 371-386; arXiv 1411.5279, 4.5).
What is refused     No interval with fewer than MIN_UNITS people (or clips), and none where more than a tenth of the rounds gave
    no value. A report then says "too few for an interval".

What is no such bootstrap, and why it stays as it is:

audit.attacks.scores     uses the same draws and the same percentiles, but from 2 people on: a privacy report must show how little
    a test on few people proves, so it gives a wide interval instead of none. A share (rank-1, say) of fewer than 10 people gets
    the exact binomial interval of Clopper and Pearson: a bootstrap of 0 hits out of 5 would claim certainty.
baseline.checks          decide by permutations, which answer another question: whether a figure could have come about by chance.
    The interval beside it is this bootstrap.

All draws are seeded: the same data give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MIN_UNITS = 5  # people (or clips) that an interval needs
MIN_SUBJECTS = 10  # subjects from which on agreement resamples subjects instead of clips
MAX_MISSING_SHARE = 0.1  # of rounds that gave no value
CONFIDENCE_LEVEL = 0.95


def draw_counts(units: int, rounds: int, random: np.random.Generator) -> np.ndarray:
    """How often each unit is drawn in each round, when as many are drawn as there are, with replacement: (rounds, units)."""
    import numpy as np

    return random.multinomial(units, np.full(units, 1 / units), size=rounds)


def bootstrap_interval(
    values: np.ndarray, units: int, min_units: int = MIN_UNITS, max_missing: float = MAX_MISSING_SHARE
) -> tuple[float, float] | None:
    """The 95 % interval of resampled values, by expanded percentiles; None where it is refused.

    values       (rounds,) the figure in each round, NaN where a round gives none
    units        how many people (or clips) were drawn from
    min_units    how many it needs, at least 2
    max_missing  share of rounds that may have no value
    """
    import numpy as np
    from scipy.special import ndtr, stdtrit

    known = values[~np.isnan(values)]
    if units < min_units or len(known) < (1 - max_missing) * max(len(values), 1) or not len(known):
        return None
    tail = float(ndtr(math.sqrt(units / (units - 1)) * stdtrit(units - 1, (1 - CONFIDENCE_LEVEL) / 2)))
    low, high = np.quantile(known, (tail, 1 - tail))
    return float(low), float(high)


@dataclass(frozen=True)
class Resampling:
    """How often each clip is drawn, round by round. A figure is computed once per clip; a round only weights the sums.

    weights  (1 + rounds, clips); the first row is the clips as they are
    unit_of  (clips,) the number of the unit that a clip is drawn with: its subject, or the clip alone
    by       "subjects" or "clips"
    """

    weights: np.ndarray
    unit_of: np.ndarray
    by: str

    @classmethod
    def of(cls, subjects: Sequence[str], rounds: int, seed: int) -> Resampling:
        """Of clips, each given by its subject: by subjects if there are MIN_SUBJECTS, otherwise by clips."""
        import numpy as np

        by = "subjects" if len(set(subjects)) >= MIN_SUBJECTS else "clips"
        _, unit_of = np.unique(np.array(subjects, dtype=str), return_inverse=True)
        if by == "clips":
            unit_of = np.arange(len(subjects))
        units = int(unit_of.max()) + 1 if len(unit_of) else 0
        counts = np.ones((1 + rounds, units))
        if units:
            counts[1:] = draw_counts(units, rounds, np.random.default_rng(seed))
        return cls(counts[:, unit_of], unit_of, by)

    def total(self, stat: np.ndarray, where: np.ndarray | slice = slice(None)) -> np.ndarray:
        """The sum over clips in each round: `stat` (clips, ...) -> (1 + rounds, ...).

        where  the numbers of the clips that `stat` is about, in its order
        """
        import numpy as np

        return np.tensordot(self.weights[:, where], stat, axes=1)

    def count_units(self, holds: np.ndarray, where: np.ndarray | slice = slice(None)) -> int:
        """The number of units (subjects or clips) with at least one clip for which `holds` (clips,) is true."""
        return len(set(self.unit_of[where][holds].tolist()))


def weighted_quantiles(values: np.ndarray, counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles of values that occur several times: (rounds, shares); NaN for a round without any.

    A quantile is the smallest value up to which at least the share of all values lies.

    values  (V,) in ascending order
    counts  (rounds, V) how often each value occurs in a round
    """
    import numpy as np

    if not len(values):
        return np.full((len(counts), len(shares)), np.nan)
    up_to = np.cumsum(counts, axis=1)
    quantiles = [values[np.argmax(up_to >= share * up_to[:, -1:] - 1e-9, axis=1)] for share in shares]
    return np.where(up_to[:, -1:] > 0, np.stack(quantiles, axis=1), np.nan)
