"""No changed voice is louder than what the listeners heard, and what they could not hear is not there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.media import levels
from deemo_data.stages.voices.common_voice import VoiceOffsets
from deemo_data.stages.voices.conversion import convert_voice
from deemo_data.stages.voices.limiter import MARGIN_DB, hide_unheard, limit_peaks, limit_to_heard
from tests.makers.sounds import RATE_HZ, babble, level_db

LOUD, SOFT = babble(5, 1, -20), babble(5, 2, -20)


def bring_to_level(wave: np.ndarray) -> np.ndarray:
    """What a conversion does to the level of a speaker, and nothing else."""
    return wave * 10 ** ((-27 - level_db(wave[np.abs(wave) > 2e-5])) / 20) if (np.abs(wave) > 2e-5).any() else wave


def test_peaks_are_limited() -> None:
    wave = np.linspace(-3, 3, 1001)
    limited = limit_peaks(wave)
    assert np.abs(limited).max() <= 1
    assert np.array_equal(limited[np.abs(wave) < 0.9], wave[np.abs(wave) < 0.9])


@given(st.integers(-80, -12), st.sampled_from([-12, -20, -27]))
@settings(max_examples=25, deadline=None)
def test_no_turn_is_released_louder_than_it_was_heard(soft_db: int, loud_db: int) -> None:
    """A second speaker at any level, beside a first one or taken for him: released at most a few dB above what Whisper heard."""
    loud, soft = LOUD * 10 ** ((loud_db + 20) / 20), SOFT * 10 ** ((soft_db + 20) / 20)
    wave = np.clip(np.concatenate([loud, soft, loud]), -1, 1)
    [heard] = levels.raise_quiet([wave.astype(np.float32)])
    shown = hide_unheard(wave)
    begin, end = len(loud), len(loud) + len(soft)
    apart = np.zeros(len(wave))
    apart[begin:end] = shown[begin:end]
    for speech in (apart, shown):
        voice, _ = limit_to_heard(bring_to_level(speech), heard)
        released_db, heard_db = (level_db(w[begin + RATE_HZ : end - RATE_HZ]) for w in (voice, heard))
        assert released_db <= max(heard_db + MARGIN_DB + 1, -60)
    if soft_db <= -80:
        assert level_db(shown[begin + RATE_HZ : end - RATE_HZ]) < -99, "what nobody hears is gone before a voice is made of it"


def test_a_converted_voice_is_no_louder_than_it_was_heard() -> None:
    wave = np.concatenate([LOUD[:48_000], SOFT[:48_000] * 10 ** (-40 / 20)])
    [heard] = levels.raise_quiet([wave.astype(np.float32)])
    changed = convert_voice(np.where(np.arange(len(wave)) < 48_000, 0, wave), VoiceOffsets.draw(b"k" * 32))
    voice, _ = limit_to_heard(changed, heard)
    assert level_db(changed[64_000:]) > -40, "the conversion raises it"
    assert level_db(voice[64_000:]) <= level_db(heard[64_000:]) + MARGIN_DB + 1


def test_a_voice_that_was_heard_stays_as_it_is() -> None:
    wave = LOUD * 0.5
    assert np.array_equal(hide_unheard(wave), wave)
    voice, share = limit_to_heard(wave * 1.5, wave.astype(np.float32))
    assert np.array_equal(voice, wave * 1.5)
    assert share == 0


def test_what_is_lowered_is_counted() -> None:
    heard = np.concatenate([LOUD, LOUD * 0.001]).astype(np.float32)
    voice, share = limit_to_heard(np.concatenate([LOUD, LOUD]), heard)
    assert 0.3 < share < 0.6
    assert level_db(voice[len(LOUD) + RATE_HZ :]) < -60
    assert np.allclose(voice[: len(LOUD) - RATE_HZ], LOUD[: len(LOUD) - RATE_HZ])


@pytest.mark.parametrize("samples", [0, 1, 100, 1601])
def test_short_sound(samples: int) -> None:
    wave = LOUD[:samples]
    assert hide_unheard(wave).shape == (samples,)
    voice, share = limit_to_heard(wave, wave.astype(np.float32))
    assert (voice.shape, share) == ((samples,), 0)


def test_digital_silence_stays() -> None:
    assert not hide_unheard(np.zeros(20_000)).any()
