"""What a source is: grid, sound, duration."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.clip import Facts, Grid, frame_rate, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media.container import INDEXED, decode_frames, open_container, read_packets, video_stream
from deemo_data.media.limits import MOST_FRAMES, check_frames, check_picture, check_times

if TYPE_CHECKING:
    import av


def probe_video(path: Path, vfr_fps: int = 30) -> Facts:
    """What a source is, before any of it is used: {"grid", "has_sound", "duration_ms"}.

    Raises MediaError with the true reason for a file that holds no video we can read.
    """
    times: list[Fraction] = []
    with open_container(path) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        check_picture(path.name, context.width, context.height)
        has_sound = bool(container.streams.audio)
        first = next((f for _, f in decode_frames(container, stream)), None)
        if first is None:
            raise MediaError(f"{path.name}: not one frame of the video can be decoded")
        width, height = _upright(first, stream.sample_aspect_ratio)
        check_picture(path.name, width, height)
        if container.format.name.startswith(INDEXED):
            container.seek(0)
            tick = stream.time_base or Fraction(1)
            shown = (p.pts * tick for p in read_packets(container, stream) if p.pts is not None)
            times = sorted(islice(shown, MOST_FRAMES + 1))
    if not times:
        with open_container(path) as container:
            times = [t for t, _ in islice(decode_frames(container, video_stream(container, path)), MOST_FRAMES + 1)]
    check_times(path.name, times)
    zero, fps, vfr = times[0], *frame_rate(times, vfr_fps)
    frames = len(times) if not vfr else math.ceil((times[-1] - zero) * fps - Fraction(1, 2)) + 1
    check_frames(path.name, frames)
    grid = Grid(fps, vfr, zero, frames, width, height)
    return {"grid": grid.to_fact(), "has_sound": has_sound, "duration_ms": grid.ms_at(frames)}


def _upright(frame: av.VideoFrame, pixel: Fraction | None) -> tuple[int, int]:
    """Width and height of the picture as it should be seen: pixels (`pixel` wide, 1 high) square, upright, even."""
    width = round_half_up(frame.width * (pixel or Fraction(1)))
    size = (width, frame.height) if frame.rotation % 180 == 0 else (frame.height, width)
    return size[0] & ~1, size[1] & ~1
