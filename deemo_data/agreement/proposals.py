"""What annotators do with proposals: how many they accept, correct, remove and add, and how proposals change their agreement.

The push ledger says which proposals a clip was shown with. Comparing them with the labels that came back gives an `Outcome` for
each proposal and each annotator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING, Any

from deemo_data.agreement.events import SAME_EVENT_LEVEL, Sums
from deemo_data.clip import round_half_up
from deemo_data.labels.label import TIMELINE_TEMPLATE, Label, PushRecord
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.stats.figures import make_figure, round_figure
from deemo_data.stats.krippendorff import multilabel_alpha
from deemo_data.stats.matching import f1_score, match_events, temporal_ious
from deemo_data.stats.resampling import Resampling, bootstrap_interval

if TYPE_CHECKING:
    import numpy as np


OUTCOME_KINDS = ("accepted", "corrected", "removed", "added")


@dataclass(frozen=True)
class Outcome:
    """What one annotator did with one proposal, or an event that was not proposed.

    label          class of the proposal; of the event, if it was not proposed
    kind           one of OUTCOME_KINDS
    start, end     frames by which the edges were moved, positive when moved later; 0 unless corrected
    changed_class  True when the annotator gave it another class
    """

    clip: str
    annotator: str
    label: str
    kind: str
    start: int = 0
    end: int = 0
    changed_class: bool = False


@dataclass(frozen=True)
class HandedEvent:
    """An annotator's event in frames of the clip as it was shown, with the id of its Label Studio region."""

    id: str
    start: int
    end: int
    label: str


def latest_pushed(pushed: Sequence[PushRecord]) -> dict[str, PushRecord]:
    """{public clip id: the ledger's last line about pushing it for labelling}."""
    return {line.clip: line for line in pushed if line.template == TIMELINE_TEMPLATE}


def find_outcomes(labels: Sequence[Label], pushed: Sequence[PushRecord], nfbl: Nfbl) -> list[Outcome]:
    """The outcomes of every proposal, by annotator. `labels` are those in force."""
    lines = latest_pushed(pushed)
    events_by_clip: dict[tuple[str, str], list[HandedEvent]] = {}
    for label in labels:
        if (line := lines.get(label.clip)) is None or line.proposals is None:
            continue
        if label.kind == "seen" and label.value == "nfbl":
            events_by_clip.setdefault((label.clip, label.annotator), [])
        elif label.kind == "nfbl" and not label.value.get("adjudicated") and (found := nfbl.find(label.value["label"])):
            event = HandedEvent(_region_of(label), *frames_of(label, line), found.name)
            events_by_clip.setdefault((label.clip, label.annotator), []).append(event)
    return [
        f
        for (clip, who), events in sorted(events_by_clip.items())
        for f in compare_with_proposals(clip, who, lines[clip].proposals or [], events)
    ]


def _region_of(label: Label) -> str:
    return str(next((r.get("id") for r in label.raw.get("results", ()) if r.get("type") == "timelinelabels"), ""))


def frames_of(label: Label, line: PushRecord) -> tuple[int, int]:
    """The span [start, end) of a label in frames of the clip as it was shown."""
    fps = Fraction(line.fps)
    start, end = (round_half_up(Fraction(ms, 1000) * fps) - line.first_frame for ms in (label.start_ms, label.end_ms))
    return start, end


def compare_with_proposals(
    clip: str, annotator: str, proposed: Sequence[Mapping[str, Any]], events: Sequence[HandedEvent]
) -> Iterator[Outcome]:
    """Compare the events of one annotator with the proposals of a clip.

    An event belongs to the proposal with its region id. The remaining ones are matched by class and span (tIoU of at least 1/2).
    """
    remaining = list(events)
    event_of: dict[int, HandedEvent] = {}
    for number, p in enumerate(proposed):
        by_id = [e for e in remaining if e.id == p["id"]]
        if by_id:  # a region may hold several ranges: the nearest is the proposal's
            event_of[number] = min(by_id, key=lambda e: abs(e.start - p["start_frame"]) + abs(e.end - p["end_frame"]))
            remaining.remove(event_of[number])
    unassigned = [n for n in range(len(proposed)) if n not in event_of]
    if unassigned and remaining:
        a, b = (
            _spans([(proposed[n]["start_frame"], proposed[n]["end_frame"]) for n in unassigned]),
            _spans([(e.start, e.end) for e in remaining]),
        )
        same_class = _same_class([proposed[n]["label"] for n in unassigned], [e.label for e in remaining])
        mine, theirs = match_events(temporal_ious(a, b), same_class, 0.5)
        event_of |= {unassigned[x]: remaining[y] for x, y in zip(mine, theirs, strict=True)}
        remaining = [e for n, e in enumerate(remaining) if n not in set(theirs.tolist())]
    for number, p in enumerate(proposed):
        if number not in event_of:
            yield Outcome(clip, annotator, p["label"], "removed")
            continue
        event = event_of[number]
        moved = (event.start - p["start_frame"], event.end - p["end_frame"])
        changed_class = event.label != p["label"]
        yield Outcome(
            clip, annotator, p["label"], "corrected" if changed_class or any(moved) else "accepted", *moved, changed_class
        )
    for event in remaining:
        yield Outcome(clip, annotator, event.label, "added")


def _spans(spans: Sequence[tuple[int, int]]) -> np.ndarray:
    import numpy as np

    return np.array(spans).reshape(-1, 2)


def _same_class(a: Sequence[str], b: Sequence[str]) -> np.ndarray:
    import numpy as np

    return np.array(a)[:, None] == np.array(b)[None, :]


def count_outcomes(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The number of outcomes of each kind, overall, by class and by annotator; and by how many frames edges were moved."""
    labels, people = sorted({f.label for f in outcomes}), sorted({f.annotator for f in outcomes})
    return {
        "overall": _count_by_kind(outcomes),
        "classes": [{"name": name} | _count_by_kind([f for f in outcomes if f.label == name]) for name in labels],
        "annotators": [{"name": who} | _count_by_kind([f for f in outcomes if f.annotator == who]) for who in people],
    }


def _count_by_kind(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    counts = Counter(f.kind for f in outcomes)
    corrected = [f for f in outcomes if f.kind == "corrected"]
    moved = {edge: [abs(getattr(f, edge)) for f in corrected if getattr(f, edge)] for edge in ("start", "end")}
    proposed = sum(counts[k] for k in OUTCOME_KINDS[:3])
    return {
        **{kind: counts[kind] for kind in OUTCOME_KINDS},
        "proposed": proposed,
        "accepted_share": round_figure(counts["accepted"] / proposed) if proposed else None,
        "class_changed": sum(f.changed_class for f in corrected),
        **{f"{edge}_moved": len(by) for edge, by in moved.items()},
        **{f"{edge}_median_frames": median(by) if by else None for edge, by in moved.items()},
    }


def measure_effect(sums: Sums, drawn: Resampling, labels: Sequence[Label], pushed: Sequence[PushRecord]) -> dict[str, Any]:
    """The effect of proposals: agreement on clips that were pushed with proposals, on those without, and the difference."""
    import numpy as np

    lines = latest_pushed(pushed)
    pushed_clips = np.array([s.clip in lines for s in sums.views], bool)
    proposed = np.array([s.clip in lines and lines[s.clip].proposals is not None for s in sums.views], bool)
    result: dict[str, Any] = {}
    values, units = {}, {}
    for name, arm in (("with", pushed_clips & proposed), ("without", pushed_clips & ~proposed)):
        values[name], units[name] = _measure_arm(sums, drawn, arm)
        n = int(sums.events[arm][:, : len(sums.columns.classes)].sum())
        times = [t for lb in labels if (t := _lead_time(lb, lines, name == "with")) is not None]
        result[name] = {
            "clips": int(arm.sum()),
            "f1": make_figure(values[name][0], n, "events", units[name]),
            "alpha": make_figure(values[name][1], n, "events", units[name]),
            "lead_time_s": round_figure(median(times)) if times else None,
            "handed_in": len(times),
        }
    few = next((name for name in result if result[name]["f1"]["value"] is None), None)
    for number, name in enumerate(("f1", "alpha")):
        difference = values["with"][number] - values["without"][number]
        result.setdefault("difference", {})[name] = _make_difference(difference, min(units.values()), few)
    return result


def _make_difference(values: np.ndarray, units: int, few: str | None) -> dict[str, Any]:
    import numpy as np

    if few is not None or np.isnan(values[0]):
        return {"value": None, "low": None, "high": None, "why": f"too little was labelled {few or 'on one side'} proposals"}
    low, high = bootstrap_interval(values[1:], units) or (None, None)
    result = {
        "value": round_figure(values[0]),
        "low": None if low is None else round_figure(low),
        "high": None if high is None else round_figure(high),
    }
    return result | {"why": None if low is not None else "too few for an interval"}


def _measure_arm(sums: Sums, drawn: Resampling, arm: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    classes = slice(len(sums.columns.classes))
    matched, marked = sums.matched[arm][:, SAME_EVENT_LEVEL, classes].sum(axis=1), sums.marked[arm][:, classes].sum(axis=1)
    score = f1_score(drawn.total(matched, arm), drawn.total(marked, arm))
    stats = (sums.disagreements[arm][:, classes], sums.present[arm][:, classes], sums.opportunities[arm])
    return (score, multilabel_alpha(*(drawn.total(s, arm) for s in stats))), drawn.count_units(marked > 0, arm)


def _lead_time(label: Label, lines: Mapping[str, PushRecord], proposed: bool) -> float | None:
    """Seconds that an annotator spent on a clip that was pushed with (or without) proposals; None for any other label."""
    line = lines.get(label.clip)
    if label.kind != "seen" or label.value != "nfbl" or line is None or (line.proposals is not None) != proposed:
        return None
    spent = label.raw.get("annotation", {}).get("lead_time")
    return float(spent) if isinstance(spent, int | float) else None
