"""Opens a file, its packets and decoded pictures, damaged ones too (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.errors import MediaError
from deemo_data.media.limits import BIGGEST_PICTURE, ONLY_ITSELF

if TYPE_CHECKING:
    import av

INDEXED = ("mov,mp4", "matroska")  # containers in which a seek can be trusted


def open_container(path: Path) -> av.container.InputContainer:
    import av

    try:
        if path.stat().st_size == 0:
            raise MediaError(f"{path.name} is empty (0 bytes)")
        return av.open(str(path), options=ONLY_ITSELF, metadata_errors="replace")
    except FileNotFoundError as e:
        raise MediaError(f"{path} is not there") from e
    except av.error.FFmpegError as e:
        raise MediaError(f"{path.name} cannot be read as video or sound: {e.strerror}") from e


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    pictures = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not pictures:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise MediaError(f"{path.name} has no video stream (it has {kinds})")
    stream = pictures[0]
    if stream.codec_context is None:
        raise MediaError(f"{path.name}: its video codec is not known here")
    stream.thread_type = "AUTO"
    stream.codec_context.options = BIGGEST_PICTURE
    return stream


def read_packets(container: av.container.InputContainer, stream: Any) -> Iterator[av.Packet]:
    import av

    try:
        yield from (p for p in demuxed(container, stream) if p.size and not p.is_discard)
    except av.error.FFmpegError as e:
        raise MediaError(f"{Path(container.name).name} is damaged: {e.strerror}") from e


def demuxed(container: av.container.InputContainer, stream: Any) -> Iterator[av.Packet]:
    """The packets of a stream. At their end PyAV looks for streams that came up on the way, and has no place for them."""
    with suppress(IndexError):
        yield from container.demux(stream)


def decode_frames(container: av.container.InputContainer, stream: Any) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """(time in seconds on the file's own clock, frame), ascending."""
    last: Fraction | None = None
    step = 1 / (stream.average_rate or Fraction(25))
    for frame in decode_packets(container, stream, most=25):
        guess = Fraction(0) if last is None else last + step
        time = guess if frame.pts is None else frame.pts * frame.time_base
        if last is None or time > last:
            last = time
            yield time, frame


def decode_packets(container: av.container.InputContainer, stream: Any, most: int) -> Iterator[Any]:
    """What the decoder makes of the stream; `most` broken packets are stepped over."""
    import av

    bad = 0
    packets = demuxed(container, stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = packet.decode()
        except av.error.FFmpegError as e:
            bad += 1
            if bad > most:
                raise MediaError(f"{Path(container.name).name}: its {stream.type} is damaged: {e.strerror}") from e
            continue
        yield from decoded
