"""Cepstral envelope and level."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from deemo_data.stages.voices.common_voice import (
    BANDS,
    CEPSTRA,
    FAINT,
    HOP,
    LEAST,
    MEANS,
    RATE,
    SIZE,
    SPEEDS,
    SPREADS,
    WINDOW,
    Draws,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# ── spectrum ─────────────────────────────────────────────────────────────────────────────────────────────────


def recoloured(
    wave: NDArray[np.float64], power: NDArray[np.float64], strong: NDArray[np.bool_], loud_spread: float, draws: Draws
) -> NDArray[np.float64]:
    """The wave with loudness `power` and the envelope of the common voice: per cepstrum one mean, spread and speed over `strong`.

    The envelope is that of 40 mel bands, smoothed to 20 cepstra; the spectra are multiplied by the ratio of the wanted
    one to their own, so that the fine structure of the voice stays.
    """
    import numpy as np
    from scipy.fft import idct

    own = _spectra(wave)
    has = _cepstra(own)
    wanted = np.zeros_like(has)
    wanted[:, 0] = power[strong].mean() + _normal(power, strong, loud_spread, SPEEDS[0], draws.spreads[0], draws.speeds[0])
    for k in range(1, CEPSTRA):
        moved = _normal(has[:, k], strong, SPREADS[k - 1], SPEEDS[k], draws.spreads[k], draws.speeds[k])
        wanted[:, k] = moved + MEANS[k - 1] + draws.means[k - 1]
    ratio = np.zeros((len(own), BANDS))
    ratio[:, 1:CEPSTRA] = (wanted - has)[:, 1:]
    gains = np.exp(np.clip(idct(ratio, axis=1, norm="ortho"), -7, 5) @ _spread().T / 2)
    level = np.log(np.mean(np.abs(own * gains) ** 2, axis=1) + FAINT)
    gains *= np.exp(np.clip((wanted[:, 0] - level) / 2, -7, 2))[:, None]
    edge = WINDOW // HOP  # what reaches over an end of the wave says little: it is changed like its neighbour
    own *= gains[np.clip(np.arange(len(own)), edge, max(len(wave) // HOP, edge))]
    return _sound(own, len(wave))


def _normal(
    track: NDArray[np.float64], strong: NDArray[np.bool_], spread: float, speed: float, more: float, faster: float
) -> NDArray[np.float64]:
    """A track (n,) around its mean, with the given deviation; its change over six frames is `speed` times as much."""
    import numpy as np
    from scipy.ndimage import uniform_filter1d

    away = track - track[strong].mean()
    if strong.sum() < LEAST:
        return away
    slow = uniform_filter1d(away, 9, mode="nearest")
    fast = away - slow
    pairs = strong[6:] & strong[:-6]
    (ss, sf), (_, ff) = np.cov(slow[strong], fast[strong])
    (ds, df), (_, dd) = np.cov((slow[6:] - slow[:-6])[pairs], (fast[6:] - fast[:-6])[pairs])
    wanted = (speed * np.exp(faster)) ** 2
    shares = np.linspace(0.6, 1.6, 51)  # of the fast part: the one that comes nearest
    got = (ds + 2 * shares * df + shares**2 * dd) / np.maximum(ss + 2 * shares * sf + shares**2 * ff, 1e-12)
    made = slow + shares[np.argmin(np.abs(np.log(got / wanted)))] * fast
    return made * np.clip(spread * np.exp(more) / max(made[strong].std(), 1e-6), 0.6, 1.6)


def _spectra(wave: NDArray[np.float64]) -> NDArray[np.complex128]:
    import numpy as np

    padded = np.pad(wave, (WINDOW, WINDOW + HOP))
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW + 1)[:-1], SIZE)


def _sound(spectra: NDArray[np.complex128], samples: int) -> NDArray[np.float64]:
    """Overlap-add of all that the filters made longer: (samples,)."""
    import numpy as np

    parts = -(-SIZE // HOP)
    frames = np.pad(np.fft.irfft(spectra, SIZE), ((0, 0), (0, parts * HOP - SIZE))).reshape(len(spectra), parts, HOP)
    made = np.zeros((len(spectra) + parts, HOP))
    for part in range(parts):
        made[part : part + len(spectra)] += frames[:, part]
    return made.reshape(-1)[WINDOW:][:samples] * (2 * HOP / WINDOW)


def power_of(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm of the mean power of each short-time spectrum."""
    import numpy as np

    return np.log(np.mean(np.abs(_spectra(wave)) ** 2, axis=1) + FAINT)


def _cepstra(spectra: NDArray[np.complex128]) -> NDArray[np.float64]:
    import numpy as np
    from scipy.fft import dct

    return dct(np.log(np.abs(spectra) ** 2 @ _bands().T + FAINT), axis=1, norm="ortho")[:, :CEPSTRA]


def _centres() -> NDArray[np.float64]:
    """Edges and centres of the mel bands in Hz, (BANDS + 2,), from 0 to 8000: even to 1000 Hz, then by equal ratios (Slaney)."""
    import numpy as np

    mels = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), BANDS + 2)
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))


@cache
def _bands() -> NDArray[np.float64]:
    """(BANDS, bins): triangles of area 1."""
    import numpy as np

    bins, points = np.fft.rfftfreq(SIZE, 1 / RATE)[None], _centres()[:, None]
    rising, falling = (bins - points[:-2]) / (points[1:-1] - points[:-2]), (points[2:] - bins) / (points[2:] - points[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    return weights / weights.sum(axis=1, keepdims=True)


@cache
def _spread() -> NDArray[np.float64]:
    """(bins, BANDS): from bands to bins, by straight lines between their centres."""
    import numpy as np

    bins, middles = np.fft.rfftfreq(SIZE, 1 / RATE), _centres()[1:-1]
    return np.stack([np.interp(bins, middles, row) for row in np.eye(BANDS)], axis=1)
