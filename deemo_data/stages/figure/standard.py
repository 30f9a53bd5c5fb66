"""Lengths and places of the standard figure, the same for everybody.

The unit is the shoulder width: the distance of BlazePose's two shoulder points, which lie in the joints (about 33 cm in adults).
Lengths and head are our own values, near what BlazePose sees in the few adults of our test footage; those of the legs are in
proportion to them after Drillis and Contini (1966, in Winter 2009).
"""

from __future__ import annotations

from deemo_data.tracks.skeleton import EARS, EYES, MOUTH, NOSE, TRACKED, Pair

SHOULDER_WIDTH = 1.0
TRUNK_LENGTH = 1.5  # midpoint of the shoulders to midpoint of the hips
HIP_WIDTH = 0.58
UPPER_ARM_LENGTH = 0.86
FOREARM_LENGTH = 0.76
PALM_LENGTH = 0.25  # wrist to middle knuckle

# Bones of the track that end an arm or a leg: (starts, ends, length).
POSE_FINGER_BONES: tuple[tuple[Pair, Pair, float], ...] = (
    (TRACKED.wrists, TRACKED.little_fingers, 0.27), (TRACKED.wrists, TRACKED.index_fingers, 0.28),
    (TRACKED.wrists, TRACKED.thumbs, 0.20),
)  # fmt: skip
LEG_BONES: tuple[tuple[Pair, Pair, float], ...] = (
    (TRACKED.hips, TRACKED.knees, 1.25), (TRACKED.knees, TRACKED.ankles, 1.25), (TRACKED.ankles, TRACKED.heels, 0.22),
    (TRACKED.ankles, TRACKED.toes, 0.55),
)  # fmt: skip
# Of the hand, in the order of FINGERS: from the wrist to the first joint, and so on to the tip.
FINGER_BONE_LENGTHS = (
    (0.107, 0.119, 0.089, 0.071), (0.25, 0.119, 0.071, 0.06), (0.25, 0.125, 0.077, 0.06), (0.238, 0.113, 0.071, 0.06),
    (0.22, 0.089, 0.054, 0.054),
)  # fmt: skip

# The head is straight up on the shoulders and looks into the camera: (x, y) from the midpoint of the shoulders. It is nowhere in
# the public track: these places say where on the figure a hand at the head lies.
NECK_LENGTH = 0.60  # midpoint of the shoulders to midpoint of the ears
HEAD_RADIUS = 0.185  # half the distance of the ears
FACE_LENGTH = 0.205  # eyes to mouth
HEAD_POINTS: dict[int, tuple[float, float]] = {
    NOSE: (0.0, -0.58), EYES[0]: (0.07, -0.665), EYES[1]: (-0.07, -0.665), MOUTH[0]: (0.055, -0.46), MOUTH[1]: (-0.055, -0.46),
    EARS[0]: (HEAD_RADIUS, -NECK_LENGTH), EARS[1]: (-HEAD_RADIUS, -NECK_LENGTH),
}  # fmt: skip
