"""What each person says of each clip, side by side: who saw it, the events each marked, and what an adjudicator left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from deemo_data.clip import Clip
from deemo_data.labels import consensus
from deemo_data.labels.label import Label
from deemo_data.labels.placing import annotators_who_saw, by_clip, events_of, latest
from deemo_data.labels.vocabulary import Nfbl


@dataclass(frozen=True)
class MarkedEvent:
    """An event, [start, end) in frames of the clip. certainty: "sure", "unsure", "guess", or None when nobody said."""

    start: int
    end: int
    label: str
    certainty: str | None = None


@dataclass(frozen=True)
class ClipView:
    """A clip and who saw all of it.

    events       annotator of the first group -> their events; none: they say that nothing happens
    adjudicated  the events as the last adjudicator left them; None when nobody adjudicated it
    """

    clip: str
    subject: str
    frames: int
    fps: Fraction
    events: dict[str, tuple[MarkedEvent, ...]]
    adjudicated: tuple[MarkedEvent, ...] | None

    def ms(self, frames: float) -> float:
        return frames * 1000 / float(self.fps)


def collect_views(labels: Sequence[Label], clips: Sequence[Clip], nfbl: Nfbl) -> list[ClipView]:
    """The clips in the order of their sources and time, those that nobody saw too."""
    near = by_clip(labels, clips)
    return [_seen(near[clip.id], clip, nfbl) for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms))]


def _seen(near: Sequence[Label], clip: Clip, nfbl: Nfbl) -> ClipView:
    said = latest(near, clip)
    events: dict[str, list[MarkedEvent]] = {who: [] for who in sorted(annotators_who_saw(said, clip))}
    judge = next(reversed(consensus.adjudicators(clip, said)), None)
    judged: list[MarkedEvent] = []
    if events or judge:
        for placed in events_of(said, clip):
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
