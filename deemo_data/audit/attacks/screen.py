"""Attack on the picture: which known names can still be read in it, by the network that reads text in photographs.

The attacker looks harder than the stage that covers text: at more pixels, and at whatever may be a line. He reads
generously too: letters that run together count, and so do slips.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.audit.attacks.text import Recalled, is_near, plain_words
from deemo_data.clip import Clip, Grid
from deemo_data.files import File

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LONGEST = 1280  # px of the longer side that the detector is shown
THRESHOLD = 0.3
SHORT = 4  # letters up to which a part of a name has to be a word of its own
ALIKE = 85  # per cent of a name's letters in one row, within a line whose spaces the network did not see


def read_frames(path: Path, every: int = 25) -> list[str]:
    """All lines that can be read in each `every`-th frame of a video file, from frame 0 on."""
    from deemo_data.media import probe

    fact = probe.probe_video(path)["grid"]
    grid = Grid.of(fact)
    return read_clip(Clip("", "", 0, grid.ms_at(grid.frames), {"source": File(str(path), "")}, {"grid": fact}), every)


def read_clip(clip: Clip, every: int = 25) -> list[str]:
    """The same for the footage of a clip, before anything is covered."""
    from deemo_data.media import frames

    return [line for frame in frames.read_frames(clip, every) for line in read_picture(frame.rgb())]


def read_picture(rgb: NDArray[np.uint8]) -> list[str]:
    """The lines that can be read in one picture (h, w, 3)."""
    import cv2
    import numpy as np

    from deemo_data.models.text import ocr

    width, height = ocr.working_size(rgb.shape[1], rgb.shape[0], LONGEST)
    shown = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1]
    quads, _ = ocr.find(ocr.load(), np.ascontiguousarray(shown), THRESHOLD)
    quads *= np.array([rgb.shape[1] / width, rgb.shape[0] / height], np.float32)
    said = (ocr.read(ocr.load_reader(), rgb, quad)[0] for quad in quads)
    return [text for text in said if text.strip()]


def names_seen(names: list[str], texts: list[str]) -> Recalled:
    """How many of the names (each part of a full name is one) can be read in the lines, and never which."""
    from rapidfuzz import fuzz

    parts = sorted({p for name in names for p in plain_words(name) if len(p) > 1})
    lines = [plain_words(text) for text in texts]
    words, rows = {w for line in lines for w in line}, {"".join(line) for line in lines}
    exact = [p for p in parts if p in words or (len(p) > SHORT and any(p in row for row in rows))]
    near = [
        p
        for p in parts
        if p not in exact
        and (
            any(is_near(p, w) for w in words)
            or (len(p) > SHORT and any(len(row) >= len(p) and fuzz.partial_ratio(p, row) >= ALIKE for row in rows))
        )
    ]
    share = (len(exact) + len(near)) / len(parts) if parts else 0.0
    return Recalled(len(parts), len(exact), len(near), share)
