"""What hands touch, before and after: an own measure, which shares no code with the package.

Head points of the released skeleton are those that docs/data.md gives to its readers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from deemo_data.tracks.body import Body

PLACES = (
    "forehead", "eyes", "nose", "mouth", "chin", "left ear", "right ear", "neck", "collar", "chest", "belly", "left elbow",
    "right elbow",
)  # fmt: skip
# The head of a released skeleton, from the middle of the shoulders, in shoulder widths: docs/data.md.
RELEASED_HEAD = {
    0: (0, -0.58), 2: (0.07, -0.665), 5: (-0.07, -0.665), 7: (0.185, -0.60), 8: (-0.185, -0.60), 9: (0.055, -0.46),
    10: (-0.055, -0.46),
}  # fmt: skip
NEAR_PLACE = 0.35  # shoulder widths from its nearest place: a hand further away is at none
TOGETHER = 0.08  # shoulder widths between hands that touch
ON_HEAD = 1.25  # head radii from the middle of the head


def places_of(points: np.ndarray) -> np.ndarray:
    """(13, 2) the places, from the 33 points of BlazePose."""
    eyes, mouth, ears = (points[list(pair)].mean(axis=0) for pair in ((2, 5), (9, 10), (7, 8)))
    collar, hips = points[[11, 12]].mean(axis=0), points[[23, 24]].mean(axis=0)
    return np.stack([
        eyes + 1.1 * (eyes - mouth), eyes, points[0], mouth, mouth + 0.7 * (mouth - eyes), points[7], points[8],
        collar + 0.35 * (ears - collar), collar, collar + 0.35 * (hips - collar), collar + 0.75 * (hips - collar),
        points[13], points[14],
    ])  # fmt: skip


def with_head(points: np.ndarray) -> np.ndarray:
    """(33, 2) BlazePose's points of a released frame (64, 2): with the head that its readers know."""
    whole = np.zeros((33, 2))
    whole[11:] = points[:22]
    for index, place in RELEASED_HEAD.items():
        whole[index] = points[:2].mean(axis=0) + place
    return whole


@dataclass
class Contacts:
    """Pairs (before, after) of every hand in every frame; of `together`, of every frame with both hands."""

    hand: list[tuple[int, int]] = field(default_factory=list)  # number of the nearest place, of the middle of the hand
    index_tip: list[tuple[int, int]] = field(default_factory=list)
    head: list[tuple[bool, bool]] = field(default_factory=list)  # touched
    together: list[tuple[bool, bool]] = field(default_factory=list)

    def add(self, other: Contacts) -> None:
        for name in ("hand", "index_tip", "head", "together"):
            getattr(self, name).extend(getattr(other, name))


def share_kept(pairs: list[tuple[int, int]]) -> float:
    return float(np.mean([a == b for a, b in pairs]))


def f1(pairs: list[tuple[bool, bool]]) -> float:
    before, after = np.array(pairs, bool).reshape(-1, 2).T
    return float(2 * (before & after).sum() / max(before.sum() + after.sum(), 1))


def find_contacts(tracked: Body, released: Body, width: int, height: int, clear: float = 1.0) -> Contacts:
    """Compare tracked pixels with released x and y, frame by frame.

    clear  only hands that are this many times nearer to their place than to the second nearest count for `hand` and `index_tip`
    """
    found = Contacts()
    pixels = tracked.points[:, 0, :, :2].astype(float) * [width, height]
    for was, now in zip(pixels, released.points[:, 0, :, :2].astype(float), strict=True):
        if not (np.isfinite(was[:33]).all() and np.isfinite(now[:22]).all()):
            continue
        whole = with_head(now)
        hands = [(was[33 + 21 * side : 54 + 21 * side], now[22 + 21 * side : 43 + 21 * side]) for side in (0, 1)]
        both = [pair for pair in hands if all(np.isfinite(hand).all() for hand in pair)]
        widths = [float(np.hypot(*(p[11] - p[12]))) for p in (was, whole)]
        for pair in both:
            for kept, part in ((found.hand, slice(None)), (found.index_tip, slice(8, 9))):
                away = [
                    np.linalg.norm(places_of(p) - hand[part].mean(axis=0), axis=1)
                    for p, hand in zip((was, whole), pair, strict=True)
                ]
                first, second = np.sort(away[0])[:2]
                if first < NEAR_PLACE * widths[0] and second >= clear * first:
                    kept.append((int(away[0].argmin()), int(away[1].argmin())))
            touched = []
            for points, hand, shoulders in zip((was, whole), pair, widths, strict=True):
                radius = max(float(np.hypot(*(points[7] - points[8]))) / 2, 0.2 * shoulders)
                from_middle = np.linalg.norm(hand - points[[7, 8]].mean(axis=0), axis=1)
                touched.append(bool(from_middle.min() < ON_HEAD * radius))
            found.head.append((touched[0], touched[1]))
        if len(both) == 2:
            gaps = [np.linalg.norm(both[0][k][:, None] - both[1][k], axis=-1).min() for k in (0, 1)]
            found.together.append((bool(gaps[0] < TOGETHER * widths[0]), bool(gaps[1] < TOGETHER * widths[1])))
    return found
