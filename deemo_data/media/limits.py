"""Limits on what a media file may claim about itself: kinds of container, size of a picture, number of frames.

Footage comes from strangers. A few damaged or hostile bytes can claim a picture of a terabyte or a film of a thousand years,
and a playlist can name other files and addresses. Every module that opens media uses the options and checks of this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from deemo_data.errors import MediaError

MAX_PIXELS = 8192 * 8192
MAX_SIDE_PIXELS = 16_384  # the limit of H.264
MAX_FRAMES = 10_000_000  # 92 hours at 30 frames per second
MAX_STILL_S = 600  # between two frames; a longer gap is a damaged time stamp, and the grid would fill it with pictures
CONTAINER_FORMATS = (  # libavformat names, without formats that name other files or addresses (playlists, concat, dash, sdp)
    "3gp", "aac", "ac3", "aiff", "amr", "apng", "asf", "au", "avi", "caf", "dv", "flac", "flv", "gif", "gxf", "h264", "hevc",
    "ivf", "m4v", "matroska", "mov", "mp3", "mpeg", "mpegts", "mpegvideo", "mxf", "nut", "ogg", "rm", "swf", "w64", "wav",
    "wtv", "yuv4mpegpipe",
)  # fmt: skip
FORMAT_OPTIONS = {"format_whitelist": ",".join(CONTAINER_FORMATS)}  # for av.open, of any input
FILE_OPTIONS = FORMAT_OPTIONS | {"protocol_whitelist": "file"}  # for av.open, of a path
DECODER_OPTIONS = {"max_pixels": str(MAX_PIXELS)}  # for a decoder: a stream may change its size midway


def check_picture_size(name: str, width: int, height: int) -> None:
    """Raise MediaError if a picture (pixels) is too large to process, or too small to show a person."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PIXELS or min(width, height) < 16:
        raise MediaError(f"{name}: a picture of {width}x{height} cannot be used")


def check_frame_times(name: str, times: Sequence[Fraction]) -> None:
    """Raise MediaError if two successive frame times (seconds, ascending) are more than MAX_STILL_S apart."""
    if gap := next((b - a for a, b in pairwise(times) if b - a > MAX_STILL_S), None):
        what = f"{name}: no frame comes for {int(gap)} s, its time stamps are damaged or it holds several recordings"
        raise MediaError(what, "Cut it, or make it anew with ffmpeg")


def check_frame_count(name: str, frames: int) -> None:
    """Raise MediaError for more frames than any interview has. One late time stamp is enough to claim that many."""
    if frames > MAX_FRAMES:
        raise MediaError(f"{name}: it claims {frames} frames or more, over {MAX_FRAMES}", "Cut it, or make it anew with ffmpeg")
