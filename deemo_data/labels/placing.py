"""Places labels on clips: which labels belong to a clip, which were submitted again, and which fit no clip any more.

A label holds a span on the clock of its source, so it stays valid when clips are cut again. This file decides on which of the
current clips it lies.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction

from deemo_data.clip import Clip
from deemo_data.labels.label import ClipEvent, Label
from deemo_data.stats.matching import temporal_iou

MIN_CLIP_IOU = Fraction(9, 10)  # temporal IoU from which a clip-level label belongs to a clip
TIMED_KINDS = ("nfbl", "sound")  # kinds of labels that mark an event; the others are about a whole clip


def place_events(labels: Iterable[Label], clip: Clip, kinds: Sequence[str] = ("nfbl",)) -> list[ClipEvent]:
    """The events of which at least half lies in the clip, cut to the clip, in order of time."""
    grid, first, frames, events = clip.grid, clip.first_frame, clip.num_frames, []
    for label in labels:
        if label.kind not in kinds or label.source != clip.source:
            continue
        if 2 * _overlap_ms(label, clip) < label.end_ms - label.start_ms or _overlap_ms(label, clip) <= 0:
            continue
        start = min(max(grid.frame_at(label.start_ms) - first, 0), frames - 1)
        end = max(min(grid.frame_at(label.end_ms) - first, frames), start + 1)
        events.append(ClipEvent(label, start, end, label.start_ms < clip.start_ms or label.end_ms > clip.end_ms))
    return sorted(events, key=lambda e: (e.start_frame, e.end_frame, str(e.label.value), e.label.annotator))


def matches_clip(label: Label, clip: Clip) -> bool:
    """Whether a clip-level label is about this clip: their spans have a temporal IoU of at least MIN_CLIP_IOU."""
    return (
        label.source == clip.source and temporal_iou((label.start_ms, label.end_ms), (clip.start_ms, clip.end_ms)) >= MIN_CLIP_IOU
    )


def select_clip_labels(labels: Iterable[Label], clip: Clip) -> list[Label]:
    """The clip-level labels (emotion, clues, choices) that are about this clip."""
    return [lb for lb in labels if lb.kind not in TIMED_KINDS and matches_clip(lb, clip)]


def covers_clip(label: Label, clip: Clip, task: str) -> bool:
    """Whether the label says that its annotator viewed at least 0.9 of the clip for `task` ("nfbl", "adjudicated" or "clip").

    One viewed span may cover several clips.
    """
    if label.kind != "seen" or label.value != task or label.source != clip.source:
        return False
    return _overlap_ms(label, clip) >= MIN_CLIP_IOU * (clip.end_ms - clip.start_ms)


def annotators_who_viewed(labels: Iterable[Label], clip: Clip) -> set[str]:
    """The annotators of the first group who viewed the whole clip for body language."""
    return {lb.annotator for lb in labels if covers_clip(lb, clip, "nfbl")}


def group_by_clip(labels: Iterable[Label], clips: Sequence[Clip]) -> dict[str, list[Label]]:
    """{public clip id: the labels that overlap the clip}."""
    result: dict[str, list[Label]] = {clip.id: [] for clip in clips}
    by_source: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda c: c.start_ms):
        by_source.setdefault(clip.source, []).append(clip)
    starts = {source: [c.start_ms for c in ordered] for source, ordered in by_source.items()}
    longest = {source: max(c.end_ms - c.start_ms for c in ordered) for source, ordered in by_source.items()}
    for label in labels:
        if label.source not in by_source:
            continue
        first = bisect_right(starts[label.source], label.start_ms - longest[label.source])
        for clip in by_source[label.source][first : bisect_left(starts[label.source], label.end_ms)]:
            if clip.end_ms > label.start_ms:
                result[clip.id].append(label)
    return result


def drop_superseded(labels: Sequence[Label], clip: Clip) -> list[Label]:
    """The labels without superseded submissions: if an annotator submitted the whole clip twice for a task, the later counts."""
    submissions: dict[tuple[str, str], set[tuple[str, str]]] = {}  # (annotator, task) -> keys of annotations
    for label in labels:
        if label.kind == "seen" and covers_clip(label, clip, label.value):
            submissions.setdefault((label.annotator, label.value), set()).add(_annotation_key(label))
    superseded = {(who, task, key) for (who, task), keys in submissions.items() for key in keys - {max(keys)}}
    return [lb for lb in labels if (lb.annotator, _task_of(lb), _annotation_key(lb)) not in superseded]


def drop_repeated(labels: Sequence[Label]) -> list[Label]:
    """The labels with one of each event that a person marked more than once in one place, with one annotation."""
    marked: set[tuple[object, ...]] = set()
    kept = []
    for label in labels:
        if label.kind == "nfbl":
            span = (label.source, label.start_ms, label.end_ms)
            what = (label.value["label"], bool(label.value.get("adjudicated")), label.annotator, _annotation_key(label))
            if (*span, *what) in marked:
                continue
            marked.add((*span, *what))
        kept.append(label)
    return kept


def last_changed_at(label: Label) -> str:
    """When a label was last changed: Label Studio's timestamp, as text that sorts by time."""
    return str(label.raw.get("annotation", {}).get("updated_at") or "")


def _annotation_key(label: Label) -> tuple[str, str]:
    """(time of the last change, id) of the Label Studio annotation that the label came with."""
    annotation = label.raw.get("annotation", {})
    return last_changed_at(label), str(annotation.get("unique_id") or annotation.get("id") or "")


def _task_of(label: Label) -> str | None:
    """The task that the label belongs to, as in `covers_clip`; None for clip-level labels."""
    if label.kind == "nfbl":
        return "adjudicated" if label.value.get("adjudicated") else "nfbl"
    return label.value if label.kind == "seen" else None


def find_stale_labels(labels: Iterable[Label], clips: Sequence[Clip]) -> list[Label]:
    """Labels that no clip takes: events that lie mostly outside, and clip-level labels whose span is no longer a clip."""
    by_source: dict[str, list[Clip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source, []).append(clip)
    stale = []
    for label in labels:
        if label.kind == "seen":
            continue
        overlapping = [clip for clip in by_source.get(label.source, ()) if _overlap_ms(label, clip) > 0]
        if label.kind in TIMED_KINDS:
            fits = any(place_events([label], clip, TIMED_KINDS) for clip in overlapping)
        else:
            fits = any(matches_clip(label, clip) for clip in overlapping)
        if not fits:
            stale.append(label)
    return stale


def _overlap_ms(label: Label, clip: Clip) -> int:
    return min(label.end_ms, clip.end_ms) - max(label.start_ms, clip.start_ms)
