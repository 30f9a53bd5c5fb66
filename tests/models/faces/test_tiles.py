"""Tiles cover the picture, no face falls between two of them, and what stands still is not searched again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.models.faces import tiles

SIDES = st.integers(2, 130).map(lambda n: 32 * n)


@given(SIDES, SIDES, st.floats(1, 200), st.data())
def test_a_face_lies_whole_in_one_tile_wherever_it_is(width: int, height: int, widest: float, data: st.DataObject) -> None:
    placed = tiles.place_tiles(width, height, widest)
    assert {(x1 - x0) % 32 for x0, _, x1, _ in placed} == {(y1 - y0) % 32 for _, y0, _, y1 in placed} == {0}
    assert min(x0 for x0, *_ in placed) == min(y0 for _, y0, *_ in placed) == 0
    assert max(x1 for *_, x1, _ in placed) == width
    assert max(y1 for *_, y1 in placed) == height
    wide, high = min(widest, width), min(widest * tiles.FACE_HEIGHT, height)
    x, y = data.draw(st.floats(0, width - wide)), data.draw(st.floats(0, height - high))
    box = np.array([[x, y, x + wide, y + high, 0.9]])
    assert any(len(tiles.drop_cut_boxes(box, tile, width, height)) for tile in placed if is_inside(box[0], tile))


def is_inside(box: np.ndarray, tile: tuple[int, int, int, int]) -> bool:
    return bool(tile[0] <= box[0] and tile[1] <= box[1] and box[2] <= tile[2] and box[3] <= tile[3])


@pytest.mark.parametrize(("width", "height"), [(1152, 640), (1728, 960), (3456, 1952), (960, 1728), (32, 32)])
def test_tiles_are_no_larger_than_they_have_to_be(width: int, height: int) -> None:
    """Half as much again is the price of the overlaps, and the largest tile bounds the memory."""
    placed = tiles.place_tiles(width, height, 28 * max(width, height) / 640)
    area = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in placed)
    assert width * height <= area <= 1.75 * width * height
    assert max((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in placed) <= 1_400_000


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 600), st.floats(8, 90)), max_size=30))
def test_each_face_has_a_window_around_it(faces: list[tuple[float, float, float]]) -> None:
    width, height = 1024, 640
    boxes = np.array([[x - w / 2, y - w * 0.7, x + w / 2, y + w * 0.7] for x, y, w in faces], np.float32).reshape(-1, 4)
    windows = tiles.place_windows(boxes, width, height)
    assert all(0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height and not (x1 - x0) % 32 for x0, y0, x1, y1 in windows)
    for box in boxes.clip(0, (width, height, width, height)):
        assert any(is_inside(box, window) for window in windows)
    assert len(windows) <= len(boxes)


def test_faces_close_together_share_a_window() -> None:
    boxes = np.array([[500, 300, 520, 326], [514, 302, 534, 328], [800, 300, 820, 326]], np.float32)
    assert len(tiles.place_windows(boxes, 1024, 640)) == 2


def find_bright(picture: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(picture[:, :, 0] > 200)
    if not len(ys):
        return np.zeros((0, 5), np.float32)
    return np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, 0.9]], np.float32)


def test_only_tiles_that_changed_are_searched_again() -> None:
    searched = []

    def detect(picture: np.ndarray) -> np.ndarray:
        searched.append(picture.shape)
        return find_bright(picture)

    width, height = 1728, 960
    memory = tiles.TileMemory(width, height, detect, 40)

    def look(x: int, grey: int = 90) -> list[list[float]]:
        searched.clear()
        picture = np.full((height, width, 3), grey, np.uint8)
        picture[200:226, x : x + 20] = 230
        return memory.look(picture, tiles.make_preview(picture))[:, :4].tolist()

    assert look(100) == [[100, 200, 120, 226]]
    assert len(searched) == len(memory.tiles) > 3
    assert look(100) == [[100, 200, 120, 226]]
    assert searched == []
    assert look(101, grey=93) == [[101, 200, 121, 226]], "noise is no change, a face that moves by one pixel is"
    assert len(searched) == 1
    assert look(1600) == [[1600, 200, 1620, 226]]
    assert 2 <= len(searched) < len(memory.tiles)


def test_a_piece_of_a_face_at_the_border_of_a_tile_is_no_face() -> None:
    boxes = np.array([[100, 100, 130, 140, 0.9], [290, 100, 318, 140, 0.9], [0, 100, 20, 140, 0.9]], np.float32)
    assert tiles.drop_cut_boxes(boxes, (0, 0, 320, 320), 640, 320).tolist() == [boxes[0].tolist(), boxes[2].tolist()]
    assert len(tiles.drop_cut_boxes(boxes, (0, 0, 320, 320), 320, 320)) == 3, "the border of the picture does not count"
