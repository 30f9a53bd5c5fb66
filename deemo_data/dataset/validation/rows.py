"""Checks the rows of a table one by one: the row itself, its texts, its clip or record, and its video.

`RowChecker` goes through the rows of one table and calls the functions below it. Each of them takes a row as plain Python values,
the location that a finding names, and the list of findings.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from deemo_data.consent import is_given
from deemo_data.dataset.records import MerRecord, NfblRecord, first_error, texts_of_row
from deemo_data.dataset.validation.files import DatasetFiles
from deemo_data.dataset.validation.findings import Findings
from deemo_data.dataset.validation.index import ClipRow, RowIndex
from deemo_data.files import parse_json
from deemo_data.labels import screening
from deemo_data.media.container import demux_packets
from deemo_data.media.limits import FORMAT_OPTIONS

MODELS: dict[str, type[BaseModel]] = {"nfbl": NfblRecord, "mer": MerRecord}
HARMLESS_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "language", "handler_name", "vendor_id"}
ADDRESS = re.compile(r"\S+@\S+\.\w+|\bhttps?://\S+|\+?\d[\d ()/.-]{7,}\d")
MAX_RATE_DEVIATION = Fraction(1, 1000)  # of the frame rate that a row states


@dataclass(frozen=True)
class RowChecker:
    """Checks the rows of one table, and adds them to the index.

    table        path in the dataset folder, as findings name it
    folder       where the table lies: its videos are named from there
    class_names  field of a row ("label", "emotion") -> names that its vocabulary allows
    allowed      names of classes that texts may hold
    is_complete  the table has all columns of its config: otherwise its rows are not held against the model
    """

    config: str
    split: str
    table: str
    folder: Path
    class_names: Mapping[str, Sequence[str] | None]
    allowed: Collection[str]
    is_complete: bool
    files: DatasetFiles
    index: RowIndex
    findings: Findings

    def check(self, row: dict[str, Any]) -> None:
        location = self._location(row)
        video = row.pop("file_name", None) or row.get("video")
        name = video.get("path") or "embedded" if isinstance(video, dict) else str(video or "")
        is_sound = self.is_complete and self._fits_model(row | {"video": name}, location)
        self.index.add_subject(row, self.split)
        if self.config == "mer":
            self.index.add_record(row, self.split)
            if is_sound:
                check_record(row, location, self.index.find_clip(str(row.get("clip_id"))), self.findings)
        else:
            self.index.add_clip(row, self.split, is_sound)
            if is_sound:
                check_clip(row, location, self.findings)
        if is_sound:
            check_texts(texts_of_row(row, self.config), location, self.allowed, self.findings)
        if isinstance(video, dict) and video.get("bytes"):
            if self.config == "nfbl":
                check_video(video["bytes"], row, location, self.findings)
        else:
            self._check_video_file(name, row, location)

    def _location(self, row: Mapping[str, Any]) -> str:
        if self.config == "mer" and row.get("record_id"):
            return f"{self.table} record {row['record_id']}"
        clip_id = str(row.get("clip_id"))
        return f"{self.table} clip {clip_id}" if clip_id != "None" else self.table

    def _fits_model(self, row: Mapping[str, Any], location: str) -> bool:
        model = MODELS[self.config]
        try:
            model.model_validate({k: v for k, v in row.items() if k in model.model_fields}, context=dict(self.class_names))
        except ValidationError as e:
            self.findings.error(location, first_error(e))
            return False
        return True

    def _check_video_file(self, name: str, row: Mapping[str, Any], location: str) -> None:
        """The video that a row names. Videos of mer are those of nfbl: they are not opened a second time."""
        if Path(name).is_absolute() or ".." in Path(name).parts:
            self.findings.error(location, f"its video {name} lies outside the table's folder: the loader refuses it")
            return
        file = self.folder / name
        if not name or not file.is_file():
            if not name or not self.files.is_damaged(file):
                self.findings.error(location, f"its video {name or '(none named)'} is not there")
            return
        path = file.resolve()
        if self.config == "nfbl" or not self.index.clips:
            self.index.add_video(self.files.digest(path), str(row.get("clip_id")), self.split)
        if self.config == "nfbl":
            sha256 = find_video_digest(row)
            if sha256 and not self.files.is_damaged(file) and sha256 != self.files.digest(path):
                self.findings.error(location, "its video is not the one whose digest is in provenance")
            check_video(path, row, location, self.findings)


def check_clip(row: Mapping[str, Any], location: str, findings: Findings) -> None:
    """The consent and the result of the leak check of an nfbl row."""
    consent = row.get("consent") or {}
    if not is_given(consent.get("statement")):
        findings.error(location, "no consent is on record for it")
    try:
        passed = parse_json(row.get("leaks") or "{}").get("passed", True)
    except (ValueError, AttributeError):
        findings.error(location, "leaks is no JSON")
    else:
        if passed is not True:
            findings.error(location, "the leak check refused it")


def check_record(row: Mapping[str, Any], location: str, clip: ClipRow | None, findings: Findings) -> None:
    """A mer row against the nfbl row of its clip: same subject, same transcript, evidence within the clip."""
    if clip is None or not clip.is_sound:
        return
    if row.get("subject_id") != clip.subject:
        findings.error(location, f"is of subject {row.get('subject_id')}, its clip of {clip.subject}")
    if (row.get("transcript") or "") != clip.transcript:
        findings.error(location, "has another transcript than its clip")
    if row.get("task") == "reasoning" and not row.get("evidence"):
        findings.warn(location, "is reasoning without evidence")
    for evidence in row.get("evidence") or ():
        check_evidence(evidence, str(row.get("clip_id")), clip, location, findings)


def check_evidence(evidence: Mapping[str, Any], clip_id: str, clip: ClipRow, location: str, findings: Findings) -> None:
    """Evidence names an event of the clip and repeats its span, or it gives a span within the clip.

    The id of an event is the id of its clip, a #, and its place in the clip's `events`.
    """
    event, start, end = str(evidence.get("event") or ""), evidence.get("start_ms") or 0, evidence.get("end_ms") or 0
    owner, mark, place = event.rpartition("#")
    if mark and owner != clip_id:
        findings.error(location, f"its evidence {event} is of another clip")
    elif mark and not (place.isdigit() and int(place) < len(clip.spans)):
        findings.error(location, f"its evidence {event} is no event of its clip, which has {len(clip.spans)}")
    elif mark and clip.spans[int(place)] != (start, end):
        span = "-".join(map(str, clip.spans[int(place)]))
        findings.error(location, f"its evidence {event} is said to be at {start}-{end} ms, the event is at {span} ms")
    elif end > clip.duration_ms:
        findings.error(location, f"its evidence {event or 'span'} ends at {end} ms, its clip at {clip.duration_ms} ms")


def check_texts(texts: Mapping[str, str], location: str, allowed: Collection[str], findings: Findings) -> None:
    """What must not stand in a released text.

    Addresses and numbers of people are errors. Names, faces and guesses about who somebody is are warnings, because lists of
    words find them. A transcript holds somebody's own words: there only names are reported.

    allowed  names of classes that may stand in a text
    """
    for name, text in texts.items():
        if address := ADDRESS.search(text):
            place = address.start() + 1
            findings.error(location, f"{name} holds what looks like an address or a number of somebody, at letter {place}")
        for claim in screening.find_faults(text, allowed=allowed):
            if name != "transcript":
                findings.warn(location, f"{name} has {screening.describe_claim(claim)}")
            elif claim.kind == "name":
                findings.warn(location, f"transcript has “{claim.text}”, which looks like a name")


def check_video(video: Path | bytes, row: Mapping[str, Any], location: str, findings: Findings) -> None:
    """Open a video and compare frames, rate and size with its row; nothing but picture and sound may be in it."""
    import av

    container: Any  # av's type stubs do not tell reading from writing
    try:
        file = io.BytesIO(video) if isinstance(video, bytes) else str(video)
        with av.open(file, options=FORMAT_OPTIONS, metadata_errors="replace") as container:
            if not container.streams.video:
                findings.error(location, "its video has no picture")
                return
            stream = container.streams.video[0]
            if stream.codec_context is None:
                findings.error(location, "its video is in no code that is known here")
                return
            size, rate = (stream.width, stream.height), stream.average_rate
            tags = {k for s in (container, *container.streams) for k in s.metadata} - HARMLESS_TAGS
            if container.chapters() or {s.type for s in container.streams} - {"video", "audio"}:
                findings.error(location, "its video carries chapters or other streams")
            frames = sum(bool(p.size) for p in demux_packets(container, stream))
    except (av.error.FFmpegError, OSError) as e:
        findings.error(location, f"its video cannot be opened: {e}")
        return
    if isinstance(row.get("num_frames"), int) and frames != row["num_frames"]:
        findings.error(location, f"num_frames is {row['num_frames']}, its video has {frames}")
    if row.get("fps_num") and row.get("fps_den") and rate and _rates_differ(rate, Fraction(row["fps_num"], row["fps_den"])):
        findings.error(location, f"the row says {row['fps_num']}/{row['fps_den']} frames a second, its video has {rate}")
    if "width" in row and size != (row.get("width"), row.get("height")):
        findings.error(location, f"the row says {row.get('width')}x{row.get('height')}, its video is {size[0]}x{size[1]}")
    if tags:
        findings.error(location, f"its video carries tags: {', '.join(sorted(tags))}")


def _rates_differ(rate: Fraction, stated: Fraction) -> bool:
    return abs(rate - stated) > stated * MAX_RATE_DEVIATION


def find_video_digest(row: Mapping[str, Any]) -> str:
    """The sha256 that a row gives of its video; empty when it gives none."""
    digests: Sequence[Mapping[str, Any]] = row.get("provenance") or ()
    return next((str(d["sha256"]) for d in digests if d.get("name") == "video"), "")
