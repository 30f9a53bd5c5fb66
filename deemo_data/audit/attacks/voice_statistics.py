"""Plain voice features, one vector per utterance: spectrum, F0 and timing. No trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RATE = 16_000
HOP_SAMPLES = 160  # samples: 100 frames a second
PAUSE_DB = 30  # below the loud frames of a clip: a frame this quiet is a pause
SILENCE_DB = -200  # digital silence
MFCC_COUNT = 20
F0_FRAME_SAMPLES = 640  # 40 ms: at least two periods of the lowest voice
MIN_F0_HZ, MAX_F0_HZ = 60, 400  # Hz
MIN_VOICED_AUTOCORRELATION = 0.45  # from this value on a frame has an F0
MIN_PAUSE_FRAMES = 15  # shorter gaps are closures of consonants


def find_speech_frames(wave: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which 10 ms frames of a wave (n,) at 16 kHz are speech, by level alone: (n // 160,) bool. Muted spans never are."""
    import numpy as np

    level = _level_db(wave)
    audible = level > SILENCE_DB
    if not audible.any():
        return audible
    is_loud = level > np.quantile(level[audible], 0.95) - PAUSE_DB
    return audible & (np.convolve(is_loud, np.ones(9), mode="same") > 0)[: len(level)]


def voice_vector(wave: NDArray[np.floating]) -> NDArray[np.float64]:
    """The vector (60 + 6 + 5,) of one utterance (n,) that holds some speech. The features have different units."""
    import numpy as np

    spoken = find_speech_frames(wave)
    return np.concatenate([spectrum_features(wave, spoken), f0_features(wave, spoken), timing_features(wave, spoken)])


def spectrum_features(wave: NDArray[np.floating], spoken: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Over the speech frames, of 20 MFCC: means, deviations, and deviations of their change over 40 ms: (60,)."""
    import numpy as np
    from scipy.fft import dct

    from deemo_data.models.speech import ge2e

    power = ge2e.compute_mel(ge2e.normalise_level(np.asarray(wave, np.float32)))[: len(spoken)]
    cepstra = dct(np.log(np.maximum(power, 1e-10)), norm="ortho", axis=1)[:, :MFCC_COUNT]
    change = np.pad(cepstra[4:] - cepstra[:-4], ((2, 2), (0, 0)))
    return np.concatenate([cepstra[spoken].mean(axis=0), cepstra[spoken].std(axis=0), change[spoken].std(axis=0)])


def f0_features(wave: NDArray[np.floating], spoken: NDArray[np.bool_]) -> NDArray[np.float64]:
    """F0 in octaves: its median, its spread between the 10th and 90th percentile and between quartiles, its mean step
    in 10 ms; the share of speech that is voiced; the mean strength of the F0: (6,). Zeros where no F0 is found."""
    import numpy as np

    f0, strength = estimate_f0(wave)
    f0, strength = f0[: len(spoken)], strength[: len(spoken)]
    voiced = ~np.isnan(f0) & spoken[: len(f0)]
    if voiced.sum() < 10:
        return np.zeros(6)
    octaves = np.log2(f0)
    p10, p25, p50, p75, p90 = np.quantile(octaves[voiced], [0.1, 0.25, 0.5, 0.75, 0.9])
    both = voiced[1:] & voiced[:-1]
    step = np.minimum(np.abs(np.diff(octaves)[both]), 0.1).mean() if both.any() else 0.0
    return np.array([p50, p90 - p10, p75 - p25, step, voiced.sum() / spoken.sum(), strength[voiced].mean()])


def estimate_f0(wave: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F0 in Hz every 10 ms, NaN where there is none, and the autocorrelation at its period.

    Boersma 1993: the autocorrelation of the windowed frame divided by that of the window. The first peak within a tenth of
    the best one is taken, which avoids the octave below.
    """
    import numpy as np

    padded = np.pad(np.asarray(wave, np.float64), F0_FRAME_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, F0_FRAME_SAMPLES)[::HOP_SAMPLES]
    window, size = np.hanning(F0_FRAME_SAMPLES), 2 * F0_FRAME_SAMPLES
    lags = np.arange(RATE // MAX_F0_HZ - 1, RATE // MIN_F0_HZ + 2)
    window_autocorrelation = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[lags]
    autocorrelation = np.zeros((len(frames), len(lags)))
    for first in range(0, len(frames), 2048):  # so that an hour of sound takes no more memory than its result
        block = frames[first : first + 2048] - frames[first : first + 2048].mean(axis=1, keepdims=True)
        power = np.fft.irfft(np.abs(np.fft.rfft(block * window, size)) ** 2)
        autocorrelation[first : first + 2048] = power[:, lags] / np.maximum(power[:, :1], 1e-12)
    autocorrelation *= (window @ window) / window_autocorrelation
    inner = autocorrelation[:, 1:-1]
    peaks = np.where((inner > autocorrelation[:, :-2]) & (inner >= autocorrelation[:, 2:]), inner, 0)
    best = peaks.max(axis=1, keepdims=True)
    first_good = np.argmax(peaks >= 0.9 * best, axis=1)
    strength = np.clip(peaks[np.arange(len(peaks)), first_good], 0, 1)
    return np.where(strength >= MIN_VOICED_AUTOCORRELATION, RATE / lags[1:-1][first_good], np.nan), strength


def timing_features(wave: NDArray[np.floating], spoken: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Syllable-like peaks of level per second of speech; pauses: share, number per second, mean length in s; deviation of the
    level in dB: (5,)."""
    import numpy as np

    level, loud = _level_db(wave), np.flatnonzero(spoken)
    if not len(loud):
        return np.zeros(5)
    level = np.maximum(level, level.max() - 60)
    smooth = np.convolve(level, np.hanning(15) / np.hanning(15).sum(), mode="same")
    top = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & spoken[1:-1]
    edges = np.flatnonzero(np.diff(np.pad(~spoken[loud[0] : loud[-1] + 1], 1).astype(int)))
    lengths = edges[1::2] - edges[::2]
    lengths = lengths[lengths >= MIN_PAUSE_FRAMES]
    span = (loud[-1] + 1 - loud[0]) / 100
    mean = lengths.mean() / 100 if len(lengths) else 0.0
    return np.array([top.sum() / (len(loud) / 100), lengths.sum() / 100 / span, len(lengths) / span, mean, level[loud].std()])


def _level_db(wave: NDArray[np.floating]) -> NDArray[np.float64]:
    """Level in dB of full scale every 10 ms."""
    import numpy as np

    frames = np.asarray(wave[: len(wave) // HOP_SAMPLES * HOP_SAMPLES], np.float64).reshape(-1, HOP_SAMPLES)
    return 10 * np.log10(np.maximum(np.square(frames).mean(axis=1), 10 ** (SILENCE_DB / 10)))
