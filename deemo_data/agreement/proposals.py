"""What people make of proposals: accepted, corrected, removed, added; told by comparing with what the ledger says was shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING, Any

from deemo_data.agreement.events import IOU_LEVEL, Sums
from deemo_data.clip import round_half_up
from deemo_data.labels.label import TIMELINE, Label, Pushed
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.stats.figures import figure, rounded
from deemo_data.stats.krippendorff import alpha_multilabel
from deemo_data.stats.matching import f1, iou, match
from deemo_data.stats.resampling import Resampling, interval

if TYPE_CHECKING:
    import numpy as np


KINDS = ("accepted", "corrected", "removed", "added")


@dataclass(frozen=True)
class Fate:
    """What became of one proposal in one person's hands, or an event that nobody proposed.

    label          of the proposal; of the event where nothing was proposed
    start, end     frames by which the edges were moved, later is positive; 0 for what is not corrected
    changed_class  True when it was given another class
    """

    clip: str
    annotator: str
    label: str
    kind: str
    start: int = 0
    end: int = 0
    changed_class: bool = False


@dataclass(frozen=True)
class Event:
    """A person's event in frames of the clip that was shown, and the id of the region it came from."""

    id: str
    start: int
    end: int
    label: str


def shown(pushed: Sequence[Pushed]) -> dict[str, Pushed]:
    """Public clip id -> how it went out for labelling, the last time it did."""
    return {line.clip: line for line in pushed if line.template == TIMELINE}


def fates(labels: Sequence[Label], pushed: Sequence[Pushed], nfbl: Nfbl) -> list[Fate]:
    """What became of every proposal, person by person. `labels`: those in force."""
    lines = shown(pushed)
    handed: dict[tuple[str, str], list[Event]] = {}
    for label in labels:
        if (line := lines.get(label.clip)) is None or line.proposals is None:
            continue
        if label.kind == "seen" and label.value == "nfbl":
            handed.setdefault((label.clip, label.annotator), [])
        elif label.kind == "nfbl" and not label.value.get("adjudicated") and (found := nfbl.find(label.value["label"])):
            event = Event(_region_of(label), *frames_of(label, line), found.name)
            handed.setdefault((label.clip, label.annotator), []).append(event)
    return [f for (clip, who), events in sorted(handed.items()) for f in compare(clip, who, lines[clip].proposals or [], events)]


def _region_of(label: Label) -> str:
    return str(next((r.get("id") for r in label.raw.get("results", ()) if r.get("type") == "timelinelabels"), ""))


def frames_of(label: Label, line: Pushed) -> tuple[int, int]:
    """[start, end) in frames of the clip as it was shown."""
    fps = Fraction(line.fps)
    start, end = (round_half_up(Fraction(ms, 1000) * fps) - line.first_frame for ms in (label.start_ms, label.end_ms))
    return start, end


def compare(clip: str, who: str, proposed: Sequence[Mapping[str, Any]], events: Sequence[Event]) -> Iterator[Fate]:
    """By the region's id first; what is left, by class and span (IoU of at least a half)."""
    left = list(events)
    kept: dict[int, Event] = {}
    for number, p in enumerate(proposed):
        same = [e for e in left if e.id == p["id"]]
        if same:  # a region may hold several ranges: the nearest is the proposal's
            kept[number] = min(same, key=lambda e: abs(e.start - p["start_frame"]) + abs(e.end - p["end_frame"]))
            left.remove(kept[number])
    others = [n for n in range(len(proposed)) if n not in kept]
    if others and left:
        a, b = (
            _spans([(proposed[n]["start_frame"], proposed[n]["end_frame"]) for n in others]),
            _spans([(e.start, e.end) for e in left]),
        )
        alike = _alike([proposed[n]["label"] for n in others], [e.label for e in left])
        mine, theirs = match(iou(a, b), alike, 0.5)
        kept |= {others[x]: left[y] for x, y in zip(mine, theirs, strict=True)}
        left = [e for n, e in enumerate(left) if n not in set(theirs.tolist())]
    for number, p in enumerate(proposed):
        if number not in kept:
            yield Fate(clip, who, p["label"], "removed")
            continue
        event = kept[number]
        moved = (event.start - p["start_frame"], event.end - p["end_frame"])
        other = event.label != p["label"]
        yield Fate(clip, who, p["label"], "corrected" if other or any(moved) else "accepted", *moved, other)
    for event in left:
        yield Fate(clip, who, event.label, "added")


def _spans(spans: Sequence[tuple[int, int]]) -> np.ndarray:
    import numpy as np

    return np.array(spans).reshape(-1, 2)


def _alike(a: Sequence[str], b: Sequence[str]) -> np.ndarray:
    import numpy as np

    return np.array(a)[:, None] == np.array(b)[None, :]


def acceptance(found: Sequence[Fate]) -> dict[str, Any]:
    """Counts of each fate, overall, by class and by annotator; and by how many frames edges were moved."""
    labels, people = sorted({f.label for f in found}), sorted({f.annotator for f in found})
    return {
        "overall": _tally(found),
        "classes": [{"name": name} | _tally([f for f in found if f.label == name]) for name in labels],
        "annotators": [{"name": who} | _tally([f for f in found if f.annotator == who]) for who in people],
    }


def _tally(found: Sequence[Fate]) -> dict[str, Any]:
    counts = Counter(f.kind for f in found)
    corrected = [f for f in found if f.kind == "corrected"]
    moved = {edge: [abs(getattr(f, edge)) for f in corrected if getattr(f, edge)] for edge in ("start", "end")}
    proposed = sum(counts[k] for k in KINDS[:3])
    return {
        **{kind: counts[kind] for kind in KINDS},
        "proposed": proposed,
        "accepted_share": rounded(counts["accepted"] / proposed) if proposed else None,
        "class_changed": sum(f.changed_class for f in corrected),
        **{f"{edge}_moved": len(by) for edge, by in moved.items()},
        **{f"{edge}_median_frames": median(by) if by else None for edge, by in moved.items()},
    }


def with_and_without(sums: Sums, drawn: Resampling, labels: Sequence[Label], pushed: Sequence[Pushed]) -> dict[str, Any]:
    """Agreement on clips that went out with proposals, and on the share that went out without: what proposals do to people."""
    import numpy as np

    lines = shown(pushed)
    known = np.array([s.clip in lines for s in sums.seen], bool)
    proposed = np.array([s.clip in lines and lines[s.clip].proposals is not None for s in sums.seen], bool)
    told: dict[str, Any] = {}
    values, units = {}, {}
    for name, arm in (("with", known & proposed), ("without", known & ~proposed)):
        values[name], units[name] = _of_arm(sums, drawn, arm)
        n = int(sums.events[arm][:, : len(sums.columns.classes)].sum())
        times = [t for lb in labels if (t := _lead_time(lb, lines, name == "with")) is not None]
        told[name] = {
            "clips": int(arm.sum()),
            "f1": figure(values[name][0], n, "events", units[name]),
            "alpha": figure(values[name][1], n, "events", units[name]),
            "lead_time_s": rounded(median(times)) if times else None,
            "handed_in": len(times),
        }
    few = next((name for name in told if told[name]["f1"]["value"] is None), None)
    for number, name in enumerate(("f1", "alpha")):
        apart = values["with"][number] - values["without"][number]
        told.setdefault("difference", {})[name] = _difference(apart, min(units.values()), few)
    return told


def _difference(apart: np.ndarray, units: int, few: str | None) -> dict[str, Any]:
    import numpy as np

    if few is not None or np.isnan(apart[0]):
        return {"value": None, "low": None, "high": None, "why": f"too little was labelled {few or 'on one side'} proposals"}
    low, high = interval(apart[1:], units) or (None, None)
    told = {
        "value": rounded(apart[0]),
        "low": None if low is None else rounded(low),
        "high": None if high is None else rounded(high),
    }
    return told | {"why": None if low is not None else "too few for an interval"}


def _of_arm(sums: Sums, drawn: Resampling, arm: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    classes = slice(len(sums.columns.classes))
    matched, marked = sums.matched[arm][:, IOU_LEVEL, classes].sum(axis=1), sums.marked[arm][:, classes].sum(axis=1)
    score = f1(drawn.total(matched, arm), drawn.total(marked, arm))
    stats = (sums.apart[arm][:, classes], sums.present[arm][:, classes], sums.everything[arm])
    return (score, alpha_multilabel(*(drawn.total(s, arm) for s in stats))), drawn.units(marked > 0, arm)


def _lead_time(label: Label, lines: Mapping[str, Pushed], proposed: bool) -> float | None:
    """Seconds that an annotator spent on a clip of that side."""
    line = lines.get(label.clip)
    if label.kind != "seen" or label.value != "nfbl" or line is None or (line.proposals is not None) != proposed:
        return None
    spent = label.raw.get("annotation", {}).get("lead_time")
    return float(spent) if isinstance(spent, int | float) else None
