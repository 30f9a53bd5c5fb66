"""Cuts are found wherever they lie, however short the shots, and nothing else is taken for one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.tracks.cuts import mark_cuts, measure_likeness

HEIGHT, WIDTH = 18, 32


def room(seed: int, low: int = 20, high: int = 220) -> np.ndarray:
    """A picture (18, 32, 3) that has nothing in common with that of another seed."""
    return np.random.default_rng(seed).integers(low, high, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def wall(grey: int, x: int, y: int = 4) -> np.ndarray:
    """A plain wall with a bright square before it."""
    picture = np.full((HEIGHT, WIDTH, 3), grey, np.uint8)
    picture[y : y + 7, x : x + 7] = 235
    return picture


def cuts_in(pictures: list[np.ndarray]) -> list[int]:
    marked = list(mark_cuts(enumerate(pictures), lambda item: item[1]))
    assert [index for (index, _), _ in marked] == list(range(len(pictures))), "each frame once, in order"
    return [index for (index, _), is_cut in marked if is_cut]


def shots(lengths: list[int]) -> list[np.ndarray]:
    """Shots of these lengths, each of another room, with some noise in each frame."""
    noise = np.random.default_rng(0)
    still = itertools.chain.from_iterable([room(k)] * n for k, n in enumerate(lengths))
    return [np.clip(p + noise.integers(-2, 3, p.shape), 0, 255).astype(np.uint8) for p in still]


@pytest.mark.parametrize("lengths", [[1, 20], [2, 20], [3, 20], [20, 1], [20, 2], [20, 3], [20, 1, 20], [20, 2, 20], [20, 3, 20],
                                     [1, 9, 1, 9, 2], [3, 3, 3, 3, 3], [2, 2, 2, 2], [40]])  # fmt: skip
def test_each_cut_is_found_where_it_lies(lengths: list[int]) -> None:
    assert cuts_in(shots(lengths)) == list(itertools.accumulate(lengths))[:-1]


@settings(max_examples=30)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=6))
def test_shots_of_any_length(lengths: list[int]) -> None:
    assert cuts_in(shots(lengths)) == list(itertools.accumulate(lengths))[:-1]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_walls_of_one_colour_and_back(length: int) -> None:
    assert cuts_in([wall(60, 3)] * 12 + [wall(130, 20)] * length + [wall(60, 3)] * 12) == [12, 12 + length]
    assert cuts_in([wall(60, 3)] * length + [wall(130, 20)] * 12) == [length]


@pytest.mark.parametrize("times", [2, 3, 5])
def test_a_picture_that_is_shown_several_times(times: int) -> None:
    """Footage of a low rate on a grid of a high rate: someone crosses the picture, and then there is a cut."""
    moving = [wall(60, x) for x in range(10)] + [room(1)] * 4
    assert cuts_in([picture for picture in moving for _ in range(times)]) == [10 * times]


def test_what_moves_is_no_cut() -> None:
    assert cuts_in([wall(60, x) for x in range(25)]) == []
    shaken = [np.roll(room(3), (k * 7 % 5, k * 5 % 7), axis=(0, 1)) for k in range(30)]
    assert cuts_in(shaken) == [], "a camera that shakes as much as it can"


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length: int) -> None:
    light = np.clip(room(5, 20, 140).astype(np.int16) + 80, 0, 255).astype(np.uint8)
    assert cuts_in([room(5, 20, 140)] * 10 + [light] * length + [room(5, 20, 140)] * 10) == []


def test_likeness() -> None:
    a = room(1).astype(float)
    assert measure_likeness(a, a * 0.5 + 30) == pytest.approx(1)
    assert abs(measure_likeness(a, room(2).astype(float))) < 0.2
    assert measure_likeness(a, np.full_like(a, 7)) == 0


def test_no_frames_and_one_frame() -> None:
    assert cuts_in([]) == cuts_in([room(0)]) == []
