"""Rules for hands at the head and neck: which place a hand touches, and how much of the face it covers.

The hands are first brought into coordinates of the face (`HandsFromFace`). There every place is a few fixed ellipses, and a rule
measures how far the fingers are from them. rules.py has the other rules and calls these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deemo_data.stages.gestures.scene import Scene, planar_lengths, rolling_percentile
from deemo_data.stages.gestures.signals import Signal
from deemo_data.stages.gestures.thresholds import Thresholds
from deemo_data.tracks.skeleton import EYES, FINGERTIPS, HAND_POINTS, MOUTH, PALM_OUTLINE, SIDES, TRACKED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Ellipse = tuple[float, float, float, float]  # x, y of the centre, half width, half height

# Places of the head in face widths from the midpoint between the eyes: x along the line of the eyes, y up. The proportions are
# those of an adult face; on a face with other proportions a place is slightly off.
PLACE_ELLIPSES: dict[str, tuple[Ellipse, ...]] = {
    "hand_on_eyes": ((-0.22, 0.0, 0.17, 0.12), (0.22, 0.0, 0.17, 0.12)),
    "hand_on_ear": ((-0.52, -0.08, 0.10, 0.22), (0.52, -0.08, 0.10, 0.22)),
    "hand_on_forehead": ((0.0, 0.38, 0.40, 0.22),),
    "hand_on_jaw": ((0.0, -0.82, 0.36, 0.14), (-0.42, -0.60, 0.12, 0.18), (0.42, -0.60, 0.12, 0.18)),
    "hand_on_face": ((0.0, -0.38, 0.40, 0.27),),
    "hand_in_hair": ((-0.60, -0.70, 0.10, 0.30), (0.60, -0.70, 0.10, 0.30)),
    "hand_on_head": ((0.0, 0.86, 0.50, 0.22), (-0.56, 0.42, 0.14, 0.32), (0.56, 0.42, 0.14, 0.32)),
    "hand_on_neck": ((0.0, -1.10, 0.32, 0.14),),
    "hand_on_notch": ((0.0, 0.0, 0.20, 0.14),),  # from the notch between the collar bones
}
PLACE_WORDS = {
    "hand_on_eyes": "an eye", "hand_on_ear": "an ear", "hand_on_forehead": "the forehead", "hand_on_jaw": "chin or jaw",
    "hand_on_face": "nose, cheek or mouth", "hand_in_hair": "where long hair falls", "hand_on_head": "top or side of the head",
    "hand_on_neck": "the neck", "hand_on_notch": "the hollow between the collar bones",
}  # fmt: skip
FRONTAL_RULES = ("hand_on_face", "hand_on_jaw", "hand_on_neck", "hand_on_notch")
FACE_NEEDS = EYES + MOUTH  # the points that give the coordinates of the face
FACE_ELLIPSE: Ellipse = (0.0, -0.22, 0.45, 0.64)  # all of the face

# A hand has 24 points here: its own 21, then BlazePose's three points of the same hand.
POSE_FINGERS = tuple(zip(TRACKED.little_fingers, TRACKED.index_fingers, TRACKED.thumbs, strict=True))  # per side
TIP_POINTS = (*FINGERTIPS, 21, 22, 23)
FINGER_POINTS = (*(n for n in range(HAND_POINTS) if n not in PALM_OUTLINE), 21, 22, 23)

FACE_WIDTH_M = 0.14
PALM_LENGTH_M = 0.095  # wrist to middle knuckle
KNUCKLE_ROW_M = 0.07  # first to last knuckle
TOGETHER_SHOULDER_WIDTHS = 0.9  # between the wrists; between the nearest points of both hands, a fifth of that


@dataclass(frozen=True)
class HandsFromFace:
    """Where the hands are, in coordinates of the face.

    hands         (frames, 2, 21, 2) in face widths from the midpoint between the eyes, x along the line of the eyes, y up
    pose_fingers  (frames, 2, 3, 2) the same for the pose's points of the hand, where the hand itself was not seen
    nearness      (frames, 2) how much nearer to the camera a hand is than the face, by its size: 1 is equally near; NaN not seen
    notch         (frames, 2) the hollow between the collar bones
    """

    hands: NDArray[np.float64]
    pose_fingers: NDArray[np.float64]
    nearness: NDArray[np.float64]
    notch: NDArray[np.float64]

    @classmethod
    def of_scene(cls, scene: Scene) -> HandsFromFace:
        import numpy as np

        flat = scene.points[..., :2]
        eyes, mouth = flat[:, EYES].mean(axis=1), flat[:, MOUTH].mean(axis=1)
        up = eyes - mouth
        up = up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)
        across = np.stack([-up[:, 1], up[:, 0]], axis=-1)

        def to_face(points: NDArray[np.float64]) -> NDArray[np.float64]:
            """Points (frames, …, 2) in pixels, in coordinates of the face."""
            shape = (len(points),) + (1,) * (points.ndim - 2)
            from_eyes = (points - eyes.reshape(*shape, 2)) / scene.face_width.reshape(*shape, 1)
            axes = [(from_eyes * axis.reshape(*shape, 2)).sum(axis=-1) for axis in (across, up)]
            return np.stack(axes, axis=-1)

        pixels_per_metre = np.fmax(  # at least that many: a hand that is turned away looks shorter
            planar_lengths(scene.hands[:, :, 9] - scene.hands[:, :, 0]) / PALM_LENGTH_M,
            planar_lengths(scene.hands[:, :, 17] - scene.hands[:, :, 5]) / KNUCKLE_ROW_M,
        )
        nearness = pixels_per_metre / (scene.face_width[:, None] / FACE_WIDTH_M)
        half = scene.frames_of_ms(250)
        nearness = np.stack([rolling_percentile(nearness[:, side], half, 75) for side in (0, 1)], axis=1)
        pose_fingers = np.stack([flat[:, POSE_FINGERS[side]] for side in (0, 1)], axis=1)
        has_fingers = np.stack([scene.has_points(POSE_FINGERS[side]) for side in (0, 1)], axis=1)
        only_pose = has_fingers & ~np.isfinite(scene.hands[:, :, 0, 0])
        pose_fingers = np.where(only_pose[..., None, None], pose_fingers, np.nan)
        notch = to_face(flat[:, TRACKED.shoulders].mean(axis=1)) + np.array([0.0, 0.1])
        return cls(to_face(scene.hands[..., :2]), to_face(pose_fingers), nearness, notch)


def distance_to_ellipses(points: NDArray[np.float64], ellipses: tuple[Ellipse, ...]) -> NDArray[np.float64]:
    """Distance of points (…, 2) to the nearest ellipse, along the line to its centre; 0 inside."""
    import numpy as np

    distances = []
    for x, y, half_width, half_height in ellipses:
        from_centre = points - [x, y]
        radii = np.hypot(from_centre[..., 0] / half_width, from_centre[..., 1] / half_height)  # 1 on the ellipse
        length = np.hypot(from_centre[..., 0], from_centre[..., 1])
        distances.append(length * np.maximum(0, 1 - 1 / np.maximum(radii, 1e-6)))
    return np.asarray(np.minimum.reduce(distances))


def measure_touches(scene: Scene, touches: HandsFromFace, side: int, thresholds: Thresholds) -> Iterator[Signal]:
    """One signal per place of the head or neck: the mean distance of the three nearest finger points of one hand.

    Each frame belongs to the place that most finger tips are near. The pose's three points stand in for a hand that was not seen.

    The picture does not tell whether a hand touches the face or is held in front of it. Two cases are therefore left out: a hand
    that looks too large for the face's distance, and hands that are near each other in front of mouth, chin or neck (they usually
    gesture, or hold each other).
    """
    import numpy as np

    points = np.concatenate([touches.hands[:, side], touches.pose_fingers[:, side]], axis=1)
    amounts = []
    votes = []
    for rule, ellipses in PLACE_ELLIPSES.items():
        distance = distance_to_ellipses(points - (touches.notch[:, None] if rule == "hand_on_notch" else 0), ellipses)
        amounts.append(np.sort(distance[:, FINGER_POINTS], axis=1)[:, :3].mean(axis=1))  # NaN sorts last
        tips = np.maximum(0, 1 - distance[:, TIP_POINTS] / thresholds.touch)
        votes.append(np.nansum(tips, axis=1) / np.maximum(np.isfinite(tips).sum(axis=1), 1))
    half = scene.frames_of_ms(thresholds.bridge_ms)
    best_place = np.argmax([rolling_percentile(v, half, 50) for v in votes], axis=0)
    together = are_hands_together(scene)
    in_front = touches.nearness[:, side] > thresholds.in_front
    hand = SIDES[side].capitalize()
    for place, rule in enumerate(PLACE_ELLIPSES):
        left_out = in_front | (together & (rule in FRONTAL_RULES))
        amount = np.where((best_place == place) & ~left_out, amounts[place], np.nan)
        why = f"{hand} hand {{amount}} face widths from {PLACE_WORDS[rule]} in the picture, for {{seconds}} s."
        needs = FACE_NEEDS + TRACKED.shoulders if rule == "hand_on_notch" else FACE_NEEDS
        yield Signal(rule, needs, amount, thresholds.touch, why, trust=0.6 if rule == "hand_in_hair" else 0.9, below=True)


def are_hands_together(scene: Scene) -> NDArray[np.bool_]:
    """(frames,) whether the hands are near each other."""
    import numpy as np

    wrists = planar_lengths(scene.points[:, TRACKED.wrists[0]] - scene.points[:, TRACKED.wrists[1]])
    pairs = planar_lengths(scene.hands[:, 0, :, None] - scene.hands[:, 1, None])
    nearest = np.nan_to_num(pairs, nan=np.inf).min(axis=(1, 2))
    wrists_near = wrists < TOGETHER_SHOULDER_WIDTHS * scene.shoulder_width
    return np.asarray(wrists_near | (nearest < TOGETHER_SHOULDER_WIDTHS / 5 * scene.shoulder_width))


def measure_face_cover(touches: HandsFromFace, thresholds: Thresholds) -> Signal:
    """The share of the face that is hidden behind the hands; a hand far in front of the face does not count."""
    import numpy as np

    x, y, half_width, half_height = FACE_ELLIPSE
    steps = np.linspace(-0.9, 0.9, 9)
    grid = np.array([(x + a * half_width, y + b * half_height) for a in steps for b in steps if a * a + b * b <= 1])
    hands = np.where((touches.nearness > thresholds.in_front)[..., None, None], np.nan, touches.hands)
    palm = hands[:, :, [0]] * (1 - np.array([0.33, 0.66]))[:, None] + hands[:, :, [9]] * np.array([0.33, 0.66])[:, None]
    points = np.concatenate([hands, palm], axis=2).reshape(len(hands), -1, 2)
    distance = np.nan_to_num(np.abs(points[:, :, None] - grid).max(axis=-1), nan=np.inf)  # (frames, points, grid)
    amount = np.where(np.isfinite(points[..., 0]).any(axis=1), (distance < 0.13).any(axis=1).mean(axis=1), np.nan)
    why = "Hands before {amount} of the face's area, for {seconds} s."
    return Signal("hand_over_face", FACE_NEEDS, amount, thresholds.cover, why, trust=0.9)
