"""BlazeFace (Bazarevsky et al. 2019), short and full range, run by onnxruntime.

CheckLeaks uses it, because it is independent of the detector that placed the masks. MediaPipe runs these networks on one square
of 128 or 192 pixels. They consist of convolutions only, so here the same weights run over the whole picture at any size. The
size decides how large the faces are that they find.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from deemo_data.errors import ModelError
from deemo_data.models.runtime import boxes
from deemo_data.models.runtime.sessions import open_session
from deemo_data.models.runtime.tflite import pad_channels, to_onnx
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


SHORT_RANGE = "blazeface-short-bbff11"
FULL_RANGE = "blazeface-full-2c3728"
# Per part of the output, in its order: stride in pixels, anchors per cell.
OUTPUT_LAYERS = {SHORT_RANGE: ((8, 2), (16, 6)), FULL_RANGE: ((4, 1),)}
SIZE_STEP = 32  # pixels; the full-range network halves the size five times
TRAINED_SIDES = {SHORT_RANGE: 128, FULL_RANGE: 192}  # pixels of the squares that they were trained on
MAX_IOU = 0.3
AVERAGING_SCALE = 0.4  # below this scale pixels are averaged; above it averaging takes six times as long and finds no more faces


class Net(NamedTuple):
    """A loaded network: its session, the side of its training squares, and its output layers."""

    run: Any
    side: int
    layers: tuple[tuple[int, int], ...]


@cache
def load(name: str = SHORT_RANGE) -> Net:
    """Load one of the two networks, once per process. Raises ModelError for another name."""
    if name not in OUTPUT_LAYERS:
        raise ModelError(f"{name} is not a BlazeFace network", "Type: deemo models list")
    model = to_onnx(path_of(name).read_bytes(), any_size=True)
    return Net(open_session(pad_channels(model), threads=1), TRAINED_SIDES[name], OUTPUT_LAYERS[name])


def detect(net: Net, rgb: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Large faces in a picture (h, w, 3), shown at the size of MediaPipe's FaceDetector: (n, 5), best score first."""
    return detect_at_size(net, rgb, threshold, net.side)


def detect_at_size(net: Net, rgb: NDArray[np.uint8], threshold: float, longer_side: int) -> NDArray[np.float32]:
    """Faces in a picture (h, w, 3) that is shown with its longer side at `longer_side` pixels: (n, 5) in pixels of `rgb`.

    Best score first. At the size shown, the short-range network finds faces of 18 to 180 pixels. The full-range one finds faces
    of 22 to 150 pixels and some half as large, takes half as long again per pixel, and has far fewer false hits.
    """
    height, width = rgb.shape[:2]
    scale = longer_side / max(height, width)
    blob = _prepare_input(rgb, scale)
    raw, scores = (output[0] for output in net.run.run(None, {net.run.get_inputs()[0].name: blob}))
    confidence = 1 / (1 + np.exp(-np.clip(scores[:, 0], -80, 80)))
    hits = np.nonzero(confidence >= threshold)[0]
    if not len(hits):
        return boxes.make_empty_boxes()
    middle = _anchor_centres(blob.shape[3], blob.shape[2], net.layers)[hits] + raw[hits, 0:2]
    half = raw[hits, 2:4] / 2
    limit = np.array([width, height], np.float32)
    corners = [np.clip(corner / np.float32(scale), 0, limit) for corner in (middle - half, middle + half)]
    detections = np.concatenate([*corners, confidence[hits, None]], axis=1)
    return np.asarray(detections[boxes.suppress_overlaps(detections, MAX_IOU)], np.float32)


def _prepare_input(rgb: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
    """The scaled picture as input (1, 3, h, w), -1 to 1, with black to the right and below up to a multiple of 32."""
    height, width = (max(round(side * scale), 1) for side in rgb.shape[:2])
    interpolation = cv2.INTER_AREA if scale < AVERAGING_SCALE else cv2.INTER_LINEAR
    small = cv2.resize(rgb, (width, height), interpolation=interpolation)
    even = cv2.copyMakeBorder(small, 0, -height % SIZE_STEP, 0, -width % SIZE_STEP, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.dnn.blobFromImage(even, 1 / 127.5, mean=(127.5,) * 3), np.float32)


@cache
def _anchor_centres(width: int, height: int, layers: tuple[tuple[int, int], ...]) -> NDArray[np.float32]:
    """The middle of every anchor: (n, 2) in pixels of the input."""
    centres = []
    for stride, repeat in layers:
        across, down = ((np.arange(length // stride) + 0.5) * stride for length in (width, height))
        y, x = np.meshgrid(down, across, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeat, axis=0))
    return np.asarray(np.concatenate(centres), np.float32)
