"""What all detectors share: boxes as float32 rows x0, y0, x1, y1, score in pixels, non-maximum suppression, square crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from deemo_data.tracks.linking import box_ious

if TYPE_CHECKING:
    from numpy.typing import NDArray


def make_empty_boxes() -> NDArray[np.float32]:
    """The result of a detector that found nothing: (0, 5)."""
    return np.zeros((0, 5), np.float32)


def suppress_overlaps(boxes: NDArray[np.float32], max_iou: float = 0.3) -> NDArray[np.intp]:
    """Greedy non-maximum suppression of boxes (n, 5): indices of the boxes that stay, best score first.

    A box is dropped if its IoU with a better one reaches `max_iou`.
    """
    waiting = np.argsort(-boxes[:, 4], kind="stable")
    kept: list[np.intp] = []
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        kept.append(best)
        waiting = rest[box_ious(boxes[best], boxes[rest]).astype(np.float32) < max_iou]  # in the precision of the boxes
    return np.array(kept, np.intp)


def crop_square(rgb: NDArray[np.uint8], x: int, y: int, side: int, size: int) -> NDArray[np.uint8]:
    """A square window of a picture (left, top and side in pixels), scaled to (size, size, 3). Outside the picture it is black."""
    part = rgb[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)]
    if part.shape[:2] != (side, side):
        square = np.zeros((side, side, 3), np.uint8)
        top, left = min(max(-y, 0), side), min(max(-x, 0), side)
        square[top : top + part.shape[0], left : left + part.shape[1]] = part
        part = square
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (size, size), interpolation=interpolation), np.uint8)
