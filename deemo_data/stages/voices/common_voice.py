"""The common voice and what a key draws."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

RATE = 16_000
TICK = 80  # samples between values of F0: 5 ms
HOP, WINDOW, SIZE = 100, 400, 512  # of the short-time spectra: 25 ms every 6.25 ms
BANDS, CEPSTRA = 40, 20
LEVEL, FINAL_LEVEL = 0.06, 0.045  # RMS of what was said, of full scale, while at work and at the end; the same for all
FADE = 160  # samples, 10 ms: how the wave begins and ends
FAINT, NOTHING = 1e-10, -22.0  # a power that is added to all, and the logarithm below which there is nothing else
KNEE = 0.9  # of full scale; only what lies above it is bent

# The common voice
PITCH, PITCH_SPREAD = 155.0, 0.18  # median of F0 in Hz, deviation of its logarithm
FORMANTS = (1500.0, 2500.0, 3500.0)  # Hz: medians of the second to the fourth
LOUD_SPREAD, LOUD_SPREAD_LAST = 1.9, 3.0  # deviation of the natural logarithm of power over speech, without and with its edges
MEANS = (11.6, 1.6, 4.4, 0.9, 0.7, -0.8, 0.0, -0.5, 0.2, -0.2, 0.1, -0.5, 0.7, -0.4, 0.1, -0.1, 0.1, -0.4, 0.1)
SPREADS = (8.2, 4.2, 4.0, 3.1, 2.4, 2.1, 1.9, 1.7, 1.6, 1.4, 1.3, 1.3, 1.2, 1.1, 1.1, 1.0, 0.9, 0.9, 0.8)
SPEEDS = (0.81, 0.8, 0.86, 0.79, 0.87, 0.95, 0.95, 1.0, 1.0, 1.0, 1.0, 1.1, 1.05, 1.1, 1.1, 1.1, 1.1, 1.15, 1.15, 1.15)
# How far the draws go
PITCH_DRAW, PITCH_SPREAD_DRAW, TRACT_DRAW = 0.2, 0.15, 0.1  # natural logarithms; the first and the last even, else normal
MEAN_DRAW = (5.0, 1.25, 1.5, 1.5, 1.75, 1.5, 1.25, 1.0, 1.0, 0.75, 0.75, 0.75, 0.75, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25)
SPREAD_DRAW, SPEED_DRAW = 0.15, 0.08
PAUSE_DB, PAUSE_DRAW = -46.0, 4.0  # of the made noise, against what was said
LEAST = 40  # short-time spectra of speech, 0.25 s, that a spread is trusted from


@dataclass(frozen=True)
class Draws:
    """How one voice differs from the common one. Everything is drawn from a key, evenly or from a normal distribution.

    pitch, tract          natural logarithms: of the median F0, of the length of the vocal tract
    spread                natural logarithm of the range of F0
    means                 (19,) added to the mean cepstra
    spreads, speeds       (20,) natural logarithms of what spread and speed of the cepstra are multiplied by
    pause_db              level of the noise in pauses
    noise                 where the noise starts
    """

    pitch: float
    spread: float
    tract: float
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    speeds: tuple[float, ...]
    pause_db: float
    noise: int

    @classmethod
    def of(cls, key: bytes) -> Draws:
        """The same for the same 32 bytes on any machine; not to be had without them."""
        import numpy as np

        draw = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(b"voice" + key).digest(), "big")))
        pitch, tract = draw.uniform(-PITCH_DRAW, PITCH_DRAW), draw.uniform(-TRACT_DRAW, TRACT_DRAW)
        means = draw.standard_normal(CEPSTRA - 1) * MEAN_DRAW
        spreads, speeds = draw.standard_normal(CEPSTRA) * SPREAD_DRAW, draw.standard_normal(CEPSTRA) * SPEED_DRAW
        spread, pause = draw.standard_normal() * PITCH_SPREAD_DRAW, PAUSE_DB + draw.uniform(-PAUSE_DRAW, PAUSE_DRAW)
        noise = int(draw.integers(2**63))
        return cls(pitch, spread, tract, tuple(means), tuple(spreads), tuple(speeds), pause, noise)


def key_of(secret: str, *parts: object) -> bytes:
    """32 bytes for what the parts name: the same for the same secret (hexadecimal), not to be had without it."""
    return hmac.new(bytes.fromhex(secret), "|".join(map(str, parts)).encode(), hashlib.sha256).digest()
