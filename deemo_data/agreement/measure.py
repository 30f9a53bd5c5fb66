"""Agreement.json."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from deemo_data.agreement.choices import measure_choices
from deemo_data.agreement.disputes import TOLERANCE_MS
from deemo_data.agreement.events import (
    IOU_LEVEL,
    STEP_MS,
    Columns,
    Sums,
    Version,
    add_up,
    most_disputed,
    of_certainty,
    of_column,
    of_confusion,
    of_edges,
    of_pairs,
    pair_up,
)
from deemo_data.agreement.proposals import acceptance, fates, shown, with_and_without
from deemo_data.agreement.views import ClipView, MarkedEvent, collect_views
from deemo_data.clip import Clip
from deemo_data.labels.label import Label, Pushed
from deemo_data.labels.placing import by_clip
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.stats.figures import THRESHOLDS, figure
from deemo_data.stats.matching import f1
from deemo_data.stats.resampling import Resampling

PICTURED = 12  # clips in dispute that are drawn


def measure(
    labels: Sequence[Label],
    clips: Sequence[Clip],
    nfbl: Nfbl,
    emotions: Emotions,
    pushed: Sequence[Pushed],
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """out/agreement.json: JSON values only, no names. Every figure has n, a 95 % interval and what chance gives, or says why not.

    labels  those in force
    clips   those that may leave; labels elsewhere are not counted
    pushed  the ledger: what was proposed
    rounds  of the bootstrap
    """
    near, seen, columns = by_clip(labels, clips), collect_views(labels, clips, nfbl), Columns(nfbl)
    shared = [s for s in seen if len(s.events) > 1]
    sums = add_up(shared, columns)
    drawn = Resampling.of([s.subject for s in shared], rounds, seed)
    classes, groups = range(len(columns.classes)), range(len(columns.classes), columns.count - 1)
    by_group = {c.name: c.group for c in nfbl.classes}
    pairs, done = of_pairs(sums, drawn), fates(labels, pushed, nfbl)
    return {
        "vocabulary": nfbl.said,
        "rounds": rounds,
        "seed": seed,
        "step_ms": STEP_MS,
        "thresholds": list(THRESHOLDS),
        "same": THRESHOLDS[IOU_LEVEL],
        "tolerance_ms": TOLERANCE_MS,
        "resampled": {"by": drawn.by, "n": len(set(drawn.unit_of.tolist()))},
        "counts": _counts(seen),
        "overall": of_column(sums, drawn, classes),
        "any": of_column(sums, drawn, [columns.count - 1]),
        "groups": [{"name": nfbl.groups[columns.groups[g - groups.start]]} | of_column(sums, drawn, [g]) for g in groups],
        "classes": [{"name": n, "group": by_group[n]} | of_column(sums, drawn, [k]) for k, n in enumerate(columns.classes)],
        "group_names": dict(nfbl.groups),
        "edges": of_edges(sums, drawn),
        "confusion": of_confusion(sums),
        "certainty": of_certainty(sums, drawn),
        "pairs": pairs,
        "annotators": _annotators(seen, sums, pairs, columns, rounds, seed),
        "choices": measure_choices(near, clips, emotions, rounds, seed),
        "proposals": acceptance(done) | {"effect": with_and_without(sums, drawn, labels, pushed)},
        "disputed": _pictures(sums, pushed, by_group),
    }


def _counts(seen: Sequence[ClipView]) -> dict[str, int]:
    shared = [s for s in seen if len(s.events) > 1]
    return {
        "clips": len(seen),
        "unseen": sum(not s.events for s in seen),
        "seen_by_one": sum(len(s.events) == 1 for s in seen),
        "seen_by_more": len(shared),
        "adjudicated": sum(s.adjudicated is not None for s in seen),
        "annotators": len({who for s in seen for who in s.events}),
        "subjects": len({s.subject for s in shared}),
        "events": sum(len(e) for s in shared for e in s.events.values()),
        "empty": sum(not e for s in shared for e in s.events.values()),
        "seconds": round(sum(s.ms(s.frames) for s in shared) / 1000),
    }


def _annotators(
    seen: Sequence[ClipView], sums: Sums, pairs: Sequence[dict[str, Any]], columns: Columns, rounds: int, seed: int
) -> list[dict[str, Any]]:
    """Each person: how much they saw and marked, with whom they agree, and how near they are to the adjudicated versions."""
    told = []
    for who in sorted({who for s in seen for who in s.events}):
        mine = [s for s in seen if who in s.events]
        scores = [p["f1"]["value"] for p in pairs if who in p["between"] and p["f1"]["value"] is not None]
        minutes = sum(s.ms(s.frames) for s in mine) / 60_000
        told.append(
            {
                "name": who,
                "clips": len(mine),
                "events": sum(len(s.events[who]) for s in mine),
                "events_a_minute": round(sum(len(s.events[who]) for s in mine) / minutes, 2),
                "f1_with_others": round(sum(scores) / len(scores), 6) if scores else None,
                "median_length_ms": _median_length(mine, who),
                "adjudicated": _with_adjudicated(who, [s for s in mine if s.adjudicated is not None], columns, rounds, seed),
            }
        )
    return told


def _median_length(mine: Sequence[ClipView], who: str) -> int | None:
    lengths = [s.ms(e.end - e.start) for s in mine for e in s.events[who]]
    return round(median(lengths)) if lengths else None


def _with_adjudicated(who: str, both: Sequence[ClipView], columns: Columns, rounds: int, seed: int) -> dict[str, Any]:
    """F1 between one person's events and the adjudicated ones, over the clips that have both."""
    import numpy as np

    drawn = Resampling.of([s.subject for s in both], rounds, seed)
    classes = slice(len(columns.classes))
    matched, marked = np.zeros((len(both), len(THRESHOLDS))), np.zeros(len(both))
    for clip, one in enumerate(both):
        mine, judged = (Version.of(events, one, columns) for events in (one.events[who], one.adjudicated or ()))
        pair = pair_up(clip, (who, "adjudicated"), mine, judged, one.frames)
        matched[clip], marked[clip] = pair.matched[:, classes].sum(axis=1), pair.marked[classes].sum()
    n, units = int(marked.sum()), drawn.units(marked > 0)
    scores = (f1(drawn.total(matched[:, t]), drawn.total(marked)) for t in range(len(THRESHOLDS)))
    return {
        "clips": len(both),
        "f1": {str(least): figure(s, n, "events", units) for least, s in zip(THRESHOLDS, scores, strict=True)},
    }


def _pictures(sums: Sums, pushed: Sequence[Pushed], group_of: dict[str, str]) -> list[dict[str, Any]]:
    """The clips with most disagreement, as they can be drawn: everybody's events, the adjudicated ones, and the proposals."""
    lines = shown(pushed)
    told: list[dict[str, Any]] = []
    for one, alone, score in most_disputed(sums):
        if not alone or len(told) == PICTURED:
            break
        line = lines.get(one.clip)
        proposed = None if line is None or line.proposals is None else [
            MarkedEvent(p["start_frame"], p["end_frame"], p["label"]) for p in line.proposals if p["label"] in group_of
        ]  # fmt: skip
        told.append(
            {
                "clip": one.clip,
                "duration_ms": round(one.ms(one.frames)),
                "alone": alone,
                "f1": None if score is None else round(score, 6),
                "versions": [{"name": who, "events": _drawn(events, one, group_of)} for who, events in one.events.items()],
                "adjudicated": None if one.adjudicated is None else _drawn(one.adjudicated, one, group_of),
                "proposals": None if proposed is None else _drawn(proposed, one, group_of),
            }
        )
    return told


def _drawn(events: Sequence[MarkedEvent], one: ClipView, group_of: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "start_ms": round(one.ms(e.start)),
            "end_ms": round(one.ms(min(e.end, one.frames))),
            "label": e.label,
            "group": group_of[e.label],
            "certainty": e.certainty,
        }
        for e in events
    ]
