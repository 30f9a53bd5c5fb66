"""Reads the regions of an annotation: classes on a timeline, in frames, or on the sound, in seconds.

Out: events of the vocabulary and stretches of sound, in milliseconds on the clock of the source. Boxes, their classes, and
marks in a text are recognised: they are no events.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from deemo_data.annotation.reading import tally
from deemo_data.annotation.reading.shown import ShownVideo, is_number
from deemo_data.clip import round_half_up
from deemo_data.labels.vocabulary import Nfbl

CLASS_KEYS = {"timelinelabels": "timelinelabels", "labels": "labels"}  # type of a region -> key of its class names in `value`
BOX_TYPES = ("videorectangle",)  # a box that follows something through a video


@dataclass(frozen=True)
class Region:
    """What a region says.

    labels    (kind, value, start_ms, end_ms), one for each of its spans and classes, under their numbers in the region's key
    problems  what is wrong with it, without its place
    parts     how many spans and classes it has, readable or not
    reason    why nothing of it became a label; a reason of tally.py
    """

    labels: Mapping[int, tuple[str, Any, int, int]]
    problems: tuple[str, ...] = ()
    parts: int = 0
    reason: str = tally.MALFORMED


def find_other_results(results: Sequence[dict[str, Any]]) -> dict[int, str]:
    """{place in `results`: reason} of the results that are no events: boxes, their classes, marks in a text.

    A page with a timeline and boxes on one video writes each box a second time as a region of the timeline, with the same id and
    key frames, and without ranges.
    """
    boxes = {r.get("id") for r in results if r.get("type") in BOX_TYPES and r.get("id") is not None}
    reasons = {}
    for place, result in enumerate(results):
        kind, value = result.get("type"), result["value"]
        if kind in BOX_TYPES:
            reasons[place] = tally.BOX
        elif kind == "timelinelabels" and "ranges" not in value and (result.get("id") in boxes or "sequence" in value):
            reasons[place] = tally.PHANTOM
        elif kind == "labels" and "text" in value:
            reasons[place] = tally.TEXT_MARK
    return reasons


def read_region(result: Mapping[str, Any], certainty: Any, video: ShownVideo, vocabulary: Nfbl) -> Region:
    """The labels of a region, one for each of its spans and classes.

    certainty  how sure the annotator says to be; None when they did not say
    A class on the sound is an event when the vocabulary has it, and otherwise a stretch of sound.
    """
    value, kind = result["value"], result["type"]
    names = value.get(CLASS_KEYS[kind])
    problems: list[str] = []
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        problems.append("has no class")
        names = []
    spans = _seconds_to_span(value, video, problems) if kind == "labels" else _frames_to_spans(value, video, problems)
    ranges = value.get("ranges")
    parts = max(len(ranges) if isinstance(ranges, list) else 1, 1) * max(len(names), 1)
    labels: dict[int, tuple[str, Any, int, int]] = {}
    unknown = False
    number = 0
    for start, end in spans:
        for name in names:
            if known_class := vocabulary.find(name):
                labels[number] = ("nfbl", {"label": known_class.name, "certainty": certainty}, start, end)
            elif kind == "labels":
                labels[number] = ("sound", {"name": result["from_name"], "label": name}, start, end)
            else:
                unknown = True
                problems.append(f"{name!r} is not in vocabulary {vocabulary.versioned_name}")
                continue
            number += 1
    return Region(labels, tuple(problems), parts, tally.UNKNOWN_CLASS if unknown else tally.MALFORMED)


def _seconds_to_span(value: Mapping[str, Any], video: ShownVideo, problems: list[str]) -> list[tuple[int, int]]:
    """The span of a region of sound, which has seconds."""
    start, end = value.get("start"), value.get("end")
    length_s = (video.end_ms - video.start_ms) / 1000
    if not is_number(start) or not is_number(end) or not 0 <= start < end <= length_s + 0.1:
        problems.append(f"from {start} to {end} s in {length_s:.3f} s of sound")
        return []
    first, last = (video.start_ms + round_half_up(Fraction(t) * 1000) for t in (start, end))
    if first >= min(last, video.end_ms):
        problems.append(f"from {start} to {end} s in {length_s:.3f} s of sound")
        return []
    return [(first, min(last, video.end_ms))]


def _frames_to_spans(value: Mapping[str, Any], video: ShownVideo, problems: list[str]) -> Iterator[tuple[int, int]]:
    """The spans [start, end) of a region of a video in ms on the clock of the source. Its frames are 1-based, inclusive."""
    ranges = value.get("ranges")
    if not isinstance(ranges, list) or not ranges:
        problems.append("has no ranges")
        return
    for r in ranges:
        start, end = (r.get("start"), r.get("end")) if isinstance(r, dict) else (None, None)
        if not is_number(start) or not is_number(end) or start != int(start) or end != int(end):
            wrong = "is not in whole frames"
        elif start < 1:
            wrong = "begins before frame 1, the first"
        elif start > end:
            wrong = "ends before it starts"
        elif end > video.num_frames + 1:  # one frame of tolerance: a player may count a last frame that our grid does not have
            wrong = f"goes past frame {video.num_frames}, the last"
        else:
            first, last = video.ms_at(int(start) - 1), min(video.ms_at(int(end)), video.end_ms)
            if first < last:
                yield first, last
                continue
            wrong = f"goes past frame {video.num_frames}, the last"
        problems.append(f"{start}-{end} {wrong}")


def is_accepted(result: Mapping[str, Any], predicted: Collection[Mapping[str, Any]]) -> bool:
    """Whether a region is a proposal that was left as it was: one with the same id, spans and classes was shown."""
    return any(
        shown.get("id") == result.get("id")
        and shown.get("type") == result.get("type")
        and shown.get("value") == result.get("value")
        for shown in predicted
    )
