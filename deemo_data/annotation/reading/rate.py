"""Finds the rate at which a Label Studio page counted the frames of a video, from what its results say.

A page whose `Video` tag names no frameRate counts 24 frames a second, whatever the footage has. Results of newer versions hold
how many frames the page counted in how many seconds, and key frames hold a frame with its time. That is the rate of the frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from deemo_data.annotation.reading.shown import ShownVideo, is_number
from deemo_data.annotation.reading.state import Reading
from deemo_data.clip import STANDARD_RATES, round_half_up
from deemo_data.errors import LabelError

DEFAULT_RATE = Fraction(24)  # of a page that names no frameRate
MAX_LENGTH_DIFFERENCE = Fraction(2, 100)  # of the length of the video: a container lasts as long as its longest stream
MAX_RATE_DIFFERENCE = 1e-3  # of a rate: 29.97 is 30000/1001
MIN_LENGTH_DIFFERENCE_S = Fraction(1, 2)
RATE_ADVICE = "State the rate that the page counted in the column fps of the match table"
SOURCE_ADVICE = "Name the right source, or its start_ms and end_ms, in the match table"


@dataclass(frozen=True)
class CountedFrames:
    """A page counted `frames` frames in `seconds` seconds.

    is_whole  this is the whole video; otherwise a key frame in it
    """

    frames: int
    seconds: Fraction
    is_whole: bool

    def fits(self, rate: Fraction) -> bool:
        """Whether a page that counts `rate` frames a second may have counted so. It rounds to a frame, up or to the nearest."""
        difference = self.frames - rate * self.seconds
        slack = Fraction(1, 20) + self.seconds * rate / 2000  # the seconds are rounded too
        return -Fraction(1, 2) - slack <= difference <= 1 + slack

    def __str__(self) -> str:
        return f"{self.frames} frames in {float(self.seconds):.6g} s"


def settle_rate(task: Mapping[str, Any], annotation: Mapping[str, Any], video: ShownVideo) -> ShownVideo:
    """The video with the rate at which the page of an annotation counted frames; `video` itself when nothing says another one.

    The annotation's own results count, or those of the other annotations of the task where it has none that say it.
    Raises LabelError when they contradict each other, the stated rate or the length of the footage.
    """
    counted = find_counted_frames({"annotations": [annotation]}) or find_counted_frames(task)
    if not counted:
        return video
    length = Fraction(video.end_ms - video.start_ms, 1000)
    for whole in (c for c in counted if c.is_whole):
        if abs(whole.seconds - length) > max(MIN_LENGTH_DIFFERENCE_S, MAX_LENGTH_DIFFERENCE * length):
            raise LabelError(f"it counts {whole}, and its footage lasts {float(length):.6g} s", SOURCE_ADVICE)
    if all(c.fits(video.fps) for c in counted):
        return video
    clearest = counted[-1]
    if video.fps_stated:
        raise LabelError(f"it counts {clearest}, and the match table says {float(video.fps):.6g} a second", RATE_ADVICE)
    rate = _nearest_rate(clearest)
    if others := [str(c) for c in counted if not c.fits(rate)]:
        raise LabelError(f"it counts {clearest}, and elsewhere {others[0]}", RATE_ADVICE)
    frames = clearest.frames if clearest.is_whole else round_half_up(length * rate)
    return replace(video, base_ms=video.ms_at(0), first_frame=0, fps=rate, num_frames=frames)


def settle_rate_of_page(task: dict[str, Any], annotation: dict[str, Any], video: ShownVideo, reading: Reading) -> ShownVideo:
    """The video at the rate of the annotation's page. A rate that is taken from the file, or guessed, becomes a remark."""
    if not _has_frames(annotation):
        return video
    at_rate, fps = settle_rate(task, annotation, video), float(video.fps)
    if at_rate is not video:
        reading.tally.remark(
            f"annotations that count frames at {float(at_rate.fps):.6g} a second, as their file says, where the footage has "
            f"{fps:.6g}: {{n}}"
        )
        return at_rate
    if video.template or video.fps_stated or find_counted_frames(task):
        return video
    shown_fps = task["data"].get("fps") if isinstance(task.get("data"), dict) else None
    if is_number(shown_fps) and abs(shown_fps - fps) > MAX_RATE_DIFFERENCE * fps:
        raise LabelError(f"its data says {shown_fps:.6g} frames a second, and the footage has {fps:.6g}", RATE_ADVICE)
    if reading.other_rate not in (None, video.fps):
        others = f"others of this file count {float(reading.other_rate or 0):.6g} a second, which is not the footage's rate"
        raise LabelError(f"it does not say at which rate it counts frames, and {others}", RATE_ADVICE)
    if video.fps != DEFAULT_RATE and not is_number(shown_fps):
        reading.tally.remark(
            f"annotations that do not say at which rate they count frames, taken as the footage's {fps:.6g} (a page without "
            "frameRate counts 24: the column fps of the match table can say so): {n}"
        )
    return video


def _has_frames(annotation: dict[str, Any]) -> bool:
    """Whether an annotation has regions in frames."""
    return any(
        isinstance(r, dict) and r.get("type") == "timelinelabels" and isinstance(r.get("value"), dict) and "ranges" in r["value"]
        for r in annotation["result"]
    )


def find_other_rate(task: Mapping[str, Any], video: ShownVideo) -> Fraction | None:
    """The rate at which the pages of a task counted frames, if it is not the footage's and clear; else None."""
    annotations = task.get("annotations")
    for annotation in annotations if isinstance(annotations, list) else ():
        try:
            at_rate = settle_rate(task, annotation, video) if isinstance(annotation, dict) else video
        except LabelError:
            continue
        if at_rate is not video:
            return at_rate.fps
    return None


def find_counted_frames(task: Mapping[str, Any]) -> list[CountedFrames]:
    """What the results of a task say about frames and seconds, the longest last; key frames only where nothing else says it."""
    counted = set(_all_counted_frames(task))
    return sorted(
        (c for c in counted if c.is_whole or not any(other.is_whole for other in counted)), key=lambda c: (c.seconds, c.frames)
    )


def _all_counted_frames(task: Mapping[str, Any]) -> Iterator[CountedFrames]:
    data, annotations = task.get("data"), task.get("annotations")
    if isinstance(data, dict):
        yield from _whole_video(data)
    for annotation in annotations if isinstance(annotations, list) else ():
        results = annotation.get("result") if isinstance(annotation, dict) else None
        for result in results if isinstance(results, list) else ():
            if not isinstance(result, dict):
                continue
            value = result.get("value")
            yield from _whole_video(result)
            if isinstance(value, dict):
                yield from _whole_video(value)
                yield from _last_key_frame(value.get("sequence"))


def _whole_video(value: Mapping[str, Any]) -> Iterator[CountedFrames]:
    frames, seconds = value.get("framesCount"), value.get("duration")
    if is_number(frames) and is_number(seconds) and frames >= 1 and frames == int(frames) and seconds > 0:
        yield CountedFrames(int(frames), Fraction(seconds), True)


def _last_key_frame(sequence: object) -> Iterator[CountedFrames]:
    """The last key frame of a box: its `frame` is counted from 1, and its `time` is frame / rate."""
    frames = [k for k in sequence if isinstance(k, dict)] if isinstance(sequence, list) else []
    timed = [(k["frame"], k["time"]) for k in frames if is_number(k.get("frame")) and is_number(k.get("time"))]
    frame, seconds = max(timed, default=(0, 0))
    if frame >= 1 and seconds > 0 and frame == int(frame):
        yield CountedFrames(int(frame), Fraction(seconds), False)


def _nearest_rate(counted: CountedFrames) -> Fraction:
    """The rate of a page that counted so: what pages count by themselves, else the nearest usual rate, else the quotient."""
    exact = counted.frames / counted.seconds
    usual = [rate for rate in (DEFAULT_RATE, *STANDARD_RATES) if counted.fits(rate)]
    if DEFAULT_RATE in usual:
        return DEFAULT_RATE
    return min(usual, key=lambda rate: abs(rate - exact), default=exact)
