"""How well emotions were recognised: figures from answers and gold labels, with intervals over subjects and seeds of a model.

A clip without an answer that means one label counts as wrong everywhere: who refuses what is difficult gains nothing by it.

    accuracy     share of clips that are right; 0 to 1
    uar          unweighted average recall: the mean of the recalls of the labels that occur; chance is 1 / labels
    f1_macro     mean over labels of 2 TP / (2 TP + FP + FN), of those that occur or were answered; 0 to 1
    f1_weighted  the same, weighted by how often the label occurs; 0 to 1. Which of the two DEEMO reports is not public
    ece          expected calibration error (Naeini, Cooper, Hauskrecht, AAAI 2015): distance of share right and mean
                 probability of the likeliest label, in BINS equal bins; 0 to 1, small is good. `by_chance`: what the same
                 probabilities give on average when labels are drawn by them, as few clips never come out at 0
    brier        mean over clips of the squared distances summed over labels (Brier 1950); 0 to 2, small is good

Intervals are at 95 %. In each round subjects are drawn with replacement, all clips of one together, and seeds of the model,
one independently of the other (Owen, Annals of Applied Statistics 1, 2007, 386-411); ends by percentiles that are moved out
for few subjects, as in agreement_measures.interval. Under five subjects there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.answers import Answer
from deemo_data.errors import DatasetError
from deemo_data.stats.figures import rounded
from deemo_data.stats.resampling import interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.baseline.data import Example


if TYPE_CHECKING:
    Array = NDArray[np.float64]

ROUNDS = 4000
BINS = 10
IMAGINED = 200  # rounds of labels drawn by the model's own probabilities, for `by_chance`
NO_ANSWER = "no answer"
MEASURES = ("accuracy", "uar", "f1_macro", "f1_weighted")

Run = Sequence[Answer]  # of one seed, a clip at most once, in any order


@dataclass(frozen=True)
class Draws:
    """How often each subject and each seed is drawn, round by round; the first row is all of them as they are.

    subjects  (1 + rounds, subjects)
    seeds     (1 + rounds, seeds), each row summing to 1
    of_clip   (clips,) the place of each clip's subject
    """

    subjects: Array
    seeds: Array
    of_clip: NDArray[np.intp]

    @classmethod
    def of(cls, subject_of: Sequence[str], seeds: int, rounds: int = ROUNDS, seed: int = 0) -> Draws:
        """subject_of: the subject of each clip."""
        import numpy as np

        names, of_clip = np.unique(np.array(subject_of, dtype=str), return_inverse=True)
        random, (n, m) = np.random.default_rng(seed), (len(names), seeds)
        subjects, each = np.ones((1 + rounds, n)), np.full((1 + rounds, m), 1 / m)
        subjects[1:] = random.multinomial(n, np.full(n, 1 / n), size=rounds)
        each[1:] = random.multinomial(m, np.full(m, 1 / m), size=rounds) / m
        return cls(subjects, each, of_clip)

    @property
    def units(self) -> int:
        return self.subjects.shape[1]

    def by_subject(self, stat: Array) -> Array:
        """(seeds, clips, ...) summed over the clips of each subject: (subjects, seeds, ...)."""
        import numpy as np

        sums: Array = np.zeros((self.units, len(stat), *stat.shape[2:]))
        np.add.at(sums, self.of_clip, np.moveaxis(stat, 1, 0))
        return sums

    def total(self, stat: Array) -> Array:
        """(seeds, clips, ...) summed over the clips of the subjects drawn in each round: (1 + rounds, seeds, ...)."""
        import numpy as np

        return np.tensordot(self.subjects, self.by_subject(stat), axes=1).astype(np.float64, copy=False)

    def over_seeds(self, values: Array) -> Array:
        """(1 + rounds, seeds) -> (1 + rounds,), by the seeds drawn."""
        return (values * self.seeds).sum(axis=1)


def recognition(
    examples: Sequence[Example], runs: Sequence[Run], emotions: Sequence[str], *, rounds: int = ROUNDS, seed: int = 0
) -> dict[str, Any]:
    """All figures of one model, JSON values only.

    examples  the clips that are scored, with their gold emotion
    runs      the model's answers, one run a seed
    emotions  the dataset's labels, in its order
    """
    import numpy as np

    draws = Draws.of([e.subject_id for e in examples], len(_checked(examples, runs)), rounds, seed)
    gold, said = _labels(examples, runs, emotions)
    counts = _confusions(gold, said, len(emotions))
    drawn = draws.total(counts)
    present = [{a.clip_id for a in run} for run in runs]
    return {
        "clips": len(examples),
        "subjects": draws.units,
        "seeds": len(runs),
        "rounds": rounds,
        "no_answer": [int(n) for n in (said == len(emotions)).sum(axis=1)],
        "missing": [sum(e.clip_id not in there for e in examples) for there in present],
        **{name: figure(_measure(name)(drawn), draws) for name in MEASURES},
        "by_label": _by_label(counts.sum(axis=(0, 1)), emotions, len(runs)),
        "confusion": {
            "rows": list(emotions),
            "columns": [*emotions, NO_ANSWER],
            "counts": counts.sum(axis=(0, 1)).astype(int).tolist(),
        },
        "calibration": calibration(examples, runs, emotions, draws, np.random.default_rng(seed)),
    }


def difference(
    examples: Sequence[Example],
    runs: Sequence[Run],
    others: Sequence[Run],
    emotions: Sequence[str],
    *,
    measure: str = "accuracy",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """How much better `runs` are than `others` about the same clips, the same subjects drawn for both in every round."""
    values = []
    for some in (runs, others):
        draws = Draws.of([e.subject_id for e in examples], len(_checked(examples, some)), rounds, seed)
        drawn = draws.total(_confusions(*_labels(examples, some, emotions), len(emotions)))
        values.append(draws.over_seeds(_measure(measure)(drawn)))
    return _told(values[0] - values[1], draws.units)


def figure(values: Array, draws: Draws) -> dict[str, Any]:
    """value, low, high, and the value of each seed, of (1 + rounds, seeds)."""
    return _told(draws.over_seeds(values), draws.units) | {"by_seed": [_number(v) for v in values[0]]}


def accuracy(counts: Array) -> Array:
    """Of confusions (..., labels, labels + 1): gold by answer, the last column those without an answer."""
    return _share(_right(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def uar(counts: Array) -> Array:
    """See the head of this file; counts as for accuracy."""
    import numpy as np

    occurs = counts.sum(axis=-1)
    return _share(_share(_right(counts), occurs, 0.0).sum(axis=-1), np.count_nonzero(occurs, axis=-1))


def f1_macro(counts: Array) -> Array:
    """See the head of this file; counts as for accuracy."""
    import numpy as np

    scores, there = _f1(counts)
    return _share(scores.sum(axis=-1), np.count_nonzero(there, axis=-1))


def f1_weighted(counts: Array) -> Array:
    """See the head of this file; counts as for accuracy."""
    occurs = counts.sum(axis=-1)
    return _share((_f1(counts)[0] * occurs).sum(axis=-1), occurs.sum(axis=-1))


def calibration(
    examples: Sequence[Example], runs: Sequence[Run], emotions: Sequence[str], draws: Draws, random: np.random.Generator
) -> dict[str, Any]:
    """ECE, Brier score and the bins of both, of the answers that have probabilities; how many have none."""
    import numpy as np

    gold = np.array([list(emotions).index(e.emotion) for e in examples])
    p, there = _probabilities(examples, runs, emotions)
    without = int(np.count_nonzero(~there))
    if not there.any(axis=1).all():
        return {"without": without, "why": "no answer of a run has probabilities", "ece": None, "brier": None, "bins": []}
    sure, right = p.max(axis=2), p.argmax(axis=2) == gold
    of_bin = np.minimum((sure * BINS).astype(int), BINS - 1)[..., None] == np.arange(BINS)
    stat = np.stack([there, there * sure, there * right], axis=-1)[:, :, None, :] * of_bin[..., None]
    truth = gold[:, None] == np.arange(len(emotions))
    apart = np.stack([((p - truth) ** 2).sum(axis=2) * there, there], axis=-1)
    squared, counted = np.moveaxis(draws.total(apart), -1, 0)
    drawn, pooled = draws.total(stat), stat.sum(axis=(0, 1))
    return {
        "without": without,
        "why": None,
        "ece": figure(ece(drawn), draws) | {"by_chance": rounded(_imagined(p, there, of_bin, random))},
        "brier": figure(_share(squared, counted), draws),
        "bins": [
            {"from": b / BINS, "to": (b + 1) / BINS, "answers": int(n), "sure": _number(s / n), "right": _number(r / n)}
            for b, (n, s, r) in enumerate(pooled)
            if n
        ],
    }


def ece(bins: Array) -> Array:
    """Of (..., bins, 3): answers, their probabilities summed, how many are right."""
    import numpy as np

    return _share(np.abs(bins[..., 1] - bins[..., 2]).sum(axis=-1), bins[..., 0].sum(axis=-1))


def _imagined(p: Array, there: NDArray[np.bool_], of_bin: NDArray[np.bool_], random: np.random.Generator) -> float:
    """Mean ECE over runs when each clip's likeliest label is right as often as its probability says."""
    import numpy as np

    sure = p.max(axis=2)
    found = []
    for _ in range(IMAGINED):
        right = random.random(sure.shape) < sure
        stat = np.stack([there, there * sure, there * right], axis=-1)[:, :, None, :] * of_bin[..., None]
        found.append(ece(stat.sum(axis=1)).mean())
    return float(np.mean(found))


def _checked(examples: Sequence[Example], runs: Sequence[Run]) -> Sequence[Run]:
    if not examples or not runs:
        raise DatasetError("there is nothing to score: no clips or no answers", "Give a split that has clips with an emotion")
    return runs


def _labels(examples: Sequence[Example], runs: Sequence[Run], emotions: Sequence[str]) -> tuple[NDArray, NDArray]:
    """Places in `emotions`: gold (clips,) and said (seeds, clips); one more than the last where there is no answer."""
    import numpy as np

    place = {name: k for k, name in enumerate(emotions)}
    said = []
    for run in runs:
        by_clip: Mapping[str, str | None] = {a.clip_id: a.emotion for a in run}
        said.append([place.get(by_clip.get(e.clip_id) or "", len(emotions)) for e in examples])
    return np.array([place[e.emotion] for e in examples]), np.array(said)


def _confusions(gold: NDArray, said: NDArray, labels: int) -> Array:
    """(seeds, clips, labels, labels + 1): each clip's own, one 1 and else 0."""
    import numpy as np

    counts = np.zeros((*said.shape, labels, labels + 1))
    counts[np.arange(len(said))[:, None], np.arange(len(gold)), gold, said] = 1
    return counts


def _probabilities(examples: Sequence[Example], runs: Sequence[Run], emotions: Sequence[str]) -> tuple[Array, NDArray[np.bool_]]:
    """(seeds, clips, labels), 0 where an answer has none; and (seeds, clips), where they are."""
    import numpy as np

    p = np.zeros((len(runs), len(examples), len(emotions)))
    there = np.zeros(p.shape[:2], bool)
    for r, run in enumerate(runs):
        by_clip = {a.clip_id: a.probabilities for a in run}
        for c, e in enumerate(examples):
            if (said := by_clip.get(e.clip_id)) is not None:
                p[r, c], there[r, c] = [said.get(label, 0.0) for label in emotions], True
    return p, there


def _by_label(counts: Array, emotions: Sequence[str], seeds: int) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each label, over all seeds; `clips`: how many have it."""
    right, occurs, answered = _right(counts), counts.sum(axis=-1), counts.sum(axis=-2)[:-1]
    scores, _ = _f1(counts)
    return [
        {
            "label": name,
            "clips": round(occurs[k] / seeds),
            "precision": _number(right[k] / answered[k]) if answered[k] else None,
            "recall": _number(right[k] / occurs[k]) if occurs[k] else None,
            "f1": _number(scores[k]) if occurs[k] + answered[k] else None,
        }
        for k, name in enumerate(emotions)
    ]


def _right(counts: Array) -> Array:
    import numpy as np

    return np.diagonal(counts[..., :-1], axis1=-2, axis2=-1)


def _f1(counts: Array) -> tuple[Array, Array]:
    """F1 of each label, 0 where it neither occurs nor was answered; and how often it did either."""
    either = counts.sum(axis=-1) + counts.sum(axis=-2)[..., :-1]
    return _share(2 * _right(counts), either, 0.0), either


def _measure(name: str) -> Callable[[Array], Array]:
    return {"accuracy": accuracy, "uar": uar, "f1_macro": f1_macro, "f1_weighted": f1_weighted}[name]


def _share(some: Array, of: Array, none: float = float("nan")) -> Array:
    """some / of; `none` where `of` is 0."""
    import numpy as np

    return np.divide(some, of, out=np.full(np.shape(some), none), where=np.asarray(of) > 0)


def _told(values: Array, units: int) -> dict[str, Any]:
    """value, low and high of (1 + rounds,), the first of which is the figure."""
    ends = interval(values[1:], units)
    told = {"value": _number(values[0]), "low": None, "high": None}
    return told | {"low": rounded(ends[0]), "high": rounded(ends[1])} if ends else told


def _number(value: float) -> float | None:
    return None if value != value else rounded(value)
