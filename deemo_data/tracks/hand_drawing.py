"""Draws a hand as a flat shape from its points, so that it can stand in front of a masked face.

MaskVideo shows source pixels of a hand only on its bones (`mask_bones`), or draws the whole hand (`draw_hand`) with the same skin
colour for everybody. Widths are in millimetres and scale with the hand (`Hand.scale`, pixels per metre).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from deemo_data.tracks.hands import Hand
from deemo_data.tracks.skeleton import FINGERS, KNUCKLES, PALM_OUTLINE, WRIST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FINGER_WIDTHS_MM = (20.0, 17.0, 15.0)  # of the three bones of a finger, palm to tip
BONE_WIDTH_SHARE = 0.75  # of the width, where source pixels show: at full width a seam of the face behind shows along each finger
FOREARM_LENGTH_MM, FOREARM_WIDTH_MM = 50.0, 40.0  # of the piece of forearm that is drawn at the wrist
Line = tuple[Sequence[int], Sequence[int], float]  # start, end (fixed point), width in pixels
SKIN_YUV = {"y": 150, "u": 112, "v": 146}  # the same for everybody
OUTLINE_LUMA, SHADE_LUMA, LIGHT_LUMA = 45, 120, 178  # at the edge, on the rim and along the middle of a finger
OUTLINE_MM = 2.0


def mask_bones(hand: Hand, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) True on the palm and the finger bones: narrower than the hand, so that nothing beside it shows."""
    import cv2
    import numpy as np

    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [_to_fixed_point(hand.points[list(PALM_OUTLINE)])], 1, shift=4)
    for finger in FINGERS:
        for a, b, wide in _finger_lines(hand, finger):
            cv2.line(mask, a, b, 1, max(1, round(wide * BONE_WIDTH_SHARE)), shift=4)
    return mask > 0


def draw_hand(hand: Hand, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Luma (height, width) of a flat hand with outline and shading, and the mask of its pixels. Uses only the points.

    Fingers further from the camera than the palm are drawn behind it, the others in front of it, the nearest last.
    """
    import cv2
    import numpy as np

    luma, mask = (np.zeros((height, width), np.uint8) for _ in range(2))
    edge = max(1, round(OUTLINE_MM / 1000 * hand.scale))
    layers = ((mask, 1, 1.0, edge), (luma, OUTLINE_LUMA, 1.0, edge), (luma, SHADE_LUMA, 1.0, 0), (luma, LIGHT_LUMA, 0.5, 0))

    def draw_lines(lines: list[Line]) -> None:
        for canvas, colour, share, rim in layers:
            for a, b, wide in lines:
                cv2.line(canvas, a, b, colour, max(1, round(wide * share) + 2 * rim), cv2.LINE_8, 4)

    back = hand.points[WRIST] - hand.points[list(KNUCKLES[1:])].mean(axis=0)
    end = hand.points[0] + back / max(float(np.hypot(*back)), 1e-6) * FOREARM_LENGTH_MM / 1000 * hand.scale
    draw_lines([(_to_fixed_point(hand.points[0]).tolist(), _to_fixed_point(end).tolist(), FOREARM_WIDTH_MM / 1000 * hand.scale)])
    palm = _to_fixed_point(hand.points[list(PALM_OUTLINE)])
    depth = float(hand.depth[list(PALM_OUTLINE)].mean())
    fingers = sorted(FINGERS, key=lambda finger: -float(hand.depth[list(finger[1:])].mean()))
    for finger in [f for f in fingers if hand.depth[list(f[1:])].mean() > depth]:
        draw_lines(_finger_lines(hand, finger))
    cv2.polylines(mask, [palm], True, 1, 2 * edge, cv2.LINE_8, 4)
    cv2.fillPoly(mask, [palm], 1, cv2.LINE_8, 4)
    cv2.polylines(luma, [palm], True, OUTLINE_LUMA, 2 * edge, cv2.LINE_8, 4)
    cv2.fillPoly(luma, [palm], SKIN_YUV["y"], cv2.LINE_8, 4)
    for finger in [f for f in fingers if hand.depth[list(f[1:])].mean() <= depth]:
        draw_lines(_finger_lines(hand, finger))
    return luma, mask > 0


def _finger_lines(hand: Hand, finger: tuple[int, ...]) -> list[Line]:
    """The three bones of a finger."""
    joints = [_to_fixed_point(hand.points[n]).tolist() for n in finger]
    return [(a, b, wide / 1000 * hand.scale) for (a, b), wide in zip(pairwise(joints), FINGER_WIDTHS_MM, strict=True)]


def _to_fixed_point(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """Points as OpenCV takes them with shift=4: integers in sixteenths of a pixel, within the range that it can draw."""
    import numpy as np

    return np.asarray(np.rint(np.clip(points, -4000, 12000) * 16), np.int32)
