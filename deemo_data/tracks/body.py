"""Body points per frame: arrays, Parquet, heads on faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


FACE_POINTS = 11  # BlazePose's first eleven points lie on the face; a public track has none of them
BODY_POINTS = 33
HAND_POINTS = 21
"""One row a box: frame on the clip's grid, track number, corners in pixels of the upright picture,
detector score, and where the box comes from: detected, linked, held or pose."""


@dataclass(frozen=True)
class Body:
    """Body points of one clip.

    points      (frames, people, points, 3) float32: x and y as shares of the upright picture's width and height,
                z in the same unit as x, smaller is nearer; NaN where nothing was found
    confidence  (frames, people, points) float32, 0 where nothing was found

    Points are the 33 of BlazePose, then 21 of the person's left hand, then 21 of the right (75);
    in a public track the 11 face points are gone (64).
    """

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def without_face(self) -> Body:
        return Body(self.points[:, :, FACE_POINTS:], self.confidence[:, :, FACE_POINTS:])


def hand_boxes(body: Body, frame: int, width: int, height: int) -> list[NDArray[np.float32]]:
    """(x0, y0, x1, y1) in pixels of each hand seen in a frame, from a track with all 75 points."""
    import numpy as np

    boxes = []
    for hands in body.points[frame, :, BODY_POINTS:, :2].reshape(-1, HAND_POINTS, 2):
        if not np.isnan(hands).any():
            pixels = hands * np.array([width, height], np.float32)
            boxes.append(np.concatenate([pixels.min(0), pixels.max(0)]))
    return boxes


def write_body(body: Body, path: Path) -> None:
    """One row: flat float16 lists and the shape, zstd and byte stream split."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {
        "shape": pa.array([list(body.points.shape)], pa.list_(pa.int32())),
        "points": pa.array([body.points.astype(np.float16).ravel()], pa.list_(pa.float16())),
        "confidence": pa.array([body.confidence.astype(np.float16).ravel()], pa.list_(pa.float16())),
    }
    pq.write_table(pa.table(row), path, compression="zstd", use_dictionary=False,
                   use_byte_stream_split=["points.list.element", "confidence.list.element"])  # fmt: skip


def read_body(path: Path) -> Body:
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    shape = table["shape"][0].as_py()
    points = table["points"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    confidence = table["confidence"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return Body(points.reshape(shape), confidence.reshape(shape[:3]))


POSE = -1  # the track of boxes that come from the pose alone


def strangers(body: Body, table: pd.DataFrame, roles: dict[int, str], width: int, height: int) -> NDArray[np.bool_]:
    """(frames,): where the tracked head is on somebody else's face and not on the subject's. A pose that jumps from one
    person to another is theirs in turn, whoever it is in most frames."""
    own = table["track"].map(roles) == "subject"
    _, on_subject = heads_on(body, table[own], width, height)
    _, on_other = heads_on(body, table[~own & (table["track"] != POSE)], width, height)
    return on_other & ~on_subject


def heads_on(body: Body, boxes: pd.DataFrame, width: int, height: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(frames,) each: where there are a head and a box, and where the head's middle is on one (a quarter wider all round)."""
    import numpy as np

    head = body.points[:, 0, :FACE_POINTS, :2] * np.array([width, height], np.float32)
    whole = ~np.isnan(head).any(axis=(1, 2))
    middle = head.mean(axis=1)
    both, on = np.zeros(len(head), bool), np.zeros(len(head), bool)
    kept = np.isin(boxes["frame"].to_numpy(), np.nonzero(whole)[0])
    frames = boxes["frame"].to_numpy(np.int64)[kept]
    x0, y0, x1, y1 = (boxes[c].to_numpy(np.float32)[kept] for c in ("x0", "y0", "x1", "y1"))
    x, y = middle[frames].T
    room_x, room_y = (x1 - x0) / 4, (y1 - y0) / 4
    inside = (x0 - room_x <= x) & (x <= x1 + room_x) & (y0 - room_y <= y) & (y <= y1 + room_y)
    both[frames] = True
    on[frames[inside]] = True
    return both, on
