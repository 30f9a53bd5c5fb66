"""dlib's face recogniser (King 2017, dlib_face_recognition_resnet_model_v1) and HOG detector: an attacker that anybody has.

For the audit only. The package is dlib-bin of the extra [audit], the weights are the group "audit".
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


RESNET = "dlib-face-55533b"
POINTS = "dlib-points-c4b1e9"
GET = "Type: pip install 'deemo-data[audit]', then deemo models pull --group audit"
SMALLEST = 80  # px: the HOG detector's window; a picture scaled to twice its size shows it faces of 40
FACE = 200  # px a face box is scaled to before it is aligned: dlib's points are whole numbers


class Net(NamedTuple):
    embedder: Any
    predictor: Any
    detector: Any


@cache
def load() -> Net:
    """Recogniser, five-point predictor and detector, once per process. Raises ModelError where package or weights lack."""
    try:
        import dlib
    except ImportError as problem:
        raise ModelError("dlib is not installed", GET) from problem
    resnet, points = str(path_of(RESNET)), str(path_of(POINTS))
    return Net(dlib.face_recognition_model_v1(resnet), dlib.shape_predictor(points), dlib.get_frontal_face_detector())


def detect(net: Net, rgb: NDArray[np.uint8], longest: int = 1280, threshold: float = 0.0) -> NDArray[np.float32]:
    """Faces in one picture (h, w, 3), shown scaled to `longest`: (n, 5) in its own pixels, best score first.

    Its scores are distances from a plane: above 0 a face, above 1 surely one.
    """
    scale = longest / max(rgb.shape[:2])
    shown = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    found, scores, _ = net.detector.run(np.ascontiguousarray(shown), 0, threshold)
    if not len(found):
        return boxes.none()
    corners = np.array([(r.left(), r.top(), r.right() + 1, r.bottom() + 1) for r in found], np.float32) / np.float32(scale)
    height, width = rgb.shape[:2]
    corners = np.clip(corners, 0, np.array([width, height, width, height], np.float32))
    rows = np.concatenate([corners, np.asarray(scores, np.float32)[:, None]], axis=1)
    return rows[np.argsort(-rows[:, 4], kind="stable")]


def points_of(net: Net, rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """(5, 2) in pixels by dlib's own predictor, in its order: outer and inner corner of the eye on the right of the
    picture, outer and inner corner of that on the left, base of the nose. `box`: x0, y0, x1, y1."""
    import dlib

    shown, left, top, scale = _near(rgb, box)
    corners = [round(float((v - o) * scale)) for v, o in zip(box[:4], (left, top, left, top), strict=True)]
    shape = net.predictor(shown, dlib.rectangle(*corners))
    at = np.array([(p.x, p.y) for p in shape.parts()], np.float32)
    return np.asarray(at / np.float32(scale) + np.array([left, top], np.float32), np.float32)


def embed(net: Net, rgb: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Who it looks like: one face, aligned by dlib's five points (5, 2), as a unit vector (128,)."""
    import dlib

    low, high = points.min(axis=0), points.max(axis=0)
    side = max(float((high - low).max()), 1.0)
    middle = (low + high) / 2
    box = np.concatenate([middle - side, middle + side])
    shown, left, top, scale = _near(rgb, box)
    at = (points - np.array([left, top], np.float32)) * np.float32(scale)
    shape = dlib.full_object_detection(
        dlib.rectangle(0, 0, shown.shape[1], shown.shape[0]), [dlib.point(round(float(x)), round(float(y))) for x, y in at]
    )
    vector = np.asarray(net.embedder.compute_face_descriptor(shown, shape), np.float32)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)


def _near(rgb: NDArray[np.uint8], box: NDArray[np.floating]) -> tuple[NDArray[np.uint8], int, int, float]:
    """A square window twice as wide as the box, black outside the picture, scaled so that the box is FACE wide.

    Returns (picture, left, top, scale): a point p of the whole picture is at (p - (left, top)) * scale.
    """
    side = max(float(box[2] - box[0]), float(box[3] - box[1]), 1.0)
    wide = max(round(2 * side), 2)
    left, top = (round(float(box[a] + box[a + 2] - wide) / 2) for a in (0, 1))
    size = 2 * FACE
    return boxes.cut(rgb, left, top, wide, size), left, top, size / wide
