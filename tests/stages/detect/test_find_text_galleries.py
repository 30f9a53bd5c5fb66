"""Rows of small pictures are no lines of text; slides full of text are covered; how much is covered is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deemo_data.clip import Facts, Grid
from deemo_data.errors import StageError
from deemo_data.stages.detect.find_text import FindText, mask_boxes, measure_found_again, measure_shares
from deemo_data.tracks import faces
from tests.makers.galleries import Boxes, Picture, draw_gallery, draw_slide, film_picture

HD, FULL_HD = (1280, 720), (1920, 1080)


def look_for_text(picture: Picture, tmp_path: Path) -> tuple[Facts, np.ndarray]:
    """The facts, and which pixels of the second frame are covered."""
    facts = FindText()(film_picture(tmp_path / "film.mp4", picture), tmp_path)
    mask = np.zeros(picture.shape[:2], bool)
    for x0, y0, x1, y1 in faces.boxes_by_frame(faces.read_faces(tmp_path / "text_boxes.parquet")).get(1, ()):
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return facts, mask


def find_missed(mask: np.ndarray, lines: Boxes) -> list[int]:
    """The lines of which less than 7 tenths are covered."""
    return [k for k, (x0, y0, x1, y1) in enumerate(lines) if mask[y0 : y1 + 1, x0 : x1 + 1].mean() < 0.7]


SLOW = pytest.mark.slow
GALLERIES = [
    (5, HD, {}), (7, FULL_HD, {"names": False, "gap": 0, "first": 2}), (6, HD, {"gap": 14, "grey": 240, "first": 5}),
    pytest.param(2, HD, {}, marks=SLOW), pytest.param(3, FULL_HD, {}, marks=SLOW), pytest.param(4, (640, 480), {}, marks=SLOW),
    pytest.param(5, FULL_HD, {"grey": 240, "gap": 20, "first": 3}, marks=SLOW), pytest.param(6, FULL_HD, {}, marks=SLOW),
    pytest.param(7, HD, {}, marks=SLOW), pytest.param(8, HD, {"gap": 8, "first": 3}, marks=SLOW),
    pytest.param(5, (720, 1280), {}, marks=SLOW),
]  # fmt: skip


@pytest.mark.parametrize(("side", "size", "how"), GALLERIES, ids=str)
def test_a_call_with_many_people_is_not_one_text(
    weights: Path, media: Path, tmp_path: Path, side: int, size: tuple[int, int], how: dict[str, int]
) -> None:
    picture, names = draw_gallery(media / "video", side, size, **how)  # type: ignore[arg-type]
    facts, mask = look_for_text(picture, tmp_path)
    assert facts["text_share"] < 0.35, "rows of tiles were covered from edge to edge: 0.98 and more"
    assert find_missed(mask, names) == []


@pytest.mark.parametrize(("size", "letters", "dark"), [(HD, 0.8, False), ((640, 480), 0.7, True), (HD, 3.5, True)], ids=str)
def test_slides_are_covered_and_that_is_told(
    weights: Path, tmp_path: Path, size: tuple[int, int], letters: float, dark: bool
) -> None:
    picture, lines = draw_slide(size, letters, dark)
    facts, mask = look_for_text(picture, tmp_path)
    assert len(lines) >= 3
    assert find_missed(mask, lines) == []
    (notice,) = facts["find_text_notices"]
    assert notice["kind"] == "much_text_covered"
    assert f"cover {facts['text_share']:.0%} of the picture on average" in notice["text"]


def test_a_clip_of_which_nothing_would_be_left_fails(weights: Path, tmp_path: Path) -> None:
    picture, _ = draw_slide((640, 480), 1.0, False)
    clip = film_picture(tmp_path / "film.mp4", picture)
    with pytest.raises(StageError, match=r"clip a: boxes over text cover \d\d% of the picture on average\. .*least_left = 0"):
        FindText(least_left=0.9)(clip, tmp_path)
    assert FindText(least_left=0)(clip, tmp_path)["text_share"] > 0.1


def test_nothing_is_told_where_there_is_little_text(weights: Path, tmp_path: Path) -> None:
    facts = FindText()(film_picture(tmp_path / "film.mp4", np.full((240, 320, 3), 120, np.uint8)), tmp_path)
    assert facts == {"text_share": 0.0, "find_text_notices": []}


def test_shares_count_overlaps_once_and_frames_without_boxes(tmp_path: Path) -> None:
    clip = film_picture(tmp_path / "film.mp4", np.zeros((180, 320, 3), np.uint8), frames=4)
    half, same = np.array([0, 0, 160, 180.0]), np.array([10, 10, 150, 170.0])
    assert measure_shares({0: [half, same], 2: [half]}, clip) == (0.25, 0.5)
    assert measure_shares({}, clip) == (0, 0)
    grid = Grid.of(clip.facts["grid"])
    assert mask_boxes([np.array([-20, -20, 1000, 1000.0])], grid).all()


def test_a_line_is_found_again_only_by_lines_of_its_height(tmp_path: Path) -> None:
    grid = Grid.of(film_picture(tmp_path / "film.mp4", np.zeros((180, 320, 3), np.uint8)).facts["grid"])
    line = np.array([[20, 40, 300, 80, 0.85]], np.float32)
    halves = np.array([[20, 42, 150, 78, 0.8], [150, 42, 300, 78, 0.8]], np.float32)
    low, high = np.array([[20, 50, 300, 60, 0.9]], np.float32), np.array([[0, 0, 320, 170, 0.9]], np.float32)
    assert measure_found_again(line, halves, grid)[0] > 0.85
    assert measure_found_again(line, np.concatenate([low, high]), grid)[0] == 0
    assert measure_found_again(line, halves[:1], grid)[0] < 0.5
