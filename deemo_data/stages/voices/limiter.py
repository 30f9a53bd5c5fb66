"""Keeps a wave within full scale without clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KNEE = 0.9  # share of full scale; only samples above it change


def limit_peaks(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """The wave (n,) with samples above the knee compressed smoothly, so that none exceeds 1."""
    import numpy as np

    excess = np.maximum(np.abs(wave) - KNEE, 0)
    return np.copysign(np.minimum(np.abs(wave), KNEE) + (1 - KNEE) * np.tanh(excess / (1 - KNEE)), wave)
