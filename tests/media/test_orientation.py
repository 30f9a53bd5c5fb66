"""Footage that lies on its side or is mirrored comes out as players show it: all eight display matrices, and odd angles."""

from __future__ import annotations

import struct
from fractions import Fraction
from math import cos, pi, sin
from pathlib import Path

import numpy as np
import pytest

from deemo_data.media.frames import parse_display_matrix, read_frames
from tests.makers.numbered_films import even, ffmpeg, film, luma, number_in, part, picture, whole

ONE = 1 << 16
EIGHT = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]
FIRST = 0b100110  # of the numbers that are shown: their patterns are no mirror images of each other


def lay_down(upright: np.ndarray, matrix: tuple[int, ...], width: int, height: int) -> np.ndarray:
    """(height, width, 3): the picture that a player with this matrix shows as `upright`. A pixel (x, y) of the file is shown
    at (a x + c y, b x + d y), moved so that all coordinates begin at 0."""
    a, b, c, d = matrix
    y, x = np.mgrid[0:height, 0:width]
    right, down = a * x + c * y, b * x + d * y
    return np.ascontiguousarray(upright[down - down.min(), right - right.min()])


def lying_film(path: Path, matrix: tuple[int, ...], size: tuple[int, int]) -> Path:
    def show(number: int, width: int, height: int) -> np.ndarray:
        shown = (width, height) if matrix[0] else (height, width)
        return lay_down(picture(FIRST + number, *shown), matrix, width, height)

    return film(path, even(Fraction(25), 30), size, show=show)


def set_matrix(path: Path, matrix: tuple[float, ...]) -> Path:
    """Write a matrix into the header of the first track of an mp4 or mov file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + (52 if data[data.index(b"tkhd") + 4] else 40)
    a, b, c, d = (round(x * ONE) for x in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("matrix", EIGHT, ids=str)
@pytest.mark.parametrize(("ending", "size"), [("mp4", (64, 48)), ("mov", (66, 50)), ("mp4", (48, 96))])
def test_all_eight_orientations_come_out_upright(
    tmp_path: Path, matrix: tuple[int, ...], ending: str, size: tuple[int, int]
) -> None:
    source = whole(set_matrix(lying_film(tmp_path / f"film.{ending}", matrix, size), matrix))
    assert (source.grid.width, source.grid.height) == (size if matrix[0] else size[::-1])
    assert source.facts["notices"] == []
    for frame in read_frames(part(source, 10, 14)):
        for look in (frame.rgb(), frame.bgr(80, 60), luma(frame)):
            assert number_in(look) == FIRST + 10 + frame.index
        chroma = frame.yuv()[source.grid.height :]
        assert abs(chroma.astype(int) - 128).max() < 8, "the grey picture stays grey"


@pytest.mark.parametrize(("rotate", "flip", "matrix"), [
    ("90", "", (0, -1, 1, 0)), ("180", "", (-1, 0, 0, -1)), ("270", "", (0, 1, -1, 0)),
    ("0", "horizontal", (-1, 0, 0, 1)), ("0", "vertical", (1, 0, 0, -1)),
])  # fmt: skip
@pytest.mark.parametrize("ending", ["mkv", "ts"])
def test_an_orientation_inside_the_stream_is_honoured(
    tmp_path: Path, ending: str, rotate: str, flip: str, matrix: tuple[int, ...]
) -> None:
    """A message in H.264 (SEI display orientation) says it, in containers that have no field for it."""
    plain = lying_film(tmp_path / "plain.mp4", matrix, (64, 48))
    how = f"h264_metadata=display_orientation=insert:rotate={rotate}" + (f":flip={flip}" if flip else "")
    ffmpeg("-i", plain, "-c", "copy", "-bsf:v", how, tmp_path / f"film.{ending}")
    source = whole(tmp_path / f"film.{ending}")
    for frame in read_frames(part(source, 5, 8)):
        assert number_in(frame.rgb()) == number_in(luma(frame)) == FIRST + 5 + frame.index


@pytest.mark.parametrize("angle", [20, 45, -45, 135, 200])
def test_an_odd_angle_is_told_and_left(tmp_path: Path, angle: int) -> None:
    turn = angle * pi / 180
    matrix = (cos(turn), sin(turn), -sin(turn), cos(turn))
    path = film(tmp_path / "film.mp4", even(Fraction(25), 30), (64, 48))
    source = whole(set_matrix(path, matrix))
    assert [n["kind"] for n in source.facts["notices"]] == ["picture_tilted"]
    assert (source.grid.width, source.grid.height) == (64, 48)
    assert [number_in(f.rgb()) for f in read_frames(part(source, 3, 5))] == [3, 4]


@pytest.mark.parametrize("matrix", EIGHT, ids=str)
@pytest.mark.parametrize("scale", [0.3, 1, 2.5])
@pytest.mark.parametrize("tilt", [-9, 0, 9])
def test_a_matrix_near_a_right_angle_means_it(matrix: tuple[int, ...], scale: float, tilt: int) -> None:
    a, b, c, d = matrix
    u, v = scale * cos(tilt * pi / 180), scale * sin(tilt * pi / 180)
    turned = (a * u - b * v, a * v + b * u, c * u - d * v, c * v + d * u)
    numbers = [round(x * ONE) for x in (*turned[:2], 0, *turned[2:], 0, 0, 0, 1 << 14)]
    exact = [round(x * ONE) for x in (a, b, 0, c, d, 0, 0, 0, 1 << 14)]
    assert parse_display_matrix(struct.pack("9i", *numbers)) == parse_display_matrix(struct.pack("9i", *exact))


def test_a_matrix_of_zeros_means_nothing() -> None:
    assert parse_display_matrix(bytes(36)) == (0, False)
