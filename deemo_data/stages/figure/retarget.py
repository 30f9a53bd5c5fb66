"""A person's track on the standard figure: lengths are everybody's, movement and contacts are the person's.

Contacts come first, in the picture plane: a hand lies at the same place of the head, the trunk, the other arm or the other hand
as the person's hand does (places.py, hands.py). The arm follows. Depth comes last: each bone is as deep as its length in the
picture leaves it (depth.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deemo_data.stages.figure import hands, standard
from deemo_data.stages.figure.depth import find_depth
from deemo_data.stages.figure.places import (
    EAR_PLACES,
    HEAD_PLACES,
    PLACE_NAMES,
    carry_points,
    find_places,
    measure_nearness,
)
from deemo_data.stages.figure.stance import Stance, hand_slice, shorten, take_median, take_stance
from deemo_data.tracks.body import Body
from deemo_data.tracks.skeleton import BODY_POINTS, EARS, FACE_POINTS, TRACKED, TRACKED_POINTS, Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLAT_SHARE = 0.85  # a line of the trunk that looks at least so long, of what it is at most, counts as lying in the picture plane
MAX_REACH = 0.999 * (standard.UPPER_ARM_LENGTH + standard.FOREARM_LENGTH)
PLACING_ROUNDS = 2  # a hand can lie on the other elbow, and that follows the other hand
ELBOW_ROUNDS = 12


def retarget_body(body: Body, width: int, height: int) -> NDArray[np.float32]:
    """The points (frames, 1, 64, 3) of the standard figure that does what the first body of a track (75 points) does.

    In shoulder widths from the clip's middle between the shoulders; x to the right in the picture, y down, z away from the
    camera. NaN where the track has no point. All NaN if no frame shows both shoulders.
    """
    import numpy as np

    points = np.full((len(body.points), TRACKED_POINTS, 3), np.nan)
    stance = take_stance(body, width, height)
    if stance is not None:
        points[..., :2], shapes = place_points(stance)
        points[:, :BODY_POINTS, 2] = find_depths(stance, points[..., :2])
        for side in (0, 1):
            own = points[:, hand_slice(side)]
            own[..., 2] = np.nan_to_num(points[:, [TRACKED.wrists[side]], 2]) + shapes[side][..., 2]
    points[~np.isfinite(body.points[:, 0]).all(axis=-1)] = np.nan
    return np.asarray(points[:, None, FACE_POINTS:], np.float32)


def place_points(stance: Stance) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """The figure in the picture plane (frames, 75, 2), and the shapes of its hands (frames, 21, 3)."""
    import numpy as np

    figure = np.full_like(stance.planar, np.nan)
    place_trunk(stance, figure)
    shapes = [hands.shape_hand(stance, side) for side in (0, 1)]
    for side in (0, 1):
        swing_arm(stance, figure, side)
    free = figure.copy()
    for _ in range(PLACING_ROUNDS):
        wrists = [find_wrist(stance, figure, free, shapes[side][..., :2], side) for side in (0, 1)]
        wrists = hands.keep_hands_together(stance, wrists, [shape[..., :2] for shape in shapes])
        for side in (0, 1):
            bend_arm(figure, free, wrists[side], side)
    for side in (0, 1):
        root = np.where(np.isfinite(figure[:, TRACKED.wrists[side]]), figure[:, TRACKED.wrists[side]], wrists[side])
        figure[:, hand_slice(side)] = root[:, None] + shapes[side][..., :2]
        for starts, ends, length in (*standard.POSE_FINGER_BONES, *standard.LEG_BONES):
            attach_bone(stance, figure, starts[side], ends[side], length)
    return figure, shapes


def place_trunk(stance: Stance, figure: NDArray[np.float64]) -> None:
    """Shoulders, hips and places of the head, in place. In the median the trunk is upright, and shoulders and hips are level."""
    import numpy as np

    build = stance.build
    left, right = TRACKED.shoulders
    collar = stance.middle(TRACKED.shoulders) / build.unit
    half = lay_flat(stance.bone(right, left) / 2 / build.shoulders, standard.SHOULDER_WIDTH / 2)
    figure[:, left], figure[:, right] = collar + half, collar - half
    measured = stance.has_hips if stance.has_hips.any() else np.ones(len(collar), bool)
    trunk = (stance.middle(TRACKED.hips) - stance.middle(TRACKED.shoulders)) / build.trunk * standard.TRUNK_LENGTH
    trunk = lay_flat(trunk - take_median(trunk[measured]) * [1, 0], standard.TRUNK_LENGTH)
    left, right = TRACKED.hips
    half = stance.bone(right, left) / 2 / build.hips * standard.HIP_WIDTH
    half = lay_flat(half - take_median(half[measured]) * [0, 1], standard.HIP_WIDTH / 2)
    figure[:, left], figure[:, right] = collar + trunk + half, collar + trunk - half
    for index, place in standard.HEAD_POINTS.items():
        figure[:, index] = collar + np.array(place)


def swing_arm(stance: Stance, figure: NDArray[np.float64], side: int) -> None:
    """Elbow and wrist of one side, in place, as the person's arm moves from the shoulder."""
    for joints, length in ((TRACKED.upper_arms, standard.UPPER_ARM_LENGTH), (TRACKED.forearms, standard.FOREARM_LENGTH)):
        start, end = joints[side]
        figure[:, end] = figure[:, start] + shorten(stance.bone(start, end) / stance.full_length(joints, length) * length, length)


def find_wrist(
    stance: Stance, figure: NDArray[np.float64], free: NDArray[np.float64], shape: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    """(frames, 2) where a wrist belongs among the places of the figure: that of the hand if it is seen, else that of the pose.

    free   (frames, 75, 2) the figure with arms that only swing; shape: (frames, 21, 2) the hand from its wrist
    """
    import numpy as np

    build = stance.build
    places, new_places = find_places(stance.planar, side), find_places(figure, side)
    scale = np.full(len(PLACE_NAMES), 1 / build.unit)
    scale[: len(HEAD_PLACES)] = 1 / build.head
    weight = weigh_places(stance)
    wrist = stance.planar[:, [TRACKED.wrists[side]]]
    hand = stance.hand(side)
    asked = np.concatenate([hand, hand.mean(axis=1, keepdims=True), wrist], axis=1)
    own_scale = standard.PALM_LENGTH / build.palm
    carried = carry_points(
        asked, places, new_places, scale, weight, free[:, [TRACKED.wrists[side]]] + (asked - wrist) * own_scale
    )
    nearness = measure_nearness(asked[:, :-1], np.where(weight[..., None] > 0, places, np.nan), scale)
    by_hand = hands.place_hand(carried[:, :-1], nearness, shape)
    by_hand = hands.keep_head_distance(stance, side, by_hand, shape, figure[:, EARS].mean(axis=1))
    without_places = hand[:, 0] / build.unit  # a hand in a frame without a pose
    return np.where(np.isfinite(by_hand), by_hand, np.where(np.isfinite(carried[:, -1]), carried[:, -1], without_places))


def weigh_places(stance: Stance) -> NDArray[np.float64]:
    """(frames, places) how much each place counts: hips only where they are seen, the ear behind the head not at all."""
    import numpy as np

    weight = np.ones((len(stance.planar), len(PLACE_NAMES)))
    weight[:, PLACE_NAMES.index("hip")] = stance.has_hips
    apart = np.linalg.norm(stance.bone(*EARS), axis=-1) / (2 * standard.HEAD_RADIUS * stance.build.head)
    behind = np.clip(np.nan_to_num(apart, nan=1), 0, 1) ** 2
    is_left_behind = stance.deep[:, EARS[0]] > stance.deep[:, EARS[1]]
    weight[:, EAR_PLACES[0]] = np.where(is_left_behind, behind, 1)
    weight[:, EAR_PLACES[1]] = np.where(is_left_behind, 1, behind)
    return weight


def bend_arm(figure: NDArray[np.float64], free: NDArray[np.float64], wrist: NDArray[np.float64], side: int) -> None:
    """The wrist of one side to where it belongs, if the arm reaches, and the elbow to the nearest place that both bones allow."""
    shoulder, elbow_index, wrist_index = (pair[side] for pair in (TRACKED.shoulders, TRACKED.elbows, TRACKED.wrists))
    start = figure[:, shoulder]
    end = start + shorten(wrist - start, MAX_REACH)
    elbow = free[:, elbow_index] + (end - free[:, wrist_index]) / 2
    for _ in range(ELBOW_ROUNDS):
        elbow = end + shorten(elbow - end, standard.FOREARM_LENGTH)
        elbow = start + shorten(elbow - start, standard.UPPER_ARM_LENGTH)
    figure[:, elbow_index], figure[:, wrist_index] = elbow, end


def attach_bone(stance: Stance, figure: NDArray[np.float64], start: int, end: int, length: float) -> None:
    """The end of a bone, in place: in the person's direction, as long as it looks, at most its standard length."""
    bone = stance.bone(start, end) / stance.full_length(((start, end),), length) * length
    figure[:, end] = figure[:, start] + shorten(bone, length)


def find_depths(stance: Stance, figure: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames, 33) z of the figure's body, from its points in the picture plane (frames, 75, 2); 0 is the collar's."""
    import numpy as np

    deep = np.full((len(figure), BODY_POINTS), np.nan)

    def cross(pair: Pair, length: float, middle: NDArray[np.float64] | float) -> None:
        left, right = pair
        half = find_depth(figure[:, left] - figure[:, right], length, stance.hint(right, left)) / 2
        deep[:, left], deep[:, right] = middle + half, middle - half

    def join(start: int, end: int, length: float) -> None:
        deep[:, end] = deep[:, start] + find_depth(figure[:, end] - figure[:, start], length, stance.hint(start, end))

    cross(TRACKED.shoulders, standard.SHOULDER_WIDTH, 0.0)
    flanks = figure[:, TRACKED.hips].mean(axis=1) - figure[:, TRACKED.shoulders].mean(axis=1)
    hint = np.mean([stance.hint(shoulder, hip) for shoulder, hip in TRACKED.flanks], axis=0)
    cross(TRACKED.hips, standard.HIP_WIDTH, find_depth(flanks, standard.TRUNK_LENGTH, hint))
    for side in (0, 1):
        join(*TRACKED.upper_arms[side], standard.UPPER_ARM_LENGTH)
        join(*TRACKED.forearms[side], standard.FOREARM_LENGTH)
        for starts, ends, length in (*standard.POSE_FINGER_BONES, *standard.LEG_BONES):
            join(starts[side], ends[side], length)
    return deep


def lay_flat(vectors: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Vectors (frames, 2) at most `length` long; those of FLAT_SHARE of it and more exactly so long, the others in proportion."""
    return shorten(vectors / FLAT_SHARE, length)
