"""Tags and stray bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deemo_data.errors import MediaError
from deemo_data.media.limits import ONLY_ITSELF

if TYPE_CHECKING:
    import av


PLAIN_TAGS = {  # what every file of this kind says, and what it may say there
    "major_brand": r"isom|qt  |mp42", "minor_version": r"\d+", "compatible_brands": r"[a-z0-9 ]+", "language": "und",
    "handler_name": "VideoHandler|SoundHandler", "vendor_id": r"(\[0\]){4}", "DURATION": r"[\d:.]+",
}  # fmt: skip
SIGNATURES = (b"x264 - core", b"x265 (build", b"Lavc", b"Lavf", b"HandBrake", b"GPAC", b"Exif\0", b"http://ns.adobe.com/xap")
TALKING_BOXES = {b"uuid", b"XMP_", b"\xa9xyz", b"loci", b"cprt", b"auth", b"titl", b"keys", b"ilst"}  # of MP4 and MOV
PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"udta", b"meta", b"moof", b"traf", b"edts", b"dinf"}
SEI = 6  # the H.264 unit for whatever an encoder wants to say: its name and settings, captions, a camera's notes


class Tag(NamedTuple):
    """One thing a file says beside its picture and sound: where (container, stream 0 (video), bytes ...), name, value."""

    where: str
    name: str
    value: str


# ── one video ────────────────────────────────────────────────────────────────────────────────────────────────


def tags_of(path: Path) -> list[Tag]:
    """All that a video or sound file says beside its picture and sound; empty for one that says nothing.

    Tags of the container, of streams and chapters, streams that are neither picture nor sound, cover art, units in the
    H.264 stream in which encoders sign their work, boxes that hold notes, and signatures anywhere in the bytes. Tags
    that every file has are left out as long as they say what they say everywhere. Raises MediaError when it is no media.
    """
    import av

    try:
        with av.open(str(path), options=ONLY_ITSELF, metadata_errors="replace") as container:
            found = _said("container", container.metadata)
            for number, chapter in enumerate(container.chapters()):
                found += [Tag(f"chapter {number}", "span", f"{chapter['start']}-{chapter['end']}")]
                found += _said(f"chapter {number}", chapter["metadata"])
            for stream in container.streams:
                where = f"stream {stream.index} ({stream.type})"
                found += _said(where, stream.metadata)
                if stream.type not in ("video", "audio"):
                    found.append(Tag(where, "kind", stream.type))
                elif stream.disposition & stream.disposition.attached_pic:
                    found.append(Tag(where, "kind", "cover art"))
            if notes := sum(_notes(container)):
                found.append(Tag("pictures", "SEI units", str(notes)))
    except (av.error.FFmpegError, OSError) as e:
        raise MediaError(f"{path.name} cannot be read: {e.strerror}") from e
    data = path.read_bytes()
    found += [Tag("bytes", name.decode("ascii", "replace"), str(data.count(name))) for name in SIGNATURES if name in data]
    talking = [(kind, size) for kind, size in _boxes(data) if kind in TALKING_BOXES and size > 8]
    return found + [Tag("boxes", kind.decode("latin-1"), f"{size} bytes") for kind, size in talking]


def _said(where: str, metadata: dict[str, str]) -> list[Tag]:
    return [
        Tag(where, name, value)
        for name, value in metadata.items()
        if not (name in PLAIN_TAGS and re.fullmatch(PLAIN_TAGS[name], value))
    ]


def _notes(container: av.container.InputContainer) -> Iterator[int]:
    """How many SEI units each packet of H.264 has."""
    streams = [s for s in container.streams.video if s.codec_context and s.codec_context.name == "h264"]
    if not streams:
        return
    in_boxes = {s.index: bytes(s.codec_context.extradata or b"")[:1] == b"\x01" for s in streams}  # else with start codes
    for packet in container.demux(streams):
        data = bytes(packet)
        if not in_boxes[packet.stream.index]:
            yield sum(unit[0] & 31 == SEI for unit in re.split(b"\0\0\1", data)[1:] if unit)
            continue
        at, notes = 0, 0
        while at + 4 < len(data):
            notes += data[at + 4] & 31 == SEI
            at += 4 + int.from_bytes(data[at : at + 4], "big")
        yield notes


def _boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int]]:
    """(kind, size with its head of 8) of every box of an MP4 or MOV file, from the outside in; nothing for other files."""
    end = len(data) if end is None else end
    if not start and data[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide"):
        return
    while start + 8 <= end:
        size, kind, head = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        size = size or end - start
        if size < head or start + size > end:
            return
        yield kind, size
        if kind in PARENTS:
            inner = start + head
            if kind == b"meta" and data[inner + 4 : inner + 8] != b"hdlr":  # MP4 has four bytes more here than MOV
                inner += 4
            yield from _boxes(data, inner, start + size)
        start += size
