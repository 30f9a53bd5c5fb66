"""Prosody curves: known tones and bursts come out as what they are, and sameness is measured as sameness."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.tracks import prosody


def buzz(hertz: np.ndarray) -> np.ndarray:
    """Ten harmonics of a moving pitch: (n,) at 16 kHz."""
    phase = 2 * np.pi * np.cumsum(hertz) / 16_000
    return 0.1 * sum(np.cos(k * phase) / k for k in range(1, 11))


def test_a_gliding_voice_is_heard_in_semitones() -> None:
    glide = np.geomspace(100, 200, 32_000)
    curves = prosody.measure_prosody(buzz(glide))
    assert len(curves.f0_semitones) == 200
    inner = slice(10, 190)
    assert curves.voiced[inner].all()
    expected = 12 * np.log2(glide[::160] / np.median(glide))
    assert np.abs(curves.f0_semitones[inner] - expected[inner]).max() < 0.3
    assert curves.f0_semitones.dtype == curves.energy_db.dtype == curves.speech_rate.dtype == np.float32


def test_silence_has_no_melody() -> None:
    for wave in (np.zeros(0), np.zeros(100), np.zeros(5000)):
        curves = prosody.measure_prosody(wave)
        assert len(curves.voiced) == math.ceil(len(wave) / 160)
        assert not curves.voiced.any()
        assert np.isnan(curves.f0_semitones).all()
        assert (curves.energy_db == -80).all()
        assert (curves.speech_rate == 0).all()


def test_bursts_are_counted() -> None:
    t = np.arange(64_000) / 16_000
    bursts = buzz(np.full(64_000, 120.0)) * np.maximum(np.sin(2 * np.pi * 4 * t), 0) ** 2  # four a second
    assert prosody.measure_prosody(bursts).speech_rate[50:-50].mean() == pytest.approx(4, abs=0.3)


def test_energy_is_in_decibels_of_full_scale() -> None:
    assert prosody.measure_energy_db(np.full(1600, 0.1)) == pytest.approx(np.full(10, -20))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    curves = prosody.measure_prosody(buzz(np.full(8000, 150.0)))
    prosody.write_prosody(curves, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.types == [pa.float32(), pa.float32(), pa.bool_(), pa.float32()]
    assert np.array_equal(table["f0_semitones"].to_numpy(), curves.f0_semitones, equal_nan=True)
    assert np.array_equal(table["voiced"].to_numpy(), curves.voiced)


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.5])
def test_a_melody_moved_as_a_whole_is_the_same_melody(ratio: float) -> None:
    melody = 130 * np.exp(0.2 * np.sin(2 * np.pi * 0.8 * np.arange(48_000) / 16_000))
    assert prosody.correlate_f0(buzz(melody), buzz(melody * ratio)) > 0.98
    assert prosody.correlate_f0(buzz(melody), buzz(130**2 / melody * ratio)) < -0.9
    assert math.isnan(prosody.correlate_f0(buzz(melody), np.zeros(48_000)))


@given(st.floats(0.1, 10), st.integers(1, 20))
def test_energy_correlation_does_not_hear_the_level(gain: float, seed: int) -> None:
    loud = np.random.default_rng(seed).uniform(0.05, 1, 40)
    wave = np.random.default_rng(0).normal(0, 0.1, 6400) * np.repeat(loud, 160)
    assert prosody.correlate_energy(wave, wave * gain) > 0.999
    assert math.isnan(prosody.correlate_energy(wave, np.zeros(6400)))


def test_a_reader_follows_himself_and_not_another(media: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    folders = sorted((media / "audio" / "speakers_librispeech").iterdir())[:2]
    one, other = (soundfile.read(sorted(f.glob("*.flac"))[0], frames=64_000)[0] for f in folders)
    noisy = one + np.random.default_rng(1).normal(0, 1e-3, len(one))
    assert prosody.correlate_f0(one, noisy) > 0.9
    assert prosody.correlate_energy(one, noisy) > 0.8
    assert prosody.correlate_f0(one, other) < 0.8
    assert abs(prosody.correlate_energy(one, other)) < 0.5
