"""The models of what leaves: each rule refuses what breaks it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from deemo_data.clip import frame_to_ms
from deemo_data.dataset.records import Evidence, MerRecord, NfblEvent, NfblRecord

EVENT: dict[str, Any] = {
    "start_ms": 40, "end_ms": 120, "start_frame": 1, "end_frame": 3, "label": "Head up", "group": "postural", "annotators": 1,
    "agreement": None, "status": "single", "truncated": False,
}  # fmt: skip
NFBL: dict[str, Any] = {
    "clip_id": "c-1", "subject_id": "s-1", "subject_assumed": False, "video": "clips/c-1.mp4",
    "fps": 25.0, "fps_num": 25, "fps_den": 1,
    "num_frames": 4, "duration_ms": 160, "width": 2, "height": 2, "annotation": "single", "events": [EVENT],
    "body": [0.0] * 768, "body_confidence": [1.0] * 256, "body_frames": 4, "body_people": 1, "body_points": 64, "body_dims": 3,
    "body_unit": "picture",
    "prosody_f0": [0.0] * 16, "prosody_energy": [0.0] * 16, "prosody_rate": [0.0] * 16,
    "transcript": "", "consent": {"statement": "yes", "asserted": False}, "licence": None, "leaks": "{}",
    "provenance": [{"name": "video", "sha256": "0" * 64}], "vocabulary": "imigue-32 1",
}  # fmt: skip
MER: dict[str, Any] = {
    "record_id": "r", "clip_id": "c-1", "subject_id": "s-1", "video": "c-1.mp4", "transcript": "", "task": "recognition",
    "instruction": "What?", "response": "sad", "emotion": "sad", "sentiment": "negative", "emotion_words": [],
    "clues": {"video": "", "audio": "", "text": ""}, "evidence": [], "status": "single", "vocabulary": "emotions-12 1",
    "conversations": [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "sad"}],
}  # fmt: skip


def test_good_ones_pass() -> None:
    record = NfblRecord.model_validate(NFBL, context={"label": ["Head up"], "group": ["postural"]})
    assert record.events[0].label == "Head up"
    assert MerRecord.model_validate(MER).model_dump(by_alias=True)["conversations"][0]["from"] == "human"
    with pytest.raises(ValidationError):
        record.clip_id = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"start_frame": 3}, "ends before it starts"),
        ({"start_ms": -1}, "greater than or equal to 0"),
        ({"annotators": 0}, "is single by 0"),
        ({"status": "proposed"}, "is proposed by 1"),
        ({"agreement": 1.5}, "less than or equal to 1"),
        ({"label": "Dancing"}, "'Dancing' is not in the vocabulary"),
        ({"group": "dance"}, "'dance' is not in the vocabulary"),
        ({"source": "s.mp4"}, "Extra inputs"),
    ],
)
def test_events(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        NfblEvent.model_validate(EVENT | change, context={"label": ["Head up"], "group": ["postural"]})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fps": 24.0}, "fps_num/fps_den is 25"),
        ({"duration_ms": 161}, "4 frames at 25 last 160"),
        ({"num_frames": 2, "duration_ms": 80}, "ends at frame 3, the clip has 2"),
        ({"events": [EVENT | {"start_ms": 41}]}, "frame 1 is at 40 ms, not 41"),
        ({"annotation": "none"}, "annotation is none"),
        ({"body_points": 33}, "face points are in it"),
        ({"body_points": 10}, "has 10 points"),
        ({"body_frames": 3}, "body has 3 frames, the clip has 4"),
        ({"body": [0.0]}, "not as long as its shape"),
        ({"prosody_f0": [0.0] * 15}, "prosody curves do not last 160 ms"),
        ({"prosody_f0": [0.0] * 30, "prosody_energy": [0.0] * 30, "prosody_rate": [0.0] * 30}, "do not last 160 ms"),
        ({"provenance": [{"name": "video", "sha256": "abc"}]}, "sha256"),
        ({"consent": None}, "consent"),
        ({"uri": "x"}, "Extra inputs"),
    ],
)
def test_clips(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        NfblRecord.model_validate(NFBL | change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"emotion": "hangry"}, "'hangry' is not in the vocabulary"),
        ({"response": "happy"}, "last turn is not the response"),
        ({"conversations": MER["conversations"][::-1]}, "do not go human, gpt"),
        ({"conversations": []}, "at least 2"),
        ({"task": "poetry"}, "recognition"),
        ({"instruction": ""}, "at least 1"),
        ({"evidence": [{"event": "c-1#0", "start_ms": 5, "end_ms": 5}]}, "ends before it starts"),
    ],
)
def test_records(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        MerRecord.model_validate(MER | change, context={"emotion": ["sad"], "sentiment": ["negative"]})


def test_milliseconds_round_half_up() -> None:
    assert [frame_to_ms(k, Fraction(400)) for k in (1, 2, 3)] == [3, 5, 8]
    assert frame_to_ms(150, Fraction(30000, 1001)) == 5005
    assert Evidence(event="c#1", start_ms=0, end_ms=1).end_ms == 1
