"""Non-maximum suppression and square crops."""

from __future__ import annotations

import numpy as np
import pytest

from deemo_data.models.runtime import boxes
from deemo_data.tracks.linking import box_ious

pytestmark = pytest.mark.usefixtures("weights")


def test_suppression_keeps_the_strongest_of_each_pile() -> None:
    pile = np.array([[0, 0, 10, 10, 0.5], [1, 0, 11, 10, 0.9], [40, 40, 50, 50, 0.2], [0, 1, 10, 11, 0.6]], np.float32)
    assert boxes.suppress_overlaps(pile).tolist() == [1, 2]
    assert boxes.suppress_overlaps(boxes.make_empty_boxes()).tolist() == []
    assert box_ious(pile[0], pile) == pytest.approx([1.0, 9 / 11, 0.0, 9 / 11])


def test_a_cut_outside_the_picture_is_black() -> None:
    picture = np.full((20, 30, 3), 200, np.uint8)
    window = boxes.crop_square(picture, -10, -10, 20, 20)
    assert window.shape == (20, 20, 3)
    assert not window[:10].any()
    assert not window[:, :10].any()
    assert (window[10:, 10:] == 200).all()
    assert not boxes.crop_square(picture, 100, 100, 8, 4).any()
    assert not boxes.crop_square(picture, -50, -50, 8, 4).any()
