"""Overlap between a model's reasons and those of the annotators, computed from words and events without a language model.

`score_overlaps` computes all scores of one model. Each is an F1, from 0 to 1. `chance` is the score of the same answers against
the reasons of clips of other subjects: texts of the same form share words anyway, so only the difference to chance counts.

    emotion_words  the sets of emotions that free text names, after MER2025's emotion-wheel score (Lian et al.): words are mapped
                   to groups, words in no group are dropped; F1 of the mean precision and the mean recall over clips, both 0
                   for a clip where nothing is named. MER2025 uses five emotion wheels; here `groups` and `sentiments` are the
                   two levels of the dataset's own emotion vocabulary
    clue_words     the content words of the clues as bags of stems, as SQuAD scores answers (Rajpurkar et al., EMNLP 2016); the
                   mean over clips, for all clues together (reasons against reasons where one side has no clues) and for each
                   modality
    events         the body language that the clue about the video names: `named` compares the classes of a clip as sets,
                   `placed` compares class and time, matched one to one from a temporal IoU of MIN_IOU on; 2 × matched /
                   (predicted + annotated) over all clips
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.scoring.mentions import ClassNames, Mention, find_mentions
from deemo_data.baseline.scoring.metrics import BOOTSTRAP_ROUNDS, BootstrapDraws, Run, figure_to_json
from deemo_data.baseline.wording import EmotionLexicon, find_content_stems
from deemo_data.dataset.export.mer import MODALITIES
from deemo_data.errors import DatasetError
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.stats.figures import round_figure
from deemo_data.stats.matching import f1_score, match_events, temporal_ious

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.baseline.data import Example

    Array = NDArray[np.float64]

CHANCE_SHUFFLES = 10  # random pairings of answers with clips of other subjects, for `chance`
MIN_IOU = 0.5  # temporal IoU from which on two events can match
NO_REASONS = "no answer has clues or reasons"
NO_TIMES = "no answer says when body language is seen"
NO_MODALITIES = "no answer parts its clues by modality"

T = TypeVar("T")


@dataclass(frozen=True)
class Comparison(Generic[T]):
    """The two sides of one score, clip by clip, and how they are compared.

    gold            the annotators' side of each clip; None: they wrote nothing that can be compared
    predicted       the model's side, for each run and each clip
    compare         (gold, predicted) of a clip -> the numbers that the clip adds to the sums
    reduce          (..., sums) -> (...): the score
    missing_reason  why there is no score; "" when there is one
    """

    gold: Sequence[T | None]
    predicted: Sequence[Sequence[T]]
    compare: Callable[[T, T], tuple[float, ...]]
    reduce: Callable[[Array], Array]
    missing_reason: str = ""


def score_overlaps(
    examples: Sequence[Example],
    runs: Sequence[Run],
    labels: Sequence[str],
    classes: Sequence[str],
    emotions: Emotions | None = None,
    nfbl: Nfbl | None = None,
    *,
    rounds: int = BOOTSTRAP_ROUNDS,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """All scores of one model, as JSON values: figures as in metrics.py, with `chance`, `clips`, and `why` a score is missing.

    runs             the model's answers, one run per seed
    labels, classes  the emotions and the body-language classes of the dataset
    emotions, nfbl   their vocabularies, which add synonyms and aliases; without `emotions` there is no score for sentiments
    Raises DatasetError when there are no clips or no runs.
    """
    import numpy as np

    if not examples or not runs:
        raise DatasetError("there is nothing to score: no clips or no answers", "Give a split that has clips with an emotion")
    subjects = [e.subject_id for e in examples]
    draws = BootstrapDraws.of(subjects, len(runs), rounds, seed)
    other_clips = _draw_other_subjects(subjects, np.random.default_rng(seed))
    answers = [_order_answers(examples, run) for run in runs]
    comparisons: dict[str, Mapping[str, Comparison[Any]]] = {
        "emotion_words": _compare_emotion_words(examples, answers, EmotionLexicon.of(labels, emotions), emotions),
        "clue_words": _compare_clue_words(examples, answers),
        "events": _compare_events(examples, answers, ClassNames.of(classes, nfbl)),
    }
    return {
        kind: {name: _comparison_to_json(comparison, draws, other_clips) for name, comparison in group.items()}
        for kind, group in comparisons.items()
    }


def bag_f1(gold: Counter[str], predicted: Counter[str]) -> float:
    """F1 of two bags of words, as in SQuAD; 0 when one is empty."""
    both = (gold & predicted).total()
    return 2 * both / (gold.total() + predicted.total()) if both else 0.0


def _compare_emotion_words(
    examples: Sequence[Example], answers: Sequence[Run], lexicon: EmotionLexicon, emotions: Emotions | None
) -> dict[str, Comparison[frozenset[str]]]:
    """The emotion and the emotion words of the annotators, against the emotion of an answer and those that its text names."""
    gold = [frozenset((e.emotion, *(k for w in e.emotion_words for k in lexicon.find_labels(w)))) for e in examples]
    predicted = [[frozenset(((a.emotion,) if a.emotion else ()) + lexicon.find_labels(a.text)) for a in run] for run in answers]
    comparisons = {"groups": Comparison(gold, predicted, _precision_recall_sums, _f1_of_means)}
    if emotions:
        sentiment_of = {e.name: e.sentiment for e in emotions.emotions}
        comparisons["sentiments"] = Comparison(
            [_map_names(names, sentiment_of) or None for names in gold],
            [[_map_names(names, sentiment_of) for names in run] for run in predicted],
            _precision_recall_sums,
            _f1_of_means,
        )
    return comparisons


def _compare_clue_words(examples: Sequence[Example], answers: Sequence[Run]) -> dict[str, Comparison[Any]]:
    """`all`: clues against clues where both sides have them, otherwise reasons against reasons. Then one score per modality."""
    no_reasons = "" if any(a.explanation for run in answers for a in run) else NO_REASONS
    no_modalities = no_reasons or ("" if any(a.clues for run in answers for a in run) else NO_MODALITIES)
    texts = [(_bag_of_stems(_join_clues(e.clues)), _bag_of_stems(e.reasoning)) for e in examples]
    answer_texts = [[(_bag_of_stems(_join_clues(a.clues)), _bag_of_stems(a.explanation)) for a in run] for run in answers]
    comparisons: dict[str, Comparison[Any]] = {
        "all": Comparison([t if any(t) else None for t in texts], answer_texts, _reasons_sums, _mean_of_sums, no_reasons)
    }
    for m in MODALITIES:
        gold = [_bag_of_stems(e.clues.get(m, "")) or None for e in examples]
        predicted = [[_bag_of_stems((a.clues or {}).get(m, "")) for a in run] for run in answers]
        comparisons[m] = Comparison(gold, predicted, _bag_sums, _mean_of_sums, no_modalities)
    return comparisons


def _compare_events(
    examples: Sequence[Example], answers: Sequence[Run], names: ClassNames
) -> dict[str, Comparison[tuple[Mention, ...]]]:
    """The annotated events of clips where body language was annotated, against the events that the clue about the video names."""
    no_reasons = "" if any(a.explanation for run in answers for a in run) else NO_REASONS
    gold = [
        tuple(Mention(label, ((start / e.fps, end / e.fps),)) for start, end, label in e.events) if e.events_annotated else None
        for e in examples
    ]
    predicted = [
        [
            find_mentions((a.clues or {}).get("video") or a.explanation, names, e.duration_ms / 1000)
            for a, e in zip(run, examples, strict=True)
        ]
        for run in answers
    ]
    no_times = no_reasons or ("" if any(m.spans for run in predicted for found in run for m in found) else NO_TIMES)
    return {
        "named": Comparison(gold, predicted, _class_sums, _f1_of_sums, no_reasons),
        "placed": Comparison(gold, predicted, _event_sums, _f1_of_sums, no_times),
    }


def _comparison_to_json(
    comparison: Comparison[Any], draws: BootstrapDraws, other_clips: NDArray[np.intp] | None
) -> dict[str, Any]:
    """A score as JSON: value, low, high, by_seed, chance, clips, and why it is missing (None when it is not).

    other_clips  (CHANCE_SHUFFLES, clips), see `_draw_other_subjects`; None: no chance level
    """
    import numpy as np

    clips = sum(g is not None for g in comparison.gold)
    why = comparison.missing_reason or ("" if clips else "people said nothing that could be compared")
    if why:
        return {"value": None, "low": None, "high": None, "by_seed": [], "chance": None, "clips": clips, "why": why}
    figure = figure_to_json(comparison.reduce(draws.sum_over_draws(_compare_clips(comparison, comparison.gold))), draws)
    chance = None
    if other_clips is not None:
        shuffled = [_compare_clips(comparison, [comparison.gold[k] for k in row]).sum(axis=1) for row in other_clips]
        chance_values = comparison.reduce(np.array(shuffled))
        chance = None if np.isnan(chance_values).all() else round_figure(float(np.nanmean(chance_values)))
    return figure | {"chance": chance, "clips": clips, "why": None if figure["value"] is not None else "nobody named anything"}


def _compare_clips(comparison: Comparison[Any], gold: Sequence[Any]) -> Array:
    """(seeds, clips, sums): every answer compared with the gold side at its place; 0 where that is None."""
    import numpy as np

    compare, predicted = comparison.compare, comparison.predicted
    width = len(next(compare(g, predicted[0][0]) for g in comparison.gold if g is not None))
    zeros = (0.0,) * width
    return np.array([[zeros if g is None else compare(g, p) for g, p in zip(gold, run, strict=True)] for run in predicted])


def _draw_other_subjects(subjects: Sequence[str], random: np.random.Generator) -> NDArray[np.intp] | None:
    """(CHANCE_SHUFFLES, clips): for each clip, random clips of other subjects; None when there is only one subject."""
    import numpy as np

    names = np.array(subjects, dtype=str)
    if len(set(subjects)) < 2:
        return None
    others = {name: np.flatnonzero(names != name) for name in set(subjects)}
    return np.stack([random.choice(others[name], CHANCE_SHUFFLES) for name in subjects], axis=1)


def _order_answers(examples: Sequence[Example], run: Run) -> list[Answer]:
    """One answer per clip, in the order of the clips; an empty one where the run has none."""
    by_clip = {a.clip_id: a for a in run}
    return [by_clip.get(e.clip_id) or Answer(e.clip_id) for e in examples]


def _bag_of_stems(text: str) -> Counter[str]:
    return Counter(find_content_stems(text))


def _join_clues(clues: Mapping[str, str] | None) -> str:
    return " ".join(text for text in (clues or {}).values() if text)


def _map_names(names: frozenset[str], target_of: Mapping[str, str]) -> frozenset[str]:
    return frozenset(target_of[name] for name in names if name in target_of)


def _precision_recall_sums(gold: frozenset[str], predicted: frozenset[str]) -> tuple[float, ...]:
    """Precision, recall, and 1 to count the clip."""
    both = len(gold & predicted)
    return both / len(predicted) if predicted else 0.0, both / len(gold), 1.0


def _f1_of_means(sums: Array) -> Array:
    """F1 of the mean precision and the mean recall, from (..., 3) sums of precision, recall and clips; NaN without clips."""
    import numpy as np

    precision, recall, clips = sums[..., 0], sums[..., 1], sums[..., 2]
    total = precision + recall
    f1 = np.where(total > 0, 2 * precision * recall / np.maximum(total, 1e-12), 0) / np.maximum(clips, 1e-12)
    return np.where(clips > 0, f1, np.nan)


def _bag_sums(gold: Counter[str], predicted: Counter[str]) -> tuple[float, ...]:
    """F1 of two bags of words, and 1 to count the clip."""
    return bag_f1(gold, predicted), 1.0


def _reasons_sums(gold: tuple[Counter[str], Counter[str]], predicted: tuple[Counter[str], Counter[str]]) -> tuple[float, ...]:
    """Like `_bag_sums`; each side is (words of the clues, words of the reasoning). Clues count only when both sides have them."""
    preferred = 0 if gold[0] and predicted[0] else 1
    return _bag_sums(*(bags[preferred] or bags[1 - preferred] for bags in (gold, predicted)))


def _mean_of_sums(sums: Array) -> Array:
    """The mean, from (..., 2) sums of values and clips; NaN without clips."""
    import numpy as np

    return np.where(sums[..., 1] > 0, sums[..., 0] / np.maximum(sums[..., 1], 1e-12), np.nan)


def _class_sums(gold: tuple[Mention, ...], predicted: tuple[Mention, ...]) -> tuple[float, ...]:
    """How many classes both sides name, and how many classes the two sides name in total."""
    annotated, named = {m.label for m in gold}, {m.label for m in predicted}
    return float(len(annotated & named)), float(len(annotated) + len(named))


def _event_sums(gold: tuple[Mention, ...], predicted: tuple[Mention, ...]) -> tuple[float, ...]:
    """How many events match in class and time, and how many events the two sides have in total.

    A mention without a time counts as one event, which matches nothing.
    """
    import numpy as np

    annotated, named = ([(m.label, span) for m in mentions for span in m.spans] for mentions in (gold, predicted))
    without_time = sum(not m.spans for m in predicted)
    matched = 0
    if annotated and named:
        ious = temporal_ious(*(np.array([span for _, span in events], float) for events in (annotated, named)))
        same_class = np.array([[label == other for other, _ in named] for label, _ in annotated])
        matched = len(match_events(ious, same_class, MIN_IOU)[0])
    return float(matched), float(len(annotated) + len(named) + without_time)


def _f1_of_sums(sums: Array) -> Array:
    """F1 from (..., 2) sums: matched, and both sides in total."""
    return f1_score(sums[..., 0], sums[..., 1])
