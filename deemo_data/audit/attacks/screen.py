"""Attack on the picture: which known names a text recogniser can still read in it.

The attacker looks closer than the stage that covers text: at more pixels, and at every candidate line. Near matches count:
letters that run together, and spelling errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.audit.attacks.text import NameRecall, extract_folded_words, is_near_name
from deemo_data.clip import Clip, Grid
from deemo_data.files import File

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LONGEST_SIDE_PX = 1280  # longer side of the picture that the detector sees
DETECTOR_THRESHOLD = 0.3
EXACT_NAME_LETTERS = 4  # a name part with at most this many letters must be a word of its own
MIN_LIKENESS_PERCENT = 85  # match within a line in which the network missed the spaces


def read_text_of_file(path: Path, every: int = 25) -> list[str]:
    """All lines that can be read in every `every`-th frame of a video file, starting at frame 0."""
    from deemo_data.media import probe

    fact = probe.probe_video(path)["grid"]
    grid = Grid.of(fact)
    return read_text_of_clip(Clip("", "", 0, grid.ms_at(grid.frames), {"source": File(str(path), "")}, {"grid": fact}), every)


def read_text_of_clip(clip: Clip, every: int = 25) -> list[str]:
    """All lines that can be read in every `every`-th frame of a clip's source footage."""
    from deemo_data.media import frames

    return [line for frame in frames.read_frames(clip, every) for line in read_text(frame.rgb())]


def read_text(rgb: NDArray[np.uint8]) -> list[str]:
    """The lines that can be read in one picture (h, w, 3), RGB."""
    import cv2
    import numpy as np

    from deemo_data.models.text import ocr

    width, height = ocr.choose_input_size(rgb.shape[1], rgb.shape[0], LONGEST_SIDE_PX)
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1]
    quads, _ = ocr.find_lines(ocr.load(), np.ascontiguousarray(small), DETECTOR_THRESHOLD)
    quads *= np.array([rgb.shape[1] / width, rgb.shape[0] / height], np.float32)
    texts = (ocr.read_line(ocr.load_reader(), rgb, quad)[0] for quad in quads)
    return [text for text in texts if text.strip()]


def recall_names_in_lines(names: list[str], texts: list[str]) -> NameRecall:
    """How many of the names can be read in the lines, never which ones. Each part of a full name counts as a name."""
    from rapidfuzz import fuzz

    parts = sorted({p for name in names for p in extract_folded_words(name) if len(p) > 1})
    lines = [extract_folded_words(text) for text in texts]
    words, rows = {w for line in lines for w in line}, {"".join(line) for line in lines}
    exact = [p for p in parts if p in words or (len(p) > EXACT_NAME_LETTERS and any(p in row for row in rows))]
    near = [
        p
        for p in parts
        if p not in exact
        and (
            any(is_near_name(p, w) for w in words)
            or (
                len(p) > EXACT_NAME_LETTERS
                and any(len(row) >= len(p) and fuzz.partial_ratio(p, row) >= MIN_LIKENESS_PERCENT for row in rows)
            )
        )
    ]
    share = (len(exact) + len(near)) / len(parts) if parts else 0.0
    return NameRecall(len(parts), len(exact), len(near), share)
