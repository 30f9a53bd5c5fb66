"""Segment: spans of speech cut at shots."""

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

LOOK_AT = 256  # width, in pixels, of the pictures that shots are found in
SHORTEST_SHOT = 0.6  # seconds; cuts that follow each other faster are one (PySceneDetect's own default at 25 fps)


@dataclass(frozen=True)
class Segment:
    """Finds the spans of a source's clips, for sources whose CSV gives none. Also the [segment] table of deemo.toml.

    Speech turns are joined over short pauses, given some room, cut at shots and, evenly, at the longest length. A
    stretch that is too short takes in what is around it, as far as its shot goes. What lies between turns is left
    out, unless nobody speaks at all or there is no sound: then shots and the longest length alone decide. A shot
    shorter than the shortest clip is left out, except that every source gives at least one clip.

    Makes spans.json: [[start_ms, end_ms], ...], on frame boundaries, ascending, apart. One pass over the pictures
    (decoding is what it costs) and one over the sound; neither is held.
    """

    min_ms: int = 5_000
    max_ms: int = 20_000  # at least twice min_ms, so that an even cut never makes too short a clip
    pause_ms: int = 700  # silence up to this long does not part two turns
    pad_ms: int = 200  # room before and after speech
    shots: bool = True  # cut where the picture changes at once
    shot_threshold: float = 3.0  # a cut changes the picture this many times as much as the frames around it do
    vad: str = "silero-vad-1a153a"

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound")
    makes: ClassVar[dict[str, str]] = {"spans": "spans.json"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.min_ms < 1 or self.max_ms < 2 * self.min_ms or min(self.pause_ms, self.pad_ms) < 0:
            said = f"min_ms = {self.min_ms}, max_ms = {self.max_ms}"
            raise ConfigError(
                f"[segment] {said}: max_ms must be at least twice min_ms, and no length negative", "Mend deemo.toml and run again"
            )

    def __call__(self, clip: Clip, out: Path) -> Facts:
        grid, fps = clip.grid, clip.grid.fps
        turns = [(grid.frame_at(s), grid.frame_at(e)) for s, e in speech_turns(clip, self.vad)] if clip.facts["has_sound"] else []
        cuts = shot_cuts(clip, self.shot_threshold) if self.shots else []
        least = -int(-self.min_ms * fps // 1000)
        most = max(2 * least - 1, int(self.max_ms * fps // 1000))  # at low rates a frame too much, so that halves are long enough
        pause, pad = grid.frame_at(self.pause_ms), grid.frame_at(self.pad_ms)
        found = plan_spans(grid.frames, turns, cuts, least=least, most=most, pause=pause, pad=pad)
        (out / "spans.json").write_text(json.dumps([[grid.ms_at(a), grid.ms_at(b)] for a, b in found]))
        return {}


def speech_turns(clip: Clip, vad: str) -> list[Span]:
    """Where somebody speaks, in ms after the clip's first frame (Silero VAD)."""
    from deemo_data.media.sound import Sound
    from deemo_data.models.speech import silero

    return silero.speech(Sound(clip), name=vad)


def shot_cuts(clip: Clip, threshold: float) -> list[int]:
    """The frames of the clip at which another shot begins, ascending, without 0 (PySceneDetect's adaptive detector).

    It looks at our own frames, so that a cut is a frame of the grid whatever the file's time stamps are. The plain
    content detector takes the shaking of a hand-held camera for cuts.
    """
    from scenedetect import AdaptiveDetector, FrameTimecode

    from deemo_data.media.frames import read_frames

    grid = clip.grid
    width = min(LOOK_AT, grid.width)
    height = max(1, grid.height * width // grid.width)
    detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=max(1, round(SHORTEST_SHOT * grid.fps)))
    rate: Any = Fraction(grid.fps)
    found = [cut for f in read_frames(clip) for cut in detector.process_frame(FrameTimecode(f.index, rate), f.bgr(width, height))]
    return sorted({cut.frame_num for cut in found} - {0})


def plan_spans(
    frames: int, turns: Sequence[Span], cuts: Sequence[int], *, least: int, most: int, pause: int, pad: int
) -> list[Span]:
    """Half-open spans of frames, ascending and apart, each `least` to `most` long and within one shot.

    `turns` are stretches of speech in frames (none: all of it counts), `cuts` the frames at which shots begin.
    Never empty: a source shorter than `least` is one span, and one of nothing but short shots gives its longest.
    """
    if frames <= least:
        return [(0, frames)]
    edges = [0, *sorted({c for c in cuts if 0 < c < frames}), frames]
    shots = list(pairwise(edges))
    stretches = _joined(turns, frames, pause, pad) if turns else [(0, frames)]
    found: list[Span] = []
    for first, last in shots:
        inside = [(max(a, first), min(b, last)) for a, b in stretches if a < last and b > first]
        if last - first >= least:
            found += _lengthened(inside, first, last, least)
    found = found or [max(shots, key=lambda s: (s[1] - s[0], -s[0]))]
    return [part for span in found for part in _evenly(span, most)]


def _joined(turns: Sequence[Span], frames: int, pause: int, pad: int) -> list[Span]:
    """Turns with no more than `pause` between them are one; each is given `pad`, at most half of what is between two."""
    turns = sorted((max(0, a), min(b, frames)) for a, b in turns)
    joined: list[Span] = []
    for a, b in turns:
        if joined and a - joined[-1][1] <= pause:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    befores = [a - b for (_, b), (a, _) in pairwise(joined)]
    room = [2 * pad, *befores, 2 * pad]
    return [(max(0, a - min(pad, room[i] // 2)), min(frames, b + min(pad, room[i + 1] // 2))) for i, (a, b) in enumerate(joined)]


def _lengthened(spans: list[Span], first: int, last: int, least: int) -> list[Span]:
    """Spans within the shot [first, last), which is at least `least` long, made at least `least` long each.

    A short one grows on both sides into what is free; when that is not enough it is joined to its nearer neighbour.
    """
    spans = list(spans)
    i = 0
    while i < len(spans):
        a, b = spans[i]
        lack = least - (b - a)
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


def _evenly(span: Span, most: int) -> list[Span]:
    a, b = span
    parts = max(1, -(-(b - a) // most))
    at = [a + (b - a) * i // parts for i in range(parts + 1)]
    return list(pairwise(at))
