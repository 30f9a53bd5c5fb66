"""The geometry of a hand: its bones and palm as a shape, how two looks at one hand agree, and how it is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from deemo_data.models import mediapipe

LOOK_COLUMNS = ("frame", "look", "hand", "score", "points", "world")
"""One row a hand a frame a look: look 0 is the frame, look 1 its mirror (mirrored back); points are 21 x, y as shares of
width and height, flat; world 21 x, y, z in metres, flat."""

FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))  # knuckle to tip
PALM = (0, 1, 2, 5, 9, 13, 17)
WIDE_MM = (20.0, 17.0, 15.0)  # of the three bones of a finger as it is drawn, palm to tip
BARE = 0.75  # times as wide where source pixels show: at full width a seam of the face behind shows along each finger
STUB_MM, STUB_WIDE_MM = 50.0, 40.0  # the piece of forearm that is drawn behind the wrist
MOST_GAP = 4  # frames
LEAST_SEEN = 3  # frames; what is seen in fewer is something else, now and then in a face, that was taken for a hand
REACH_MM = 150.0  # a hand that moved further within a frame is another hand
FAST_MM = 20.0  # a frame; from here on points are not smoothed
Line = tuple[Sequence[int], Sequence[int], float]  # from, to, width in pixels
SKIN = {"y": 150, "u": 112, "v": 146}  # of the drawing: the same for everybody
OUTLINE, SHADE, LIGHT = 45, 120, 178  # its luma, at the edge and along a finger
EDGE_MM = 2.0


@dataclass(frozen=True)
class Hand:
    """One hand in one frame: points (21, 2) in pixels, depth (21,) in metres, and how many pixels a metre is there."""

    points: NDArray[np.float32]
    depth: NDArray[np.float32]
    scale: float
    filled: bool = False  # not seen in this frame, but before and after it
    motion: float = 0.0  # mm a frame, the mean of its points, towards the frame before or after, whichever is more


@dataclass
class Track:
    """One hand through time, while it is being followed."""

    hands: dict[int, Hand] = field(default_factory=dict)


def scale_of(points: NDArray[np.float32], world: NDArray[np.float32]) -> float:
    """Pixels a metre: how far the points are spread in the picture, over how far they are in the world."""
    return float((points.var(axis=0).sum() / max(float(world[:, :2].var(axis=0).sum()), 1e-9)) ** 0.5)


def apart(a: Hand, b: Hand) -> float:
    """The mean distance of two hands' points, in millimetres."""
    import numpy as np

    return float(np.linalg.norm(a.points - b.points, axis=1).mean()) / max(a.scale, b.scale, 1e-6) * 1000


def write_looks(seen: Iterable[tuple[int, int, list[mediapipe.Hand]]], path: Path) -> None:
    """(frame, look, hands) as one row a hand, zstd."""
    import pyarrow.parquet as pq

    pq.write_table(_looks(seen), path, compression="zstd")


def write_mirrored(straight: Path, mirrored: Mapping[int, list[mediapipe.Hand]], path: Path) -> None:
    """The hands of the file `straight` (look 0) in the frames of `mirrored`, and those of `mirrored` as look 1."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    first = pq.read_table(straight)
    first = first.filter(pc.is_in(first["frame"], pa.array(list(mirrored), pa.int32())))
    both = pa.concat_tables([first, _looks((f, 1, found) for f, found in mirrored.items())])
    pq.write_table(both.sort_by([(name, "ascending") for name in LOOK_COLUMNS[:3]]), path, compression="zstd")


def _looks(seen: Iterable[tuple[int, int, list[mediapipe.Hand]]]) -> pa.Table:
    import pyarrow as pa

    rows = [
        (frame, look, n, hand.score, hand.points[:, :2].ravel(), hand.world.ravel())
        for frame, look, hands in seen
        for n, hand in enumerate(hands)
    ]
    numbers = pa.list_(pa.float32())
    kinds = (pa.int32(), pa.int8(), pa.int8(), pa.float32(), numbers, numbers)
    columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(dict(zip(LOOK_COLUMNS, arrays, strict=True)))


def read_looks(path: Path, width: int, height: int) -> tuple[dict[int, list[Hand]], dict[int, list[Hand]]]:
    """{frame: hands} of the frame and of its mirror, in pixels."""
    import numpy as np
    import pyarrow.parquet as pq

    looks: tuple[dict[int, list[Hand]], dict[int, list[Hand]]] = ({}, {})
    for row in pq.read_table(path).to_pylist():
        points = np.array(row["points"], np.float32).reshape(21, 2) * np.array([width, height], np.float32)
        world = np.array(row["world"], np.float32).reshape(21, 3)
        looks[row["look"]].setdefault(row["frame"], []).append(Hand(points, world[:, 2], scale_of(points, world)))
    return looks


def follow(look: dict[int, list[Hand]]) -> dict[int, list[Hand]]:
    """The same hands, followed through time: short gaps filled, slow ones smoothed (1-2-1), and each with its motion."""
    tracks: list[Track] = []
    for frame in sorted(look):
        near = [
            (apart(track.hands[last], hand), t, n)
            for t, track in enumerate(tracks)
            if frame - (last := max(track.hands)) <= MOST_GAP + 1
            for n, hand in enumerate(look[frame])
            if apart(track.hands[last], hand) < REACH_MM * (frame - last)
        ]
        free, left = set(range(len(tracks))), set(range(len(look[frame])))
        for _, t, n in sorted(near):
            if t in free and n in left:
                tracks[t].hands[frame] = look[frame][n]
                free.remove(t)
                left.remove(n)
        tracks += [Track({frame: look[frame][n]}) for n in sorted(left)]
    found: dict[int, list[Hand]] = {}
    for track in (t for t in tracks if len(t.hands) >= LEAST_SEEN):
        for frame, hand in smoothed(filled(track.hands)).items():
            found.setdefault(frame, []).append(hand)
    return found


def filled(hands: dict[int, Hand]) -> dict[int, Hand]:
    """A hand for each frame between the first and the last, on the straight way between those that were seen."""
    seen = sorted(hands)
    whole = dict(hands)
    for a, b in pairwise(seen):
        for f in range(a + 1, b):
            share = (f - a) / (b - a)
            points, depth, scale = (
                getattr(hands[a], n) * (1 - share) + getattr(hands[b], n) * share for n in ("points", "depth", "scale")
            )
            whole[f] = Hand(points, depth, scale, filled=True)
    return dict(sorted(whole.items()))


def smoothed(hands: dict[int, Hand]) -> dict[int, Hand]:
    """Points as 1-2-1 means of three frames where the hand is slow; motion as it was before that."""
    import numpy as np

    made: dict[int, Hand] = {}
    for f, hand in hands.items():
        around = [hands[g] for g in (f - 1, f + 1) if g in hands]
        motion = max((apart(hand, other) for other in around), default=float("inf"))
        points = hand.points
        if motion < FAST_MM and len(around) == 2:
            points = np.asarray((around[0].points + 2 * hand.points + around[1].points) / 4, np.float32)
        made[f] = replace(hand, points=points, motion=motion)
    return made


def paired(first: list[Hand], second: list[Hand], same_mm: float) -> list[tuple[Hand, Hand | None]]:
    """Hands of two looks at one frame, and for each the one of the other look that is the same, if any.

    Two are the same when their points lie less than `same_mm` apart in the mean. A hand that only one look has, and one
    that each has elsewhere, stand alone.
    """
    near = sorted((apart(a, b), i, j) for i, a in enumerate(first) for j, b in enumerate(second))
    pairs: list[tuple[Hand, Hand | None]] = []
    left, right = set(range(len(first))), set(range(len(second)))
    for far, i, j in near:
        if far < REACH_MM and i in left and j in right:
            pairs.append((first[i], second[j] if far < same_mm else None))
            left.remove(i)
            right.remove(j)
    return pairs + [(first[i], None) for i in sorted(left)] + [(second[j], None) for j in sorted(right)]


def bones(hand: Hand, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width): where the hand's palm and finger bones are, thinner than the hand, so that nothing beside it shows."""
    import cv2
    import numpy as np

    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [_fixed(hand.points[list(PALM)])], 1, shift=4)
    for finger in FINGERS:
        for a, b, wide in _lines(hand, finger):
            cv2.line(mask, a, b, 1, max(1, round(wide * BARE)), shift=4)
    return mask > 0


def drawn(hand: Hand, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Luma (height, width) of a flat hand, outlined and shaded, and where it is: made of the points and nothing else."""
    import cv2
    import numpy as np

    luma, there = (np.zeros((height, width), np.uint8) for _ in range(2))
    edge = max(1, round(EDGE_MM / 1000 * hand.scale))

    coats = ((there, 1, 1.0, edge), (luma, OUTLINE, 1.0, edge), (luma, SHADE, 1.0, 0), (luma, LIGHT, 0.5, 0))

    def rods(lines: list[Line]) -> None:
        for canvas, colour, share, more in coats:
            for a, b, wide in lines:
                cv2.line(canvas, a, b, colour, max(1, round(wide * share) + 2 * more), cv2.LINE_8, 4)

    back = hand.points[0] - hand.points[[5, 9, 13, 17]].mean(axis=0)
    end = hand.points[0] + back / max(float(np.hypot(*back)), 1e-6) * STUB_MM / 1000 * hand.scale
    rods([(_fixed(hand.points[0]).tolist(), _fixed(end).tolist(), STUB_WIDE_MM / 1000 * hand.scale)])
    palm = _fixed(hand.points[list(PALM)])
    depth = float(hand.depth[list(PALM)].mean())
    fingers = sorted(FINGERS, key=lambda finger: -float(hand.depth[list(finger[1:])].mean()))
    for finger in [f for f in fingers if hand.depth[list(f[1:])].mean() > depth]:
        rods(_lines(hand, finger))
    cv2.polylines(there, [palm], True, 1, 2 * edge, cv2.LINE_8, 4)
    cv2.fillPoly(there, [palm], 1, cv2.LINE_8, 4)
    cv2.polylines(luma, [palm], True, OUTLINE, 2 * edge, cv2.LINE_8, 4)
    cv2.fillPoly(luma, [palm], SKIN["y"], cv2.LINE_8, 4)
    for finger in [f for f in fingers if hand.depth[list(f[1:])].mean() <= depth]:
        rods(_lines(hand, finger))
    return luma, there > 0


def _lines(hand: Hand, finger: tuple[int, ...]) -> list[Line]:
    """A finger's bones."""
    joints = [_fixed(hand.points[n]).tolist() for n in finger]
    return [(a, b, wide / 1000 * hand.scale) for (a, b), wide in zip(pairwise(joints), WIDE_MM, strict=True)]


def _fixed(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """As cv2 wants them with shift 4: whole sixteenths of a pixel, within what it can draw."""
    import numpy as np

    return np.asarray(np.rint(np.clip(points, -4000, 12000) * 16), np.int32)
