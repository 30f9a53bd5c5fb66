"""Makes little videos that differ from each other, also to a perceptual hash."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq

NTSC = Fraction(30000, 1001)


def write_film(path: Path, number: int, rate: Fraction = NTSC, crf: int = 18, **tags: str) -> None:
    """Write twenty frames of a pattern that depends on `number`. Another crf gives another encoding of the same pictures."""
    blocks = np.random.default_rng(number).integers(30, 225, (9, 16, 3), np.uint8)
    with av.open(str(path), "w") as out:
        out.metadata.update(tags)
        stream = out.add_stream("libx264", rate=rate, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for _ in range(20):
            picture = np.ascontiguousarray(blocks.repeat(4, 0).repeat(4, 1))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def first_row(folder: Path, split: str = "train") -> dict[str, Any]:
    return pq.read_table(folder / split / "metadata.parquet").to_pylist()[0]


def film_number(folder: Path) -> int:
    """The `number` of the video of the first clip in train."""
    return int(first_row(folder)["clip_id"][2:], 16)
