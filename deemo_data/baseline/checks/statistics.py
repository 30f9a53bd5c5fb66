"""How sure a check is: permutations that respect who is who, effect sizes, and the smallest effect that would have been seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np


if TYPE_CHECKING:
    Deal = Callable[[np.random.Generator], np.ndarray]  # draws a permutation of the clips: numbers (n,)

Verdict = Literal["ok", "problem", "inconclusive"]

ROUNDS = 200  # permutations of a null, at least
ALPHA = 0.01  # a check errs so often where there is nothing
NEGLIGIBLE = 0.05  # effects below this are not worth a word, however sure they are
WORTH = 0.2  # a check that could not have seen an effect of this size says nothing by seeing none
POWER_Z = 0.8416  # standard deviations above the threshold at which 4 of 5 such effects are seen
RIDGES = (0.03, 1.0, 30.0)  # how strongly a probe is held back, for kernels with a mean diagonal of 1; the best one counts
STILL = 1e-9  # standard deviation of a figure that does not move
AT_ONCE = 16_000_000  # numbers held for permutations at once


@dataclass(frozen=True)
class Finding:
    """One figure of a check, what chance gives, and how sure that is.

    value, low, high  the figure and its 95 % interval by subjects (None: too few)
    chance            its mean over permutations; `null` are its 5th, 50th, 95th and 99th percentiles
    effect            (value - chance) / scale: 0 is guessing, 1 is certainty
    p                 of all permutations, how many reach it on any figure of the check: (1 + k) / (1 + rounds)
    smallest          effect that would have been seen 4 times of 5; infinite where all permutations come out alike, so that the
                      figure cannot move
    """

    name: str
    value: float
    low: float | None
    high: float | None
    chance: float
    null: tuple[float, float, float, float]
    effect: float
    p: float
    smallest: float
    n: int
    unit: str

    def seen(self) -> bool:
        return self.p <= ALPHA and self.effect >= NEGLIGIBLE

    def could_see(self) -> bool:
        return self.smallest <= WORTH


@dataclass(frozen=True)
class Measured:
    """A figure before it is judged: as it is, and as it is under each permutation (rounds,)."""

    name: str
    value: float
    null: np.ndarray
    n: int
    unit: str = "clips"
    interval: tuple[float, float] | None = None
    scale: float | None = None  # from guessing to certainty; None: 1 - chance


def judge(measured: Sequence[Measured], alpha: float = ALPHA) -> list[Finding]:
    """Findings of one check. A permutation counts against each of them if any figure of the check is as extreme in it (max-T).

    The figures must come from the same permutations, in the same order.
    """
    import numpy as np

    if not measured:
        return []
    nulls = np.stack([m.null for m in measured])
    centre, spread = nulls.mean(axis=1), np.maximum(nulls.std(axis=1, ddof=1), STILL)
    both = np.column_stack([[m.value for m in measured], nulls])  # the truth is one more permutation: so p is exact
    z = (both - both.mean(axis=1, keepdims=True)) / np.maximum(both.std(axis=1, keepdims=True), STILL)
    most, rounds = z[:, 1:].max(axis=0), nulls.shape[1]
    exceeded = max(math.floor(alpha * (1 + rounds)) - 1, 0)  # so many permutations may reach a figure that is seen
    alone = ((nulls - centre[:, None]) / spread[:, None]).max(axis=0)
    threshold = max(float(np.sort(alone)[::-1][exceeded]), 0.0) if alpha * (1 + rounds) >= 1 else math.inf
    found = []
    for m, mean, sd, null, own in zip(measured, centre, spread, nulls, z[:, 0], strict=True):
        scale = m.scale if m.scale is not None else max(1 - float(mean), 1e-9)
        low, high = m.interval or (None, None)
        p5, p50, p95, p99 = (float(v) for v in np.percentile(null, [5, 50, 95, 99]))
        p = float(1 + (most >= own - 1e-9).sum()) / (1 + rounds)
        smallest = float((threshold + POWER_Z) * sd) / scale if sd > STILL else math.inf
        effect = float(m.value - mean) / scale
        null_at = (p5, p50, p95, p99)
        found.append(Finding(m.name, float(m.value), low, high, float(mean), null_at, effect, p, smallest, m.n, m.unit))
    return found


def feared(found: Sequence[Finding]) -> Verdict:
    """Of a check that hopes to see nothing: a problem if it sees something, ok if it would have."""
    if any(f.seen() for f in found):
        return "problem"
    return "ok" if found and all(f.could_see() for f in found) else "inconclusive"


def hoped(found: Sequence[Finding]) -> Verdict:
    """Of a check that hopes to see something: ok if it does, a problem if it does not and would have."""
    if any(f.seen() for f in found):
        return "ok"
    return "problem" if found and all(f.could_see() for f in found) else "inconclusive"


def whole_groups(groups: Sequence[str] | np.ndarray) -> Deal:
    """Permutations that deal each group's values, shuffled among themselves, to another group.

    What belongs to a person (a habit, a usual emotion) stays together; only whose it is becomes chance. Groups of unequal size
    are laid end to end, so that a group may be cut between two.
    """
    return _by_groups(groups, lambda rng, count: rng.permutation(count))


def within_groups(groups: Sequence[str] | np.ndarray) -> Deal:
    """Permutations that exchange values only between members of a group."""
    return _by_groups(groups, lambda rng, count: range(count))


def _by_groups(
    groups: Sequence[str] | np.ndarray, order: Callable[[np.random.Generator, int], Sequence[int] | np.ndarray]
) -> Deal:
    """Values shuffled within their groups; the groups dealt out in the order that is drawn for their numbers."""
    import numpy as np

    _, numbers = np.unique(np.asarray(groups), return_inverse=True)
    places = np.argsort(numbers, kind="stable")

    def draw(rng: np.random.Generator) -> np.ndarray:
        drawn = np.asarray(order(rng, int(numbers.max()) + 1))
        dealt = np.empty(len(numbers), int)
        dealt[places] = np.lexsort((rng.random(len(numbers)), drawn[numbers]))
        return dealt

    return draw


def freely(n: int) -> Deal:
    return lambda rng: rng.permutation(n)


def draws(deal: Deal, rounds: int, seed: int) -> np.ndarray:
    """(1 + rounds, n): first everything in its place, then the permutations."""
    import numpy as np

    rng = np.random.default_rng(seed)
    drawn = [deal(rng) for _ in range(rounds)]
    return np.stack([np.arange(len(drawn[0])), *drawn])


def recall(truth: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Unweighted average recall (UAR), in [0, 1]: truth and said (..., n) of class numbers; classes nobody has do not count."""
    import numpy as np

    total, present = np.zeros(truth.shape[:-1]), np.zeros(truth.shape[:-1])
    for k in range(classes):
        mine = truth == k
        count = mine.sum(axis=-1)
        total += (mine & (said == k)).sum(axis=-1) / np.maximum(count, 1)
        present += count > 0
    return total / np.maximum(present, 1)


def interval(
    correct: np.ndarray, truth: np.ndarray, groups: Sequence[str] | np.ndarray, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval of the average recall, by drawing whole groups 1000 times; None with fewer than 5."""
    import numpy as np

    from deemo_data.stats.resampling import interval as widened

    classes, which = np.unique(truth, return_inverse=True)
    who, group = np.unique(np.asarray(groups), return_inverse=True)
    counts, hits = np.zeros((len(who), len(classes))), np.zeros((len(who), len(classes)))
    np.add.at(counts, (group, which), 1)
    np.add.at(hits, (group, which), correct)
    drawn = np.random.default_rng(seed).multinomial(len(who), np.full(len(who), 1 / len(who)), size=1000)
    total, right = drawn @ counts, drawn @ hits
    shares = np.divide(right, total, out=np.zeros(total.shape), where=total > 0)
    return widened(shares.sum(axis=1) / (total > 0).sum(axis=1), len(who))


def kernel(features: np.ndarray) -> np.ndarray:
    """(n, n): products of standardised features, scaled to a mean diagonal of 1; columns that never change are left out."""
    import numpy as np

    features = np.asarray(features, float)
    spread = features.std(axis=0)
    kept = spread > 1e-6 * (1 + np.abs(features).max(axis=0, initial=0))
    if not kept.any():
        return np.zeros((len(features), len(features)))
    z = (features[:, kept] - features[:, kept].mean(axis=0)) / spread[kept]
    return z @ z.T / kept.sum()


def deal_folds(groups: Sequence[str] | np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold for each clip (n,); the clips of a group share one. Folds get like numbers of clips."""
    import numpy as np

    who, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(who))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of, filled = np.empty(len(who), int), np.zeros(folds)
    for one in order:
        fold_of[one] = int(np.argmin(filled))
        filled[fold_of[one]] += sizes[one]
    return fold_of[group]


def smoothers(
    gram: np.ndarray, folds: np.ndarray, kept: np.ndarray | None = None, ridges: Sequence[float] = RIDGES
) -> list[np.ndarray]:
    """For each ridge an (n, n) matrix S: S @ targets are predictions by ridge regression that never saw the clip's own fold.

    As S does not depend on the targets, a permutation costs no new fit.

    kept  (n,) of bool: clips that may be learned from; None: all
    """
    import numpy as np

    made = [np.zeros_like(gram) for _ in ridges]
    for fold in np.unique(folds):
        test = np.flatnonzero(folds == fold)
        train = np.flatnonzero((folds != fold) & (True if kept is None else kept))
        values, vectors = np.linalg.eigh(gram[np.ix_(train, train)])
        across = gram[np.ix_(test, train)] @ vectors
        for one, ridge in zip(made, ridges, strict=True):
            one[np.ix_(test, train)] = (across / (np.maximum(values, 0) + ridge)) @ vectors.T
    return made


def guesses(smoother: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """What a smoother says for each row of labels, (rounds, n) of class numbers. Rare classes count as much as common ones."""
    import numpy as np

    n = labels.shape[1]
    share = np.bincount(labels[0], minlength=classes) / n
    said = np.empty(labels.shape, int)
    smoother = smoother.astype(np.float32)
    scale = np.where(share > 0, 1 / np.sqrt(np.maximum(share, 1e-12)), 0).astype(np.float32)
    step = max(AT_ONCE // (n * classes), 1)
    for start in range(0, len(labels), step):
        some = labels[start : start + step]
        targets = (some[:, :, None] == np.arange(classes)).astype(np.float32) - share.astype(np.float32)
        scores = smoother @ (targets * scale).transpose(1, 0, 2).reshape(n, -1)
        scores = scores.reshape(n, len(some), classes)
        scores[:, :, share == 0] = -np.inf
        said[start : start + step] = scores.argmax(axis=2).T
    return said


def probe(
    name: str, made: Sequence[np.ndarray], labels: np.ndarray, classes: int, groups: Sequence[str] | np.ndarray, seed: int = 0
) -> Measured:
    """The average recall of ridge probes (the best of them, in each permutation anew).

    made    smoothers
    labels  (1 + rounds, n), as `draws` orders them: the first row is the truth
    groups  by whom the interval is drawn
    """
    import numpy as np

    said = np.stack([guesses(one, labels, classes) for one in made])
    scores = recall(np.broadcast_to(labels, said.shape), said, classes)
    best = int(scores[:, 0].argmax())
    reached = scores.max(axis=0)
    right = said[best, 0] == labels[0]
    return Measured(name, float(reached[0]), reached[1:], labels.shape[1], interval=interval(right, labels[0], groups, seed))


def as_numbers(names: Sequence[str], order: Sequence[str] | None = None) -> tuple[np.ndarray, list[str]]:
    """Class numbers (n,), and the names they stand for: those that occur, in the order given."""
    import numpy as np

    known = [name for name in (order or sorted(set(names))) if name in set(names)]
    return np.array([known.index(name) for name in names], int), known


def told(finding: Finding) -> Mapping[str, object]:
    """A finding as JSON, which knows no infinity: that is null."""
    from dataclasses import asdict

    return {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(finding).items()} | {
        "null": [round(v, 6) for v in finding.null],
        "smallest": round(finding.smallest, 6) if math.isfinite(finding.smallest) else None,
        "seen": finding.seen(),
        "could_see": finding.could_see(),
    }
