"""The video that an annotator saw, on the clock of its source."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeGuard

from deemo_data.clip import round_half_up


@dataclass(frozen=True)
class ShownVideo:
    """The video that an annotator saw, on the clock of its source.

    Frame k begins at base_ms + 1000 * (first_frame + k) / fps milliseconds.

    clip, source   public ids
    start_ms       first millisecond of the video on the clock of the source
    end_ms         first millisecond after it
    base_ms        where frame 0 of the grid lies on the clock of the source
    first_frame    the video's frame 0 on the grid
    template       the labelling page; empty for footage that was labelled elsewhere
    fps_stated     whether the user stated the rate, in the match table
    """

    clip: str
    source: str
    start_ms: int
    end_ms: int
    base_ms: int
    first_frame: int
    num_frames: int
    fps: Fraction
    template: str = ""
    fps_stated: bool = False

    def ms_at(self, frame: int) -> int:
        """When frame `frame` of the video begins, in ms on the clock of the source."""
        return self.base_ms + round_half_up((self.first_frame + frame) * 1000 / self.fps)


def is_number(x: object) -> TypeGuard[float]:
    """Whether `x` is a finite JSON number; true and false are not numbers."""
    return isinstance(x, (int, float)) and not isinstance(x, bool) and x == x and abs(x) != float("inf")
