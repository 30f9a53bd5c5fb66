"""The depth of a bone, from how much shorter it looks than it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SURE_HINT = 0.5  # shoulder widths: a larger estimate of z is sure about its sign
FLIP_COST = 3.0  # how much a change of sign costs, for each unit of depth that the end of the bone jumps over


def find_depth(planar: NDArray[np.float64], length: float, hint: NDArray[np.float64]) -> NDArray[np.float64]:
    """The depth (frames,) of a bone of a known `length`, which looks like the vectors `planar` (frames, 2) in the picture.

    hint  (frames,) an estimate of the depth in shoulder widths, of which only the sign counts. MediaPipe's z is three to four
          times too deep, but it knows whether a hand is in front or behind.
    """
    import numpy as np

    size = np.sqrt(np.maximum(length * length - np.square(planar).sum(axis=-1), 0))
    return np.asarray(choose_signs(hint, size) * size)


def choose_signs(hint: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames,) -1 or 1: the signs of `hint`, as far as they change where the depth `size` is small or the hint insists.

    The cheapest of all sequences: each frame against the hint costs the size there, a change costs FLIP_COST times the sizes on
    both sides. NaN in either says nothing.
    """
    import numpy as np

    sizes = np.nan_to_num(size)
    weights = (np.nan_to_num(hint) / SURE_HINT).clip(-1, 1) * sizes
    negative, positive = 0.0, 0.0  # the cost of the cheapest sequence that ends so
    came_from: list[tuple[bool, bool]] = []  # for either end: whether the frame before was negative
    last_size = 0.0
    for weight, now in zip(weights.tolist(), sizes.tolist(), strict=True):
        flip = FLIP_COST * (now + last_size)
        came_from.append((negative <= positive + flip, negative + flip < positive))
        negative, positive = min(negative, positive + flip), min(positive, negative + flip)
        negative, positive, last_size = negative + max(weight, 0.0), positive + max(-weight, 0.0), now
    is_negative = negative <= positive
    signs = np.ones(len(sizes))
    for frame in range(len(sizes) - 1, -1, -1):
        signs[frame] = -1.0 if is_negative else 1.0
        is_negative = came_from[frame][0 if is_negative else 1]
    return signs
