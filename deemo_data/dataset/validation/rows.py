"""One clip, one record, one video."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from deemo_data.consent import REFUSED
from deemo_data.files import parse_json
from deemo_data.media.container import demuxed
from deemo_data.media.limits import ITS_KIND

HARMLESS_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "language", "handler_name", "vendor_id"}
ADDRESS = re.compile(r"\S+@\S+\.\w+|\bhttps?://\S+|\+?\d[\d ()/.-]{7,}\d")

Say = Callable[[str, str], None]  # where, what


@dataclass(frozen=True)
class ClipRow:
    """What is remembered of a row of nfbl, to hold records against it; `sound` unless something is wrong with the row itself."""

    sound: bool
    split: str
    subject: str
    transcript: str
    duration_ms: int
    spans: tuple[tuple[int, int], ...] = field(default=())


def remember(row: Mapping[str, Any], split: str, sound: bool) -> ClipRow:
    spans = tuple((e["start_ms"], e["end_ms"]) for e in row.get("events") or ())
    return ClipRow(sound, split, str(row.get("subject_id")), row.get("transcript") or "", row.get("duration_ms") or 0, spans)


def check_clip(row: Mapping[str, Any], here: str, error: Say) -> None:
    """Consent, and what the leak check said."""
    consent = row.get("consent") or {}
    if str(consent.get("statement") or "").strip().casefold() in REFUSED:
        error(here, "no consent is on record for it")
    try:
        passed = parse_json(row.get("leaks") or "{}").get("passed", True)
    except (ValueError, AttributeError):
        error(here, "leaks is no JSON")
    else:
        if passed is not True:
            error(here, "the leak check refused it")


def check_record(row: Mapping[str, Any], here: str, clip: ClipRow | None, error: Say, warn: Say) -> None:
    """A record against the row of its clip: subject, transcript, and that its evidence lies in it."""
    if clip is None or not clip.sound:
        return
    if row.get("subject_id") != clip.subject:
        error(here, f"is of subject {row.get('subject_id')}, its clip of {clip.subject}")
    if (row.get("transcript") or "") != clip.transcript:
        error(here, "has another transcript than its clip")
    if row.get("task") == "reasoning" and not row.get("evidence"):
        warn(here, "is reasoning without evidence")
    for piece in row.get("evidence") or ():
        check_evidence(piece, str(row.get("clip_id")), clip, here, error)


def check_evidence(piece: Mapping[str, Any], clip_id: str, clip: ClipRow, here: str, error: Say) -> None:
    """An event id is the clip's, a #, and a place in its `events`; the span is the event's. Others are spans within the clip."""
    event, start, end = str(piece.get("event") or ""), piece.get("start_ms") or 0, piece.get("end_ms") or 0
    owner, mark, place = event.rpartition("#")
    if mark and owner != clip_id:
        error(here, f"its evidence {event} is of another clip")
    elif mark and not (place.isdigit() and int(place) < len(clip.spans)):
        error(here, f"its evidence {event} is no event of its clip, which has {len(clip.spans)}")
    elif mark and clip.spans[int(place)] != (start, end):
        error(here, f"its evidence {event} is said to be at {start}-{end} ms, the event is at "
                    f"{'-'.join(map(str, clip.spans[int(place)]))} ms")  # fmt: skip
    elif end > clip.duration_ms:
        error(here, f"its evidence {event or 'span'} ends at {end} ms, its clip at {clip.duration_ms} ms")


def check_words(texts: Mapping[str, str], here: str, allowed: Collection[str], error: Say, warn: Say) -> None:
    """What nobody should read in a released text: addresses and numbers of people (errors); and, as warnings, since they are
    found by lists of words, names, faces and guesses who somebody is. In a transcript, which is somebody's own words, names only.

    allowed  names of classes that may be written as they are
    """
    from deemo_data.labels import screening

    for name, text in texts.items():
        if found := ADDRESS.search(text):
            error(here, f"{name} holds what looks like an address or a number of somebody, at letter {found.start() + 1}")
        for flag in screening.faults(text, allowed=allowed):
            if name != "transcript":
                warn(here, f"{name} has {screening.said(flag)}")
            elif flag.kind == "name":
                warn(here, f"transcript has “{flag.text}”, which looks like a name")


def check_video(video: Path | bytes, row: Mapping[str, Any], here: str, error: Say) -> None:
    """Opens it: frames, rate, size, and that nothing but picture and sound is in it."""
    import av

    container: Any  # av's stubs do not tell reading from writing
    try:
        file = io.BytesIO(video) if isinstance(video, bytes) else str(video)
        with av.open(file, options=ITS_KIND, metadata_errors="replace") as container:
            if not container.streams.video:
                error(here, "its video has no picture")
                return
            stream = container.streams.video[0]
            if stream.codec_context is None:
                error(here, "its video is in no code that is known here")
                return
            size, rate = (stream.width, stream.height), stream.average_rate
            tags = {k for s in (container, *container.streams) for k in s.metadata} - HARMLESS_TAGS
            if container.chapters() or {s.type for s in container.streams} - {"video", "audio"}:
                error(here, "its video carries chapters or other streams")
            frames = sum(bool(p.size) for p in demuxed(container, stream))
    except (av.error.FFmpegError, OSError) as e:
        error(here, f"its video cannot be opened: {e}")
        return
    if isinstance(row.get("num_frames"), int) and frames != row["num_frames"]:
        error(here, f"num_frames is {row['num_frames']}, its video has {frames}")
    if row.get("fps_num") and row.get("fps_den") and rate and _apart(rate, Fraction(row["fps_num"], row["fps_den"])):
        error(here, f"the row says {row['fps_num']}/{row['fps_den']} frames a second, its video has {rate}")
    if "width" in row and size != (row.get("width"), row.get("height")):
        error(here, f"the row says {row.get('width')}x{row.get('height')}, its video is {size[0]}x{size[1]}")
    if tags:
        error(here, f"its video carries tags: {', '.join(sorted(tags))}")


def _apart(a: Fraction, b: Fraction) -> bool:
    return abs(a - b) > b / 1000


def provenance(row: Mapping[str, Any]) -> str:
    """The digest that a row gives of its video, or nothing."""
    pieces: Sequence[Mapping[str, Any]] = row.get("provenance") or ()
    return next((str(p["sha256"]) for p in pieces if p.get("name") == "video"), "")
