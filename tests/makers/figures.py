"""Made-up people of any build whose hands lie somewhere: body tracks as MediaPipe would make them, with a z that lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deemo_data.tracks.body import Body
from tests.makers.contacts import PLACES, places_of
from tests.makers.gestures import PERSON, flat_hand

WIDTH, HEIGHT = 1280, 960
REST_FRAMES = 12  # arms that hang, and show how long they are
POSE_FRAMES = 4


@dataclass(frozen=True)
class Build:
    """Lengths in shoulder widths, of somebody whose shoulders are `shoulder_px` apart and `tilt` radians from level."""

    shoulder_px: float = 180.0
    neck: float = 0.6
    head: float = 0.19  # half the distance of the ears
    trunk: float = 1.5
    upper_arm: float = 0.85
    forearm: float = 0.75
    palm: float = 0.26
    tilt: float = 0.0
    head_turn: float = 0.0  # -1 to 1: how far the nose is from the middle, in head radii


@dataclass(frozen=True)
class Pose:
    """Where the middle of each hand lies: the name of a place (PLACES) and an offset in shoulder widths; None: the hand hangs."""

    left: tuple[str, float, float] | None = None
    right: tuple[str, float, float] | None = None


def build_rest(build: Build) -> np.ndarray:
    """(33, 2) somebody upright with hanging arms, in shoulder widths, the middle of the shoulders at (0, 0)."""
    points = np.array([PERSON[n] for n in range(33)], float)
    head = (points[:11] - [0, -0.64]) * build.head / 0.2
    head[:, 0] = (
        head[:, 0] * np.cos(build.head_turn * 1.2) + build.head_turn * build.head * np.r_[1, np.full(6, 0.6), 0, 0, 0.8, 0.8]
    )
    points[:11] = head - np.array([0, build.neck])
    points[23:] = (points[23:] - [0, 1.3]) * [1, 1.2] + [0, build.trunk]
    for side, out in ((0, 1), (1, -1)):
        points[13 + side] = points[11 + side] + build.upper_arm * np.array([0.15 * out, 0.99])
        put_wrist(points, side, points[13 + side] + build.forearm * np.array([0.05 * out, 0.999]), (0.0, 1.0), build.palm)
    return points


def put_wrist(points: np.ndarray, side: int, wrist: np.ndarray, toward: tuple[float, float], palm: float) -> None:
    """The pose's wrist and its three points of the hand, in place."""
    hand = flat_hand(tuple(wrist), toward, palm)
    points[15 + side] = wrist
    for stub, joint in ((17, 17), (19, 5), (21, 2)):
        points[stub + side] = hand[joint]


def bend(build: Build, shoulder: np.ndarray, wrist: np.ndarray, out: int) -> np.ndarray:
    """An elbow between shoulder and wrist, outwards and down; the arm looks shorter where it points to the camera."""
    along = wrist - shoulder
    distance = max(float(np.hypot(*along)), 1e-6)
    reach = min((build.upper_arm**2 - build.forearm**2 + distance**2) / (2 * distance), build.upper_arm)
    aside = np.sqrt(max(build.upper_arm**2 - reach**2, 0.0)) * 0.6
    normal = np.array([-along[1], along[0]]) / distance
    normal = normal if normal @ np.array([out, 1.0]) > 0 else -normal
    return shoulder + along * reach / distance + normal * aside


def act(build: Build, poses: Sequence[Pose], seed: int = 0, at: tuple[float, float] = (0.5, 0.4)) -> Body:
    """The track of somebody who rests, takes each pose for POSE_FRAMES, and rests."""
    rng = np.random.default_rng(seed)
    rest = (build_rest(build), np.full((2, 21, 2), np.nan))
    frames = [rest] * REST_FRAMES
    for pose in poses:
        body, hands = rest[0].copy(), rest[1].copy()
        for side, target in enumerate((pose.left, pose.right)):
            if target is None:
                continue
            name, dx, dy = target
            out = 1 - 2 * side
            toward = (-0.7 * out, -0.7)
            hand = flat_hand((0.0, 0.0), toward, build.palm)
            hand += places_of(body)[PLACES.index(name)] + [dx, dy] - hand.mean(axis=0)
            hands[side] = hand
            put_wrist(body, side, hand[0], toward, build.palm)
            body[13 + side] = bend(build, body[11 + side], hand[0], out)
        frames += [(body, hands)] * POSE_FRAMES
    frames += [rest] * REST_FRAMES
    every = np.stack([np.concatenate([body, hands.reshape(42, 2)]) for body, hands in frames])
    turn = np.array([[np.cos(build.tilt), np.sin(build.tilt)], [-np.sin(build.tilt), np.cos(build.tilt)]])
    pixels = every @ turn * build.shoulder_px + [at[0] * WIDTH, at[1] * HEIGHT]
    deep = rng.normal(0, 2 * build.shoulder_px, (1, 75)) + rng.normal(0, 5, (len(every), 75))
    deep[:, [15, 16]] -= 3 * build.shoulder_px  # MediaPipe's wrists, three shoulder widths before the body
    for root in (33, 54):
        deep[:, root : root + 21] = rng.normal(0, 0.05 * build.shoulder_px, 21)
    points = np.concatenate(
        [pixels / [WIDTH, HEIGHT], np.where(np.isfinite(pixels[..., :1]), deep[..., None] / WIDTH, np.nan)], axis=-1
    )
    confidence = np.where(np.isfinite(points[..., 0]), 0.95, 0)
    return Body(points[:, None].astype(np.float32), confidence[:, None].astype(np.float32))
