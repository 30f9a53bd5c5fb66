"""Joins the face boxes of single frames into tracks of one face each, and fills the frames between them.

FindFaces detects faces only in some frames. It passes {frame: boxes} to `link_detections`, the tracks to `fill_gaps`, and the
rows to `rows_to_table`, which returns the table of tracks/faces.py. Boxes are float32: x0, y0, x1, y1, score, in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deemo_data.tracks.faces import FACE_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from deemo_data.media import frames


def refine_stretch(stretch: list[frames.Frame], detect: Callable[[frames.Frame], Future[NDArray[np.float32]]]) -> None:
    """Detect faces in every frame of a stretch if the detections in its first and its last frame differ."""
    if detections_differ(detect(stretch[0]).result(), detect(stretch[-1]).result()):
        for frame in stretch:
            detect(frame)


def detections_differ(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether the boxes of two frames differ: one has a face more, or a face has moved (IoU below 0.6)."""
    if len(a) != len(b):
        return True
    return any(box_ious(x, b).max(initial=0) < 0.6 for x in a)


def box_ious(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union (IoU) of one box (4+,) with others (n, 4+): (n,). Columns x0, y0, x1, y1, then anything."""
    import numpy as np

    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = (box[2] - box[0]) * (box[3] - box[1]) + areas - shared
    return np.asarray(shared.astype(np.float64) / np.maximum(union, 1e-9), np.float64)


def box_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes."""
    return float(box_ious(a, b[None])[0])


@dataclass
class Track:
    """One face through time. boxes: {frame: (x0, y0, x1, y1, score)}, in order, for the frames in which it was detected."""

    boxes: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def last_frame(self) -> int:
        return next(reversed(self.boxes))


def link_detections(detections: dict[int, NDArray[np.float32]], cuts: list[int], bridge: int) -> list[Track]:
    """Join the boxes of successive frames into tracks, nearest centres first, never across a cut.

    detections  {frame: boxes (n, 5)}, in order of frames
    cuts        first frames of new shots
    bridge      a track ends after this many frames without a box
    """
    import numpy as np

    tracks: list[Track] = []
    for frame, boxes in detections.items():
        alive = [t for t in tracks if frame - t.last_frame <= bridge and not any(t.last_frame < c <= frame for c in cuts)]
        pairs = pair_boxes(np.stack([t.boxes[t.last_frame] for t in alive]), boxes) if alive else []
        for t, b in pairs:
            alive[t].boxes[frame] = boxes[b]
        taken = {b for _, b in pairs}
        tracks += [Track({frame: box}) for b, box in enumerate(boxes) if b not in taken]
    return tracks


def pair_boxes(old: NDArray[np.float32], new: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Which boxes (n, 4+) of one frame are which boxes (m, 4+) of a later one: pairs of indices, nearest centres first.

    Two boxes can be the same face if their widths differ by less than a factor of 2, and they overlap (IoU above 0.2) or
    their centres are less than 0.6 of a box side apart.
    """
    import numpy as np

    if not len(old) or not len(new):
        return []
    widths, heights = old[:, 2] - old[:, 0], old[:, 3] - old[:, 1]
    sizes = np.maximum(np.sqrt(widths * heights), 1.0)
    apart = ((old[:, None, :2] + old[:, None, 2:4]) - (new[None, :, :2] + new[None, :, 2:4])) / 2
    distances = np.hypot(apart[..., 0], apart[..., 1]) / sizes[:, None]
    ratios = (new[:, 2] - new[:, 0])[None, :] / np.maximum(widths, 1.0)[:, None]
    candidates = []
    for t in np.nonzero(((ratios > 0.5) & (ratios < 2)).any(axis=1))[0]:
        near = (distances[t] < 0.6) | (box_ious(old[t], new) > 0.2)
        fits = near & (ratios[t] > 0.5) & (ratios[t] < 2)
        candidates += [(float(distances[t, b]), int(t), int(b)) for b in np.nonzero(fits)[0]]
    pairs: list[tuple[int, int]] = []
    taken_old: set[int] = set()
    taken_new: set[int] = set()
    for _, t, b in sorted(candidates):
        if t not in taken_old and b not in taken_new:
            pairs.append((t, b))
            taken_old.add(t)
            taken_new.add(b)
    return pairs


Row = tuple[int, int, float, float, float, float, float, str]  # one row of the table, columns as in FACE_COLUMNS


def fill_gaps(tracks: list[Track], num_frames: int, hold: int, cuts: list[int], first_number: int = 0) -> list[Row]:
    """A box for every frame of every track; the tracks are counted from `first_number`.

    Between two detections boxes are interpolated ("linked"). Before the first and after the last one, up to `hold` frames
    and not across a cut, they are repeated ("held"). A box grows by the distance that it moves in three frames.
    """
    import numpy as np

    rows: list[Row] = []
    for number, track in enumerate(tracks, first_number):
        detected = np.array(sorted(track.boxes))
        boxes = np.stack([track.boxes[f] for f in detected])
        first = max([0, int(detected[0]) - hold, *(c for c in cuts if c <= detected[0])])
        end = min([num_frames, int(detected[-1]) + hold + 1, *(c for c in cuts if c > detected[-1])])
        span = np.arange(first, end)
        dense = np.stack([np.interp(span, detected, boxes[:, i]) for i in range(5)], axis=1)
        centre = (dense[:, :2] + dense[:, 2:4]) / 2
        speed = np.abs(np.gradient(centre, axis=0)) if len(span) > 1 else np.zeros_like(centre)
        slack = np.minimum(speed * 3, (dense[:, 2:4] - dense[:, :2]) * 0.5)  # its movement in three frames
        dense[:, :2] -= slack
        dense[:, 2:4] += slack
        frames_detected = set(detected.tolist())
        for f, box in zip(span.tolist(), dense.tolist(), strict=True):
            origin = "detected" if f in frames_detected else "linked" if detected[0] < f < detected[-1] else "held"
            rows.append((f, number, *box, origin))
    return rows


def rows_to_table(rows: list[Row]) -> pd.DataFrame:
    """The rows as a table with the columns and types of tracks/faces.py."""
    import pandas as pd

    faces = pd.DataFrame(rows, columns=list(FACE_COLUMNS))
    return faces.astype({"frame": "int32", "track": "int32", "origin": "string"} | dict.fromkeys(FACE_COLUMNS[2:7], "float32"))
