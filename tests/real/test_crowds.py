"""Crowds of small faces: each face of 18 pixels and more is covered in each frame, or the clip is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.stages.deidentify.check_leaks import CheckLeaks
from deemo_data.stages.deidentify.mask_video import MaskVideo
from deemo_data.stages.detect.find_faces import FindFaces
from tests.makers import crowds

PROFILES = {
    "hardened": (FindFaces(), MaskVideo(hands="hidden")),
    "deemo-paper": (FindFaces(threshold=0.2, second="none"), MaskVideo(mode="blur", grow=1.6, hands="hidden")),
}


def released(media: Path, folder: Path, profile: str, size: tuple[int, int], seed: int, **more: Any) -> bool:
    """Whether a crowd is released; it fails if a face of a released crowd shows in any frame."""
    crowd = crowds.make_crowd(media, folder, size, seed, **more)
    assert crowd.boxes.shape[1] >= 12
    find, mask = PROFILES[profile]
    clip, passed = crowds.mask_and_check(crowd.clip, folder, find, mask, CheckLeaks())
    if passed:
        assert crowds.find_bare_faces(crowd, clip.path("safe")) == []
    return passed


@pytest.mark.parametrize("profile", PROFILES)
def test_no_face_of_a_crowd_shows(media: Path, weights: Path, tmp_path: Path, profile: str) -> None:
    assert released(media, tmp_path, profile, (1280, 720), seed=1, frames=16)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1080, 1920), (3840, 2160)])
def test_crowds_of_all_sizes(media: Path, weights: Path, tmp_path: Path, profile: str, size: tuple[int, int]) -> None:
    cases = [(2, 25, 23, 0.0), (3, 30, 28, 0.7), (4, 12, 18, 1.5), (5, 50, 23, 2.5)]
    passed = [
        released(media, tmp_path, profile, size, seed, fps=fps, crf=crf, speed=speed, frames=24)
        for seed, fps, crf, speed in cases
    ]
    assert sum(passed) >= 3, "and they are not all refused"


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160)])
def test_the_bound(media: Path, weights: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    """All faces 18 to 20 pixels wide."""
    assert released(media, tmp_path, "hardened", size, seed=6, widths=(18, 20), frames=16)


@pytest.mark.parametrize("width", [18, 40])
def test_the_leak_check_sees_small_faces_without_a_mask(media: Path, weights: Path, tmp_path: Path, width: int) -> None:
    """It looks as closely as the mask: it would refuse each of two crowds of which nothing was covered."""
    crowd = crowds.make_crowd(media, tmp_path, (1280, 720), width, frames=9, faces=4, widths=(width, width + 1))
    nothing = FindFaces(threshold=0.99, second="none", narrowest=0)
    _, passed = crowds.mask_and_check(crowd.clip, tmp_path, nothing, MaskVideo(hands="hidden"), CheckLeaks())
    assert not passed


def test_the_measure_knows_a_face_that_shows() -> None:
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, (120, 120, 3)).astype(np.uint8)
    box = np.array([30.0, 30, 80, 90])
    painted, half = np.full_like(source, 90), source.copy()
    half[:, 55:] = 90
    noisy = (source * 0.9 + rng.normal(0, 10, source.shape)).clip(0, 255).astype(np.uint8)
    assert crowds.measure_detail(source, source, box) == pytest.approx(1)
    assert crowds.measure_detail(source, noisy, box) > crowds.SHOWN_DETAIL
    assert crowds.measure_detail(source, half, box) > crowds.SHOWN_DETAIL
    assert abs(crowds.measure_detail(source, painted, box)) < 0.1
    assert crowds.measure_detail(source, source, box - (60, 0, 60, 0)) == 0, "less than half of it is in the picture"
