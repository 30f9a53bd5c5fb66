"""How far annotators agree, over everything that two or more of them saw; and what to send to adjudicators where they do not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from deemo_data import rows
from deemo_data.agreement_choices import measure_choices
from deemo_data.agreement_events import (
    SAME,
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
from deemo_data.agreement_measures import THRESHOLDS, Resampling, f1, figure
from deemo_data.agreement_proposals import acceptance, fates, shown, with_and_without
from deemo_data.agreement_views import Marked, Seen, look
from deemo_data.clip import Clip
from deemo_data.labels import Label, Placed, Pushed, by_clip, latest, short_id, watchers
from deemo_data.sheets import region
from deemo_data.templates import OTHERS
from deemo_data.vocabulary import Emotions, Nfbl

PICTURED = 12  # clips in dispute that are drawn
TOLERANCE_MS = 500  # edges of one event that lie further apart are a disagreement, whatever the overlap


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
    near, seen, columns = by_clip(labels, clips), look(labels, clips, nfbl), Columns(nfbl)
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
        "same": THRESHOLDS[SAME],
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


def _counts(seen: Sequence[Seen]) -> dict[str, int]:
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
    seen: Sequence[Seen], sums: Sums, pairs: Sequence[dict[str, Any]], columns: Columns, rounds: int, seed: int
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


def _median_length(mine: Sequence[Seen], who: str) -> int | None:
    lengths = [s.ms(e.end - e.start) for s in mine for e in s.events[who]]
    return round(median(lengths)) if lengths else None


def _with_adjudicated(who: str, both: Sequence[Seen], columns: Columns, rounds: int, seed: int) -> dict[str, Any]:
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
            Marked(p["start_frame"], p["end_frame"], p["label"]) for p in line.proposals if p["label"] in group_of
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


def _drawn(events: Sequence[Marked], one: Seen, group_of: dict[str, str]) -> list[dict[str, Any]]:
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


@dataclass(frozen=True)
class Take:
    """One person's events of a clip in dispute, under a letter that does not say who it is."""

    letter: str
    annotator: str
    events: tuple[Marked, ...]


@dataclass(frozen=True)
class Dispute:
    """A clip that its annotators disagree about. All in frames of the clip.

    agreed  what all of them marked: one class, IoU of at least a half, edges within TOLERANCE_MS; at the medians of the edges
    takes   what each of them says, in the order of their letters
    """

    clip: str
    agreed: tuple[Marked, ...]
    takes: tuple[Take, ...]


def disputed(labels: Sequence[Label], clip: Clip, nfbl: Nfbl) -> Dispute | None:
    """What the first group says of a clip; None where fewer than two saw it, or they agree about everything."""
    said = latest([lb for lb in labels if lb.source == clip.source], clip)
    who = watchers(said, clip)
    if len(who) < 2:
        return None
    heaps = rows.heaps(clip, [lb for lb in said if lb.annotator in who], nfbl)
    agreed = [heap for heap in heaps if len(heap) == len(who) and _close(heap, clip)]
    if len(agreed) == len(heaps):
        return None
    takes = []
    for number, one in enumerate(sorted(who, key=lambda w: hashlib.sha256(f"{clip.id}:{w}".encode()).digest())):
        mine = sorted((p for heap in heaps for p in heap if p.label.annotator == one), key=lambda p: (p.start_frame, p.end_frame))
        takes.append(Take(chr(ord("a") + number), one, tuple(_marked([p], nfbl) for p in mine)))
    whole = sorted((_marked(heap, nfbl) for heap in agreed), key=lambda e: (e.start, e.end, e.label))
    return Dispute(clip.id, tuple(whole), tuple(takes))


def _close(heap: Sequence[Placed], clip: Clip) -> bool:
    frames = TOLERANCE_MS * clip.grid.fps / 1000
    return all(max(edges) - min(edges) <= frames for edges in zip(*((p.start_frame, p.end_frame) for p in heap), strict=True))


def _marked(heap: Sequence[Placed], nfbl: Nfbl) -> Marked:
    start, end = rows.span_of(heap)
    value = heap[0].label.value
    found = nfbl.find(value["label"])
    certainties = {p.label.value.get("certainty") for p in heap}
    return Marked(start, end, found.name if found else value["label"], certainties.pop() if len(certainties) == 1 else None)


def regions(dispute: Dispute, most: int | None = None) -> list[dict[str, Any]]:
    """One merged prediction for Label Studio: what is agreed can be drawn on; each version is a locked track, `ann_` + letter.

    What is not agreed is in the versions only: whoever adjudicates draws it, and is not led by a draft.

    most  of the versions to show, where the page has tracks for so many only
    """
    why = f"all {len(dispute.takes)} annotators marked it"
    found = [_region(dispute.clip, number, "nfbl", event, why) for number, event in enumerate(dispute.agreed)]
    for take in dispute.takes[:most]:
        for number, event in enumerate(take.events):
            why = f"annotator {take.letter.upper()}" + (f": {event.certainty}" if event.certainty else "")
            found.append(_region(dispute.clip, number, f"{OTHERS}{take.letter}", event, why) | {"readonly": True})
    return found


def _region(clip: str, number: int, name: str, event: Marked, why: str) -> dict[str, Any]:
    about = {"label": event.label, "start_frame": event.start, "end_frame": event.end, "score": 1.0, "why": why}
    return region({"id": short_id(clip, name, number, event.label, event.start, event.end), **about}, name)
