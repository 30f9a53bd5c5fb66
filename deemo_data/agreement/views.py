"""Who saw each clip and marked what: the events of each annotator side by side, and those of an adjudicator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from deemo_data.clip import Clip
from deemo_data.labels import consensus
from deemo_data.labels.label import Label
from deemo_data.labels.placing import annotators_who_viewed, drop_superseded, group_by_clip, place_events
from deemo_data.labels.vocabulary import Nfbl


@dataclass(frozen=True)
class MarkedEvent:
    """An event [start, end) in frames of the clip. `certainty` is "sure", "unsure", "guess", or None when it was not given."""

    start: int
    end: int
    label: str
    certainty: str | None = None


@dataclass(frozen=True)
class ClipView:
    """A clip, the annotators who saw all of it, and what they marked.

    events       annotator of the first group -> their events; an annotator without events says that nothing happens
    adjudicated  the events as the last adjudicator left them; None when nobody adjudicated the clip
    """

    clip: str
    subject: str
    frames: int
    fps: Fraction
    events: dict[str, tuple[MarkedEvent, ...]]
    adjudicated: tuple[MarkedEvent, ...] | None

    def ms(self, frames: float) -> float:
        """The duration of a number of frames, in milliseconds."""
        return frames * 1000 / float(self.fps)


def collect_views(labels: Sequence[Label], clips: Sequence[Clip], nfbl: Nfbl) -> list[ClipView]:
    """A view of every clip, ordered by source and time; also of clips that nobody saw."""
    near = group_by_clip(labels, clips)
    return [_view_clip(near[clip.id], clip, nfbl) for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms))]


def _view_clip(near: Sequence[Label], clip: Clip, nfbl: Nfbl) -> ClipView:
    labels = drop_superseded(near, clip)
    events: dict[str, list[MarkedEvent]] = {who: [] for who in sorted(annotators_who_viewed(labels, clip))}
    judge = next(reversed(consensus.find_adjudicators(clip, labels)), None)
    judged: list[MarkedEvent] = []
    if events or judge:
        for placed in place_events(labels, clip):
            value, who = placed.label.value, placed.label.annotator
            if known := nfbl.find(value["label"]):
                marked = MarkedEvent(placed.start_frame, placed.end_frame, known.name, value.get("certainty"))
                if value.get("adjudicated") and who == judge:
                    judged.append(marked)
                elif not value.get("adjudicated") and who in events:
                    events[who].append(marked)
    subject = str(clip.facts.get("subject") or clip.source)
    first = {who: tuple(them) for who, them in events.items()}
    return ClipView(clip.id, subject, clip.num_frames, clip.grid.fps, first, tuple(judged) if judge else None)
