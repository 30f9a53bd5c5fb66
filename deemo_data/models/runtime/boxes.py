"""Boxes as detectors give them: float32 rows x0, y0, x1, y1, score, in pixels of the picture they were shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def none() -> NDArray[np.float32]:
    return np.zeros((0, 5), np.float32)


def overlaps(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box with (n, 4+) others: (n,)."""
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = (box[2] - box[0]) * (box[3] - box[1]) + areas - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def strongest(boxes: NDArray[np.float32], overlap: float = 0.3) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes that stay, best score first."""
    waiting = np.argsort(-boxes[:, 4], kind="stable")
    kept: list[np.intp] = []
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        kept.append(best)
        waiting = rest[overlaps(boxes[best], boxes[rest]) < overlap]
    return np.array(kept, np.intp)


def cut(rgb: NDArray[np.uint8], x: int, y: int, side: int, size: int) -> NDArray[np.uint8]:
    """A square window of the picture (left, top, side in its pixels), black outside it, scaled to (size, size, 3)."""
    part = rgb[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)]
    if part.shape[:2] != (side, side):
        square = np.zeros((side, side, 3), np.uint8)
        top, left = min(max(-y, 0), side), min(max(-x, 0), side)
        square[top : top + part.shape[0], left : left + part.shape[1]] = part
        part = square
    smooth = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (size, size), interpolation=smooth), np.uint8)
