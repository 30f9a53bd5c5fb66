"""Picks the five points by which face recognisers align a face out of the 468 points of the face mesh.

"Left" and "right" mean the side of the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.models.faces import facemesh
from deemo_data.models.runtime import boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray


CROP_MARGIN = 1.5  # crop side / box side, as in training
EYE_CORNERS = (33, 133), (362, 263)  # outer and inner corner of the left eye, inner and outer corner of the right eye
NOSE_TIP, NOSE_BASE = 1, 2  # the base is where it meets the lip
MOUTH_CORNERS = 61, 291


def locate_mesh(net: Any, rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """The points (468, 2) of one face in pixels of the picture, and the presence (0 to 1).

    net  facemesh.load()
    box  x0, y0, x1, y1 of the face
    The network runs twice; the second crop is placed around the points of the first run.
    """
    presence = 0.0
    points = np.zeros((0, 2), np.float32)
    x0, y0, x1, y1 = (float(v) for v in box[:4])
    for _ in range(2):
        side = max(round(max(x1 - x0, y1 - y0, 1.0) * CROP_MARGIN), 1)
        left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
        crop = boxes.crop_square(rgb, left, top, side, facemesh.INPUT_SIDE).transpose(2, 0, 1)[None].astype(
            np.float32
        ) / np.float32(255)
        mesh, flag = net.run(None, {net.get_inputs()[0].name: crop})
        points = mesh.reshape(468, 3)[:, :2] * np.float32(side / facemesh.INPUT_SIDE) + np.array([left, top], np.float32)
        presence = float(1 / (1 + np.exp(-np.clip(flag.ravel()[0], -50, 50))))
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return points, presence


def to_arcface_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points in ArcFace's order (5, 2): middle of the left and of the right eye, tip of the nose, corners of the mouth."""
    eyes = [points[list(corners)].mean(axis=0) for corners in EYE_CORNERS]
    return np.stack([*eyes, points[NOSE_TIP], points[MOUTH_CORNERS[0]], points[MOUTH_CORNERS[1]]])


def to_dlib_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points of a mesh in dlib's order (5, 2): outer and inner corner of the right eye, of the left eye, base of the nose."""
    left, right = EYE_CORNERS
    return points[[right[1], right[0], left[0], left[1], NOSE_BASE]]
