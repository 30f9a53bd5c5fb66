"""The rules: what each of proposals.RULES measures on a scene, in face widths, shoulder widths, palm lengths and seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deemo_data.proposals import SURE, Scene, Signal, rolling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.stages.propose import Propose

SIDES = ("left", "right")
NOSE, EYES, EARS, MOUTH, SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES = (
    (0,), (2, 5), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (23, 24), (25, 26),
)  # fmt: skip
STUBS = ((17, 19, 21), (18, 20, 22))  # where the pose has the little finger, the index finger and the thumb begin
TIPS, KNUCKLES, JOINTS, PALM = (4, 8, 12, 16, 20), (2, 5, 9, 13, 17), (6, 10, 14, 18), (0, 5, 9, 13, 17)
TOUCHING = tuple(n for n in range(21) if n not in (0, 1, 2, 5, 9, 13, 17))  # the fingers, without palm and knuckles
ENDS = (*TIPS, 21, 22, 23)  # those, and the pose's three points of a hand
FINGERS = (*TOUCHING, 21, 22, 23)
FACE_M, PALM_M, KNUCKLES_M = 0.14, 0.095, 0.07  # metres: a face's width, wrist to middle knuckle, first to last knuckle

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


def signals(scene: Scene, how: Propose) -> Iterator[Signal]:
    """Every rule's signal on a scene, left hand and right."""
    touches = Touches.of(scene, how)
    for side in (0, 1):
        yield from on_places(scene, touches, side, how)
    yield covered(touches, how)
    yield from arms(scene, how)
    yield from both_hands(scene, how)
    for side in (0, 1):
        yield busy(scene, side, how)
    yield gestures(scene, how)
    yield from trunk(scene, how)


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
    def of(cls, scene: Scene, how: Propose) -> Touches:
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


def length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths in the picture; the third coordinate is too coarse for distances."""
    import numpy as np

    return np.asarray(np.hypot(vectors[..., 0], vectors[..., 1]))


def beside(points: NDArray[np.float64], places: tuple[tuple[float, float, float, float], ...]) -> NDArray[np.float64]:
    """How far points (…, 2) are from the nearest of some ellipses, 0 within: along the line to its middle."""
    import numpy as np

    found = []
    for x, y, wide, high in places:
        off = points - [x, y]
        inside = np.hypot(off[..., 0] / wide, off[..., 1] / high)
        found.append(np.hypot(off[..., 0], off[..., 1]) * np.maximum(0, 1 - 1 / np.maximum(inside, 1e-6)))
    return np.asarray(np.minimum.reduce(found))


def on_places(scene: Scene, touches: Touches, side: int, how: Propose) -> Iterator[Signal]:
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


def covered(touches: Touches, how: Propose) -> Signal:
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


def arms(scene: Scene, how: Propose) -> Iterator[Signal]:
    """Folded arms, hands on hips, arms behind the back: by wrists, elbows and hips, in shoulder widths."""
    import numpy as np

    wide = scene.shoulders[:, None]
    flat, sure = scene.points[..., :2], scene.sure
    wrists, elbows, hips, shoulders = (flat[:, n] for n in (WRISTS, ELBOWS, HIPS, SHOULDERS))
    side = np.sign(shoulders[:, :1, 0] - shoulders[:, 1:, 0])  # 1 where the person's left is to the right in the picture
    crossed = (wrists[:, 0, 0] - wrists[:, 1, 0]) * side[:, 0] < 0
    known = (sure[:, ELBOWS] >= SURE).all(axis=1)
    to_other = (length(wrists - elbows[:, ::-1]) / wide).max(axis=1)
    why = "Each wrist {amount} shoulder widths from the other elbow, arms crossed, for {seconds} s."
    yield Signal("arms_folded", np.where(known & crossed, to_other, np.nan), how.arm, why, trust=0.9, below=True)

    out = (elbows[..., 0] - wrists[..., 0]) * side * [1, -1] / wide  # how far the elbow stands out beyond the wrist
    upright = (elbows[..., 1] < wrists[..., 1]) & (out > 0.15) & (sure[:, WRISTS] >= SURE) & (sure[:, HIPS] >= SURE)
    on_hip = np.where(upright, length(wrists - hips) / wide, np.nan)
    on_hip = np.fmin(on_hip[:, 0], on_hip[:, 1])
    why = "A wrist {amount} shoulder widths from the hip, the elbow further out, for {seconds} s."
    yield Signal("arms_akimbo", on_hip, how.arm, why, trust=0.9, below=True)

    hidden = 1 - sure[:, WRISTS].max(axis=1)
    low, high = hips[..., 1].max(axis=1), shoulders[..., 1].min(axis=1)
    between = ((wrists[..., 1] > high[:, None]) & (wrists[..., 1] < low[:, None] + 0.4 * wide)).all(axis=1)
    known = (sure[:, ELBOWS] >= SURE).all(axis=1) & (sure[:, HIPS] >= SURE).all(axis=1)
    away = known & between & ~np.isfinite(scene.hands[..., 0, 0]).any(axis=1)
    why = "Elbows and hips are seen, neither hand is, and the pose is {amount} sure that both wrists are hidden, for {seconds} s."
    yield Signal("arms_behind", np.where(away, hidden, np.nan), 0.5, why, trust=0.7, least=2)


def both_hands(scene: Scene, how: Propose) -> Iterator[Signal]:
    """Hands that hold one another, fingers laced, finger tips that meet. Only where both hands are seen: the pose alone cannot
    tell hands that are held from hands that are near each other."""
    import numpy as np

    left, right = scene.hands[:, 0, :, :2], scene.hands[:, 1, :, :2]
    wide = scene.shoulders
    palms = length(left[:, PALM].mean(axis=1) - right[:, PALM].mean(axis=1)) / wide
    wrapped = [length(a[:, TIPS[1:]] - b[:, KNUCKLES[1:]]).mean(axis=1) for a, b in ((left, right), (right, left))]
    around = (wrapped[0] + wrapped[1]) / 2 / wide
    still = rolling(_speed(scene, left[:, PALM].mean(axis=1) - right[:, PALM].mean(axis=1)), scene.frames(250), 50) <= how.apart
    around = np.where(still, around, np.nan)

    joints = np.concatenate([left[:, JOINTS], right[:, JOINTS]], axis=1)
    axis = left[:, JOINTS[0]] - left[:, JOINTS[-1]]
    order = np.argsort((joints * axis[:, None]).sum(axis=-1), axis=1) // len(JOINTS)  # 0 a joint of the left hand, 1 of the right
    turns = (np.diff(order, axis=1) != 0).mean(axis=1)
    meeting = np.sort(length(left[:, TIPS] - right[:, TIPS]), axis=1)[:, :4].mean(axis=1) / wide
    up = np.min([hand[:, 0, 1] - hand[:, TIPS].mean(axis=1)[:, 1] for hand in (left, right)], axis=0) > 0.1 * wide

    why = "Finger tips of both hands {amount} shoulder widths apart, upwards, the palms further, for {seconds} s."
    yield Signal(
        "minaret",
        np.where(up & (palms > 0.2) & (palms > 2.5 * meeting), meeting, np.nan),
        how.tips,
        why,
        0.8,
        below=True,
        least=2,
    )
    why = "Hands around each other and {amount} of neighbouring fingers belong to different hands, for {seconds} s."
    yield Signal("fingers_crossed", np.where(around <= how.around, turns, np.nan), how.laced, why, 0.6)
    why = "Fingers of each hand {amount} shoulder widths from the knuckles of the other, moving as one, for {seconds} s."
    yield Signal("hands_held", around, how.around, why, 0.9, below=True, bridge=3)


def busy(scene: Scene, side: int, how: Propose) -> Signal:
    """A hand that grips, before the trunk and almost at rest: what it holds, and whether it holds anything, no track can tell."""
    import numpy as np

    joints = scene.hands[:, side]
    pinch = length(joints[:, 4] - joints[:, 8]) / np.maximum(length(joints[:, 9] - joints[:, 0]), 1e-6)
    flat, wide = scene.points[..., :2], scene.shoulders
    wrist, shoulders, hips = flat[:, WRISTS[side]], flat[:, SHOULDERS].mean(axis=1), flat[:, HIPS].mean(axis=1)
    before = (
        ~hands_together(scene)
        & (wrist[:, 1] > shoulders[:, 1])
        & (wrist[:, 1] < hips[:, 1])
        & (np.abs(wrist[:, 0] - shoulders[:, 0]) < 0.7 * wide)
    )
    still = rolling(_speed(scene, wrist - shoulders), scene.frames(500), 75) < how.apart
    hand = SIDES[side].capitalize()
    why = f"{hand} hand grips (thumb {{amount}} palm lengths from the index finger) and is kept still, for {{seconds}} s."
    return Signal("hand_busy", np.where(before & still, pinch, np.nan), how.grip, why, trust=0.5, below=True, least=3)


def gestures(scene: Scene, how: Propose) -> Signal:
    """The faster of the hands that are raised, in shoulder widths a second, the mean over a second."""
    import numpy as np

    flat, wide = scene.points[..., :2], scene.shoulders
    shoulders, hips = flat[:, SHOULDERS].mean(axis=1), flat[:, HIPS].mean(axis=1)
    low = np.where((scene.sure[:, HIPS] >= SURE).all(axis=1), hips[:, 1], shoulders[:, 1] + 1.2 * wide)
    found = []
    for side in (0, 1):
        wrist = flat[:, WRISTS[side]]
        raised = (wrist[:, 1] < low - 0.1 * wide) & (scene.sure[:, WRISTS[side]] >= SURE)
        speed = _speed(scene, wrist - shoulders)
        half = scene.frames(500)
        mean = _mean(np.where(scene.sure[:, WRISTS[side]] >= SURE, speed, np.nan), half)
        found.append(np.where(raised, mean, np.nan))
    amount = np.fmax(found[0], found[1])
    why = "A raised hand moves at {amount} shoulder widths a second, for {seconds} s."
    return Signal("hand_gesture", amount, how.gesture, why, trust=0.8, least=1.5, bridge=3)


def trunk(scene: Scene, how: Propose) -> Iterator[Signal]:
    """Shoulders, trunk and head, against where they were in the seconds around."""
    import numpy as np

    flat, wide = scene.points[..., :2], scene.shoulders
    shoulders, hips = flat[:, SHOULDERS].mean(axis=1), flat[:, HIPS].mean(axis=1)
    ears, nose = flat[:, EARS].mean(axis=1), flat[:, NOSE[0]]
    both = np.asarray((scene.sure[:, SHOULDERS] >= SURE).all(axis=1))
    seconds = scene.frames(2000)

    neck = np.where(both, (shoulders[:, 1] - ears[:, 1]) / wide, np.nan)
    shrug = rolling(neck, seconds, 50) - neck
    why = "Shoulders {amount} shoulder widths nearer the ears than in the seconds around, for {seconds} s."
    yield Signal("shoulders_raised", shrug, how.shrug, why, trust=0.8)

    stands = np.asarray((scene.sure[:, HIPS] >= SURE).all(axis=1))
    lean = np.where((both & stands)[:, None], shoulders - hips, np.nan) / wide[:, None]
    free = np.where((both & ~stands)[:, None], shoulders, np.nan) / wide[:, None]
    trunk_at = lean if np.isfinite(lean).sum() >= np.isfinite(free).sum() else free
    home = np.stack([rolling(trunk_at[:, axis], 2 * seconds, 50) for axis in (0, 1)], axis=1)
    moved = length(trunk_at - home)
    seen = "over the hips" if trunk_at is lean else "in the picture"
    why = f"Shoulders {{amount}} shoulder widths from where they are most of the time {seen}, for {{seconds}} s."
    yield Signal("torso_moved", moved, how.lean, why, trust=0.8 if trunk_at is lean else 0.5, least=1.5)

    tall = np.where(both, -trunk_at[:, 1], np.nan)
    rise = tall - rolling(tall, seconds, 25)
    knees = flat[:, KNEES].mean(axis=1)
    folded = (scene.sure[:, KNEES] >= SURE).all(axis=1) & ((knees[:, 1] - hips[:, 1]) < 0.5 * wide)
    why = "The shoulders of a person who sits come up by {amount} shoulder widths, for {seconds} s."
    yield Signal("sits_up", np.where(folded, rise, np.nan), how.rise, why, trust=0.6, least=3)

    pitch = (ears[:, 1] - nose[:, 1]) / scene.face
    pitch = np.where((scene.sure[:, EARS] >= SURE).all(axis=1), pitch, np.nan)
    up = _mean(pitch, scene.frames(100)) - rolling(pitch, seconds, 10)
    why = "Nose {amount} face widths higher against the ears than in the seconds around, for {seconds} s."
    yield Signal("head_up", up, how.chin, why, trust=0.7)


def _speed(scene: Scene, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames,) shoulder widths a second, over the tenth of a second around each frame."""
    import numpy as np

    step = min(scene.frames(50), max(1, len(places) // 2))
    padded = np.pad(places, ((step, step), (0, 0)), mode="edge")
    gone = length(padded[2 * step :] - padded[: -2 * step])
    return np.asarray(gone / scene.shoulders / (2 * step) * scene.fps)


def _mean(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """The mean of what is known within `half` frames on either side."""
    import numpy as np

    known = np.isfinite(values)
    kernel = np.ones(2 * half + 1)
    total, count = (np.convolve(v, kernel)[half : half + len(values)] for v in (np.where(known, values, 0), known.astype(float)))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
