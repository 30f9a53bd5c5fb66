"""What a media file may claim before it is believed: kinds of file, size of a picture, number of frames."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from deemo_data.errors import MediaError

MOST_PIXELS = 8192 * 8192
LONGEST_SIDE = 16_384  # what H.264 can hold
MOST_FRAMES = 10_000_000  # 92 hours at 30 frames a second
LONGEST_STILL = 600  # seconds in which no new frame comes: more is a damaged time stamp, and a grid would fill it with pictures
KINDS = (  # as libavformat calls them; none that names other files or addresses (playlists, concat, dash, sdp)
    "3gp", "aac", "ac3", "aiff", "amr", "apng", "asf", "au", "avi", "caf", "dv", "flac", "flv", "gif", "gxf", "h264", "hevc",
    "ivf", "m4v", "matroska", "mov", "mp3", "mpeg", "mpegts", "mpegvideo", "mxf", "nut", "ogg", "rm", "swf", "w64", "wav",
    "wtv", "yuv4mpegpipe",
)  # fmt: skip
ITS_KIND = {"format_whitelist": ",".join(KINDS)}  # options of av.open
ONLY_ITSELF = ITS_KIND | {"protocol_whitelist": "file"}  # for a path
BIGGEST_PICTURE = {"max_pixels": str(MOST_PIXELS)}  # options of a decoder: a stream may change its size on the way


def check_picture(name: str, width: int, height: int) -> None:
    """Raises MediaError for a picture that is too large to be looked at, or too small to show anybody."""
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE or min(width, height) < 16:
        raise MediaError(f"{name}: a picture of {width}x{height} cannot be used")


def check_times(name: str, times: Sequence[Fraction]) -> None:
    """Raises MediaError for frames, shown at `times` (seconds, ascending), between which too long a time is said to pass."""
    if gap := next((b - a for a, b in pairwise(times) if b - a > LONGEST_STILL), None):
        what = f"{name}: no frame comes for {int(gap)} s, its time stamps are damaged or it holds several recordings"
        raise MediaError(what, "Cut it, or make it anew with ffmpeg")


def check_frames(name: str, frames: int) -> None:
    """Raises MediaError for more frames than any interview has: one late time stamp is enough to claim them."""
    if frames > MOST_FRAMES:
        raise MediaError(f"{name}: it claims {frames} frames or more, over {MOST_FRAMES}", "Cut it, or make it anew with ffmpeg")
