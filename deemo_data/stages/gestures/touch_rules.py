"""Hands at places of head and neck."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deemo_data.stages.gestures.scene import (
    ENDS,
    EYES,
    FACE_M,
    FINGERS,
    KNUCKLES_M,
    MOUTH,
    PALM_M,
    SHOULDERS,
    SIDES,
    STUBS,
    SURE,
    WRISTS,
    Scene,
    length,
    rolling,
)
from deemo_data.stages.gestures.signals import Signal
from deemo_data.stages.gestures.thresholds import Thresholds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Places as ellipses (x, y, half width, half height) in face widths from the middle between the eyes: x along the line of the
# eyes, y up. Proportions of an adult face; whoever has another one is met a little beside.
PLACES: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "hand_on_eyes": ((-0.22, 0.0, 0.17, 0.12), (0.22, 0.0, 0.17, 0.12)),
    "hand_on_ear": ((-0.52, -0.08, 0.10, 0.22), (0.52, -0.08, 0.10, 0.22)),
    "hand_on_forehead": ((0.0, 0.38, 0.40, 0.22),),
    "hand_on_jaw": ((0.0, -0.82, 0.36, 0.14), (-0.42, -0.60, 0.12, 0.18), (0.42, -0.60, 0.12, 0.18)),
    "hand_on_face": ((0.0, -0.38, 0.40, 0.27),),
    "hand_in_hair": ((-0.60, -0.70, 0.10, 0.30), (0.60, -0.70, 0.10, 0.30)),
    "hand_on_head": ((0.0, 0.86, 0.50, 0.22), (-0.56, 0.42, 0.14, 0.32), (0.56, 0.42, 0.14, 0.32)),
    "hand_on_neck": ((0.0, -1.10, 0.32, 0.14),),
    "hand_on_notch": ((0.0, 0.0, 0.20, 0.14),),  # from the collar bones
}
WORDS = {
    "hand_on_eyes": "an eye", "hand_on_ear": "an ear", "hand_on_forehead": "the forehead", "hand_on_jaw": "chin or jaw",
    "hand_on_face": "nose, cheek or mouth", "hand_in_hair": "where long hair falls", "hand_on_head": "top or side of the head",
    "hand_on_neck": "the neck", "hand_on_notch": "the hollow between the collar bones",
}  # fmt: skip
FRONTAL = ("hand_on_face", "hand_on_jaw", "hand_on_neck", "hand_on_notch")
TOGETHER = 0.9  # shoulder widths between the wrists, or a fifth of that between the nearest points of both hands
FACE = (0.0, -0.22, 0.45, 0.64)  # all of the face, as one ellipse


@dataclass(frozen=True)
class Touches:
    """Where the hands are, seen from the face.

    hands   (frames, 2, 21, 2) in face widths from the middle between the eyes, x along the line of the eyes, y up
    stubs   (frames, 2, 3, 2) the same of the hand ends of the pose, where the hand itself was not seen
    front   (frames, 2): how much nearer the camera a hand is than the face, by its size: 1 as near; NaN not seen
    notch   (frames, 2) the hollow between the collar bones
    """

    hands: NDArray[np.float64]
    stubs: NDArray[np.float64]
    front: NDArray[np.float64]
    notch: NDArray[np.float64]

    @classmethod
    def of(cls, scene: Scene, how: Thresholds) -> Touches:
        import numpy as np

        flat = scene.points[..., :2]
        eyes, mouth = flat[:, EYES].mean(axis=1), flat[:, MOUTH].mean(axis=1)
        up = eyes - mouth
        up = up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)
        across = np.stack([-up[:, 1], up[:, 0]], axis=-1)

        def seen(points: NDArray[np.float64]) -> NDArray[np.float64]:
            """Points (frames, …, 2) in pixels, from the face."""
            shape = (len(points),) + (1,) * (points.ndim - 2)
            from_eyes = (points - eyes.reshape(*shape, 2)) / scene.face.reshape(*shape, 1)
            axes = [(from_eyes * axis.reshape(*shape, 2)).sum(axis=-1) for axis in (across, up)]
            return np.stack(axes, axis=-1)

        size = np.fmax(
            length(scene.hands[:, :, 9] - scene.hands[:, :, 0]) / PALM_M,
            length(scene.hands[:, :, 17] - scene.hands[:, :, 5]) / KNUCKLES_M,
        )  # pixels a metre, at least: what is turned away is seen shorter
        front = size / (scene.face[:, None] / FACE_M)
        half = scene.frames(250)
        front = np.stack([rolling(front[:, side], half, 75) for side in (0, 1)], axis=1)
        stubs = np.stack([flat[:, STUBS[side]] for side in (0, 1)], axis=1)
        sure = np.stack([(scene.sure[:, STUBS[side]] >= SURE).all(axis=1) for side in (0, 1)], axis=1)
        alone = sure & ~np.isfinite(scene.hands[:, :, 0, 0])
        stubs = np.where(alone[..., None, None], stubs, np.nan)
        return cls(seen(scene.hands[..., :2]), seen(stubs), front, seen(flat[:, SHOULDERS].mean(axis=1)) + np.array([0.0, 0.1]))


def beside(points: NDArray[np.float64], places: tuple[tuple[float, float, float, float], ...]) -> NDArray[np.float64]:
    """How far points (…, 2) are from the nearest of some ellipses, 0 within: along the line to its middle."""
    import numpy as np

    found = []
    for x, y, wide, high in places:
        off = points - [x, y]
        inside = np.hypot(off[..., 0] / wide, off[..., 1] / high)
        found.append(np.hypot(off[..., 0], off[..., 1]) * np.maximum(0, 1 - 1 / np.maximum(inside, 1e-6)))
    return np.asarray(np.minimum.reduce(found))


def on_places(scene: Scene, touches: Touches, side: int, how: Thresholds) -> Iterator[Signal]:
    """A hand at a place of the head or neck: the mean distance of the three nearest points of its fingers. Each frame belongs to
    the place that has most of the finger tips.

    What the picture cannot tell is whether the hand touches or is held before it; a hand that looks larger than one at the
    face's distance can be is before it. Hands that are near each other before mouth, chin or neck are talking or held, as a
    rule. Where the hand itself was not seen, the pose's three points of it count.
    """
    import numpy as np

    points = np.concatenate([touches.hands[:, side], touches.stubs[:, side]], axis=1)
    far = []
    votes = []
    for rule, places in PLACES.items():
        away = beside(points - (touches.notch[:, None] if rule == "hand_on_notch" else 0), places)
        far.append(np.sort(away[:, FINGERS], axis=1)[:, :3].mean(axis=1))  # what is NaN goes last
        tips = np.maximum(0, 1 - away[:, ENDS] / how.touch)
        votes.append(np.nansum(tips, axis=1) / np.maximum(np.isfinite(tips).sum(axis=1), 1))
    half = scene.frames(how.bridge_ms)
    best = np.argmax([rolling(v, half, 50) for v in votes], axis=0)
    together = hands_together(scene)
    before = touches.front[:, side] > how.in_front
    for place, rule in enumerate(PLACES):
        with_other = together & (rule in FRONTAL)
        amount = np.where((best == place) & ~before & ~with_other, far[place], np.nan)
        why = f"{SIDES[side].capitalize()} hand {{amount}} face widths from {WORDS[rule]} in the picture, for {{seconds}} s."
        yield Signal(rule, amount, how.touch, why, trust=0.6 if rule == "hand_in_hair" else 0.9, below=True)


def hands_together(scene: Scene) -> NDArray[np.bool_]:
    """(frames,): whether both hands are near each other."""
    import numpy as np

    wrists = length(scene.points[:, WRISTS[0]] - scene.points[:, WRISTS[1]])
    pairs = length(scene.hands[:, 0, :, None] - scene.hands[:, 1, None])
    nearest = np.nan_to_num(pairs, nan=np.inf).min(axis=(1, 2))
    return np.asarray((wrists < TOGETHER * scene.shoulders) | (nearest < TOGETHER / 5 * scene.shoulders))


def covered(touches: Touches, how: Thresholds) -> Signal:
    """The share of the face that lies behind the hands, as seen from the camera; a hand far before the face does not count."""
    import numpy as np

    x, y, wide, high = FACE
    steps = np.linspace(-0.9, 0.9, 9)
    grid = np.array([(x + a * wide, y + b * high) for a in steps for b in steps if a * a + b * b <= 1])
    hands = np.where((touches.front > how.in_front)[..., None, None], np.nan, touches.hands)
    palm = hands[:, :, [0]] * (1 - np.array([0.33, 0.66]))[:, None] + hands[:, :, [9]] * np.array([0.33, 0.66])[:, None]
    solid = np.concatenate([hands, palm], axis=2).reshape(len(hands), -1, 2)
    off = np.nan_to_num(np.abs(solid[:, :, None] - grid).max(axis=-1), nan=np.inf)  # (frames, points, grid)
    amount = np.where(np.isfinite(solid[..., 0]).any(axis=1), (off < 0.13).any(axis=1).mean(axis=1), np.nan)
    return Signal("hand_over_face", amount, how.cover, "Hands before {amount} of the face's area, for {seconds} s.", trust=0.9)
