"""Makes films whose frames carry their own number as a pattern of grey blocks, and clips of them."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.media import probe
from deemo_data.media.ffmpeg import find_ffmpeg
from deemo_data.media.frames import Frame, read_frames

BITS = (3, 4)  # rows and columns of blocks: 12 bits, the highest first

NTSC = Fraction(1000, 1001)

EVEN = [24 * NTSC, Fraction(24), Fraction(25), 30 * NTSC, Fraction(30), Fraction(50), 60 * NTSC]


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


def spans(frames: int, seed: object, count: int) -> Iterator[tuple[int, int]]:
    rng = random.Random(str(seed))
    yield frames - 1, frames
    for _ in range(count):
        first = rng.randrange(frames)
        yield first, min(frames, first + rng.randint(1, 40))


def luma(frame: Frame) -> np.ndarray:
    return frame.yuv()[: frame.grid.height, :, None]


def loud(wave: np.ndarray) -> list[int]:
    """Samples at which something is heard, one for each click."""
    hot = np.flatnonzero(np.abs(wave) > 0.25 * np.abs(wave).max())
    groups = np.split(hot, np.flatnonzero(np.diff(hot) > 800) + 1)
    return [int(g[np.argmax(np.abs(wave[g]))]) for g in groups]


def ffmpeg(*said: object) -> None:
    subprocess.run([find_ffmpeg(), "-v", "error", "-nostdin", "-y", *map(str, said)], check=True)
