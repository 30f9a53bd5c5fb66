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
from deemo_data.stages.deidentify.publish_body import PublishBody, find_foreign_hands, normalise_place, smooth_points
from deemo_data.tracks import linking
from deemo_data.tracks.body import Body, read_body, write_body
from deemo_data.tracks.faces import write_faces
from deemo_data.tracks.skeleton import PUBLIC
from tests.makers.gestures import PERSON, flat_hand

WIDE, HIGH = 640, 480


def person(frames: int = 30, seed: int = 0, scale: float = 1.0, at: tuple[float, float] = (0.5, 0.3)) -> Body:
    """A made-up body with its face and both hands, in shares of the picture, that waves; each seed is another build."""
    rng = np.random.default_rng(seed)
    pose = np.array([PERSON[n] for n in range(33)], float)
    pose += rng.normal(0, 0.03, pose.shape)
    wave = 0.15 * np.sin(np.arange(frames) / 5)[:, None, None] * rng.normal(0, 1, (1, 2, 2))
    shape = np.tile(pose, (frames, 1, 1))
    shape[:, 11:13] = [[0.5, 0], [-0.5, 0]]
    shape[:, 15:17] += wave - np.array([0, 0.5])
    hands = [flat_hand((0, 0), (0.2, 1.0), 0.25) + shape[:, None, 15 + side] for side in (0, 1)]
    pixels = np.concatenate([shape, *hands], axis=1) * 120 * scale + [at[0] * WIDE, at[1] * HIGH]
    deep = np.broadcast_to(rng.normal(0, 60, 75) * scale, pixels.shape[:2])
    points = np.concatenate([pixels / [WIDE, HIGH], deep[..., None] / WIDE], axis=-1).astype(np.float32)[:, None]
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


@pytest.mark.parametrize("mode", ["none", "place", "limbs"])
def test_there_are_no_face_points(tmp_path: Path, mode: str) -> None:
    body, facts = published(person(), tmp_path, normalise=mode)
    assert body.points.shape == (30, 1, 64, 3)
    assert np.isfinite(body.points).all()
    assert facts == {"body_unit": "picture" if mode == "none" else "shoulders", "publish_body_notices": []}


def test_frames_in_which_the_pose_is_on_somebody_else_are_empty(tmp_path: Path) -> None:
    body = person()
    head = np.nanmean(body.points[:, 0, :11, :2] * [WIDE, HIGH], axis=1)

    def box(frame: int, track: int, x: float, y: float) -> linking.Row:
        return (frame, track, x - 80, y - 80, x + 80, y + 80, 0.9, "detected")

    faces = [box(f, 0 if f < 20 else 1, *head[f]) for f in range(30)]
    for mode in ("none", "place", "limbs"):
        seen, facts = published(body, tmp_path, faces=faces, normalise=mode, smooth=0)
        assert np.isfinite(seen.points[:20]).all()
        assert np.isnan(seen.points[20:]).all()
        assert (seen.confidence[20:] == 0).all()
        (notice,) = facts["publish_body_notices"]
        assert notice["kind"] == "body_of_others_left_out"
        assert "10 of 30 frames" in notice["text"]


def test_turned_so_that_how_the_shoulders_are_held_does_not_show(tmp_path: Path) -> None:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    body = person()
    size = np.array([WIDE, HIGH, WIDE])
    tilted = Body((body.points * size @ turn / size).astype(np.float32), body.confidence)
    one, other = (published(b, tmp_path, normalise="limbs")[0].points for b in (body, tilted))
    assert np.allclose(one[..., :2], other[..., :2], atol=0.02)
    line = np.median(one[:, 0, 0] - one[:, 0, 1], axis=0)
    assert np.allclose(line[:2], [1, 0], atol=0.01)


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


@given(scale=st.floats(0.3, 2), x=st.floats(0.1, 0.9), y=st.floats(0.1, 0.9))
def test_where_and_how_large_somebody_is_does_not_show(scale: float, x: float, y: float) -> None:
    here, there = (normalise_place(b.without_face(), WIDE, HIGH) for b in (person(), person(scale=scale, at=(x, y))))
    assert np.allclose(here.points, there.points, atol=2e-3)


def test_placed_is_in_shoulder_widths_around_their_middle() -> None:
    points = normalise_place(person().without_face(), WIDE, HIGH).points
    assert np.allclose(points[:, 0, [0, 1], :2].mean(axis=1), 0, atol=1e-3)
    assert np.allclose(np.linalg.norm(points[:, 0, 0, :2] - points[:, 0, 1, :2], axis=-1), 1, atol=1e-3)
    assert np.abs(points).max() < 100, "float16 holds it"


@pytest.mark.parametrize("mode", ["place", "limbs"])
def test_no_shoulders_no_track_and_that_is_told(tmp_path: Path, mode: str) -> None:
    hidden = person()
    hidden.points[:, :, 12] = np.nan
    body, facts = published(hidden, tmp_path, normalise=mode)
    assert np.isnan(body.points).all()
    assert not body.confidence.any()
    assert [n["kind"] for n in facts["publish_body_notices"]] == ["body_without_shoulders"]


@pytest.mark.parametrize("smooth", [0, 3])
def test_hands_begin_at_their_wrists(tmp_path: Path, smooth: int) -> None:
    body, _ = published(person(), tmp_path, smooth=smooth)
    for root, wrist in zip(PUBLIC.hands, PUBLIC.wrists, strict=True):
        assert np.array_equal(body.points[:, 0, root], body.points[:, 0, wrist])


def test_the_same_track_gives_the_same_file(tmp_path: Path) -> None:
    published(person(), tmp_path)
    first = (tmp_path / "body.parquet").read_bytes()
    published(person(), tmp_path)
    assert (tmp_path / "body.parquet").read_bytes() == first


# ── hands that are not the subject's ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["none", "place", "limbs"])
def test_a_hand_far_from_the_wrist_is_left_out_and_counted(tmp_path: Path, mode: str) -> None:
    body = person()
    body.points[5:9, :, 33:54, 0] += 100 / WIDE  # 120 px are a shoulder width
    body.points[7:12, :, 54:75, 1] -= 100 / HIGH
    seen, facts = published(body, tmp_path, normalise=mode, smooth=0)
    assert np.isnan(seen.points[5:9, 0, 22:43]).all()
    assert np.isnan(seen.points[7:12, 0, 43:]).all()
    assert not seen.confidence[5:9, 0, 22:43].any()
    kept = np.ones((30, 64), bool)
    kept[5:9, 22:43] = kept[7:12, 43:] = False
    assert np.isfinite(seen.points[:, 0][kept]).all()
    (notice,) = facts["publish_body_notices"]
    assert notice["kind"] == "hands_of_others_left_out"
    assert notice["text"].startswith("9 hands in 7 of 30 frames")


@pytest.mark.parametrize(("px", "sure", "foreign"), [(60, 1.0, False), (84, 1.0, True), (84, 0.3, False), (160, 0.3, True)])
def test_a_wrist_that_is_guessed_may_be_further_from_its_hand(px: float, sure: float, foreign: bool) -> None:
    body = person()
    body.points[:, :, 33:54, 0] += px / WIDE
    body.confidence[:, :, 15] = sure
    found = find_foreign_hands(body, WIDE, HIGH)
    assert found[:, 33:54].all() == found[:, 33:54].any() == foreign
    assert not found[:, :33].any()
    assert not found[:, 54:].any()


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
