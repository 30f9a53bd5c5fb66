"""Another voice for the same words: towards a voice common to all, then away from it by what the secret says.

    wave ─pitch▶ F0 ─grains▶ other melody, other vocal tract ─cepstra▶ other spectrum ─pauses▶ made noise ▶ wave

What tells speakers apart is brought to one value for everybody: median and range of F0, the place of the formants, mean,
spread and speed of the spectral envelope, spread of loudness, level, and the sound of pauses. Then all of it is moved by
`Draws`, so that what was left over drowns. Timing is never changed.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


def change(wave: NDArray[np.floating], draws: Draws) -> NDArray[np.float64]:
    """What one speaker says in `wave` (n,), mono at 16 kHz, in another voice: (n,) float64 within [-1, 1].

    Give it one speaker at a time, with silence where others speak. Pauses hold made noise and nothing of the original;
    where the wave is zero for long, the result is zero too.
    """
    import numpy as np

    from deemo_data import prosody

    samples = np.asarray(wave, np.float64)
    if len(samples) < WINDOW or not samples.any():
        return np.zeros(len(samples))
    samples = np.where(samples != 0, samples - samples[samples != 0].mean(), 0)
    if _rms(samples) < 1e-12:
        return np.zeros(len(samples))
    samples = samples * (LEVEL / np.sqrt(np.mean(samples[samples != 0] ** 2)))
    hertz = prosody.pitch(samples, TICK)
    said = spoken(samples, hertz)
    sung = resung(samples, hertz, melody(hertz, draws), tract(samples, hertz) * np.exp(draws.tract))
    power = _power(samples)
    frames = said[np.clip((np.arange(len(power)) * HOP - WINDOW // 2) // TICK, 0, len(said) - 1)]
    strong = frames & (power > np.percentile(power[frames], 95) - 8)  # 35 dB
    made = paused(recoloured(sung, power, strong, LOUD_SPREAD, draws), samples, said, draws)
    power = _power(made)  # once more, over what a listener would call speech, now that the pauses are in
    strong = power > np.percentile(power[power > NOTHING], 95) - 9.2  # 40 dB
    strong = np.convolve(strong, np.ones(13))[6 : 6 + len(strong)] > 0.5
    return levelled(recoloured(made, power, strong, LOUD_SPREAD_LAST, draws))


def spoken(wave: NDArray[np.float64], hertz: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which ticks of 5 ms are speech: voiced, or louder than 20 % of the way from the quiet to the loud, and 50 ms around."""
    import numpy as np

    around = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (WINDOW // 2, WINDOW // 2 + TICK)), WINDOW)[::TICK]
    level = 10 * np.log10(np.square(around[: len(hertz)]).mean(axis=1) + 1e-12)
    loud, quiet = np.percentile(level[level > -119], [95, 10])
    over = (level > max(quiet + 0.2 * (loud - quiet), loud - 45)) | (hertz > 0)
    return np.convolve(over, np.ones(21), mode="same")[: len(over)] > 0.5


# ── melody and vocal tract ───────────────────────────────────────────────────────────────────────────────────


def melody(hertz: NDArray[np.float64], draws: Draws) -> NDArray[np.float64]:
    """F0 in Hz, 0 where unvoiced, with the common median and range, both moved by the draws; its shape stays."""
    import numpy as np

    voiced = hertz > 0
    if not voiced.any():
        return hertz
    tones = np.log(hertz[voiced])
    grown = np.exp(draws.spread)
    if voiced.sum() >= LEAST:
        grown = grown * np.clip(PITCH_SPREAD / max(tones.std(), 1e-3), 0.6, 1.7)
    made = np.zeros_like(hertz)
    made[voiced] = np.exp(np.clip(np.log(PITCH) + draws.pitch + grown * (tones - np.median(tones)), np.log(60), np.log(480)))
    return made


def tract(wave: NDArray[np.float64], hertz: NDArray[np.float64]) -> float:
    """By what the formants have to be multiplied to lie where the common voice has them: 0.78 to 1.28, 1 where none are found."""
    import numpy as np
    from scipy.signal import lfilter, resample_poly

    order, rate, size = 11, 10_000, 256
    low = lfilter([1, -0.9], [1], resample_poly(wave, 5, 8))
    at = np.flatnonzero(hertz > 0)[::2] * TICK * rate // RATE
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(low, size // 2), size)[at[at < len(low)]] * np.hamming(size)
    alike = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * size)) ** 2)[:, : order + 1]
    alike = alike[alike[:, 0] > 1e-9]
    alike[:, 0] *= 1.0001
    lags = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    companions = np.zeros((len(alike), order, order))
    companions[:, 0] = np.linalg.solve(alike[:, lags], alike[:, 1:, None])[..., 0]
    companions[:, np.arange(1, order), np.arange(order - 1)] = 1
    roots = np.linalg.eigvals(companions)
    found, width = np.angle(roots) * rate / (2 * np.pi), -np.log(np.abs(roots) + 1e-9) * rate / np.pi
    formants = np.sort(np.where((found > 200) & (found < 4700) & (width < 500), found, np.nan), axis=1)[:, 1:4]
    formants = formants[np.isfinite(formants).all(axis=1)]
    if len(formants) < 10:
        return 1.0
    return float(np.exp(np.clip(np.mean(np.log(FORMANTS / np.median(formants, axis=0))), -0.25, 0.25)))


def resung(
    wave: NDArray[np.float64], hertz: NDArray[np.float64], wanted: NDArray[np.float64], formants: float
) -> NDArray[np.float64]:
    """The wave (n,) at another F0, its formants at `formants` times their frequency, as long as before and in step with it.

    TD-PSOLA (Moulines and Charpentier 1990): grains of two periods around each pulse are set down at the new distance.
    A grain read faster has higher formants. Unvoiced sound is cut every 5 ms.
    """
    import numpy as np
    from scipy.signal import resample_poly

    tick = np.minimum((np.arange(len(wave)) + TICK // 2) // TICK, len(hertz) - 1)
    voiced = hertz[tick] > 0
    period = np.where(voiced, RATE / np.maximum(hertz[tick], 50), TICK)
    new_period = np.where(voiced, RATE / np.maximum(wanted[tick], 50), TICK)
    pulses, places = _pulses(wave, _marks(period), period, voiced), _marks(new_period)
    if len(pulses) < 2 or len(places) < 2:
        return wave.copy()
    source = pulses[np.searchsorted((pulses[1:] + pulses[:-1]) / 2, places)]
    half = period[source][:, None]
    reach = int(np.ceil(half.max() / formants))
    step = np.arange(-reach, reach + 1)
    read = step[None] * formants
    grain = np.where(np.abs(read) < half, 0.5 + 0.5 * np.cos(np.pi * read / half), 0)
    fine = resample_poly(wave, 2, 1)  # between its samples a straight line is near enough
    at = np.clip((source[:, None] + read) * 2, 0, len(fine) - 2.001)
    whole = at.astype(int)
    grain *= (fine[whole] + (fine[whole + 1] - fine[whole]) * (at - whole)) * np.sqrt(new_period[places][:, None] / half)
    where = (places[:, None] + step[None] + reach).ravel()
    made = np.bincount(where, grain.ravel(), len(wave) + 2 * reach + 1)[reach:][: len(wave)]
    return made.astype(np.float64)


def _marks(period: NDArray[np.float64]) -> NDArray[np.int64]:
    """Samples one `period` after the other."""
    import numpy as np

    marks: NDArray[np.int64] = np.flatnonzero(np.diff(np.floor(np.cumsum(1 / period)))) + 1
    return marks


def _pulses(
    wave: NDArray[np.float64], marks: NDArray[np.int64], period: NDArray[np.float64], voiced: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The marks of each voiced stretch moved onto its pulses: from its strongest both ways, each about a period on."""
    import numpy as np
    from scipy.signal import butter, sosfiltfilt

    low = sosfiltfilt(butter(2, [60, 1000], "bandpass", fs=RATE, output="sos"), wave)
    low = low * np.sign(np.mean(low**3) or 1)
    edges = np.flatnonzero(np.diff(voiced.astype(np.int8), prepend=0, append=0))
    found = [marks[~voiced[marks]]]
    for begin, end in edges.reshape(-1, 2):
        pulses = [begin + int(np.argmax(low[begin:end]))]
        for way in (-1, 1):
            at = pulses[0]
            while True:
                near, slack = at + way * int(period[at]), max(int(period[at] / 5), 1)
                if near - slack < begin or near + slack >= end:
                    break
                at = near - slack + int(np.argmax(low[near - slack : near + slack + 1]))
                pulses.append(at)
        found.append(np.array(pulses))
    return np.unique(np.concatenate(found))


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


def _power(wave: NDArray[np.float64]) -> NDArray[np.float64]:
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


# ── pauses and level ─────────────────────────────────────────────────────────────────────────────────────────


def paused(made: NDArray[np.float64], wave: NDArray[np.float64], said: NDArray[np.bool_], draws: Draws) -> NDArray[np.float64]:
    """Speech at the common level over soft made noise; between words the noise alone; zero where the wave is zero for 50 ms."""
    import numpy as np
    from scipy.ndimage import maximum_filter1d, uniform_filter1d
    from scipy.signal import lfilter

    gate = uniform_filter1d(np.repeat(said.astype(np.float64), TICK)[: len(made)], 321, mode="nearest")
    there = uniform_filter1d(maximum_filter1d((wave != 0).astype(np.float64), 1601), 161, mode="nearest")
    noise = lfilter([1], [1, -0.8], np.random.Generator(np.random.PCG64(draws.noise)).standard_normal(len(made)))
    noise *= LEVEL * 10 ** (draws.pause_db / 20) / noise.std()
    speech = made * gate
    return speech * (LEVEL / max(_rms(speech[gate > 0.5]), 1e-9)) + noise * np.round(there, 9)


def levelled(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is not pause at the common level, faded at both ends; peaks above 0.9 are bent so that none passes 1."""
    import numpy as np

    place = np.arange(len(wave))
    wave = wave * np.minimum(np.minimum(place, place[::-1]) / FADE, 1)
    loud = wave * (FINAL_LEVEL / max(_rms(wave[np.abs(wave) > LEVEL / 100]), 1e-9))
    over = np.maximum(np.abs(loud) - KNEE, 0)
    return np.copysign(np.minimum(np.abs(loud), KNEE) + (1 - KNEE) * np.tanh(over / (1 - KNEE)), loud)


def _rms(wave: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0
