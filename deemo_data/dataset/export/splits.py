"""Subject-disjoint splits."""

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

DEALS = 256  # how often subjects are dealt; the most even deal is kept
WORK = 20_000  # subjects times deals, at most about so many

Weights = Mapping[str, Mapping[str, int]]  # subject -> emotion -> how often it was chosen; "" -> clips


@dataclass(frozen=True)
class Shares:
    """How many of the subjects each split gets, as shares; the rest is train. `seed`: another one deals otherwise."""

    seed: int = 0
    validation: float = 0.15
    test: float = 0.2


def deal(
    weights: Weights, shares: Shares, tied: Iterable[Iterable[str]] = (), before: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Subject -> split. One subject: train only; two: train and test; more: all three, each with at least one subject.

    weights  what each subject brings; the deal is kept in which every emotion's share is most alike in all splits
    tied     subjects who must be on one side, since clips of theirs show the same thing; they are dealt as one
    before   where subjects were in an earlier version: there they stay, and newcomers fill what is lacking

    The same arguments give the same answer. Without `before` it does not depend on the order of anything.
    """
    units = _units(sorted(weights), tied)
    wanted = _sizes(len(units), shares)
    kept = {n: split for n, unit in enumerate(units) if (split := _before(unit, before or {}))}
    if any(wanted[s] and s not in kept.values() for s in SPLITS) and len(kept) == len(units):
        kept = {}  # nobody is new, and a split would be empty: all are dealt anew
    lacking = {s: max(wanted[s] - list(kept.values()).count(s), 0) for s in SPLITS}
    new = [n for n in range(len(units)) if n not in kept]
    best = _most_even(units, new, lacking, kept, weights, shares.seed)
    return {subject: split for n, split in best.items() for subject in units[n]}


def weigh(clips: Sequence[Clip], labels: Iterable[Label], emotions: Emotions) -> dict[str, Counter[str]]:
    """What each subject brings: their clips, and the emotions that annotators chose for them."""
    from deemo_data.labels.placing import matches_clip

    found: dict[str, Counter[str]] = {}
    near: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.facts["subject"], Counter())[""] += 1
        near.setdefault(clip.source, []).append(clip)
    for label in labels:
        if label.kind == "emotion" and (emotion := emotions.find(str(label.value))):
            for clip in near.get(label.source, ()):
                if label.start_ms < clip.end_ms and clip.start_ms < label.end_ms and matches_clip(label, clip):
                    found[clip.facts["subject"]][emotion.name] += 1
    return found


def unevenness(weights: Weights, split_of: Mapping[str, str]) -> float:
    """How far the splits' emotions are from those of all, from 0 (alike): the mean over splits of the share out of place."""
    totals, parts = Counter[str](), {s: Counter[str]() for s in set(split_of.values())}
    for subject, split in split_of.items():
        said = {k: v for k, v in weights[subject].items() if k}
        totals.update(said)
        parts[split].update(said)
    parts = {s: p for s, p in parts.items() if p.total()}
    if not parts:
        return 0.0
    apart = [sum(abs(p[e] / p.total() - n / totals.total()) for e, n in totals.items()) / 2 for p in parts.values()]
    return sum(apart) / len(parts)


def _units(subjects: Sequence[str], tied: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
    """Subjects, those tied together (also by way of a third) as one; in order of their first name."""
    heap = {s: s for s in subjects}

    def head(s: str) -> str:
        while heap[s] != s:
            s = heap[s]
        return s

    for group in tied:
        first, *others = (head(s) for s in sorted(group) if s in heap) if len(set(group) & set(heap)) > 1 else ("", *())
        for other in others:
            a, b = sorted((head(first), head(other)))
            heap[b] = a
    units: dict[str, list[str]] = {}
    for s in subjects:
        units.setdefault(head(s), []).append(s)
    return [tuple(u) for u in units.values()]


def _sizes(n: int, shares: Shares) -> dict[str, int]:
    test = min(max(1, round(n * shares.test)), n - 1) if n > 1 and shares.test else 0
    validation = min(max(1, round(n * shares.validation)), n - 1 - test) if n > 2 and shares.validation else 0
    return {"train": n - test - validation, "validation": validation, "test": test}


def _before(unit: Sequence[str], before: Mapping[str, str]) -> str:
    """Where a unit was: if its subjects were apart, where most of them were, and train before others."""
    been = Counter(before[s] for s in unit if before.get(s) in SPLITS)
    return max(been, key=lambda s: (been[s], -SPLITS.index(s)), default="")


def _most_even(
    units: Sequence[Sequence[str]],
    new: Sequence[int],
    lacking: Mapping[str, int],
    kept: Mapping[int, str],
    weights: Weights,
    seed: int,
) -> dict[int, str]:
    """The best of many deals: of the splits' contents, that whose emotions (and number of clips) are nearest to the shares."""
    import numpy as np

    columns = sorted({k for w in weights.values() for k in w} | {""})
    table = np.array([[sum(weights[s].get(k, 0) for s in unit) for k in columns] for unit in units], float)
    table /= np.maximum(table.sum(axis=0), 1)
    places = ["test"] * lacking["test"] + ["validation"] * lacking["validation"]
    places = (places + ["train"] * len(new))[: len(new)]
    sizes = {s: list(kept.values()).count(s) + places.count(s) for s in SPLITS}
    best: tuple[float, dict[int, str]] = (np.inf, dict(kept))
    for number in range(min(max(WORK // max(len(new), 1), 8), DEALS) if new else 1):
        order = sorted(new, key=lambda n: hashlib.sha256(f"{seed}:{number}:{units[n][0]}".encode()).digest())
        dealt = dict(kept) | dict(zip(order, places, strict=True))
        apart = 0.0
        for split, size in sizes.items():
            if size:
                inside = table[[n for n, s in dealt.items() if s == split]].sum(axis=0)
                apart += float(((inside - size / len(units)) ** 2).sum()) * len(units) / size
        if apart < best[0] - 1e-12:
            best = (apart, dealt)
    return dict(sorted(best[1].items()))
