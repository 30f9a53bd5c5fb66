"""The search for small faces: what it finds in one look it follows to the next, whatever moves, and never across a cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from deemo_data.stages.detect.small_faces import SmallFaceSearch, choose_search_size

WIDTH, HEIGHT = 1728, 960
FACE = 20


@dataclass(frozen=True)
class MadeUpFrame:
    """A frame with bright squares at these places (x, y) on a grey wall."""

    index: int
    squares: tuple[tuple[int, int], ...]
    scalers: Any = None
    grey: int = 90

    def bgr(self, width: int, height: int) -> np.ndarray:
        picture = np.full((height, width, 3), self.grey, np.uint8)
        for x, y in self.squares:
            picture[max(y, 0) : max(y + FACE, 0), max(x, 0) : max(x + FACE, 0)] = 230
        return picture


def find_squares(picture: np.ndarray) -> np.ndarray:
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats((picture[:, :, 0] > 200).astype(np.uint8))
    return np.array([[x, y, x + w, y + h, 0.9] for x, y, w, h, _ in stats[1:]], np.float32).reshape(-1, 5)


def search(frames: list[MadeUpFrame], cuts: tuple[int, ...] = (), step: int = 5) -> tuple[dict[int, np.ndarray], list[int]]:
    """What was found, and the areas that the detector was shown."""
    areas = []

    def detect(picture: np.ndarray) -> np.ndarray:
        areas.append(picture.shape[0] * picture.shape[1])
        return find_squares(picture)

    with ThreadPoolExecutor(1) as thread:
        closer = SmallFaceSearch(detect, (2 * WIDTH, 2 * HEIGHT), (WIDTH, HEIGHT), 640, 15, step, thread)
        for frame in frames:
            closer.add(frame, frame.index in cuts)  # type: ignore[arg-type]
        return closer.finish(), areas


def places(boxes: np.ndarray) -> list[tuple[int, int]]:
    return sorted((round(float(x) / 2), round(float(y) / 2)) for x, y, *_ in boxes)


@pytest.mark.parametrize("speed", [0, 1, 3, 8])
def test_a_face_is_followed_at_any_speed(speed: int) -> None:
    """A slow one in steps, a fast one in every frame."""
    frames = [MadeUpFrame(k, ((100 + speed * k, 400), (900, 544))) for k in range(46)]
    found, _ = search(frames)
    step = 5 if speed < 3 else 1
    assert set(range(0, 46, step)) <= set(found)
    for k in range(0, 46, step):
        expected = (100 + speed * k, 400)
        assert expected in places(found[k]), k


@pytest.mark.parametrize("appears", [1, 7, 14, 22, 29])
def test_a_face_that_comes_or_goes_between_two_looks_is_followed_to_its_first_and_last_frame(appears: int) -> None:
    there = [MadeUpFrame(k, ((500, 300),) if k >= appears else ()) for k in range(46)]
    found, _ = search(there)
    assert min(k for k, boxes in found.items() if len(boxes)) == appears
    gone = [MadeUpFrame(k, ((500, 300),) if k < appears else ()) for k in range(46)]
    found, _ = search(gone)
    assert max(k for k, boxes in found.items() if len(boxes)) == appears - 1


@pytest.mark.parametrize(("begin", "end"), [(10, 11), (10, 12), (14, 17), (31, 40)])
def test_a_short_shot_is_searched_at_both_ends(begin: int, end: int) -> None:
    frames = [MadeUpFrame(k, ((300, 300),), grey=60) if begin <= k < end else MadeUpFrame(k, ()) for k in range(46)]
    found, _ = search(frames, cuts=(begin, end))
    assert len(found[begin]) == len(found[end - 1]) == 1
    assert not any(len(boxes) for k, boxes in found.items() if not begin <= k < end)


def test_what_stands_still_is_searched_once() -> None:
    still = [MadeUpFrame(k, ((100, 100), (900, 544), (1700, 930))) for k in range(91)]
    found, areas = search(still)
    assert sum(areas) < 1.6 * WIDTH * HEIGHT
    assert all(len(found[k]) == 3 for k in range(0, 91, 15))
    moving = [MadeUpFrame(k, ((100 + k, 100),)) for k in range(91)]
    _, areas = search(moving)
    assert sum(areas) < 4 * WIDTH * HEIGHT, "seven looks at one tile, and windows around the face"


def test_wide_faces_are_left_to_the_look_at_the_whole_picture() -> None:
    class Wide(MadeUpFrame):
        def bgr(self, width: int, height: int) -> np.ndarray:
            picture = np.full((height, width, 3), 90, np.uint8)
            picture[100:250, 100:220] = 230
            return picture

    found, _ = search([Wide(k, ()) for k in range(16)])
    assert not any(len(boxes) for boxes in found.values())


@pytest.mark.parametrize(
    ("size", "shown"),
    [((640, 480), None), ((704, 576), None), ((360, 288), None), ((768, 432), (768, 448)), ((1280, 720), (1280, 736)),
     ((1080, 1920), (1088, 1920)), ((3840, 2160), (3840, 2176))],
)  # fmt: skip
def test_the_search_grows_with_the_picture(size: tuple[int, int], shown: tuple[int, int] | None) -> None:
    assert choose_search_size(*size, narrowest=18, longest=640) == shown
    assert choose_search_size(*size, narrowest=0, longest=640) is None
