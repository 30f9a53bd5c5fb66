"""What goes to adjudicators."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from deemo_data.agreement.views import MarkedEvent
from deemo_data.clip import Clip
from deemo_data.labels import consensus
from deemo_data.labels.label import ClipEvent, Label
from deemo_data.labels.placing import annotators_who_saw, latest
from deemo_data.labels.vocabulary import Nfbl

TOLERANCE_MS = 500  # edges of one event that lie further apart are a disagreement, whatever the overlap


@dataclass(frozen=True)
class AnnotatorVersion:
    """One person's events of a clip in dispute, under a letter that does not say who it is."""

    letter: str
    annotator: str
    events: tuple[MarkedEvent, ...]


@dataclass(frozen=True)
class Dispute:
    """A clip that its annotators disagree about. All in frames of the clip.

    agreed  what all of them marked: one class, IoU of at least a half, edges within TOLERANCE_MS; at the medians of the edges
    takes   what each of them says, in the order of their letters
    """

    clip: str
    agreed: tuple[MarkedEvent, ...]
    takes: tuple[AnnotatorVersion, ...]


def disputed(labels: Sequence[Label], clip: Clip, nfbl: Nfbl) -> Dispute | None:
    """What the first group says of a clip; None where fewer than two saw it, or they agree about everything."""
    said = latest([lb for lb in labels if lb.source == clip.source], clip)
    who = annotators_who_saw(said, clip)
    if len(who) < 2:
        return None
    heaps = consensus.group_events(clip, [lb for lb in said if lb.annotator in who], nfbl)
    agreed = [heap for heap in heaps if len(heap) == len(who) and _close(heap, clip)]
    if len(agreed) == len(heaps):
        return None
    takes = []
    for number, one in enumerate(sorted(who, key=lambda w: hashlib.sha256(f"{clip.id}:{w}".encode()).digest())):
        mine = sorted((p for heap in heaps for p in heap if p.label.annotator == one), key=lambda p: (p.start_frame, p.end_frame))
        takes.append(AnnotatorVersion(chr(ord("a") + number), one, tuple(_marked([p], nfbl) for p in mine)))
    whole = sorted((_marked(heap, nfbl) for heap in agreed), key=lambda e: (e.start, e.end, e.label))
    return Dispute(clip.id, tuple(whole), tuple(takes))


def _close(heap: Sequence[ClipEvent], clip: Clip) -> bool:
    frames = TOLERANCE_MS * clip.grid.fps / 1000
    return all(max(edges) - min(edges) <= frames for edges in zip(*((p.start_frame, p.end_frame) for p in heap), strict=True))


def _marked(heap: Sequence[ClipEvent], nfbl: Nfbl) -> MarkedEvent:
    start, end = consensus.span_of(heap)
    value = heap[0].label.value
    found = nfbl.find(value["label"])
    certainties = {p.label.value.get("certainty") for p in heap}
    return MarkedEvent(start, end, found.name if found else value["label"], certainties.pop() if len(certainties) == 1 else None)
