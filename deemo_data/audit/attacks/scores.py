"""How well an attacker does, with what guessing would give and a 95 % interval.

Figures are shares between 0 and 1. Clips of one person are alike, so what is drawn again for an interval is people,
never pairs or clips, and few people make wide intervals. All draws are seeded: the same scores give the same figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.stats.resampling import bootstrap_interval, draw_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


EER_CHANCE = 0.5
BOOTSTRAP_DRAWS = 2000
MIN_PEOPLE_FOR_BOOTSTRAP = 10  # with fewer people, shares get the exact binomial interval instead of a bootstrap
MAX_WEIGHTS_IN_MEMORY = 4_000_000  # bootstrap weights held in memory at a time


@dataclass(frozen=True)
class Score:
    """One figure of an attacker.

    value, low, high  a share, and its 95 % interval; NaN where it could not be computed
    chance            what guessing gives; None for a figure that has no such level (WER, say)
    n, unit           how many independent things it rests on, and what they are ("speakers", "clips")
    """

    value: float
    low: float
    high: float
    chance: float | None
    n: int
    unit: str

    def to_row(self) -> dict[str, Any]:
        """JSON values; what is not a number becomes null."""
        said = {name: _to_json_number(getattr(self, name)) for name in ("value", "low", "high", "chance")}
        return {**said, "n": self.n, "unit": self.unit, "within_chance": is_within_chance(self)}


def _to_json_number(value: float | None) -> float | None:
    return round(float(value), 4) if value is not None and value == value else None


def is_within_chance(score: Score) -> bool:
    """Whether the interval holds the level of guessing. With few people this proves little: read the width too."""
    return score.chance is not None and score.low <= score.chance <= score.high


# ── verification: are these two of one person? ───────────────────────────────────────────────────────────────


def equal_error_rate(target: ArrayLike, nontarget: ArrayLike) -> float:
    """The equal error rate: misses among `target` scores = false alarms among `nontarget` scores; high means alike.

    Read off the plain ROC, straight between neighbouring thresholds, equal scores being one step. Not off its convex
    hull: that never passes 0.5, so that guessing on few pairs looks better than guessing. NaN without either kind.
    """
    import numpy as np

    kinds = [np.asarray(scores, np.float64).ravel() for scores in (target, nontarget)]
    if not all(len(scores) for scores in kinds):
        return float("nan")
    same = np.repeat([True, False], [len(scores) for scores in kinds])
    return float(_equal_error_rates(np.concatenate(kinds), same, np.ones((1, len(same))))[0])


def _equal_error_rates(scores: NDArray, same: NDArray[np.bool_], weights: NDArray) -> NDArray[np.float64]:
    """One EER for each row of `weights` (draws, pairs); NaN where a row has no pair of one kind."""
    import numpy as np

    order = np.argsort(scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last of each run of equal scores
    weights, same = weights[:, order], same[order]
    sums = [np.cumsum(weights * kind, axis=1) for kind in (same, ~same)]
    with np.errstate(invalid="ignore"):
        missed, refused = (np.pad(s[:, ends], ((0, 0), (1, 0))) / s[:, -1:] for s in sums)
    gap = missed + refused - 1  # misses less false alarms: climbs from -1 to 1
    after = np.argmax(gap >= 0, axis=1)
    rows = np.arange(len(gap))
    before, right = gap[rows, after - 1], gap[rows, after]
    part = np.divide(-before, right - before, out=np.zeros_like(right), where=right > before)
    rate = missed[rows, after - 1] + part * (missed[rows, after] - missed[rows, after - 1])
    return np.where(np.isnan(gap).any(axis=1), np.nan, rate)


def eer_interval(scores: ArrayLike, one: Sequence[str], other: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the EER of pairs; `scores` (n,), `one` and `other` name the two people of each pair.

    People are drawn with repetition, and a pair counts as often as both its people were drawn together. An EER of 0
    has the interval [0, 0]: no draw of the same people can be worse. Of two people nothing can be drawn: [0, 1].
    """
    import numpy as np

    values = np.asarray(scores, np.float64)
    people, index = np.unique(np.concatenate([np.asarray(one), np.asarray(other)]), return_inverse=True)
    left, right = index.reshape(2, -1)
    same = left == right
    if same.all() or not same.any():
        return float("nan"), float("nan")
    if len(people) < 3:
        return 0.0, 1.0
    found = []
    for times in _iterate_draws(len(people), len(values), seed):
        weights = np.where(same, times[:, left], times[:, left] * times[:, right])
        found.append(_equal_error_rates(values, same, weights.astype(np.float64)))
    return _interval(np.concatenate(found), len(people))


def eer_score(scores: ArrayLike, one: Sequence[str], other: Sequence[str], unit: str = "speakers", seed: int = 0) -> Score:
    """EER and interval of scored pairs; a pair is a target where `one` and `other` name the same person."""
    import numpy as np

    values, same = np.asarray(scores, np.float64), np.asarray(one) == np.asarray(other)
    value = equal_error_rate(values[same], values[~same])
    return Score(value, *eer_interval(values, one, other, seed), EER_CHANCE, len({*one, *other}), unit)


# ── identification: who is this? ─────────────────────────────────────────────────────────────────────────────


def rank1_hits(similarity: ArrayLike, gallery: Sequence[str], probes: Sequence[str]) -> NDArray[np.float64]:
    """For each probe (row), the share of its most similar identities that is the right one: 1, 0, or less at a tie.

    `similarity` (probes, gallery entries). Write -inf at what a probe may not be compared with (itself, say), NaN where
    the attacker sees nothing. Who sees nothing at all guesses: an even share for each identity.
    """
    import numpy as np

    table = np.asarray(similarity, np.float64)
    table = np.where(np.isnan(table), -np.inf, table)
    known = np.unique(np.asarray(gallery))
    best = np.stack([table[:, np.asarray(gallery) == who].max(axis=1) for who in known], axis=1)
    first = best == best.max(axis=1, keepdims=True)
    right = np.asarray(probes)[:, None] == known[None]
    return (first & right).sum(axis=1) / first.sum(axis=1)


def rank1_rate(similarity: ArrayLike, gallery: Sequence[str], probes: Sequence[str]) -> float:
    """The share of probes whose most similar gallery entry is of the same person; see `hits`."""
    return float(rank1_hits(similarity, gallery, probes).mean()) if len(probes) else float("nan")


def rank1_chance(gallery: Sequence[str]) -> float:
    """What naming one of the known people at random gives."""
    return 1 / len(set(gallery))


def rank1_interval(similarity: ArrayLike, gallery: Sequence[str], probes: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of rank-1: exact binomial for fewer than 10 people, else a bootstrap over the people probed."""
    return share_interval(rank1_hits(similarity, gallery, probes), probes, seed)


def rank1_score(
    similarity: ArrayLike, gallery: Sequence[str], probes: Sequence[str], unit: str = "clips", seed: int = 0
) -> Score:
    """Rank-1, its interval, and chance = 1 / people in the gallery."""
    interval = rank1_interval(similarity, gallery, probes, seed)
    return Score(rank1_rate(similarity, gallery, probes), *interval, rank1_chance(gallery), len(probes), unit)


# ── shares and means ─────────────────────────────────────────────────────────────────────────────────────────


def binomial_interval(count: float, n: int) -> tuple[float, float]:
    """Clopper and Pearson's exact 95 % interval of `count` of `n`, all taken to be independent."""
    from scipy.special import betaincinv

    if not n:
        return 0.0, 1.0
    low = float(betaincinv(count, n - count + 1, 0.025)) if count > 0 else 0.0
    return low, float(betaincinv(count + 1, n - count, 0.975)) if count < n else 1.0


def share_interval(right: ArrayLike, people: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of `right` (n,), each between 0 and 1, `people` saying whose each is."""
    import numpy as np

    values = np.asarray(right, np.float64)
    if len(set(people)) < MIN_PEOPLE_FOR_BOOTSTRAP:
        return binomial_interval(float(values.sum()), len(values))
    return mean_interval(values, people, seed)


def share_score(right: ArrayLike, people: Sequence[str], unit: str, chance: float | None = None, seed: int = 0) -> Score:
    """The mean of `right` (n,), each between 0 and 1, as a Score."""
    import numpy as np

    values = np.asarray(right, np.float64)
    value = float(values.mean()) if len(values) else float("nan")
    return Score(value, *share_interval(values, people, seed), chance, len(values), unit)


def mean_interval(
    values: ArrayLike, people: Sequence[str], seed: int = 0, weights: ArrayLike | None = None
) -> tuple[float, float]:
    """The 95 % interval of a mean of any values (n,) by a bootstrap over people; `weights` (n,): words a clip, say."""
    import numpy as np

    parts = np.asarray(values, np.float64)
    much = np.ones(len(parts)) if weights is None else np.asarray(weights, np.float64)
    names, index = np.unique(np.asarray(people), return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    top, bottom = np.bincount(index, parts * much), np.bincount(index, much)
    with np.errstate(invalid="ignore"):
        found = [(times @ top) / (times @ bottom) for times in _iterate_draws(len(names), len(names), seed)]
    return _interval(np.concatenate(found), len(names))


def _iterate_draws(people: int, width: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each person is drawn, (rounds, people) of a few rounds at a time, so that rows of `width` fit into memory."""
    import numpy as np

    random, left = np.random.default_rng(seed), BOOTSTRAP_DRAWS
    while left > 0:
        rounds = min(left, max(1, MAX_WEIGHTS_IN_MEMORY // max(width, 1)))
        yield draw_counts(people, rounds, random)
        left -= rounds


def _interval(values: NDArray, people: int) -> tuple[float, float]:
    """The interval of resampled values, however few people there are (see stats.resampling); NaN for fewer than two."""
    ends = bootstrap_interval(values, people, min_units=2, max_missing=1)
    return ends or (float("nan"), float("nan"))
