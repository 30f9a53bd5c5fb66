"""The McAdams coefficient: changes a voice by moving the angles of its resonances, after Patino et al.

In:  a wave with one speaker, and a coefficient (`draw_coefficient`).
Out: a wave of the same length (`apply_mcadams`), brought to the level of the original (`match_level`).

This is the method of the DEEMO paper. conversion.py is the other method of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deemo_data.pseudonyms import derive_key
from deemo_data.stages.voices.limiter import limit_peaks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FRAME_SAMPLES = 320  # 20 ms at 16 kHz; the effect depends on the sample rate: an angle of 1 rad (2546 Hz here) does not move
SHIFT_SAMPLES = 160  # 10 ms
LPC_ORDER = 20
BLOCK_FRAMES = 512  # frames processed at once: a few MB for a recording of any length
MIN_POWER_SHARE = 1e-18  # share of a frame's power below which prediction stops: the rest is rounding, not sound
MAX_GAIN = 1000  # times a frame's level; speech reaches 900 at the coefficient 0.5, a chord of high tones 10 million
MIN_LEVEL = 1e-300  # keeps a division by the level of silence finite


def draw_coefficient(key_hex: str, subject: str, low: float = 0.5, high: float = 0.9) -> float:
    """The subject's McAdams coefficient in [low, high]. The same key gives the same; without the key nobody can compute it."""
    number = int(derive_key(bytes.fromhex(key_hex), subject)[:16], 16)
    return low + (high - low) * number / (2**64 - 1)


def count_frames(samples: int) -> int:
    """The number of frames that cover `samples`. Frame m is [160 (m - 1), 160 (m + 1)), so each sample lies in two frames."""
    return -(-samples // SHIFT_SAMPLES) + 1 if samples else 0


def apply_mcadams(wave: NDArray[np.floating], coefficient: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn the angle of every resonance of every frame into angle ** coefficient, and keep the excitation.

    wave         (n,) mono at 16 kHz, finite
    coefficient  > 0; one for the whole wave, or (count_frames(n),), one per frame
    returns      (n,) float64, not at the original level; silence stays silence

    After Patino et al. (arXiv 2011.01130): frames of 20 ms every 10 ms, with the square root of a Hann window before and
    after; linear prediction of order 20 (Burg); non-real poles move along their circle; the frame's residual goes through
    the new filter; overlap-add. Two things differ from the paper: frames cover the sound up to both its ends, and no frame
    gains more than a factor of 1000. All frames of a block are processed at once; time runs along the first axis.
    """
    import numpy as np

    count = count_frames(len(wave))
    coefficients = np.broadcast_to(np.asarray(coefficient, np.float64), (count,))
    window = np.sin(np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)[:, None]  # the square root of a periodic Hann window
    rows = np.zeros((count + 1, SHIFT_SAMPLES))  # one row per shift; the first and last lie outside the recording
    for first in range(0, count, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, count)
        shifts = _cut_shifts(wave, first, last + 1).T.copy()  # a copy, so that a row is contiguous: one moment of all frames
        frames = np.concatenate([shifts[:, :-1], shifts[:, 1:]]) * window
        residual, reflections = _predict_burg(frames)
        speech = _filter(residual, _move_poles(_find_poles(reflections), coefficients[first:last]))
        speech *= np.minimum(1, MAX_GAIN * _level(frames) / np.maximum(_level(speech), MIN_LEVEL)) * window
        rows[first:last] += speech[:SHIFT_SAMPLES].T
        rows[first + 1 : last + 1] += speech[SHIFT_SAMPLES:].T
    return rows[1:].reshape(-1)[: len(wave)].copy()


def _level(sound: NDArray[np.floating]) -> NDArray[np.float64]:
    """The RMS level along the first axis; zero for an empty sound."""
    import numpy as np

    return np.sqrt(np.square(sound, dtype=np.float64).sum(axis=0) / max(len(sound), 1))


def _cut_shifts(wave: NDArray[np.floating], first: int, last: int) -> NDArray[np.float64]:
    """Rows [first, last) of the recording in shifts of 160 samples: (rows, 160). Zero before its start and after its end."""
    import numpy as np

    begin, end = (first - 1) * SHIFT_SAMPLES, (last - 1) * SHIFT_SAMPLES
    inside = wave[max(begin, 0) : end]
    rows = np.zeros(end - begin)
    rows[max(-begin, 0) :][: len(inside)] = inside
    return rows.reshape(-1, SHIFT_SAMPLES)


def _predict_burg(frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Burg's method on each column of (320, n): the residual (320, n) and the reflection coefficients (20, n).

    The lattice runs over the whole frame from a zero state, so its last forward error is the residual. The power of the
    errors is summed again at each order instead of updated: so no coefficient exceeds 1, even in a very tonal frame.
    """
    import numpy as np

    forward, backward, spare, product = frames.copy(), _prepend_zero(frames), _prepend_zero(frames), np.empty_like(frames)
    min_power = MIN_POWER_SHARE * 2 * np.einsum("tn,tn->n", frames, frames)
    reflections = np.zeros((LPC_ORDER, frames.shape[1]))
    for i in range(LPC_ORDER):
        f, b = forward[i + 1 :], backward[i + 1 : -1]
        power = np.einsum("tn,tn->n", f, f) + np.einsum("tn,tn->n", b, b)
        live = power > min_power
        k = np.einsum("tn,tn->n", f, b) * -2 / np.where(live, power, 1) * live
        k = reflections[i] = np.clip(k, -1, 1)
        np.multiply(forward, k, out=spare[1:])
        spare[1:] += backward[:-1]
        np.multiply(backward[:-1], k, out=product)
        forward += product
        backward, spare = spare, backward
    return forward, reflections


def _prepend_zero(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.concatenate([np.zeros_like(frames[:1]), frames])


def _find_poles(reflections: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The roots (n, 20) of the prediction filters whose reflection coefficients are (20, n).

    They are the eigenvalues of a Hessenberg matrix of the coefficients, which is a section of a unitary matrix. So no root
    lies outside the unit circle, rounding errors are smaller than with the companion matrix, and LAPACK is faster.
    """
    import numpy as np

    k = np.concatenate([np.ones_like(reflections[:1]), reflections]).T
    rest = np.sqrt(1 - k * k)
    matrix = np.zeros((len(k), LPC_ORDER, LPC_ORDER))
    product = np.ones((len(k), LPC_ORDER))
    for j in range(LPC_ORDER):  # column j of the matrix, written as a row from the far corner
        product[:, :j] *= rest[:, j, None]
        matrix[:, LPC_ORDER - 1 - j, LPC_ORDER - 1 - j :] = (-k[:, : j + 1] * product[:, : j + 1] * k[:, j + 1, None])[:, ::-1]
    corner = np.arange(LPC_ORDER - 1)
    matrix[:, LPC_ORDER - 1 - corner, LPC_ORDER - 2 - corner] = rest[:, 1:LPC_ORDER]
    return np.linalg.eigvals(matrix).astype(np.complex128, copy=False)


def _move_poles(poles: NDArray[np.complex128], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """The filter (21, n) whose poles are `poles` (n, 20) at angle ** coefficient; real poles and all radii stay."""
    import numpy as np

    angle = np.minimum(np.abs(np.angle(poles)) ** coefficients[:, None], np.pi)
    turned = np.abs(poles) * np.exp(1j * np.copysign(angle, poles.imag))
    roots = np.where(poles.imag == 0, poles, turned).T
    taps = np.zeros((LPC_ORDER + 1, len(poles)), np.complex128)
    taps[0] = 1
    for i, root in enumerate(roots):
        taps[1 : i + 2] -= root * taps[: i + 1]
    return taps.real.copy()


def _filter(excitation: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column of `excitation` (320, n) through 1 / A(z), A in the columns of `taps` (21, n), from a zero state."""
    import numpy as np

    backwards = taps[:0:-1].copy()
    output = np.zeros((LPC_ORDER + FRAME_SAMPLES, excitation.shape[1]))
    for t in range(FRAME_SAMPLES):
        output[LPC_ORDER + t] = excitation[t] - np.einsum("kn,kn->n", backwards, output[t : t + LPC_ORDER])
    return output[LPC_ORDER:]


def match_level(wave: NDArray[np.floating], changed: NDArray[np.float64]) -> NDArray[np.float64]:
    """`changed` (n,) at the RMS level of `wave` (n,), its peaks limited to 1. Silence stays silence."""
    import numpy as np

    return limit_peaks(changed * (_level(wave) / np.maximum(_level(changed), MIN_LEVEL)))
