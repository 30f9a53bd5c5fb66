"""How far reasons overlap with those that people gave, without a judge and without a network: words and events are compared.

All are F1, 0 to 1. `chance` is what the same answers reach against the reasons of clips of other subjects: texts of one form
share words anyway, so that a figure is worth only what it is above that.

    emotion_words  sets of emotions, named in words of one's own, after MER2025's emotion-wheel score (Lian et al.): words are
                   mapped to groups, those that no group has are dropped, F1 of the mean precision and the mean recall over
                   clips; where nothing is named, both are 0. Its five wheels are not ours: `groups` and `sentiments` are the
                   two levels of the dataset's vocabulary of emotions
    clue_words     content words of the clues as bags, as answers are scored in SQuAD (Rajpurkar et al., EMNLP 2016): stems,
                   without words that carry no content; the mean over clips; of all clues together (reasons against reasons where
                   one side has no clues), and of each modality
    events         body language that the clue about the video names: `named`, the classes of a clip as sets; `placed`, class
                   and time, matched one to one from a temporal IoU of 0.5 on; 2 × matched / (said + marked) over all clips
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.scoring.mentions import Mention, Names, mentions
from deemo_data.baseline.scoring.metrics import ROUNDS, Draws, Run, figure
from deemo_data.baseline.wording import EmotionLexicon, content
from deemo_data.dataset.export.mer import MODALITIES
from deemo_data.errors import DatasetError
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.stats.figures import rounded
from deemo_data.stats.matching import f1, iou, match

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.baseline.data import Example


if TYPE_CHECKING:
    Array = NDArray[np.float64]

SHUFFLES = 10  # pairings of answers with clips of other subjects, for `chance`
SAME_IOU = 0.5
NO_REASONS = "no answer has clues or reasons"
NO_TIMES = "no answer says when body language is seen"
NOT_PARTED = "no answer parts its clues by modality"

T = TypeVar("T")


@dataclass(frozen=True)
class Score(Generic[T]):
    """What is compared, clip by clip, and how.

    gold  of each clip; None: people said nothing that could be compared
    said  of each run, of each clip
    pair  what a clip adds to the sums
    fold  (..., sums) -> (...): the figure
    why   it is missing; "" when it is not
    """

    gold: Sequence[T | None]
    said: Sequence[Sequence[T]]
    pair: Callable[[T, T], tuple[float, ...]]
    fold: Callable[[Array], Array]
    why: str = ""


def overlaps(
    examples: Sequence[Example],
    runs: Sequence[Run],
    labels: Sequence[str],
    classes: Sequence[str],
    emotions: Emotions | None = None,
    nfbl: Nfbl | None = None,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """All scores of one model, JSON values only: figures as in metrics.py, with `chance`, `clips`, and `why` one is missing.

    labels, classes  emotions and body language of the dataset
    emotions, nfbl   their vocabularies: more words for the same; without `emotions` there are no sentiments
    """
    import numpy as np

    if not examples or not runs:
        raise DatasetError("there is nothing to score: no clips or no answers", "Give a split that has clips with an emotion")
    subjects = [e.subject_id for e in examples]
    draws = Draws.of(subjects, len(runs), rounds, seed)
    elsewhere = _elsewhere(subjects, np.random.default_rng(seed))
    answers = [_in_order(examples, run) for run in runs]
    scores: dict[str, Mapping[str, Score[Any]]] = {
        "emotion_words": _emotion_words(examples, answers, EmotionLexicon.of(labels, emotions), emotions),
        "clue_words": _clue_words(examples, answers),
        "events": _events(examples, answers, Names.of(classes, nfbl)),
    }
    return {kind: {name: _figure(s, draws, elsewhere) for name, s in some.items()} for kind, some in scores.items()}


def bag_f1(gold: Counter[str], said: Counter[str]) -> float:
    """F1 of two bags of words, as in SQuAD; 0 when one is empty."""
    both = (gold & said).total()
    return 2 * both / (gold.total() + said.total()) if both else 0.0


def _emotion_words(
    examples: Sequence[Example], answers: Sequence[Run], wording: EmotionLexicon, emotions: Emotions | None
) -> dict[str, Score[frozenset[str]]]:
    """The emotion and the words of annotators, against the emotion of an answer and those that its text names."""
    gold = [frozenset((e.emotion, *(k for w in e.words for k in wording.labels_in(w)))) for e in examples]
    said = [[frozenset(((a.emotion,) if a.emotion else ()) + wording.labels_in(a.text)) for a in run] for run in answers]
    scores = {"groups": Score(gold, said, _precision_recall, _f_of_means)}
    if emotions:
        of = {e.name: e.sentiment for e in emotions.emotions}
        coarse = [_mapped(g, of) or None for g in gold]
        scores["sentiments"] = Score(coarse, [[_mapped(s, of) for s in run] for run in said], _precision_recall, _f_of_means)
    return scores


def _clue_words(examples: Sequence[Example], answers: Sequence[Run]) -> dict[str, Score[Any]]:
    """`all`: clues against clues where both have them, else reasons against reasons."""
    why = "" if any(a.said for run in answers for a in run) else NO_REASONS
    parted = why or ("" if any(a.clues for run in answers for a in run) else NOT_PARTED)
    whole = [(_bag(_joined(e.clues)), _bag(e.reasoning)) for e in examples]
    said = [[(_bag(_joined(a.clues)), _bag(a.said)) for a in run] for run in answers]
    scores: dict[str, Score[Any]] = {"all": Score([w if any(w) else None for w in whole], said, _reasons_pair, _mean, why)}
    for m in MODALITIES:
        gold = [_bag(e.clues.get(m, "")) or None for e in examples]
        scores[m] = Score(gold, [[_bag((a.clues or {}).get(m, "")) for a in run] for run in answers], _bag_pair, _mean, parted)
    return scores


def _events(examples: Sequence[Example], answers: Sequence[Run], names: Names) -> dict[str, Score[tuple[Mention, ...]]]:
    """Events that people marked, where they looked for any, against what the clue about the video names."""
    why = "" if any(a.said for run in answers for a in run) else NO_REASONS
    gold = [
        tuple(Mention(label, ((start / e.fps, end / e.fps),)) for start, end, label in e.events) if e.looked_at else None
        for e in examples
    ]
    said = [
        [
            mentions((a.clues or {}).get("video") or a.said, names, e.duration_ms / 1000)
            for a, e in zip(run, examples, strict=True)
        ]
        for run in answers
    ]
    timeless = why or ("" if any(m.spans for run in said for some in run for m in some) else NO_TIMES)
    return {
        "named": Score(gold, said, _named_pair, _f_of_sums, why),
        "placed": Score(gold, said, _placed_pair, _f_of_sums, timeless),
    }


def _figure(score: Score[Any], draws: Draws, elsewhere: NDArray[np.intp] | None) -> dict[str, Any]:
    """value, low, high, by_seed, chance, clips, why."""
    import numpy as np

    clips = sum(g is not None for g in score.gold)
    why = score.why or ("" if clips else "people said nothing that could be compared")
    if why:
        return {"value": None, "low": None, "high": None, "by_seed": [], "chance": None, "clips": clips, "why": why}
    told = figure(score.fold(draws.total(_stat(score, score.gold))), draws)
    chance = None
    if elsewhere is not None:
        shuffled = [_stat(score, [score.gold[k] for k in others]).sum(axis=1) for others in elsewhere]
        found = score.fold(np.array(shuffled))
        chance = None if np.isnan(found).all() else rounded(float(np.nanmean(found)))
    return told | {"chance": chance, "clips": clips, "why": None if told["value"] is not None else "nobody named anything"}


def _stat(score: Score[Any], gold: Sequence[Any]) -> Array:
    """(seeds, clips, sums); 0 where people said nothing."""
    import numpy as np

    width = len(next(score.pair(g, score.said[0][0]) for g in score.gold if g is not None))
    nothing = (0.0,) * width
    return np.array([[nothing if g is None else score.pair(g, s) for g, s in zip(gold, run, strict=True)] for run in score.said])


def _elsewhere(subjects: Sequence[str], random: np.random.Generator) -> NDArray[np.intp] | None:
    """(SHUFFLES, clips): for each clip, one of another subject by chance; None when there is only one subject."""
    import numpy as np

    names = np.array(subjects, dtype=str)
    if len(set(subjects)) < 2:
        return None
    others = {name: np.flatnonzero(names != name) for name in set(subjects)}
    return np.stack([random.choice(others[name], SHUFFLES) for name in subjects], axis=1)


def _in_order(examples: Sequence[Example], run: Run) -> list[Answer]:
    """One answer a clip; an empty one where there is none."""
    by_clip = {a.clip_id: a for a in run}
    return [by_clip.get(e.clip_id) or Answer(e.clip_id) for e in examples]


def _bag(text: str) -> Counter[str]:
    return Counter(content(text))


def _joined(clues: Mapping[str, str] | None) -> str:
    return " ".join(text for text in (clues or {}).values() if text)


def _mapped(names: frozenset[str], to: Mapping[str, str]) -> frozenset[str]:
    return frozenset(to[name] for name in names if name in to)


def _precision_recall(gold: frozenset[str], said: frozenset[str]) -> tuple[float, ...]:
    both = len(gold & said)
    return both / len(said) if said else 0.0, both / len(gold), 1.0


def _f_of_means(sums: Array) -> Array:
    """F1 of summed precision and recall: (..., 3) -> (...)."""
    import numpy as np

    either = sums[..., 0] + sums[..., 1]
    means = np.where(either > 0, 2 * sums[..., 0] * sums[..., 1] / np.maximum(either, 1e-12), 0) / np.maximum(sums[..., 2], 1e-12)
    return np.where(sums[..., 2] > 0, means, np.nan)


def _bag_pair(gold: Counter[str], said: Counter[str]) -> tuple[float, ...]:
    return bag_f1(gold, said), 1.0


def _reasons_pair(gold: tuple[Counter[str], Counter[str]], said: tuple[Counter[str], Counter[str]]) -> tuple[float, ...]:
    """Of either: the words of the clues, those of the reasoning."""
    alike = 0 if gold[0] and said[0] else 1
    return _bag_pair(*(some[alike] or some[1 - alike] for some in (gold, said)))


def _mean(sums: Array) -> Array:
    import numpy as np

    return np.where(sums[..., 1] > 0, sums[..., 0] / np.maximum(sums[..., 1], 1e-12), np.nan)


def _named_pair(gold: tuple[Mention, ...], said: tuple[Mention, ...]) -> tuple[float, ...]:
    marked, named = {g.label for g in gold}, {s.label for s in said}
    return float(len(marked & named)), float(len(marked) + len(named))


def _placed_pair(gold: tuple[Mention, ...], said: tuple[Mention, ...]) -> tuple[float, ...]:
    """A mention without a time counts as one that is nowhere."""
    import numpy as np

    marked, named = ([(m.label, span) for m in some for span in m.spans] for some in (gold, said))
    nowhere = sum(not m.spans for m in said)
    matched = 0
    if marked and named:
        overlap = iou(*(np.array([span for _, span in some], float) for some in (marked, named)))
        alike = np.array([[g == s for s, _ in named] for g, _ in marked])
        matched = len(match(overlap, alike, SAME_IOU)[0])
    return float(matched), float(len(marked) + len(named) + nowhere)


def _f_of_sums(sums: Array) -> Array:
    return f1(sums[..., 0], sums[..., 1])
