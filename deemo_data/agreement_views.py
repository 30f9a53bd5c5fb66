"""What each person says of each clip, side by side: who saw it, the events each marked, and what an adjudicator left."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from deemo_data import rows
from deemo_data.clip import Clip
from deemo_data.labels import Label, covers, events_of, watchers
from deemo_data.vocabulary import Nfbl


@dataclass(frozen=True)
class Marked:
    """An event, [start, end) in frames of the clip. certainty: "sure", "unsure", "guess", or None when nobody said."""

    start: int
    end: int
    label: str
    certainty: str | None = None


@dataclass(frozen=True)
class Seen:
    """A clip and who saw all of it.

    events       annotator of the first group -> their events; none: they say that nothing happens
    adjudicated  the events as the last adjudicator left them; None when nobody adjudicated it
    """

    clip: str
    subject: str
    frames: int
    fps: Fraction
    events: dict[str, tuple[Marked, ...]]
    adjudicated: tuple[Marked, ...] | None

    def ms(self, frames: float) -> float:
        return frames * 1000 / float(self.fps)


def look(labels: Sequence[Label], clips: Sequence[Clip], nfbl: Nfbl) -> list[Seen]:
    """The clips in the order of their sources and time, those that nobody saw too."""
    near = by_clip(labels, clips)
    return [_seen(near[clip.id], clip, nfbl) for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms))]


def by_clip(labels: Sequence[Label], clips: Sequence[Clip]) -> dict[str, list[Label]]:
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
        if label.kind == "seen" and covers(label, clip, label.value):
            handed.setdefault((label.annotator, label.value), set()).add(_annotation(label))
    old = {(who, about, one) for (who, about), them in handed.items() for one in them - {max(them)}}
    return [lb for lb in labels if (lb.annotator, _about(lb), _annotation(lb)) not in old]


def _annotation(label: Label) -> tuple[str, str]:
    """(when it was changed last, which it is)"""
    said = label.raw.get("annotation", {})
    return str(said.get("updated_at") or ""), str(said.get("unique_id") or said.get("id") or "")


def _about(label: Label) -> str | None:
    if label.kind == "nfbl":
        return "adjudicated" if label.value.get("adjudicated") else "nfbl"
    return label.value if label.kind == "seen" else None


def _seen(near: Sequence[Label], clip: Clip, nfbl: Nfbl) -> Seen:
    said = latest(near, clip)
    events: dict[str, list[Marked]] = {who: [] for who in sorted(watchers(said, clip))}
    judge = next(reversed(rows.adjudicators(clip, said)), None)
    judged: list[Marked] = []
    if events or judge:
        for placed in events_of(said, clip):
            value, who = placed.label.value, placed.label.annotator
            if known := nfbl.find(value["label"]):
                marked = Marked(placed.start_frame, placed.end_frame, known.name, value.get("certainty"))
                if value.get("adjudicated") and who == judge:
                    judged.append(marked)
                elif not value.get("adjudicated") and who in events:
                    events[who].append(marked)
    subject = str(clip.facts.get("subject") or clip.source)
    first = {who: tuple(them) for who, them in events.items()}
    return Seen(clip.id, subject, clip.num_frames, clip.grid.fps, first, tuple(judged) if judge else None)
