"""Several people's labels -> a clip's events and emotion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import Any

from deemo_data.clip import Clip, ms_of, round_half_up
from deemo_data.errors import DatasetError
from deemo_data.labels.label import Annotation, ClipEvent, Label
from deemo_data.labels.placing import annotators_who_saw, covers_clip, events_of, latest, said_at
from deemo_data.labels.vocabulary import Nfbl, NfblClass

MIN_IOU = Fraction(1, 2)  # two people's events of one class are one event when they overlap by this much (IoU)


def events_of_clip(
    clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, allow_proposed: bool = False
) -> tuple[Annotation, list[dict[str, Any]]]:
    """How far the clip's labelling has come, and its events: an adjudicator's, else people's, else (if allowed) the machine's.

    Of what somebody handed in twice about the clip, the later counts.
    """
    labels = latest(labels, clip)
    if adjudicator := adjudicators(clip, labels):
        return "adjudicated", _adjudicated(clip, labels, vocabulary, adjudicator[-1])
    looked = len(first_group_annotators(clip, labels, vocabulary))
    if looked:
        return "single" if looked == 1 else "reviewed", merged(clip, labels, vocabulary)
    events = proposed(clip, vocabulary) if allow_proposed else []
    return "proposed" if events else "none", events


def merged(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> list[dict[str, Any]]:
    """The clip's events, those that several people marked as one: same class, IoU of at least a half, median edges."""
    looked = first_group_annotators(clip, labels, vocabulary)
    events = []
    for heap in group_events(clip, labels, vocabulary):
        people = len({p.label.annotator for p in heap})
        share = round(people / len(looked), 4) if len(looked) > 1 else None
        said = {"annotators": people, "agreement": share, "status": "reviewed" if people > 1 else "single"}
        events.append(_event(clip, heap, vocabulary) | said)
    return sorted(events, key=lambda e: (e["start_frame"], e["end_frame"], e["label"]))


def group_events(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> list[list[ClipEvent]]:
    """The first group's events on the clip, together where several people marked one: same class, IoU of at least a half."""
    found: list[list[ClipEvent]] = []
    for placed in _known(clip, labels, vocabulary):
        near = [
            (iou, -number, heap)
            for number, heap in enumerate(found)
            if heap[0].label.value["label"] == placed.label.value["label"]
            and placed.label.annotator not in {p.label.annotator for p in heap}
            and (iou := _iou(span_of(heap), (placed.start_frame, placed.end_frame))) >= MIN_IOU
        ]
        if near:
            max(near, key=lambda n: n[:2])[2].append(placed)
        else:
            found.append([placed])
    return found


def adjudicators(clip: Clip, labels: Sequence[Label]) -> list[str]:
    """Who adjudicated the clip, the latest last. Nobody adjudicates a clip that they labelled."""
    first = annotators_who_saw(labels, clip)
    seen = [lb for lb in labels if covers_clip(lb, clip, "adjudicated") and lb.annotator not in first]
    return [lb.annotator for lb in sorted(seen, key=lambda lb: (said_at(lb), lb.annotator))]


def _adjudicated(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, who: str) -> list[dict[str, Any]]:
    """The events as the adjudicator left them; with each, how many people marked it, and the share of the first group who did."""
    looked, first = first_group_annotators(clip, labels, vocabulary), _known(clip, labels, vocabulary)
    events = []
    for placed in _known(clip, labels, vocabulary, adjudicated=True):
        if placed.label.annotator != who:
            continue
        span, name = (placed.start_frame, placed.end_frame), placed.label.value["label"]
        agreed = {
            p.label.annotator
            for p in first
            if p.label.value["label"] == name and _iou((p.start_frame, p.end_frame), span) >= MIN_IOU
        }
        share = round(len(agreed) / len(looked), 4) if looked else None
        events.append(
            _event(clip, [placed], vocabulary) | {"annotators": 1 + len(agreed), "agreement": share, "status": "adjudicated"}
        )
    return sorted(events, key=lambda e: (e["start_frame"], e["end_frame"], e["label"]))


def proposed(clip: Clip, vocabulary: Nfbl) -> list[dict[str, Any]]:
    """The machine's proposals, marked as such."""
    said = {"annotators": 0, "agreement": None, "status": "proposed"}
    return [
        _event_of(clip, (p["start_frame"], p["end_frame"]), found) | said
        for p in clip.facts.get("proposals") or ()
        if (found := vocabulary.by_rule(p["rule"]))
    ]


def first_group_annotators(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> set[str]:
    """The first group's annotators who looked at the clip."""
    return annotators_who_saw(labels, clip) | {p.label.annotator for p in _known(clip, labels, vocabulary)}


def _known(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, adjudicated: bool = False) -> list[ClipEvent]:
    """The events on the clip of the first group, or of adjudicators, whose class the vocabulary knows."""
    return [
        p for p in events_of(labels, clip)
        if bool(p.label.value.get("adjudicated")) == adjudicated and vocabulary.find(p.label.value["label"])
    ]  # fmt: skip


def _event(clip: Clip, heap: Sequence[ClipEvent], vocabulary: Nfbl) -> dict[str, Any]:
    found = vocabulary.find(heap[0].label.value["label"])
    if found is None:
        raise DatasetError(f"clip {clip.id}: {heap[0].label.value['label']!r} is not in vocabulary {vocabulary.said}")
    return _event_of(clip, span_of(heap), found) | {"truncated": any(p.truncated for p in heap)}


def _event_of(clip: Clip, span: tuple[int, int], found: NfblClass) -> dict[str, Any]:
    start, end = span
    return {
        "start_ms": ms_of(start, clip.grid.fps),
        "end_ms": ms_of(end, clip.grid.fps),
        "start_frame": start,
        "end_frame": end,
        "label": found.name,
        "group": found.group,
        "truncated": False,
    }


def span_of(heap: Sequence[ClipEvent]) -> tuple[int, int]:
    """[start, end) in frames of the clip: the medians of the edges."""
    start, end = (
        round_half_up(Fraction(median(edges))) for edges in zip(*((p.start_frame, p.end_frame) for p in heap), strict=True)
    )
    return start, end


def _iou(a: tuple[int, int], b: tuple[int, int]) -> Fraction:
    both = min(a[1], b[1]) - max(a[0], b[0])
    return Fraction(max(both, 0), (a[1] - a[0]) + (b[1] - b[0]) - max(both, 0))


def majority(votes: Sequence[Label]) -> str | None:
    """What more than half of the annotators said; None when nobody did or they are divided."""
    ranked = Counter(str(v.value) for v in last_said(votes)).most_common(1)
    return ranked[0][0] if ranked and 2 * ranked[0][1] > len(last_said(votes)) else None


def last_said(votes: Sequence[Label]) -> list[Label]:
    """Of each annotator, what they said last."""
    in_time = sorted(votes, key=lambda v: (said_at(v), str(v.value)))
    return list({v.annotator: v for v in in_time}.values())
