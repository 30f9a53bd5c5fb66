"""What annotators are shown: data by name, proposals in Label Studio's frames, and the share that goes out without them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.annotation.pages.tasks import build_tasks, data_of, describe_events, is_in_share, proposals_of, region_json
from deemo_data.clip import Clip, SafeClip
from deemo_data.labels.label import DRAFT_FIELDS
from deemo_data.labels.vocabulary import load_nfbl
from tests.makers.labels import NTSC, clip_at, event, said

NFBL = load_nfbl("nfbl")
RULE, NAME = next((c.rule, c.name) for c in NFBL.classes if c.rule)


def safe(clip: Clip, *proposed: dict[str, Any], **facts: Any) -> SafeClip:
    return SafeClip(clip.with_results({}, {"proposals": list(proposed), **facts}))


def proposal(start: int, end: int, rule: str = RULE) -> dict[str, Any]:
    return {"rule": rule, "start_frame": start, "end_frame": end, "score": 0.75, "threshold": 0.5, "why": "The hand rests there."}


def test_the_rate_is_a_number_and_the_video_is_where_the_server_has_it() -> None:
    data = data_of(safe(clip_at(300, 450), transcript="well [NAME]"), "mer_clues", events="one\ntwo")
    assert data == {
        "clip": "c-300-450", "template": "mer_clues", "video": "/data/local-files/?d=clips/c-300.mp4",
        "fps": pytest.approx(29.97002997), "num_frames": 150, "title": "c-300-450", "transcript": "well [NAME]",
        "events_text": "one\ntwo", **dict.fromkeys(DRAFT_FIELDS, ""),
    }  # fmt: skip
    assert data_of(safe(clip_at(0, 100, grid=replace(NTSC, fps=Fraction(25)))), "nfbl_timeline")["fps"] == 25


def test_a_proposal_is_shown_with_its_reason_and_noted_in_the_ledger() -> None:
    (task,) = build_tasks(
        [safe(clip_at(300, 450), proposal(4, 30), proposal(5, 9, "of no class"))], "nfbl_timeline", NFBL, share=1
    )
    (prediction,) = task.payload["predictions"]
    (shown,) = prediction["result"]
    assert shown["value"] == {"ranges": [{"start": 5, "end": 30}], "timelinelabels": [NAME]}
    assert shown["meta"] == {"text": ["The hand rests there."]}
    assert prediction["score"] == 0.75
    (noted,) = task.line.proposals or ()
    assert (noted["id"], noted["start_frame"], noted["end_frame"], noted["label"]) == (shown["id"], 4, 30, NAME)


def test_without_proposals_is_not_the_same_as_with_none() -> None:
    bare, shown = safe(clip_at(300, 450)), safe(clip_at(300, 450), proposal(4, 30))
    (nothing,), (kept_from,) = (
        build_tasks([bare], "nfbl_timeline", NFBL, share=1),
        build_tasks([shown], "nfbl_timeline", NFBL, share=0),
    )
    assert (nothing.line.proposals, kept_from.line.proposals) == ([], None)
    assert "predictions" not in nothing.payload
    assert "predictions" not in kept_from.payload
    (clues,) = build_tasks([shown], "mer_clues", NFBL, share=1)
    assert "predictions" not in clues.payload, "proposals are for the timeline"


def test_the_share_is_kept_and_the_same_every_time() -> None:
    clips = [SafeClip(replace(clip_at(0, 100), id=f"c-{n:016x}")) for n in range(4000)]
    chosen = [is_in_share(c, 0.8) for c in clips]
    assert 0.78 < sum(chosen) / len(chosen) < 0.82
    assert chosen == [is_in_share(c, 0.8) for c in clips]
    assert not any(is_in_share(c, 0) for c in clips)
    assert all(is_in_share(c, 1) for c in clips)
    smaller = [is_in_share(c, 0.5) for c in clips]
    assert all(big for big, small in zip(chosen, smaller, strict=True) if small), "a larger share adds clips, and moves none"


@given(start=st.integers(0, 400), length=st.integers(1, 400))
def test_frames_there_are_one_based_and_inclusive(start: int, length: int) -> None:
    noted = {"id": "r", "label": NAME, "start_frame": start, "end_frame": start + length, "score": 0.5, "why": ""}
    (span,) = region_json(noted)["value"]["ranges"]
    assert (span["start"] - 1, span["end"]) == (start, start + length)
    assert span["end"] - span["start"] + 1 == length, "as many frames as Label Studio counts"


def test_ids_of_regions_are_the_same_every_time_and_differ() -> None:
    clip = safe(clip_at(300, 450), proposal(4, 30), proposal(40, 60))
    ids = [p["id"] for p in proposals_of(clip, NFBL)]
    assert ids == [p["id"] for p in proposals_of(clip, NFBL)]
    assert len(set(ids)) == 2


def test_what_was_labelled_so_far_is_told_with_times_of_the_clip() -> None:
    clip = safe(clip_at(300, 450))
    start = clip.start_ms
    labels = [said("seen", "nfbl", clip), event(start + 1000, start + 2500)]
    assert describe_events(clip, labels, NFBL) == "1.0–2.5 s  Folding arms (single)"
    assert describe_events(clip, [], NFBL) == ""


def test_the_order_is_that_of_the_footage() -> None:
    clips = [safe(clip_at(450, 500)), safe(clip_at(0, 100)), safe(clip_at(100, 200))]
    assert [s.line.clip for s in build_tasks(clips, "nfbl_timeline", NFBL)] == ["c-0-100", "c-100-200", "c-450-500"]
