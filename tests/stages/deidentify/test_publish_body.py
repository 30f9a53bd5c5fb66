"""What of the body is published: the subject's, faceless, steady, and built like everybody's."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.stages.deidentify import publish_body
from deemo_data.stages.deidentify.publish_body import PublishBody, normalise_limbs, normalise_place, smooth_points
from deemo_data.tracks import linking, skeleton
from deemo_data.tracks.body import Body, read_body, write_body
from deemo_data.tracks.faces import write_faces

WIDE, HIGH = 640, 480


def person(frames: int = 30, seed: int = 0, scale: float = 1.0, at: tuple[float, float] = (0.5, 0.4)) -> Body:
    """A made-up body with its face, in shares of the picture, that waves; each seed is another build."""
    rng = np.random.default_rng(seed)
    shape = rng.normal(0, 60, (75, 3))
    shape[11:13] = [[-70, 0, 0], [70, 0, 10]]  # the shoulders
    shape[23:25] = [[-45, 180, 0], [45, 180, 0]]  # the hips
    wave = 20 * np.sin(np.arange(frames) / 5)[:, None, None] * rng.normal(0, 1, (1, 75, 3))
    wave[:, 11:13] = 0
    pixels = (shape[None] + wave) * scale + [at[0] * WIDE, at[1] * HIGH, 0]
    points = (pixels / [WIDE, HIGH, WIDE]).astype(np.float32)[:, None]
    return Body(points, np.ones(points.shape[:3], np.float32))


def published(
    body: Body, tmp_path: Path, whose: str = "subject", faces: list[linking.Row] | None = None, **how: Any
) -> tuple[Body, dict[str, Any]]:
    """What is published of a body; faces of track 0 are the subject's, others not."""
    write_body(body, tmp_path / "all.parquet")
    write_faces(linking.rows_to_table(faces or []), tmp_path / "faces.parquet")
    roles = {str(row[1]): "subject" if row[1] == 0 else "bystander" for row in faces or []}
    (tmp_path / "roles.json").write_text(json.dumps({"speakers": {}, "faces": roles, "body": whose}))
    frames = len(body.points)
    fact = Grid(Fraction(25), False, Fraction(0), frames, WIDE, HIGH).to_fact()
    names = {"body": "all.parquet", "roles": "roles.json", "faces": "faces.parquet"}
    files = {n: File.of(tmp_path / f) for n, f in names.items()}
    facts = PublishBody(**how)(Clip("a", "a", 0, frames * 40, files, {"grid": fact}), tmp_path)
    return read_body(tmp_path / "body.parquet"), facts


def lengths(points: np.ndarray, a: int, b: int) -> np.ndarray:
    return np.linalg.norm(points[:, 0, a] - points[:, 0, b], axis=-1)


@pytest.mark.parametrize("mode", ["none", "place", "limbs"])
def test_there_are_no_face_points(tmp_path: Path, mode: str) -> None:
    body, facts = published(person(), tmp_path, normalise=mode)
    assert body.points.shape == (30, 1, 64, 3)
    assert np.isfinite(body.points).all()
    assert facts == {"body_unit": "picture" if mode == "none" else "shoulders"}


def test_frames_in_which_the_pose_is_on_somebody_else_are_empty(tmp_path: Path) -> None:
    body = person()
    head = np.nanmean(body.points[:, 0, :11, :2] * [WIDE, HIGH], axis=1)

    def box(frame: int, track: int, x: float, y: float) -> linking.Row:
        return (frame, track, x - 80, y - 80, x + 80, y + 80, 0.9, "detected")

    faces = [box(f, 0 if f < 20 else 1, *head[f]) for f in range(30)]
    seen, _ = published(body, tmp_path, faces=faces, normalise="none", smooth=0)
    assert np.isfinite(seen.points[:20]).all()
    assert np.isnan(seen.points[20:]).all()
    assert (seen.confidence[20:] == 0).all()


def test_turned_so_that_how_the_shoulders_are_held_does_not_show(tmp_path: Path) -> None:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    body = person()
    size = np.array([WIDE, HIGH, WIDE])
    tilted = Body((body.points * size @ turn / size).astype(np.float32), body.confidence)
    one, other = (published(b, tmp_path, normalise="limbs")[0].points for b in (body, tilted))
    assert np.allclose(one, other, atol=0.02)
    line = np.median(one[:, 0, 0] - one[:, 0, 1], axis=0)
    assert np.allclose(line, [1, 0, 0], atol=0.01)


def test_as_it_is(tmp_path: Path) -> None:
    body, _ = published(person(), tmp_path, normalise="none", smooth=0)
    assert np.array_equal(body.points, person().without_face().points.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("mode", ["none", "place", "limbs"])
def test_a_body_that_is_not_the_subjects_is_not_published(tmp_path: Path, mode: str) -> None:
    body, _ = published(person(), tmp_path, whose="other", normalise=mode)
    assert body.points.shape == (30, 1, 64, 3)
    assert np.isnan(body.points).all()
    assert not body.confidence.any()


def test_only_one_person_is_published(tmp_path: Path) -> None:
    both = [person(seed=0), person(seed=1)]
    two = Body(*(np.concatenate([getattr(b, n) for b in both], axis=1) for n in ("points", "confidence")))
    body, _ = published(two, tmp_path, normalise="none", smooth=0)
    alone, _ = published(both[0], tmp_path, normalise="none", smooth=0)
    assert np.array_equal(body.points, alone.points)


# ── place and limbs ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["place", "limbs"])
@given(scale=st.floats(0.3, 2), x=st.floats(0.1, 0.9), y=st.floats(0.1, 0.9))
def test_where_and_how_large_somebody_is_does_not_show(mode: str, scale: float, x: float, y: float) -> None:
    here, there = (normalise_place(b.without_face(), WIDE, HIGH) for b in (person(), person(scale=scale, at=(x, y))))
    if mode == "limbs":
        here, there = (Body(normalise_limbs(b), b.confidence) for b in (here, there))
    assert np.allclose(here.points, there.points, atol=2e-3)


def test_placed_is_in_shoulder_widths_around_their_middle() -> None:
    points = normalise_place(person().without_face(), WIDE, HIGH).points
    assert np.allclose(points[:, 0, [0, 1], :2].mean(axis=1), 0, atol=1e-3)
    assert np.allclose(np.linalg.norm(points[:, 0, 0, :2] - points[:, 0, 1, :2], axis=-1), 1, atol=1e-3)
    assert np.abs(points).max() < 100, "float16 holds it"


def test_no_shoulders_no_track(tmp_path: Path) -> None:
    hidden = person()
    hidden.points[:, :, 12] = np.nan
    body, _ = published(hidden, tmp_path, normalise="place")
    assert np.isnan(body.points).all()


@given(seed=st.integers(0, 50))
def test_everybody_has_the_same_bones(seed: int) -> None:
    points = normalise_limbs(normalise_place(person(seed=seed).without_face(), WIDE, HIGH))
    for starts, ends, length in publish_body.BODY_BONE_LENGTHS:
        for a, b in zip(starts, ends, strict=True):
            assert np.median(lengths(points, a, b)) == pytest.approx(length, rel=0.01)
    for root in skeleton.PUBLIC.hands:
        for finger, table in enumerate(publish_body.FINGER_BONE_LENGTHS):
            chain = [root, *range(root + 1 + 4 * finger, root + 5 + 4 * finger)]
            for a, b, length in zip(chain[:-1], chain[1:], table, strict=True):
                assert np.median(lengths(points, a, b)) == pytest.approx(length, rel=0.02)
    assert np.median(lengths(points, 0, 1)) == pytest.approx(1, rel=0.01)


def test_bones_keep_their_direction_and_movement_stays() -> None:
    body = normalise_place(person().without_face(), WIDE, HIGH)
    before, after = body.points[:, 0], normalise_limbs(body)[:, 0]
    for a, b in ((0, 2), (2, 4), (13, 15), (22, 27), (31, 32)):
        was, now = before[:, b] - before[:, a], after[:, b] - after[:, a]
        ratio = np.linalg.norm(now, axis=1) / np.linalg.norm(was, axis=1)
        assert np.allclose(now, was * ratio[:, None], atol=1e-4)
        assert np.ptp(ratio) < 1e-3, "one factor for the whole clip"


def test_bones_that_are_not_seen_stay_away() -> None:
    body = normalise_place(person().without_face(), WIDE, HIGH)
    body.points[5:9, :, 22:43] = np.nan
    body.points[:, :, 20] = np.nan
    points = normalise_limbs(body)
    assert np.isnan(points[5:9, 0, 22:43]).all()
    assert np.isnan(points[:, 0, 20]).all()
    rest = np.ones(64, bool)
    rest[[20, *range(22, 43)]] = False
    assert np.isfinite(points[:, 0, rest]).all()
    assert np.isfinite(points[9:, 0, 22:43]).all()


def test_a_hand_without_its_arm_is_still_there() -> None:
    body = normalise_place(person().without_face(), WIDE, HIGH)
    body.points[:, :, :22][:, :, 4] = np.nan
    points = normalise_limbs(body)
    assert np.isfinite(points[:, 0, 22:43]).all()


# ── smoothing ────────────────────────────────────────────────────────────────────────────────────────────────


def test_shaking_goes_and_slow_movement_stays_where_it_was() -> None:
    t = np.arange(100)
    slow, shake = np.sin(t / 12), 0.05 * (-1.0) ** t
    points = (slow + shake).astype(np.float32)[:, None, None, None].repeat(3, axis=-1)
    smooth = smooth_points(points, 1)[:, 0, 0, 0]
    assert np.abs(smooth[2:-2] - slow[2:-2]).max() < 0.004
    assert np.argmax(smooth) == np.argmax(slow)


@given(first=st.integers(0, 20), length=st.integers(1, 10), times=st.integers(1, 4))
def test_nothing_is_smeared_into_a_gap_or_over_it(first: int, length: int, times: int) -> None:
    points = np.zeros((30, 1, 1, 3), np.float32)
    points[first + length :] = 1
    points[first : first + length] = np.nan
    smooth = smooth_points(points, times)
    assert np.array_equal(np.isnan(smooth), np.isnan(points))
    assert np.nanmax(np.abs(smooth[:first]), initial=0) == 0
    assert np.nanmin(smooth[first + length :], initial=1) == 1


def test_not_smoothed_means_untouched() -> None:
    points = np.random.default_rng(0).random((9, 1, 4, 3)).astype(np.float32)
    assert np.array_equal(smooth_points(points, 0), points)
    assert smooth_points(points[:1], 2).shape == (1, 1, 4, 3)
    assert smooth_points(points[:2], 2).shape == (2, 1, 4, 3)
