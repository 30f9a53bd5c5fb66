"""Prosody: F0, energy, voicing and speech rate every 10 ms, and how well a changed voice keeps them.

A dataset publishes these curves, so that prosody can be studied without the original sound. Waves are mono at 16 kHz.
F0 follows Boersma (1993); the thresholds and costs below have the names and values of Praat's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.media.sound import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


STEP_SAMPLES = 160  # one row every 10 ms
MIN_F0_HZ, MAX_F0_HZ = 60.0, 500.0
FRAME_SAMPLES = 640  # 40 ms, in which F0 is estimated
CANDIDATES_PER_FRAME = 6  # peaks of the autocorrelation
VOICING_THRESHOLD = 0.45  # strength of the candidate "unvoiced"
SILENCE_THRESHOLD = 0.03  # share of the loudest frame; in softer frames "unvoiced" is stronger
OCTAVE_COST = 0.01  # of a candidate one octave lower
OCTAVE_JUMP_COST = 0.35  # of a jump by one octave between frames
VOICING_CHANGE_COST = 0.14  # of a change between voiced and unvoiced
FLOOR_DB = -80.0
SPEECH_RANGE_DB = 40.0  # below the loudest; softer sound does not count as speech
SPEECH_RATE_WINDOW_MS = 1000  # the speech rate is a mean over this time


@dataclass(frozen=True)
class Prosody:
    """Curves of n rows, one per 10 ms. The Parquet file has the same names as columns.

    f0_semitones  (n,) float32 relative to the median of voiced frames, NaN in unvoiced ones
    energy_db     (n,) float32, dB relative to full scale
    voiced        (n,) bool
    speech_rate   (n,) float32, syllable-like onsets per second
    """

    f0_semitones: NDArray[np.float32]
    energy_db: NDArray[np.float32]
    voiced: NDArray[np.bool_]
    speech_rate: NDArray[np.float32]


def measure_prosody(wave: NDArray[np.floating]) -> Prosody:
    """The curves of a wave (n,): one row for each 10 ms, the last of which may be incomplete."""
    import numpy as np

    f0_hz = estimate_f0(wave)
    voiced = f0_hz > 0
    semitones = np.full(len(f0_hz), np.nan)
    if voiced.any():
        semitones[voiced] = 12 * np.log2(f0_hz[voiced] / np.median(f0_hz[voiced]))
    energy = measure_energy_db(wave)
    return Prosody(semitones.astype(np.float32), energy.astype(np.float32), voiced, measure_speech_rate(wave).astype(np.float32))


def write_prosody(curves: Prosody, path: Path) -> None:
    """Write the curves as Parquet, compressed with zstd."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(vars(curves)), path, compression="zstd")


def count_rows(wave: NDArray[np.floating]) -> int:
    """Number of rows of the curves of a wave."""
    return -(-len(wave) // STEP_SAMPLES)


def estimate_f0(wave: NDArray[np.floating], step: int = STEP_SAMPLES) -> NDArray[np.float64]:
    """F0 in Hz every `step` samples, 0 in unvoiced frames.

    After Boersma (1993). The candidates of a frame are the peaks of its autocorrelation, divided by that of the window, and
    "unvoiced". The result is the path through the candidates with the best strength after the costs of jumps (Viterbi).
    """
    import numpy as np

    count = -(-len(wave) // step)
    if not np.any(wave):
        return np.zeros(count)
    padded = np.pad(np.asarray(wave, np.float64), (FRAME_SAMPLES // 2, FRAME_SAMPLES // 2 + step))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::step][:count]
    blocks = [_find_candidates(frames[first : first + 2048]) for first in range(0, count, 2048)]
    hertz, strength, peak = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    voiced = hertz > 0
    strength = np.where(voiced, strength - OCTAVE_COST * np.log2(MAX_F0_HZ / np.maximum(hertz, MIN_F0_HZ)), -1)
    strength[:, 0] = VOICING_THRESHOLD + np.maximum(0, 2 - peak / peak.max() / SILENCE_THRESHOLD * (1 + VOICING_THRESHOLD))
    tones = np.log2(np.where(voiced, hertz, 1))
    both = voiced[1:, None, :] & voiced[:-1, :, None]
    jumps = OCTAVE_JUMP_COST * np.abs(tones[1:, None, :] - tones[:-1, :, None])
    cost = np.where(both, jumps, VOICING_CHANGE_COST * (voiced[1:, None, :] != voiced[:-1, :, None])) * (STEP_SAMPLES / step)
    previous, best = np.zeros((count, CANDIDATES_PER_FRAME + 1), np.int64), strength[0]
    for k in range(1, count):
        through = best[:, None] - cost[k - 1]
        previous[k] = through.argmax(axis=0)
        best = through.max(axis=0) + strength[k]
    path = np.zeros(count, np.int64)
    path[-1] = best.argmax()
    for k in range(count - 1, 0, -1):
        path[k - 1] = previous[k, path[k]]
    f0_hz: NDArray[np.float64] = hertz[np.arange(count), path]
    return f0_hz


def _find_candidates(frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Candidates of frames (n, 640): F0 in Hz (n, 7), strengths (n, 7), and the peak amplitude of each frame (n,).

    The first candidate is "unvoiced", with an F0 of 0. So have missing candidates.
    """
    import numpy as np

    window, size = np.hanning(FRAME_SAMPLES), 2 * FRAME_SAMPLES
    lags = np.arange(int(SAMPLE_RATE_HZ / MAX_F0_HZ) - 1, int(SAMPLE_RATE_HZ / MIN_F0_HZ) + 2)
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)
    centred = frames - frames.mean(axis=1, keepdims=True)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(centred * window, size)) ** 2)
    correlation = correlation[:, lags] / np.maximum(correlation[:, :1], 1e-12) * (of_window[0] / of_window[lags])
    before, here, after = correlation[:, :-2], correlation[:, 1:-1], correlation[:, 2:]
    tops = np.where((here > before) & (here >= after) & (here > VOICING_THRESHOLD / 2), here, -1)
    which = np.argsort(-tops, axis=1, kind="stable")[:, :CANDIDATES_PER_FRAME]
    row = np.arange(len(frames))[:, None]
    one, two, three = before[row, which], here[row, which], after[row, which]
    bend = one - 2 * two + three
    shift = np.clip((one - three) / np.where(bend < -1e-9, 2 * bend, np.inf), -0.5, 0.5)
    hertz = np.where(tops[row, which] > 0, np.clip(SAMPLE_RATE_HZ / (lags[1:-1][which] + shift), MIN_F0_HZ, MAX_F0_HZ), 0)
    strength = np.minimum(two - (one - three) * shift / 4, 1)
    none = np.zeros((len(frames), 1))
    return np.hstack([none, hertz]), np.hstack([none, strength]), np.abs(centred).max(axis=1)


def measure_energy_db(wave: NDArray[np.floating]) -> NDArray[np.float64]:
    """Energy of each 10 ms in dB relative to full scale, at least -80."""
    import numpy as np

    rows = np.pad(np.asarray(wave, np.float64), (0, -len(wave) % STEP_SAMPLES)).reshape(-1, STEP_SAMPLES)
    return 10 * np.log10(np.maximum(np.square(rows).mean(axis=1), 10 ** (FLOOR_DB / 10)))


def measure_speech_rate(wave: NDArray[np.floating]) -> NDArray[np.float64]:
    """Syllable-like onsets per second, every 10 ms.

    An onset is where the energy of the band 300 to 3000 Hz, smoothed over 70 ms, rises above its mean over 250 ms.
    """
    import numpy as np
    from scipy.signal import butter, sosfilt

    count = count_rows(wave)
    if not count:
        return np.zeros(0)
    band = sosfilt(butter(2, [300, 3000], "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), np.asarray(wave, np.float64))
    level = measure_energy_db(band)
    smooth, around = _moving_mean(level, 7), _moving_mean(level, 25)
    above = (smooth > around + 1) & (smooth > max(level.max() - SPEECH_RANGE_DB, FLOOR_DB + 1))
    onsets = np.diff(above.astype(np.int8), prepend=0) == 1
    return _moving_mean(onsets.astype(np.float64), SPEECH_RATE_WINDOW_MS // 10) * 100


def correlate_f0(original: NDArray[np.floating], changed: NDArray[np.floating]) -> float:
    """Pearson's correlation of log F0 over the rows in which both waves are voiced.

    NaN with fewer than 10 such rows, or if F0 does not vary.
    """
    import numpy as np

    one, other = estimate_f0(original), estimate_f0(changed)
    count = min(len(one), len(other))
    both = (one[:count] > 0) & (other[:count] > 0)
    return _correlate(np.log(one[:count][both]), np.log(other[:count][both]))


def correlate_energy(original: NDArray[np.floating], changed: NDArray[np.floating]) -> float:
    """Pearson's correlation of the energies in dB, each cut at 40 dB below its loudest row. NaN if one does not vary."""
    import numpy as np

    one, other = measure_energy_db(original), measure_energy_db(changed)
    count = min(len(one), len(other))
    one, other = (np.maximum(e[:count], e.max(initial=FLOOR_DB) - SPEECH_RANGE_DB) for e in (one, other))
    return _correlate(one, other)


def _moving_mean(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The mean of the `size` values around each value; of fewer at the ends."""
    import numpy as np

    added = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - size // 2, 0), np.minimum(place - size // 2 + size, len(values))
    return (added[last] - added[first]) / (last - first)


def _correlate(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's correlation; NaN for fewer than 10 values or if one side does not vary."""
    import numpy as np

    if len(one) < 10 or one.std() < 1e-9 or other.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
