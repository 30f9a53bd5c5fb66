"""Face boxes per frame: the table that FindFaces writes and the masks, roles and audit read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


FACE_COLUMNS = ("frame", "track", "x0", "y0", "x1", "y1", "score", "origin")
"""One row per box: frame on the clip's grid, track number (POSE_TRACK for boxes from the pose alone), corners in pixels of the
upright picture, detector score, and where the box comes from: detected, linked, held or pose."""
POSE_TRACK = -1


def write_faces(faces: pd.DataFrame, path: Path) -> None:
    """Write the table as Parquet, sorted by frame and track."""
    faces.sort_values(["frame", "track"], kind="stable")[list(FACE_COLUMNS)].to_parquet(path, index=False, compression="zstd")


def read_faces(path: Path) -> pd.DataFrame:
    """Read a table that `write_faces` wrote."""
    import pandas as pd

    return pd.read_parquet(path)


def boxes_by_frame(faces: pd.DataFrame) -> dict[int, NDArray[np.float32]]:
    """{frame: (n, 4) corners in pixels}, for the frames that have boxes."""
    corners = faces[["x0", "y0", "x1", "y1"]].to_numpy()
    return {frame: corners[rows] for frame, rows in faces.groupby("frame").indices.items()}  # type: ignore[misc]
