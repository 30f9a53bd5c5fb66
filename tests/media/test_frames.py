"""Frame k is the same picture everywhere, and sound lies where it was heard: on made-up footage whose frames carry
their own number as a pattern of grey blocks, and on real footage."""

from __future__ import annotations

import random
import subprocess
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deemo_data.clip import Clip, Grid, frame_rate
from deemo_data.errors import MediaError
from deemo_data.files import File
from deemo_data.media import encode, probe, sound
from deemo_data.media.ffmpeg import ffmpeg_binary, join
from deemo_data.media.frames import Frame, read_frames

BITS = (3, 4)  # rows and columns of blocks: 12 bits, the highest first
NTSC = Fraction(1000, 1001)
EVEN = [24 * NTSC, Fraction(24), Fraction(25), 30 * NTSC, Fraction(30), Fraction(50), 60 * NTSC]


# ── made-up footage ──────────────────────────────────────────────────────────────────────────────────────────


def picture(number: int, width: int, height: int) -> np.ndarray:
    """(height, width, 3): `number` in blocks."""
    bits = np.array([number >> b & 1 for b in reversed(range(BITS[0] * BITS[1]))]).reshape(BITS)
    rows, columns = np.arange(height) * BITS[0] // height, np.arange(width) * BITS[1] // width
    grey = np.where(bits[rows][:, columns], 210, 45).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))


def number_in(rgb: np.ndarray) -> int:
    height, width = rgb.shape[:2]
    number = 0
    for r in range(BITS[0]):
        for c in range(BITS[1]):
            y, x = (2 * r + 1) * height // (2 * BITS[0]), (2 * c + 1) * width // (2 * BITS[1])
            grey = float(rgb[y - 1 : y + 2, x - 1 : x + 2].mean())
            assert not 90 < grey < 165, "neither black nor white"
            number = number * 2 + (grey > 128)
    return number


def film(
    path: Path, times: list[Fraction], size: tuple[int, int] = (64, 48), codec: str = "libx264", layout: str = "yuv420p",
    bframes: int = 0, keyint: int = 60, pixel: Fraction | None = None, clicks: list[Fraction] | None = None,
    sound_from: Fraction = Fraction(0), sound_codec: str = "pcm_s16le", rate: int = 48_000, seconds: float = 0,
    show: Callable[[int, int, int], np.ndarray] = picture,
) -> Path:  # fmt: skip
    """A film whose frame n, at times[n] seconds, shows n; with a sound of single clicks when `clicks` are given."""
    packets: list[av.Packet] = []
    tick = (times[1] - times[0]) if path.suffix == ".avi" else Fraction(1, 90_000)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.time_base = *size, layout, tick
        stream.codec_context.gop_size = keyint
        if pixel:
            stream.codec_context.sample_aspect_ratio = pixel
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "18", "bf": str(bframes), "x264-params": "scenecut=0:b-adapt=0"}
        heard: Any = None
        if clicks is not None:
            heard = out.add_stream(sound_codec, rate=rate, layout="stereo")
        for n, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(show(n, *size), format="rgb24").reformat(format=layout)
            frame.pts, frame.time_base = round(time / tick), tick
            packets += stream.encode(frame)
        packets += stream.encode()
        if heard is not None:
            length = round((seconds or float(times[-1] - sound_from) + 0.2) * rate)
            wave = np.zeros((length, 2), np.int16)
            for click in clicks or []:
                at = round((click - sound_from) * rate)
                wave[at : at + rate // 4000] = 28_000  # a quarter of a millisecond
            for at in range(0, length, 1024):
                part = av.AudioFrame.from_ndarray(wave[at : at + 1024].reshape(1, -1), format="s16", layout="stereo")
                part.rate, part.pts, part.time_base = rate, at + round(sound_from * rate), Fraction(1, rate)
                packets += heard.encode(part)
            packets += heard.encode()
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    return path


def even(fps: Fraction, count: int, start: Fraction = Fraction(0)) -> list[Fraction]:
    return [start + n / fps for n in range(count)]


def uneven(count: int, seed: int, start: Fraction = Fraction(0)) -> list[Fraction]:
    """Intervals between 8 and 130 ms."""
    rng, time, times = random.Random(seed), start, []
    for _ in range(count):
        times.append(time)
        time += Fraction(rng.randint(8, 130), 1000)
    return times


def whole(path: Path, vfr_fps: int = 30) -> Clip:
    facts = probe.probe_video(path, vfr_fps)
    return Clip("source", "source", 0, facts["duration_ms"], {"source": File(str(path), "")}, facts)


def part(source: Clip, first: int, end: int) -> Clip:
    return Clip.of_span(source, source.grid.ms_at(first), source.grid.ms_at(end))


def numbers(clip: Clip) -> list[int]:
    shown = [(f.index, number_in(f.rgb())) for f in read_frames(clip)]
    assert [i for i, _ in shown] == list(range(clip.num_frames))
    return [n for _, n in shown]


def meant(grid: Grid, times: list[Fraction]) -> list[int]:
    """The rule itself, word for word: grid frame k shows the last source frame with pts <= (k + 1/2) / fps."""
    return [
        max((n for n, t in enumerate(times) if t - times[0] <= (k + Fraction(1, 2)) / grid.fps), default=0)
        for k in range(grid.frames)
    ]


def spans(frames: int, seed: object, count: int) -> Iterator[tuple[int, int]]:
    rng = random.Random(str(seed))
    yield frames - 1, frames
    for _ in range(count):
        first = rng.randrange(frames)
        yield first, min(frames, first + rng.randint(1, 40))


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────


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


def luma(frame: Frame) -> np.ndarray:
    return frame.yuv()[: frame.grid.height, :, None]


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
    assert frame_rate(times) == (fps, False)


def test_a_lost_frame_makes_a_rate_variable() -> None:
    times = even(Fraction(25), 2000)
    del times[1000]
    assert frame_rate(times, 24) == (24, True)


# ── sound ────────────────────────────────────────────────────────────────────────────────────────────────────


def loud(wave: np.ndarray) -> list[int]:
    """Samples at which something is heard, one for each click."""
    hot = np.flatnonzero(np.abs(wave) > 0.25 * np.abs(wave).max())
    groups = np.split(hot, np.flatnonzero(np.diff(hot) > 800) + 1)
    return [int(g[np.argmax(np.abs(wave[g]))]) for g in groups]


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "pcm_s16le"), ("mov", "pcm_s16le"), ("mp4", "aac"), ("mkv", "aac")])
@pytest.mark.parametrize(("start", "sound_from"), [("0", "0"), ("1/2", "0"), ("0", "1/2"), ("8", "17/2"), ("17/2", "8")])
def test_a_click_lies_where_it_was_heard(tmp_path: Path, ending: str, codec: str, start: str, sound_from: str) -> None:
    """Within a millisecond: Matroska's clock, and that of an edit list, has no finer tick."""
    zero = Fraction(start)
    clicks = [zero + Fraction(c) for c in ("7/10", "3", "81/10", "113/10", "14")]
    times = even(30 * NTSC, 450, zero)
    rate = 48_000 if start == "0" else 44_100
    path = film(tmp_path / f"film.{ending}", times, clicks=clicks, sound_from=Fraction(sound_from), sound_codec=codec, rate=rate)
    source = whole(path)
    for first, end in [(0, 450), (30, 300), (200, 440), (390, 450)]:
        clip = part(source, first, end)
        wave = sound.read_sound(clip)
        assert len(wave) == sound.sound_length(clip.num_frames, clip.grid.fps) == round((end - first) / (30 * NTSC) * 16_000)
        expected = [c - zero - first / (30 * NTSC) for c in clicks]
        expected = [e for e in expected if 0 <= e < (end - first) / (30 * NTSC)]
        heard = loud(wave)
        assert len(heard) == len(expected)
        for sample, second in zip(heard, expected, strict=True):
            assert abs(sample - second * 16_000) <= 16, f"{float(sample / 16 - second * 1000):.2f} ms off"


def test_no_sound_is_silence_of_the_right_length(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mp4", even(Fraction(25), 50)))
    assert source.facts["has_sound"] is False
    wave = sound.read_sound(part(source, 10, 35))
    assert (wave.dtype, wave.shape, float(np.abs(wave).max())) == (np.float32, (16_000,), 0.0)


def test_sound_that_ends_early_goes_on_as_silence(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mkv", even(Fraction(25), 100), clicks=[Fraction(1, 2)], seconds=1.0))
    wave = sound.read_sound(source)
    assert wave.shape == (64_000,)
    assert loud(wave)[0] == pytest.approx(8000, abs=3)
    assert not wave[16_100:].any()
    assert not sound.read_sound(part(source, 50, 100)).any()


@pytest.mark.parametrize(
    "name", ["hikers_walking_audio_cc.mp4", "talker_hands_speech_wim.mp4", "grid_bbaf2n.mpg", "event_1s_vp8_opus.webm"]
)
def test_real_sound_from_the_middle(media: Path, name: str) -> None:
    source = whole(media / "video" / name)
    frames, fps = source.grid.frames, source.grid.fps
    everything = sound.read_sound(source)
    for first, end in [(frames // 3, frames // 2), (frames * 3 // 4, frames)]:
        got = sound.read_sound(part(source, first, end))
        begin = round(first * 16_000 / fps)
        expected = everything[begin : begin + len(got)]
        n = min(len(expected), len(got)) - 200
        # a resampler begun elsewhere stands at another fraction of a sample: alike, not equal
        same = np.corrcoef(np.convolve(got[:n], np.ones(8)), np.convolve(expected[:n], np.ones(8)))[0, 1]
        assert same > 0.99


def test_wav_there_and_back(tmp_path: Path) -> None:
    wave = np.array([-2, -1, -0.5, 0, 1e-5, 0.25, 1, 3], np.float32)
    sound.write_wav(tmp_path / "a.wav", wave)
    np.testing.assert_allclose(sound.read_wav(tmp_path / "a.wav"), np.clip(wave, -1, 1), atol=1 / 65_000)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────


def render(tmp_path: Path, source: Clip, name: str = "out", crf: int = 18) -> Path:
    """What mask_video, anonymise_voice and assemble do, without covering anything."""
    count = encode.write_video(
        tmp_path / f"{name}.video.mp4", (f.yuv() for f in read_frames(source)), source.grid, crf, "veryfast"
    )
    assert count == source.num_frames
    sound.write_wav(tmp_path / f"{name}.wav", sound.read_sound(source))
    join(tmp_path / f"{name}.video.mp4", tmp_path / f"{name}.wav", tmp_path / f"{name}.mp4")
    return tmp_path / f"{name}.mp4"


def streams(path: Path) -> dict[str, tuple[Fraction, Fraction]]:
    """{kind: (start, length)} in seconds, as the file says."""
    with av.open(str(path)) as container:
        return {s.type: (s.start_time * s.time_base, s.duration * s.time_base) for s in container.streams}


@pytest.mark.parametrize("fps", EVEN, ids=str)
@pytest.mark.parametrize("count", [1, 31, 100])
def test_what_is_written_is_what_went_in(tmp_path: Path, fps: Fraction, count: int) -> None:
    made = film(
        tmp_path / "film.mkv", even(fps, 120, Fraction(3, 2)), (96, 72), bframes=2, clicks=[Fraction(2)], sound_from=Fraction(1)
    )
    source = whole(made)
    clip = part(source, 10, 10 + count)
    out = render(tmp_path, clip)
    again = whole(out)
    assert again.grid == Grid(fps, False, Fraction(0), count, 96, 72) or count == 1
    assert numbers(again) == list(range(10, 10 + count))
    got = streams(out)
    assert got["video"][0] == got["audio"][0] == 0
    assert abs(got["video"][1] - count / fps) < Fraction(1, 1000)
    assert abs(got["audio"][1] - got["video"][1]) <= Fraction(1, 1000), "streams of unequal length"
    if count == 100:
        begins = Fraction(1, 2) - 10 / fps
        heard = loud(sound.read_sound(again))
        assert abs(heard[0] / 16_000 - begins) < 0.002 if begins > 0 else True


def test_nothing_says_who_made_it_or_from_what(tmp_path: Path) -> None:
    film(tmp_path / "film.mkv", even(Fraction(25), 50), (96, 72), clicks=[], seconds=2)
    tagged = tmp_path / "tagged.mkv"
    (tmp_path / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=JANEDOE\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=JANEDOE\n"
    )
    (tmp_path / "s.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nJANEDOE\n")
    inputs = ["-i", tmp_path / "film.mkv", "-i", tmp_path / "chapters.txt", "-i", tmp_path / "s.srt"]
    kept = ["-map", "0", "-map", "2", "-map_metadata", "1", "-map_chapters", "1", "-c", "copy"]
    ffmpeg(*inputs, *kept, "-metadata:s:v", "title=JANEDOE", "-metadata", "location=+52.5+013.4/", tagged)
    assert tagged.read_bytes().count(b"JANEDOE") >= 3
    out = render(tmp_path, whole(tagged))
    raw = out.read_bytes()
    for word in (b"JANEDOE", b"+52.5", b"x264", b"Lavf", b"Lavc", b"film", b"tagged", str(tmp_path).encode()):
        assert word not in raw, word
    with av.open(str(out)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        assert not container.chapters()
        told = dict(container.metadata) | {k: v for s in container.streams for k, v in s.metadata.items()}
        what_every_mp4_says = {"major_brand", "minor_version", "compatible_brands", "language", "handler_name", "vendor_id"}
        assert set(told) <= what_every_mp4_says
        assert told["language"] == "und"
        assert told["handler_name"] in ("VideoHandler", "SoundHandler")
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert raw.index(b"moov") < raw.index(b"mdat"), "a page can begin to play it"
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        assert raw[raw.index(box) + 8 : raw.index(box) + 16] == bytes(8), f"{box!r} tells when it was made"


def test_an_encoder_that_is_not_here_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    grid = Grid(Fraction(25), False, Fraction(0), 2, 256, 256)
    with pytest.raises(MediaError, match=r'h264_nvenc cannot be opened: .*encoder = "libx264"'):
        encode.write_video(tmp_path / "film.mp4", [np.zeros((384, 256), np.uint8)] * 2, grid, 21, "veryfast", "h264_nvenc")


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mkv", even(Fraction(25), 80), (160, 120), clicks=[Fraction(1)]))
    assert render(tmp_path, source, "a").read_bytes() == render(tmp_path, source, "b").read_bytes()


def colours(number: int, width: int, height: int) -> np.ndarray:
    """Six columns of colour, far apart."""
    names = np.array([[200, 60, 50], [60, 180, 70], [50, 80, 200], [235, 235, 235], [25, 25, 25], [210, 160, 130]], np.uint8)
    row = names[np.arange(width) * 6 // width]
    return np.ascontiguousarray(np.repeat(row[None], height, axis=0))


def seen(path: Path) -> np.ndarray:
    """(6, 3) middle of each column as a player shows it: BT.601 unless the file says otherwise."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        matrix = {1: "ITU709"}.get(int(frame.colorspace), "ITU601")
        assert int(frame.colorspace) != 2 or path.suffix == ".mkv", "a player would have to guess"
        rgb = frame.reformat(format="rgb24", src_colorspace=matrix, dst_color_range="JPEG").to_ndarray().astype(int)
    height, width = rgb.shape[:2]
    return np.array(
        [
            rgb[height // 4 : height // 2, (2 * c + 1) * width // 12 - 2 : (2 * c + 1) * width // 12 + 2].mean((0, 1))
            for c in range(6)
        ]
    )


@pytest.mark.parametrize("layout", ["yuv420p", "yuvj420p", "yuv444p", "yuv422p"])
def test_colours_stay(tmp_path: Path, layout: str) -> None:
    source = whole(film(tmp_path / "film.mkv", even(Fraction(25), 10), (240, 96), layout=layout, show=colours))
    expected = colours(0, 240, 96)[0, [20, 60, 100, 140, 180, 220]].astype(int)
    out = render(tmp_path, source)
    assert np.abs(seen(out) - expected).max() <= 6
    with av.open(str(out)) as container:
        assert int(next(container.decode(video=0)).color_range) in (0, 1), "limited range, or players darken it"
    frame = next(read_frames(source))
    middle = frame.rgb()[30:60, [20, 60, 100, 140, 180, 220]].mean(0)
    assert np.abs(middle - expected).max() <= 6
    np.testing.assert_array_equal(frame.bgr(), frame.rgb()[:, :, ::-1])


@pytest.mark.parametrize("size", [(240, 96), (1280, 720)], ids=str)
@pytest.mark.parametrize("matrix", [("bt709", "1"), ("smpte170m", "6")], ids=lambda x: x[0])
def test_colours_of_another_matrix_stay(tmp_path: Path, matrix: tuple[str, str], size: tuple[int, int]) -> None:
    film(tmp_path / "plain.mkv", even(Fraction(25), 3), size, layout="yuv444p", show=colours)
    turned = f"scale=in_color_matrix=smpte170m:out_color_matrix={matrix[0]},format=yuv420p"
    named = [word for what in ("colorspace", "color_primaries", "color_trc") for word in (f"-{what}", matrix[1])]
    ffmpeg("-i", tmp_path / "plain.mkv", "-vf", turned, *named, "-c:v", "libx264", "-crf", "12", tmp_path / "film.mkv")
    columns = [(2 * c + 1) * size[0] // 12 for c in range(6)]
    expected = colours(0, *size)[0, columns].astype(int)
    assert np.abs(seen(tmp_path / "film.mkv") - expected).max() <= 6, "or nothing is tested"
    source = whole(tmp_path / "film.mkv")
    assert np.abs(next(read_frames(source)).rgb()[30:60, columns].mean(0) - expected).max() <= 6
    assert np.abs(seen(render(tmp_path, source)) - expected).max() <= 8


def ffmpeg(*said: object) -> None:
    subprocess.run([ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *map(str, said)], check=True)
