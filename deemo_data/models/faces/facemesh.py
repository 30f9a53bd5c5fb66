"""Decides with MediaPipe's face mesh whether a detected box really holds a face (Kartynnik et al. 2019).

Detectors mistake gesturing hands for faces, and sometimes the presence output of the mesh network does so too. But on a face the
468 points of the mesh lie at the same places however the crop is framed, and on a hand they move. So each box is cropped with
three margins. A face needs a high presence in all crops, and points that agree.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.models.runtime import boxes
from deemo_data.models.runtime.sessions import open_session
from deemo_data.models.runtime.tflite import to_onnx
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


WEIGHTS = "facemesh-1055cb"
INPUT_SIDE = 192
CROP_MARGINS = (1.25, 1.5, 1.8)  # crop side / box side; the network was trained with 1.5
STEADY_SPREAD, SWIMMING_SPREAD = 0.03, 0.04  # deviation of the points in box sides: full trust up to here, no trust from here
CROPS_PER_BATCH = 4
MIN_PRESENCE = 0.05  # in the crop with the middle margin; below it the other crops are skipped


@cache
def load(name: str = WEIGHTS) -> Any:
    """The network, once per process."""
    return open_session(to_onnx(path_of(name).read_bytes()), threads=1)


def estimate_presence(net: Any, rgb: NDArray[np.uint8], detections: NDArray[np.float32]) -> NDArray[np.float32]:
    """The confidence that each box (n, 4+: x0, y0, x1, y1, ...) holds a face: (n,), 0 to 1.

    It is the lowest presence of the three crops, times a factor that falls from 1 to 0 as their points disagree.
    Made for faces that are upright within about 45 degrees and at least 40 pixels high. Smaller faces score low.
    """
    confidence = np.zeros(len(detections), np.float32)
    if len(detections):
        first, _ = _run_mesh(net, rgb, detections, CROP_MARGINS[1:2])
        candidates = np.nonzero(first[0] >= MIN_PRESENCE)[0]  # drops most hits on clutter
        if len(candidates):
            presence, points = _run_mesh(net, rgb, detections[candidates], CROP_MARGINS)
            spread = np.linalg.norm(points.std(axis=0), axis=-1).mean(axis=-1)
            confidence[candidates] = presence.min(axis=0) * np.clip(
                (SWIMMING_SPREAD - spread) / (SWIMMING_SPREAD - STEADY_SPREAD), 0, 1
            )
    return confidence


def _run_mesh(
    net: Any, rgb: NDArray[np.uint8], detections: NDArray[np.float32], margins: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Presence (margins, n), and mesh points (margins, n, 468, 2) in box sides relative to the middle of the box."""
    sides = np.maximum(np.maximum(detections[:, 2] - detections[:, 0], detections[:, 3] - detections[:, 1]), 1.0)
    crops = [_crop(rgb, box, side * margin) for margin in margins for box, side in zip(detections, sides, strict=True)]
    meshes, flags = [], []
    for first in range(0, len(crops), CROPS_PER_BATCH):
        mesh, flag = net.run(None, {net.get_inputs()[0].name: np.stack(crops[first : first + CROPS_PER_BATCH])})
        meshes.append(mesh.reshape(-1, 468, 3)[..., :2])
        flags.append(flag.reshape(-1))
    presence = 1 / (1 + np.exp(-np.clip(np.concatenate(flags), -50, 50)))
    points = np.concatenate(meshes).reshape(len(margins), len(detections), 468, 2) / INPUT_SIDE - 0.5
    return presence.reshape(len(margins), -1), points * np.array(margins)[:, None, None, None]


def _crop(rgb: NDArray[np.uint8], box: NDArray[np.float32], side: float) -> NDArray[np.float32]:
    """A square of `side` pixels around the middle of a box, as input of the network: (3, 192, 192), 0 to 1."""
    pixels = max(round(float(side)), 1)
    left, top = (round(float(box[a] + box[a + 2] - pixels) / 2) for a in (0, 1))
    return np.asarray(boxes.crop_square(rgb, left, top, pixels, INPUT_SIDE).transpose(2, 0, 1), np.float32) / np.float32(255)
