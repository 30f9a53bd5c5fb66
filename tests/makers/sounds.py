"""Makes films with any sound: a wave of any number of channels, in any container, codec and rate; and speech with names in it."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.media import probe

RATE_HZ = 16_000
FPS = 25


def write_sound_film(
    path: Path,
    wave: np.ndarray,
    codec: str = "pcm_s16le",
    rate: int = RATE_HZ,
    layout: str = "",
    options: dict[str, str] | None = None,
) -> Path:
    """A grey film of 64 x 36 with this sound: (n, channels) at 16 kHz, brought to `rate`. `layout` as FFmpeg names it."""
    from scipy.signal import resample_poly

    wave = wave[:, None] if wave.ndim == 1 else wave
    layout = layout or {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 8: "7.1"}[wave.shape[1]]
    up = Fraction(rate, RATE_HZ)
    sound = resample_poly(wave, up.numerator, up.denominator, axis=0) if rate != RATE_HZ else wave
    frames = -(-len(wave) * FPS // RATE_HZ)
    with av.open(str(path), "w") as out:
        pictures: Any = out.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 36, "yuv420p"
        if path.suffix != ".avi":
            pictures.options = {"preset": "ultrafast"}
        heard: Any = out.add_stream(codec, rate=rate, layout=layout, options=options or {})
        packets = []
        for k in range(frames):
            shown = av.VideoFrame.from_ndarray(np.full((36, 64, 3), 60 + k % 100, np.uint8), format="rgb24")
            packets += pictures.encode(shown)
        packets += pictures.encode()
        # in the form that the codec takes
        resampler = av.AudioResampler(format=heard.format.name, layout=layout, rate=rate)
        for at in range(0, len(sound), 1024):
            block = np.ascontiguousarray(sound[at : at + 1024], np.float32).reshape(1, -1)
            part = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
            part.rate, part.pts, part.time_base = rate, at, Fraction(1, rate)
            for ready in resampler.resample(part):
                packets += heard.encode(ready)
        packets += heard.encode()
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    return path


def whole_source(path: Path, **more: Any) -> Clip:
    """The source clip that `deemo ingest` would make of it, as far as its picture and sound go."""
    facts = probe.probe_video(path)
    return Clip("source", "source", 0, facts["duration_ms"], {"source": File.of(path)}, {**facts, **more})


def level_db(wave: np.ndarray) -> float:
    """RMS in dB relative to full scale."""
    return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-20))


def babble(seconds: float, seed: int = 1, level: float = -20.0) -> np.ndarray:
    """Sound with the shape of speech (n,): noise between 150 and 3500 Hz in syllables and pauses, at a level in dB."""
    from scipy.signal import butter, sosfilt

    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)
    noise = sosfilt(butter(2, [150, 3500], "bandpass", fs=RATE_HZ, output="sos"), rng.standard_normal(n))
    steps = np.repeat(rng.random(-(-n // 2400)) ** 2 * (np.arange(-(-n // 2400)) % 8 < 6), 2400)[:n]
    wave = noise * np.convolve(steps, np.hanning(800) / 400, mode="same")
    return (wave * 10 ** ((level - level_db(wave)) / 20)).astype(np.float64)


def say(text: str, folder: Path, voice: str = "en-us") -> np.ndarray:
    """Speech of espeak-ng (n,), its loud parts near -20 dB; skips the test where the program is missing."""
    from scipy.signal import resample_poly

    if not (program := shutil.which("espeak-ng")):
        pytest.skip("espeak-ng is not installed")
    path = folder / f"say{abs(hash((text, voice)))}.wav"
    subprocess.run([program, "-v", voice, "-s", "150", "-w", str(path), text], check=True)
    with av.open(str(path)) as file:
        rate = file.streams.audio[0].rate
        wave = np.concatenate([f.to_ndarray().ravel() for f in file.decode(audio=0)]) / 32768
    wave = resample_poly(wave, RATE_HZ, rate)
    return np.asarray(wave * 10 ** ((-20 - level_db(wave)) / 20))
