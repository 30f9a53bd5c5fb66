"""Rows that are sound by themselves, and not together."""

from __future__ import annotations

from deemo_data.dataset.validation.findings import Findings
from deemo_data.dataset.validation.index import RowIndex, check_index


def row(clip: str, subject: str = "s-1", assumed: bool = False) -> dict[str, object]:
    return {"clip_id": clip, "subject_id": subject, "subject_assumed": assumed, "record_id": f"{clip}-r"}


def test_what_only_all_rows_show() -> None:
    index, findings = RowIndex(), Findings()
    for clip, split in (("c-1", "train"), ("c-2", "test"), ("c-2", "test")):
        index.add_subject(row(clip, assumed=True), split)
        index.add_clip(row(clip), split, is_sound=True)
    index.add_record(row("c-1"), "test")
    index.add_record(row("c-3"), "train")
    index.add_video("0" * 64, "c-1", "train")
    index.add_video("0" * 64, "c-2", "test")
    check_index(index, findings)
    assert [str(f) for f in findings.items] == [
        "error: subject s-1: is in the splits test, train",
        "error: clip c-2: has 2 rows, in test",
        "error: clips c-1, c-2: have the same video in the splits test, train",
        "error: clip c-1: is in split test of mer and in train of nfbl",
        "error: clip c-3: has records in config mer and no row in config nfbl",
        "warning: subjects: 1 of 1 are assumed, one a source: nobody said who is seen",
    ]


def test_rows_that_agree_have_no_findings() -> None:
    index, findings = RowIndex(), Findings()
    for clip, split in (("c-1", "train"), ("c-2", "test")):
        index.add_subject(row(clip, subject=split), split)
        index.add_clip(row(clip), split, is_sound=True)
        index.add_record(row(clip), split)
        index.add_video(clip, clip, split)
    check_index(index, findings)
    assert findings.items == []
