"""Rules for arms, both hands, gestures and the trunk, and `measure_signals`, which runs all rules on a scene.

Each rule takes a `Scene` (scene.py) and yields `Signal`s (signals.py): an amount per frame and the threshold from which the rule
holds. The rules for hands at the head are in touch_rules.py. Next: select.py, which turns signals into proposals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from deemo_data.stages.gestures.scene import Scene, measure_speed, planar_lengths, rolling_mean, rolling_percentile
from deemo_data.stages.gestures.signals import Signal
from deemo_data.stages.gestures.thresholds import Thresholds
from deemo_data.stages.gestures.touch_rules import HandsFromFace, are_hands_together, measure_face_cover, measure_touches
from deemo_data.tracks.skeleton import EARS, FINGERTIPS, KNUCKLES, MIDDLE_JOINTS, NOSE, PALM, SIDES, TRACKED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def measure_signals(scene: Scene, thresholds: Thresholds) -> Iterator[Signal]:
    """The signals of all rules on a scene, for the left hand and the right; NaN where a point that a rule needs is not seen."""
    import numpy as np

    for signal in measure_all(scene, thresholds):
        yield replace(signal, amount=np.where(scene.has_points(signal.needs), signal.amount, np.nan))


def measure_all(scene: Scene, thresholds: Thresholds) -> Iterator[Signal]:
    """The signals of all rules, whether the points that they need are seen or not."""
    touches = HandsFromFace.of_scene(scene)
    for side in (0, 1):
        yield from measure_touches(scene, touches, side, thresholds)
    yield measure_face_cover(touches, thresholds)
    yield from measure_arms(scene, thresholds)
    yield from measure_both_hands(scene, thresholds)
    for side in (0, 1):
        yield measure_busy_hand(scene, side, thresholds)
    yield measure_gestures(scene, thresholds)
    yield from measure_trunk(scene, thresholds)


def measure_arms(scene: Scene, thresholds: Thresholds) -> Iterator[Signal]:
    """Folded arms, hands on hips, arms behind the back: by wrists, elbows and hips, in shoulder widths.

    Folded arms and arms behind the back hide wrists. There, a guess is enough, if it lies in the picture.
    """
    import numpy as np

    width = scene.shoulder_width[:, None]
    flat = scene.points[..., :2]
    has_wrists = np.stack([scene.has_points((wrist,)) for wrist in TRACKED.wrists], axis=1)
    wrists_in_picture = scene.in_picture[:, TRACKED.wrists].all(axis=1)
    wrists, elbows, hips, shoulders = (flat[:, n] for n in (TRACKED.wrists, TRACKED.elbows, TRACKED.hips, TRACKED.shoulders))
    side = np.sign(shoulders[:, :1, 0] - shoulders[:, 1:, 0])  # 1 where the person's left is to the right in the picture
    crossed = (wrists[:, 0, 0] - wrists[:, 1, 0]) * side[:, 0] < 0
    to_other_elbow = (planar_lengths(wrists - elbows[:, ::-1]) / width).max(axis=1)
    folded = np.where(crossed & wrists_in_picture & has_wrists.any(axis=1), to_other_elbow, np.nan)
    why = "Each wrist {amount} shoulder widths from the other elbow, arms crossed, for {seconds} s."
    yield Signal("arms_folded", TRACKED.shoulders + TRACKED.elbows, folded, thresholds.arm, why, trust=0.9, below=True)

    outwards = (elbows[..., 0] - wrists[..., 0]) * side * [1, -1] / width  # how far the elbow is further out than the wrist
    bent = (elbows[..., 1] < wrists[..., 1]) & (outwards > 0.15)
    bent &= np.stack([scene.has_points(arm) for arm in zip(TRACKED.elbows, TRACKED.wrists, TRACKED.hips, strict=True)], axis=1)
    to_hip = np.where(bent, planar_lengths(wrists - hips) / width, np.nan)
    to_hip = np.fmin(to_hip[:, 0], to_hip[:, 1])
    why = "A wrist {amount} shoulder widths from the hip, the elbow further out, for {seconds} s."
    yield Signal("arms_akimbo", TRACKED.shoulders, to_hip, thresholds.arm, why, trust=0.9, below=True)

    hidden = 1 - scene.confidence[:, TRACKED.wrists].max(axis=1)
    bottom, top = hips[..., 1].max(axis=1), shoulders[..., 1].min(axis=1)
    before_trunk = ((wrists[..., 1] > top[:, None]) & (wrists[..., 1] < bottom[:, None] + 0.4 * width)).all(axis=1)
    behind = before_trunk & wrists_in_picture & ~np.isfinite(scene.hands[..., 0, 0]).any(axis=1)
    why = "Elbows and hips are seen, neither hand is, and the pose is {amount} sure that both wrists are hidden, for {seconds} s."
    needs = TRACKED.shoulders + TRACKED.elbows + TRACKED.hips
    yield Signal("arms_behind", needs, np.where(behind, hidden, np.nan), 0.5, why, trust=0.7, min_duration_factor=2)


def measure_both_hands(scene: Scene, thresholds: Thresholds) -> Iterator[Signal]:
    """Hands that hold each other, interlaced fingers, finger tips that meet.

    Only where both hands are seen: the pose alone does not tell hands that hold each other from hands that are near each other.
    They need no other point of the body.
    """
    import numpy as np

    left, right = scene.hands[:, 0, :, :2], scene.hands[:, 1, :, :2]
    width = scene.shoulder_width
    between_palms = left[:, PALM].mean(axis=1) - right[:, PALM].mean(axis=1)
    palms = planar_lengths(between_palms) / width
    to_knuckles = [
        planar_lengths(a[:, FINGERTIPS[1:]] - b[:, KNUCKLES[1:]]).mean(axis=1) for a, b in ((left, right), (right, left))
    ]
    around = (to_knuckles[0] + to_knuckles[1]) / 2 / width
    still = rolling_percentile(measure_speed(scene, between_palms), scene.frames_of_ms(250), 50) <= thresholds.apart
    around = np.where(still, around, np.nan)

    joints = np.concatenate([left[:, MIDDLE_JOINTS], right[:, MIDDLE_JOINTS]], axis=1)
    axis = left[:, MIDDLE_JOINTS[0]] - left[:, MIDDLE_JOINTS[-1]]
    along_axis = np.argsort((joints * axis[:, None]).sum(axis=-1), axis=1)
    owner = along_axis // len(MIDDLE_JOINTS)  # 0 where the joint is of the left hand, 1 of the right
    alternations = (np.diff(owner, axis=1) != 0).mean(axis=1)
    between_tips = np.sort(planar_lengths(left[:, FINGERTIPS] - right[:, FINGERTIPS]), axis=1)[:, :4].mean(axis=1) / width
    up = np.min([hand[:, 0, 1] - hand[:, FINGERTIPS].mean(axis=1)[:, 1] for hand in (left, right)], axis=0) > 0.1 * width

    minaret = np.where(up & (palms > 0.2) & (palms > 2.5 * between_tips), between_tips, np.nan)
    why = "Finger tips of both hands {amount} shoulder widths apart, upwards, the palms further, for {seconds} s."
    yield Signal("minaret", (), minaret, thresholds.tips, why, trust=0.8, below=True, min_duration_factor=2)
    interlaced = np.where(around <= thresholds.around, alternations, np.nan)
    why = "Hands around each other and {amount} of neighbouring fingers belong to different hands, for {seconds} s."
    yield Signal("fingers_crossed", (), interlaced, thresholds.laced, why, trust=0.6)
    why = "Fingers of each hand {amount} shoulder widths from the knuckles of the other, moving as one, for {seconds} s."
    yield Signal("hands_held", (), around, thresholds.around, why, trust=0.9, below=True, max_gap_factor=3)


def measure_busy_hand(scene: Scene, side: int, thresholds: Thresholds) -> Signal:
    """A hand that grips, in front of the trunk and almost at rest. What it holds, if anything, a track does not tell."""
    import numpy as np

    joints = scene.hands[:, side]
    pinch = planar_lengths(joints[:, 4] - joints[:, 8]) / np.maximum(planar_lengths(joints[:, 9] - joints[:, 0]), 1e-6)
    flat, width = scene.points[..., :2], scene.shoulder_width
    wrist, shoulders, bottom = flat[:, TRACKED.wrists[side]], flat[:, TRACKED.shoulders].mean(axis=1), find_bottom(scene)
    before_trunk = (wrist[:, 1] > shoulders[:, 1]) & (wrist[:, 1] < bottom)
    before_trunk &= np.abs(wrist[:, 0] - shoulders[:, 0]) < 0.7 * width
    still = rolling_percentile(measure_speed(scene, wrist - shoulders), scene.frames_of_ms(500), 75) < thresholds.apart
    amount = np.where(before_trunk & ~are_hands_together(scene) & still, pinch, np.nan)
    hand = SIDES[side].capitalize()
    why = f"{hand} hand grips (thumb {{amount}} palm lengths from the index finger) and is kept still, for {{seconds}} s."
    return Signal(
        "hand_busy",
        (*TRACKED.shoulders, TRACKED.wrists[side]),
        amount,
        thresholds.grip,
        why,
        trust=0.5,
        below=True,
        min_duration_factor=3,
    )


def measure_gestures(scene: Scene, thresholds: Thresholds) -> Signal:
    """The speed of the faster raised hand in shoulder widths per second, averaged over a second."""
    import numpy as np

    flat, width = scene.points[..., :2], scene.shoulder_width
    shoulders, bottom = flat[:, TRACKED.shoulders].mean(axis=1), find_bottom(scene)
    speeds = []
    for index in TRACKED.wrists:
        wrist, has_wrist = flat[:, index], scene.has_points([index])
        raised = (wrist[:, 1] < bottom - 0.1 * width) & has_wrist
        speed = np.where(has_wrist, measure_speed(scene, wrist - shoulders), np.nan)
        speeds.append(np.where(raised, rolling_mean(speed, scene.frames_of_ms(500)), np.nan))
    why = "A raised hand moves at {amount} shoulder widths a second, for {seconds} s."
    amount = np.fmax(speeds[0], speeds[1])
    return Signal(
        "hand_gesture", TRACKED.shoulders, amount, thresholds.gesture, why, trust=0.8, min_duration_factor=1.5, max_gap_factor=3
    )


def find_bottom(scene: Scene) -> NDArray[np.float64]:
    """(frames,) y of the hips; where they are not seen, 1.2 shoulder widths below the shoulders."""
    import numpy as np

    shoulders, hips = (scene.points[:, pair, 1].mean(axis=1) for pair in (TRACKED.shoulders, TRACKED.hips))
    return np.where(scene.has_points(TRACKED.hips), hips, shoulders + 1.2 * scene.shoulder_width)


def measure_trunk(scene: Scene, thresholds: Thresholds) -> Iterator[Signal]:
    """Shoulders, trunk and head, compared with their position in the seconds before and after."""
    import numpy as np

    flat, width = scene.points[..., :2], scene.shoulder_width
    shoulders, hips = flat[:, TRACKED.shoulders].mean(axis=1), flat[:, TRACKED.hips].mean(axis=1)
    ears, nose = flat[:, EARS].mean(axis=1), flat[:, NOSE]
    has_shoulders, has_hips = scene.has_points(TRACKED.shoulders), scene.has_points(TRACKED.hips)
    half = scene.frames_of_ms(2000)

    neck = np.where(has_shoulders, (shoulders[:, 1] - ears[:, 1]) / width, np.nan)
    shrug = rolling_percentile(neck, half, 50) - neck
    why = "Shoulders {amount} shoulder widths nearer the ears than in the seconds around, for {seconds} s."
    yield Signal("shoulders_raised", TRACKED.shoulders + EARS, shrug, thresholds.shrug, why, trust=0.8)

    over_hips = np.where((has_shoulders & has_hips)[:, None], shoulders - hips, np.nan) / width[:, None]
    in_picture = np.where((has_shoulders & ~has_hips)[:, None], shoulders, np.nan) / width[:, None]
    by_hips = np.isfinite(over_hips).sum() >= np.isfinite(in_picture).sum()
    position = over_hips if by_hips else in_picture
    home = np.stack([rolling_percentile(position[:, axis], 2 * half, 50) for axis in (0, 1)], axis=1)
    place = "over the hips" if by_hips else "in the picture"
    why = f"Shoulders {{amount}} shoulder widths from where they are most of the time {place}, for {{seconds}} s."
    trust = 0.8 if by_hips else 0.5
    yield Signal(
        "torso_moved",
        TRACKED.shoulders,
        planar_lengths(position - home),
        thresholds.lean,
        why,
        trust=trust,
        min_duration_factor=1.5,
    )

    height = np.where(has_shoulders, -position[:, 1], np.nan)
    rise = height - rolling_percentile(height, half, 25)
    knees = flat[:, TRACKED.knees].mean(axis=1)
    seated = (knees[:, 1] - hips[:, 1]) < 0.5 * width
    why = "The shoulders of a person who sits come up by {amount} shoulder widths, for {seconds} s."
    needs = TRACKED.shoulders + TRACKED.hips + TRACKED.knees
    yield Signal("sits_up", needs, np.where(seated, rise, np.nan), thresholds.rise, why, trust=0.6, min_duration_factor=3)

    pitch = (ears[:, 1] - nose[:, 1]) / scene.face_width
    pitch = np.where(scene.has_points(EARS), pitch, np.nan)
    up = rolling_mean(pitch, scene.frames_of_ms(100)) - rolling_percentile(pitch, half, 10)
    why = "Nose {amount} face widths higher against the ears than in the seconds around, for {seconds} s."
    yield Signal("head_up", (*EARS, NOSE), up, thresholds.chin, why, trust=0.7)
