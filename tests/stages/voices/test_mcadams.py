"""McAdams: equal to the slow loop one would write first, whole to the last sample, and one coefficient a name."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deemo_data.stages.voices import mcadams as module
from deemo_data.stages.voices.mcadams import apply_mcadams, count_frames, draw_coefficient, match_level

KEY = "5a" * 32
Wave = NDArray[np.float64]


# ── the slow loop ────────────────────────────────────────────────────────────────────────────────────────────


def burg(frame: Wave) -> Wave:
    """Linear prediction of order 20 by the textbook; stops when nothing but rounding is left to predict."""
    taps, f, b = np.array([1.0]), frame[1:], frame[:-1]
    spent = 1e-18 * 2 * (frame @ frame)
    for _ in range(20):
        power = f @ f + b @ b
        k = -2 * (f @ b) / power if power > spent else 0.0
        taps = np.append(taps, 0) + k * np.append(taps, 0)[::-1]
        f, b = (f + k * b)[1:], (b + k * f)[:-1]
    return taps


def slow(wave: Wave, coefficients: Wave, predict: Callable[[Wave], Wave] = burg) -> Wave:
    """One frame after the other, with numpy's roots and scipy's filters."""
    from scipy.signal import lfilter

    count = math.ceil(len(wave) / 160) + 1
    padded = np.concatenate([np.zeros(160), wave, np.zeros(count * 160 - len(wave))])
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 320))
    made = np.zeros_like(padded)
    for m in range(count):
        frame = padded[m * 160 :][:320] * window
        if not frame.any():
            continue
        taps = predict(frame)
        moved = []
        for root in np.roots(taps):
            angle = min(abs(np.angle(root)) ** coefficients[m], np.pi)
            moved.append(root if root.imag == 0 else abs(root) * np.exp(1j * math.copysign(angle, root.imag)))
        spoken = lfilter([1], np.poly(moved).real, lfilter(taps, [1], frame))
        spoken *= min(1, 1000 * np.linalg.norm(frame) / np.linalg.norm(spoken))
        made[m * 160 :][:320] += spoken * window
    return made[160:][: len(wave)]


def speech(media: Path, seconds: float) -> dict[str, Wave]:
    """The first file of each of the six readers, from its third second on."""
    soundfile = pytest.importorskip("soundfile")
    said = {}
    for folder in sorted((media / "audio" / "speakers_librispeech").iterdir()):
        first = sorted(folder.glob("*.flac"))[0]
        said[folder.name], rate = soundfile.read(first, start=32_000, frames=int(16_000 * seconds), dtype="float64")
        assert rate == 16_000
    assert len(said) == 6
    return said


def synthetic(kind: str, samples: int = 8000) -> Wave:
    draw, t = np.random.default_rng(7), np.arange(samples) / 16_000
    voice = np.sign(np.sin(2 * np.pi * 110 * t)) * np.exp(-np.mod(t * 110, 1) * 6)
    return {
        "noise": lambda: draw.normal(0, 0.1, samples),
        "buzz": lambda: 0.3 * voice + draw.normal(0, 0.003, samples),
        "quietest": lambda: draw.integers(-1, 2, samples) / 32768,
        "gaps": lambda: draw.normal(0, 0.1, samples) * (np.mod(t, 0.1) < 0.05),
        "click": lambda: np.where(np.arange(samples) == 1234, 0.9, 0.0),
        "loud": lambda: 1e6 * draw.normal(0, 1, samples),
    }[kind]()


@pytest.mark.parametrize("coefficient", [0.5, 0.7, 0.9])
def test_speech_comes_out_as_from_the_slow_loop(media: Path, coefficient: float) -> None:
    for who, wave in speech(media, 2).items():
        expected = slow(wave, np.full(count_frames(len(wave)), coefficient))
        assert np.abs(apply_mcadams(wave, coefficient) - expected).max() < 1e-8 * max(1, np.abs(expected).max()), who


@pytest.mark.parametrize("coefficient", [0.5, 0.8])
@pytest.mark.filterwarnings("ignore")  # numba's and librosa's own
def test_speech_comes_out_as_from_a_loop_over_librosa(media: Path, coefficient: float) -> None:
    librosa = pytest.importorskip("librosa")
    for who, wave in speech(media, 2).items():
        expected = slow(wave, np.full(count_frames(len(wave)), coefficient), lambda frame: librosa.lpc(frame, order=20))
        assert np.abs(apply_mcadams(wave, coefficient) - expected).max() < 1e-6, who


@pytest.mark.parametrize("kind", ["noise", "buzz", "quietest", "gaps", "click", "loud"])
@pytest.mark.parametrize("coefficient", [0.5, 0.8, 1.2])
def test_synthetic_sound_comes_out_as_from_the_slow_loop(kind: str, coefficient: float) -> None:
    wave = synthetic(kind)
    expected = slow(wave, np.full(count_frames(len(wave)), coefficient))
    assert np.abs(apply_mcadams(wave, coefficient) - expected).max() < 1e-7 * np.abs(expected).max()


def test_the_coefficient_may_change_from_frame_to_frame() -> None:
    wave = synthetic("buzz")
    coefficients = np.linspace(0.5, 0.9, count_frames(len(wave)))
    expected = slow(wave, coefficients)
    assert np.abs(apply_mcadams(wave, coefficients) - expected).max() < 1e-8 * np.abs(expected).max()
    same = apply_mcadams(wave, np.full(count_frames(len(wave)), 0.6))
    assert np.array_equal(same, apply_mcadams(wave, 0.6))


def test_coefficient_one_changes_nothing(media: Path) -> None:
    for wave in speech(media, 1).values():
        assert np.abs(apply_mcadams(wave, 1.0) - wave).max() < 1e-11


# ── blocks, lengths, odd input ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("block", [2, 7, 100, 101])
def test_blocks_are_the_same_as_the_whole(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wave = synthetic("buzz", 16_000 + 81)
    coefficients = np.linspace(0.5, 0.9, count_frames(len(wave)))
    whole = apply_mcadams(wave, coefficients)
    monkeypatch.setattr(module, "BLOCK_FRAMES", block)
    assert np.abs(apply_mcadams(wave, coefficients) - whole).max() < 1e-9 * np.abs(whole).max()


def test_work_memory_does_not_grow_with_the_recording() -> None:
    import tracemalloc

    def most(samples: int) -> int:
        wave = np.random.default_rng(1).normal(0, 0.1, samples)
        tracemalloc.start()
        apply_mcadams(wave, 0.8)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - 2 * wave.nbytes  # what it makes, once to add up and once to hand over

    assert most(16_000 * 40) < 1.1 * most(16_000 * 10)


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 1500), seed=st.integers(0, 2**32 - 1), coefficient=st.floats(0.5, 1.0))
def test_every_sample_of_every_length_is_covered(samples: int, seed: int, coefficient: float) -> None:
    wave = np.random.default_rng(seed).normal(0, 0.1, samples)
    changed = apply_mcadams(wave, coefficient)
    assert changed.shape == wave.shape
    assert changed.dtype == np.float64
    assert np.all(changed != 0)
    assert np.abs(apply_mcadams(wave, 1.0) - wave).max() < 1e-9
    if samples > 40:  # of shorter sound the last frames hold a few samples: the slow loop's roots are not so good
        expected = slow(wave, np.full(count_frames(samples), coefficient))
        assert np.abs(changed - expected).max() < 1e-6 * max(1, np.abs(expected).max())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -1.0, 1.0, 0.5, 3e-5, 1e-30, 1e-160, 5e-324]), max_size=700),
    st.floats(0.3, 1.0),
    st.sampled_from([np.float32, np.float64]),
)
def test_no_input_makes_nan_or_passes_full_scale(samples: list[float], coefficient: float, kind: type) -> None:
    wave = np.array(samples, kind)
    levelled = match_level(wave, apply_mcadams(wave, coefficient))
    assert levelled.shape == wave.shape
    assert np.all(np.abs(levelled) <= 1)


@pytest.mark.parametrize("frequencies", [(0,), (100,), (440,), (7990,), (261, 329, 392, 523), (6000, 6200, 6400, 7000, 7500)])
def test_tones_cannot_drown_the_speech_around_them(frequencies: tuple[int, ...]) -> None:
    t = np.arange(16_000) / 16_000
    tone = sum(0.1 * np.cos(2 * np.pi * f * t) for f in frequencies)
    changed = apply_mcadams(tone, 0.5)
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() < 4000 * np.abs(tone).max()


def test_silence_stays_silence() -> None:
    assert not apply_mcadams(np.zeros(1000), 0.7).any()
    assert not match_level(np.zeros(1000, np.float32), np.zeros(1000)).any()
    half = np.concatenate([synthetic("noise", 4000), np.zeros(4000)])
    changed = apply_mcadams(half, 0.7)
    assert changed[:4000].any()
    assert not changed[4000 + 320 :].any()
    assert apply_mcadams(np.zeros(0), 0.7).shape == (0,)


def test_the_level_is_kept_and_nothing_is_clipped(media: Path) -> None:
    for wave in speech(media, 4).values():
        for coefficient in (0.5, 0.9):
            levelled = match_level(wave, apply_mcadams(wave, coefficient))
            assert np.sqrt(np.mean(levelled**2)) == pytest.approx(np.sqrt(np.mean(wave**2)), rel=0.02)
            assert np.abs(levelled).max() < 1
    loud = match_level(np.full(1000, 0.99), np.random.default_rng(3).normal(0, 1, 1000))
    assert 0.9 < np.abs(loud).max() <= 1


def test_formants_move_and_the_melody_stays() -> None:
    t = np.arange(32_000) / 16_000
    pulses = (np.mod(np.arange(32_000), 133) == 0).astype(float)  # 120 Hz
    from scipy.signal import lfilter

    pole = 0.98 * np.exp(2j * np.pi * 500 / 16_000)
    wave = 0.01 * lfilter([1], np.poly([pole, pole.conjugate()]).real, pulses) + np.random.default_rng(2).normal(0, 1e-4, len(t))
    changed = apply_mcadams(wave, 0.8)
    strength = np.abs(np.fft.rfft(changed * np.hanning(len(changed))))
    loudest = np.argmax(strength) * 16_000 / len(changed)
    assert loudest == pytest.approx((2 * np.pi * 500 / 16_000) ** 0.8 * 16_000 / 2 / np.pi, abs=70)  # 692 Hz
    assert min(loudest % (16_000 / 133), -loudest % (16_000 / 133)) < 2  # still a harmonic of the same pitch


# ── the coefficient ──────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_subject_has_one_coefficient(one: str, other: str) -> None:
    assert 0.5 <= draw_coefficient(KEY, one) <= 0.9
    assert (draw_coefficient(KEY, one) == draw_coefficient(KEY, other)) == (one == other)
    assert draw_coefficient(KEY, one) != draw_coefficient("5b" * 32, one)


def test_coefficients_are_spread_over_the_range() -> None:
    drawn = np.array([draw_coefficient(KEY, f"s-{i:08x}", 0.6, 0.8) for i in range(2000)])
    assert np.all(np.histogram(drawn, 10, (0.6, 0.8))[0] > 150)
    assert draw_coefficient("00" * 32, "s-00000001") == pytest.approx(0.5408310216064544, abs=1e-15)  # on any machine
