"""Agreement about whole clips: emotion, sentiment, choices, ratings, and open-vocabulary words by their overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from deemo_data.clip import Clip
from deemo_data.labels.label import Label
from deemo_data.labels.placing import last_changed_at, select_clip_labels
from deemo_data.labels.vocabulary import Emotions
from deemo_data.stats.figures import make_figure
from deemo_data.stats.krippendorff import MeasurementLevel, count_coincidences, krippendorff_alpha, multilabel_alpha
from deemo_data.stats.matching import f1_score
from deemo_data.stats.resampling import Resampling

ORDERED_CHOICES = {"intensity": ("weak", "clear", "strong")}  # choices of annotation_templates/clip_review with an order
MIN_CLIPS = 5

Answers = dict[str, dict[str, tuple[Any, ...]]]  # clip -> annotator -> what they chose


def measure_choices(
    near: Mapping[str, Sequence[Label]], clips: Iterable[Clip], emotions: Emotions, rounds: int, seed: int
) -> list[dict[str, Any]]:
    """One row per question. `near` maps a public clip id to the labels that overlap the clip."""
    asked: dict[str, Answers] = {}
    subjects = {}
    for clip in clips:
        subjects[clip.id] = str(clip.facts.get("subject") or clip.source)
        for label in sorted(
            select_clip_labels(near[clip.id], clip), key=last_changed_at
        ):  # the later answer of an annotator counts
            if answer := _read_answer(label, emotions):
                asked.setdefault(answer[0], {}).setdefault(clip.id, {})[label.annotator] = answer[1]
    return [_measure_question(name, answers, subjects, rounds, seed) for name, answers in sorted(asked.items())]


def _read_answer(label: Label, emotions: Emotions) -> tuple[str, tuple[Any, ...]] | None:
    """(question, choices); None for a label that is no choice, and for words that the vocabulary no longer knows."""
    match label.kind:
        case "emotion":
            found = emotions.find(str(label.value))
            return ("emotion", (found.name,)) if found else None
        case "sentiment":
            return ("sentiment", (label.value,)) if label.value in emotions.sentiments else None
        case "emotion_words":
            return "emotion_words", tuple(dict.fromkeys(label.value))
        case "choice":
            return label.value["name"], tuple(dict.fromkeys(label.value["choices"]))
        case "rating":
            return label.value["name"], (label.value["rating"],)
    return None


def _measure_question(name: str, answers: Answers, subjects: Mapping[str, str], rounds: int, seed: int) -> dict[str, Any]:
    import numpy as np

    shared = {clip: them for clip, them in sorted(answers.items()) if len(them) > 1}
    answers_by_clip = list(shared.values())
    several = name == "emotion_words" or any(len(a) > 1 for them in answers_by_clip for a in them.values())
    drawn = Resampling.of([subjects[clip] for clip in shared], rounds, seed)
    units = drawn.count_units(np.ones(len(answers_by_clip), bool))
    similarity, pairs = np.zeros(len(answers_by_clip)), np.zeros(len(answers_by_clip))
    for clip, them in enumerate(answers_by_clip):
        for a, b in combinations(them.values(), 2):
            similarity[clip] += len(set(a) & set(b)) / len(set(a) | set(b)) if set(a) | set(b) else 1
            pairs[clip] += 1
    raw = f1_score(drawn.total(similarity) / 2, drawn.total(pairs))
    level, values = (
        _measure_several_choices(answers_by_clip, drawn) if several else _measure_single_choice(name, answers_by_clip, drawn)
    )
    people = {who for them in answers_by_clip for who in them}
    return {
        "name": name,
        "level": level,
        "answered": len(answers),
        "people": len(people),
        "raw": make_figure(raw, len(answers_by_clip), "clips", units, min_n=MIN_CLIPS),
        "alpha": make_figure(values, len(answers_by_clip), "clips", units, min_n=MIN_CLIPS),
    }


def _measure_single_choice(
    name: str, answers_by_clip: Sequence[Mapping[str, tuple[Any, ...]]], drawn: Resampling
) -> tuple[str, Any]:
    """Alpha where one choice is allowed: ordinal for ratings and for choices with an order, otherwise nominal."""
    import numpy as np

    values = {a[0] for them in answers_by_clip for a in them.values() if a}
    steps = ORDERED_CHOICES.get(name, ())
    numbers = all(isinstance(v, int | float) for v in values)
    level: MeasurementLevel = "ordinal" if values and (numbers or values <= set(steps)) else "nominal"
    domain = [v for v in steps if v in values] if values <= set(steps) else sorted(values, key=lambda v: v if numbers else str(v))
    counts = np.array([[sum(a == (v,) for a in them.values()) for v in domain] for them in answers_by_clip]).reshape(
        len(answers_by_clip), len(domain)
    )
    return level, krippendorff_alpha(drawn.total(count_coincidences(counts)), level)


def _measure_several_choices(answers_by_clip: Sequence[Mapping[str, tuple[Any, ...]]], drawn: Resampling) -> tuple[str, Any]:
    """Alpha where several choices are allowed: the distance of two answers is the number of choices that only one of them has."""
    import numpy as np

    domain = sorted({v for them in answers_by_clip for a in them.values() for v in a}, key=str)
    counts = np.array([[sum(v in a for a in them.values()) for v in domain] for them in answers_by_clip]).reshape(
        len(answers_by_clip), len(domain)
    )
    people = np.array([len(them) for them in answers_by_clip])
    disagreements = counts * (people[:, None] - counts) / np.maximum(people[:, None] - 1, 1)
    return "several", multilabel_alpha(drawn.total(disagreements), drawn.total(counts), drawn.total(people))
