"""Converts one speaker's voice to the common voice, moved by the offsets of a key.

In:  a wave with one speaker, and `VoiceOffsets` (common_voice.py). Out: a wave of the same length.

The steps of `convert_voice`: estimate F0 and find speech; replace F0 and formants (psola.py); replace the spectral envelope and
the spread of the loudness (envelope.py); replace pauses by noise; replace the envelope once more; set the level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deemo_data.media.sound import SAMPLE_RATE_HZ
from deemo_data.stages.voices.common_voice import (
    F0_MEDIAN_HZ,
    FINAL_LOG_POWER_SPREAD,
    FORMANTS_HZ,
    LOG_F0_SPREAD,
    LOG_POWER_SPREAD,
    VoiceOffsets,
)
from deemo_data.stages.voices.envelope import (
    HOP_SAMPLES,
    MIN_SPREAD_FRAMES,
    WINDOW_SAMPLES,
    compute_log_power,
    match_envelope,
)
from deemo_data.stages.voices.limiter import limit_peaks
from deemo_data.stages.voices.psola import F0_HOP_SAMPLES, shift_pitch_and_formants

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORK_RMS = 0.06  # RMS of speech during the conversion, as a share of full scale; the same for every voice
FINAL_RMS = 0.045  # RMS of speech in the result
FADE_SAMPLES = 160  # 10 ms at the beginning and the end of the wave
MIN_LOG_POWER = -22.0  # a frame with less power holds only the floor that envelope.POWER_FLOOR adds


def convert_voice(wave: NDArray[np.floating], offsets: VoiceOffsets) -> NDArray[np.float64]:
    """The speech of one speaker in another voice: (n,) float64 within [-1, 1].

    wave     (n,) mono at 16 kHz, with one speaker and zeros where others speak
    offsets  how the new voice differs from the common voice

    Pauses hold synthetic noise and nothing of the original. Where the wave is zero for long, the result is zero too.
    """
    import numpy as np

    from deemo_data.tracks import prosody

    samples = np.asarray(wave, np.float64)
    if len(samples) < WINDOW_SAMPLES or not samples.any():
        return np.zeros(len(samples))
    samples = np.where(samples != 0, samples - samples[samples != 0].mean(), 0)
    if _rms(samples) < 1e-12:
        return np.zeros(len(samples))
    samples = samples * (WORK_RMS / np.sqrt(np.mean(samples[samples != 0] ** 2)))
    f0_hz = prosody.estimate_f0(samples, F0_HOP_SAMPLES)
    speech_hops = detect_speech(samples, f0_hz)
    formant_ratio = estimate_formant_ratio(samples, f0_hz) * np.exp(offsets.log_formant_ratio)
    shifted = shift_pitch_and_formants(samples, f0_hz, convert_f0(f0_hz, offsets), formant_ratio)
    power = compute_log_power(samples)
    hop_of_frame = (np.arange(len(power)) * HOP_SAMPLES - WINDOW_SAMPLES // 2) // F0_HOP_SAMPLES
    in_speech = speech_hops[np.clip(hop_of_frame, 0, len(speech_hops) - 1)]
    is_speech = in_speech & (power > np.percentile(power[in_speech], 95) - 8)  # 35 dB
    matched = match_envelope(shifted, power, is_speech, LOG_POWER_SPREAD, offsets)
    noisy = add_pause_noise(matched, samples, speech_hops, offsets)
    power = compute_log_power(noisy)  # again, over what a listener hears as speech, now that the pauses hold noise
    is_speech = power > np.percentile(power[power > MIN_LOG_POWER], 95) - 9.2  # 40 dB
    is_speech = np.convolve(is_speech, np.ones(13))[6 : 6 + len(is_speech)] > 0.5
    return normalise_level(match_envelope(noisy, power, is_speech, FINAL_LOG_POWER_SPREAD, offsets))


def detect_speech(wave: NDArray[np.float64], f0_hz: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(hops,) which steps of 5 ms are speech.

    Speech is voiced, or louder than 20 % of the way from the quiet level to the loud one; 50 ms around it count too.
    """
    import numpy as np

    padded = np.pad(wave, (WINDOW_SAMPLES // 2, WINDOW_SAMPLES // 2 + F0_HOP_SAMPLES))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::F0_HOP_SAMPLES]
    level_db = 10 * np.log10(np.square(windows[: len(f0_hz)]).mean(axis=1) + 1e-12)
    loud, quiet = np.percentile(level_db[level_db > -119], [95, 10])
    is_speech = (level_db > max(quiet + 0.2 * (loud - quiet), loud - 45)) | (f0_hz > 0)
    return np.convolve(is_speech, np.ones(21), mode="same")[: len(is_speech)] > 0.5


# ── F0 and formants ──────────────────────────────────────────────────────────────────────────────────────────


def convert_f0(f0_hz: NDArray[np.float64], offsets: VoiceOffsets) -> NDArray[np.float64]:
    """F0 in Hz (0 where unvoiced) with the median and spread of the common voice, moved by the offsets; its contour stays."""
    import numpy as np

    voiced = f0_hz > 0
    if not voiced.any():
        return f0_hz
    log_f0 = np.log(f0_hz[voiced])
    factor = np.exp(offsets.log_f0_spread)
    if voiced.sum() >= MIN_SPREAD_FRAMES:
        factor = factor * np.clip(LOG_F0_SPREAD / max(log_f0.std(), 1e-3), 0.6, 1.7)
    new_log_f0 = np.log(F0_MEDIAN_HZ) + offsets.log_f0_shift + factor * (log_f0 - np.median(log_f0))
    result = np.zeros_like(f0_hz)
    result[voiced] = np.exp(np.clip(new_log_f0, np.log(60), np.log(480)))
    return result


def estimate_formant_ratio(wave: NDArray[np.float64], f0_hz: NDArray[np.float64]) -> float:
    """The factor that brings a voice's formants to those of the common voice: 0.78 to 1.28; 1 if no formants are found.

    Formants are the poles of a linear prediction of order 11 at 10 kHz, in windows of 26 ms where the voice is voiced.
    """
    import numpy as np
    from scipy.signal import lfilter, resample_poly

    order, rate, size = 11, 10_000, 256
    low = lfilter([1, -0.9], [1], resample_poly(wave, 5, 8))
    at = np.flatnonzero(f0_hz > 0)[::2] * F0_HOP_SAMPLES * rate // SAMPLE_RATE_HZ
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(low, size // 2), size)[at[at < len(low)]] * np.hamming(size)
    autocorrelation = np.fft.irfft(np.abs(np.fft.rfft(windows, 2 * size)) ** 2)[:, : order + 1]
    autocorrelation = autocorrelation[autocorrelation[:, 0] > 1e-9]
    autocorrelation[:, 0] *= 1.0001
    lags = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    companions = np.zeros((len(autocorrelation), order, order))
    companions[:, 0] = np.linalg.solve(autocorrelation[:, lags], autocorrelation[:, 1:, None])[..., 0]
    companions[:, np.arange(1, order), np.arange(order - 1)] = 1
    poles = np.linalg.eigvals(companions)
    frequency, bandwidth = np.angle(poles) * rate / (2 * np.pi), -np.log(np.abs(poles) + 1e-9) * rate / np.pi
    is_formant = (frequency > 200) & (frequency < 4700) & (bandwidth < 500)
    formants = np.sort(np.where(is_formant, frequency, np.nan), axis=1)[:, 1:4]
    formants = formants[np.isfinite(formants).all(axis=1)]
    if len(formants) < 10:
        return 1.0
    return float(np.exp(np.clip(np.mean(np.log(FORMANTS_HZ / np.median(formants, axis=0))), -0.25, 0.25)))


# ── pauses and level ─────────────────────────────────────────────────────────────────────────────────────────


def add_pause_noise(
    converted: NDArray[np.float64], wave: NDArray[np.float64], speech_hops: NDArray[np.bool_], offsets: VoiceOffsets
) -> NDArray[np.float64]:
    """The converted speech over soft synthetic noise: between words there is only the noise.

    The result is zero where the original `wave` is zero for 50 ms.
    """
    import numpy as np
    from scipy.ndimage import maximum_filter1d, uniform_filter1d
    from scipy.signal import lfilter

    speech_gate = np.repeat(speech_hops.astype(np.float64), F0_HOP_SAMPLES)[: len(converted)]
    speech_gate = uniform_filter1d(speech_gate, 321, mode="nearest")
    noise_gate = uniform_filter1d(maximum_filter1d((wave != 0).astype(np.float64), 1601), 161, mode="nearest")
    rng = np.random.Generator(np.random.PCG64(offsets.noise_seed))
    noise = lfilter([1], [1, -0.8], rng.standard_normal(len(converted)))
    noise *= WORK_RMS * 10 ** (offsets.pause_db / 20) / noise.std()
    speech = converted * speech_gate
    return speech * (WORK_RMS / max(_rms(speech[speech_gate > 0.5]), 1e-9)) + noise * np.round(noise_gate, 9)


def normalise_level(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """The wave with its speech at the common level, faded in and out, its peaks limited to 1."""
    import numpy as np

    place = np.arange(len(wave))
    wave = wave * np.minimum(np.minimum(place, place[::-1]) / FADE_SAMPLES, 1)
    return limit_peaks(wave * (FINAL_RMS / max(_rms(wave[np.abs(wave) > WORK_RMS / 100]), 1e-9)))


def _rms(wave: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0
