"""A standard figure does what a person does: contacts are kept, lengths are everybody's, and nothing is made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.stages.figure import standard
from deemo_data.stages.figure.retarget import retarget_body
from deemo_data.tracks.body import Body
from deemo_data.tracks.skeleton import FINGERS, PUBLIC
from tests.makers.contacts import PLACES, RELEASED_HEAD, Contacts, f1, find_contacts, share_kept
from tests.makers.figures import HEIGHT, POSE_FRAMES, REST_FRAMES, WIDTH, Build, Pose, act

ON_BODY = [place for place in PLACES if "elbow" not in place]
BUILDS = (
    Build(), Build(shoulder_px=70, neck=0.54, head=0.19, trunk=1.3, upper_arm=0.75, forearm=0.68),
    Build(shoulder_px=300, neck=0.7, head=0.17, trunk=1.75, upper_arm=0.98, forearm=0.85, palm=0.3),
    Build(tilt=0.3, head_turn=0.5), Build(tilt=-0.25, head_turn=-0.6, palm=0.22),
)  # fmt: skip
FIRST_POSE = slice(REST_FRAMES, REST_FRAMES + POSE_FRAMES)


def retarget(body: Body) -> Body:
    points = retarget_body(body, WIDTH, HEIGHT)
    return Body(points, np.where(np.isfinite(points[..., 0]), body.confidence[:, :, 11:], 0))


def contacts_of(body: Body, clear: float = 1.0) -> Contacts:
    return find_contacts(body, retarget(body), WIDTH, HEIGHT, clear)


def random_build(rng: np.random.Generator) -> Build:
    return Build(
        shoulder_px=rng.uniform(60, 300), neck=rng.uniform(0.5, 0.7), head=rng.uniform(0.16, 0.22), trunk=rng.uniform(1.25, 1.75),
        upper_arm=rng.uniform(0.72, 1.0), forearm=rng.uniform(0.64, 0.88), palm=rng.uniform(0.21, 0.31),
        tilt=rng.uniform(-0.3, 0.3), head_turn=rng.choice([0, rng.uniform(-0.6, 0.6)]),
    )  # fmt: skip


# ── contacts ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_readers_find_the_head_where_it_was_meant() -> None:
    assert RELEASED_HEAD == standard.HEAD_POINTS
    page = " ".join((Path(__file__).parents[3] / "docs" / "data.md").read_text("utf-8").split())
    for index, name in ((7, "ears at"), (2, "eyes at"), (0, "nose at"), (9, "corners of the mouth at")):
        x, y = RELEASED_HEAD[index]
        assert f"{name} ({f'±{x}' if x else '0'}, −{abs(y):.3f}".rstrip("0") in page


@pytest.mark.parametrize("build", BUILDS, ids=range(len(BUILDS)))
@pytest.mark.parametrize("place", ON_BODY)
def test_a_hand_stays_at_its_place(build: Build, place: str) -> None:
    kept = contacts_of(act(build, [Pose(left=(place, 0, 0)), Pose(right=(place, 0, 0))]), clear=1.6)
    assert kept.hand
    assert share_kept(kept.hand) == 1


@pytest.mark.parametrize("build", BUILDS, ids=range(len(BUILDS)))
def test_arms_crossed_lie_on_the_other_elbow(build: Build) -> None:
    kept = contacts_of(act(build, [Pose(left=("right elbow", 0, 0)), Pose(right=("left elbow", 0, 0))]))
    assert len(kept.hand) == 2 * POSE_FRAMES
    assert share_kept(kept.hand) == 1


def test_contacts_of_many_builds_survive() -> None:
    rng, every, clear = np.random.default_rng(1), Contacts(), Contacts()
    for seed in range(16):
        poses = []
        for place in ON_BODY:
            target = (place, *rng.uniform(-0.08, 0.08, 2))
            poses.append(Pose(right=target) if rng.random() < 0.5 else Pose(left=target))
        poses += [Pose((place, 0.1, 0), (place, -0.1, 0)) for place in ("chest", "belly", "chin")]
        poses.append(Pose(("belly", 0.5, 0), ("belly", -0.5, 0)))
        body = act(random_build(rng), poses, seed)
        every.add(contacts_of(body))
        clear.add(contacts_of(body, clear=1.5))
    assert share_kept(every.hand) >= 0.9
    assert share_kept(clear.hand) >= 0.95
    assert share_kept(clear.index_tip) >= 0.9
    assert f1(every.head) >= 0.95
    assert f1(every.together) >= 0.95
    assert any(a for a, _ in every.together)
    assert not all(a for a, _ in every.together)


@pytest.mark.parametrize("build", BUILDS, ids=range(len(BUILDS)))
def test_clasped_hands_are_as_far_apart_as_they_were(build: Build) -> None:
    body = act(build, [Pose(("chest", 0.12, 0), ("chest", -0.12, 0)), Pose(("belly", 0.45, 0), ("belly", -0.45, 0))])
    pixels, now = body.points[:, 0, 33:, :2] * [WIDTH, HEIGHT], retarget(body).points[:, 0, 22:, :2]
    hands_wide = build.palm / standard.PALM_LENGTH  # of the person, against the figure's
    gaps = []
    for frame in (FIRST_POSE.start, FIRST_POSE.stop):
        was = np.linalg.norm(pixels[frame, :21, None] - pixels[frame, None, 21:], axis=-1).min() / build.shoulder_px
        gap = np.linalg.norm(now[frame, :21, None] - now[frame, None, 21:], axis=-1).min()
        gaps.append((was / hands_wide, gap))
    assert gaps[0][1] == pytest.approx(gaps[0][0], abs=0.05)
    assert gaps[1][1] > 0.3


def test_a_hand_on_a_turned_head_is_on_the_ear_that_is_seen() -> None:
    for turn, ear in ((0.95, "right ear"), (-0.95, "left ear")):
        body = act(Build(head_turn=turn), [Pose(right=(ear, 0, 0)) if turn > 0 else Pose(left=(ear, 0, 0))])
        side = 0 if ear == "left ear" else 1
        body.points[:, 0, 7 + side, 2], body.points[:, 0, 8 - side, 2] = -0.1, 0.1  # the other ear is behind the head
        points = retarget(body).points[FIRST_POSE, 0]
        middle = points[:, PUBLIC.hands[side] : PUBLIC.hands[side] + 21, :2].mean(axis=1) - points[:, [0, 1], :2].mean(axis=1)
        assert np.linalg.norm(middle - RELEASED_HEAD[7 + side], axis=1).max() < 0.15


# ── lengths ──────────────────────────────────────────────────────────────────────────────────────────────────

POSES = [Pose(right=("chin", 0.05, 0)), Pose(("chest", 0.1, 0.1), ("chest", -0.1, 0)), Pose(left=("right elbow", 0, 0))]


@pytest.mark.parametrize("build", BUILDS, ids=range(len(BUILDS)))
def test_bones_of_the_body_have_the_same_length_in_every_frame(build: Build) -> None:
    points = retarget(act(build, POSES)).points[:, 0].astype(float)

    def lengths(start: int, end: int) -> np.ndarray:
        return np.linalg.norm(points[:, start] - points[:, end], axis=-1)

    joined = [(PUBLIC.shoulders, 1.0), (PUBLIC.hips, standard.HIP_WIDTH)]
    joined += [(bone, standard.UPPER_ARM_LENGTH) for bone in PUBLIC.upper_arms]
    joined += [(bone, standard.FOREARM_LENGTH) for bone in PUBLIC.forearms]
    for (start, end), length in joined:
        assert lengths(start, end) == pytest.approx(length, abs=1e-3)
    for starts, ends, length in (*standard.POSE_FINGER_BONES, *standard.LEG_BONES):
        for start, end in zip(starts, ends, strict=True):
            assert lengths(start - 11, end - 11) == pytest.approx(length, abs=1e-3)
    trunk = points[:, PUBLIC.hips].mean(axis=1) - points[:, PUBLIC.shoulders].mean(axis=1)
    assert np.linalg.norm(trunk, axis=1) == pytest.approx(standard.TRUNK_LENGTH, abs=1e-3)


def test_bones_of_the_hand_are_never_longer_and_in_the_median_as_long() -> None:
    points = retarget(act(BUILDS[2], POSES)).points[:, 0].astype(float)
    for root in PUBLIC.hands:
        for finger, wanted in zip(FINGERS, standard.FINGER_BONE_LENGTHS, strict=True):
            chain = [root, *(root + joint for joint in finger)]
            for start, end, length in zip(chain[:-1], chain[1:], wanted, strict=True):
                own = np.linalg.norm(points[:, start] - points[:, end], axis=-1)
                assert np.nanmax(own) <= length + 1e-3
                assert np.nanmedian(own) == pytest.approx(length, abs=1e-3)


@pytest.mark.parametrize("build", BUILDS, ids=range(len(BUILDS)))
def test_a_hand_begins_at_its_wrist(build: Build) -> None:
    points = retarget(act(build, POSES)).points[:, 0]
    for root, wrist in zip(PUBLIC.hands, PUBLIC.wrists, strict=True):
        seen = np.isfinite(points[:, root, 0])
        assert seen.any()
        assert np.array_equal(points[seen, root], points[seen, wrist])


def test_two_builds_in_one_pose_look_alike() -> None:
    one, other = (retarget(act(build, POSES)).points[:, 0, :, :2] for build in (BUILDS[1], BUILDS[2]))
    apart = np.linalg.norm(one - other, axis=-1)
    assert apart[:, [*PUBLIC.shoulders, *PUBLIC.wrists, *PUBLIC.hips]].max() < 0.1
    assert np.median(apart[:, PUBLIC.elbows]) < 0.03
    assert apart[:, PUBLIC.elbows].max() < 0.5, "elbows follow the person's, whose arms are of another length"


# ── what must not matter ─────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=10)
@given(scale=st.floats(0.3, 3), x=st.floats(-0.5, 1.5), y=st.floats(-0.5, 1.5), tilt=st.floats(-1.2, 1.2))
def test_camera_distance_place_and_tilt_change_nothing(scale: float, x: float, y: float, tilt: float) -> None:
    here = retarget(act(Build(), POSES)).points
    there = retarget(act(Build(shoulder_px=180 * scale, tilt=tilt), POSES, at=(x, y))).points
    assert np.allclose(here[..., :2], there[..., :2], atol=3e-3, equal_nan=True)


@settings(max_examples=10)
@given(factor=st.floats(0.05, 20), seed=st.integers(0, 99))
def test_how_deep_the_z_lies_changes_nothing(factor: float, seed: int) -> None:
    body = act(Build(), POSES)
    deeper = body.points.copy()
    deeper[:, :, :33, 2] *= factor
    other_seed = act(Build(), POSES, seed).points
    one, same_signs, noise = (retarget(Body(p, body.confidence)).points for p in (body.points, deeper, other_seed))
    assert np.array_equal(one[..., :2], same_signs[..., :2], equal_nan=True)
    assert np.abs(same_signs[..., 2] - np.nan_to_num(one[..., 2])).max(initial=0, where=np.isfinite(same_signs[..., 2])) < 3.5
    body_points = slice(0, 22)
    assert np.array_equal(one[:, :, body_points, :2], noise[:, :, body_points, :2]) or np.allclose(
        one[:, :, body_points, :2], noise[:, :, body_points, :2], atol=0.08
    )


def test_seen_from_behind_the_figure_is_upright() -> None:
    body = act(Build(), POSES)
    body.points[..., 0] = 1 - body.points[..., 0]  # the person's left is on the left
    points = retarget(body).points[:, 0]
    assert np.median(points[:, PUBLIC.hips, 1]) == pytest.approx(standard.TRUNK_LENGTH, abs=0.02)
    assert (points[:, PUBLIC.shoulders[0], 0] < points[:, PUBLIC.shoulders[1], 0]).all()


def test_how_somebody_sits_does_not_show_and_leaning_does() -> None:
    upright, crooked = act(Build(), POSES), act(Build(), POSES)
    crooked.points[:, :, 23:33, 0] += 40 / WIDTH  # hips aside in all frames
    one, other = (retarget(b).points[:, 0][:, list(PUBLIC.hips), :2] for b in (upright, crooked))
    assert np.allclose(one, other, atol=0.02)
    leaning = act(Build(), POSES)
    leaning.points[FIRST_POSE, :, 23:33, 0] += 40 / WIDTH
    moved = retarget(leaning).points[FIRST_POSE, 0][:, list(PUBLIC.hips), 0].mean() - one[:, :, 0].mean()
    assert moved > 0.1


def test_the_same_track_gives_the_same_bytes() -> None:
    body = act(Build(), POSES, seed=3)
    assert retarget(body).points.tobytes() == retarget(Body(body.points.copy(), body.confidence.copy())).points.tobytes()


# ── gaps ─────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_no_nan_becomes_a_number_and_no_number_far_from_a_gap_is_lost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    body = act(BUILDS[seed % len(BUILDS)], POSES, seed)
    points = body.points.copy()
    points[rng.random(len(points)) < 0.2] = np.nan
    for root in (33, 54):
        points[rng.random(len(points)) < 0.3, :, root : root + 21] = np.nan
    confidence = np.where(np.isfinite(points[..., 0]), body.confidence, 0)
    released = retarget(Body(points, confidence)).points
    before = points[:, :, 11:]
    assert np.array_equal(np.isnan(released), np.isnan(before) | ~np.isfinite(before).all(axis=-1, keepdims=True))


def test_single_points_that_are_missing_stay_missing_and_take_only_their_limb_along() -> None:
    body = act(Build(), POSES)
    body.points[:, :, 13] = np.nan  # an elbow
    points = retarget(body).points[:, 0]
    assert np.isnan(points[:, PUBLIC.elbows[0]]).all()
    rest = [p for p in range(64) if p not in (2, 4, 6, 8, 10, *range(22, 43))]
    assert np.isfinite(points[REST_FRAMES:][:POSE_FRAMES, [p for p in rest if p < 22]]).all()


def test_a_hand_without_its_arm_is_still_there() -> None:
    body = act(Build(), [Pose(left=("chin", 0, 0))])
    body.points[:, :, 15] = np.nan
    points = retarget(body).points[FIRST_POSE, 0]
    assert np.isnan(points[:, PUBLIC.wrists[0]]).all()
    assert np.isfinite(points[:, 22:43]).all()


def test_a_hand_in_a_frame_without_a_pose_lies_where_it_is_in_the_picture() -> None:
    body = act(Build(), [Pose(left=("chin", 0, 0))])
    whole = retarget(body).points[FIRST_POSE, 0, 22:43]
    body.points[FIRST_POSE.start + 1, :, :33] = np.nan
    alone = retarget(body).points[FIRST_POSE, 0]
    assert np.isnan(alone[1, :22]).all()
    assert np.isfinite(alone[1, 22:43]).all()
    assert np.linalg.norm(alone[1, 22:43, :2] - whole[1, :, :2], axis=1).max() < 0.3


def test_no_shoulders_no_figure() -> None:
    body = act(Build(), POSES)
    hidden = Body(body.points, body.confidence.copy())
    hidden.confidence[:, :, 12] = 0.2
    assert np.isnan(retarget(hidden).points).all()
    nothing = Body(np.full_like(body.points, np.nan), np.zeros_like(body.confidence))
    assert np.isnan(retarget(nothing).points).all()
    assert retarget_body(Body(body.points[:0], body.confidence[:0]), WIDTH, HEIGHT).shape == (0, 1, 64, 3)


def test_hips_below_the_picture_that_the_pose_guesses_do_not_stretch_the_trunk() -> None:
    for guess in (0.6, 3.0):  # times the standard trunk
        body = act(replace(Build(), trunk=1.5 * guess), POSES)
        body.confidence[:, :, 23:33] = 0.1
        points = retarget(body).points[:, 0]
        trunk = np.linalg.norm(points[:, PUBLIC.hips].mean(axis=1) - points[:, PUBLIC.shoulders].mean(axis=1), axis=1)
        assert trunk == pytest.approx(standard.TRUNK_LENGTH, abs=1e-3)
