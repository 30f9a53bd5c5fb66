"""Frame k is the same picture everywhere: on made films whose frames carry their number, and on real footage."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from deemo_data.clip import Grid
from deemo_data.errors import MediaError
from deemo_data.media.frames import Frame, read_frames
from tests.makers.numbered_films import (
    EVEN,
    NTSC,
    even,
    ffmpeg,
    film,
    luma,
    number_in,
    numbers,
    part,
    picture,
    spans,
    uneven,
    whole,
)


def meant(grid: Grid, times: list[Fraction]) -> list[int]:
    """The rule itself, word for word: grid frame k shows the last source frame with pts <= (k + 1/2) / fps."""
    return [
        max((n for n, t in enumerate(times) if t - times[0] <= (k + Fraction(1, 2)) / grid.fps), default=0)
        for k in range(grid.frames)
    ]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "avi", "ts"])
@pytest.mark.parametrize("fps", EVEN, ids=str)
def test_even_footage_goes_through_one_to_one(tmp_path: Path, fps: Fraction, ending: str) -> None:
    count = round(fps * 9)
    source = whole(film(tmp_path / f"film.{ending}", even(fps, count), bframes=0 if ending == "avi" else 2, keyint=45))
    assert (source.grid.fps, source.grid.vfr, source.grid.frames) == (fps, False, count)
    for first, end in [(0, 12), *spans(count, (fps, ending), 3)]:
        assert numbers(part(source, first, end)) == list(range(first, end))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("vfr_fps", [12, 30, 60])
def test_uneven_footage_is_put_on_a_grid(tmp_path: Path, ending: str, vfr_fps: int) -> None:
    times = uneven(200, seed=vfr_fps)
    source = whole(film(tmp_path / f"film.{ending}", times, bframes=3, keyint=40), vfr_fps)
    assert (source.grid.fps, source.grid.vfr) == (vfr_fps, True)
    expected = meant(source.grid, times)
    assert expected[-1] == 199, "the last frame is shown"
    assert numbers(source) == expected
    for first, end in spans(source.grid.frames, (ending, vfr_fps), 6):
        assert numbers(part(source, first, end)) == expected[first:end]


@pytest.mark.parametrize("keyint", [1, 7, 1000], ids=lambda k: f"key-every-{k}")
@pytest.mark.parametrize("bframes", [0, 3])
@pytest.mark.parametrize("start", ["0", "7/2", "20"])
def test_a_clip_from_the_middle_shows_what_the_whole_shows(tmp_path: Path, keyint: int, bframes: int, start: str) -> None:
    times = even(Fraction(25), 400, Fraction(start))
    source = whole(film(tmp_path / "film.mkv", times, bframes=bframes, keyint=keyint))
    assert source.grid.zero == Fraction(start), "people's 0 ms is the first frame"
    assert (source.grid.fps, source.grid.frames) == (25, 400)
    for first, end in spans(400, (keyint, bframes, start), 5):
        assert numbers(part(source, first, end)) == list(range(first, end))


@pytest.mark.parametrize("start", ["1/10", "3/2", "12"])
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_an_offset_in_an_edit_list(tmp_path: Path, ending: str, start: str) -> None:
    times = even(30 * NTSC, 300, Fraction(start))
    source = whole(film(tmp_path / f"film.{ending}", times, bframes=2, clicks=[], seconds=22))
    assert abs(source.grid.zero - Fraction(start)) < Fraction(1, 1000)
    assert numbers(part(source, 0, 5)) == [0, 1, 2, 3, 4]
    assert numbers(part(source, 250, 260)) == list(range(250, 260))


def test_every_nth_frame_is_that_frame(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mp4", even(Fraction(25), 100)))
    assert [(f.index, number_in(f.rgb())) for f in read_frames(part(source, 10, 60), every=7)] == [
        (i, 10 + i) for i in range(0, 50, 7)
    ]


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("size", [(64, 48), (66, 50), (321, 241)], ids=str)
def test_turned_footage_comes_out_upright(tmp_path: Path, turn: int, size: tuple[int, int]) -> None:
    def lying(number: int, width: int, height: int) -> np.ndarray:
        upright = picture(number, *((width, height) if turn == 180 else (height, width)))
        return np.ascontiguousarray(np.rot90(upright, turn // 90))

    plain = film(
        tmp_path / "plain.mp4",
        even(Fraction(25), 60),
        size,
        layout="yuv420p" if size[0] % 2 == 0 == size[1] % 2 else "yuv444p",
        show=lying,
    )
    ffmpeg("-display_rotation:v:0", str(-turn if turn != 180 else 180), "-i", plain, "-c", "copy", tmp_path / "turned.mp4")
    with av.open(str(tmp_path / "turned.mp4")) as container:
        assert next(container.decode(video=0)).rotation % 360 == -turn % 360, "or nothing is tested"
    source = whole(tmp_path / "turned.mp4")
    expected = size if turn == 180 else size[::-1]
    assert (source.grid.width, source.grid.height) == (expected[0] // 2 * 2, expected[1] // 2 * 2)
    for frame in read_frames(part(source, 20, 30)):
        for look in (frame.rgb(), frame.bgr(80, 60), luma(frame)):
            assert number_in(look) == 20 + frame.index
        assert frame.bgr(80, 60).shape == (60, 80, 3)


@pytest.mark.parametrize("size", [(321, 241), (320, 241), (321, 240), (17, 33)], ids=str)
def test_odd_sizes_become_even(tmp_path: Path, size: tuple[int, int]) -> None:
    source = whole(film(tmp_path / "film.mkv", even(Fraction(25), 30), size, layout="yuv444p"))
    width, height = size[0] // 2 * 2, size[1] // 2 * 2
    assert (source.grid.width, source.grid.height) == (width, height)
    for frame in read_frames(part(source, 4, 9)):
        assert frame.yuv().shape == (height * 3 // 2, width)
        assert frame.rgb().shape == (height, width, 3)
        if min(size) > 20:
            assert number_in(frame.rgb()) == number_in(luma(frame)) == 4 + frame.index


@pytest.mark.parametrize(("pixel", "width"), [("4/3", 96), ("1", 72), ("16/15", 76), ("1/2", 36)])
def test_pixels_become_square(tmp_path: Path, pixel: str, width: int) -> None:
    source = whole(film(tmp_path / "film.mp4", even(Fraction(25), 20), (72, 48), pixel=Fraction(pixel)))
    assert (source.grid.width, source.grid.height) == (width, 48)
    for frame in read_frames(source):
        assert frame.yuv().shape == (72, width)
        assert number_in(frame.rgb()) == number_in(luma(frame)) == frame.index


def test_pictures_belong_to_who_asked(tmp_path: Path) -> None:
    """A stage may draw on what it got; the next look is not changed by it."""
    source = whole(film(tmp_path / "film.mp4", even(Fraction(25), 5)))
    for frame in read_frames(source):
        for look in (frame.yuv, frame.rgb, frame.bgr):
            before = look()
            keep = before.copy()
            before[:] = 7
            np.testing.assert_array_equal(look(), keep)


REAL = [
    "asl_bird.mkv", "edge_real_vfr_timing_no_person.mp4", "event_1s_h264_mp3.mp4", "event_1s_h265_aac.mp4",
    "event_1s_mpeg4_aac.mp4", "event_1s_theora_vorbis.ogg", "event_1s_vp8_opus.webm", "event_1s_xvid_mp3.avi",
    "event_6people_small_faces_cc.mp4", "grid_bbaf2n.mpg", "grid_id2_vcd_swwp2s.mpg", "hikers_walking_audio_cc.mp4",
    "iphone4s_rotated_gps_noface.mov", "man_walking_antarctica.mp4", "people_walking_one_by_one_intel.mp4",
    "selfie_rotated90_2people_cc.mp4", "signer_selfie_slp.mp4", "talker_hands_speech_wim.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_footage_from_the_middle(media: Path, name: str) -> None:
    source = whole(media / "video" / name)
    grid = source.grid
    low = max(0, grid.frames - 260)  # of long films the end: it takes the longest seek, and the test stays quick
    expected = (
        dict(enumerate(map(digest, read_frames(part(source, 0, grid.frames) if not low else source)), 0)) if not low else {}
    )
    if low:
        expected = {f.index: digest(f) for f in read_frames(source) if f.index >= low}
    assert sorted(expected) == list(range(low, grid.frames))
    for first, end in spans(grid.frames - low, name, 3):
        clip = part(source, low + first, low + end)
        assert [digest(f) for f in read_frames(clip)] == [expected[k] for k in range(low + first, low + end)]


def digest(frame: Frame) -> int:
    return zlib.crc32(np.ascontiguousarray(frame.yuv()))


def test_footage_that_was_cut_off_is_said_so(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mkv", even(Fraction(25), 200), keyint=10))
    raw = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(MediaError, match=r"film\.mkv ends at frame \d+ of 200"):
        list(read_frames(source))
