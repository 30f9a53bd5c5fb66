"""What detectors saw, as tables: face boxes per frame, and body points per frame."""

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

FACE_COLUMNS = ("frame", "track", "x0", "y0", "x1", "y1", "score", "origin")
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


def write_faces(faces: pd.DataFrame, path: Path) -> None:
    faces.sort_values(["frame", "track"], kind="stable")[list(FACE_COLUMNS)].to_parquet(path, index=False, compression="zstd")


def read_faces(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)


def boxes_by_frame(faces: pd.DataFrame) -> dict[int, NDArray[np.float32]]:
    """{frame: (n, 4) corners}, for the frames that have boxes."""
    corners = faces[["x0", "y0", "x1", "y1"]].to_numpy()
    return {frame: corners[rows] for frame, rows in faces.groupby("frame").indices.items()}  # type: ignore[misc]
