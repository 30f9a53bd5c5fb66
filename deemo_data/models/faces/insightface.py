"""Runs a model file of InsightFace that the user brings: SCRFD detects faces, ArcFace-like networks recognise them.

The model packs that InsightFace publishes are for non-commercial research, so this toolkit never downloads one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.errors import ModelError
from deemo_data.models.runtime import boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray


INPUT_SIDE = 640  # pixels of the square into which SCRFD scales the picture
MAX_IOU = 0.3


@cache
def load(path: Path | str, sha256: str) -> Any:
    """Load a model file, once per process. Raises ModelError when it is missing or has not the digest that deemo.toml names."""
    if not str(path) or not Path(path).is_file():
        raise ModelError(
            f"the InsightFace model {str(path)!r} is missing", "In deemo.toml, set model to the whole path of an .onnx file"
        )
    path = Path(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise ModelError(
            f"the InsightFace model {path} has sha256 {digest}, not {sha256 or '(none given)'}",
            f'If it is the file you mean, write model_sha256 = "{digest}" in deemo.toml',
        )
    with contextlib.redirect_stdout(io.StringIO()):  # InsightFace prints what it loads
        from insightface import model_zoo

        net = model_zoo.get_model(str(path), providers=["CPUExecutionProvider"])
        if net is None:
            raise ModelError(f"InsightFace does not know the kind of model in {path}", "Name another file in deemo.toml")
        if net.taskname == "detection":
            net.prepare(ctx_id=-1, input_size=(INPUT_SIDE, INPUT_SIDE), nms_thresh=MAX_IOU)
    return net


def detect(net: Any, bgr: NDArray[np.uint8], threshold: float) -> NDArray[np.float32]:
    """Faces in a picture (h, w, 3) of any size: (n, 5) in its pixels, best score first. Raises ModelError for a recogniser."""
    return detect_points(net, bgr, threshold)[0]


def detect_points(net: Any, bgr: NDArray[np.uint8], threshold: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Faces (n, 5) and their points (n, 5, 2): left and right eye, nose, left and right corner of the mouth."""
    if net.taskname != "detection":
        raise ModelError(f"{net.model_file} is a model for {net.taskname}, not a face detector", "Name an SCRFD file")
    net.det_thresh = threshold
    with contextlib.redirect_stdout(io.StringIO()):
        detections, points = net.detect(bgr)
    if points is None:
        raise ModelError(f"{net.model_file} gives no face points", "Name an SCRFD file with key points (kps)")
    detections = np.asarray(detections, np.float32).reshape(-1, 5)
    order = np.argsort(-detections[:, 4], kind="stable")
    height, width = bgr.shape[:2]
    detections[:, 0:4] = np.clip(detections[:, 0:4], 0, (width, height, width, height))
    return (detections[order], np.asarray(points, np.float32).reshape(-1, 5, 2)[order]) if len(detections) else (
        boxes.make_empty_boxes(), np.zeros((0, 5, 2), np.float32))  # fmt: skip


def embed(net: Any, bgr: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embedding of one face, aligned by its five points (5, 2) as in ArcFace's training: a unit vector (d,)."""
    if net.taskname != "recognition":
        raise ModelError(f"{net.model_file} is a model for {net.taskname}, not for recognition", "Name an ArcFace file")
    from insightface.utils import face_align

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # InsightFace calls estimate() of skimage, which has a new name
        face = face_align.norm_crop(bgr, landmark=np.asarray(points, np.float32), image_size=net.input_size[0])
    vector = np.asarray(net.get_feat(face), np.float32).ravel()
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
