"""BlazePose and the hand landmarker on real footage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deemo_data.errors import ModelError
from deemo_data.models import mediapipe
from tests.makers.talker import FACE, pictures

pytestmark = pytest.mark.usefixtures("weights")


def test_pose_and_hands_follow_the_talker(media: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frames = pictures(media / "video" / "talker_hands_speech_wim.mp4", 40, 6)
    small = [cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA) for frame in frames]
    with mediapipe.open_pose_landmarker() as look:
        people = [look(frame, 40 * i) for i, frame in enumerate(small)]
    with mediapipe.open_hand_landmarker() as watch:
        hands = [watch(frame, 40 * i) for i, frame in enumerate(small)]
    assert [len(found) for found in people] == [1] * 6
    person = people[-1][0]
    assert person.shape == (33, 4)
    assert person.dtype == np.float32
    nose = person[0, :2] * (1280, 720)
    assert (FACE[:2] < nose).all()
    assert (nose < FACE[2:]).all()
    assert person[11, 0] > person[12, 0]  # he faces us: his left shoulder is on the right
    assert (person[:, 3] >= 0).all()
    assert (person[:, 3] <= 1).all()
    assert [len(found) for found in hands] == [2] * 6
    for hand in hands[-1]:
        assert hand.points.shape == hand.world.shape == (21, 3)
        assert 0.05 < np.ptp(hand.world, axis=0).max() < 0.25  # metres
        assert 0.5 < hand.score <= 1
        wrists = {"left": person[15, :2], "right": person[16, :2]}
        near = min(wrists, key=lambda side: float(np.linalg.norm(wrists[side] - hand.points[0, :2])))
        assert hand.side == near
    assert capfd.readouterr() == ("", "")


def test_task_bundles_have_the_same_bytes_every_time() -> None:
    first = mediapipe.build_pose_bundle()
    mediapipe.build_pose_bundle.cache_clear()
    assert mediapipe.build_pose_bundle() == first


def test_a_failing_landmarker_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediapipe, "build_pose_bundle", lambda *_: b"not a bundle")
    with pytest.raises(ModelError, match="PoseLandmarker"), mediapipe.open_pose_landmarker():
        pass
