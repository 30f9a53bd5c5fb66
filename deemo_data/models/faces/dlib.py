"""dlib's face recogniser (King 2017, dlib_face_recognition_resnet_model_v1) and HOG detector, for the attacks of the audit.

Anybody can use them, so they stand for a simple attacker. The package is dlib-bin of the extra [audit], the weights are the group
"audit". "Left" and "right" mean the side of the picture.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from deemo_data.errors import ModelError
from deemo_data.models.runtime import boxes
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


RESNET_WEIGHTS = "dlib-face-55533b"
POINTS_WEIGHTS = "dlib-points-c4b1e9"
INSTALL_ADVICE = "Type: pip install 'deemo-data[audit]', then deemo models pull --group audit"
FACE_PIXELS = 200  # width of a face before alignment; large, because dlib rounds its points to whole pixels


class Net(NamedTuple):
    """dlib's recogniser, five-point predictor and HOG detector."""

    embedder: Any
    predictor: Any
    detector: Any


@cache
def load() -> Net:
    """Load the three models, once per process. Raises ModelError when the package or the weights are missing."""
    try:
        import dlib
    except ImportError as problem:
        raise ModelError("dlib is not installed", INSTALL_ADVICE) from problem
    resnet, points = str(path_of(RESNET_WEIGHTS)), str(path_of(POINTS_WEIGHTS))
    return Net(dlib.face_recognition_model_v1(resnet), dlib.shape_predictor(points), dlib.get_frontal_face_detector())


def detect(net: Net, rgb: NDArray[np.uint8], longer_side: int = 1280, threshold: float = 0.0) -> NDArray[np.float32]:
    """Faces in a picture (h, w, 3) that is shown with its longer side at `longer_side` pixels: (n, 5) in pixels of `rgb`.

    Best score first. At the size shown, it finds faces of 80 pixels and more. A score is a distance from the separating plane:
    above 0 a face, above 1 a certain one.
    """
    scale = longer_side / max(rgb.shape[:2])
    scaled = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    rectangles, scores, _ = net.detector.run(np.ascontiguousarray(scaled), 0, threshold)
    if not len(rectangles):
        return boxes.make_empty_boxes()
    corners = np.array([(r.left(), r.top(), r.right() + 1, r.bottom() + 1) for r in rectangles], np.float32) / np.float32(scale)
    height, width = rgb.shape[:2]
    corners = np.clip(corners, 0, np.array([width, height, width, height], np.float32))
    rows = np.concatenate([corners, np.asarray(scores, np.float32)[:, None]], axis=1)
    return rows[np.argsort(-rows[:, 4], kind="stable")]


def locate_points(net: Net, rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Five points (5, 2) of a face in pixels: outer and inner corner of the right eye, of the left eye, base of the nose.

    box  x0, y0, x1, y1 of the face
    """
    import dlib

    window, left, top, scale = _crop_around(rgb, box)
    corners = [round(float((v - o) * scale)) for v, o in zip(box[:4], (left, top, left, top), strict=True)]
    shape = net.predictor(window, dlib.rectangle(*corners))
    at = np.array([(p.x, p.y) for p in shape.parts()], np.float32)
    return np.asarray(at / np.float32(scale) + np.array([left, top], np.float32), np.float32)


def embed(net: Net, rgb: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embedding of one face, aligned by dlib's five points (5, 2): a unit vector (128,)."""
    import dlib

    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), 1.0)
    middle = (low + high) / 2
    box = np.concatenate([middle - side, middle + side])
    window, left, top, scale = _crop_around(rgb, box)
    at = (points - np.array([left, top], np.float32)) * np.float32(scale)
    shape = dlib.full_object_detection(
        dlib.rectangle(0, 0, window.shape[1], window.shape[0]), [dlib.point(round(float(x)), round(float(y))) for x, y in at]
    )
    vector = np.asarray(net.embedder.compute_face_descriptor(window, shape), np.float32)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)


def _crop_around(rgb: NDArray[np.uint8], box: NDArray[np.floating]) -> tuple[NDArray[np.uint8], int, int, float]:
    """A square window twice as wide as the box, scaled so that the box is FACE_PIXELS wide; black outside the picture.

    Returns (window, left, top, scale): a point p of the picture lies at (p - (left, top)) * scale in the window.
    """
    side = max(float(box[2] - box[0]), float(box[3] - box[1]), 1.0)
    window_side = max(round(2 * side), 2)
    left, top = (round(float(box[a] + box[a + 2] - window_side) / 2) for a in (0, 1))
    size = 2 * FACE_PIXELS
    return boxes.crop_square(rgb, left, top, window_side, size), left, top, size / window_side
