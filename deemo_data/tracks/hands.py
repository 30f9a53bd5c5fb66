"""Hands seen in a frame and its mirror image: Parquet, following, pairing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


LOOK_COLUMNS = ("frame", "look", "hand", "score", "points", "world")
"""One row a hand a frame a look: look 0 is the frame, look 1 its mirror (mirrored back); points are 21 x, y as shares of
width and height, flat; world 21 x, y, z in metres, flat."""
MOST_GAP = 4  # frames
LEAST_SEEN = 3  # frames; what is seen in fewer is something else, now and then in a face, that was taken for a hand
REACH_MM = 150.0  # a hand that moved further within a frame is another hand
FAST_MM = 20.0  # a frame; from here on points are not smoothed


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


def write_looks(seen: Iterable[tuple[int, int, list[DetectedHand]]], path: Path) -> None:
    """(frame, look, hands) as one row a hand, zstd."""
    import pyarrow.parquet as pq

    pq.write_table(_looks(seen), path, compression="zstd")


def write_mirrored(straight: Path, mirrored: Mapping[int, list[DetectedHand]], path: Path) -> None:
    """The hands of the file `straight` (look 0) in the frames of `mirrored`, and those of `mirrored` as look 1."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    first = pq.read_table(straight)
    first = first.filter(pc.is_in(first["frame"], pa.array(list(mirrored), pa.int32())))
    both = pa.concat_tables([first, _looks((f, 1, found) for f, found in mirrored.items())])
    pq.write_table(both.sort_by([(name, "ascending") for name in LOOK_COLUMNS[:3]]), path, compression="zstd")


def _looks(seen: Iterable[tuple[int, int, list[DetectedHand]]]) -> pa.Table:
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


@dataclass(frozen=True)
class DetectedHand:
    """One hand: points (21, 3) x, y as shares of the picture, z in the unit of x; world (21, 3) in metres."""

    points: NDArray[np.float32]
    world: NDArray[np.float32]
    side: str  # whose hand it is for the person: "left" or "right"
    score: float  # how sure the network is of the side, 0 to 1
