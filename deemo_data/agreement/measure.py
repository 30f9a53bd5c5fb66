"""Builds agreement.json: everything that `deemo agree` measures about the labels of a project.

Labels and clips go in. views.py lists who saw which clip and marked what. events.py (body-language events), choices.py (answers
about whole clips) and proposals.py (what became of proposals) measure. reports/agreement.py makes the page of the JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from deemo_data.agreement.choices import measure_choices
from deemo_data.agreement.disputes import TOLERANCE_MS, count_disputes
from deemo_data.agreement.events import (
    SAME_EVENT_LEVEL,
    STEP_MS,
    Columns,
    Sums,
    Version,
    compare_versions,
    count_confusions,
    measure_certainty,
    measure_columns,
    measure_edges,
    measure_pairs,
    rank_disputed,
    sum_up,
)
from deemo_data.agreement.proposals import count_outcomes, find_outcomes, latest_pushed, measure_effect
from deemo_data.agreement.views import ClipView, MarkedEvent, collect_views
from deemo_data.clip import Clip
from deemo_data.labels.label import ADJUDICATION_TEMPLATE, Label, PushRecord
from deemo_data.labels.placing import group_by_clip
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.stats.figures import IOU_THRESHOLDS, make_figure
from deemo_data.stats.matching import f1_score
from deemo_data.stats.resampling import Resampling

MAX_PICTURED_CLIPS = 12  # disputed clips that the page draws


def measure_agreement(
    labels: Sequence[Label],
    clips: Sequence[Clip],
    nfbl: Nfbl,
    emotions: Emotions,
    pushed: Sequence[PushRecord],
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """The content of out/agreement.json: JSON values only, and no names of people.

    Every figure has n, a 95 % interval and its chance level, or says why one of them is missing.

    labels  the labels in force
    clips   released clips; labels of other clips are not counted
    pushed  the push ledger: which clips went out with which proposals
    rounds  rounds of the bootstrap, seeded by `seed`
    """
    near_labels, views, columns = group_by_clip(labels, clips), collect_views(labels, clips, nfbl), Columns(nfbl)
    shared = [v for v in views if len(v.events) > 1]
    sums = sum_up(shared, columns)
    drawn = Resampling.of([v.subject for v in shared], rounds, seed)
    classes, groups = range(len(columns.classes)), range(len(columns.classes), columns.count - 1)
    by_group = {c.name: c.group for c in nfbl.classes}
    pairs, outcomes = measure_pairs(sums, drawn), find_outcomes(labels, pushed, nfbl)
    adjudicators_have = {line.clip for line in pushed if line.template == ADJUDICATION_TEMPLATE}
    return {
        "vocabulary": nfbl.versioned_name,
        "rounds": rounds,
        "seed": seed,
        "step_ms": STEP_MS,
        "thresholds": list(IOU_THRESHOLDS),
        "same": IOU_THRESHOLDS[SAME_EVENT_LEVEL],
        "tolerance_ms": TOLERANCE_MS,
        "resampled": {"by": drawn.by, "n": len(set(drawn.unit_of.tolist()))},
        "counts": _count_material(views),
        "disputes": count_disputes(near_labels, clips, nfbl, adjudicators_have),
        "overall": measure_columns(sums, drawn, classes),
        "any": measure_columns(sums, drawn, [columns.count - 1]),
        "groups": [{"name": nfbl.groups[columns.groups[g - groups.start]]} | measure_columns(sums, drawn, [g]) for g in groups],
        "classes": [{"name": n, "group": by_group[n]} | measure_columns(sums, drawn, [k]) for k, n in enumerate(columns.classes)],
        "group_names": dict(nfbl.groups),
        "edges": measure_edges(sums, drawn),
        "confusion": count_confusions(sums),
        "certainty": measure_certainty(sums, drawn),
        "pairs": pairs,
        "annotators": _describe_annotators(views, sums, pairs, columns, rounds, seed),
        "choices": measure_choices(near_labels, clips, emotions, rounds, seed),
        "proposals": count_outcomes(outcomes) | {"effect": measure_effect(sums, drawn, labels, pushed)},
        "disputed": _describe_disputed(sums, pushed, by_group),
    }


def _count_material(views: Sequence[ClipView]) -> dict[str, int]:
    shared = [s for s in views if len(s.events) > 1]
    return {
        "clips": len(views),
        "unseen": sum(not s.events for s in views),
        "seen_by_one": sum(len(s.events) == 1 for s in views),
        "seen_by_more": len(shared),
        "adjudicated": sum(s.adjudicated is not None for s in views),
        "annotators": len({who for s in views for who in s.events}),
        "subjects": len({s.subject for s in shared}),
        "events": sum(len(e) for s in shared for e in s.events.values()),
        "empty": sum(not e for s in shared for e in s.events.values()),
        "seconds": round(sum(s.ms(s.frames) for s in shared) / 1000),
    }


def _describe_annotators(
    views: Sequence[ClipView], sums: Sums, pairs: Sequence[dict[str, Any]], columns: Columns, rounds: int, seed: int
) -> list[dict[str, Any]]:
    """Each annotator: how much they saw and marked, how well they agree with the others and with the adjudicated versions."""
    rows = []
    for who in sorted({who for s in views for who in s.events}):
        mine = [s for s in views if who in s.events]
        scores = [p["f1"]["value"] for p in pairs if who in p["between"] and p["f1"]["value"] is not None]
        minutes = sum(s.ms(s.frames) for s in mine) / 60_000
        rows.append(
            {
                "name": who,
                "clips": len(mine),
                "events": sum(len(s.events[who]) for s in mine),
                "events_a_minute": round(sum(len(s.events[who]) for s in mine) / minutes, 2),
                "f1_with_others": round(sum(scores) / len(scores), 6) if scores else None,
                "median_length_ms": _median_length(mine, who),
                "adjudicated": _compare_with_adjudicated(
                    who, [s for s in mine if s.adjudicated is not None], columns, rounds, seed
                ),
            }
        )
    return rows


def _median_length(mine: Sequence[ClipView], who: str) -> int | None:
    lengths = [s.ms(e.end - e.start) for s in mine for e in s.events[who]]
    return round(median(lengths)) if lengths else None


def _compare_with_adjudicated(who: str, both: Sequence[ClipView], columns: Columns, rounds: int, seed: int) -> dict[str, Any]:
    """F1 between one annotator's events and the adjudicated ones, over the clips that have both."""
    import numpy as np

    drawn = Resampling.of([s.subject for s in both], rounds, seed)
    classes = slice(len(columns.classes))
    matched, marked = np.zeros((len(both), len(IOU_THRESHOLDS))), np.zeros(len(both))
    for clip, one in enumerate(both):
        version, adjudicated = (Version.of(events, one, columns) for events in (one.events[who], one.adjudicated or ()))
        pair = compare_versions(clip, (who, "adjudicated"), version, adjudicated, one.frames)
        matched[clip], marked[clip] = pair.matched[:, classes].sum(axis=1), pair.marked[classes].sum()
    n, units = int(marked.sum()), drawn.count_units(marked > 0)
    scores = (f1_score(drawn.total(matched[:, t]), drawn.total(marked)) for t in range(len(IOU_THRESHOLDS)))
    return {
        "clips": len(both),
        "f1": {str(min_iou): make_figure(s, n, "events", units) for min_iou, s in zip(IOU_THRESHOLDS, scores, strict=True)},
    }


def _describe_disputed(sums: Sums, pushed: Sequence[PushRecord], group_of: dict[str, str]) -> list[dict[str, Any]]:
    """The most disputed clips, for drawing: the events of each annotator, the adjudicated ones, and the proposals."""
    lines = latest_pushed(pushed)
    rows: list[dict[str, Any]] = []
    for view, unmatched, score in rank_disputed(sums):
        if not unmatched or len(rows) == MAX_PICTURED_CLIPS:
            break
        line = lines.get(view.clip)
        proposed = None if line is None or line.proposals is None else [
            MarkedEvent(p["start_frame"], p["end_frame"], p["label"]) for p in line.proposals if p["label"] in group_of
        ]  # fmt: skip
        rows.append(
            {
                "clip": view.clip,
                "duration_ms": round(view.ms(view.frames)),
                "alone": unmatched,
                "f1": None if score is None else round(score, 6),
                "versions": [
                    {"name": who, "events": _events_to_json(events, view, group_of)} for who, events in view.events.items()
                ],
                "adjudicated": None if view.adjudicated is None else _events_to_json(view.adjudicated, view, group_of),
                "proposals": None if proposed is None else _events_to_json(proposed, view, group_of),
            }
        )
    return rows


def _events_to_json(events: Sequence[MarkedEvent], view: ClipView, group_of: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "start_ms": round(view.ms(e.start)),
            "end_ms": round(view.ms(min(e.end, view.frames))),
            "label": e.label,
            "group": group_of[e.label],
            "certainty": e.certainty,
        }
        for e in events
    ]
