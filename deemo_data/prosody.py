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
    """F0 in Hz every `step` samples, 0 where there is none: WORLD's DIO, refined by StoneMask (Morise et al. 2009, pyworld)."""
    import numpy as np
    import pyworld

    count = -(-len(wave) // step)
    if len(wave) < 4 * STEP or not np.any(wave):  # too short for a period of the deepest voice
        return np.zeros(count)
    samples = np.ascontiguousarray(wave, np.float64)
    samples = samples / np.abs(samples).max()
    span = 1000 * step / RATE
    rough, times = pyworld.dio(samples, RATE, f0_floor=LOWEST, f0_ceil=HIGHEST, frame_period=span)
    found: NDArray[np.float64] = np.pad(pyworld.stonemask(samples, rough, times, RATE), (0, count))[:count]
    return np.where((found >= LOWEST) & (found <= HIGHEST), found, 0)


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
