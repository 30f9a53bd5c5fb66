"""Face boxes per frame: columns, Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


FACE_COLUMNS = ("frame", "track", "x0", "y0", "x1", "y1", "score", "origin")


def write_faces(faces: pd.DataFrame, path: Path) -> None:
    faces.sort_values(["frame", "track"], kind="stable")[list(FACE_COLUMNS)].to_parquet(path, index=False, compression="zstd")


def read_faces(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)


def boxes_by_frame(faces: pd.DataFrame) -> dict[int, NDArray[np.float32]]:
    """{frame: (n, 4) corners}, for the frames that have boxes."""
    corners = faces[["x0", "y0", "x1", "y1"]].to_numpy()
    return {frame: corners[rows] for frame, rows in faces.groupby("frame").indices.items()}  # type: ignore[misc]
