"""Makes films with numbered pictures and a steady tone in many containers, and reads both back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from deemo_data.clip import Clip
from deemo_data.media import sound
from tests.makers.numbered_films import even, ffmpeg, film, numbers, picture

ENCODERS: dict[str, tuple[str, ...]] = {
    ".mpg": ("-c:v", "mpeg2video", "-q:v", "2"),
    ".vob": ("-c:v", "mpeg2video", "-q:v", "2"),
    ".mxf": ("-c:v", "mpeg2video", "-q:v", "2", "-ar", "48000"),
    ".avi": ("-c:v", "mpeg4", "-q:v", "2"),
    ".webm": ("-c:v", "libvpx", "-deadline", "realtime", "-b:v", "1M", "-c:a", "libopus"),
    ".flv": ("-c:v", "libx264", "-c:a", "mp3", "-ar", "44100"),
    ".wmv": ("-c:v", "wmv2", "-q:v", "2", "-c:a", "wmav2"),
}


def toned_film(
    path: Path, first: int, count: int, hz: int, fps: int = 25, *extra: str, seconds: float | None = None,
    size: tuple[int, int] = (160, 128),
) -> Path:  # fmt: skip
    """A film of `count` pictures that show `first` and the numbers after it, with a tone of `hz` for as long, or `seconds`."""
    raw = path.with_suffix(".raw.mkv")
    film(raw, even(Fraction(fps), count), size, show=lambda n, w, h: picture(first + n, w, h))
    tone = f"sine=f={hz}:r=48000:d={count / fps if seconds is None else seconds}"
    encoder = ENCODERS.get(path.suffix, ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"))
    how = ("-map", "0", "-map", "1", "-r", str(fps), *encoder, *extra)
    ffmpeg("-r", fps, "-i", raw, "-f", "lavfi", "-i", tone, *how, path)
    raw.unlink()
    return path


def join_files(path: Path, *parts: Path) -> Path:
    """One file that holds the bytes of the others, as `cat` does it."""
    path.write_bytes(b"".join(p.read_bytes() for p in parts))
    return path


def shown_runs(clip: Clip) -> list[tuple[int, int, int]]:
    """(first frame, number it shows, number the last frame of the run shows) for each run of pictures that count on."""
    shown = numbers(clip)
    starts = [i for i, n in enumerate(shown) if i == 0 or n - shown[i - 1] not in (0, 1)]
    return [(i, shown[i], shown[end - 1]) for i, end in zip(starts, [*starts[1:], len(shown)], strict=True)]


def heard_tones(clip: Clip) -> list[tuple[float, int]]:
    """(second, Hz to the nearest 20) at which another tone begins, to a tenth of a second; 0 Hz is silence."""
    wave = sound.read_sound(clip)
    tones: list[tuple[float, int]] = []
    for at in range(0, len(wave) - 1599, 1600):
        part = wave[at : at + 1600]
        hz = 0
        if np.abs(part).max() > 0.01:
            hz = round(int(np.argmax(np.abs(np.fft.rfft(part * np.hanning(1600))))) / 2) * 20
        if not tones or tones[-1][1] != hz:
            tones.append((at / 16_000, hz))
    return tones
