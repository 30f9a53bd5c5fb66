"""Agreement about events: F1, Krippendorff's alpha, edges, confusion, certainty.

Every figure is a quotient of sums over clips. `sum_up` computes what each clip adds (`Sums`), once; a round of the bootstrap only
weights these sums (stats/resampling.py). The `measure_*` functions turn sums into figures; measure.py puts them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

from deemo_data.agreement.views import ClipView, MarkedEvent
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.stats.figures import IOU_THRESHOLDS, MIN_EVENTS, make_figure, round_figure, why_missing
from deemo_data.stats.krippendorff import multilabel_alpha
from deemo_data.stats.matching import f1_score, match_events, match_probability, temporal_ious
from deemo_data.stats.resampling import Resampling, weighted_quantiles

if TYPE_CHECKING:
    import numpy as np


STEP_MS = 100  # alpha compares what annotators marked at the middle of each step
SAME_EVENT_LEVEL = 1  # index into IOU_THRESHOLDS: from this tIoU on labels/consensus.py merges two people's events
CERTAINTIES = ("sure", "unsure", "guess", None)
EDGE_LIMITS_MS = tuple(range(0, 2050, 50))  # the points of the curve of edges


@dataclass(frozen=True)
class Columns:
    """The columns of all counts: one per class, then one per group of classes, then one for anything at all."""

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

    def find_columns(self, events: Sequence[MarkedEvent]) -> np.ndarray:
        """The three columns that each event counts in: its class, its group, and anything (events, 3)."""
        import numpy as np

        group_of = [len(self.classes) + self.groups.index(c.group) for c in self.nfbl.classes]
        classes = np.array([self.classes.index(e.label) for e in events], int)
        return np.stack([classes, np.array(group_of)[classes], np.full(len(events), self.count - 1)], axis=1)


@dataclass(frozen=True)
class Version:
    """One annotator's events of one clip.

    spans           (events, 2) start and end, in frames of the clip
    column_numbers  (events, 3) the columns that each event counts in
    presence        (columns, steps) whether an event covers the middle of the step
    """

    spans: np.ndarray
    column_numbers: np.ndarray
    presence: np.ndarray

    @classmethod
    def of(cls, events: Sequence[MarkedEvent], view: ClipView, columns: Columns) -> Version:
        import numpy as np

        spans, column_numbers = np.array([(e.start, e.end) for e in events], int).reshape(-1, 2), columns.find_columns(events)
        steps = max(round(view.ms(view.frames) / STEP_MS), 1)
        first, last = np.searchsorted((np.arange(steps) + 0.5) * (view.frames / steps), spans).T
        presence = np.zeros((columns.count, steps), bool)
        for start, end, numbers in zip(first, last, column_numbers, strict=True):
            presence[numbers, start:end] = True
        return cls(spans, column_numbers, presence)

    @cached_property
    def counts(self) -> np.ndarray:
        """The number of events at each level (class, group, anything) in each column: (levels, columns)."""
        import numpy as np

        return np.stack([np.bincount(self.column_numbers[:, level], minlength=len(self.presence)) for level in range(3)])


@dataclass(frozen=True)
class Pair:
    """A comparison of two annotators' versions of one clip.

    clip                  number of the clip
    matched               (thresholds, columns) pairs of events that match
    chance                (thresholds, columns) pairs that would match on average if one version were shifted in time
    marked                (columns,) events of both annotators together
    same_class_pairs      numbers of the matched events, of the one and of the other: same class, tIoU of SAME_EVENT_LEVEL
    any_class_pairs       the same, whatever the class
    disagreements         (columns,) steps at which only one of them marked something
    chance_disagreements  (columns,) such steps, on average if one version were shifted in time
    present               (columns,) steps at which the one marked something, plus those at which the other did
    steps                 steps of the clip
    """

    clip: int
    annotators: tuple[str, str]
    matched: np.ndarray
    chance: np.ndarray
    marked: np.ndarray
    same_class_pairs: tuple[np.ndarray, np.ndarray]
    any_class_pairs: tuple[np.ndarray, np.ndarray]
    disagreements: np.ndarray
    chance_disagreements: np.ndarray
    present: np.ndarray
    steps: int


def compare_versions(clip: int, annotators: tuple[str, str], one: Version, other: Version, frames: int) -> Pair:
    """Compare two versions of a clip of that many frames."""
    import numpy as np

    k, steps = one.presence.shape
    matched, chance = np.zeros((2, len(IOU_THRESHOLDS), k))
    same_class = any_class = (np.zeros(0, int), np.zeros(0, int))
    if len(one.spans) and len(other.spans):
        ious = temporal_ious(one.spans, other.spans)
        lengths, other_lengths = (v.spans[:, 1] - v.spans[:, 0] for v in (one, other))
        in_one_column = [one.column_numbers[:, None, level] == other.column_numbers[None, :, level] for level in range(3)]
        for number, min_iou in enumerate(IOU_THRESHOLDS):
            probability = match_probability(lengths, other_lengths, frames, min_iou)
            for level in range(3):
                mine, theirs = match_events(ious, in_one_column[level], min_iou, in_one_column[0])
                matched[number] += np.bincount(one.column_numbers[mine, level], minlength=k)
                expected = np.bincount(
                    one.column_numbers[:, level], (probability * in_one_column[level]).sum(axis=1), minlength=k
                )
                chance[number] += np.minimum(expected, np.minimum(one.counts[level], other.counts[level]))
                if number == SAME_EVENT_LEVEL and level == 0:
                    same_class = (mine, theirs)
                elif number == SAME_EVENT_LEVEL and level == 2:
                    any_class = (mine, theirs)
    a, b = one.presence.sum(axis=1), other.presence.sum(axis=1)
    marked, by_chance = (one.counts + other.counts).sum(axis=0), (a * (steps - b) + b * (steps - a)) / steps
    disagreements = (one.presence != other.presence).sum(axis=1)
    return Pair(clip, annotators, matched, chance, marked, same_class, any_class, disagreements, by_chance, a + b, steps)


@dataclass
class Sums:
    """What each clip adds to the figures, over all pairs of annotators who saw it. The first axis is the clips; see `Pair`."""

    views: Sequence[ClipView]
    columns: Columns
    matched: np.ndarray  # (clips, thresholds, columns)
    marked: np.ndarray  # (clips, columns) over pairs: an event counts once per other annotator
    chance: np.ndarray  # (clips, thresholds, columns)
    disagreements: np.ndarray  # (clips, columns)
    chance_disagreements: np.ndarray  # (clips, columns)
    present: np.ndarray  # (clips, columns)
    opportunities: np.ndarray  # (clips,) annotators × steps
    events: np.ndarray  # (clips, columns) events of all annotators
    confusion: np.ndarray  # (classes, classes + 1) class of the one, by class of the other; last: the other marked nothing
    confirmed: np.ndarray  # (clips, certainties, 2) comparisons in which the other one marked it too; all comparisons
    errors: list[tuple[int, int, int, int]] = field(
        default_factory=list
    )  # (clip, class, start, end): ms between the edges of matched events
    pairs: list[Pair] = field(default_factory=list)


def sum_up(views: Sequence[ClipView], columns: Columns) -> Sums:
    """Compute what each clip adds, for clips that two or more annotators saw."""
    import numpy as np

    c, k, t = len(views), columns.count, len(IOU_THRESHOLDS)
    n = len(columns.classes)
    sums = Sums(
        views, columns, np.zeros((c, t, k)), np.zeros((c, k)), np.zeros((c, t, k)), np.zeros((c, k)), np.zeros((c, k)),
        np.zeros((c, k)), np.zeros(c), np.zeros((c, k)), np.zeros((n, n + 1)), np.zeros((c, len(CERTAINTIES), 2)),
    )  # fmt: skip
    for clip, view in enumerate(views):
        versions = {who: Version.of(events, view, columns) for who, events in view.events.items()}
        sums.events[clip] = sum(v.counts.sum(axis=0) for v in versions.values())
        for a, b in combinations(sorted(versions), 2):
            _add_pair(sums, compare_versions(clip, (a, b), versions[a], versions[b], view.frames))
    return sums


def _add_pair(sums: Sums, pair: Pair) -> None:
    clip, view, classes = pair.clip, sums.views[pair.clip], sums.columns.classes
    others = len(view.events) - 1
    one, other = (view.events[who] for who in pair.annotators)
    sums.pairs.append(pair)
    sums.matched[clip] += pair.matched
    sums.chance[clip] += pair.chance
    sums.marked[clip] += pair.marked
    sums.disagreements[clip] += pair.disagreements / others
    sums.chance_disagreements[clip] += pair.chance_disagreements / others
    sums.present[clip] += pair.present / others  # everybody is in as many pairs as there are others
    sums.opportunities[clip] = (1 + others) * pair.steps
    for x, y in zip(*pair.same_class_pairs, strict=True):
        start, end = (round(view.ms(abs(p - q))) for p, q in ((one[x].start, other[y].start), (one[x].end, other[y].end)))
        sums.errors.append((clip, classes.index(one[x].label), start, end))
    for mine, theirs, (here, there) in ((one, other, pair.any_class_pairs), (other, one, pair.any_class_pairs[::-1])):
        partner = dict(zip(here.tolist(), there.tolist(), strict=True))
        for number, event in enumerate(mine):
            answer = classes.index(theirs[partner[number]].label) if number in partner else -1
            sums.confusion[classes.index(event.label), answer] += 1
    for mine, kept in ((one, pair.same_class_pairs[0]), (other, pair.same_class_pairs[1])):
        shared = set(kept.tolist())
        for number, event in enumerate(mine):
            which = CERTAINTIES.index(event.certainty if event.certainty in CERTAINTIES else None)
            sums.confirmed[clip, which] += (number in shared, 1)


def measure_columns(sums: Sums, drawn: Resampling, columns: Sequence[int]) -> dict[str, Any]:
    """F1 and alpha of some columns taken together: one class, one group, or all classes."""
    import numpy as np

    at = list(columns)
    holds = sums.events[:, at].sum(axis=1) > 0
    n, units = int(sums.events[:, at].sum()), drawn.count_units(holds)
    marked = drawn.total(sums.marked[:, at].sum(axis=1))
    all_marked = sums.marked[:, at].sum()
    scores = {}
    for number, min_iou in enumerate(IOU_THRESHOLDS):
        by_chance = float(f1_score(sums.chance[:, number, at].sum(), all_marked))
        values = f1_score(drawn.total(sums.matched[:, number, at].sum(axis=1)), marked)
        scores[str(min_iou)] = make_figure(values, n, "events", units, chance=by_chance)
    totals = (drawn.total(s) for s in (sums.disagreements[:, at], sums.present[:, at], sums.opportunities))
    alpha_by_chance = multilabel_alpha(
        sums.chance_disagreements[:, at].sum(axis=0), sums.present[:, at].sum(axis=0), sums.opportunities.sum()
    )
    values = multilabel_alpha(*totals)
    return {
        "events": n,
        "clips": int(np.count_nonzero(holds)),
        "f1": scores,
        "alpha": make_figure(values, n, "events", units, chance=float(alpha_by_chance)),
    }


def measure_pairs(sums: Sums, drawn: Resampling) -> list[dict[str, Any]]:
    """F1 and alpha of every two annotators who saw clips in common."""
    pairs_by_annotators: dict[tuple[str, str], list[Pair]] = {}
    for pair in sums.pairs:
        pairs_by_annotators.setdefault(pair.annotators, []).append(pair)
    classes = slice(len(sums.columns.classes))
    return [_measure_pair(annotators, pairs, classes, drawn) for annotators, pairs in sorted(pairs_by_annotators.items())]


def _measure_pair(annotators: tuple[str, str], pairs: Sequence[Pair], classes: slice, drawn: Resampling) -> dict[str, Any]:
    import numpy as np

    where = np.array([p.clip for p in pairs])
    matched = np.array([p.matched[SAME_EVENT_LEVEL, classes].sum() for p in pairs])
    marked = np.array([p.marked[classes].sum() for p in pairs])
    disagreements = np.array([p.disagreements[classes] for p in pairs])
    present = np.array([p.present[classes] for p in pairs])
    opportunities = np.array([2 * p.steps for p in pairs])
    n, units = int(marked.sum()), drawn.count_units(marked > 0, where)
    values = multilabel_alpha(*(drawn.total(s, where) for s in (disagreements, present, opportunities)))
    return {
        "between": list(annotators),
        "clips": len(pairs),
        "f1": make_figure(f1_score(drawn.total(matched, where), drawn.total(marked, where)), n, "events", units),
        "alpha": make_figure(values, n, "events", units),
    }


def measure_edges(sums: Sums, drawn: Resampling) -> dict[str, Any]:
    """The distance in ms between the edges of matched events, for start and end: median, 90th percentile, cumulative shares."""
    import numpy as np

    errors = np.array(sums.errors, int).reshape(-1, 4)
    figures: dict[str, Any] = {"by_class": _edges_by_class(errors, sums.columns)}
    for name, column in (("start", 2), ("end", 3)):
        values, which = np.unique(errors[:, column], return_inverse=True)
        counts = np.zeros((len(sums.views), len(values)))
        np.add.at(counts, (errors[:, 0], which), 1)
        quantiles = weighted_quantiles(values, drawn.total(counts), (0.5, 0.9))
        units = drawn.count_units(counts.sum(axis=1) > 0)
        figures[name] = {
            "median_ms": make_figure(quantiles[:, 0], len(errors), "matched events", units),
            "p90_ms": make_figure(quantiles[:, 1], len(errors), "matched events", units),
            "within": [[ms, round_figure((errors[:, column] <= ms).mean())] for ms in EDGE_LIMITS_MS] if len(errors) else [],
        }
    return figures


def _edges_by_class(errors: np.ndarray, columns: Columns) -> list[dict[str, Any]]:
    """The same for each class, without intervals."""
    import numpy as np

    rows = []
    for number, name in enumerate(columns.classes):
        here = errors[errors[:, 1] == number]
        n, units = len(here), len(set(here[:, 0].tolist()))
        few = n < MIN_EVENTS or units < 2
        row: dict[str, Any] = {"name": name, "n": n, "why": why_missing(n, "matched events", units) if few else None}
        for edge, column in (("start", 2), ("end", 3)):
            for what, share in (("median", 0.5), ("p90", 0.9)):
                row[f"{edge}_{what}_ms"] = None if few else int(np.quantile(here[:, column], share, method="inverted_cdf"))
        rows += [row] if n else []
    return rows


def measure_certainty(sums: Sums, drawn: Resampling) -> list[dict[str, Any]]:
    """How often another annotator marked an event too, by the certainty of the annotator who marked it."""
    totals = drawn.total(sums.confirmed)
    rows = []
    for number, certainty in enumerate(CERTAINTIES):
        comparisons = sums.confirmed[:, number, 1]
        values = f1_score(totals[:, number, 0] / 2, totals[:, number, 1])
        rows.append(
            {
                "said": certainty,
                "confirmed": make_figure(values, int(comparisons.sum()), "comparisons", drawn.count_units(comparisons > 0)),
            }
        )
    return rows


def count_confusions(sums: Sums) -> dict[str, Any]:
    """The confusion matrix of two annotators, for the classes that somebody marked, most frequent first."""
    import numpy as np

    n = len(sums.columns.classes)
    order = sorted(np.flatnonzero(sums.confusion.sum(axis=1)), key=lambda k: (-sums.confusion[k].sum(), k))
    return {
        "classes": [sums.columns.classes[k] for k in order],
        "counts": [[int(sums.confusion[k, j]) for j in (*order, n)] for k in order],
    }


def rank_disputed(sums: Sums) -> Iterator[tuple[ClipView, int, float | None]]:
    """(clip, number of events without a match, F1), the clips with most such events per pair of annotators first."""
    classes = slice(len(sums.columns.classes))
    ranking = []
    for clip, view in enumerate(sums.views):
        matched, marked = float(sums.matched[clip, SAME_EVENT_LEVEL, classes].sum()), float(sums.marked[clip, classes].sum())
        pairs = len(view.events) * (len(view.events) - 1) // 2
        unmatched, score = int(marked - 2 * matched), 2 * matched / marked if marked else None
        ranking.append(((marked - 2 * matched) / pairs, view, unmatched, score))
    for _, view, unmatched, score in sorted(ranking, key=lambda r: (-r[0], r[1].clip)):
        yield view, unmatched, score
