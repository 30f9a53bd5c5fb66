"""CenterFace on real footage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from deemo_data.models.faces import centerface
from tests.makers.talker import overlap, talker  # noqa: F401

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("weights")


@pytest.mark.parametrize(
    ("width", "height", "longest", "expected"),
    [(1280, 720, 640, (640, 352)), (1280, 720, 320, (320, 192)), (360, 640, 640, (384, 640)), (1280, 720, 4000, (1280, 736)),
     (10, 10, 320, (32, 32)), (4000, 40, 320, (320, 32))],
)  # fmt: skip
def test_working_size(width: int, height: int, longest: int, expected: tuple[int, int]) -> None:
    assert centerface.choose_input_size(width, height, longest) == expected


def test_centerface_finds_the_face_at_every_size(talker: NDArray[np.uint8]) -> None:
    net = centerface.load()
    for longest in (320, 640, 1280):
        size = centerface.choose_input_size(1280, 720, longest)
        found = centerface.detect(net, cv2.resize(talker[..., ::-1], size), 0.5)
        assert found.dtype == np.float32
        assert found.shape == (1, 5)
        scale = np.array([1280 / size[0], 720 / size[1]] * 2, np.float32)
        assert overlap(found[:, :4] * scale) > 0.8
    wall = np.full((192, 320, 3), 128, np.uint8)
    assert centerface.detect(net, wall, 0.3).shape == (0, 5)
    with pytest.raises(ValueError, match="multiples of 32, not 320x180"):
        centerface.detect(net, wall[:180], 0.5)
