"""Says which labels are not in an export, and why: one line for each clip or kind, with numbers.

A label is left out when no exported clip lies where it was said, when its class is not in the vocabulary, when the same person
said it again, when an adjudicator or a later submission replaced it, or when the dataset has no column for its kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from deemo_data.clip import Clip
from deemo_data.labels import consensus
from deemo_data.labels.label import Label
from deemo_data.labels.placing import drop_superseded, find_stale_labels
from deemo_data.labels.vocabulary import Nfbl

KIND_NOUNS = {
    "nfbl": "events", "seen": "views", "emotion": "emotions", "sentiment": "sentiments", "emotion_words": "lists of words",
    "clue_video": "clues", "clue_audio": "clues", "clue_text": "clues", "reasoning": "reasonings", "choice": "answers",
    "rating": "ratings", "text": "notes", "sound": "marks on the sound",
}  # fmt: skip
KINDS_WITHOUT_COLUMN = ("choice", "rating", "text", "sound")


def explain_left_out(labels: Sequence[Label], clips: Sequence[Clip], nfbl: Nfbl) -> list[str]:
    """Lines about the labels that no exported clip takes, whose class is unknown, or for which the dataset has no column."""
    stale = {id(label) for label in find_stale_labels(labels, clips)}
    by_clip: dict[str, list[Label]] = {}
    for label in labels:
        if id(label) in stale:
            by_clip.setdefault(label.clip, []).append(label)
    lines = [
        f"{_name_of(clip)}: {_count(left)} left out: no clip is there any more that may be exported. It is withheld, was cut "
        "otherwise, or its footage is gone"
        for clip, left in sorted(by_clip.items())
    ]
    unknown = Counter((lb.value["label"], lb.clip) for lb in labels if lb.kind == "nfbl" and not nfbl.find(lb.value["label"]))
    lines += [
        f"nfbl {name!r} of {clip} is not in vocabulary {nfbl.versioned_name}" + (f" ({n} events)" if n > 1 else "")
        for (name, clip), n in sorted(unknown.items())
    ]
    without_column = [label for label in labels if label.kind in KINDS_WITHOUT_COLUMN and id(label) not in stale]
    if without_column:
        lines.append(f"{_count(without_column)} in labels/ only: the dataset has no column for them")
    return lines


def explain_replaced(clips: Sequence[Clip], labels_of: Mapping[str, Sequence[Label]]) -> list[str]:
    """Lines about events of exported clips that a later submission or an adjudicator replaced, by how many there are."""
    superseded = adjudicated = 0
    for clip in clips:
        events = [lb for lb in labels_of[clip.id] if lb.kind == "nfbl"]
        in_force = drop_superseded(labels_of[clip.id], clip)
        kept = {id(lb) for lb in in_force}
        superseded += sum(id(lb) not in kept for lb in events)
        if consensus.find_adjudicators(clip, in_force):
            adjudicated += sum(id(lb) in kept and not lb.value.get("adjudicated") for lb in events)
    lines = [f"events left out since their annotators handed in the clip again: {superseded}"] if superseded else []
    return lines + ([f"events that gave way to an adjudicator's: {adjudicated}"] if adjudicated else [])


def _count(labels: Iterable[Label]) -> str:
    """Such as "3 labels (2 events, 1 view)"."""
    nouns = Counter(KIND_NOUNS.get(label.kind, label.kind) for label in labels)
    total = sum(nouns.values())
    listed = ", ".join(f"{n} {noun if n > 1 else noun.removesuffix('s')}" for noun, n in sorted(nouns.items()))
    return f"{total} label{'s' if total > 1 else ''} ({listed})"


def _name_of(clip: str) -> str:
    return f"footage {clip}" if clip.startswith("v-") else f"clip {clip}"
