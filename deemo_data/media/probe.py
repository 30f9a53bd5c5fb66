"""Probes a source: its grid (frame rate, size, number of frames), whether it has sound, and its duration."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.clip import Facts, Grid, find_frame_rate, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media.container import SEEKABLE_FORMATS, decode_frames, find_video_stream, open_container, read_packets
from deemo_data.media.limits import MAX_FRAMES, check_frame_count, check_frame_times, check_picture_size

if TYPE_CHECKING:
    import av


def probe_video(path: Path, vfr_fps: int = 30) -> Facts:
    """The facts of a source: {"grid", "has_sound", "duration_ms"}.

    vfr_fps  frame rate of the grid when the source has no constant one
    Decodes the first frame to learn the upright size, then reads the time stamps of all frames: from the packets where the
    container can seek, otherwise by decoding. Raises MediaError with the true reason when there is no video that we can read.
    """
    times: list[Fraction] = []
    with open_container(path) as container:
        stream = find_video_stream(container, path)
        context = stream.codec_context
        check_picture_size(path.name, context.width, context.height)
        has_sound = bool(container.streams.audio)
        first = next((f for _, f in decode_frames(container, stream)), None)
        if first is None:
            raise MediaError(f"{path.name}: not one frame of the video can be decoded")
        width, height = _upright_size(first, stream.sample_aspect_ratio)
        check_picture_size(path.name, width, height)
        if container.format.name.startswith(SEEKABLE_FORMATS):
            container.seek(0)
            tick = stream.time_base or Fraction(1)
            stamps = (p.pts * tick for p in read_packets(container, stream) if p.pts is not None)
            times = sorted(islice(stamps, MAX_FRAMES + 1))
    if not times:
        with open_container(path) as container:
            times = [t for t, _ in islice(decode_frames(container, find_video_stream(container, path)), MAX_FRAMES + 1)]
    check_frame_times(path.name, times)
    zero, fps, vfr = times[0], *find_frame_rate(times, vfr_fps)
    frames = len(times) if not vfr else math.ceil((times[-1] - zero) * fps - Fraction(1, 2)) + 1
    check_frame_count(path.name, frames)
    grid = Grid(fps, vfr, zero, frames, width, height)
    return {"grid": grid.to_fact(), "has_sound": has_sound, "duration_ms": grid.ms_at(frames)}


def _upright_size(frame: av.VideoFrame, pixel: Fraction | None) -> tuple[int, int]:
    """Width and height of the picture upright, with square pixels, rounded down to even. `pixel`: width / height of a pixel."""
    width = round_half_up(frame.width * (pixel or Fraction(1)))
    size = (width, frame.height) if frame.rotation % 180 == 0 else (frame.height, width)
    return size[0] & ~1, size[1] & ~1
