"""Subject-disjoint splits: assigns each subject to train, validation or test.

All clips of a subject go into the same split, and so do subjects with near duplicates. Among many random deals of the subjects,
`assign_splits` keeps the one in which the splits have the most similar emotions.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deemo_data.dataset.layout import SPLITS

if TYPE_CHECKING:
    from deemo_data.clip import Clip
    from deemo_data.labels.label import Label
    from deemo_data.labels.vocabulary import Emotions

MAX_DEALS = 256  # random deals that are compared
MAX_SUBJECT_DEALS = 20_000  # number of subjects times number of deals: with many subjects there are fewer deals

Weights = Mapping[str, Mapping[str, int]]  # subject -> emotion -> how often it was chosen; under "": number of clips


@dataclass(frozen=True)
class SplitShares:
    """The share of the subjects in validation and test; the others are in train. Another `seed` gives other deals."""

    seed: int = 0
    validation: float = 0.15
    test: float = 0.2


def assign_splits(
    weights: Weights, shares: SplitShares, tied: Iterable[Iterable[str]] = (), earlier: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Subject -> split. One subject: train only. Two: train and test. More: all three splits, each with at least one subject.

    weights  clips and emotions of each subject: the deal is kept in which emotions are spread most evenly
    tied     groups of subjects with near duplicates: each group is dealt as one
    earlier  subject -> split in the previous version: they stay there, and new subjects fill up the splits

    The same arguments give the same result. Without `earlier` it does not depend on any order.
    """
    units = _tie_subjects(sorted(weights), tied)
    wanted = _split_sizes(len(units), shares)
    kept = {n: split for n, unit in enumerate(units) if (split := _earlier_split(unit, earlier or {}))}
    if any(wanted[s] and s not in kept.values() for s in SPLITS) and len(kept) == len(units):
        kept = {}  # no subject is new, and a split would be empty: deal all subjects again
    lacking = {s: max(wanted[s] - list(kept.values()).count(s), 0) for s in SPLITS}
    new = [n for n in range(len(units)) if n not in kept]
    best = _find_most_even_deal(units, new, lacking, kept, weights, shares.seed)
    return {subject: split for n, split in best.items() for subject in units[n]}


def weigh_subjects(clips: Sequence[Clip], labels: Iterable[Label], emotions: Emotions) -> dict[str, Counter[str]]:
    """For each subject: the number of clips, and how often annotators chose each emotion for them."""
    from deemo_data.labels.placing import matches_clip

    weights: dict[str, Counter[str]] = {}
    clips_of_source: dict[str, list[Clip]] = {}
    for clip in clips:
        weights.setdefault(clip.facts["subject"], Counter())[""] += 1
        clips_of_source.setdefault(clip.source, []).append(clip)
    for label in labels:
        if label.kind == "emotion" and (emotion := emotions.find(str(label.value))):
            for clip in clips_of_source.get(label.source, ()):
                if label.start_ms < clip.end_ms and clip.start_ms < label.end_ms and matches_clip(label, clip):
                    weights[clip.facts["subject"]][emotion.name] += 1
    return weights


def unevenness(weights: Weights, split_of: Mapping[str, str]) -> float:
    """How unevenly emotions are spread over the splits, from 0 (evenly) towards 1.

    The mean over splits of the total variation distance between the emotions of the split and those of all splits.
    """
    totals, parts = Counter[str](), {s: Counter[str]() for s in set(split_of.values())}
    for subject, split in split_of.items():
        emotions = {name: count for name, count in weights[subject].items() if name}
        totals.update(emotions)
        parts[split].update(emotions)
    parts = {s: p for s, p in parts.items() if p.total()}
    if not parts:
        return 0.0
    distances = [sum(abs(p[e] / p.total() - n / totals.total()) for e, n in totals.items()) / 2 for p in parts.values()]
    return sum(distances) / len(parts)


def _tie_subjects(subjects: Sequence[str], tied: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
    """Units to deal: groups of tied subjects, also by way of a third subject. In order of the first subject of each unit."""
    parent = {s: s for s in subjects}  # union-find: each group is a tree, named by its root

    def find_root(subject: str) -> str:
        while parent[subject] != subject:
            subject = parent[subject]
        return subject

    for group in tied:
        members = sorted(set(group) & set(parent))
        for other in members[1:]:
            a, b = sorted((find_root(members[0]), find_root(other)))
            parent[b] = a
    units: dict[str, list[str]] = {}
    for subject in subjects:
        units.setdefault(find_root(subject), []).append(subject)
    return [tuple(unit) for unit in units.values()]


def _split_sizes(n: int, shares: SplitShares) -> dict[str, int]:
    """Split -> how many of n units it gets."""
    test = min(max(1, round(n * shares.test)), n - 1) if n > 1 and shares.test else 0
    validation = min(max(1, round(n * shares.validation)), n - 1 - test) if n > 2 and shares.validation else 0
    return {"train": n - test - validation, "validation": validation, "test": test}


def _earlier_split(unit: Sequence[str], earlier: Mapping[str, str]) -> str:
    """The split that most subjects of a unit were in, train in case of a tie; empty when they are all new."""
    counts = Counter(earlier[s] for s in unit if earlier.get(s) in SPLITS)
    return max(counts, key=lambda s: (counts[s], -SPLITS.index(s)), default="")


def _find_most_even_deal(
    units: Sequence[Sequence[str]],
    new: Sequence[int],
    lacking: Mapping[str, int],
    kept: Mapping[int, str],
    weights: Weights,
    seed: int,
) -> dict[int, str]:
    """The most even of many deals: unit -> split.

    In an even deal, each split has the same share of every emotion, and of the clips, as it has of the units.
    """
    import numpy as np

    columns = sorted({k for w in weights.values() for k in w} | {""})
    table = np.array([[sum(weights[s].get(k, 0) for s in unit) for k in columns] for unit in units], float)
    table /= np.maximum(table.sum(axis=0), 1)
    places = ["test"] * lacking["test"] + ["validation"] * lacking["validation"]
    places = (places + ["train"] * len(new))[: len(new)]
    sizes = {s: list(kept.values()).count(s) + places.count(s) for s in SPLITS}
    best: tuple[float, dict[int, str]] = (np.inf, dict(kept))
    for number in range(min(max(MAX_SUBJECT_DEALS // max(len(new), 1), 8), MAX_DEALS) if new else 1):
        order = sorted(new, key=lambda n: hashlib.sha256(f"{seed}:{number}:{units[n][0]}".encode()).digest())
        deal = dict(kept) | dict(zip(order, places, strict=True))
        error = 0.0
        for split, size in sizes.items():
            if size:
                inside = table[[n for n, s in deal.items() if s == split]].sum(axis=0)
                error += float(((inside - size / len(units)) ** 2).sum()) * len(units) / size
        if error < best[0] - 1e-12:
            best = (error, deal)
    return dict(sorted(best[1].items()))
