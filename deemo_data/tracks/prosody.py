"""The melody of speech without its sound: pitch, loudness, voicing and rate every 10 ms, and how much of them a change kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RATE = 16_000
STEP = 160  # samples: a row every 10 ms
LOWEST, HIGHEST = 60.0, 500.0  # Hz
FRAME, CANDIDATES = 640, 6  # samples that F0 is heard in (40 ms), and how many peaks of a frame are kept
VOICED, QUIET = 0.45, 0.03  # strength that no pitch has, more so in frames quieter than this share of the loudest
OCTAVE, JUMP, SWITCH = 0.01, 0.35, 0.14  # what an octave down costs, what one of a jump does, and beginning or ending a voice
FLOOR_DB = -80.0
DEEP = 40.0  # dB below the loudest from which on nothing counts as speech
RATE_MS = 1000  # the speech rate is the mean over so long


@dataclass(frozen=True)
class Prosody:
    """Curves of n rows, one per 10 ms.

    f0_semitones  (n,) float32 around the voiced median, NaN where no pitch is heard
    energy_db     (n,) float32, dB of full scale
    voiced        (n,) bool
    speech_rate   (n,) float32, syllable-like onsets a second
    """

    f0_semitones: NDArray[np.float32]
    energy_db: NDArray[np.float32]
    voiced: NDArray[np.bool_]
    speech_rate: NDArray[np.float32]


def prosody(wave: NDArray[np.floating]) -> Prosody:
    """The curves of `wave` (n,), mono at 16 kHz: one row for each 10 ms begun."""
    import numpy as np

    hertz = pitch(wave)
    voiced = hertz > 0
    tones = np.full(len(hertz), np.nan)
    if voiced.any():
        tones[voiced] = 12 * np.log2(hertz[voiced] / np.median(hertz[voiced]))
    loud = energy(wave)
    return Prosody(tones.astype(np.float32), loud.astype(np.float32), voiced, syllable_rate(wave).astype(np.float32))


def write(curves: Prosody, path: Path) -> None:
    """As Parquet, zstd; the columns are named like the fields."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(vars(curves)), path, compression="zstd")


def rows_of(wave: NDArray[np.floating]) -> int:
    return -(-len(wave) // STEP)


def pitch(wave: NDArray[np.floating], step: int = STEP) -> NDArray[np.float64]:
    """F0 in Hz every `step` samples, 0 where there is none.

    After Boersma (1993): the peaks of each frame's autocorrelation, divided by the window's own, are candidates, "no
    pitch" is one more, and the path through them that is strong and jumps little is taken.
    """
    import numpy as np

    count = -(-len(wave) // step)
    if not np.any(wave):
        return np.zeros(count)
    padded = np.pad(np.asarray(wave, np.float64), (FRAME // 2, FRAME // 2 + step))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::step][:count]
    blocks = [_candidates(frames[first : first + 2048]) for first in range(0, count, 2048)]
    hertz, strength, peak = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    voiced = hertz > 0
    strength = np.where(voiced, strength - OCTAVE * np.log2(HIGHEST / np.maximum(hertz, LOWEST)), -1)
    strength[:, 0] = VOICED + np.maximum(0, 2 - peak / peak.max() / QUIET * (1 + VOICED))
    tones = np.log2(np.where(voiced, hertz, 1))
    both = voiced[1:, None, :] & voiced[:-1, :, None]
    jumps = JUMP * np.abs(tones[1:, None, :] - tones[:-1, :, None])
    cost = np.where(both, jumps, SWITCH * (voiced[1:, None, :] != voiced[:-1, :, None])) * (STEP / step)
    came, best = np.zeros((count, CANDIDATES + 1), np.int64), strength[0]
    for k in range(1, count):
        through = best[:, None] - cost[k - 1]
        came[k] = through.argmax(axis=0)
        best = through.max(axis=0) + strength[k]
    path = np.zeros(count, np.int64)
    path[-1] = best.argmax()
    for k in range(count - 1, 0, -1):
        path[k - 1] = came[k, path[k]]
    found: NDArray[np.float64] = hertz[np.arange(count), path]
    return found


def _candidates(frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of frames (n, 640): F0 in Hz (n, 7), the first and those that are none 0; their strengths (n, 7); the peaks (n,)."""
    import numpy as np

    window, size = np.hanning(FRAME), 2 * FRAME
    lags = np.arange(int(RATE / HIGHEST) - 1, int(RATE / LOWEST) + 2)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)
    centred = frames - frames.mean(axis=1, keepdims=True)
    alike = np.fft.irfft(np.abs(np.fft.rfft(centred * window, size)) ** 2)
    alike = alike[:, lags] / np.maximum(alike[:, :1], 1e-12) * (own[0] / own[lags])
    before, here, after = alike[:, :-2], alike[:, 1:-1], alike[:, 2:]
    tops = np.where((here > before) & (here >= after) & (here > VOICED / 2), here, -1)
    which = np.argsort(-tops, axis=1, kind="stable")[:, :CANDIDATES]
    row = np.arange(len(frames))[:, None]
    one, two, three = before[row, which], here[row, which], after[row, which]
    bend = one - 2 * two + three
    shift = np.clip((one - three) / np.where(bend < -1e-9, 2 * bend, np.inf), -0.5, 0.5)
    hertz = np.where(tops[row, which] > 0, np.clip(RATE / (lags[1:-1][which] + shift), LOWEST, HIGHEST), 0)
    strength = np.minimum(two - (one - three) * shift / 4, 1)
    none = np.zeros((len(frames), 1))
    return np.hstack([none, hertz]), np.hstack([none, strength]), np.abs(centred).max(axis=1)


def energy(wave: NDArray[np.floating]) -> NDArray[np.float64]:
    """Level in dB of full scale of each 10 ms, not below -80."""
    import numpy as np

    rows = np.pad(np.asarray(wave, np.float64), (0, -len(wave) % STEP)).reshape(-1, STEP)
    return 10 * np.log10(np.maximum(np.square(rows).mean(axis=1), 10 ** (FLOOR_DB / 10)))


def syllable_rate(wave: NDArray[np.floating]) -> NDArray[np.float64]:
    """Onsets a second, every 10 ms: where the loudness of 300 to 3000 Hz, smoothed over 70 ms, rises through its surroundings."""
    import numpy as np
    from scipy.signal import butter, sosfilt

    count = rows_of(wave)
    if not count:
        return np.zeros(0)
    band = sosfilt(butter(2, [300, 3000], "bandpass", fs=RATE, output="sos"), np.asarray(wave, np.float64))
    level = energy(band)
    smooth, around = _mean(level, 7), _mean(level, 25)
    above = (smooth > around + 1) & (smooth > max(level.max() - DEEP, FLOOR_DB + 1))
    onsets = np.diff(above.astype(np.int8), prepend=0) == 1
    return _mean(onsets.astype(np.float64), RATE_MS // 10) * 100


def f0_correlation(original: NDArray[np.floating], changed: NDArray[np.floating]) -> float:
    """Pearson's correlation of log F0 where both voices have one; NaN with fewer than 10 such rows or a flat melody."""
    import numpy as np

    one, other = pitch(original), pitch(changed)
    count = min(len(one), len(other))
    both = (one[:count] > 0) & (other[:count] > 0)
    return _correlation(np.log(one[:count][both]), np.log(other[:count][both]))


def energy_correlation(original: NDArray[np.floating], changed: NDArray[np.floating]) -> float:
    """Pearson's correlation of the levels in dB, each cut at 40 dB below its loudest; NaN where one does not vary."""
    import numpy as np

    one, other = energy(original), energy(changed)
    count = min(len(one), len(other))
    one, other = (np.maximum(e[:count], e.max(initial=FLOOR_DB) - DEEP) for e in (one, other))
    return _correlation(one, other)


def _mean(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The mean of the `size` values around each; fewer at the ends."""
    import numpy as np

    added = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - size // 2, 0), np.minimum(place - size // 2 + size, len(values))
    return (added[last] - added[first]) / (last - first)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    import numpy as np

    if len(one) < 10 or one.std() < 1e-9 or other.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
