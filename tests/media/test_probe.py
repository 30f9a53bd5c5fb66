"""A source is probed for what it is, and a file that is no video gets its true reason."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deemo_data.clip import Clip, Grid, Join, find_frame_rate
from deemo_data.errors import MediaError
from deemo_data.media import probe
from deemo_data.media.frames import read_frames
from deemo_data.media.sound import read_sound
from tests.makers.numbered_films import EVEN, even, ffmpeg, film, luma, number_in, numbers, part, picture, whole
from tests.makers.toned_films import heard_tones, join_files, shown_runs, toned_film


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("edge_audio_only.mp4", "has no video stream"),
        ("edge_subtitles_only.mkv", "has no video stream"),
        ("edge_corrupt_no_moov.mp4", "cannot be read"),
    ],
)
def test_real_files_that_hold_no_video(media: Path, name: str, reason: str) -> None:
    with pytest.raises(MediaError, match=f"{name}.*{reason}"):
        probe.probe_video(media / "video" / name)


def test_files_that_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "words.mp4").write_text("hello " * 1000)
    for name, reason in [("empty.mp4", "is empty"), ("words.mp4", "cannot be read"), ("none.mp4", "is not there")]:
        with pytest.raises(MediaError, match=reason):
            probe.probe_video(tmp_path / name)


def test_one_frame_is_a_film(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mkv", [Fraction(0)]))
    assert (source.grid.frames, source.num_frames) == (1, 1)
    assert numbers(source) == [0]


@pytest.mark.parametrize("fps", EVEN, ids=str)
def test_a_rate_is_known_from_milliseconds(fps: Fraction) -> None:
    """Matroska rounds times to milliseconds: a minute of them still tells 23.976 from 24."""
    times = [Fraction(round(n * 1000 / fps), 1000) for n in range(round(60 * fps))]
    assert find_frame_rate(times) == (fps, False)


def test_a_lost_frame_makes_a_rate_variable() -> None:
    times = even(Fraction(25), 2000)
    del times[1000]
    assert find_frame_rate(times, 24) == (24, True)


def slow(*values: Any) -> list[Any]:
    """Parameters that only the slow tests try."""
    return [pytest.param(*(v if isinstance(v, tuple) else (v,)), marks=pytest.mark.slow) for v in values]


def kinds(source: Clip) -> list[str]:
    return [n["kind"] for n in source.facts["notices"]]


def test_a_grid_comes_back_from_its_fact() -> None:
    plain = Grid(Fraction(25), False, Fraction(0), 10, 64, 48)
    assert set(plain.to_fact()) == {"fps", "vfr", "zero", "frames", "width", "height"}, "the keys of ordinary footage stay"
    rich = Grid(Fraction(25), True, Fraction(1, 3), 10, 64, 48, 1, 4, (Join(0, 188, Fraction(-7, 90_000)),))
    assert [Grid.of(g.to_fact()) for g in (plain, rich)] == [plain, rich]


# ── the last picture ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["mp4", "ts", *slow("mkv", "mpg", "avi")])
def test_the_last_picture_is_shown_until_the_sound_ends(tmp_path: Path, ending: str) -> None:
    source = whole(toned_film(tmp_path / f"film.{ending}", 0, 25, 440, seconds=3))
    assert source.end_ms == pytest.approx(3000, abs=80)
    assert source.grid.still_frames / source.grid.fps == pytest.approx(2, abs=0.08)
    assert shown_runs(source) == [(0, 0, 24)]
    assert heard_tones(part(source, 0, source.grid.frames - 4)) == [(0, 440)]
    assert numbers(part(source, 60, 70)) == [24] * 10, "also of a clip that begins after the last picture"
    assert kinds(source) == ["last_picture_lasts"]


@pytest.mark.parametrize("ending", ["mp4", *slow("mkv", "ts")])
@pytest.mark.parametrize("seconds", [0.6, 1.4])
def test_sound_that_goes_on_a_little_changes_nothing(tmp_path: Path, ending: str, seconds: float) -> None:
    source = whole(toned_film(tmp_path / f"film.{ending}", 0, 25, 440, seconds=seconds))
    assert (source.grid.frames, source.grid.still_frames, kinds(source)) == (25, 0, [])


@pytest.mark.parametrize(("ending", "count"), [("mp4", 1), ("mov", 1), ("mkv", 1), ("mp4", 2), ("mov", 3)])
def test_a_screen_that_stands_still_is_shown_as_long_as_it_lasts(tmp_path: Path, ending: str, count: int) -> None:
    """Slides of 3 s each, as screen recorders write them: one picture each."""
    slides = film(tmp_path / "slides.mkv", even(Fraction(25), count), (160, 128))
    sound = ("-f", "lavfi", "-i", f"sine=f=440:r=48000:d={3 * count}")
    how = (
        ("-c:v", "libx264", "-bf", "0", "-video_track_timescale", "90000") if ending != "mkv" else ("-c:v", "libx264", "-bf", "0")
    )
    ffmpeg("-r", "1/3", "-i", slides, *sound, "-map", "0:v", "-map", "1:a", "-r", "1/3", *how, tmp_path / f"film.{ending}")
    source = whole(tmp_path / f"film.{ending}")
    assert source.end_ms == pytest.approx(3000 * count, abs=50)
    shown = numbers(source)
    assert [shown[round(source.grid.fps * (3 * n + Fraction(3, 2)))] for n in range(count)] == list(range(count))
    assert (len(read_sound(source)), kinds(source)) == (pytest.approx(48_000 * count, abs=800), ["last_picture_lasts"])


@pytest.mark.slow
def test_a_picture_stands_no_longer_than_ten_minutes(tmp_path: Path) -> None:
    source = whole(toned_film(tmp_path / "film.mkv", 0, 5, 440, 5, "-c:a", "libmp3lame", "-ar", "16000", seconds=700))
    assert source.end_ms == 601_000
    assert "99 s after that are left out" in source.facts["notices"][0]["text"]


# ── the size of the picture ──────────────────────────────────────────────────────────────────────────────────


def changing_film(path: Path, codec: str, *sizes: tuple[int, int]) -> Path:
    """A film of 50 pictures in each size in turn: in one stream, as calls over the internet are recorded; or end to end."""
    if not codec:
        parts = [toned_film(path.with_name(f"{n}{path.suffix}"), 50 * n, 50, 440, size=size) for n, size in enumerate(sizes)]
        return join_files(path, *parts)
    with av.open(str(path), "w") as out:
        stream, written = None, 0
        for size in sizes:
            one = film(path.with_name(f"one-{size[0]}.mkv"), even(Fraction(25), 50), size, codec=codec, keyint=10,
                       show=lambda n, w, h, base=written: picture(base + n, w, h))  # fmt: skip
            with av.open(str(one)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = round(packet.pts * packet.time_base * 1000) + written * 40
                        packet.time_base, packet.stream = Fraction(1, 1000), stream
                        out.mux(packet)
            written += 50
    return path


@pytest.mark.parametrize(("ending", "codec"), [("webm", "libvpx"), ("ts", ""), *slow(("mkv", "libvpx-vp9"), ("mpg", ""))])
@pytest.mark.parametrize("sizes", [[(64, 48), (160, 120)], [(160, 120), (64, 48)], [(96, 48), (64, 96), (128, 128)]], ids=str)
def test_all_pictures_have_the_size_and_shape_of_the_largest(
    tmp_path: Path, ending: str, codec: str, sizes: list[tuple[int, int]]
) -> None:
    source = whole(changing_film(tmp_path / f"film.{ending}", codec, *sizes))
    grid = source.grid
    assert (grid.width, grid.height) == max(sizes, key=lambda s: s[0] * s[1])
    assert kinds(source) == ["picture_size_changes"] + ["recordings_joined"] * (not codec)
    for number, (width, height) in enumerate(sizes):
        scale = min(grid.width / width, grid.height / height)
        wide, high = round(width * scale / 2) * 2, round(height * scale / 2) * 2
        left, top = (grid.width - wide) // 2, (grid.height - high) // 2
        begin = round(grid.fps * (2 * number + 1))
        for frame in read_frames(part(source, begin, begin + 2)):
            for look in (frame.rgb(), luma(frame)):
                inside = look[top : top + high, left : left + wide]
                assert number_in(inside) // 50 == number, "at a change some decoders drop a picture: not the exact one"
                bars = (
                    np.delete(look, np.s_[top : top + high], 0)
                    if high < grid.height
                    else np.delete(look, np.s_[left : left + wide], 1)
                )
                assert bars.size == 0 or bars.max() <= 16, "black beside it"


# ── the beginning ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("codec", ["aac", *slow("libmp3lame")])
@pytest.mark.parametrize("cut", ["1.3", "2.7", "3.9"])
def test_a_copy_that_begins_before_zero_is_read_from_its_first_picture(tmp_path: Path, cut: str, codec: str) -> None:
    """Matroska cannot say when such pictures are shown: they come one after the other before the first that it dates."""
    whole_film = toned_film(tmp_path / "whole.mp4", 0, 125, 440, 25, "-c:a", codec, "-g", "50", "-bf", "2")
    ffmpeg("-ss", cut, "-i", whole_film, "-c", "copy", "-copyts", "-start_at_zero", "-avoid_negative_ts", "disabled",
           "-output_ts_offset", f"-{cut}", tmp_path / "film.mkv")  # fmt: skip
    source = whole(tmp_path / "film.mkv")
    key = int(float(cut) // 2) * 50
    assert numbers(source) == list(range(key, 125))
    assert source.grid.zero == pytest.approx(key / 25 - float(cut), abs=0.05)
    assert heard_tones(part(source, 0, source.grid.frames - 5))[-1][1] == 440
    assert numbers(part(source, 20, 40)) == list(range(key + 20, key + 40))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_sound_before_the_first_picture_is_told(tmp_path: Path, ending: str) -> None:
    ffmpeg("-itsoffset", "1.5", "-i", toned_film(tmp_path / "a.mkv", 0, 50, 440), "-f", "lavfi", "-i", "sine=f=880:r=48000:d=3.5",
           "-map", "0:v", "-map", "1:a", "-c:v", "copy", tmp_path / f"film.{ending}")  # fmt: skip
    source = whole(tmp_path / f"film.{ending}")
    assert (numbers(source)[:3], kinds(source)) == ([0, 1, 2], ["sound_before_picture"])
    assert source.facts["notices"][0]["text"] == "1.5 s of sound before the first picture are left out"


def test_first_pictures_that_cannot_be_decoded_are_told(tmp_path: Path) -> None:
    """The first key frame is damaged, and decoding begins with the second."""
    path = film(tmp_path / "film.mkv", even(Fraction(25), 100), keyint=40)
    with av.open(str(path)) as container:
        first = next(p for p in container.demux(video=0) if p.size)
    data = bytearray(path.read_bytes())
    at = data.index(bytes(first)[-200:]) + 200 - first.size
    data[at : at + first.size] = bytes(first.size)
    path.write_bytes(data)
    source = whole(path)
    assert source.grid.frames == 100
    assert kinds(source) == ["first_pictures_broken"]
    assert numbers(source) == [40] * 40 + list(range(40, 100))
