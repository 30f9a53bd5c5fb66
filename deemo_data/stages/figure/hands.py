"""Hands of the standard figure: their shape, and where they lie, so that what they touch stays touched.

A hand keeps its shape and gets standard bones (`shape_hand`). It is put where the person's hand is among the places of the body
(`place_hand`), and then moved a little so that its distance from the head (`keep_head_distance`) and from the other hand
(`keep_hands_together`) are the person's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from deemo_data.stages.figure import standard
from deemo_data.stages.figure.stance import Stance, find_quantile, hand_slice, measure_lengths, shorten
from deemo_data.tracks.skeleton import EARS, FINGERS, HAND_POINTS, WRIST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONTACT_DISTANCE = 0.12  # shoulder widths: points of a hand that are nearer to a place decide where the hand lies
MIDDLE_WEIGHT = 60.0  # of the middle of a hand, against 1 for each of its 21 points
SKULL_RADIUS = 0.2  # shoulder widths of the figure, from the middle between the ears
HEAD_TOUCH = 1.25  # of these radii: a hand that is nearer touches the head
TIGHT, LOOSE = (
    0.9,
    4.0,
)  # how much a hand may near the distance of a touch, and how much it may leave it, by how far it was from it
HANDS_REACH = (0.2, 0.6)  # shoulder widths: up to the first the distance of the hands is kept, up to the second in part
PAIR_SOFTENING = 0.04  # shoulder widths: which pairs of points of two hands count as their contact


def shape_hand(stance: Stance, side: int) -> NDArray[np.float64]:
    """(frames, 21, 3) the hand from its wrist, in shoulder widths: the direction of each bone is kept, its length is standard.

    Each bone is multiplied by one factor per clip: the standard length over its median length in space. Where it is then longer
    than the standard, it is cut to it.
    """
    import numpy as np

    hand = np.concatenate([stance.hand(side), stance.deep[:, hand_slice(side), None]], axis=-1)
    shape = np.zeros_like(hand) + (hand[:, :1] - hand[:, :1])  # NaN where the hand is not seen
    for finger, lengths in zip(FINGERS, standard.FINGER_BONE_LENGTHS, strict=True):
        for (start, end), length in zip(pairwise((WRIST, *finger)), lengths, strict=True):
            bone = hand[:, end] - hand[:, start]
            usual = max(find_quantile(measure_lengths(bone), 0.5, length), 1e-3)
            shape[:, end] = shape[:, start] + shorten(bone / usual * length, length)
    return shape


def place_hand(carried: NDArray[np.float64], nearness: NDArray[np.float64], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """The wrist (frames, 2) of a hand, so that what touches something lies where it should: its middle, or some of its points.

    carried   (frames, 22, 2) where its points should lie, and last their middle
    nearness  (frames, 22) how far each is from the nearest place, in shoulder widths
    shape     (frames, 21, 2) the points from the wrist
    """
    import numpy as np

    weight = 1 / np.square(np.square(nearness) + CONTACT_DISTANCE**2)
    weight[:, -1] *= MIDDLE_WEIGHT
    with_middle = np.concatenate([shape, shape.mean(axis=1, keepdims=True)], axis=1)
    return np.asarray((weight[..., None] * (carried - with_middle)).sum(axis=1) / weight.sum(axis=1)[:, None])


def keep_head_distance(
    stance: Stance, side: int, wrist: NDArray[np.float64], shape: NDArray[np.float64], head: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The wrist (frames, 2), moved so that the hand touches the head where it did, and not where it did not.

    The nearer its nearest point is to the distance of a touch, the better that distance is kept.

    head  (frames, 2) the middle of the figure's head
    """
    import numpy as np

    radius = np.maximum(measure_lengths(stance.bone(*EARS)) / 2, SKULL_RADIUS * stance.build.head)
    was = measure_lengths(stance.hand(side) - stance.middle(EARS)[:, None]).min(axis=1) / radius
    to_touch = was - HEAD_TOUCH
    lowest = was - np.where(to_touch > 0, TIGHT, LOOSE) * np.abs(to_touch)
    highest = was + np.where(to_touch > 0, LOOSE, TIGHT) * np.abs(to_touch)
    from_head = wrist[:, None] + shape - head[:, None]
    lengths = measure_lengths(from_head)
    nearest = np.nan_to_num(lengths, nan=np.inf).argmin(axis=1)
    rows = np.arange(len(wrist))
    now = lengths[rows, nearest]
    direction = from_head[rows, nearest] / np.maximum(now, 1e-6)[:, None]
    move = np.clip(now, lowest * SKULL_RADIUS, highest * SKULL_RADIUS) - now
    return wrist + np.nan_to_num(move)[:, None] * np.nan_to_num(direction)


def keep_hands_together(
    stance: Stance, wrists: list[NDArray[np.float64]], shapes: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Both wrists (frames, 2), moved by half each so that the points where the hands meet are as far apart as they were."""
    import numpy as np

    scale = standard.PALM_LENGTH / stance.build.palm
    before = (stance.hand(1)[:, None] - stance.hand(0)[:, :, None]) * scale
    after = (wrists[1][:, None] + shapes[1])[:, None] - (wrists[0][:, None] + shapes[0])[:, :, None]
    distances = measure_lengths(before)
    weight = 1 / np.square(np.square(distances) + PAIR_SOFTENING**2)
    change = ((before - after) * weight[..., None]).sum(axis=(1, 2)) / weight.sum(axis=(1, 2))[:, None]
    change *= fade(distances.reshape(len(distances), HAND_POINTS**2).min(axis=1), HANDS_REACH)[:, None]
    change = np.nan_to_num(change)  # one hand only
    return [wrists[0] - change / 2, wrists[1] + change / 2]


def fade(distance: NDArray[np.float64], reach: tuple[float, float]) -> NDArray[np.float64]:
    """1 up to the first distance, 0 from the second on, smooth between them; NaN stays."""
    import numpy as np

    share = np.clip((reach[1] - distance) / (reach[1] - reach[0]), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))
