"""MediaPipe's face mesh asked one thing only: is this really a face? (Kartynnik et al. 2019)

A detector alone takes a gesturing hand for a face, and now and then so does the mesh network's own presence output.
But on a face its 468 points land on the same places however the crop is framed; on a hand they swim. So every box is
shown in three framings, and both the presence and the points have to hold.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.models.runtime import boxes
from deemo_data.models.runtime.sessions import session
from deemo_data.models.runtime.tflite import to_onnx
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


WEIGHTS = "facemesh-1055cb"
SIDE = 192
MARGINS = (1.25, 1.5, 1.8)  # crop side over box side; 1.5 is what the network was trained on
STEADY, SWIMMING = 0.03, 0.04  # how far points may lie from their mean, in box sides: all trust, no trust
BATCH = 4
HOPELESS = 0.05  # presence in the middle framing below which the others are not asked


@cache
def load(name: str = WEIGHTS) -> Any:
    """The network, once per process."""
    return session(to_onnx(path_of(name).read_bytes()), threads=1)


def presence(net: Any, rgb: NDArray[np.uint8], found: NDArray[np.float32]) -> NDArray[np.float32]:
    """How sure the network is that each box (n, 4 or more columns: x0, y0, x1, y1, ...) holds a face: (n,), 0 to 1.

    The least presence of the three framings, times a factor that falls from 1 to 0 as their points part.
    For faces that are upright within about 45 degrees and 40 pixels or more high; smaller ones score low.
    """
    sure = np.zeros(len(found), np.float32)
    if len(found):
        first, _ = _asked(net, rgb, found, MARGINS[1:2])
        maybe = np.nonzero(first[0] >= HOPELESS)[0]  # most hits on clutter end here
        if len(maybe):
            chance, points = _asked(net, rgb, found[maybe], MARGINS)
            apart = np.linalg.norm(points.std(axis=0), axis=-1).mean(axis=-1)
            sure[maybe] = chance.min(axis=0) * np.clip((SWIMMING - apart) / (SWIMMING - STEADY), 0, 1)
    return sure


def _asked(
    net: Any, rgb: NDArray[np.uint8], found: NDArray[np.float32], margins: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Presence (margins, n), and mesh points (margins, n, 468, 2) in box sides from the middle of the box."""
    sides = np.maximum(np.maximum(found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]), 1.0)
    crops = [_crop(rgb, box, side * margin) for margin in margins for box, side in zip(found, sides, strict=True)]
    meshes, flags = [], []
    for first in range(0, len(crops), BATCH):
        mesh, flag = net.run(None, {net.get_inputs()[0].name: np.stack(crops[first : first + BATCH])})
        meshes.append(mesh.reshape(-1, 468, 3)[..., :2])
        flags.append(flag.reshape(-1))
    chance = 1 / (1 + np.exp(-np.clip(np.concatenate(flags), -50, 50)))
    points = np.concatenate(meshes).reshape(len(margins), len(found), 468, 2) / SIDE - 0.5
    return chance.reshape(len(margins), -1), points * np.array(margins)[:, None, None, None]


def _crop(rgb: NDArray[np.uint8], box: NDArray[np.float32], side: float) -> NDArray[np.float32]:
    pixels = max(round(float(side)), 1)
    left, top = (round(float(box[a] + box[a + 2] - pixels) / 2) for a in (0, 1))
    return np.asarray(boxes.cut(rgb, left, top, pixels, SIDE).transpose(2, 0, 1), np.float32) / np.float32(255)
