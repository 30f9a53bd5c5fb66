"""Which point is which: BlazePose and the 64 public points, bones, hands."""

from __future__ import annotations

SURE = 0.5  # confidence from which on a point is measured
SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES, HEELS, TOES = ((i, i + 1) for i in (0, 2, 4, 12, 14, 16, 18, 20))
STUBS = ((6, 7), (8, 9), (10, 11))  # of the little finger, the index finger and the thumb, as the pose has them
HANDS = (22, 43)  # first point of the left hand and of the right: the wrist

PUBLIC_POINTS = 64  # 22 of the body and 2 × 21 of the hands: no face points
PUBLIC_DIMS = 3
