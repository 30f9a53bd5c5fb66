"""Short-time spectra of a voice, and how their envelope and loudness become those of the common voice.

In:  a wave, the loudness it should have, a mask of speech frames, the offsets of its new voice. Out: a wave of the same length.
All spectra here are of windows of 25 ms, one every 6.25 ms. conversion.py calls `match_envelope` twice.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from deemo_data.media.sound import SAMPLE_RATE_HZ
from deemo_data.stages.voices.common_voice import (
    CEPSTRUM_MEANS,
    CEPSTRUM_SPEEDS,
    CEPSTRUM_SPREADS,
    NUM_CEPSTRA,
    VoiceOffsets,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 100  # 6.25 ms
FFT_SIZE = 512
MEL_BANDS = 40
POWER_FLOOR = 1e-10  # added to every power, so that silence has a logarithm
MIN_SPREAD_FRAMES = 40  # frames of speech (0.25 s) from which a spread is reliable


def match_envelope(
    wave: NDArray[np.float64],
    wanted_power: NDArray[np.float64],
    is_speech: NDArray[np.bool_],
    log_power_spread: float,
    offsets: VoiceOffsets,
) -> NDArray[np.float64]:
    """The wave (n,) with the spectral envelope of the common voice, moved by the offsets, and the loudness `wanted_power`.

    wanted_power      (frames,) natural logarithm of the power
    is_speech         (frames,) the frames that the statistics are taken over
    log_power_spread  the spread that the loudness gets

    Each cepstrum gets the mean, spread and speed of the common voice. The envelope is that of 40 mel bands, smoothed to 20
    cepstra. The spectra are multiplied by the ratio of the wanted envelope to their own, so the fine structure stays.
    """
    import numpy as np
    from scipy.fft import idct

    spectra = compute_stft(wave)
    cepstra = compute_mel_cepstra(spectra)
    wanted = np.zeros_like(cepstra)
    spreads, speeds = offsets.log_cepstrum_spreads, offsets.log_cepstrum_speeds
    loudness = _match_statistics(wanted_power, is_speech, log_power_spread, CEPSTRUM_SPEEDS[0], spreads[0], speeds[0])
    wanted[:, 0] = wanted_power[is_speech].mean() + loudness
    for k in range(1, NUM_CEPSTRA):
        around_mean = _match_statistics(
            cepstra[:, k], is_speech, CEPSTRUM_SPREADS[k - 1], CEPSTRUM_SPEEDS[k], spreads[k], speeds[k]
        )
        wanted[:, k] = around_mean + CEPSTRUM_MEANS[k - 1] + offsets.cepstrum_means[k - 1]
    ratio = np.zeros((len(spectra), MEL_BANDS))
    ratio[:, 1:NUM_CEPSTRA] = (wanted - cepstra)[:, 1:]
    gains = np.exp(np.clip(idct(ratio, axis=1, norm="ortho"), -7, 5) @ _bands_to_bins().T / 2)
    level = np.log(np.mean(np.abs(spectra * gains) ** 2, axis=1) + POWER_FLOOR)
    gains *= np.exp(np.clip((wanted[:, 0] - level) / 2, -7, 2))[:, None]
    edge = WINDOW_SAMPLES // HOP_SAMPLES  # windows that reach over an end of the wave are unreliable: use the gain beside them
    spectra *= gains[np.clip(np.arange(len(spectra)), edge, max(len(wave) // HOP_SAMPLES, edge))]
    return _overlap_add(spectra, len(wave))


def _match_statistics(
    values: NDArray[np.float64],
    is_speech: NDArray[np.bool_],
    spread: float,
    speed: float,
    log_spread_offset: float,
    log_speed_offset: float,
) -> NDArray[np.float64]:
    """Values (frames,) around their mean, with the given spread; their change over six frames is `speed` times the spread."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    around_mean = values - values[is_speech].mean()
    if is_speech.sum() < MIN_SPREAD_FRAMES:
        return around_mean
    slow = uniform_filter1d(around_mean, 9, mode="nearest")
    fast = around_mean - slow
    pairs = is_speech[6:] & is_speech[:-6]
    (ss, sf), (_, ff) = np.cov(slow[is_speech], fast[is_speech])
    (ds, df), (_, dd) = np.cov((slow[6:] - slow[:-6])[pairs], (fast[6:] - fast[:-6])[pairs])
    wanted = (speed * np.exp(log_speed_offset)) ** 2
    shares = np.linspace(0.6, 1.6, 51)  # candidates for the weight of the fast part
    squared_speeds = (ds + 2 * shares * df + shares**2 * dd) / np.maximum(ss + 2 * shares * sf + shares**2 * ff, 1e-12)
    mixed = slow + shares[np.argmin(np.abs(np.log(squared_speeds / wanted)))] * fast
    return mixed * np.clip(spread * np.exp(log_spread_offset) / max(mixed[is_speech].std(), 1e-6), 0.6, 1.6)


def compute_stft(wave: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The short-time spectra of a wave under a Hann window: (frames, bins)."""
    import numpy as np

    padded = np.pad(wave, (WINDOW_SAMPLES, WINDOW_SAMPLES + HOP_SAMPLES))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    return np.fft.rfft(windows * np.hanning(WINDOW_SAMPLES + 1)[:-1], FFT_SIZE)


def _overlap_add(spectra: NDArray[np.complex128], samples: int) -> NDArray[np.float64]:
    """The wave (samples,) of short-time spectra, with the tails by which filtering made the windows longer."""
    import numpy as np

    parts = -(-FFT_SIZE // HOP_SAMPLES)
    windows = np.pad(np.fft.irfft(spectra, FFT_SIZE), ((0, 0), (0, parts * HOP_SAMPLES - FFT_SIZE)))
    windows = windows.reshape(len(spectra), parts, HOP_SAMPLES)
    hops = np.zeros((len(spectra) + parts, HOP_SAMPLES))
    for part in range(parts):
        hops[part : part + len(spectra)] += windows[:, part]
    return hops.reshape(-1)[WINDOW_SAMPLES:][:samples] * (2 * HOP_SAMPLES / WINDOW_SAMPLES)


def compute_log_power(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm of the mean power of each short-time spectrum: (frames,)."""
    import numpy as np

    return np.log(np.mean(np.abs(compute_stft(wave)) ** 2, axis=1) + POWER_FLOOR)


def compute_mel_cepstra(spectra: NDArray[np.complex128]) -> NDArray[np.float64]:
    """The mel cepstra of short-time spectra: (frames, NUM_CEPSTRA)."""
    import numpy as np
    from scipy.fft import dct

    return dct(np.log(np.abs(spectra) ** 2 @ _mel_filters().T + POWER_FLOOR), axis=1, norm="ortho")[:, :NUM_CEPSTRA]


def _mel_points_hz() -> NDArray[np.float64]:
    """Lower edge, centres and upper edge of the mel bands in Hz, 0 to 8000: (MEL_BANDS + 2,).

    Linear up to 1000 Hz, then logarithmic (Slaney).
    """
    import numpy as np

    mels = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), MEL_BANDS + 2)
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))


@cache
def _mel_filters() -> NDArray[np.float64]:
    """The mel filter bank, (MEL_BANDS, bins): triangles of area 1."""
    import numpy as np

    bins, points = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE_HZ)[None], _mel_points_hz()[:, None]
    rising, falling = (bins - points[:-2]) / (points[1:-1] - points[:-2]), (points[2:] - bins) / (points[2:] - points[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    return weights / weights.sum(axis=1, keepdims=True)


@cache
def _bands_to_bins() -> NDArray[np.float64]:
    """(bins, MEL_BANDS): linear interpolation from the centres of the bands to the bins of a spectrum."""
    import numpy as np

    bins, centres = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE_HZ), _mel_points_hz()[1:-1]
    return np.stack([np.interp(bins, centres, row) for row in np.eye(MEL_BANDS)], axis=1)
