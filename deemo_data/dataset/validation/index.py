"""What the rows of a dataset say together: subjects, clips and videos over all tables and splits.

A row alone cannot tell whether its subject is in two splits. So each row is added to a `RowIndex` while it is checked, and the
checks over all rows run at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deemo_data.dataset import near_duplicates
from deemo_data.dataset.validation.findings import Findings


@dataclass(frozen=True)
class ClipRow:
    """The part of an nfbl row that the records of its clip are compared with. `is_sound`: the row by itself has no fault."""

    is_sound: bool
    split: str
    subject: str
    transcript: str
    duration_ms: int
    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of_row(cls, row: Mapping[str, Any], split: str, is_sound: bool) -> ClipRow:
        spans = tuple((e["start_ms"], e["end_ms"]) for e in row.get("events") or ())
        return cls(is_sound, split, str(row.get("subject_id")), row.get("transcript") or "", row.get("duration_ms") or 0, spans)


@dataclass
class RowIndex:
    """The rows of all tables, as far as they were read.

    splits_of_subject  subject id -> splits it is in
    assumed_subjects   ids of subjects whom nobody named
    clips        clip id -> its rows of nfbl
    records      record id -> number of its rows of mer
    record_clips  clip id of mer -> split
    videos       sha256 -> (clip id, split) of each clip with this video
    """

    splits_of_subject: dict[str, set[str]] = field(default_factory=dict)
    assumed_subjects: set[str] = field(default_factory=set)
    clips: dict[str, list[ClipRow]] = field(default_factory=dict)
    records: Counter[str] = field(default_factory=Counter)
    record_clips: dict[str, str] = field(default_factory=dict)
    videos: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def add_subject(self, row: Mapping[str, Any], split: str) -> None:
        if subject := row.get("subject_id"):
            self.splits_of_subject.setdefault(subject, set()).add(split)
            if row.get("subject_assumed"):
                self.assumed_subjects.add(subject)

    def add_clip(self, row: Mapping[str, Any], split: str, is_sound: bool) -> None:
        if clip_id := row.get("clip_id"):
            self.clips.setdefault(str(clip_id), []).append(ClipRow.of_row(row, split, is_sound))

    def add_record(self, row: Mapping[str, Any], split: str) -> None:
        self.record_clips.setdefault(str(row.get("clip_id")), split)
        self.records[str(row.get("record_id"))] += 1

    def add_video(self, sha256: str, clip_id: str, split: str) -> None:
        self.videos.setdefault(sha256, set()).add((clip_id, split))

    def find_clip(self, clip_id: str) -> ClipRow | None:
        """The first nfbl row of a clip."""
        return next(iter(self.clips.get(clip_id, ())), None)


def check_index(index: RowIndex, findings: Findings) -> None:
    """Each subject, clip and video may be in one split only; each clip and record may have one row."""
    for subject, splits in sorted(index.splits_of_subject.items()):
        if len(splits) > 1:
            findings.error(f"subject {subject}", f"is in the splits {_join(splits)}")
    for clip, rows in sorted(index.clips.items()):
        if len(rows) > 1:
            findings.error(f"clip {clip}", f"has {len(rows)} rows, in {_join({r.split for r in rows})}")
    for record, times in sorted(index.records.items()):
        if times > 1:
            findings.error(f"record {record}", f"has {times} rows")
    for places in index.videos.values():
        splits, clips = {split for _, split in places}, {clip for clip, _ in places}
        if len(splits) > 1:
            findings.error(f"clips {_join(clips)}", f"have the same video in the splits {_join(splits)}")
        elif len(clips) > 1:
            findings.warn(f"clips {_join(clips)}", "have the same video")
    if index.clips:
        _check_clips_of_records(index, findings)
    if index.assumed_subjects:
        share = f"{len(index.assumed_subjects)} of {len(index.splits_of_subject)}"
        findings.warn("subjects", f"{share} are assumed, one a source: nobody said who is seen")


def _check_clips_of_records(index: RowIndex, findings: Findings) -> None:
    for clip, split in sorted(index.record_clips.items()):
        rows = index.clips.get(clip)
        if not rows:
            findings.error(f"clip {clip}", "has records in config mer and no row in config nfbl")
        elif split not in {row.split for row in rows}:
            findings.error(f"clip {clip}", f"is in split {split} of mer and in {rows[0].split} of nfbl")


def check_near_duplicates(index: RowIndex, manifest: Mapping[str, Any], digests: Mapping[Path, str], findings: Findings) -> None:
    """Clips of different subjects that look the same and are in different splits, if the export compared pictures at all.

    digests  file -> sha256: where the videos lie whose perceptual hash is not in the manifest
    """
    max_distance = manifest.get("alike", 0)
    if not max_distance or not isinstance(max_distance, int):
        return
    file_of = {sha256: path for path, sha256 in digests.items()}
    hashes: Mapping[str, str] = manifest.get("looks") or {}
    hash_of_clip, subject_of, split_of = dict[str, str](), dict[str, str](), dict[str, str]()
    for sha256, places in index.videos.items():
        video_hash = hashes.get(sha256[:16])
        for clip, split in places:
            if row := index.find_clip(clip):
                hash_of_clip[clip] = near_duplicates.perceptual_hash(file_of[sha256]) if video_hash is None else video_hash
                subject_of[clip], split_of[clip] = row.subject, split
    reported = {frozenset(clip for clip, _ in places) for places in index.videos.values() if len(places) > 1}
    for pair in near_duplicates.find_similar_pictures(subject_of, hash_of_clip, max_distance):
        splits = {split_of[clip] for clip in pair.clips}
        if len(splits) > 1 and frozenset(pair.clips) not in reported:
            findings.error(f"clips {', '.join(pair.clips)}", f"look the same and are in the splits {_join(splits)}")


def _join(names: set[str]) -> str:
    return ", ".join(sorted(names))
