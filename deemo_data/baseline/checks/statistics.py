"""Permutation tests for the checks: null distributions that respect subjects, p-values, effect sizes and power.

A check measures a few figures, mostly the average recall of a probe, on the true labels and on permuted ones:

    1. `draw_permutations` draws the permutations. `permute_whole_groups` moves labels only with their whole subject, because
       the clips of one person resemble each other.
    2. `measure_probe` returns a `Measurement`: the figure and its value under each permutation (the null distribution).
    3. `judge_measurements` turns the measurements of one check into `Finding`s, with one shared error rate (max-T).
    4. `judge_unwanted_effect` or `judge_wanted_effect` derives the verdict.

Probes are ridge regressions on kernels. `fit_smoothers` expresses their cross-validated predictions as matrices that do not
depend on the labels, so that each further permutation costs one matrix product and no new fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deemo_data.stats.resampling import bootstrap_interval, draw_counts

if TYPE_CHECKING:
    import numpy as np

    Permuter = Callable[[np.random.Generator], np.ndarray]  # draws a permutation of the clips: indices (n,)

Verdict = Literal["ok", "problem", "inconclusive"]

PERMUTATION_ROUNDS = 200  # permutations for a null distribution: the default, and the smallest number allowed
ALPHA = 0.01  # false-positive rate of a check, all of its figures together
MIN_EFFECT = 0.05  # a smaller effect does not count as detected, even when it is significant
TARGET_EFFECT = 0.2  # a check that would miss an effect of this size is inconclusive when it detects none
POWER_Z = 0.8416  # standard deviations above the threshold where an effect is detected 4 times out of 5
RIDGE_STRENGTHS = (0.03, 1.0, 30.0)  # regularisation of a probe, for kernels with a mean diagonal of 1; the best one counts
MIN_STD = 1e-9  # a figure with a smaller standard deviation over the permutations is constant
NUMBERS_PER_BATCH = 16_000_000  # numbers that permuted targets hold in memory at a time
INTERVAL_ROUNDS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Finding:
    """One figure of a check, compared with chance.

    value, low, high  the figure and its 95 % interval over subjects (None: too few subjects)
    chance            mean of the figure over the permutations
    null              5th, 50th, 95th and 99th percentile over the permutations
    effect            (value - chance) / scale: 0 is guessing, 1 is certainty
    p                 (1 + k) / (1 + rounds), where k permutations are at least as extreme on any figure of the check
    smallest          the smallest effect that is detected 4 times out of 5; infinite when all permutations give the same value
    n, unit           how many things the figure rests on, and what they are
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

    def is_detected(self) -> bool:
        """Whether the effect is significant and large enough to matter."""
        return self.p <= ALPHA and self.effect >= MIN_EFFECT

    def is_sensitive(self) -> bool:
        """Whether an effect of TARGET_EFFECT would have been detected."""
        return self.smallest <= TARGET_EFFECT


@dataclass(frozen=True)
class Measurement:
    """A figure before it is judged.

    value     on the true labels
    null      (rounds,) under each permutation
    n, unit   how many things it rests on, and what they are
    interval  95 % interval over subjects; None: too few subjects
    scale     distance between guessing and certainty; None: 1 - chance
    """

    name: str
    value: float
    null: np.ndarray
    n: int
    unit: str = "clips"
    interval: tuple[float, float] | None = None
    scale: float | None = None


def judge_measurements(measurements: Sequence[Measurement], alpha: float = ALPHA) -> list[Finding]:
    """Compare the figures of one check with chance; all of them share one false-positive rate `alpha`.

    The max-T method: a permutation counts against every figure when any figure of the check is as extreme in it. All
    measurements must use the same permutations in the same order.
    """
    import numpy as np

    if not measurements:
        return []
    nulls = np.stack([m.null for m in measurements])
    centre, spread = nulls.mean(axis=1), np.maximum(nulls.std(axis=1, ddof=1), MIN_STD)
    # The true value counts as one more permutation, which makes p exact.
    values = np.column_stack([[m.value for m in measurements], nulls])
    z = (values - values.mean(axis=1, keepdims=True)) / np.maximum(values.std(axis=1, keepdims=True), MIN_STD)
    max_z, rounds = z[:, 1:].max(axis=0), nulls.shape[1]
    exceeding = max(math.floor(alpha * (1 + rounds)) - 1, 0)  # permutations that may reach a detected figure
    max_null_z = ((nulls - centre[:, None]) / spread[:, None]).max(axis=0)
    threshold = max(float(np.sort(max_null_z)[::-1][exceeding]), 0.0) if alpha * (1 + rounds) >= 1 else math.inf
    findings = []
    for m, mean, sd, null, true_z in zip(measurements, centre, spread, nulls, z[:, 0], strict=True):
        scale = m.scale if m.scale is not None else max(1 - float(mean), 1e-9)
        low, high = m.interval or (None, None)
        p5, p50, p95, p99 = (float(v) for v in np.percentile(null, [5, 50, 95, 99]))
        p = float(1 + (max_z >= true_z - 1e-9).sum()) / (1 + rounds)
        smallest = float((threshold + POWER_Z) * sd) / scale if sd > MIN_STD else math.inf
        effect = float(m.value - mean) / scale
        findings.append(
            Finding(
                name=m.name,
                value=float(m.value),
                low=low,
                high=high,
                chance=float(mean),
                null=(p5, p50, p95, p99),
                effect=effect,
                p=p,
                smallest=smallest,
                n=m.n,
                unit=m.unit,
            )
        )
    return findings


def judge_unwanted_effect(findings: Sequence[Finding]) -> Verdict:
    """The verdict where an effect would be bad: "problem" if one is detected, "ok" if every figure would have shown one."""
    if any(f.is_detected() for f in findings):
        return "problem"
    return "ok" if findings and all(f.is_sensitive() for f in findings) else "inconclusive"


def judge_wanted_effect(findings: Sequence[Finding]) -> Verdict:
    """The verdict where an effect is expected: "ok" if one is detected, "problem" if every figure would have shown one."""
    if any(f.is_detected() for f in findings):
        return "ok"
    return "problem" if findings and all(f.is_sensitive() for f in findings) else "inconclusive"


def permute_whole_groups(groups: Sequence[str] | np.ndarray) -> Permuter:
    """Permutations that give the values of each group, shuffled among themselves, to another group.

    The values of one person (a habit, a frequent emotion) stay together; only the assignment to persons becomes random. Groups of
    unequal size are laid end to end, so that the values of one group may be divided between two.
    """
    return _make_group_permuter(groups, lambda rng, count: rng.permutation(count))


def permute_within_groups(groups: Sequence[str] | np.ndarray) -> Permuter:
    """Permutations that exchange values only between members of the same group."""
    return _make_group_permuter(groups, lambda rng, count: range(count))


def _make_group_permuter(
    groups: Sequence[str] | np.ndarray, order: Callable[[np.random.Generator, int], Sequence[int] | np.ndarray]
) -> Permuter:
    """Permutations that shuffle values within their groups and lay out the groups in the order that `order(rng, count)` draws."""
    import numpy as np

    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    places = np.argsort(group_of, kind="stable")

    def draw(rng: np.random.Generator) -> np.ndarray:
        position_of_group = np.asarray(order(rng, int(group_of.max()) + 1))
        permutation = np.empty(len(group_of), int)
        permutation[places] = np.lexsort((rng.random(len(group_of)), position_of_group[group_of]))
        return permutation

    return draw


def permute_freely(n: int) -> Permuter:
    """Permutations of n values, whatever their groups."""
    return lambda rng: rng.permutation(n)


def draw_permutations(permuter: Permuter, rounds: int, seed: int) -> np.ndarray:
    """(1 + rounds, n) indices: the identity, then `rounds` permutations."""
    import numpy as np

    rng = np.random.default_rng(seed)
    permutations = [permuter(rng) for _ in range(rounds)]
    return np.stack([np.arange(len(permutations[0])), *permutations])


def average_recall(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Unweighted average recall (UAR), in [0, 1]. Classes that do not occur in `truth` do not count.

    truth, predicted  (..., n) class numbers; the result has their leading shape
    """
    import numpy as np

    total, present = np.zeros(truth.shape[:-1]), np.zeros(truth.shape[:-1])
    for k in range(classes):
        is_class = truth == k
        count = is_class.sum(axis=-1)
        total += (is_class & (predicted == k)).sum(axis=-1) / np.maximum(count, 1)
        present += count > 0
    return total / np.maximum(present, 1)


def recall_interval(
    correct: np.ndarray, truth: np.ndarray, groups: Sequence[str] | np.ndarray, seed: int = 0
) -> tuple[float, float] | None:
    """95 % bootstrap interval of the average recall, over groups (subjects); None with too few groups (stats/resampling.py).

    correct, truth, groups  (n,) whether each clip is right, its class number, its group
    """
    import numpy as np

    classes, class_of = np.unique(truth, return_inverse=True)
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    counts, hits = np.zeros((len(names), len(classes))), np.zeros((len(names), len(classes)))
    np.add.at(counts, (group_of, class_of), 1)
    np.add.at(hits, (group_of, class_of), correct)
    drawn = draw_counts(len(names), INTERVAL_ROUNDS, np.random.default_rng(seed))
    total, right = drawn @ counts, drawn @ hits
    shares = np.divide(right, total, out=np.zeros(total.shape), where=total > 0)
    return bootstrap_interval(shares.sum(axis=1) / (total > 0).sum(axis=1), len(names))


def linear_kernel(features: np.ndarray) -> np.ndarray:
    """(n, n): inner products of standardised features (n, columns) with a mean diagonal of 1. Constant columns are left out."""
    import numpy as np

    features = np.asarray(features, float)
    spread = features.std(axis=0)
    varies = spread > 1e-6 * (1 + np.abs(features).max(axis=0, initial=0))
    if not varies.any():
        return np.zeros((len(features), len(features)))
    z = (features[:, varies] - features[:, varies].mean(axis=0)) / spread[varies]
    return z @ z.T / varies.sum()


def assign_folds(groups: Sequence[str] | np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(n,) the fold of each clip. All clips of a group are in one fold, and the folds get similar numbers of clips."""
    import numpy as np

    names, group_of, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of_group, fold_sizes = np.empty(len(names), int), np.zeros(folds)
    for group in order:
        fold_of_group[group] = int(np.argmin(fold_sizes))
        fold_sizes[fold_of_group[group]] += sizes[group]
    return fold_of_group[group_of]


def fit_smoothers(
    gram: np.ndarray, folds: np.ndarray, learnable: np.ndarray | None = None, ridges: Sequence[float] = RIDGE_STRENGTHS
) -> list[np.ndarray]:
    """One (n, n) matrix S per ridge: S @ targets are the cross-validated predictions of kernel ridge regression.

    The prediction for a clip uses no clip of its own fold. S does not depend on the targets: a permutation needs no new fit.

    gram       (n, n) kernel
    folds      (n,) the fold of each clip
    learnable  (n,) bool: clips that may be learned from; None: all
    """
    import numpy as np

    smoothers = [np.zeros_like(gram) for _ in ridges]
    for fold in np.unique(folds):
        test = np.flatnonzero(folds == fold)
        train = np.flatnonzero((folds != fold) & (True if learnable is None else learnable))
        values, vectors = np.linalg.eigh(gram[np.ix_(train, train)])
        across = gram[np.ix_(test, train)] @ vectors
        for smoother, ridge in zip(smoothers, ridges, strict=True):
            smoother[np.ix_(test, train)] = (across / (np.maximum(values, 0) + ridge)) @ vectors.T
    return smoothers


def predict_classes(smoother: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The class that a smoother predicts for each clip, for each row of labels (rounds, n). Rare and common classes count alike.

    Each class's targets are centred on its share and divided by the square root of it.
    """
    import numpy as np

    n = labels.shape[1]
    share = np.bincount(labels[0], minlength=classes) / n
    predicted = np.empty(labels.shape, int)
    smoother = smoother.astype(np.float32)
    scale = np.where(share > 0, 1 / np.sqrt(np.maximum(share, 1e-12)), 0).astype(np.float32)
    batch_rows = max(NUMBERS_PER_BATCH // (n * classes), 1)
    for start in range(0, len(labels), batch_rows):
        batch = labels[start : start + batch_rows]
        targets = (batch[:, :, None] == np.arange(classes)).astype(np.float32) - share.astype(np.float32)
        scores = smoother @ (targets * scale).transpose(1, 0, 2).reshape(n, -1)
        scores = scores.reshape(n, len(batch), classes)
        scores[:, :, share == 0] = -np.inf
        predicted[start : start + batch_rows] = scores.argmax(axis=2).T
    return predicted


def measure_probe(
    name: str,
    smoothers: Sequence[np.ndarray],
    labels: np.ndarray,
    classes: int,
    groups: Sequence[str] | np.ndarray,
    seed: int = 0,
) -> Measurement:
    """The average recall of ridge probes: that of the best probe, chosen again in each permutation.

    smoothers  one per probe, from `fit_smoothers`
    labels     (1 + rounds, n) class numbers, ordered by `draw_permutations`: the first row is the truth
    groups     (n,) the subject of each clip, for the interval
    """
    import numpy as np

    predicted = np.stack([predict_classes(smoother, labels, classes) for smoother in smoothers])
    scores = average_recall(np.broadcast_to(labels, predicted.shape), predicted, classes)
    best = int(scores[:, 0].argmax())
    best_scores = scores.max(axis=0)
    correct = predicted[best, 0] == labels[0]
    span = recall_interval(correct, labels[0], groups, seed)
    return Measurement(name, float(best_scores[0]), best_scores[1:], labels.shape[1], interval=span)


def encode_labels(names: Sequence[str], order: Sequence[str] | None = None) -> tuple[np.ndarray, list[str]]:
    """(n,) class numbers, and the names that they stand for: those that occur, in the given order (None: sorted)."""
    import numpy as np

    classes = [name for name in (order or sorted(set(names))) if name in set(names)]
    return np.array([classes.index(name) for name in names], int), classes


def finding_to_json(finding: Finding) -> Mapping[str, object]:
    """A finding as JSON. An infinite `smallest` becomes null, because JSON has no infinity."""
    from dataclasses import asdict

    return {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(finding).items()} | {
        "null": [round(v, 6) for v in finding.null],
        "smallest": round(finding.smallest, 6) if math.isfinite(finding.smallest) else None,
        "seen": finding.is_detected(),
        "could_see": finding.is_sensitive(),
    }
