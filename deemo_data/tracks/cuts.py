"""Tells at which frames a new shot begins, from small pictures of a clip in the order of its frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

NEIGHBOURS = 3  # changes before and after a change that it is compared with
MIN_CHANGE_GREY_LEVELS = 8.0  # a smaller change is no cut
MIN_MOVEMENT_GREY_LEVELS = 0.5  # a smaller change says nothing of how the camera moves: often a picture is shown twice
MIN_RATIO = 4.0  # a cut changes the picture this many times as much as the changes around it
MAX_CUTS_SHARE = 0.5  # of the neighbours; more changes of this kind are movement
MAX_LIKENESS = 0.7  # correlation of the pictures on both sides, for a cut that lies close to another cut


def mark_cuts(frames: Iterable[T], shrink: Callable[[T], NDArray[np.uint8]]) -> Iterator[tuple[T, bool]]:
    """Each frame, and whether a new shot begins with it. Runs three frames behind `frames`.

    shrink  makes a small picture of a frame; all have the same shape

    A cut is a sudden change, larger than those before and after it: a camera that shakes makes no cut. Shots may be as short as
    one frame: then the change into the shot lies beside the change out of it, and the pictures on both sides of a cut must be
    unlike each other. So a flash, which makes the same picture lighter for a moment, is no cut.
    """
    import numpy as np

    before: deque[float] = deque(maxlen=NEIGHBOURS)  # changes that were decided, without those that say nothing
    waiting: deque[tuple[T, float, float]] = deque()  # frame, its change, its likeness to the frame before
    previous: NDArray[np.float64] | None = None

    decided = 0

    def decide() -> tuple[T, bool]:
        nonlocal decided
        frame, change, likeness = waiting.popleft()
        still = min(max(decided - 1, 0), NEIGHBOURS) - len(before)  # changes before it that say nothing
        is_cut = is_sudden_change(change, likeness, [0.0] * still + list(before), [c for _, c, _ in waiting])
        decided += 1
        if change >= MIN_MOVEMENT_GREY_LEVELS:
            before.append(change)
        return frame, is_cut

    for frame in frames:
        picture = shrink(frame).astype(np.float64)
        if previous is None:
            waiting.append((frame, 0.0, 1.0))
        else:
            waiting.append((frame, float(np.abs(picture - previous).mean()), measure_likeness(previous, picture)))
        previous = picture
        if len(waiting) > NEIGHBOURS:
            yield decide()
    while waiting:
        yield decide()


def is_sudden_change(change: float, likeness: float, before: list[float], after: list[float]) -> bool:
    """Whether a change of the picture (mean of grey levels) is a cut, given the changes before and after it."""
    if change <= MIN_CHANGE_GREY_LEVELS:
        return False
    around = before + after
    alike = sum(change <= MIN_RATIO * c for c in around)
    return not alike or (alike <= MAX_CUTS_SHARE * len(around) and likeness < MAX_LIKENESS)


def measure_likeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The correlation of two pictures, -1 to 1; 0 if one of them is of one colour."""
    import numpy as np

    a, b = one - one.mean(axis=(0, 1)), other - other.mean(axis=(0, 1))
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size > 1e-9 else 0.0
