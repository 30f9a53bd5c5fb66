"""What plain arithmetic hears of a voice: its spectrum, its melody and its timing, as one vector an utterance."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RATE = 16_000
HOP = 160  # samples: 100 frames a second
QUIET = 30  # dB below a clip's loud frames from which on it is a pause
SILENT = -200  # dB: nothing at all
COEFFICIENTS = 20
FRAME = 640  # samples that F0 is heard in: 40 ms, two periods and more of the lowest voice
LOWEST, HIGHEST = 60, 400  # Hz
VOICED = 0.45  # autocorrelation from which on a frame has a pitch
PAUSE = 15  # frames: shorter gaps are closures of consonants


def speech(wave: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which 10 ms of a wave (n,) at 16 kHz are speech, by loudness alone: (n // 160,). Muted spans never are."""
    import numpy as np

    level = _level(wave)
    heard = level > SILENT
    if not heard.any():
        return heard
    loud = level > np.quantile(level[heard], 0.95) - QUIET
    return heard & (np.convolve(loud, np.ones(9), mode="same") > 0)[: len(level)]


def statistics(wave: NDArray[np.floating]) -> NDArray[np.float64]:
    """One utterance (n,) with some speech in it as a vector: (60 + 6 + 5,), in units of their own."""
    import numpy as np

    spoken = speech(wave)
    return np.concatenate([spectrum(wave, spoken), melody(wave, spoken), timing(wave, spoken)])


def spectrum(wave: NDArray[np.floating], spoken: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Over the frames of speech, of 20 MFCC: means, deviations, and deviations of their change over 40 ms."""
    import numpy as np
    from scipy.fft import dct

    from deemo_data.models.speech import ge2e

    power = ge2e.mel(ge2e.levelled(np.asarray(wave, np.float32)))[: len(spoken)]
    cepstra = dct(np.log(np.maximum(power, 1e-10)), norm="ortho", axis=1)[:, :COEFFICIENTS]
    change = np.pad(cepstra[4:] - cepstra[:-4], ((2, 2), (0, 0)))
    return np.concatenate([cepstra[spoken].mean(axis=0), cepstra[spoken].std(axis=0), change[spoken].std(axis=0)])


def melody(wave: NDArray[np.floating], spoken: NDArray[np.bool_]) -> NDArray[np.float64]:
    """F0 in octaves: its median, its spread between the 10th and 90th percentile and between quartiles, its mean step
    in 10 ms; the share of speech that is voiced; how strong the pitch is. Zeros where no pitch is found."""
    import numpy as np

    found, strength = pitch(wave)
    found, strength = found[: len(spoken)], strength[: len(spoken)]
    voiced = ~np.isnan(found) & spoken[: len(found)]
    if voiced.sum() < 10:
        return np.zeros(6)
    octaves = np.log2(found)
    p10, p25, p50, p75, p90 = np.quantile(octaves[voiced], [0.1, 0.25, 0.5, 0.75, 0.9])
    both = voiced[1:] & voiced[:-1]
    step = np.minimum(np.abs(np.diff(octaves)[both]), 0.1).mean() if both.any() else 0.0
    return np.array([p50, p90 - p10, p75 - p25, step, voiced.sum() / spoken.sum(), strength[voiced].mean()])


def pitch(wave: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F0 in Hz every 10 ms, NaN where there is none, and the autocorrelation at its period.

    Boersma 1993: the autocorrelation of the windowed frame divided by that of the window; the first peak that comes
    within a tenth of the best, so that the octave below is not taken.
    """
    import numpy as np

    padded = np.pad(np.asarray(wave, np.float64), FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    window, size = np.hanning(FRAME), 2 * FRAME
    lags = np.arange(RATE // HIGHEST - 1, RATE // LOWEST + 2)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[lags]
    alike = np.zeros((len(frames), len(lags)))
    for first in range(0, len(frames), 2048):  # an hour takes no more memory than its result
        block = frames[first : first + 2048] - frames[first : first + 2048].mean(axis=1, keepdims=True)
        power = np.fft.irfft(np.abs(np.fft.rfft(block * window, size)) ** 2)
        alike[first : first + 2048] = power[:, lags] / np.maximum(power[:, :1], 1e-12)
    alike *= (window @ window) / own
    inner = alike[:, 1:-1]
    peaks = np.where((inner > alike[:, :-2]) & (inner >= alike[:, 2:]), inner, 0)
    best = peaks.max(axis=1, keepdims=True)
    first_good = np.argmax(peaks >= 0.9 * best, axis=1)
    strength = np.clip(peaks[np.arange(len(peaks)), first_good], 0, 1)
    return np.where(strength >= VOICED, RATE / lags[1:-1][first_good], np.nan), strength


def timing(wave: NDArray[np.floating], spoken: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Syllable-like peaks of loudness per second of speech; pauses: share, number a second, mean length in s; how much
    loudness varies, in dB."""
    import numpy as np

    level, loud = _level(wave), np.flatnonzero(spoken)
    if not len(loud):
        return np.zeros(5)
    level = np.maximum(level, level.max() - 60)
    smooth = np.convolve(level, np.hanning(15) / np.hanning(15).sum(), mode="same")
    top = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & spoken[1:-1]
    edges = np.flatnonzero(np.diff(np.pad(~spoken[loud[0] : loud[-1] + 1], 1).astype(int)))
    lengths = edges[1::2] - edges[::2]
    lengths = lengths[lengths >= PAUSE]
    span = (loud[-1] + 1 - loud[0]) / 100
    mean = lengths.mean() / 100 if len(lengths) else 0.0
    return np.array([top.sum() / (len(loud) / 100), lengths.sum() / 100 / span, len(lengths) / span, mean, level[loud].std()])


def _level(wave: NDArray[np.floating]) -> NDArray[np.float64]:
    """dB of full scale every 10 ms."""
    import numpy as np

    frames = np.asarray(wave[: len(wave) // HOP * HOP], np.float64).reshape(-1, HOP)
    return 10 * np.log10(np.maximum(np.square(frames).mean(axis=1), 10 ** (SILENT / 10)))
