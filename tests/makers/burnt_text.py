"""Makers that tests of several packages share; taken from stages/detect/test_find_text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.media import encode, frames, probe

NAME = "Dr. Johanna Falkenberg"
Place = Callable[[float, tuple[int, int]], tuple[float, float, float]]  # time, size of the banner -> left, bottom, strength


def clip_of(path: Path, end_ms: int = 0) -> Clip:
    fact = probe.probe_video(path)["grid"]
    grid = Grid.of(fact)
    return Clip("a", "a", 0, end_ms or grid.ms_at(grid.frames), {"source": File(str(path), "")}, {"grid": fact})


def banner(scale: float) -> np.ndarray:
    """White on blue, blue first, as a lower third has it."""
    (width, height), below = cv2.getTextSize(NAME, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
    pad = height // 2
    tile = np.full((height + below + 2 * pad, width + 2 * pad, 3), (160, 60, 20), np.uint8)
    cv2.putText(tile, NAME, (pad, pad + height), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 2, cv2.LINE_AA)
    return tile


def burnt(clip: Clip, place: Place, out: Path, scale: float = 0.8) -> Clip:
    """The clip with the banner, its left and bottom edge where `place` says, as a file of its own."""
    tile, grid = banner(scale), clip.grid

    def pictures():
        for frame in frames.read_frames(clip):
            bgr = frame.bgr().copy()
            left, bottom, strength = place(frame.index / float(grid.fps), (tile.shape[1], tile.shape[0]))
            x, y = round(left), grid.height - round(bottom) - tile.shape[0]
            x0, x1 = max(x, 0), min(x + tile.shape[1], grid.width)
            if x1 > x0 and strength > 0:
                part = bgr[y : y + tile.shape[0], x0:x1]
                part[:] = np.rint(part * (1 - strength) + tile[:, x0 - x : x1 - x] * strength)
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)

    encode.write_video(out, pictures(), grid, 18, "veryfast")
    return clip_of(out)


def fades(begin: float, end: float, over: float = 0.4) -> Place:
    return lambda t, size: (30, 30, float(np.clip(min((t - begin) / over, (end - t) / over), 0, 1)))
