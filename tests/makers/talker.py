"""Reads frames of real footage with one talker, whose face is known by eye."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from deemo_data.tracks.linking import box_ious

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACE = np.array([525, 84, 703, 295], np.float32)  # the talker's face in frame 45, by eye


def pictures(path: Path, first: int, count: int) -> list[NDArray[np.uint8]]:
    import av

    with av.open(str(path)) as container:
        frames = itertools.islice(container.decode(video=0), first, first + count)
        return [frame.to_ndarray(format="rgb24") for frame in frames]


@pytest.fixture(scope="module")
def talker(media: Path) -> NDArray[np.uint8]:
    return pictures(media / "video" / "talker_hands_speech_wim.mp4", 45, 1)[0]


def masked(rgb: NDArray[np.uint8], box: NDArray[np.float32] = FACE) -> NDArray[np.uint8]:
    x0, y0, x1, y1 = (int(v) for v in box)
    centre, axes = ((x0 + x1) // 2, (y0 + y1) // 2), (int((x1 - x0) * 0.65), int((y1 - y0) * 0.65))
    return cv2.ellipse(rgb.copy(), centre, axes, 0, 0, 360, (90, 90, 90), -1)


def overlap(found: NDArray[np.float32], expected: NDArray[np.float32] = FACE) -> float:
    return float(box_ious(expected, found).max()) if len(found) else 0.0
