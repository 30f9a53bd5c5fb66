"""Detections joined into tracks, gaps bridged, IoU of boxes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from deemo_data.media import frames


def refine_until_equal(stretch: list[frames.Frame], look: Callable[[frames.Frame], Future[NDArray[np.float32]]]) -> None:
    """Look at every frame of a stretch if looks at its ends differ."""
    if detections_differ(look(stretch[0]).result(), look(stretch[-1]).result()):
        for frame in stretch:
            look(frame)


def detections_differ(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether two looks are so unlike that the frames between them want looking at: a face more or less, or moved."""
    if len(a) != len(b):
        return True
    return any(max((overlap(x, y) for y in b), default=0.0) < 0.6 for x in a)


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = float(wide * high)
    return both / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@dataclass
class Track:
    """One face through time, while it is being linked: {frame: (x0, y0, x1, y1, score)}."""

    boxes: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return max(self.boxes)


def link(looks: dict[int, NDArray[np.float32]], cuts: list[int], bridge: int) -> list[Track]:
    """Join boxes of successive looks into tracks, nearest centres first; never across a cut."""
    import numpy as np

    tracks: list[Track] = []
    for frame, boxes in looks.items():
        alive = [t for t in tracks if frame - t.last <= bridge and not any(t.last < c <= frame for c in cuts)]
        pairs = []
        for t, track in enumerate(alive):
            old = track.boxes[track.last]
            for b, box in enumerate(boxes):
                size = float(np.sqrt((old[2] - old[0]) * (old[3] - old[1])))
                away = float(np.hypot(*((old[:2] + old[2:4]) / 2 - (box[:2] + box[2:4]) / 2))) / max(size, 1.0)
                alike = 0.5 < float((box[2] - box[0]) / max(old[2] - old[0], 1.0)) < 2
                if alike and (overlap(old, box) > 0.2 or away < 0.6):
                    pairs.append((away, t, b))
        taken_t: set[int] = set()
        taken_b: set[int] = set()
        for _, t, b in sorted(pairs):
            if t not in taken_t and b not in taken_b:
                alive[t].boxes[frame] = boxes[b]
                taken_t.add(t)
                taken_b.add(b)
        tracks += [Track({frame: box}) for b, box in enumerate(boxes) if b not in taken_b]
    return tracks


Row = tuple[int, int, float, float, float, float, float, str]


def fill(tracks: list[Track], num_frames: int, hold: int, cuts: list[int]) -> list[Row]:
    """A box for every frame of every track: linked between looks, held on past both ends, wider where it moves."""
    import numpy as np

    rows: list[Row] = []
    for number, track in enumerate(tracks):
        seen = np.array(sorted(track.boxes))
        boxes = np.stack([track.boxes[f] for f in seen])
        first = max([0, int(seen[0]) - hold, *(c for c in cuts if c <= seen[0])])
        end = min([num_frames, int(seen[-1]) + hold + 1, *(c for c in cuts if c > seen[-1])])
        span = np.arange(first, end)
        dense = np.stack([np.interp(span, seen, boxes[:, i]) for i in range(5)], axis=1)
        centre = (dense[:, :2] + dense[:, 2:4]) / 2
        speed = np.abs(np.gradient(centre, axis=0)) if len(span) > 1 else np.zeros_like(centre)
        slack = np.minimum(speed * 3, (dense[:, 2:4] - dense[:, :2]) * 0.5)  # as far as it moves in three frames
        dense[:, :2] -= slack
        dense[:, 2:4] += slack
        known = set(seen.tolist())
        for f, box in zip(span.tolist(), dense.tolist(), strict=True):
            origin = "detected" if f in known else "linked" if seen[0] < f < seen[-1] else "held"
            rows.append((f, number, *box, origin))
    return rows


def table(rows: list[Row]) -> pd.DataFrame:
    import pandas as pd

    from deemo_data.tracks.faces import FACE_COLUMNS

    faces = pd.DataFrame(rows, columns=list(FACE_COLUMNS))
    return faces.astype({"frame": "int32", "track": "int32", "origin": "string"} | dict.fromkeys(FACE_COLUMNS[2:7], "float32"))
