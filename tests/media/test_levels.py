"""How loud a recording is, which of its channels are heard, and what the listeners' copy of it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.errors import MediaError
from deemo_data.media import levels
from tests.makers.sounds import RATE_HZ, babble, level_db

VOICE = babble(8)
OTHER = babble(8, seed=2)
NONE = np.zeros_like(VOICE)
NOISE = np.random.default_rng(5).standard_normal(len(VOICE)) * 0.02


def measure(*channels: np.ndarray) -> np.ndarray:
    meter = levels.SoundMeter(len(channels))
    meter.add(np.stack(channels, axis=1))
    return meter.compute_covariance()


def loudness(*channels: np.ndarray) -> float:
    return levels.find_loud_level(measure(*channels)[:, 0, 0])


# ── how loud ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change", [lambda w: w, lambda w: -w, lambda w: w + 0.3, lambda w: np.concatenate([NONE, NONE, w, NONE])]
)
def test_the_level_is_that_of_the_loud_parts(change: object) -> None:
    """Turned over, on direct current, among silence: it is the same."""
    assert loudness(change(VOICE)) == pytest.approx(loudness(VOICE), abs=0.7)  # type: ignore[operator]
    assert loudness(change(VOICE) / 100) == pytest.approx(loudness(VOICE) - 40, abs=0.7)  # type: ignore[operator]


def test_hours_of_noise_do_not_hide_twenty_seconds_of_speech() -> None:
    noise = np.full(9000, 10 ** (-80 / 10))
    speech = np.full(50, 10 ** (-50 / 10))
    assert levels.find_loud_level(np.concatenate([noise, speech])) == pytest.approx(-50)
    assert levels.find_loud_level(np.concatenate([np.zeros(90_000), speech])) == pytest.approx(-50)


def test_a_click_is_not_the_level_of_a_recording() -> None:
    quiet = VOICE * 10 ** (-50 / 20)
    clicked = quiet.copy()
    clicked[50_000:50_016] = 0.9
    assert loudness(clicked) == pytest.approx(loudness(quiet), abs=2.5)


def test_silence_is_not_raised() -> None:
    assert loudness(NONE) == -120
    assert levels.choose_gain(-120) == 0
    assert levels.find_loud_level(np.zeros(0)) == -120


@pytest.mark.parametrize(("level", "gain"), [(-10, 0), (-27, 0), (-30, 3), (-79, 52), (-105, 78), (-109, 80)])
def test_the_gain_brings_loud_speech_to_one_level(level: float, gain: float) -> None:
    assert levels.choose_gain(level) == gain


@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_a_track_is_measured_alike_in_any_pieces(sizes: list[int]) -> None:
    wave = np.stack([VOICE, OTHER], axis=1)[: sum(sizes)]
    meter = levels.SoundMeter(2)
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        meter.add(wave[end - size : end])
    np.testing.assert_allclose(meter.compute_covariance(), measure(*wave.T), rtol=1e-4, atol=1e-12)


# ── which channels ───────────────────────────────────────────────────────────────────────────────────────────

PARTLY = np.where(np.arange(len(VOICE)) < 50_000, VOICE, -VOICE)
FIRST_HALF, SECOND_HALF = (
    np.where(np.arange(len(VOICE)) < 64_000, VOICE, NONE),
    np.where(np.arange(len(VOICE)) < 64_000, NONE, OTHER),
)
SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR")


@pytest.mark.parametrize(
    ("channels", "mix", "kinds"),
    [
        ((VOICE,), "mean", []),
        ((VOICE, VOICE), "mean", []),
        ((VOICE, 0.3 * VOICE), "mean", []),
        ((VOICE, OTHER), "mean", []),
        ((FIRST_HALF + 0.05 * SECOND_HALF, SECOND_HALF + 0.05 * FIRST_HALF), "mean", []),  # one person per channel
        ((NONE, NONE), "mean", []),
        ((VOICE, NONE), "left", ["channels_left_out"]),
        ((0.003 * NOISE, VOICE), "right", ["channels_left_out"]),
        ((VOICE, NOISE), "left", ["channels_left_out"]),
        ((NOISE, 0.01 * VOICE), "right", ["channels_left_out"]),  # the noise is louder than the voice
        ((VOICE, -VOICE), "difference", ["opposite_phase"]),
        ((VOICE + NOISE / 4, -0.5 * VOICE + NOISE[::-1] / 4), "difference", ["opposite_phase"]),
        ((VOICE, 0.9 * PARTLY), "left", ["opposite_phase_in_parts"]),
        ((0.5 * PARTLY, VOICE), "right", ["opposite_phase_in_parts"]),
        ((NONE, NONE, VOICE, NONE, NONE, NONE), "3", ["channels_left_out"]),
        ((OTHER, OTHER, VOICE, 3 * VOICE, OTHER, OTHER), "1+2+3+5+6", ["channels_left_out"]),  # without the low effects
        ((VOICE, VOICE, -VOICE, -VOICE), "1+2-3-4", ["opposite_phase", "opposite_phase"]),
    ],
)
def test_the_channels_that_are_heard(channels: tuple[np.ndarray, ...], mix: str, kinds: list[str]) -> None:
    chosen = levels.choose_mix(measure(*channels), SURROUND if len(channels) == 6 else ())
    assert (chosen.text, [n.kind for n in chosen.notices]) == (mix, kinds)
    assert levels.read_mix(chosen.text, len(channels)).shape == (len(channels),)


def test_of_ambisonic_sound_the_first_channel_hears_all() -> None:
    chosen = levels.choose_mix(measure(VOICE, PARTLY, OTHER, NOISE), ("AMBI0", "AMBI1", "AMBI2", "AMBI3"))
    assert chosen.text == "1"
    assert "channel 1 of 4" in chosen.notices[0].text


@given(st.lists(st.sampled_from([-1.0, -0.6, 0.0, 0.4, 1.0]), min_size=1, max_size=8).filter(any))
@settings(max_examples=40, deadline=None)
def test_a_voice_never_cancels_itself(gains: list[float]) -> None:
    """One voice in any number of channels, in any polarity and strength: the mix is as loud as the channels in use."""
    covariance = measure(*(g * VOICE for g in gains))
    weights = levels.read_mix(levels.choose_mix(covariance).text, len(gains))
    used = [abs(g) for g, w in zip(gains, weights, strict=True) if w]
    assert level_db(np.stack([g * VOICE for g in gains], axis=1) @ weights) == pytest.approx(
        level_db(VOICE) + 20 * np.log10(np.mean(used)), abs=0.1
    )
    assert max(map(abs, gains)) in used


@pytest.mark.parametrize(
    ("text", "channels", "weights"),
    [
        ("mean", 2, [0.5, 0.5]), ("mean", 1, [1]), ("left", 2, [1, 0]), ("right", 2, [0, 1]), ("difference", 2, [0.5, -0.5]),
        ("3", 6, [0, 0, 1, 0, 0, 0]), ("1+3", 3, [0.5, 0, 0.5]), ("2-1", 2, [-0.5, 0.5]), ("left", 6, [1, 0, 0, 0, 0, 0]),
    ],
)  # fmt: skip
def test_a_mix_in_words_and_numbers(text: str, channels: int, weights: list[float]) -> None:
    assert levels.read_mix(text, channels).tolist() == pytest.approx(weights)


@pytest.mark.parametrize(
    ("text", "channels"),
    [("both", 2), ("", 2), ("0", 2), ("3", 2), ("right", 1), ("1+", 2), ("-1", 2), ("1 2", 2), ("1+9999", 2)],
)
def test_a_mix_that_cannot_be_is_refused(text: str, channels: int) -> None:
    with pytest.raises(MediaError) as caught:
        levels.read_mix(text, channels)
    assert "mean, left, right, difference" in caught.value.advice


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=6).filter(any))
def test_a_mix_is_read_as_it_is_written(signs: list[int]) -> None:
    """But for the sign of all of it, which nobody hears."""
    weights = levels.read_mix(levels.format_mix(np.array(signs)), len(signs)) * sum(map(abs, signs))
    assert weights.tolist() in (signs, [-s for s in signs])


# ── what the listeners hear ──────────────────────────────────────────────────────────────────────────────────


def rises(wave: np.ndarray, raised: np.ndarray) -> np.ndarray:
    there = np.abs(wave) > 1e-7
    return 20 * np.log10(np.abs(raised[there]) / np.abs(wave[there]))


def test_a_quiet_speaker_beside_a_loud_one_is_raised_to_the_level_of_listening() -> None:
    loud, quiet = babble(6, 1, -20), babble(6, 2, -60)
    wave = np.concatenate([loud, quiet, loud]).astype(np.float32)
    [raised] = levels.raise_quiet([wave])
    inner = slice(len(loud) + RATE_HZ, 2 * len(loud) - RATE_HZ)
    assert level_db(wave[inner]) == pytest.approx(-60, abs=2)
    assert -36 < level_db(raised[inner]) < -28
    assert np.abs(raised[: len(loud) - RATE_HZ] - wave[: len(loud) - RATE_HZ]).max() < 0.02, "what is loud stays"


@given(st.integers(0, 10**6), st.lists(st.integers(-100, -5), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_nothing_is_lowered_nor_raised_by_more_than_the_most(seed: int, loudnesses: list[int]) -> None:
    rng = np.random.default_rng(seed)
    wave = np.concatenate([10 ** (db / 20) * rng.standard_normal(rng.integers(100, 40_000)) for db in loudnesses])
    wave = np.clip(wave, -1, 1).astype(np.float32)
    [raised] = levels.raise_quiet([wave])
    assert raised.dtype == np.float32
    assert np.abs(raised).max() <= 1
    gain = rises(wave, raised)
    assert gain.min() > -0.01
    assert gain.max() <= levels.MAX_RISE_DB + 0.01


@given(st.lists(st.integers(1, 60), max_size=5), st.integers(0, 5000))
@settings(max_examples=20, deadline=None)
def test_a_recording_in_blocks_is_raised_like_a_whole_one(hops: list[int], rest: int) -> None:
    """Blocks of whole hops, of a length from 2.4 s; the last has any length."""
    sizes = [(24 + h) * levels.HOP_SAMPLES for h in hops] + [rest]
    softer = np.repeat([1, 0.01, 0.0001], -(-sum(sizes) // 3))[: sum(sizes)]
    wave = (np.clip(np.resize(VOICE, sum(sizes)), -1, 1) * softer).astype(np.float32)
    blocks = np.split(wave, np.cumsum(sizes)[:-1])
    raised = list(levels.raise_quiet(blocks))
    assert [len(b) for b in raised] == sizes
    [whole] = levels.raise_quiet([wave])
    np.testing.assert_allclose(np.concatenate(raised), whole, atol=1e-6)


def test_silence_stays_silence() -> None:
    [raised] = levels.raise_quiet([NONE.astype(np.float32)])
    assert not raised.any()
    assert [len(b) for b in levels.raise_quiet([np.zeros(0, np.float32)])] == [0]
    assert list(levels.raise_quiet([])) == []


def test_direct_current_is_taken_out_without_a_click() -> None:
    wave = VOICE / 1000 + 0.5
    filtered = levels.VoiceFilter(levels.MIN_RAISED_HZ, order=4).process(wave)
    assert np.abs(filtered).max() < 2 * np.abs(VOICE / 1000).max()
    assert level_db(filtered) == pytest.approx(level_db(VOICE / 1000), abs=1)
