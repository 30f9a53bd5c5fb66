"""The McAdams coefficient: another vocal tract by moving the angles of a voice's resonances, after Patino et al."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FRAME = 320  # 20 ms at 16 kHz; the effect depends on the rate, since an angle of 1 rad (2546 Hz here) stays where it is
SHIFT = 160  # 10 ms
ORDER = 20
BLOCK = 512  # frames worked on at once: a few MB, however long the recording
SPENT = 1e-18  # the share of a frame's power below which prediction stops: what is left is rounding, not sound
LOUDEST = 1000  # times a frame's level; speech comes to 900 at the coefficient 0.5, a chord of high tones to 10 million
TINY = 1e-300  # keeps a division by the level of silence finite
KNEE = 0.9  # of full scale; only what lies above it is bent


def coefficient_of(key_hex: str, subject: str, low: float = 0.5, high: float = 0.9) -> float:
    """The subject's McAdams coefficient in [low, high]: the same for the same key, not to be had without it."""
    drawn = hmac.new(bytes.fromhex(key_hex), subject.encode(), hashlib.sha256).digest()
    return low + (high - low) * int.from_bytes(drawn[:8], "big") / (2**64 - 1)


def frames_of(samples: int) -> int:
    """How many frames cover so many samples: frame m is [160 (m - 1), 160 (m + 1)), so each sample lies in two."""
    return -(-samples // SHIFT) + 1 if samples else 0


def mcadams(wave: NDArray[np.floating], coefficient: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn the angle of every resonance of every frame into angle ** coefficient, and keep the excitation.

    wave         (n,) mono at 16 kHz, finite
    coefficient  > 0; one for all, or (frames_of(n),), one a frame
    returns      (n,) float64, not levelled; zero stays zero

    After Patino et al. (arXiv 2011.01130): frames of 20 ms every 10 ms under a square-rooted Hann window before and
    after, linear prediction of order 20 (Burg), non-real poles moved along their circle, the frame's residual through
    the new filter, overlap-add. Ours: the sound is covered to both its ends, and no frame grows more than 1000-fold.
    All frames of a block are worked on at once; time runs along the first axis.
    """
    import numpy as np

    count = frames_of(len(wave))
    coefficients = np.broadcast_to(np.asarray(coefficient, np.float64), (count,))
    window = np.sin(np.pi * np.arange(FRAME) / FRAME)[:, None]  # the square root of a periodic Hann window
    made = np.zeros((count + 1, SHIFT))  # one row a shift; the first and last lie outside the recording
    for first in range(0, count, BLOCK):
        last = min(first + BLOCK, count)
        shifts = _shifts(wave, first, last + 1).T.copy()  # copied, so that a row is one moment of all frames
        frames = np.concatenate([shifts[:, :-1], shifts[:, 1:]]) * window
        residual, reflections = _predict(frames)
        spoken = _filter(residual, _moved(_poles(reflections), coefficients[first:last]))
        spoken *= np.minimum(1, LOUDEST * _level(frames) / np.maximum(_level(spoken), TINY)) * window
        made[first:last] += spoken[:SHIFT].T
        made[first + 1 : last + 1] += spoken[SHIFT:].T
    return made[1:].reshape(-1)[: len(wave)].copy()


def _level(sound: NDArray[np.floating]) -> NDArray[np.float64]:
    """The RMS level along the first axis, zero of nothing."""
    import numpy as np

    return np.sqrt(np.square(sound, dtype=np.float64).sum(axis=0) / max(len(sound), 1))


def _shifts(wave: NDArray[np.floating], first: int, last: int) -> NDArray[np.float64]:
    """Rows [first, last) of the recording cut into shifts, (rows, 160); zero before its start and after its end."""
    import numpy as np

    begin, end = (first - 1) * SHIFT, (last - 1) * SHIFT
    inside = wave[max(begin, 0) : end]
    rows = np.zeros(end - begin)
    rows[max(-begin, 0) :][: len(inside)] = inside
    return rows.reshape(-1, SHIFT)


def _predict(frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Burg's method on each column of (320, n): the residual (320, n) and the reflection coefficients (20, n).

    The lattice runs over the whole frame from a zero state, so its forward error ends as the residual. The power of
    the errors is summed anew at each order, not carried along: no coefficient passes 1, however tonal the frame.
    """
    import numpy as np

    forward, backward, spare, product = frames.copy(), _after_zero(frames), _after_zero(frames), np.empty_like(frames)
    spent = SPENT * 2 * np.einsum("tn,tn->n", frames, frames)
    reflections = np.zeros((ORDER, frames.shape[1]))
    for i in range(ORDER):
        f, b = forward[i + 1 :], backward[i + 1 : -1]
        power = np.einsum("tn,tn->n", f, f) + np.einsum("tn,tn->n", b, b)
        live = power > spent
        k = np.einsum("tn,tn->n", f, b) * -2 / np.where(live, power, 1) * live
        k = reflections[i] = np.clip(k, -1, 1)
        np.multiply(forward, k, out=spare[1:])
        spare[1:] += backward[:-1]
        np.multiply(backward[:-1], k, out=product)
        forward += product
        backward, spare = spare, backward
    return forward, reflections


def _after_zero(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.concatenate([np.zeros_like(frames[:1]), frames])


def _poles(reflections: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The roots (n, 20) of the prediction filters whose reflection coefficients are (20, n).

    They are the eigenvalues of a Hessenberg matrix made of the coefficients alone, a section of a unitary one: no root
    lies outside the unit circle, rounding does less harm than in the companion matrix, and LAPACK is sooner done.
    """
    import numpy as np

    k = np.concatenate([np.ones_like(reflections[:1]), reflections]).T
    rest = np.sqrt(1 - k * k)
    matrix = np.zeros((len(k), ORDER, ORDER))
    product = np.ones((len(k), ORDER))
    for j in range(ORDER):  # column j of the matrix, written as a row from the far corner
        product[:, :j] *= rest[:, j, None]
        matrix[:, ORDER - 1 - j, ORDER - 1 - j :] = (-k[:, : j + 1] * product[:, : j + 1] * k[:, j + 1, None])[:, ::-1]
    corner = np.arange(ORDER - 1)
    matrix[:, ORDER - 1 - corner, ORDER - 2 - corner] = rest[:, 1:ORDER]
    return np.linalg.eigvals(matrix).astype(np.complex128, copy=False)


def _moved(poles: NDArray[np.complex128], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """The filter (21, n) whose poles are `poles` (n, 20) at angle ** coefficient; real poles and all radii stay."""
    import numpy as np

    angle = np.minimum(np.abs(np.angle(poles)) ** coefficients[:, None], np.pi)
    turned = np.abs(poles) * np.exp(1j * np.copysign(angle, poles.imag))
    roots = np.where(poles.imag == 0, poles, turned).T
    taps = np.zeros((ORDER + 1, len(poles)), np.complex128)
    taps[0] = 1
    for i, root in enumerate(roots):
        taps[1 : i + 2] -= root * taps[: i + 1]
    return taps.real.copy()


def _filter(excitation: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column of `excitation` (320, n) through 1 / A(z), A in the columns of `taps` (21, n), from a zero state."""
    import numpy as np

    backwards = taps[:0:-1].copy()
    made = np.zeros((ORDER + FRAME, excitation.shape[1]))
    for t in range(FRAME):
        made[ORDER + t] = excitation[t] - np.einsum("kn,kn->n", backwards, made[t : t + ORDER])
    return made[ORDER:]


def at_level_of(wave: NDArray[np.floating], changed: NDArray[np.float64]) -> NDArray[np.float64]:
    """`changed` (n,) at the RMS level of `wave` (n,); peaks above 0.9 are bent so that none passes 1. Zero stays zero."""
    import numpy as np

    loud = changed * (_level(wave) / np.maximum(_level(changed), TINY))
    over = np.maximum(np.abs(loud) - KNEE, 0)
    return np.copysign(np.minimum(np.abs(loud), KNEE) + (1 - KNEE) * np.tanh(over / (1 - KNEE)), loud)
