"""Hands near faces, detected twice per frame: in the frame and in its mirror image.

A hand detector misses other hands in the mirror image than in the frame, so TrackHands runs it on both and keeps both results
in one file. MaskVideo and Propose read the file, follow each hand through time (`follow_hands`), and pair the two results of a
frame (`pair_hands`): a hand that both passes found at the same place is reliable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.tracks.skeleton import HAND_POINTS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


HAND_COLUMNS = ("frame", "look", "hand", "score", "points", "world")
"""One row per detected hand. look: the pass, 0 for the frame, 1 for its mirror image (points are mirrored back); hand: its number
in that pass; points: 21 x, y as shares of width and height, flat; world: 21 x, y, z in metres, flat."""
MAX_GAP_FRAMES = 4
MIN_SEEN_FRAMES = 3  # a hand in fewer frames is a false hit; faces cause some
MAX_STEP_MM = 150.0  # between two frames; a hand that is further away is another hand
FAST_MM_PER_FRAME = 20.0  # faster hands are not smoothed


@dataclass(frozen=True)
class DetectedHand:
    """One hand as the network returns it.

    points  (21, 3): x and y as shares of the picture, z in the unit of x
    world   (21, 3) in metres
    """

    points: NDArray[np.float32]
    world: NDArray[np.float32]
    side: str  # "left" or "right", as the person themself would say
    score: float  # confidence of the side, 0 to 1


@dataclass(frozen=True)
class Hand:
    """One hand in one frame: points (21, 2) in pixels, depth (21,) in metres, scale in pixels per metre."""

    points: NDArray[np.float32]
    depth: NDArray[np.float32]
    scale: float
    filled: bool = False  # interpolated: detected before and after this frame, not in it
    motion: float = 0.0  # mm per frame, mean over its points, the larger of the steps from the last and to the next frame


@dataclass
class HandTrack:
    """One hand through time: {frame: hand}."""

    hands: dict[int, Hand] = field(default_factory=dict)


def measure_pixels_per_metre(points: NDArray[np.float32], world: NDArray[np.float32]) -> float:
    """Pixels per metre at a hand: the spread of its points in the picture (21, 2) over their spread in the world (21, 3)."""
    return float((points.var(axis=0).sum() / max(float(world[:, :2].var(axis=0).sum()), 1e-9)) ** 0.5)


def measure_distance_mm(a: Hand, b: Hand) -> float:
    """The mean distance of two hands' points, in millimetres."""
    import numpy as np

    return float(np.linalg.norm(a.points - b.points, axis=1).mean()) / max(a.scale, b.scale, 1e-6) * 1000


def write_hands(detections: Iterable[tuple[int, int, list[DetectedHand]]], path: Path) -> None:
    """Write (frame, pass, hands) rows as Parquet with HAND_COLUMNS; the pass is 0 for the frame, 1 for its mirror image."""
    import pyarrow.parquet as pq

    pq.write_table(_to_table(detections), path, compression="zstd")


def write_mirrored_hands(straight: Path, mirrored: Mapping[int, list[DetectedHand]], path: Path) -> None:
    """Write both passes: `mirrored` ({frame: hands}) as pass 1, and from the file `straight` the same frames as pass 0."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    first = pq.read_table(straight)
    first = first.filter(pc.is_in(first["frame"], pa.array(list(mirrored), pa.int32())))
    both = pa.concat_tables([first, _to_table((f, 1, found) for f, found in mirrored.items())])
    pq.write_table(both.sort_by([(name, "ascending") for name in HAND_COLUMNS[:3]]), path, compression="zstd")


def _to_table(detections: Iterable[tuple[int, int, list[DetectedHand]]]) -> pa.Table:
    import pyarrow as pa

    rows = [
        (frame, look, n, hand.score, hand.points[:, :2].ravel(), hand.world.ravel())
        for frame, look, hands in detections
        for n, hand in enumerate(hands)
    ]
    numbers = pa.list_(pa.float32())
    kinds = (pa.int32(), pa.int8(), pa.int8(), pa.float32(), numbers, numbers)
    columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(dict(zip(HAND_COLUMNS, arrays, strict=True)))


def read_hands(path: Path, width: int, height: int) -> tuple[dict[int, list[Hand]], dict[int, list[Hand]]]:
    """The hands of both passes, in pixels: {frame: hands} of the frames, {frame: hands} of their mirror images."""
    import numpy as np
    import pyarrow.parquet as pq

    passes: tuple[dict[int, list[Hand]], dict[int, list[Hand]]] = ({}, {})
    for row in pq.read_table(path).to_pylist():
        points = np.array(row["points"], np.float32).reshape(HAND_POINTS, 2) * np.array([width, height], np.float32)
        world = np.array(row["world"], np.float32).reshape(HAND_POINTS, 3)
        passes[row["look"]].setdefault(row["frame"], []).append(
            Hand(points, world[:, 2], measure_pixels_per_metre(points, world))
        )
    return passes


def follow_hands(detections: dict[int, list[Hand]]) -> dict[int, list[Hand]]:
    """The hands of one pass, followed through time: short gaps filled, slow hands smoothed, each with its motion.

    A hand that is detected in fewer than MIN_SEEN_FRAMES frames is dropped.
    """
    tracks: list[HandTrack] = []
    for frame in sorted(detections):
        near = [
            (measure_distance_mm(track.hands[last], hand), t, n)
            for t, track in enumerate(tracks)
            if frame - (last := max(track.hands)) <= MAX_GAP_FRAMES + 1
            for n, hand in enumerate(detections[frame])
            if measure_distance_mm(track.hands[last], hand) < MAX_STEP_MM * (frame - last)
        ]
        free_tracks, free_hands = set(range(len(tracks))), set(range(len(detections[frame])))
        for _, t, n in sorted(near):
            if t in free_tracks and n in free_hands:
                tracks[t].hands[frame] = detections[frame][n]
                free_tracks.remove(t)
                free_hands.remove(n)
        tracks += [HandTrack({frame: detections[frame][n]}) for n in sorted(free_hands)]
    followed: dict[int, list[Hand]] = {}
    for track in (t for t in tracks if len(t.hands) >= MIN_SEEN_FRAMES):
        for frame, hand in smooth_hands(fill_gaps(track.hands)).items():
            followed.setdefault(frame, []).append(hand)
    return followed


def fill_gaps(hands: dict[int, Hand]) -> dict[int, Hand]:
    """A hand for each frame from the first to the last: those in between are interpolated linearly."""
    result = dict(hands)
    for a, b in pairwise(sorted(hands)):
        for f in range(a + 1, b):
            share = (f - a) / (b - a)
            points, depth, scale = (
                getattr(hands[a], n) * (1 - share) + getattr(hands[b], n) * share for n in ("points", "depth", "scale")
            )
            result[f] = Hand(points, depth, scale, filled=True)
    return dict(sorted(result.items()))


def smooth_hands(hands: dict[int, Hand]) -> dict[int, Hand]:
    """Replace the points of a slow hand by the 1-2-1 mean of three frames. Motion is measured before smoothing."""
    import numpy as np

    result: dict[int, Hand] = {}
    for f, hand in hands.items():
        around = [hands[g] for g in (f - 1, f + 1) if g in hands]
        motion = max((measure_distance_mm(hand, other) for other in around), default=float("inf"))
        points = hand.points
        if motion < FAST_MM_PER_FRAME and len(around) == 2:
            points = np.asarray((around[0].points + 2 * hand.points + around[1].points) / 4, np.float32)
        result[f] = replace(hand, points=points, motion=motion)
    return result


def pair_hands(first: list[Hand], second: list[Hand], same_mm: float) -> list[tuple[Hand, Hand | None]]:
    """The hands of both passes of one frame as (hand, the same hand in the other pass or None).

    Two hands are the same when the mean distance of their points is below `same_mm`. Two hands that are nearest to each other
    but further apart than that (up to MAX_STEP_MM) are one hand at an uncertain place: it is listed once, with None.
    """
    near = sorted((measure_distance_mm(a, b), i, j) for i, a in enumerate(first) for j, b in enumerate(second))
    pairs: list[tuple[Hand, Hand | None]] = []
    rest_first, rest_second = set(range(len(first))), set(range(len(second)))
    for distance, i, j in near:
        if distance < MAX_STEP_MM and i in rest_first and j in rest_second:
            pairs.append((first[i], second[j] if distance < same_mm else None))
            rest_first.remove(i)
            rest_second.remove(j)
    return pairs + [(first[i], None) for i in sorted(rest_first)] + [(second[j], None) for j in sorted(rest_second)]
