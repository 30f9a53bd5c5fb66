"""The closer look of the leak check: a second network decides, and it knows a small face from a wall."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from deemo_data.clip import Clip, Grid
from deemo_data.models.faces import centerface
from deemo_data.stages.deidentify.check_leaks import CheckLeaks, confirm_small_face, is_beside_larger_face
from tests.makers.talker import FACE, masked, talker  # noqa: F401


@pytest.mark.parametrize("width", [18, 30, 60])
def test_a_small_face_is_confirmed_and_its_mask_is_not(weights: Path, talker: np.ndarray, width: int) -> None:
    scale = width / float(FACE[2] - FACE[0])
    for picture, is_face in ((talker, True), (masked(talker), False)):
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        score = confirm_small_face(centerface.load(), np.asarray(small, np.uint8), FACE * np.float32(scale))
        assert (score >= CheckLeaks().closer_sure) == is_face, score


def test_a_wall_is_no_face(weights: Path) -> None:
    wall = np.random.default_rng(0).integers(90, 120, (200, 300, 3)).astype(np.uint8)
    for box in ([100, 100, 120, 120], [-5, -5, 15, 15], [290, 190, 310, 210]):
        assert confirm_small_face(centerface.load(), wall, np.array(box, np.float32)) < 0.1


def test_closer_looks_are_spread_over_the_clip_and_include_the_last_frame() -> None:
    clip = Clip("c", "c", 0, 1600, {}, {"grid": Grid(Fraction(25), False, Fraction(0), 40, 640, 480).to_fact()})
    check = CheckLeaks(closer_every=15)
    assert [f for f in range(40) if check._is_looked_at_closely(f, clip)] == [7, 22, 37, 39]
    assert all(CheckLeaks(closer_every=1)._is_looked_at_closely(f, clip) for f in range(40))


def test_a_small_hit_at_the_rim_of_a_large_mask_is_a_hand_and_a_second_face_is_not() -> None:
    face = np.array([100, 100, 160, 180], np.float32)

    def hit(x: float, y: float, width: float) -> np.ndarray:
        return np.array([x - width / 2, y - width / 2, x + width / 2, y + width / 2, 0.9], np.float32)

    assert is_beside_larger_face(hit(130, 195, 25), face)
    assert not is_beside_larger_face(hit(130, 195, 55), face), "as wide as the face: another person"
    assert not is_beside_larger_face(hit(130, 230, 25), face), "away from the mask"
