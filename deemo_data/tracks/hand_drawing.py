"""A hand as a drawn shape."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from deemo_data.tracks.hands import Hand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))  # knuckle to tip
PALM = (0, 1, 2, 5, 9, 13, 17)
WIDE_MM = (20.0, 17.0, 15.0)  # of the three bones of a finger as it is drawn, palm to tip
BARE = 0.75  # times as wide where source pixels show: at full width a seam of the face behind shows along each finger
STUB_MM, STUB_WIDE_MM = 50.0, 40.0  # the piece of forearm that is drawn behind the wrist
Line = tuple[Sequence[int], Sequence[int], float]  # from, to, width in pixels
SKIN = {"y": 150, "u": 112, "v": 146}  # of the drawing: the same for everybody
OUTLINE, SHADE, LIGHT = 45, 120, 178  # its luma, at the edge and along a finger
EDGE_MM = 2.0


def bones(hand: Hand, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width): where the hand's palm and finger bones are, thinner than the hand, so that nothing beside it shows."""
    import cv2
    import numpy as np

    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [_fixed(hand.points[list(PALM)])], 1, shift=4)
    for finger in FINGERS:
        for a, b, wide in _lines(hand, finger):
            cv2.line(mask, a, b, 1, max(1, round(wide * BARE)), shift=4)
    return mask > 0


def drawn(hand: Hand, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Luma (height, width) of a flat hand, outlined and shaded, and where it is: made of the points and nothing else."""
    import cv2
    import numpy as np

    luma, there = (np.zeros((height, width), np.uint8) for _ in range(2))
    edge = max(1, round(EDGE_MM / 1000 * hand.scale))

    coats = ((there, 1, 1.0, edge), (luma, OUTLINE, 1.0, edge), (luma, SHADE, 1.0, 0), (luma, LIGHT, 0.5, 0))

    def rods(lines: list[Line]) -> None:
        for canvas, colour, share, more in coats:
            for a, b, wide in lines:
                cv2.line(canvas, a, b, colour, max(1, round(wide * share) + 2 * more), cv2.LINE_8, 4)

    back = hand.points[0] - hand.points[[5, 9, 13, 17]].mean(axis=0)
    end = hand.points[0] + back / max(float(np.hypot(*back)), 1e-6) * STUB_MM / 1000 * hand.scale
    rods([(_fixed(hand.points[0]).tolist(), _fixed(end).tolist(), STUB_WIDE_MM / 1000 * hand.scale)])
    palm = _fixed(hand.points[list(PALM)])
    depth = float(hand.depth[list(PALM)].mean())
    fingers = sorted(FINGERS, key=lambda finger: -float(hand.depth[list(finger[1:])].mean()))
    for finger in [f for f in fingers if hand.depth[list(f[1:])].mean() > depth]:
        rods(_lines(hand, finger))
    cv2.polylines(there, [palm], True, 1, 2 * edge, cv2.LINE_8, 4)
    cv2.fillPoly(there, [palm], 1, cv2.LINE_8, 4)
    cv2.polylines(luma, [palm], True, OUTLINE, 2 * edge, cv2.LINE_8, 4)
    cv2.fillPoly(luma, [palm], SKIN["y"], cv2.LINE_8, 4)
    for finger in [f for f in fingers if hand.depth[list(f[1:])].mean() <= depth]:
        rods(_lines(hand, finger))
    return luma, there > 0


def _lines(hand: Hand, finger: tuple[int, ...]) -> list[Line]:
    """A finger's bones."""
    joints = [_fixed(hand.points[n]).tolist() for n in finger]
    return [(a, b, wide / 1000 * hand.scale) for (a, b), wide in zip(pairwise(joints), WIDE_MM, strict=True)]


def _fixed(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """As cv2 wants them with shift 4: whole sixteenths of a pixel, within what it can draw."""
    import numpy as np

    return np.asarray(np.rint(np.clip(points, -4000, 12000) * 16), np.int32)
