"""Opens media files with PyAV and reads their packets and decoded frames, from damaged files too.

All other modules of this folder stand on this one: probe (what is in a file), frames, sound, then encode (writing).
Every function turns FFmpeg's errors into MediaError with the name of the file.
"""

from __future__ import annotations

import math
import mmap
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Join, round_half_up
from deemo_data.errors import MediaError
from deemo_data.media.limits import DECODER_OPTIONS, FILE_OPTIONS

if TYPE_CHECKING:
    import av

HEADER_BYTES = {"flv": 9, "asf": 16, "nut": 25, "mxf": 14}  # how long the beginning is by which a file is known
HEADER_PATTERNS = {"matroska,webm": rb"\x1aE\xdf\xa3.{1,60}?B\x82.(?:matroska|webm)"}  # the beginning of other files
MAX_BOXES = 1_000_000
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


def list_picture_tracks(container: av.container.InputContainer) -> list[av.VideoStream]:
    """The video streams that are films: no cover art, thumbnails, single stills or pictures that belong to another track."""

    def is_film(stream: av.VideoStream) -> bool:
        flags = stream.disposition
        return not flags & (flags.attached_pic | flags.timed_thumbnails | flags.still_image | flags.dependent | flags.metadata)

    return [s for s in container.streams.video if is_film(s)]


def find_video_stream(container: av.container.InputContainer, path: Path, track: int = 0) -> av.VideoStream:
    """A picture track, ready to decode. `track`: its index among the picture tracks (`Grid.video_track`).

    Raises MediaError when there is none, or for an unknown codec.
    """
    pictures = list_picture_tracks(container)
    if track >= len(pictures):
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise MediaError(f"{path.name} has no video stream (it has {kinds})")
    stream = pictures[track]
    if stream.codec_context is None:
        raise MediaError(f"{path.name}: its video codec is not known here")
    stream.thread_type = "AUTO"
    stream.codec_context.options = DECODER_OPTIONS
    return stream


def check_single_recording(path: Path, kind: str, reached: int) -> None:
    """Raise MediaError if another file of the same kind follows in this file, of which FFmpeg reads nothing.

    kind     FFmpeg's name of the container's format
    reached  first byte of the last packet that FFmpeg reads
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if kind.startswith("mov,mp4"):
            boxes = list(islice(_walk_boxes(data), MAX_BOXES))
            films = [at for name, at in boxes if name == b"moov"]
            second = films[1] if len(films) > 1 and b"moof" not in {name for name, _ in boxes} else -1
        else:
            length = HEADER_BYTES.get(kind, 0)
            header = re.escape(data[:length]) if length else HEADER_PATTERNS.get(kind)
            found = re.compile(header, re.DOTALL).search(data, max(reached, 1)) if header else None
            second = found.start() if found else -1
    if second >= 0:
        what = f"{path.name} holds another recording (from byte {second} or before) that cannot be read"
        raise MediaError(what, "Take the recordings as files of their own, or join them anew with ffmpeg")


def _walk_boxes(data: mmap.mmap) -> Iterator[tuple[bytes, int]]:
    """(name, first byte) of each outermost box of an mp4 file."""
    at = 0
    while at + 16 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        yield name, at
        if size < 8:  # 0: the last box; other sizes are damage
            return
        at += size


def read_packets(
    container: av.container.InputContainer, *streams: Any, joins: Sequence[Join] = (), if_late: Callable[[], None] | None = None
) -> Iterator[av.Packet]:
    """The packets of streams that hold data and are meant to be shown. Raises MediaError where the file is damaged.

    if_late  called at the end of a file in which a stream appears that was not there when it was opened
    """
    import av

    try:
        packets = demux_packets(container, *streams, joins=joins, if_late=if_late)
        yield from (p for p in packets if p.size and not p.is_discard)
    except av.error.FFmpegError as e:
        raise MediaError(f"{Path(container.name).name} is damaged: {e.strerror}") from e


def demux_packets(
    container: av.container.InputContainer, *streams: Any, joins: Sequence[Join] = (), if_late: Callable[[], None] | None = None
) -> Iterator[av.Packet]:
    """The packets of streams, in the order of the file. After a join, their time stamps are moved by its shift.

    PyAV raises IndexError at the end of a file in which a stream appears late: `if_late` is called then.
    """
    counts: Counter[int] = Counter()  # packets of each stream so far
    try:
        for packet in container.demux(*streams):
            if joins and packet.size and not packet.is_discard:
                passed = [j for j in joins if j.stream == packet.stream_index and j.packet <= counts[j.stream]]
                ticks = round_half_up(passed[-1].shift / packet.time_base) if passed else 0
                packet.pts = None if packet.pts is None else packet.pts + ticks
                packet.dts = None if packet.dts is None else packet.dts + ticks
                counts[packet.stream_index] += 1
            yield packet
    except IndexError:
        if if_late is not None:
            if_late()


def decode_frames(
    container: av.container.InputContainer, stream: Any, joins: Sequence[Join] = (), start: Fraction | None = Fraction(0)
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """(time in seconds on the file's own clock, frame), in ascending order of time.

    joins  where the clock begins anew (`Grid.joins`)
    start  the time of the first frame, if it has no time stamp; None drops the frames before the first that has one
    A frame without a time stamp follows the one before at the average frame rate. A frame that is not later than the one
    before is dropped. Up to 25 broken packets are skipped.
    """
    last: Fraction | None = None
    step = 1 / (stream.average_rate or Fraction(25))
    for frame in decode_packets(container, stream, max_broken=25, joins=joins):
        guess = start if last is None else last + step
        stamp = read_time(frame)
        time = guess if stamp is None else stamp
        if time is not None and (last is None or time > last):
            last = time
            yield time, frame


def read_time(frame: av.VideoFrame | av.AudioFrame) -> Fraction | None:
    """When a decoded frame is due, in seconds on the file's clock; None when it has no time stamp."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def decode_packets(
    container: av.container.InputContainer, stream: Any, max_broken: int, joins: Sequence[Join] = ()
) -> Iterator[Any]:
    """The decoded frames of a stream. Skips up to `max_broken` broken packets, then raises MediaError."""
    import av

    broken = 0
    packets = demux_packets(container, stream, joins=joins)
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
    """Seek to the last key frame at or before `target`, in seconds on the file's clock.

    False when the file allows no seek; it then has to be opened again, because its reader stands anywhere.
    """
    import av

    try:
        container.seek(math.floor(target / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True
