"""Merges the labels of several annotators into the events and the emotion of a clip.

The annotators of the first group label a clip independently. Events on which they overlap enough are merged into one. An
adjudicator may then settle the clip; from then on only the adjudicator's events count. Events are returned as rows: dicts with
the columns of the nfbl table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import Any

from deemo_data.clip import Clip, frame_to_ms, round_half_up
from deemo_data.errors import DatasetError
from deemo_data.labels.label import AnnotationLevel, ClipEvent, Label
from deemo_data.labels.placing import annotators_who_viewed, covers_clip, drop_superseded, last_changed_at, place_events
from deemo_data.labels.vocabulary import Nfbl, NfblClass
from deemo_data.stats.matching import temporal_iou

MIN_IOU = Fraction(1, 2)  # temporal IoU from which two annotators' events of one class are one event


def events_of_clip(
    clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, allow_proposed: bool = False
) -> tuple[AnnotationLevel, list[dict[str, Any]]]:
    """The annotation level of the clip, and its events as rows.

    The events are an adjudicator's if there is one, otherwise the merged events of the first group, otherwise (with
    `allow_proposed`) the machine's proposals. When an annotator submitted the clip twice, the later submission counts.
    """
    labels = drop_superseded(labels, clip)
    if adjudicators := find_adjudicators(clip, labels):
        return "adjudicated", _adjudicated_events(clip, labels, vocabulary, adjudicators[-1])
    viewers = len(first_group_annotators(clip, labels, vocabulary))
    if viewers:
        return "single" if viewers == 1 else "reviewed", merge_events(clip, labels, vocabulary)
    events = proposed_events(clip, vocabulary) if allow_proposed else []
    return "proposed" if events else "none", events


def merge_events(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> list[dict[str, Any]]:
    """The first group's events as rows: one row per group of `group_events`, with the medians of start and end.

    "agreement" is the share of the annotators who viewed the clip that marked the event; None with only one annotator.
    """
    viewers = first_group_annotators(clip, labels, vocabulary)
    rows = []
    for group in group_events(clip, labels, vocabulary):
        annotators = len({event.label.annotator for event in group})
        share = round(annotators / len(viewers), 4) if len(viewers) > 1 else None
        support = {"annotators": annotators, "agreement": share, "status": "reviewed" if annotators > 1 else "single"}
        rows.append(_group_to_row(clip, group, vocabulary) | support)
    return sorted(rows, key=lambda row: (row["start_frame"], row["end_frame"], row["label"]))


def group_events(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> list[list[ClipEvent]]:
    """The first group's events on the clip, grouped: events of one class that several annotators marked at the same time.

    Events are taken in order of time. An event joins the group of its class with the highest temporal IoU, of at least
    MIN_IOU, to which its annotator has not contributed yet. Otherwise it starts a new group.
    """
    groups: list[list[ClipEvent]] = []
    for event in _events_in_vocabulary(clip, labels, vocabulary):
        candidates = [
            (iou, -number, group)
            for number, group in enumerate(groups)
            if group[0].label.value["label"] == event.label.value["label"]
            and event.label.annotator not in {other.label.annotator for other in group}
            and (iou := temporal_iou(median_span(group), event.span)) >= MIN_IOU
        ]
        if candidates:
            max(candidates, key=lambda candidate: candidate[:2])[2].append(event)
        else:
            groups.append([event])
    return groups


def find_adjudicators(clip: Clip, labels: Sequence[Label]) -> list[str]:
    """The adjudicators of the clip, the latest last. Annotators of the first group cannot adjudicate their own clip."""
    first_group = annotators_who_viewed(labels, clip)
    submissions = [lb for lb in labels if covers_clip(lb, clip, "adjudicated") and lb.annotator not in first_group]
    return [lb.annotator for lb in sorted(submissions, key=lambda lb: (last_changed_at(lb), lb.annotator))]


def _adjudicated_events(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, adjudicator: str) -> list[dict[str, Any]]:
    """The adjudicator's events as rows.

    "annotators" counts the adjudicator and those of the first group who marked the event too; "agreement" is their share of
    the first group.
    """
    viewers = first_group_annotators(clip, labels, vocabulary)
    first_group_events = _events_in_vocabulary(clip, labels, vocabulary)
    rows = []
    for event in _events_in_vocabulary(clip, labels, vocabulary, adjudicated=True):
        if event.label.annotator != adjudicator:
            continue
        agreeing = {
            other.label.annotator
            for other in first_group_events
            if other.label.value["label"] == event.label.value["label"] and temporal_iou(other.span, event.span) >= MIN_IOU
        }
        share = round(len(agreeing) / len(viewers), 4) if viewers else None
        support = {"annotators": 1 + len(agreeing), "agreement": share, "status": "adjudicated"}
        rows.append(_group_to_row(clip, [event], vocabulary) | support)
    return sorted(rows, key=lambda row: (row["start_frame"], row["end_frame"], row["label"]))


def proposed_events(clip: Clip, vocabulary: Nfbl) -> list[dict[str, Any]]:
    """The machine's proposals as rows with the status "proposed"."""
    support = {"annotators": 0, "agreement": None, "status": "proposed"}
    return [
        _span_to_row(clip, (p["start_frame"], p["end_frame"]), nfbl_class) | support
        for p in clip.facts.get("proposals") or ()
        if (nfbl_class := vocabulary.class_of_rule(p["rule"]))
    ]


def first_group_annotators(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> set[str]:
    """The annotators of the first group who viewed the whole clip or marked an event on it."""
    marked = {event.label.annotator for event in _events_in_vocabulary(clip, labels, vocabulary)}
    return annotators_who_viewed(labels, clip) | marked


def _events_in_vocabulary(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, adjudicated: bool = False) -> list[ClipEvent]:
    """The first group's events on the clip (or the adjudicators') whose class is in the vocabulary."""
    return [
        event for event in place_events(labels, clip)
        if bool(event.label.value.get("adjudicated")) == adjudicated and vocabulary.find(event.label.value["label"])
    ]  # fmt: skip


def _group_to_row(clip: Clip, group: Sequence[ClipEvent], vocabulary: Nfbl) -> dict[str, Any]:
    name = group[0].label.value["label"]
    nfbl_class = vocabulary.find(name)
    if nfbl_class is None:
        raise DatasetError(f"clip {clip.id}: {name!r} is not in vocabulary {vocabulary.versioned_name}")
    return _span_to_row(clip, median_span(group), nfbl_class) | {"truncated": any(event.truncated for event in group)}


def _span_to_row(clip: Clip, span: tuple[int, int], nfbl_class: NfblClass) -> dict[str, Any]:
    start, end = span
    return {
        "start_ms": frame_to_ms(start, clip.grid.fps),
        "end_ms": frame_to_ms(end, clip.grid.fps),
        "start_frame": start,
        "end_frame": end,
        "label": nfbl_class.name,
        "group": nfbl_class.group,
        "truncated": False,
    }


def median_span(group: Sequence[ClipEvent]) -> tuple[int, int]:
    """[start, end) in frames of the clip: the median of the starts, and of the ends."""
    start, end = (round_half_up(Fraction(median(edges))) for edges in zip(*(event.span for event in group), strict=True))
    return start, end


def majority_value(votes: Sequence[Label]) -> str | None:
    """The value that more than half of the annotators chose; None without votes or without a majority."""
    votes = last_votes(votes)
    ranked = Counter(str(v.value) for v in votes).most_common(1)
    return ranked[0][0] if ranked and 2 * ranked[0][1] > len(votes) else None


def last_votes(votes: Sequence[Label]) -> list[Label]:
    """The last vote of each annotator."""
    ordered = sorted(votes, key=lambda v: (last_changed_at(v), str(v.value)))
    return list({v.annotator: v for v in ordered}.values())
