"""Sheets of pictures to look at: a frame with the tracked skeleton, the released skeleton beside it, and that from the side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from deemo_data.clip import Clip
from deemo_data.media.frames import read_frames
from deemo_data.stages.figure import standard
from deemo_data.tracks.body import Body
from deemo_data.tracks.skeleton import FINGERS, MIN_CONFIDENCE, PUBLIC, TRACKED, WRIST, Skeleton

SIDE_PX = 360
PX_PER_SHOULDER_WIDTH = 80
LEFT, RIGHT, TRUNK, HEAD = (60, 140, 255), (255, 150, 40), (90, 90, 90), (170, 170, 170)  # BGR


def bones_of(skeleton: Skeleton) -> list[tuple[int, int, tuple[int, int, int]]]:
    """(start, end, colour) of every bone: the person's left is orange, the right blue."""
    bones = [(*bone, TRUNK) for bone in (skeleton.shoulders, skeleton.hips, *skeleton.flanks)]
    for side, colour in enumerate((LEFT, RIGHT)):
        for joints in (skeleton.upper_arms, skeleton.forearms, skeleton.thighs, skeleton.shins):
            bones.append((*joints[side], colour))
        for finger in FINGERS:
            bones += [(skeleton.hands[side] + a, skeleton.hands[side] + b, colour) for a, b in pairwise((WRIST, *finger))]
    return bones


def draw_bones(picture: np.ndarray, points: np.ndarray, confidence: np.ndarray, skeleton: Skeleton, thin: int = 1) -> None:
    """The bones between points (n, 2) in pixels, in place; thin lines where a point is a guess."""
    for start, end, colour in bones_of(skeleton):
        if np.isfinite(points[[start, end]]).all():
            sure = (confidence[[start, end]] >= MIN_CONFIDENCE).all()
            a, b = (tuple(int(v) for v in np.clip(points[i], -9999, 9999)) for i in (start, end))
            cv2.line(picture, a, b, colour if sure else (200, 200, 200), thin + int(sure), cv2.LINE_AA)


def draw_released(points: np.ndarray, confidence: np.ndarray, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """The released skeleton (64, 3) on white with the standard figure's head; axes (2, 1) show it from the side."""
    picture = np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8)
    flat = points[:, list(axes)] * PX_PER_SHOULDER_WIDTH + [SIDE_PX / 2, 0.36 * SIDE_PX]
    collar = points[list(PUBLIC.shoulders)].mean(axis=0)
    if np.isfinite(collar).all():
        middle = (collar - np.array([0, standard.NECK_LENGTH, 0]))[list(axes)] * PX_PER_SHOULDER_WIDTH + [
            SIDE_PX / 2,
            0.36 * SIDE_PX,
        ]
        x, y = (int(v) for v in middle)
        cv2.ellipse(picture, (x, y + 2), (int(standard.HEAD_RADIUS * 80), int(0.3 * 80)), 0, 0, 360, HEAD, 2, cv2.LINE_AA)
        for index, place in standard.HEAD_POINTS.items() if axes == (0, 1) else ():
            at = (collar[:2] + place) * PX_PER_SHOULDER_WIDTH + [SIDE_PX / 2, 0.36 * SIDE_PX]
            cv2.circle(picture, tuple(int(v) for v in at), 2 + (index == 0), HEAD, -1, cv2.LINE_AA)
    draw_bones(picture, flat, confidence, PUBLIC)
    return picture


def draw_sheet(clip: Clip, raw: Body, released: Body, frames: Sequence[int], path: Path) -> None:
    """Write a PNG with a row per frame: picture with the tracked skeleton, released skeleton, the same from the side."""
    rows = []
    for frame in pick_frames(clip, frames):
        index, picture = frame
        height, width = picture.shape[:2]
        scale = SIDE_PX / max(height, width)
        small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        canvas = np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        pixels = raw.points[index, 0, :, :2] * [small.shape[1], small.shape[0]]
        draw_bones(canvas, pixels, raw.confidence[index, 0], TRACKED)
        cv2.putText(canvas, str(index), (4, SIDE_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        points, confidence = released.points[index, 0], released.confidence[index, 0]
        rows.append(np.hstack([canvas, draw_released(points, confidence), draw_released(points, confidence, (2, 1))]))
    half = (len(rows) + 1) // 2
    blank = np.full_like(rows[0], 255)
    columns = [np.vstack(part + [blank] * (half - len(part))) for part in (rows[:half], rows[half:])]
    cv2.imwrite(str(path), np.hstack(columns))


def pick_frames(clip: Clip, wanted: Iterable[int]) -> Iterable[tuple[int, np.ndarray]]:
    """(index, BGR picture) of some frames of a clip."""
    asked = set(wanted)
    for frame in read_frames(clip):
        if frame.index in asked:
            yield frame.index, frame.bgr()
