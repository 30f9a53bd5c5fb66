"""TD-PSOLA: changes the F0 and the formants of a voice and keeps its timing.

In:  a wave, its F0 every 5 ms, the new F0 and a factor for the formants. Out: a wave of the same length.
conversion.py decides what the new F0 and the factor are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deemo_data.media.sound import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

F0_HOP_SAMPLES = 80  # 5 ms between values of F0


def shift_pitch_and_formants(
    wave: NDArray[np.float64], f0_hz: NDArray[np.float64], new_f0_hz: NDArray[np.float64], formant_ratio: float
) -> NDArray[np.float64]:
    """The wave (n,) with F0 `new_f0_hz` and its formants multiplied by `formant_ratio`; (n,) and in step with the original.

    f0_hz and new_f0_hz hold one value per 5 ms, 0 where unvoiced.

    TD-PSOLA (Moulines and Charpentier 1990): grains of two periods are cut around each pitch pulse and added again at the new
    distance. A grain that is read faster has higher formants. Unvoiced sound is cut every 5 ms.
    """
    import numpy as np
    from scipy.signal import resample_poly

    hop = np.minimum((np.arange(len(wave)) + F0_HOP_SAMPLES // 2) // F0_HOP_SAMPLES, len(f0_hz) - 1)  # of each sample
    voiced = f0_hz[hop] > 0
    period = np.where(voiced, SAMPLE_RATE_HZ / np.maximum(f0_hz[hop], 50), F0_HOP_SAMPLES)
    new_period = np.where(voiced, SAMPLE_RATE_HZ / np.maximum(new_f0_hz[hop], 50), F0_HOP_SAMPLES)
    pulses, new_marks = _find_pulses(wave, _place_marks(period), period, voiced), _place_marks(new_period)
    if len(pulses) < 2 or len(new_marks) < 2:
        return wave.copy()
    source = pulses[np.searchsorted((pulses[1:] + pulses[:-1]) / 2, new_marks)]
    half = period[source][:, None]
    reach = int(np.ceil(half.max() / formant_ratio))
    step = np.arange(-reach, reach + 1)
    offset = step[None] * formant_ratio
    grain = np.where(np.abs(offset) < half, 0.5 + 0.5 * np.cos(np.pi * offset / half), 0)
    doubled = resample_poly(wave, 2, 1)  # at twice the rate, linear interpolation between samples is accurate enough
    at = np.clip((source[:, None] + offset) * 2, 0, len(doubled) - 2.001)
    below = at.astype(int)
    gain = np.sqrt(new_period[new_marks][:, None] / half)
    grain *= (doubled[below] + (doubled[below + 1] - doubled[below]) * (at - below)) * gain
    target = (new_marks[:, None] + step[None] + reach).ravel()
    result = np.bincount(target, grain.ravel(), len(wave) + 2 * reach + 1)[reach:][: len(wave)]
    return result.astype(np.float64)


def _place_marks(period: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sample indices that are one `period` apart."""
    import numpy as np

    marks: NDArray[np.int64] = np.flatnonzero(np.diff(np.floor(np.cumsum(1 / period)))) + 1
    return marks


def _find_pulses(
    wave: NDArray[np.float64], marks: NDArray[np.int64], period: NDArray[np.float64], voiced: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The pitch pulses of every voiced interval, and the marks elsewhere.

    The search starts at the strongest pulse and goes both ways; the next pulse is within a fifth of one period from there.
    """
    import numpy as np
    from scipy.signal import butter, sosfiltfilt

    low = sosfiltfilt(butter(2, [60, 1000], "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), wave)
    low = low * np.sign(np.mean(low**3) or 1)
    edges = np.flatnonzero(np.diff(voiced.astype(np.int8), prepend=0, append=0))
    indices = [marks[~voiced[marks]]]
    for begin, end in edges.reshape(-1, 2):
        pulses = [begin + int(np.argmax(low[begin:end]))]
        for direction in (-1, 1):
            at = pulses[0]
            while True:
                expected, slack = at + direction * int(period[at]), max(int(period[at] / 5), 1)
                if expected - slack < begin or expected + slack >= end:
                    break
                at = expected - slack + int(np.argmax(low[expected - slack : expected + slack + 1]))
                pulses.append(at)
        indices.append(np.array(pulses))
    return np.unique(np.concatenate(indices))
