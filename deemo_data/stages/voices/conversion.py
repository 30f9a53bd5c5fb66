"""A voice towards the common one and away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deemo_data.stages.voices.common_voice import (
    FADE,
    FINAL_LEVEL,
    FORMANTS,
    HOP,
    KNEE,
    LEAST,
    LEVEL,
    LOUD_SPREAD,
    LOUD_SPREAD_LAST,
    NOTHING,
    PITCH,
    PITCH_SPREAD,
    RATE,
    TICK,
    WINDOW,
    Draws,
)
from deemo_data.stages.voices.envelope import power_of, recoloured
from deemo_data.stages.voices.psola import resung

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def change(wave: NDArray[np.floating], draws: Draws) -> NDArray[np.float64]:
    """What one speaker says in `wave` (n,), mono at 16 kHz, in another voice: (n,) float64 within [-1, 1].

    Give it one speaker at a time, with silence where others speak. Pauses hold made noise and nothing of the original;
    where the wave is zero for long, the result is zero too.
    """
    import numpy as np

    from deemo_data.tracks import prosody

    samples = np.asarray(wave, np.float64)
    if len(samples) < WINDOW or not samples.any():
        return np.zeros(len(samples))
    samples = np.where(samples != 0, samples - samples[samples != 0].mean(), 0)
    if _rms(samples) < 1e-12:
        return np.zeros(len(samples))
    samples = samples * (LEVEL / np.sqrt(np.mean(samples[samples != 0] ** 2)))
    hertz = prosody.pitch(samples, TICK)
    said = spoken(samples, hertz)
    sung = resung(samples, hertz, melody(hertz, draws), tract(samples, hertz) * np.exp(draws.tract))
    power = power_of(samples)
    frames = said[np.clip((np.arange(len(power)) * HOP - WINDOW // 2) // TICK, 0, len(said) - 1)]
    strong = frames & (power > np.percentile(power[frames], 95) - 8)  # 35 dB
    made = paused(recoloured(sung, power, strong, LOUD_SPREAD, draws), samples, said, draws)
    power = power_of(made)  # once more, over what a listener would call speech, now that the pauses are in
    strong = power > np.percentile(power[power > NOTHING], 95) - 9.2  # 40 dB
    strong = np.convolve(strong, np.ones(13))[6 : 6 + len(strong)] > 0.5
    return levelled(recoloured(made, power, strong, LOUD_SPREAD_LAST, draws))


def spoken(wave: NDArray[np.float64], hertz: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which ticks of 5 ms are speech: voiced, or louder than 20 % of the way from the quiet to the loud, and 50 ms around."""
    import numpy as np

    around = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (WINDOW // 2, WINDOW // 2 + TICK)), WINDOW)[::TICK]
    level = 10 * np.log10(np.square(around[: len(hertz)]).mean(axis=1) + 1e-12)
    loud, quiet = np.percentile(level[level > -119], [95, 10])
    over = (level > max(quiet + 0.2 * (loud - quiet), loud - 45)) | (hertz > 0)
    return np.convolve(over, np.ones(21), mode="same")[: len(over)] > 0.5


# ── melody and vocal tract ───────────────────────────────────────────────────────────────────────────────────


def melody(hertz: NDArray[np.float64], draws: Draws) -> NDArray[np.float64]:
    """F0 in Hz, 0 where unvoiced, with the common median and range, both moved by the draws; its shape stays."""
    import numpy as np

    voiced = hertz > 0
    if not voiced.any():
        return hertz
    tones = np.log(hertz[voiced])
    grown = np.exp(draws.spread)
    if voiced.sum() >= LEAST:
        grown = grown * np.clip(PITCH_SPREAD / max(tones.std(), 1e-3), 0.6, 1.7)
    made = np.zeros_like(hertz)
    made[voiced] = np.exp(np.clip(np.log(PITCH) + draws.pitch + grown * (tones - np.median(tones)), np.log(60), np.log(480)))
    return made


def tract(wave: NDArray[np.float64], hertz: NDArray[np.float64]) -> float:
    """By what the formants have to be multiplied to lie where the common voice has them: 0.78 to 1.28, 1 where none are found."""
    import numpy as np
    from scipy.signal import lfilter, resample_poly

    order, rate, size = 11, 10_000, 256
    low = lfilter([1, -0.9], [1], resample_poly(wave, 5, 8))
    at = np.flatnonzero(hertz > 0)[::2] * TICK * rate // RATE
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(low, size // 2), size)[at[at < len(low)]] * np.hamming(size)
    alike = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * size)) ** 2)[:, : order + 1]
    alike = alike[alike[:, 0] > 1e-9]
    alike[:, 0] *= 1.0001
    lags = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    companions = np.zeros((len(alike), order, order))
    companions[:, 0] = np.linalg.solve(alike[:, lags], alike[:, 1:, None])[..., 0]
    companions[:, np.arange(1, order), np.arange(order - 1)] = 1
    roots = np.linalg.eigvals(companions)
    found, width = np.angle(roots) * rate / (2 * np.pi), -np.log(np.abs(roots) + 1e-9) * rate / np.pi
    formants = np.sort(np.where((found > 200) & (found < 4700) & (width < 500), found, np.nan), axis=1)[:, 1:4]
    formants = formants[np.isfinite(formants).all(axis=1)]
    if len(formants) < 10:
        return 1.0
    return float(np.exp(np.clip(np.mean(np.log(FORMANTS / np.median(formants, axis=0))), -0.25, 0.25)))


# ── pauses and level ─────────────────────────────────────────────────────────────────────────────────────────


def paused(made: NDArray[np.float64], wave: NDArray[np.float64], said: NDArray[np.bool_], draws: Draws) -> NDArray[np.float64]:
    """Speech at the common level over soft made noise; between words the noise alone; zero where the wave is zero for 50 ms."""
    import numpy as np
    from scipy.ndimage import maximum_filter1d, uniform_filter1d
    from scipy.signal import lfilter

    gate = uniform_filter1d(np.repeat(said.astype(np.float64), TICK)[: len(made)], 321, mode="nearest")
    there = uniform_filter1d(maximum_filter1d((wave != 0).astype(np.float64), 1601), 161, mode="nearest")
    noise = lfilter([1], [1, -0.8], np.random.Generator(np.random.PCG64(draws.noise)).standard_normal(len(made)))
    noise *= LEVEL * 10 ** (draws.pause_db / 20) / noise.std()
    speech = made * gate
    return speech * (LEVEL / max(_rms(speech[gate > 0.5]), 1e-9)) + noise * np.round(there, 9)


def levelled(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is not pause at the common level, faded at both ends; peaks above 0.9 are bent so that none passes 1."""
    import numpy as np

    place = np.arange(len(wave))
    wave = wave * np.minimum(np.minimum(place, place[::-1]) / FADE, 1)
    loud = wave * (FINAL_LEVEL / max(_rms(wave[np.abs(wave) > LEVEL / 100]), 1e-9))
    over = np.maximum(np.abs(loud) - KNEE, 0)
    return np.copysign(np.minimum(np.abs(loud), KNEE) + (1 - KNEE) * np.tanh(over / (1 - KNEE)), loud)


def _rms(wave: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0
