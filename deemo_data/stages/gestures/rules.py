"""Arms, both hands, trunk, gestures."""

from __future__ import annotations

from collections.abc import Iterator

from deemo_data.stages.gestures.scene import (
    EARS,
    ELBOWS,
    HIPS,
    JOINTS,
    KNEES,
    KNUCKLES,
    NOSE,
    PALM,
    SHOULDERS,
    SIDES,
    SURE,
    TIPS,
    WRISTS,
    Scene,
    length,
    mean_of,
    rolling,
    speed_of,
)
from deemo_data.stages.gestures.signals import Signal
from deemo_data.stages.gestures.thresholds import Thresholds
from deemo_data.stages.gestures.touch_rules import Touches, covered, hands_together, on_places


def signals(scene: Scene, how: Thresholds) -> Iterator[Signal]:
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


def arms(scene: Scene, how: Thresholds) -> Iterator[Signal]:
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


def both_hands(scene: Scene, how: Thresholds) -> Iterator[Signal]:
    """Hands that hold one another, fingers laced, finger tips that meet. Only where both hands are seen: the pose alone cannot
    tell hands that are held from hands that are near each other."""
    import numpy as np

    left, right = scene.hands[:, 0, :, :2], scene.hands[:, 1, :, :2]
    wide = scene.shoulders
    palms = length(left[:, PALM].mean(axis=1) - right[:, PALM].mean(axis=1)) / wide
    wrapped = [length(a[:, TIPS[1:]] - b[:, KNUCKLES[1:]]).mean(axis=1) for a, b in ((left, right), (right, left))]
    around = (wrapped[0] + wrapped[1]) / 2 / wide
    still = rolling(speed_of(scene, left[:, PALM].mean(axis=1) - right[:, PALM].mean(axis=1)), scene.frames(250), 50) <= how.apart
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


def busy(scene: Scene, side: int, how: Thresholds) -> Signal:
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
    still = rolling(speed_of(scene, wrist - shoulders), scene.frames(500), 75) < how.apart
    hand = SIDES[side].capitalize()
    why = f"{hand} hand grips (thumb {{amount}} palm lengths from the index finger) and is kept still, for {{seconds}} s."
    return Signal("hand_busy", np.where(before & still, pinch, np.nan), how.grip, why, trust=0.5, below=True, least=3)


def gestures(scene: Scene, how: Thresholds) -> Signal:
    """The faster of the hands that are raised, in shoulder widths a second, the mean over a second."""
    import numpy as np

    flat, wide = scene.points[..., :2], scene.shoulders
    shoulders, hips = flat[:, SHOULDERS].mean(axis=1), flat[:, HIPS].mean(axis=1)
    low = np.where((scene.sure[:, HIPS] >= SURE).all(axis=1), hips[:, 1], shoulders[:, 1] + 1.2 * wide)
    found = []
    for side in (0, 1):
        wrist = flat[:, WRISTS[side]]
        raised = (wrist[:, 1] < low - 0.1 * wide) & (scene.sure[:, WRISTS[side]] >= SURE)
        speed = speed_of(scene, wrist - shoulders)
        half = scene.frames(500)
        mean = mean_of(np.where(scene.sure[:, WRISTS[side]] >= SURE, speed, np.nan), half)
        found.append(np.where(raised, mean, np.nan))
    amount = np.fmax(found[0], found[1])
    why = "A raised hand moves at {amount} shoulder widths a second, for {seconds} s."
    return Signal("hand_gesture", amount, how.gesture, why, trust=0.8, least=1.5, bridge=3)


def trunk(scene: Scene, how: Thresholds) -> Iterator[Signal]:
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
    up = mean_of(pitch, scene.frames(100)) - rolling(pitch, seconds, 10)
    why = "Nose {amount} face widths higher against the ears than in the seconds around, for {seconds} s."
    yield Signal("head_up", up, how.chin, why, trust=0.7)
