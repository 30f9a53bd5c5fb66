"""Agreement about events: what each clip adds to every figure, summed once, so that resampling only weights the sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

from deemo_data.agreement.views import ClipView, MarkedEvent
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.stats.figures import FEW_EVENTS, THRESHOLDS, figure, missing, rounded
from deemo_data.stats.krippendorff import alpha_multilabel
from deemo_data.stats.matching import expected_matches, f1, iou, match
from deemo_data.stats.resampling import Resampling, quantiles

if TYPE_CHECKING:
    import numpy as np


STEP_MS = 100  # of the grid on which alpha asks, at the middle of each step, what is there
IOU_LEVEL = 1  # place in THRESHOLDS of the IoU from which rows.py takes two people's events for one
CERTAINTIES = ("sure", "unsure", "guess", None)
WITHIN_MS = tuple(range(0, 2050, 50))


@dataclass(frozen=True)
class Columns:
    """What is counted apart: every class, then every group, then anything at all."""

    nfbl: Nfbl

    @property
    def classes(self) -> list[str]:
        return self.nfbl.labels

    @property
    def groups(self) -> list[str]:
        return list(self.nfbl.groups)

    @property
    def count(self) -> int:
        return len(self.classes) + len(self.groups) + 1

    def of(self, events: Sequence[MarkedEvent]) -> np.ndarray:
        """(events, 3): the column of each event's class, of its group, and of anything."""
        import numpy as np

        group_of = [len(self.classes) + self.groups.index(c.group) for c in self.nfbl.classes]
        classes = np.array([self.classes.index(e.label) for e in events], int)
        return np.stack([classes, np.array(group_of)[classes], np.full(len(events), self.count - 1)], axis=1)


@dataclass(frozen=True)
class Version:
    """One person's events of one clip.

    spans   (events, 2)
    places  (events, 3) their columns
    grid    (columns, steps) what is there at the middle of each step
    """

    spans: np.ndarray
    places: np.ndarray
    grid: np.ndarray

    @classmethod
    def of(cls, events: Sequence[MarkedEvent], seen: ClipView, columns: Columns) -> Version:
        import numpy as np

        spans, places = np.array([(e.start, e.end) for e in events], int).reshape(-1, 2), columns.of(events)
        steps = max(round(seen.ms(seen.frames) / STEP_MS), 1)
        first, last = np.searchsorted((np.arange(steps) + 0.5) * (seen.frames / steps), spans).T
        grid = np.zeros((columns.count, steps), bool)
        for start, end, there in zip(first, last, places, strict=True):
            grid[there, start:end] = True
        return cls(spans, places, grid)

    @cached_property
    def counts(self) -> np.ndarray:
        """(levels, columns): how many events of each class, of each group, and of anything."""
        import numpy as np

        return np.stack([np.bincount(self.places[:, level], minlength=len(self.grid)) for level in range(3)])


@dataclass(frozen=True)
class Pair:
    """What two people's versions of one clip have in common.

    matched  (thresholds, columns) pairs of events
    chance   (thresholds, columns) pairs to be expected when one version is shifted in time
    marked   (columns,) events of both
    same     places of the events of one class that are matched at SAME; loose: whatever their class
    apart    (columns,) steps of the grid at which only one of them says that it is there; by chance: one shifted in time
    present  (columns,) steps at which one says so, and those at which the other does
    """

    clip: int
    who: tuple[str, str]
    matched: np.ndarray
    chance: np.ndarray
    marked: np.ndarray
    same: tuple[np.ndarray, np.ndarray]
    loose: tuple[np.ndarray, np.ndarray]
    apart: np.ndarray
    apart_by_chance: np.ndarray
    present: np.ndarray
    steps: int


def pair_up(clip: int, who: tuple[str, str], one: Version, other: Version, frames: int) -> Pair:
    """See Pair."""
    import numpy as np

    k, steps = one.grid.shape
    matched, chance = np.zeros((2, len(THRESHOLDS), k))
    same = loose = (np.zeros(0, int), np.zeros(0, int))
    if len(one.spans) and len(other.spans):
        overlap = iou(one.spans, other.spans)
        mine_last, theirs_last = (v.spans[:, 1] - v.spans[:, 0] for v in (one, other))
        alike = [one.places[:, None, level] == other.places[None, :, level] for level in range(3)]
        for number, least in enumerate(THRESHOLDS):
            likely = expected_matches(mine_last, theirs_last, frames, least)
            for level in range(3):
                mine, theirs = match(overlap, alike[level], least, alike[0])
                matched[number] += np.bincount(one.places[mine, level], minlength=k)
                expected = np.bincount(one.places[:, level], (likely * alike[level]).sum(axis=1), minlength=k)
                chance[number] += np.minimum(expected, np.minimum(one.counts[level], other.counts[level]))
                if number == IOU_LEVEL and level == 0:
                    same = (mine, theirs)
                elif number == IOU_LEVEL and level == 2:
                    loose = (mine, theirs)
    a, b = one.grid.sum(axis=1), other.grid.sum(axis=1)
    marked, shifted = (one.counts + other.counts).sum(axis=0), (a * (steps - b) + b * (steps - a)) / steps
    return Pair(clip, who, matched, chance, marked, same, loose, (one.grid != other.grid).sum(axis=1), shifted, a + b, steps)


@dataclass
class Sums:
    """What each clip adds, over all pairs of those who saw it. The first axis is the clips."""

    seen: Sequence[ClipView]
    columns: Columns
    matched: np.ndarray  # (clips, thresholds, columns)
    marked: np.ndarray  # (clips, columns)
    chance: np.ndarray  # (clips, thresholds, columns)
    apart: np.ndarray  # (clips, columns)
    apart_by_chance: np.ndarray
    present: np.ndarray
    everything: np.ndarray  # (clips,)
    events: np.ndarray  # (clips, columns): how many were marked, by everybody
    confusion: np.ndarray  # (classes, classes + 1): marked as; by the other as; the last: by the other not at all
    confirmed: np.ndarray  # (clips, certainties, 2): marked by the other too; asked
    errors: list[tuple[int, int, int, int]] = field(default_factory=list)  # (clip, class, start, end) in ms
    pairs: list[Pair] = field(default_factory=list)


def add_up(seen: Sequence[ClipView], columns: Columns) -> Sums:
    """Over clips that two or more people saw."""
    import numpy as np

    c, k, t = len(seen), columns.count, len(THRESHOLDS)
    n = len(columns.classes)
    sums = Sums(
        seen, columns, np.zeros((c, t, k)), np.zeros((c, k)), np.zeros((c, t, k)), np.zeros((c, k)), np.zeros((c, k)),
        np.zeros((c, k)), np.zeros(c), np.zeros((c, k)), np.zeros((n, n + 1)), np.zeros((c, len(CERTAINTIES), 2)),
    )  # fmt: skip
    for clip, one in enumerate(seen):
        versions = {who: Version.of(events, one, columns) for who, events in one.events.items()}
        sums.events[clip] = sum(v.counts.sum(axis=0) for v in versions.values())
        for a, b in combinations(sorted(versions), 2):
            _add(sums, pair_up(clip, (a, b), versions[a], versions[b], one.frames))
    return sums


def _add(sums: Sums, pair: Pair) -> None:
    clip, seen, classes = pair.clip, sums.seen[pair.clip], sums.columns.classes
    others = len(seen.events) - 1
    one, other = (seen.events[who] for who in pair.who)
    sums.pairs.append(pair)
    sums.matched[clip] += pair.matched
    sums.chance[clip] += pair.chance
    sums.marked[clip] += pair.marked
    sums.apart[clip] += pair.apart / others
    sums.apart_by_chance[clip] += pair.apart_by_chance / others
    sums.present[clip] += pair.present / others  # everybody is in as many pairs as there are others
    sums.everything[clip] = (1 + others) * pair.steps
    for x, y in zip(*pair.same, strict=True):
        start, end = (round(seen.ms(abs(p - q))) for p, q in ((one[x].start, other[y].start), (one[x].end, other[y].end)))
        sums.errors.append((clip, classes.index(one[x].label), start, end))
    for mine, theirs, (here, there) in ((one, other, pair.loose), (other, one, pair.loose[::-1])):
        partner = dict(zip(here.tolist(), there.tolist(), strict=True))
        for number, event in enumerate(mine):
            said = classes.index(theirs[partner[number]].label) if number in partner else -1
            sums.confusion[classes.index(event.label), said] += 1
    for mine, kept in ((one, pair.same[0]), (other, pair.same[1])):
        shared = set(kept.tolist())
        for number, event in enumerate(mine):
            which = CERTAINTIES.index(event.certainty if event.certainty in CERTAINTIES else None)
            sums.confirmed[clip, which] += (number in shared, 1)


def of_column(sums: Sums, drawn: Resampling, places: Sequence[int]) -> dict[str, Any]:
    """F1 and alpha of columns taken together: one class, one group, or all classes."""
    import numpy as np

    at = list(places)
    holds = sums.events[:, at].sum(axis=1) > 0
    n, units = int(sums.events[:, at].sum()), drawn.units(holds)
    marked = drawn.total(sums.marked[:, at].sum(axis=1))
    whole = sums.marked[:, at].sum()
    scores = {}
    for number, least in enumerate(THRESHOLDS):
        by_chance = float(f1(sums.chance[:, number, at].sum(), whole))
        values = f1(drawn.total(sums.matched[:, number, at].sum(axis=1)), marked)
        scores[str(least)] = figure(values, n, "events", units, chance=by_chance)
    apart, present, everything = (drawn.total(s) for s in (sums.apart[:, at], sums.present[:, at], sums.everything))
    shifted = alpha_multilabel(sums.apart_by_chance[:, at].sum(axis=0), sums.present[:, at].sum(axis=0), sums.everything.sum())
    values = alpha_multilabel(apart, present, everything)
    return {
        "events": n,
        "clips": int(np.count_nonzero(holds)),
        "f1": scores,
        "alpha": figure(values, n, "events", units, chance=float(shifted)),
    }


def of_pairs(sums: Sums, drawn: Resampling) -> list[dict[str, Any]]:
    """F1 and alpha of every two people who saw clips in common."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in sums.pairs:
        found.setdefault(pair.who, []).append(pair)
    classes = slice(len(sums.columns.classes))
    return [_of_pair(who, pairs, classes, drawn) for who, pairs in sorted(found.items())]


def _of_pair(who: tuple[str, str], pairs: Sequence[Pair], classes: slice, drawn: Resampling) -> dict[str, Any]:
    import numpy as np

    where = np.array([p.clip for p in pairs])
    matched = np.array([p.matched[IOU_LEVEL, classes].sum() for p in pairs])
    marked = np.array([p.marked[classes].sum() for p in pairs])
    apart, present = (np.array([getattr(p, name)[classes] for p in pairs]) for name in ("apart", "present"))
    everything = np.array([2 * p.steps for p in pairs])
    n, units = int(marked.sum()), drawn.units(marked > 0, where)
    values = alpha_multilabel(*(drawn.total(s, where) for s in (apart, present, everything)))
    return {
        "between": list(who),
        "clips": len(pairs),
        "f1": figure(f1(drawn.total(matched, where), drawn.total(marked, where)), n, "events", units),
        "alpha": figure(values, n, "events", units),
    }


def of_edges(sums: Sums, drawn: Resampling) -> dict[str, Any]:
    """How far the edges of matched events lie apart, start and end, in ms: median, 90th percentile, and shares within."""
    import numpy as np

    errors = np.array(sums.errors, int).reshape(-1, 4)
    told: dict[str, Any] = {"by_class": _edges_by_class(errors, sums.columns)}
    for name, column in (("start", 2), ("end", 3)):
        values, which = np.unique(errors[:, column], return_inverse=True)
        counts = np.zeros((len(sums.seen), len(values)))
        np.add.at(counts, (errors[:, 0], which), 1)
        found = quantiles(values, drawn.total(counts), (0.5, 0.9))
        units = drawn.units(counts.sum(axis=1) > 0)
        told[name] = {
            "median_ms": figure(found[:, 0], len(errors), "matched events", units),
            "p90_ms": figure(found[:, 1], len(errors), "matched events", units),
            "within": [[ms, rounded((errors[:, column] <= ms).mean())] for ms in WITHIN_MS] if len(errors) else [],
        }
    return told


def _edges_by_class(errors: np.ndarray, columns: Columns) -> list[dict[str, Any]]:
    import numpy as np

    told = []
    for number, name in enumerate(columns.classes):
        here = errors[errors[:, 1] == number]
        n, units = len(here), len(set(here[:, 0].tolist()))
        few = n < FEW_EVENTS or units < 2
        row: dict[str, Any] = {"name": name, "n": n, "why": missing(n, "matched events", units) if few else None}
        for edge, column in (("start", 2), ("end", 3)):
            for what, share in (("median", 0.5), ("p90", 0.9)):
                found = None if few else int(np.quantile(here[:, column], share, method="inverted_cdf"))
                row[f"{edge}_{what}_ms"] = found
        told += [row] if n else []
    return told


def of_certainty(sums: Sums, drawn: Resampling) -> list[dict[str, Any]]:
    """How often the other one marked it too, by how certain the one was."""
    totals = drawn.total(sums.confirmed)
    told = []
    for number, said in enumerate(CERTAINTIES):
        asked = sums.confirmed[:, number, 1]
        values = f1(totals[:, number, 0] / 2, totals[:, number, 1])
        told.append({"said": said, "confirmed": figure(values, int(asked.sum()), "comparisons", drawn.units(asked > 0))})
    return told


def of_confusion(sums: Sums) -> dict[str, Any]:
    """What the other one called it, for the classes that anybody marked, most events first."""
    import numpy as np

    n = len(sums.columns.classes)
    order = sorted(np.flatnonzero(sums.confusion.sum(axis=1)), key=lambda k: (-sums.confusion[k].sum(), k))
    return {
        "classes": [sums.columns.classes[k] for k in order],
        "counts": [[int(sums.confusion[k, j]) for j in (*order, n)] for k in order],
    }


def most_disputed(sums: Sums) -> Iterator[tuple[ClipView, int, float | None]]:
    """(clip, events that stand alone for each two people, F1): the clips with most such events first."""
    classes = slice(len(sums.columns.classes))
    found = []
    for clip, seen in enumerate(sums.seen):
        matched, marked = float(sums.matched[clip, IOU_LEVEL, classes].sum()), float(sums.marked[clip, classes].sum())
        pairs = len(seen.events) * (len(seen.events) - 1) // 2
        found.append(((marked - 2 * matched) / pairs, seen, int(marked - 2 * matched), 2 * matched / marked if marked else None))
    for _, seen, alone, score in sorted(found, key=lambda f: (-f[0], f[1].clip)):
        yield seen, alone, score
