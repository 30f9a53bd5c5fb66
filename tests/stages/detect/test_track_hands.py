"""Only the stretches in which a hand is near a face are looked at, and what the mirror shows is turned back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.media import encode
from deemo_data.stages.detect.track_body import TrackBody
from deemo_data.stages.detect.track_hands import TrackHands, find_frames_near_faces, unmirror_hand, widen_to_ranges
from deemo_data.tracks import faces, hands
from deemo_data.tracks.body import Body, write_body
from deemo_data.tracks.hands import DetectedHand


@given(st.sets(st.integers(0, 99), max_size=20), st.integers(0, 15))
def test_stretches_hold_each_frame_and_its_surroundings_once(frames: set[int], lead: int) -> None:
    spans = widen_to_ranges(frames, 100, lead)
    there = [f for span in spans for f in span]
    assert there == sorted(set(there))
    assert set(there) == {g for f in frames for g in range(max(0, f - lead), min(100, f + lead + 1))}


def test_a_hand_in_the_mirror() -> None:
    points = np.array([(0.2, 0.3, 0.1)] * 21, np.float32)
    seen = unmirror_hand(DetectedHand(points, points, "left", 0.9))
    np.testing.assert_allclose(seen.points[0], (0.8, 0.3, 0.1))
    np.testing.assert_allclose(seen.world[0], (-0.2, 0.3, 0.1))
    assert seen.side == "right"
    back = unmirror_hand(seen)
    np.testing.assert_allclose(back.points, points, atol=1e-6)


def body_of(count: int) -> Body:
    return Body(np.full((count, 1, 75, 3), np.nan, np.float32), np.zeros((count, 1, 75), np.float32))


def test_a_hand_or_the_end_of_an_arm_near_a_face() -> None:
    body = body_of(4)
    boxes = {f: np.array([[100, 100, 200, 200]], np.float32) for f in range(4)}
    body.points[1, 0, 33:54, :2] = (225 / 640, 150 / 480)  # beside the box: within it when it is grown
    body.points[2, 0, 33:54, :2] = (400 / 640, 150 / 480)
    body.points[3, 0, 16, :2], body.confidence[3, 0, 16] = (150 / 640, 150 / 480), 0.9  # no hand was found, but a wrist
    assert find_frames_near_faces(body, boxes, 640, 480, 1.6) == {1, 3}
    assert find_frames_near_faces(body, boxes, 640, 480, 1.0) == {3}
    body.confidence[3, 0, 16] = 0.3
    assert find_frames_near_faces(body, boxes, 640, 480, 1.6) == {1}
    assert find_frames_near_faces(body, {}, 640, 480, 1.6) == set()


def made_up(tmp_path: Path, count: int = 10) -> Clip:
    grid = Grid(Fraction(25), False, Fraction(0), count, 64, 48)
    encode.write_video(tmp_path / "film.mp4", [np.full((72, 64), 128, np.uint8)] * count, grid, 20, "ultrafast")
    write_body(body_of(count), tmp_path / "body.parquet")
    rows = [(f, 0, 10.0, 10.0, 30.0, 30.0, 0.9, "detected") for f in range(count)]
    faces.write_faces(pd.DataFrame(rows, columns=list(faces.FACE_COLUMNS)), tmp_path / "faces.parquet")
    one = DetectedHand(np.full((21, 3), 0.9, np.float32), np.ones((21, 3), np.float32), "left", 0.9)
    hands.write_hands([(f, 0, [one]) for f in range(count)], tmp_path / "hands.parquet")
    files = {n: File.of(tmp_path / f"{n}.parquet") for n in ("body", "hands", "faces")} | {
        "source": File.of(tmp_path / "film.mp4")
    }
    return Clip("c", "c", 0, grid.ms_at(count), files, {"grid": grid.to_fact()})


@pytest.mark.parametrize("stage", [TrackHands(), TrackHands(detector="none")])
def test_without_hands_at_faces_no_model_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: TrackHands) -> None:
    from deemo_data.models import mediapipe

    monkeypatch.delattr(mediapipe, "open_hand_landmarker")
    assert stage(made_up(tmp_path), tmp_path) == {}
    assert hands.read_hands(tmp_path / "hand_looks.parquet", 64, 48) == ({}, {})


def test_both_looks_see_the_hand_at_the_mouth(media: Path, weights: Path, tmp_path: Path) -> None:
    from deemo_data.media import probe

    path = media / "video" / "asl_eat.mkv"
    clip = Clip("c", "c", 0, 1000, {"source": File.of(path)}, probe.probe_video(path))
    body = body_of(30)
    body.points[18:28, 0, 33:54, :2] = (310 / 640, 160 / 480)
    write_body(body, tmp_path / "body.parquet")
    rows = [(f, 0, 275.0, 90.0, 345.0, 175.0, 0.9, "detected") for f in range(30)]
    faces.write_faces(pd.DataFrame(rows, columns=list(faces.FACE_COLUMNS)), tmp_path / "faces.parquet")
    (tmp_path / "t").mkdir()
    TrackBody()(clip, tmp_path / "t")
    clip = clip.with_results({n: File.of(tmp_path / f"{n}.parquet") for n in ("body", "faces")}, {})
    TrackHands(lead=3)(clip.with_results({"hands": File.of(tmp_path / "t" / "hands.parquet")}, {}), tmp_path)
    looks = hands.read_hands(tmp_path / "hand_looks.parquet", 640, 480)
    seen, none = hands.read_hands(tmp_path / "t" / "hands.parquet", 640, 480)
    assert none == {}
    assert min(seen) < 15 < max(seen)
    assert {f: [h.points.tolist() for h in found] for f, found in looks[0].items()} == {
        f: [h.points.tolist() for h in found] for f, found in seen.items() if 15 <= f <= 30
    }, "the first look is the one that was taken for the body"
    assert all(min(look) >= 15 for look in looks), "frames before the stretch were not looked at"
    both = [f for f in range(18, 28) if f in looks[0] and f in looks[1]]
    assert len(both) >= 8
    assert np.median([hands.measure_distance_mm(looks[0][f][0], looks[1][f][0]) for f in both]) < 15
