"""Attack on metadata: everything a media file says besides its picture and sound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deemo_data.errors import MediaError
from deemo_data.media.limits import FILE_OPTIONS

if TYPE_CHECKING:
    import av


PLAIN_TAGS = {  # tags that every such file has, and the values that are harmless
    "major_brand": r"isom|qt  |mp42", "minor_version": r"\d+", "compatible_brands": r"[a-z0-9 ]+", "language": "und",
    "handler_name": "VideoHandler|SoundHandler", "vendor_id": r"(\[0\]){4}", "DURATION": r"[\d:.]+",
}  # fmt: skip
SIGNATURES = (b"x264 - core", b"x265 (build", b"Lavc", b"Lavf", b"HandBrake", b"GPAC", b"Exif\0", b"http://ns.adobe.com/xap")
NOTE_BOXES = {
    b"uuid",
    b"XMP_",
    b"\xa9xyz",
    b"loci",
    b"cprt",
    b"auth",
    b"titl",
    b"keys",
    b"ilst",
}  # MP4 and MOV boxes that hold notes
PARENT_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"udta", b"meta", b"moof", b"traf", b"edts", b"dinf"}
SEI_UNIT_TYPE = 6  # H.264 supplemental enhancement information: encoder name and settings, captions, camera notes


class Tag(NamedTuple):
    """One piece of metadata: where it is (container, stream 0 (video), bytes ...), its name, its value."""

    where: str
    name: str
    value: str


# ── one video ────────────────────────────────────────────────────────────────────────────────────────────────


def tags_of(path: Path) -> list[Tag]:
    """All metadata of a video or sound file; empty for a file without any.

    Covers tags of the container, streams and chapters; streams that are neither picture nor sound; cover art; SEI units of
    the H.264 stream, in which encoders sign their work; boxes that hold notes; and signatures anywhere in the bytes. Tags that
    every file has are left out while their values are the usual ones. Raises MediaError for a file that is not media.
    """
    import av

    try:
        with av.open(str(path), options=FILE_OPTIONS, metadata_errors="replace") as container:
            tags = _unusual_tags("container", container.metadata)
            for number, chapter in enumerate(container.chapters()):
                tags += [Tag(f"chapter {number}", "span", f"{chapter['start']}-{chapter['end']}")]
                tags += _unusual_tags(f"chapter {number}", chapter["metadata"])
            for stream in container.streams:
                where = f"stream {stream.index} ({stream.type})"
                tags += _unusual_tags(where, stream.metadata)
                if stream.type not in ("video", "audio"):
                    tags.append(Tag(where, "kind", stream.type))
                elif stream.disposition & stream.disposition.attached_pic:
                    tags.append(Tag(where, "kind", "cover art"))
            if notes := sum(_count_sei_units(container)):
                tags.append(Tag("pictures", "SEI units", str(notes)))
    except (av.error.FFmpegError, OSError) as e:
        raise MediaError(f"{path.name} cannot be read: {e.strerror}") from e
    data = path.read_bytes()
    tags += [Tag("bytes", name.decode("ascii", "replace"), str(data.count(name))) for name in SIGNATURES if name in data]
    notes_found = [(kind, size) for kind, size in _iter_boxes(data) if kind in NOTE_BOXES and size > 8]
    return tags + [Tag("boxes", kind.decode("latin-1"), f"{size} bytes") for kind, size in notes_found]


def _unusual_tags(where: str, metadata: dict[str, str]) -> list[Tag]:
    return [
        Tag(where, name, value)
        for name, value in metadata.items()
        if not (name in PLAIN_TAGS and re.fullmatch(PLAIN_TAGS[name], value))
    ]


def _count_sei_units(container: av.container.InputContainer) -> Iterator[int]:
    """The number of SEI units in each packet of H.264."""
    streams = [s for s in container.streams.video if s.codec_context and s.codec_context.name == "h264"]
    if not streams:
        return
    in_boxes = {s.index: bytes(s.codec_context.extradata or b"")[:1] == b"\x01" for s in streams}  # otherwise with start codes
    for packet in container.demux(streams):
        data = bytes(packet)
        if not in_boxes[packet.stream.index]:
            yield sum(unit[0] & 31 == SEI_UNIT_TYPE for unit in re.split(b"\0\0\1", data)[1:] if unit)
            continue
        at, notes = 0, 0
        while at + 4 < len(data):
            notes += data[at + 4] & 31 == SEI_UNIT_TYPE
            at += 4 + int.from_bytes(data[at : at + 4], "big")
        yield notes


def _iter_boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int]]:
    """(kind, size with its header) of every box of an MP4 or MOV file, outer boxes first; nothing for other files."""
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
        if kind in PARENT_BOXES:
            inner = start + head
            if kind == b"meta" and data[inner + 4 : inner + 8] != b"hdlr":  # MP4 has four bytes more here than MOV
                inner += 4
            yield from _iter_boxes(data, inner, start + size)
        start += size
