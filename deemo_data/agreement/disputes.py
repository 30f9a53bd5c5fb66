"""Finds the clips that go to adjudicators: those whose annotators disagree."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from deemo_data.agreement.views import MarkedEvent
from deemo_data.clip import Clip
from deemo_data.labels import consensus
from deemo_data.labels.label import ClipEvent, Label
from deemo_data.labels.placing import annotators_who_viewed, drop_superseded
from deemo_data.labels.vocabulary import Nfbl

TOLERANCE_MS = 500  # edges of one event that lie further apart are a disagreement, however large the overlap


@dataclass(frozen=True)
class AnnotatorVersion:
    """One annotator's events of a disputed clip, under a letter that hides who it is."""

    letter: str
    annotator: str
    events: tuple[MarkedEvent, ...]


@dataclass(frozen=True)
class Dispute:
    """A clip whose annotators disagree. All times are frames of the clip.

    agreed_events  marked by all of them: one class, tIoU of at least 1/2, edges within TOLERANCE_MS; edges at the medians
    versions       the events of each annotator, in the order of their letters
    """

    clip: str
    agreed_events: tuple[MarkedEvent, ...]
    versions: tuple[AnnotatorVersion, ...]


def find_dispute(labels: Sequence[Label], clip: Clip, nfbl: Nfbl) -> Dispute | None:
    """The dispute about a clip; None when fewer than two annotators saw it, or when they agree about everything."""
    clip_labels = drop_superseded([lb for lb in labels if lb.source == clip.source], clip)
    annotators = annotators_who_viewed(clip_labels, clip)
    if len(annotators) < 2:
        return None
    groups = consensus.group_events(clip, [lb for lb in clip_labels if lb.annotator in annotators], nfbl)
    agreed_groups = [group for group in groups if len(group) == len(annotators) and _has_close_edges(group, clip)]
    if len(agreed_groups) == len(groups):
        return None
    versions = []
    for number, annotator in enumerate(sorted(annotators, key=lambda w: hashlib.sha256(f"{clip.id}:{w}".encode()).digest())):
        mine = sorted(
            (p for group in groups for p in group if p.label.annotator == annotator), key=lambda p: (p.start_frame, p.end_frame)
        )
        versions.append(AnnotatorVersion(chr(ord("a") + number), annotator, tuple(_merge_events([p], nfbl) for p in mine)))
    agreed_events = sorted((_merge_events(group, nfbl) for group in agreed_groups), key=lambda e: (e.start, e.end, e.label))
    return Dispute(clip.id, tuple(agreed_events), tuple(versions))


def count_disputes(
    labels_of: Mapping[str, Sequence[Label]], clips: Sequence[Clip], nfbl: Nfbl, sent: Container[str]
) -> dict[str, int]:
    """How many clips are in dispute, by what they wait for: "open", "sent" to adjudicators, or "settled" by one.

    labels_of  {clip: the labels that touch it}
    sent       clips that were pushed to adjudicators
    """
    counts = {"open": 0, "sent": 0, "settled": 0}
    for clip in clips:
        labels = labels_of[clip.id]
        if consensus.find_adjudicators(clip, labels):
            counts["settled"] += 1
        elif find_dispute(labels, clip, nfbl):
            counts["sent" if clip.id in sent else "open"] += 1
    return counts


def _has_close_edges(group: Sequence[ClipEvent], clip: Clip) -> bool:
    frames = TOLERANCE_MS * clip.grid.fps / 1000
    return all(max(edges) - min(edges) <= frames for edges in zip(*((p.start_frame, p.end_frame) for p in group), strict=True))


def _merge_events(group: Sequence[ClipEvent], nfbl: Nfbl) -> MarkedEvent:
    start, end = consensus.median_span(group)
    value = group[0].label.value
    found = nfbl.find(value["label"])
    certainties = {p.label.value.get("certainty") for p in group}
    return MarkedEvent(start, end, found.name if found else value["label"], certainties.pop() if len(certainties) == 1 else None)
