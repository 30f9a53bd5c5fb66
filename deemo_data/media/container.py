"""Opens media files with PyAV and reads their packets and decoded frames, from damaged files too.

All other modules of this folder stand on this one: probe (what is in a file), frames, sound, then encode (writing).
Every function turns FFmpeg's errors into MediaError with the name of the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.errors import MediaError
from deemo_data.media.limits import DECODER_OPTIONS, FILE_OPTIONS

if TYPE_CHECKING:
    import av

SEEKABLE_FORMATS = ("mov,mp4", "matroska")  # containers in which a seek lands where it should


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file for reading. Raises MediaError when it is missing, empty, or not a media file of an allowed format."""
    import av

    try:
        if path.stat().st_size == 0:
            raise MediaError(f"{path.name} is empty (0 bytes)")
        return av.open(str(path), options=FILE_OPTIONS, metadata_errors="replace")
    except FileNotFoundError as e:
        raise MediaError(f"{path} is not there") from e
    except av.error.FFmpegError as e:
        raise MediaError(f"{path.name} cannot be read as video or sound: {e.strerror}") from e


def find_video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first video stream that is not cover art, ready to decode. Raises MediaError without one, or for an unknown codec."""
    pictures = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not pictures:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise MediaError(f"{path.name} has no video stream (it has {kinds})")
    stream = pictures[0]
    if stream.codec_context is None:
        raise MediaError(f"{path.name}: its video codec is not known here")
    stream.thread_type = "AUTO"
    stream.codec_context.options = DECODER_OPTIONS
    return stream


def read_packets(container: av.container.InputContainer, stream: Any) -> Iterator[av.Packet]:
    """The packets of a stream that hold data and are meant to be shown. Raises MediaError where the file is damaged."""
    import av

    try:
        yield from (p for p in demux_packets(container, stream) if p.size and not p.is_discard)
    except av.error.FFmpegError as e:
        raise MediaError(f"{Path(container.name).name} is damaged: {e.strerror}") from e


def demux_packets(container: av.container.InputContainer, stream: Any) -> Iterator[av.Packet]:
    """The packets of a stream. PyAV raises IndexError at the end of a file in which a stream appears late: that is ignored."""
    with suppress(IndexError):
        yield from container.demux(stream)


def decode_frames(container: av.container.InputContainer, stream: Any) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """(time in seconds on the file's own clock, frame), in ascending order of time.

    A frame without a time stamp follows the one before at the average frame rate. A frame that is not later than the one
    before is dropped. Up to 25 broken packets are skipped.
    """
    last: Fraction | None = None
    step = 1 / (stream.average_rate or Fraction(25))
    for frame in decode_packets(container, stream, max_broken=25):
        guess = Fraction(0) if last is None else last + step
        time = guess if frame.pts is None else frame.pts * frame.time_base
        if last is None or time > last:
            last = time
            yield time, frame


def decode_packets(container: av.container.InputContainer, stream: Any, max_broken: int) -> Iterator[Any]:
    """The decoded frames of a stream. Skips up to `max_broken` broken packets, then raises MediaError."""
    import av

    broken = 0
    packets = demux_packets(container, stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = packet.decode()
        except av.error.FFmpegError as e:
            broken += 1
            if broken > max_broken:
                raise MediaError(f"{Path(container.name).name}: its {stream.type} is damaged: {e.strerror}") from e
            continue
        yield from decoded


def seek_before(container: av.container.InputContainer, stream: Any, target: Fraction) -> bool:
    """Seek to the last key frame at or before `target`, in seconds on the file's clock. False when the file has no index."""
    import av

    try:
        container.seek(math.floor(target / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True
