"""Body tracks: the body and hand points of each frame, their Parquet file, and which frames show another person's body.

tracks/skeleton.py names the points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.tracks.faces import POSE_TRACK
from deemo_data.tracks.skeleton import BODY_POINTS, FACE_POINTS, HAND_POINTS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Body:
    """The body points of one clip.

    points      (frames, people, points, 3) float32: x and y as shares of the upright picture's width and height,
                z in the same unit as x, smaller is nearer; NaN for points that were not found
    confidence  (frames, people, points) float32, 0 for points that were not found

    A track has 75 points in the layout TRACKED, a public one 64 in the layout PUBLIC (tracks/skeleton.py).
    """

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def without_face(self) -> Body:
        """The track in the layout PUBLIC: without the points on the face."""
        return Body(self.points[:, :, FACE_POINTS:], self.confidence[:, :, FACE_POINTS:])


def find_hand_boxes(body: Body, frame: int, width: int, height: int) -> list[NDArray[np.float32]]:
    """Boxes (x0, y0, x1, y1) in pixels around the hands of one frame, from a track of 75 points."""
    import numpy as np

    boxes = []
    for hands in body.points[frame, :, BODY_POINTS:, :2].reshape(-1, HAND_POINTS, 2):
        if not np.isnan(hands).any():
            pixels = hands * np.array([width, height], np.float32)
            boxes.append(np.concatenate([pixels.min(0), pixels.max(0)]))
    return boxes


def write_body(body: Body, path: Path) -> None:
    """Write a Parquet file of one row: the shape, and the arrays as flat lists of float16."""
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
    """Read a file that `write_body` wrote."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    shape = table["shape"][0].as_py()
    points = table["points"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    confidence = table["confidence"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return Body(points.reshape(shape), confidence.reshape(shape[:3]))


def find_frames_of_others(body: Body, table: pd.DataFrame, roles: dict[int, str], width: int, height: int) -> NDArray[np.bool_]:
    """(frames,) True where the tracked body is another person's: its head lies on another face, and not on the subject's.

    table  face boxes (tracks/faces.py); roles: {track: role}
    A pose tracker can jump from one person to another within a clip, so each frame is decided on its own.
    """
    is_subject = table["track"].map(roles) == "subject"
    _, on_subject = match_heads_to_boxes(body, table[is_subject], width, height)
    _, on_other = match_heads_to_boxes(body, table[~is_subject & (table["track"] != POSE_TRACK)], width, height)
    return on_other & ~on_subject


def match_heads_to_boxes(body: Body, boxes: pd.DataFrame, width: int, height: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two masks (frames,): frames with a complete head and a box, and frames in which the head's middle lies in a box.

    The boxes count as wider by a quarter on each side.
    """
    import numpy as np

    head = body.points[:, 0, :FACE_POINTS, :2] * np.array([width, height], np.float32)
    complete = ~np.isnan(head).any(axis=(1, 2))
    middle = head.mean(axis=1)
    has_both, on_box = np.zeros(len(head), bool), np.zeros(len(head), bool)
    kept = np.isin(boxes["frame"].to_numpy(), np.nonzero(complete)[0])
    frames = boxes["frame"].to_numpy(np.int64)[kept]
    x0, y0, x1, y1 = (boxes[c].to_numpy(np.float32)[kept] for c in ("x0", "y0", "x1", "y1"))
    x, y = middle[frames].T
    room_x, room_y = (x1 - x0) / 4, (y1 - y0) / 4
    inside = (x0 - room_x <= x) & (x <= x1 + room_x) & (y0 - room_y <= y) & (y <= y1 + room_y)
    has_both[frames] = True
    on_box[frames[inside]] = True
    return has_both, on_box
