"""Labels onto clips: overlap, whole-clip, latest, stale."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction

from deemo_data.clip import Clip
from deemo_data.labels.label import ClipEvent, Label

FITS = Fraction(9, 10)  # a clip-level label belongs to a clip whose span overlaps its own by this much (IoU)


def events_of(labels: Iterable[Label], clip: Clip, kinds: Sequence[str] = ("nfbl",)) -> list[ClipEvent]:
    """The events a clip holds at least half of, cut to the clip, in order of time."""
    grid, first, frames, placed = clip.grid, clip.first_frame, clip.num_frames, []
    for label in labels:
        if label.kind not in kinds or label.source != clip.source:
            continue
        if 2 * _overlap(label, clip) < label.end_ms - label.start_ms or _overlap(label, clip) <= 0:
            continue
        start = min(max(grid.frame_at(label.start_ms) - first, 0), frames - 1)
        end = max(min(grid.frame_at(label.end_ms) - first, frames), start + 1)
        placed.append(ClipEvent(label, start, end, label.start_ms < clip.start_ms or label.end_ms > clip.end_ms))
    return sorted(placed, key=lambda p: (p.start_frame, p.end_frame, str(p.label.value), p.label.annotator))


def matches_clip(label: Label, clip: Clip) -> bool:
    """Whether a label about a whole stretch is about this clip: temporal IoU of at least 0.9."""
    both = _overlap(label, clip)
    either = (label.end_ms - label.start_ms) + (clip.end_ms - clip.start_ms) - both
    return label.source == clip.source and both > 0 and both >= FITS * either


def whole_clip(labels: Iterable[Label], clip: Clip) -> list[Label]:
    """The clip-level labels (emotion, clues, choices) that are about this clip."""
    return [lb for lb in labels if lb.kind not in TIMED and matches_clip(lb, clip)]


def covers_clip(label: Label, clip: Clip, seen: str) -> bool:
    """Whether it says that somebody looked (for `seen`) at the whole clip: a span that was looked at may cover several."""
    if label.kind != "seen" or label.value != seen or label.source != clip.source:
        return False
    return _overlap(label, clip) >= FITS * (clip.end_ms - clip.start_ms)


def annotators_who_saw(labels: Iterable[Label], clip: Clip) -> set[str]:
    """The annotators of the first group who looked at the whole clip for body language."""
    return {lb.annotator for lb in labels if covers_clip(lb, clip, "nfbl")}


def by_clip(labels: Iterable[Label], clips: Sequence[Clip]) -> dict[str, list[Label]]:
    """Public clip id -> the labels that touch the clip."""
    found: dict[str, list[Label]] = {clip.id: [] for clip in clips}
    of_source: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: c.start_ms):
        of_source.setdefault(clip.source, []).append(clip)
    starts = {source: [c.start_ms for c in here] for source, here in of_source.items()}
    longest = {source: max(c.end_ms - c.start_ms for c in here) for source, here in of_source.items()}
    for label in labels:
        if label.source not in of_source:
            continue
        first = bisect_right(starts[label.source], label.start_ms - longest[label.source])
        for clip in of_source[label.source][first : bisect_left(starts[label.source], label.end_ms)]:
            if clip.end_ms > label.start_ms:
                found[clip.id].append(label)
    return found


def latest(labels: Sequence[Label], clip: Clip) -> list[Label]:
    """Without what somebody handed in about the whole clip and handed in once more: the later counts."""
    handed: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for label in labels:
        if label.kind == "seen" and covers_clip(label, clip, label.value):
            handed.setdefault((label.annotator, label.value), set()).add(_annotation(label))
    old = {(who, about, one) for (who, about), them in handed.items() for one in them - {max(them)}}
    return [lb for lb in labels if (lb.annotator, _about(lb), _annotation(lb)) not in old]


def said_at(label: Label) -> str:
    """When a label was last changed, as Label Studio says it; text that sorts."""
    return str(label.raw.get("annotation", {}).get("updated_at") or "")


def _annotation(label: Label) -> tuple[str, str]:
    """(when it was changed last, which it is)"""
    said = label.raw.get("annotation", {})
    return said_at(label), str(said.get("unique_id") or said.get("id") or "")


def _about(label: Label) -> str | None:
    if label.kind == "nfbl":
        return "adjudicated" if label.value.get("adjudicated") else "nfbl"
    return label.value if label.kind == "seen" else None


def stale_labels(labels: Iterable[Label], clips: Sequence[Clip]) -> list[Label]:
    """Labels that no clip takes: events too far outside, clip-level labels whose stretch is no clip any more."""
    by_source: dict[str, list[Clip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source, []).append(clip)
    left = []
    for label in labels:
        if label.kind == "seen":
            continue
        near = [clip for clip in by_source.get(label.source, ()) if _overlap(label, clip) > 0]
        if label.kind in TIMED:
            taken = any(events_of([label], clip, TIMED) for clip in near)
        else:
            taken = any(matches_clip(label, clip) for clip in near)
        if not taken:
            left.append(label)
    return left


TIMED = ("nfbl", "sound")


def _overlap(label: Label, clip: Clip) -> int:
    return min(label.end_ms, clip.end_ms) - max(label.start_ms, clip.start_ms)
