"""The common voice: what every speaker is converted to, and the random offsets that a key moves it by.

The common voice is a set of statistics of speech: F0, formants, mel cepstra, loudness. A voice that has them no longer sounds
like its speaker. Since all speakers would then sound alike, a key (from the project's secret) moves every statistic a little:
`VoiceOffsets`. The same speaker in the same clip gets the same offsets, and nobody can compute them without the secret.

Next: conversion.py, which measures these statistics in a voice and replaces them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from deemo_data.pseudonyms import derive_key

NUM_CEPSTRA = 20  # mel cepstra per short-time spectrum; the first is the loudness

# The common voice. "Spread" is a standard deviation, "speed" the change over six frames relative to the spread.
F0_MEDIAN_HZ = 155.0
LOG_F0_SPREAD = 0.18  # natural logarithm
FORMANTS_HZ = (1500.0, 2500.0, 3500.0)  # medians of the second to the fourth formant
LOG_POWER_SPREAD = 1.9  # natural logarithm of the power, over speech without its edges
FINAL_LOG_POWER_SPREAD = 3.0  # the same, over speech with its edges
CEPSTRUM_MEANS = (11.6, 1.6, 4.4, 0.9, 0.7, -0.8, 0.0, -0.5, 0.2, -0.2, 0.1, -0.5, 0.7, -0.4, 0.1, -0.1, 0.1, -0.4, 0.1)
CEPSTRUM_SPREADS = (8.2, 4.2, 4.0, 3.1, 2.4, 2.1, 1.9, 1.7, 1.6, 1.4, 1.3, 1.3, 1.2, 1.1, 1.1, 1.0, 0.9, 0.9, 0.8)
CEPSTRUM_SPEEDS = (
    0.81, 0.8, 0.86, 0.79, 0.87, 0.95, 0.95, 1.0, 1.0, 1.0, 1.0, 1.1, 1.05, 1.1, 1.1, 1.1, 1.1, 1.15, 1.15, 1.15,
)  # fmt: skip

# How far the offsets go. RANGE: drawn uniformly from -range to range; SD: drawn from a normal distribution.
F0_SHIFT_RANGE = 0.2  # natural logarithm
F0_SPREAD_SD = 0.15  # natural logarithm
TRACT_LENGTH_RANGE = 0.1  # natural logarithm
CEPSTRUM_MEAN_SDS = (5.0, 1.25, 1.5, 1.5, 1.75, 1.5, 1.25, 1.0, 1.0, 0.75, 0.75, 0.75, 0.75, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25)
CEPSTRUM_SPREAD_SD = 0.15  # natural logarithm
CEPSTRUM_SPEED_SD = 0.08  # natural logarithm
PAUSE_NOISE_DB = -46.0  # level of the synthetic noise, relative to speech
PAUSE_NOISE_RANGE_DB = 4.0


@dataclass(frozen=True)
class VoiceOffsets:
    """How one voice differs from the common voice. Every value is drawn from a key, uniformly or from a normal distribution.

    log_f0_shift           natural logarithm: added to that of the median F0
    log_f0_spread          natural logarithm: factor on the spread of F0
    log_formant_ratio      natural logarithm: factor on the formants, by the length of the vocal tract
    cepstrum_means         (19,) added to the mean cepstra
    log_cepstrum_spreads   (20,) natural logarithms: factors on the spreads of the cepstra
    log_cepstrum_speeds    (20,) natural logarithms: factors on the speeds of the cepstra
    pause_db               level of the noise in pauses, relative to speech
    noise_seed             seed of that noise
    """

    log_f0_shift: float
    log_f0_spread: float
    log_formant_ratio: float
    cepstrum_means: tuple[float, ...]
    log_cepstrum_spreads: tuple[float, ...]
    log_cepstrum_speeds: tuple[float, ...]
    pause_db: float
    noise_seed: int

    @classmethod
    def draw(cls, key: bytes) -> VoiceOffsets:
        """Draw the offsets for a key. The same key gives the same offsets on every machine."""
        import numpy as np

        rng = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(b"voice" + key).digest(), "big")))
        f0_shift = rng.uniform(-F0_SHIFT_RANGE, F0_SHIFT_RANGE)
        formant_ratio = rng.uniform(-TRACT_LENGTH_RANGE, TRACT_LENGTH_RANGE)
        means = rng.standard_normal(NUM_CEPSTRA - 1) * CEPSTRUM_MEAN_SDS
        spreads = rng.standard_normal(NUM_CEPSTRA) * CEPSTRUM_SPREAD_SD
        speeds = rng.standard_normal(NUM_CEPSTRA) * CEPSTRUM_SPEED_SD
        f0_spread = rng.standard_normal() * F0_SPREAD_SD
        pause_db = PAUSE_NOISE_DB + rng.uniform(-PAUSE_NOISE_RANGE_DB, PAUSE_NOISE_RANGE_DB)
        noise_seed = int(rng.integers(2**63))
        return cls(f0_shift, f0_spread, formant_ratio, tuple(means), tuple(spreads), tuple(speeds), pause_db, noise_seed)


def derive_voice_key(secret: str, *parts: object) -> bytes:
    """The 32-byte key for what the parts name (say source, speaker, start), under the project's secret in hexadecimal."""
    return bytes.fromhex(derive_key(bytes.fromhex(secret), "|".join(map(str, parts))))
