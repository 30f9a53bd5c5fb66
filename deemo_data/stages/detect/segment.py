"""Segment: the spans of a source's clips, planned from speech and shots.

In:  pictures and sound of a whole source. Out: spans in ms. `plan_spans` is the plan itself, without any media.
It is not part of the per-clip order of stages: `deemo segment` runs it before there are clips.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from deemo_data.clip import Clip, Facts
from deemo_data.errors import ConfigError

Span = tuple[int, int]

SHOT_WIDTH_PX = 256  # width of the pictures in which shots are found
MIN_SHOT_S = 0.6  # cuts that follow each other faster are one cut (PySceneDetect's own default at 25 fps)


@dataclass(frozen=True)
class Segment:
    """Finds the spans of a source's clips, for sources whose CSV gives none. Also the [segment] table of deemo.toml.

    Speech turns are joined over short pauses, padded, cut at shots, and split evenly where they exceed the maximum length. A
    span that is too short grows within its shot. The time between turns is left out. If nobody speaks, or there is no sound,
    only the shots and the maximum length decide. A shot shorter than the minimum length is left out, but every source gives at
    least one clip.

    Makes spans.json: [[start_ms, end_ms], ...], on frame boundaries, ascending, without overlap. It takes one pass over the
    pictures (decoding is most of the cost) and one over the sound, and keeps neither in memory.
    """

    min_ms: int = 5_000
    max_ms: int = 20_000  # at least twice min_ms, so that an even split never makes a clip too short
    pause_ms: int = 700  # silence up to this long does not separate two turns
    pad_ms: int = 200  # room before and after speech
    shots: bool = True  # cut where the picture changes suddenly
    shot_threshold: float = 3.0  # a cut changes the picture this many times as much as the frames around it
    vad: str = "silero-vad-1a153a"

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound", "sound")
    makes: ClassVar[dict[str, str]] = {"spans": "spans.json"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.min_ms < 1 or self.max_ms < 2 * self.min_ms or min(self.pause_ms, self.pad_ms) < 0:
            values = f"min_ms = {self.min_ms}, max_ms = {self.max_ms}"
            raise ConfigError(
                f"[segment] {values}: max_ms must be at least twice min_ms, and no length negative",
                "Mend deemo.toml and run again",
            )

    def __call__(self, clip: Clip, out: Path) -> Facts:
        grid, fps = clip.grid, clip.grid.fps
        speech = find_speech_turns(clip, self.vad) if clip.facts["has_sound"] else []
        turns = [(grid.frame_at(s), grid.frame_at(e)) for s, e in speech]
        cuts = find_shot_cuts(clip, self.shot_threshold) if self.shots else []
        shortest = -int(-self.min_ms * fps // 1000)
        longest = max(
            2 * shortest - 1, int(self.max_ms * fps // 1000)
        )  # at low rates one frame more, so that halves are long enough
        pause, pad = grid.frame_at(self.pause_ms), grid.frame_at(self.pad_ms)
        spans = plan_spans(grid.frames, turns, cuts, min_frames=shortest, max_frames=longest, max_pause=pause, pad=pad)
        (out / "spans.json").write_text(json.dumps([[grid.ms_at(a), grid.ms_at(b)] for a, b in spans]))
        return {}


def find_speech_turns(clip: Clip, vad: str) -> list[Span]:
    """The spans with speech, in ms after the clip's first frame (Silero VAD)."""
    from deemo_data.media.sound import SoundBlocks
    from deemo_data.models.speech import silero

    return silero.detect_speech(SoundBlocks(clip, levelled=True), name=vad)


def find_shot_cuts(clip: Clip, threshold: float) -> list[int]:
    """The frames of the clip at which a new shot begins, ascending, without 0 (PySceneDetect's adaptive detector).

    The detector gets the frames of our own reader, so a cut is a frame of the grid for any time stamps in the file. The adaptive
    detector is used because the plain content detector takes the shaking of a hand-held camera for cuts.
    """
    from scenedetect import AdaptiveDetector, FrameTimecode

    from deemo_data.media.frames import read_frames

    grid = clip.grid
    width = min(SHOT_WIDTH_PX, grid.width)
    height = max(1, grid.height * width // grid.width)
    detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=max(1, round(MIN_SHOT_S * grid.fps)))
    rate: Any = Fraction(grid.fps)
    cuts = [cut for f in read_frames(clip) for cut in detector.process_frame(FrameTimecode(f.index, rate), f.bgr(width, height))]
    return sorted({cut.frame_num for cut in cuts} - {0})


def plan_spans(
    frames: int, turns: Sequence[Span], cuts: Sequence[int], *, min_frames: int, max_frames: int, max_pause: int, pad: int
) -> list[Span]:
    """Half-open spans of frames, ascending, without overlap, each `min_frames` to `max_frames` long and within one shot.

    frames     length of the source
    turns      spans of speech in frames; if empty, the whole source counts as speech
    cuts       frames at which shots begin
    max_pause  frames of silence up to which two turns are joined; pad: frames of room before and after speech

    Never empty: a source shorter than `min_frames` is one span, and a source with only short shots gives its longest shot.
    """
    if frames <= min_frames:
        return [(0, frames)]
    edges = [0, *sorted({c for c in cuts if 0 < c < frames}), frames]
    shots = list(pairwise(edges))
    speech = _join_turns(turns, frames, max_pause, pad) if turns else [(0, frames)]
    spans: list[Span] = []
    for first, last in shots:
        inside = [(max(a, first), min(b, last)) for a, b in speech if a < last and b > first]
        if last - first >= min_frames:
            spans += _lengthen_spans(inside, first, last, min_frames)
    spans = spans or [max(shots, key=lambda s: (s[1] - s[0], -s[0]))]
    return [part for span in spans for part in _split_evenly(span, max_frames)]


def _join_turns(turns: Sequence[Span], frames: int, max_pause: int, pad: int) -> list[Span]:
    """Join turns with a gap of at most `max_pause`, then pad each by `pad`, or by half the gap where that is less."""
    turns = sorted((max(0, a), min(b, frames)) for a, b in turns)
    joined: list[Span] = []
    for a, b in turns:
        if joined and a - joined[-1][1] <= max_pause:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    gaps = [2 * pad, *(a - b for (_, b), (a, _) in pairwise(joined)), 2 * pad]
    return [(max(0, a - min(pad, gaps[i] // 2)), min(frames, b + min(pad, gaps[i + 1] // 2))) for i, (a, b) in enumerate(joined)]


def _lengthen_spans(spans: list[Span], first: int, last: int, min_frames: int) -> list[Span]:
    """The spans within the shot [first, last), each lengthened to `min_frames`; the shot itself is at least that long.

    A short span grows into the free frames on both sides. Where these are too few, it is joined to its nearer neighbour.
    """
    spans = list(spans)
    i = 0
    while i < len(spans):
        a, b = spans[i]
        lack = min_frames - (b - a)
        if lack <= 0:
            i += 1
            continue
        left = a - (spans[i - 1][1] if i else first)
        right = (spans[i + 1][0] if i + 1 < len(spans) else last) - b
        if left + right >= lack:
            before = min(left, max(lack // 2, lack - right))
            spans[i] = (a - before, b + lack - before)
        elif i and (left <= right or i + 1 == len(spans)):
            spans[i - 1 : i + 1] = [(spans[i - 1][0], b)]
            i -= 1
        else:
            spans[i : i + 2] = [(a, spans[i + 1][1])]
    return spans


def _split_evenly(span: Span, max_frames: int) -> list[Span]:
    """The span in the fewest parts of equal length, each at most `max_frames` long."""
    a, b = span
    parts = max(1, -(-(b - a) // max_frames))
    at = [a + (b - a) * i // parts for i in range(parts + 1)]
    return list(pairwise(at))
