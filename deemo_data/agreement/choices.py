"""Agreement about whole clips: emotion, sentiment, what was chosen or rated, and open-vocabulary words by their overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from deemo_data.clip import Clip
from deemo_data.labels.label import Label
from deemo_data.labels.placing import said_at, whole_clip
from deemo_data.labels.vocabulary import Emotions
from deemo_data.stats.figures import figure
from deemo_data.stats.krippendorff import Level, alpha, alpha_multilabel, coincidences
from deemo_data.stats.matching import f1
from deemo_data.stats.resampling import Resampling

ORDERED = {"intensity": ("weak", "clear", "strong")}  # choices of annotation_templates/clip_review that are steps
FEW_CLIPS = 5

Answers = dict[str, dict[str, tuple[Any, ...]]]  # clip -> annotator -> what they chose


def measure_choices(
    near: Mapping[str, Sequence[Label]], clips: Iterable[Clip], emotions: Emotions, rounds: int, seed: int
) -> list[dict[str, Any]]:
    """One row a question. `near`: public clip id -> labels that touch the clip."""
    asked: dict[str, Answers] = {}
    subjects = {}
    for clip in clips:
        subjects[clip.id] = str(clip.facts.get("subject") or clip.source)
        for label in sorted(whole_clip(near[clip.id], clip), key=said_at):  # of two answers of one person, the later
            if said := _answer(label, emotions):
                asked.setdefault(said[0], {}).setdefault(clip.id, {})[label.annotator] = said[1]
    return [_question(name, answers, subjects, rounds, seed) for name, answers in sorted(asked.items())]


def _answer(label: Label, emotions: Emotions) -> tuple[str, tuple[Any, ...]] | None:
    """(question, what was chosen); None for what is no choice, and for words that the vocabulary no longer knows."""
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


def _question(name: str, answers: Answers, subjects: Mapping[str, str], rounds: int, seed: int) -> dict[str, Any]:
    import numpy as np

    shared = {clip: them for clip, them in sorted(answers.items()) if len(them) > 1}
    given = list(shared.values())
    several = name == "emotion_words" or any(len(a) > 1 for them in given for a in them.values())
    drawn = Resampling.of([subjects[clip] for clip in shared], rounds, seed)
    units = drawn.units(np.ones(len(given), bool))
    alike, pairs = np.zeros(len(given)), np.zeros(len(given))
    for clip, them in enumerate(given):
        for a, b in combinations(them.values(), 2):
            alike[clip] += len(set(a) & set(b)) / len(set(a) | set(b)) if set(a) | set(b) else 1
            pairs[clip] += 1
    raw = f1(drawn.total(alike) / 2, drawn.total(pairs))
    level, values = _alpha_of_sets(given, drawn) if several else _alpha_of_one(name, given, drawn)
    people = {who for them in given for who in them}
    return {
        "name": name,
        "level": level,
        "answered": len(answers),
        "people": len(people),
        "raw": figure(raw, len(given), "clips", units, few=FEW_CLIPS),
        "alpha": figure(values, len(given), "clips", units, few=FEW_CLIPS),
    }


def _alpha_of_one(name: str, given: Sequence[Mapping[str, tuple[Any, ...]]], drawn: Resampling) -> tuple[str, Any]:
    """Alpha of one choice out of several: ordinal for ratings and for choices that are steps."""
    import numpy as np

    found = {a[0] for them in given for a in them.values() if a}
    steps = ORDERED.get(name, ())
    numbers = all(isinstance(v, int | float) for v in found)
    level: Level = "ordinal" if found and (numbers or found <= set(steps)) else "nominal"
    domain = [v for v in steps if v in found] if found <= set(steps) else sorted(found, key=lambda v: v if numbers else str(v))
    counts = np.array([[sum(a == (v,) for a in them.values()) for v in domain] for them in given]).reshape(
        len(given), len(domain)
    )
    return level, alpha(drawn.total(coincidences(counts)), level)


def _alpha_of_sets(given: Sequence[Mapping[str, tuple[Any, ...]]], drawn: Resampling) -> tuple[str, Any]:
    """Alpha of several choices out of many: the distance of two answers is how many words only one of them has."""
    import numpy as np

    domain = sorted({v for them in given for a in them.values() for v in a}, key=str)
    counts = np.array([[sum(v in a for a in them.values()) for v in domain] for them in given]).reshape(len(given), len(domain))
    people = np.array([len(them) for them in given])
    apart = counts * (people[:, None] - counts) / np.maximum(people[:, None] - 1, 1)
    return "several", alpha_multilabel(drawn.total(apart), drawn.total(counts), drawn.total(people))
