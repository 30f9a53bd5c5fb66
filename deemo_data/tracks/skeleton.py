"""The points of a body track by name: which index is the left wrist, which points make a finger.

A frame of a body track (tracks/body.py) holds its points in one of two layouts:

    TRACKED  75 points: the 33 of BlazePose, then 21 of the person's left hand, then 21 of the right hand
    PUBLIC   64 points: the same without BlazePose's first 11, which lie on the face

Both give pairs of indices: (the person's left, the person's right). The points of a hand are numbered from its own first
point, as MediaPipe numbers them; add `TRACKED.hands[side]` or `PUBLIC.hands[side]` for the index in the track.
"""

from __future__ import annotations

from typing import NamedTuple

MIN_CONFIDENCE = 0.5  # a point with less confidence counts as a guess, not as a measurement

FACE_POINTS = 11  # BlazePose's first points
BODY_POINTS = 33  # all of BlazePose, face included
HAND_POINTS = 21
TRACKED_POINTS = BODY_POINTS + 2 * HAND_POINTS  # 75
PUBLIC_BODY_POINTS = BODY_POINTS - FACE_POINTS  # 22
PUBLIC_POINTS = TRACKED_POINTS - FACE_POINTS  # 64
PUBLIC_DIMS = 3  # x, y, z

SIDES = ("left", "right")
Pair = tuple[int, int]


def join_pairs(starts: Pair, ends: Pair) -> tuple[Pair, Pair]:
    """The two bones between two pairs of points: (start, end) on the left, then on the right."""
    return (starts[0], ends[0]), (starts[1], ends[1])


class Skeleton(NamedTuple):
    """The indices of the named points in one layout. A left and a right point are also the ends of a bone across the body."""

    shoulders: Pair
    elbows: Pair
    wrists: Pair
    little_fingers: Pair  # BlazePose's own points of the hand: where these three fingers begin
    index_fingers: Pair
    thumbs: Pair
    hips: Pair
    knees: Pair
    ankles: Pair
    heels: Pair
    toes: Pair
    hands: Pair  # first point of each hand: its wrist

    @property
    def upper_arms(self) -> tuple[Pair, Pair]:
        return join_pairs(self.shoulders, self.elbows)

    @property
    def forearms(self) -> tuple[Pair, Pair]:
        return join_pairs(self.elbows, self.wrists)

    @property
    def flanks(self) -> tuple[Pair, Pair]:
        return join_pairs(self.shoulders, self.hips)

    @property
    def thighs(self) -> tuple[Pair, Pair]:
        return join_pairs(self.hips, self.knees)

    @property
    def shins(self) -> tuple[Pair, Pair]:
        return join_pairs(self.knees, self.ankles)


TRACKED = Skeleton(
    shoulders=(11, 12), elbows=(13, 14), wrists=(15, 16), little_fingers=(17, 18), index_fingers=(19, 20), thumbs=(21, 22),
    hips=(23, 24), knees=(25, 26), ankles=(27, 28), heels=(29, 30), toes=(31, 32), hands=(33, 54),
)  # fmt: skip
PUBLIC = Skeleton._make((left - FACE_POINTS, right - FACE_POINTS) for left, right in TRACKED)

# The face, in TRACKED only.
NOSE = 0
EYES, EARS, MOUTH = (2, 5), (7, 8), (9, 10)

# Within a hand, thumb first.
WRIST = 0
FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))  # base to tip
FINGERTIPS = (4, 8, 12, 16, 20)
KNUCKLES = (2, 5, 9, 13, 17)
MIDDLE_JOINTS = (6, 10, 14, 18)  # not of the thumb
PALM = (WRIST, *KNUCKLES[1:])
PALM_OUTLINE = (WRIST, 1, *KNUCKLES)
