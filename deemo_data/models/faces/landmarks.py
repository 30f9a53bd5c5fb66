"""Where eyes, nose and mouth of a face are: the few points that recognisers align by, out of the 468-point face mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.models.faces import facemesh
from deemo_data.models.runtime import boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray


MARGIN = 1.5  # crop side over box side, as the network was trained
EYES = (33, 133), (362, 263)  # corners of the eye on the left of the picture, then on the right
NOSE, BASE = 1, 2  # its tip, and where it meets the lip
MOUTH = 61, 291


def mesh(net: Any, rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """The 468 points (468, 2) of one face in pixels of the picture, and the network's presence (0 to 1).

    `net` is facemesh.load(); `box` is x0, y0, x1, y1. It looks twice, the second time where the first look's points lie.
    """
    presence = 0.0
    points = np.zeros((0, 2), np.float32)
    x0, y0, x1, y1 = (float(v) for v in box[:4])
    for _ in range(2):
        side = max(round(max(x1 - x0, y1 - y0, 1.0) * MARGIN), 1)
        left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
        crop = boxes.cut(rgb, left, top, side, facemesh.SIDE).transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
        said, flag = net.run(None, {net.get_inputs()[0].name: crop})
        points = said.reshape(468, 3)[:, :2] * np.float32(side / facemesh.SIDE) + np.array([left, top], np.float32)
        presence = float(1 / (1 + np.exp(-np.clip(flag.ravel()[0], -50, 50))))
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return points, presence


def arcface(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(5, 2): the middles of both eyes, left one of the picture first, tip of the nose, corners of the mouth."""
    eyes = [points[list(corners)].mean(axis=0) for corners in EYES]
    return np.stack([*eyes, points[NOSE], points[MOUTH[0]], points[MOUTH[1]]])


def dlib(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(5, 2) in dlib's order: outer and inner corner of the right eye of the picture, of the left one, base of the nose."""
    left, right = EYES
    return points[[right[1], right[0], left[0], left[1], BASE]]
