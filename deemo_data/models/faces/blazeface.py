"""BlazeFace (Bazarevsky et al. 2019), short and full range, by onnxruntime: a second look that made no mask.

MediaPipe shows these networks one square of 128 or 192 pixels. But they are convolutions and nothing else, so here
the same weights run over the whole picture at any size, and the size says which faces they see.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from deemo_data.errors import ModelError
from deemo_data.models.runtime import boxes
from deemo_data.models.runtime.sessions import session
from deemo_data.models.runtime.tflite import in_blocks, to_onnx
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


SHORT = "blazeface-short-bbff11"
FULL = "blazeface-full-2c3728"
LAYERS = {SHORT: ((8, 2), (16, 6)), FULL: ((4, 1),)}  # of the output, in its order: stride in pixels, anchors a cell
STEP = 32  # the full-range network halves five times
SIDES = {SHORT: 128, FULL: 192}  # of the squares they were made for
OVERLAP = 0.3
SHRUNK = 0.4  # below this scale pixels are averaged; above it that takes six times as long and finds no more faces


class Net(NamedTuple):
    run: Any
    side: int
    layers: tuple[tuple[int, int], ...]


@cache
def load(name: str = SHORT) -> Net:
    """One of the two networks, once per process."""
    if name not in LAYERS:
        raise ModelError(f"{name} is not a BlazeFace network", "Type: deemo models list")
    model = to_onnx(path_of(name).read_bytes(), any_size=True)
    return Net(session(in_blocks(model), threads=1), SIDES[name], LAYERS[name])


def detect(net: Net, rgb: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Faces that are large in one picture (h, w, 3), as MediaPipe's FaceDetector sees it: (n, 5), best score first."""
    return detect_one_range(net, rgb, threshold, net.side)


def detect_one_range(net: Net, rgb: NDArray[np.uint8], threshold: float, longest: int) -> NDArray[np.float32]:
    """Faces in a picture (h, w, 3) shown with its longer side scaled to `longest` pixels: (n, 5) in its own pixels.

    Best score first. As they are shown, the short-range network finds faces of 18 to 180 pixels; the full-range one
    those of 22 to 150, some of half that, at half as much work again a pixel and with far fewer false hits.
    """
    height, width = rgb.shape[:2]
    scale = longest / max(height, width)
    shown = _shown(rgb, scale)
    raw, scores = (output[0] for output in net.run.run(None, {net.run.get_inputs()[0].name: shown}))
    chance = 1 / (1 + np.exp(-np.clip(scores[:, 0], -80, 80)))
    hits = np.nonzero(chance >= threshold)[0]
    if not len(hits):
        return boxes.none()
    middle = _anchors(shown.shape[3], shown.shape[2], net.layers)[hits] + raw[hits, 0:2]
    half = raw[hits, 2:4] / 2
    limit = np.array([width, height], np.float32)
    corners = [np.clip(corner / np.float32(scale), 0, limit) for corner in (middle - half, middle + half)]
    found = np.concatenate([*corners, chance[hits, None]], axis=1)
    return np.asarray(found[boxes.strongest(found, OVERLAP)], np.float32)


def _shown(rgb: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
    """The picture scaled, with black to the right and below up to a multiple of 32: (1, 3, h, w) between -1 and 1."""
    height, width = (max(round(side * scale), 1) for side in rgb.shape[:2])
    smooth = cv2.INTER_AREA if scale < SHRUNK else cv2.INTER_LINEAR
    small = cv2.resize(rgb, (width, height), interpolation=smooth)
    even = cv2.copyMakeBorder(small, 0, -height % STEP, 0, -width % STEP, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.dnn.blobFromImage(even, 1 / 127.5, mean=(127.5,) * 3), np.float32)


@cache
def _anchors(width: int, height: int, layers: tuple[tuple[int, int], ...]) -> NDArray[np.float32]:
    """The middle of every anchor, (n, 2) in pixels of what the network is shown."""
    centres = []
    for stride, repeat in layers:
        across, down = ((np.arange(length // stride) + 0.5) * stride for length in (width, height))
        y, x = np.meshgrid(down, across, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeat, axis=0))
    return np.asarray(np.concatenate(centres), np.float32)
