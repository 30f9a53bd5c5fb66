"""Makers that tests of several packages share; taken from test_media_corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


SCRFD = "scrfd_500m_kps.onnx"


def decoded(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames (h, w, 3, blue first) that a player shows, by nothing of ours: PyAV, turned as the display matrix says."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="bgr24"), (frame.rotation // 90) % 4))


def covered(
    original: NDArray[np.uint8], masked: NDArray[np.uint8], box: NDArray[np.float32], hulls: list[NDArray[np.int32]]
) -> float:
    """The share of a face that does not show: pixels of the inner ellipse of its box that changed, or are flat like paint.

    A hand before the face (`hulls`) is meant to show, and is not face.
    """
    x0, y0, x1, y1 = (float(v) for v in box[:4])
    inner = np.zeros(original.shape[:2], np.uint8)
    middle, axes = (round((x0 + x1) / 2), round((y0 + y1) / 2)), (round((x1 - x0) * 0.45), round((y1 - y0) * 0.45))
    cv2.ellipse(inner, middle, (max(1, axes[0]), max(1, axes[1])), 0, 0, 360, 1, -1)
    for hull in hulls:
        cv2.fillConvexPoly(inner, hull, 0)
    if not inner.any():
        return 1.0
    changed = np.abs(original.astype(np.int16) - masked).max(axis=2) > 10
    grey = cv2.cvtColor(masked, cv2.COLOR_BGR2GRAY)
    kernel = np.ones((9, 9), np.uint8)
    flat = cv2.dilate(grey, kernel).astype(np.int16) - cv2.erode(grey, kernel) < 6
    return float((changed | flat)[inner > 0].mean())


def with_its_flesh(points: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """The outline of a hand of 21 points (x, y, px): they lie on its bones, half a finger (a tenth of a palm) inside its skin."""
    half = np.hypot(*(points[9] - points[0])) * 0.1
    around = [(np.cos(a) * half, np.sin(a) * half) for a in np.linspace(0, 2 * np.pi, 8, endpoint=False)]
    return cv2.convexHull(np.concatenate([points + step for step in around]).round().astype(np.int32))
