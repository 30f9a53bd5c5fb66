"""Looks for small faces in a large picture: in tiles that overlap, and again only in tiles that have changed.

A detector runs on each tile at the full size of the picture that it is given, so its cost and memory do not depend on how many
faces there are. Rectangles are (x0, y0, x1, y1) in pixels of the picture, with sides that are multiples of 32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deemo_data.models.runtime import boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rectangle = tuple[int, int, int, int]
Detector = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]  # a picture (h, w, 3) -> boxes (n, 5) in its pixels

SIDE_STEP_PX = 32
MIN_TILE_PX = 768
TILE_OVERLAPS = 5  # side of a tile in overlaps, where they are wide
MIN_OVERLAP_PX = 96
BORDER_PX = 8  # a box that comes so near to the border of a tile may be a piece of a face
MIN_WINDOW_PX = 96  # side of the window in which one face is looked for again
WINDOW_FACES = 3  # side of that window in sides of the face
FACE_HEIGHT = 1.4  # of a face, in widths of it
PREVIEW_SCALE = 4  # pictures are compared at a quarter of their size
MAX_STILL_CHANGE_GREY_LEVELS = 8  # where no pixel of the small picture changes by more, nothing has moved
MAX_IOU = 0.3


def place_tiles(width: int, height: int, widest: float = 0.0) -> list[Rectangle]:
    """Tiles of one size that cover a picture, row by row. A face up to `widest` pixels wide lies whole in one of them.

    Both sides of the picture are multiples of 32.
    """
    overlap = max(MIN_OVERLAP_PX, _round_up(FACE_HEIGHT * widest + 2 * BORDER_PX))
    tile = max(MIN_TILE_PX, TILE_OVERLAPS * overlap)
    return [(x0, y0, x1, y1) for y0, y1 in _split_side(height, tile, overlap) for x0, x1 in _split_side(width, tile, overlap)]


def _split_side(length: int, longest: int, overlap: int) -> list[tuple[int, int]]:
    """Spans of one length, each at most `longest` pixels, that cover `length` and overlap by at least `overlap`."""
    count = max(1, math.ceil((length - overlap) / (longest - overlap)))
    side = min(_round_up((length + (count - 1) * overlap) / count), length)
    starts = [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]
    return [(start, start + side) for start in starts]


def place_windows(faces: NDArray[np.float32], width: int, height: int) -> list[Rectangle]:
    """Windows around faces (n, 4+), in which they are looked for again. Faces that lie close together share one."""
    windows: list[Rectangle] = []
    for box in faces:
        x, y = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
        size = float(max(box[2] - box[0], box[3] - box[1]))
        if not any(_lies_well_inside(x, y, size, window, width, height) for window in windows):
            side = _round_up(max(MIN_WINDOW_PX, WINDOW_FACES * size))
            (x0, x1), (y0, y1) = _place_span(x, side, width), _place_span(y, side, height)
            windows.append((x0, y0, x1, y1))
    return windows


def _lies_well_inside(x: float, y: float, size: float, window: Rectangle, width: int, height: int) -> bool:
    """Whether a face lies so far inside a window, or at an edge of the picture, that it is seen as in a window of its own."""
    x0, y0, x1, y1 = window
    left, right = 0 if x0 == 0 else x0 + size, width if x1 == width else x1 - size
    top, bottom = 0 if y0 == 0 else y0 + size, height if y1 == height else y1 - size
    return left <= x <= right and top <= y <= bottom


def _place_span(middle: float, side: int, length: int) -> tuple[int, int]:
    """A span of `side` pixels around `middle`, moved and shortened so that it lies in 0 to `length`."""
    side = min(side, length)
    start = min(max(round(middle - side / 2), 0), length - side)
    return start, start + side


def _round_up(length: float) -> int:
    return math.ceil(length / SIDE_STEP_PX) * SIDE_STEP_PX


def detect_in(picture: NDArray[np.uint8], rectangle: Rectangle, detect: Detector) -> NDArray[np.float32]:
    """What a detector finds in a part of a picture: (n, 5) in pixels of the picture."""
    x0, y0, x1, y1 = rectangle
    found = detect(np.ascontiguousarray(picture[y0:y1, x0:x1]))
    return np.asarray(found + np.array([x0, y0, x0, y0, 0], np.float32), np.float32)


def drop_cut_boxes(found: NDArray[np.float32], rectangle: Rectangle, width: int, height: int) -> NDArray[np.float32]:
    """The boxes (n, 5) in a part of a picture without those near its border: such a box may hold only a piece of a face.

    The borders of the picture itself do not count.
    """
    x0, y0, x1, y1 = rectangle
    low = np.array([x0 + BORDER_PX if x0 > 0 else -np.inf, y0 + BORDER_PX if y0 > 0 else -np.inf])
    high = np.array([x1 - BORDER_PX if x1 < width else np.inf, y1 - BORDER_PX if y1 < height else np.inf])
    return found[((found[:, :2] > low) & (found[:, 2:4] < high)).all(axis=1)]


def merge_boxes(parts: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Boxes (n, 5) of several looks at one picture, without those that a better one overlaps; best score first."""
    merged = np.concatenate([boxes.make_empty_boxes(), *parts])
    return merged[boxes.suppress_overlaps(merged, MAX_IOU)]


def make_preview(picture: NDArray[np.uint8]) -> NDArray[np.int16]:
    """A picture (h, w, 3) in grey, at a quarter of its size, to compare it with others."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // PREVIEW_SCALE, height // PREVIEW_SCALE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.int16)


def is_still(one: NDArray[np.int16], other: NDArray[np.int16], rectangle: Rectangle) -> bool:
    """Whether two previews agree within a rectangle of their pictures."""
    x0, y0, x1, y1 = rectangle
    part = slice(y0 // PREVIEW_SCALE, -(-y1 // PREVIEW_SCALE)), slice(x0 // PREVIEW_SCALE, -(-x1 // PREVIEW_SCALE))
    return bool(np.abs(one[part] - other[part]).max(initial=0) <= MAX_STILL_CHANGE_GREY_LEVELS)


class TileMemory:
    """What was found in each tile, and how the tile looked then. A tile that still looks so is not searched again.

    widest  pixels: the detector gives no wider faces
    """

    def __init__(self, width: int, height: int, detect: Detector, widest: float) -> None:
        self.width, self.height, self.detect = width, height, detect
        self.tiles = place_tiles(width, height, widest)
        self._previews: dict[Rectangle, NDArray[np.int16]] = {}
        self._boxes: dict[Rectangle, NDArray[np.float32]] = {}

    def look(self, picture: NDArray[np.uint8], preview: NDArray[np.int16]) -> NDArray[np.float32]:
        """The faces of a picture (h, w, 3): (n, 5), best score first. `preview` is of the same picture."""
        for tile in self.tiles:
            if tile not in self._previews or not is_still(self._previews[tile], preview, tile):
                found = detect_in(picture, tile, self.detect)
                self._previews[tile], self._boxes[tile] = preview, drop_cut_boxes(found, tile, self.width, self.height)
        return merge_boxes(self._boxes.values())
