"""Sound lies where it was heard: single clicks in made films, and real sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deemo_data.media import sound
from tests.makers.numbered_films import (
    NTSC,
    even,
    film,
    loud,
    part,
    whole,
)


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
        assert len(wave) == sound.frames_to_samples(clip.num_frames, clip.grid.fps) == round((end - first) / (30 * NTSC) * 16_000)
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
