"""BlazeFace (Bazarevsky et al. 2019), short and full range, by onnxruntime: a second look that made no mask.

MediaPipe's FaceDetector looks at one whole picture. Here the same networks (boxes agree within 2 pixels at 640x360) run
on batches of square windows, so that small faces are seen at a size the networks know.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deemo_data.errors import ModelError
from deemo_data.models import boxes
from deemo_data.models.runtime import session
from deemo_data.models.tflite import to_onnx
from deemo_data.models.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT = "blazeface-short-bbff11"
FULL = "blazeface-full-2c3728"
GRIDS = {896: (128, ((8, 2), (16, 6))), 2304: (192, ((4, 1),))}  # anchors -> input side, (stride, anchors a cell)
STEP = 0.6  # neighbouring windows start this share of a window apart
BATCH = 16
OVERLAP = 0.3


class Net(NamedTuple):
    run: Any
    side: int
    anchors: NDArray[np.float32]  # (anchors, 2): centres as shares of the window


@cache
def load(name: str = SHORT) -> Net:
    """One of the two networks, once per process."""
    run = session(to_onnx(path_of(name).read_bytes()))
    side = run.get_inputs()[0].shape[2]
    for expected, layers in GRIDS.values():
        if expected == side:
            return Net(run, side, _anchors(side, layers))
    raise ModelError(f"{name} is not a BlazeFace network: it looks at {side} pixels", "Type: deemo models list")


def detect(net: Net, rgb: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Faces that are large in one picture (h, w, 3): (n, 5) in its pixels, best score first."""
    return look(net, rgb, threshold, [max(rgb.shape[:2])])


def look(net: Net, rgb: NDArray[np.uint8], threshold: float, windows: Sequence[int]) -> NDArray[np.float32]:
    """Faces in square windows of each of the given sides (pixels of the picture), laid over it with 40 % overlap.

    In a window of side s the short-range network finds faces of about s/5 to s/1.2, the full-range one of s/15 to
    s/1.5 at about five times the work. Returns (n, 5) in pixels of the picture, best score first; a face seen in
    several windows counts once.
    """
    height, width = rgb.shape[:2]
    places = [(x, y, side) for side in windows for y in _starts(height, side) for x in _starts(width, side)]
    found = []
    for first in range(0, len(places), BATCH):
        some = places[first : first + BATCH]
        raw, scores = net.run.run(None, {net.run.get_inputs()[0].name: _batch(rgb, some, net.side)})
        chance = 1 / (1 + np.exp(-np.clip(scores[..., 0], -80, 80)))
        window, anchor = np.nonzero(chance >= threshold)
        if not len(window):
            continue
        corner = np.array(some, np.float32)[window]
        middle = net.anchors[anchor] + raw[window, anchor, 0:2] / net.side
        half = raw[window, anchor, 2:4] / (2 * net.side)
        low = corner[:, 0:2] + (middle - half) * corner[:, 2:3]
        high = corner[:, 0:2] + (middle + half) * corner[:, 2:3]
        limit = np.array([width, height], np.float32)
        both = [np.clip(low, 0, limit), np.clip(high, 0, limit), chance[window, anchor][:, None]]
        found.append(np.concatenate(both, axis=1).astype(np.float32))
    if not found:
        return boxes.none()
    every = np.concatenate(found)
    return np.asarray(every[boxes.strongest(every, OVERLAP)], np.float32)


def _anchors(side: int, layers: tuple[tuple[int, int], ...]) -> NDArray[np.float32]:
    centres = []
    for stride, repeat in layers:
        cells = side // stride
        across = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(across, across, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeat, axis=0))
    return np.asarray(np.concatenate(centres), np.float32)


def _starts(length: int, side: int) -> list[int]:
    if side >= length:
        return [(length - side) // 2]
    count = -(-(length - side) // round(side * STEP)) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _batch(rgb: NDArray[np.uint8], places: Sequence[tuple[int, int, int]], side: int) -> NDArray[np.float32]:
    """Windows (x, y, side) as (n, 3, side, side) between -1 and 1."""
    batch = np.empty((len(places), 3, side, side), np.float32)
    for i, (x, y, window) in enumerate(places):
        batch[i] = boxes.cut(rgb, x, y, window, side).transpose(2, 0, 1)
    return batch / np.float32(127.5) - np.float32(1)
