"""Metrics of emotion recognition: answers against gold labels, with intervals over subjects and over seeds of a model.

`score_recognition` computes all of them for one model, `score_difference` compares two models. A clip without an answer that
means exactly one label counts as wrong in every metric, so that a model gains nothing by refusing difficult clips.

    accuracy     share of correct clips; 0 to 1
    uar          unweighted average recall: the mean recall of the labels that occur; chance level 1 / labels
    f1_macro     mean of 2 TP / (2 TP + FP + FN) over the labels that occur or were answered; 0 to 1
    f1_weighted  the same, weighted by the frequency of each label; 0 to 1. Which of the two DEEMO reports is not public
    ece          expected calibration error (Naeini, Cooper, Hauskrecht, AAAI 2015): difference between the share of correct
                 answers and the mean probability of the most probable label, in BIN_COUNT equal bins; 0 to 1, lower is better.
                 `by_chance`: its mean when labels are drawn by the same probabilities; with few clips it is never 0
    brier        mean over clips of the squared errors of all probabilities (Brier 1950); 0 to 2, lower is better

Intervals are at 95 %, from the bootstrap over subjects and seeds that stats/resampling.py describes. With fewer than five
subjects there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.answers import Answer
from deemo_data.errors import DatasetError
from deemo_data.stats.figures import round_figure
from deemo_data.stats.resampling import bootstrap_interval, draw_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.baseline.data import Example

    Array = NDArray[np.float64]

BOOTSTRAP_ROUNDS = 4000
BIN_COUNT = 10  # of the calibration curve
CHANCE_ROUNDS = 200  # draws of labels by the model's own probabilities, for `by_chance`
NO_ANSWER = "no answer"
MEASURES = ("accuracy", "uar", "f1_macro", "f1_weighted")

Run = Sequence[Answer]  # the answers of one seed: at most one per clip, in any order


@dataclass(frozen=True)
class BootstrapDraws:
    """How often the bootstrap draws each subject and each seed, round by round. The first row is the original sample.

    subjects  (1 + rounds, subjects)
    seeds     (1 + rounds, seeds); each row sums to 1
    of_clip   (clips,) the index of each clip's subject
    """

    subjects: Array
    seeds: Array
    of_clip: NDArray[np.intp]

    @classmethod
    def of(cls, subject_of: Sequence[str], seeds: int, rounds: int = BOOTSTRAP_ROUNDS, seed: int = 0) -> BootstrapDraws:
        """subject_of: the subject of each clip; seeds: how many the model was trained with; seed: of the bootstrap."""
        import numpy as np

        names, of_clip = np.unique(np.array(subject_of, dtype=str), return_inverse=True)
        random = np.random.default_rng(seed)
        subject_counts, seed_shares = np.ones((1 + rounds, len(names))), np.full((1 + rounds, seeds), 1 / seeds)
        subject_counts[1:] = draw_counts(len(names), rounds, random)
        seed_shares[1:] = draw_counts(seeds, rounds, random) / seeds
        return cls(subject_counts, seed_shares, of_clip)

    @property
    def subject_count(self) -> int:
        return self.subjects.shape[1]

    def sum_by_subject(self, stat: Array) -> Array:
        """Sum a statistic (seeds, clips, ...) over the clips of each subject: (subjects, seeds, ...)."""
        import numpy as np

        sums: Array = np.zeros((self.subject_count, len(stat), *stat.shape[2:]))
        np.add.at(sums, self.of_clip, np.moveaxis(stat, 1, 0))
        return sums

    def sum_over_draws(self, stat: Array) -> Array:
        """Sum a statistic (seeds, clips, ...) over the clips of the subjects drawn in each round: (1 + rounds, seeds, ...)."""
        import numpy as np

        return np.tensordot(self.subjects, self.sum_by_subject(stat), axes=1).astype(np.float64, copy=False)

    def average_over_seeds(self, values: Array) -> Array:
        """The mean over the seeds drawn in each round: (1 + rounds, seeds) -> (1 + rounds,)."""
        return (values * self.seeds).sum(axis=1)


def score_recognition(
    examples: Sequence[Example], runs: Sequence[Run], emotions: Sequence[str], *, rounds: int = BOOTSTRAP_ROUNDS, seed: int = 0
) -> dict[str, Any]:
    """All metrics of one model, as JSON values.

    examples  the scored clips, with their gold emotions
    runs      the model's answers, one run per seed
    emotions  the labels of the dataset, in its order
    rounds    of the bootstrap; `seed` is its seed
    Raises DatasetError when there are no clips or no runs.
    """
    import numpy as np

    draws = _draw_bootstrap(examples, runs, rounds, seed)
    gold, predicted = _label_indices(examples, runs, emotions)
    counts = _count_confusions(gold, predicted, len(emotions))
    drawn_counts = draws.sum_over_draws(counts)
    answered_ids = [{a.clip_id for a in run} for run in runs]
    return {
        "clips": len(examples),
        "subjects": draws.subject_count,
        "seeds": len(runs),
        "rounds": rounds,
        "no_answer": [int(n) for n in (predicted == len(emotions)).sum(axis=1)],
        "missing": [sum(e.clip_id not in ids for e in examples) for ids in answered_ids],
        **{name: figure_to_json(_find_measure(name)(drawn_counts), draws) for name in MEASURES},
        "by_label": _score_labels(counts.sum(axis=(0, 1)), emotions, len(runs)),
        "confusion": {
            "rows": list(emotions),
            "columns": [*emotions, NO_ANSWER],
            "counts": counts.sum(axis=(0, 1)).astype(int).tolist(),
        },
        "calibration": score_calibration(examples, runs, emotions, draws, np.random.default_rng(seed)),
    }


def score_difference(
    examples: Sequence[Example],
    runs: Sequence[Run],
    other_runs: Sequence[Run],
    emotions: Sequence[str],
    *,
    measure: str = "accuracy",
    rounds: int = BOOTSTRAP_ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """How much better `runs` are than `other_runs` about the same clips. Both use the same subjects in every round."""
    values = []
    for model_runs in (runs, other_runs):
        draws = _draw_bootstrap(examples, model_runs, rounds, seed)
        drawn_counts = draws.sum_over_draws(_count_confusions(*_label_indices(examples, model_runs, emotions), len(emotions)))
        values.append(draws.average_over_seeds(_find_measure(measure)(drawn_counts)))
    return _interval_to_json(values[0] - values[1], draws.subject_count)


def figure_to_json(values: Array, draws: BootstrapDraws) -> dict[str, Any]:
    """A metric (1 + rounds, seeds) as JSON: its value, the interval (low, high), and the value of each seed."""
    return _interval_to_json(draws.average_over_seeds(values), draws.subject_count) | {
        "by_seed": [_rounded_or_none(v) for v in values[0]]
    }


def accuracy(counts: Array) -> Array:
    """Accuracy of confusion counts (..., labels, labels + 1): gold by predicted label; the last column holds missing answers."""
    return _divide(_count_correct(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def uar(counts: Array) -> Array:
    """Unweighted average recall of confusion counts (see `accuracy`)."""
    import numpy as np

    occurs = counts.sum(axis=-1)
    return _divide(_divide(_count_correct(counts), occurs, 0.0).sum(axis=-1), np.count_nonzero(occurs, axis=-1))


def f1_macro(counts: Array) -> Array:
    """Mean F1 over labels, of confusion counts (see `accuracy`)."""
    import numpy as np

    scores, occurrences = _f1_by_label(counts)
    return _divide(scores.sum(axis=-1), np.count_nonzero(occurrences, axis=-1))


def f1_weighted(counts: Array) -> Array:
    """Mean F1 over labels weighted by their frequency, of confusion counts (see `accuracy`)."""
    occurs = counts.sum(axis=-1)
    return _divide((_f1_by_label(counts)[0] * occurs).sum(axis=-1), occurs.sum(axis=-1))


def score_calibration(
    examples: Sequence[Example], runs: Sequence[Run], emotions: Sequence[str], draws: BootstrapDraws, random: np.random.Generator
) -> dict[str, Any]:
    """ECE, Brier score and calibration bins of the answers that have probabilities, and how many answers have none, as JSON."""
    import numpy as np

    gold = np.array([list(emotions).index(e.emotion) for e in examples])
    p, has_p = _probability_arrays(examples, runs, emotions)
    without = int(np.count_nonzero(~has_p))
    if not has_p.any(axis=1).all():
        return {"without": without, "why": "no answer of a run has probabilities", "ece": None, "brier": None, "bins": []}
    confidence, is_correct = p.max(axis=2), p.argmax(axis=2) == gold
    in_bin = np.minimum((confidence * BIN_COUNT).astype(int), BIN_COUNT - 1)[..., None] == np.arange(BIN_COUNT)
    bins = np.stack([has_p, has_p * confidence, has_p * is_correct], axis=-1)[:, :, None, :] * in_bin[..., None]
    truth = gold[:, None] == np.arange(len(emotions))
    errors = np.stack([((p - truth) ** 2).sum(axis=2) * has_p, has_p], axis=-1)
    squared, counted = np.moveaxis(draws.sum_over_draws(errors), -1, 0)
    drawn_bins, pooled_bins = draws.sum_over_draws(bins), bins.sum(axis=(0, 1))
    return {
        "without": without,
        "why": None,
        "ece": figure_to_json(ece(drawn_bins), draws) | {"by_chance": round_figure(_expected_ece(p, has_p, in_bin, random))},
        "brier": figure_to_json(_divide(squared, counted), draws),
        "bins": [
            {
                "from": b / BIN_COUNT,
                "to": (b + 1) / BIN_COUNT,
                "answers": int(n),
                "sure": _rounded_or_none(s / n),
                "right": _rounded_or_none(r / n),
            }
            for b, (n, s, r) in enumerate(pooled_bins)
            if n
        ],
    }


def ece(bins: Array) -> Array:
    """Expected calibration error of bins (..., bins, 3): number of answers, sum of their probabilities, number correct."""
    import numpy as np

    return _divide(np.abs(bins[..., 1] - bins[..., 2]).sum(axis=-1), bins[..., 0].sum(axis=-1))


def _expected_ece(p: Array, has_p: NDArray[np.bool_], in_bin: NDArray[np.bool_], random: np.random.Generator) -> float:
    """Mean ECE of a perfectly calibrated model: each clip's most probable label is correct with its own probability.

    p       (seeds, clips, labels) probabilities
    has_p   (seeds, clips) whether the answer has any
    in_bin  (seeds, clips, bins) whether the highest probability lies in the bin
    """
    import numpy as np

    confidence = p.max(axis=2)
    values = []
    for _ in range(CHANCE_ROUNDS):
        is_correct = random.random(confidence.shape) < confidence
        bins = np.stack([has_p, has_p * confidence, has_p * is_correct], axis=-1)[:, :, None, :] * in_bin[..., None]
        values.append(ece(bins.sum(axis=1)).mean())
    return float(np.mean(values))


def _draw_bootstrap(examples: Sequence[Example], runs: Sequence[Run], rounds: int, seed: int) -> BootstrapDraws:
    """The bootstrap over the subjects of the clips and over the runs. Raises DatasetError when there are none of either."""
    if not examples or not runs:
        raise DatasetError("there is nothing to score: no clips or no answers", "Give a split that has clips with an emotion")
    return BootstrapDraws.of([e.subject_id for e in examples], len(runs), rounds, seed)


def _label_indices(examples: Sequence[Example], runs: Sequence[Run], emotions: Sequence[str]) -> tuple[NDArray, NDArray]:
    """Indices in `emotions`: gold (clips,) and predicted (seeds, clips); len(emotions) where there is no answer."""
    import numpy as np

    index = {name: k for k, name in enumerate(emotions)}
    predicted = []
    for run in runs:
        by_clip: Mapping[str, str | None] = {a.clip_id: a.emotion for a in run}
        predicted.append([index.get(by_clip.get(e.clip_id) or "", len(emotions)) for e in examples])
    return np.array([index[e.emotion] for e in examples]), np.array(predicted)


def _count_confusions(gold: NDArray, predicted: NDArray, labels: int) -> Array:
    """(seeds, clips, labels, labels + 1): the confusion matrix of each single clip, with one 1."""
    import numpy as np

    counts = np.zeros((*predicted.shape, labels, labels + 1))
    counts[np.arange(len(predicted))[:, None], np.arange(len(gold)), gold, predicted] = 1
    return counts


def _probability_arrays(
    examples: Sequence[Example], runs: Sequence[Run], emotions: Sequence[str]
) -> tuple[Array, NDArray[np.bool_]]:
    """Probabilities (seeds, clips, labels), 0 where an answer has none; and (seeds, clips), whether the answer has any."""
    import numpy as np

    p = np.zeros((len(runs), len(examples), len(emotions)))
    has_p = np.zeros(p.shape[:2], bool)
    for r, run in enumerate(runs):
        by_clip = {a.clip_id: a.probabilities for a in run}
        for c, e in enumerate(examples):
            if (probabilities := by_clip.get(e.clip_id)) is not None:
                p[r, c], has_p[r, c] = [probabilities.get(label, 0.0) for label in emotions], True
    return p, has_p


def _score_labels(counts: Array, emotions: Sequence[str], seeds: int) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each label over all seeds, and the number of clips that have the label, as JSON."""
    correct, occurs, answered = _count_correct(counts), counts.sum(axis=-1), counts.sum(axis=-2)[:-1]
    scores, _ = _f1_by_label(counts)
    return [
        {
            "label": name,
            "clips": round(occurs[k] / seeds),
            "precision": _rounded_or_none(correct[k] / answered[k]) if answered[k] else None,
            "recall": _rounded_or_none(correct[k] / occurs[k]) if occurs[k] else None,
            "f1": _rounded_or_none(scores[k]) if occurs[k] + answered[k] else None,
        }
        for k, name in enumerate(emotions)
    ]


def _count_correct(counts: Array) -> Array:
    """(..., labels): the diagonal of confusion counts."""
    import numpy as np

    return np.diagonal(counts[..., :-1], axis1=-2, axis2=-1)


def _f1_by_label(counts: Array) -> tuple[Array, Array]:
    """F1 of each label (0 where it neither occurs nor was answered), and how often it occurs plus how often it was answered."""
    occurrences = counts.sum(axis=-1) + counts.sum(axis=-2)[..., :-1]
    return _divide(2 * _count_correct(counts), occurrences, 0.0), occurrences


def _find_measure(name: str) -> Callable[[Array], Array]:
    return {"accuracy": accuracy, "uar": uar, "f1_macro": f1_macro, "f1_weighted": f1_weighted}[name]


def _divide(numerator: Array, denominator: Array, default: float = float("nan")) -> Array:
    """numerator / denominator; `default` where the denominator is 0."""
    import numpy as np

    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), default), where=np.asarray(denominator) > 0)


def _interval_to_json(values: Array, units: int) -> dict[str, Any]:
    """A figure as JSON: value, low, high. values (1 + rounds,): the figure, then its value in each round."""
    ends = bootstrap_interval(values[1:], units)
    result = {"value": _rounded_or_none(values[0]), "low": None, "high": None}
    return result | {"low": round_figure(ends[0]), "high": round_figure(ends[1])} if ends else result


def _rounded_or_none(value: float) -> float | None:
    return None if value != value else round_figure(value)
