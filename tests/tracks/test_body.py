"""Boxes and body points there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from deemo_data.tracks.body import Body, read_body, write_body
from deemo_data.tracks.faces import FACE_COLUMNS, read_faces, write_faces


def body(frames: int = 5, people: int = 1) -> Body:
    rng = np.random.default_rng(0)
    points = rng.random((frames, people, 75, 3), np.float32)
    points[1:2] = np.nan
    confidence = rng.random((frames, people, 75), np.float32)
    confidence[1:2] = 0
    return Body(points, confidence)


def test_a_body_comes_back(tmp_path: Path) -> None:
    for made in (body(), body(3, 2), body(0)):
        write_body(made, tmp_path / "body.parquet")
        back = read_body(tmp_path / "body.parquet")
        assert back.points.dtype == back.confidence.dtype == np.float32
        np.testing.assert_allclose(back.points, made.points, atol=5e-4)  # half a float16 step at 1
        np.testing.assert_allclose(back.confidence, made.confidence, atol=5e-4)


def test_the_same_body_makes_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_body(body(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_public_body_has_no_face(tmp_path: Path) -> None:
    made = body()
    public = made.without_face()
    assert public.points.shape == (5, 1, 64, 3)
    assert public.confidence.shape == (5, 1, 64)
    np.testing.assert_array_equal(public.points, made.points[:, :, 11:])
    np.testing.assert_array_equal(public.confidence[:, :, 0], made.confidence[:, :, 11])


def test_faces_come_back_in_order(tmp_path: Path) -> None:
    rows = [
        (3, 0, 1.0, 2.0, 3.0, 4.0, 0.9, "held"),
        (1, 1, 1.5, 2.0, 3.0, 4.0, 0.5, "detected"),
        (1, 0, 0.0, 0.0, 1.0, 1.0, 0.0, "pose"),
    ]
    faces = pd.DataFrame(rows, columns=list(FACE_COLUMNS))
    write_faces(faces, tmp_path / "faces.parquet")
    back = read_faces(tmp_path / "faces.parquet")
    assert list(back.columns) == list(FACE_COLUMNS)
    assert list(zip(back["frame"], back["track"], strict=True)) == [(1, 0), (1, 1), (3, 0)]
    assert back["origin"].tolist() == ["pose", "detected", "held"]


def test_no_faces_at_all(tmp_path: Path) -> None:
    write_faces(pd.DataFrame([], columns=list(FACE_COLUMNS)), tmp_path / "faces.parquet")
    assert len(read_faces(tmp_path / "faces.parquet")) == 0
