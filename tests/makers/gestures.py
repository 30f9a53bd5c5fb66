"""Makers that tests of several packages share; taken from stages/gestures/test_select."""

from __future__ import annotations

import numpy as np

from deemo_data.stages.gestures.scene import Scene, build_scene

FPS = 25.0
# Somebody upright before the camera: in shoulder widths from the middle between the shoulders, x to the right in the picture,
# y down; the person's left is to the right. A face is 0.44 wide, its eyes 0.68 above the shoulders.
FACE, EYES_Y = 0.44, -0.68
PERSON = {
    0: (0, -0.58), 1: (0.05, -0.69), 2: (0.1, EYES_Y), 3: (0.14, -0.69), 4: (-0.05, -0.69), 5: (-0.1, EYES_Y), 6: (-0.14, -0.69),
    7: (0.2, -0.64), 8: (-0.2, -0.64), 9: (0.07, -0.47), 10: (-0.07, -0.47), 11: (0.5, 0), 12: (-0.5, 0),
    13: (0.6, 0.7), 14: (-0.6, 0.7), 15: (0.65, 1.4), 16: (-0.65, 1.4), 17: (0.66, 1.6), 18: (-0.66, 1.6), 19: (0.64, 1.62),
    20: (-0.64, 1.62), 21: (0.62, 1.55), 22: (-0.62, 1.55), 23: (0.3, 1.3), 24: (-0.3, 1.3), 25: (0.3, 2.3), 26: (-0.3, 2.3),
    27: (0.3, 3.3), 28: (-0.3, 3.3), 29: (0.3, 3.4), 30: (-0.3, 3.4), 31: (0.35, 3.45), 32: (-0.35, 3.45),
}  # fmt: skip
SHOULDER_PX = 140.0


def flat_hand(wrist: tuple[float, float], toward: tuple[float, float], size: float = 0.27) -> np.ndarray:
    """(21, 2) an open hand with palms of `size`, fingers along `toward` from the wrist, in shoulder widths."""
    along = np.array(toward) / np.hypot(*toward)
    across = np.array([-along[1], along[0]])
    points = [
        np.zeros(2),
        0.3 * along - 0.3 * across,
        0.5 * along - 0.45 * across,
        0.7 * along - 0.5 * across,
        0.85 * along - 0.5 * across,
    ]
    for finger in (-0.27, -0.05, 0.15, 0.33):
        points += [reach * along + finger * across for reach in (1.0, 1.4, 1.65, 1.85)]
    return np.array(wrist) + size * np.array(points)


class Acting:
    """A person who stands still, until told otherwise: positions in shoulder widths, times in seconds."""

    def __init__(self, seconds: float = 4.0, fps: float = FPS) -> None:
        self.fps, self.count = fps, round(seconds * fps)
        self.body = np.tile(np.array([PERSON[n] for n in range(33)], float), (self.count, 1, 1))
        self.sure = np.ones((self.count, 75), np.float32)
        self.hands = np.full((self.count, 2, 21, 2), np.nan)

    def during(self, start: float, end: float) -> slice:
        return slice(round(start * self.fps), round(end * self.fps))

    def hand(
        self, side: int, start: float, end: float, tips: tuple[float, float], wrist: tuple[float, float], size: float = 0.27
    ) -> Acting:
        """The hand with its middle finger's tip at `tips`, as seen from `wrist`; the pose follows."""
        toward = np.subtract(tips, wrist)
        root = tuple(np.array(tips) - 1.85 * size * toward / np.hypot(*toward))
        when, points = self.during(start, end), flat_hand(root, tuple(toward), size)
        self.hands[when, side] = points
        self.body[when, [15, 17, 19, 21][0] + side] = points[0]
        for stub, joint in ((17, 17), (19, 5), (21, 2)):
            self.body[when, stub + side] = points[joint]
        self.body[when, 13 + side] = (0.75 if side == 0 else -0.75, 0.5)
        return self

    def move(self, points: tuple[int, ...], start: float, end: float, by: tuple[float, float]) -> Acting:
        self.body[self.during(start, end), points] += by
        return self

    def scene(
        self, scale: float = SHOULDER_PX, at: tuple[float, float] = (320.0, 200.0), picture: tuple[int, int] | None = None
    ) -> Scene:
        every = np.concatenate([self.body, self.hands.reshape(self.count, 42, 2)], axis=1) * scale + at
        points = np.concatenate([every, np.zeros((self.count, 75, 1))], axis=2).astype(np.float32)
        sure = np.where(np.isfinite(points[..., 0]), self.sure, 0).astype(np.float32)
        faces = np.full((self.count, 2), [FACE * scale, 1.3 * FACE * scale], np.float32)
        return build_scene(points, sure, faces, self.fps, picture=picture)


def face_at(x: float, y: float) -> tuple[float, float]:
    """A place of the face in shoulder widths: x, y in face widths from the eyes, y up."""
    return x * FACE, EYES_Y - y * FACE


def touching(x: float, y: float, size: float = 0.27, seconds: float = 1.0) -> Acting:
    side, out = (0, 0.9) if x >= 0 else (1, -0.9)
    return Acting().hand(side, 1.5, 1.5 + seconds, face_at(x, y), (out, 0.2), size)


def folded(wrists: float) -> Acting:
    a = Acting()
    when = a.during(1, 3)
    a.body[when, 13], a.body[when, 14] = (0.55, 0.65), (-0.55, 0.65)
    a.body[when, 15], a.body[when, 16] = (-wrists, 0.6), (wrists, 0.6)
    return a


def on_hips(elbows: float) -> Acting:
    a = Acting()
    when = a.during(1, 3)
    a.body[when, 13], a.body[when, 14] = (elbows, 0.75), (-elbows, 0.75)
    a.body[when, 15], a.body[when, 16] = (0.4, 1.2), (-0.4, 1.2)
    return a


def behind(confidence: float) -> Acting:
    a = Acting()
    when = a.during(1, 3)
    a.body[when, 15], a.body[when, 16] = (0.2, 1.2), (-0.2, 1.2)
    a.sure[when, 15:17] = confidence
    return a


def holding(gap: float, tips_up: bool = False) -> Acting:
    """Both hands before the chest; `gap` is how far the tips stop short of the other hand's knuckles (or, upwards, tips)."""
    a = Acting()
    if tips_up:
        return a.hand(0, 1, 3, (gap / 2, 0.15), (0.45, 0.9)).hand(1, 1, 3, (-gap / 2, 0.15), (-0.45, 0.9))
    return a.hand(0, 1, 3, (-0.11 + gap, 0.6), (0.6, 0.64)).hand(1, 1, 3, (0.11 - gap, 0.64), (-0.6, 0.6))


def interlaced(shift: float) -> Acting:
    """Fingers of both hands side by side, one of the other hand between each two, or (shifted) one hand's below the other's."""
    a = Acting()
    left, right = flat_hand((0.3, 0.6), (-1, 0)), flat_hand((-0.3, 0.6), (1, 0))
    for finger, y in enumerate((0.5, 0.56, 0.62, 0.68)):
        left[5 + 4 * finger : 9 + 4 * finger, 1], right[5 + 4 * finger : 9 + 4 * finger, 1] = y, y + shift
        left[5 + 4 * finger : 9 + 4 * finger, 0] = (0.1, 0.04, -0.02, -0.08)
        right[5 + 4 * finger : 9 + 4 * finger, 0] = (-0.1, -0.04, 0.02, 0.08)
    when = a.during(1, 3)
    a.hands[when, 0], a.hands[when, 1] = left, right
    a.body[when, 15], a.body[when, 16] = left[0], right[0]
    return a


def pinching(open_by: float) -> Acting:
    a = Acting().hand(1, 0.5, 3.5, (-0.1, 0.8), (-0.8, 0.9))
    when = a.during(0.5, 3.5)
    a.hands[when, 1, 4] = a.hands[when, 1, 8] + (0, open_by)
    return a


def waving(reach: float, y: float = 0.4) -> Acting:
    a = Acting()
    times = np.arange(a.count) / a.fps
    a.body[:, 16] = np.stack([-0.6 + reach * np.sin(2 * np.pi * 1.2 * times), np.full(a.count, y)], axis=1)
    return a


def seated(rise: float) -> Acting:
    a = Acting(8)
    a.body[:, 25], a.body[:, 26] = (0.4, 1.45), (-0.4, 1.45)
    upper = tuple(n for n in range(23))
    return a.move(upper, 4, 6, (0, -rise))


# Of each rule: somebody who does what it is for, and a near miss.
HEAD, UPPER = tuple(range(11)), tuple(range(23))
ACTED: dict[str, tuple[Acting, Acting]] = {
    "hand_on_eyes": (touching(0.25, 0.0), touching(1.0, 0.0)),
    "hand_on_ear": (touching(0.54, -0.12), touching(1.0, -0.12)),
    "hand_on_forehead": (touching(0.1, 0.42), touching(0.1, 0.42, seconds=0.2)),
    "hand_on_jaw": (touching(0.3, -0.84), touching(0.3, -0.84, size=0.45)),
    "hand_on_face": (touching(0.2, -0.38), touching(0.2, -0.38, size=0.45)),
    "hand_in_hair": (touching(0.66, -0.75), touching(1.1, -0.75)),
    "hand_on_head": (touching(0.2, 0.95), touching(1.3, 1.2)),
    "hand_on_neck": (touching(0.1, -1.15), touching(0.9, -1.25)),
    "hand_on_notch": (Acting().hand(0, 1.5, 2.5, (0.0, -0.04), (0.8, 0.4)), Acting().hand(0, 1.5, 2.5, (0.0, 0.4), (0.8, 0.6))),
    "hand_over_face": (Acting().hand(0, 1.5, 2.5, face_at(-0.1, 0.35), face_at(0.1, -3), 0.26), touching(0.3, 0.0)),
    "arms_folded": (folded(0.35), folded(0.05)),
    "arms_akimbo": (on_hips(0.95), on_hips(0.45)),
    "arms_behind": (behind(0.1), behind(0.7)),
    "hands_held": (holding(0.0), holding(0.3)),
    "minaret": (holding(0.04, tips_up=True), holding(0.3, tips_up=True)),
    "fingers_crossed": (interlaced(0.03), interlaced(0.26)),
    "hand_busy": (pinching(0.05), pinching(0.3)),
    "hand_gesture": (waving(0.2), waving(0.2, y=1.4)),
    "shoulders_raised": (Acting(8).move((11, 12), 4, 5, (0, -0.14)), Acting(8).move(UPPER, 4, 5, (0, -0.14))),
    "torso_moved": (Acting(8).move(UPPER, 5, 6, (0.35, 0.0)), Acting(8).move(tuple(range(33)), 5, 6, (0.35, 0.0))),
    "sits_up": (seated(0.2), seated(0.05)),
    "head_up": (Acting(8).move((0, 9, 10), 4, 5, (0, -0.08)), Acting(8).move(HEAD, 4, 5, (0, -0.08))),
}  # fmt: skip
