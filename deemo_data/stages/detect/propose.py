"""Propose: labels that rules find in the subject's body track, each with a score and a sentence that gives the reason.

In:  body track, face boxes, roles, and the hands of both detection passes. Out: proposals for the annotators.
This file prepares the subject's track; the rules are in stages/gestures (select.py is their entry point).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from deemo_data.clip import Clip, Facts, Grid
from deemo_data.stages.gestures.thresholds import Thresholds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.tracks.hands import Hand


@dataclass(frozen=True)
class Propose(Thresholds):
    """Makes `proposed` and tells the same list as the fact `proposals`, sorted by time.

    A proposal has: rule, start_frame, end_frame (frames of the clip, half-open), score, threshold, why.

    The vocabulary says which class a rule stands for (its key `rule`), so a change of vocabulary needs no new run. Proposals
    are for the subject only: there are none where the body is another person's, or jumps to another person. Each rule needs its
    points to be seen: the pose's guesses at what is hidden or outside of the picture do not count. The fact is released
    with the clip. It holds lengths of single movements in units of the body, and no points.
    """

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("body", "faces", "roles", "hand_looks", "grid")
    makes: ClassVar[dict[str, str]] = {"proposed": "proposals.json"}
    tells: ClassVar[tuple[str, ...]] = ("proposals",)

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.stages.gestures import select
        from deemo_data.stages.gestures.scene import build_scene
        from deemo_data.tracks import hands
        from deemo_data.tracks.body import find_frames_of_others, read_body
        from deemo_data.tracks.faces import read_faces

        grid = clip.grid
        body, table = read_body(clip.path("body")), read_faces(clip.path("faces"))
        roles = json.loads(clip.path("roles").read_text())
        face_roles = {int(track): role for track, role in roles["faces"].items()}
        proposals: list[dict[str, Any]] = []
        if roles["body"] == "subject":
            is_other = find_frames_of_others(body, table, face_roles, grid.width, grid.height)
            points, confidence = to_pixels(body.points[:, 0], grid), body.confidence[:, 0].copy()
            add_hands(points, hands.read_hands(clip.path("hand_looks"), grid.width, grid.height))
            points[is_other], confidence[is_other] = float("nan"), 0
            subject_boxes = table[table["track"].map(face_roles) == "subject"]
            faces = face_sizes(subject_boxes, points)
            picture = (grid.width, grid.height)
            scene = build_scene(points, confidence, faces, float(grid.fps), self.small * grid.width, picture)
            proposals = [p.to_fact() for p in select.select_proposals(scene, self)]
        (out / self.makes["proposed"]).write_text(json.dumps(proposals))
        return {"proposals": proposals}


def to_pixels(points: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    import numpy as np

    return points * np.array([grid.width, grid.height, grid.width], np.float32)


def face_sizes(table: Any, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, 2) width and height of the face box nearest to the pose's nose; NaN where the table has no box for the frame."""
    import numpy as np

    sizes = np.full((len(points), 2), np.nan, np.float32)
    nearest = np.full(len(points), np.inf)
    for frame, x0, y0, x1, y1 in table[["frame", "x0", "y0", "x1", "y1"]].itertuples(index=False):
        distance = float(np.hypot(*(points[frame, 0, :2] - [(x0 + x1) / 2, (y0 + y1) / 2])))
        if distance < nearest[frame]:
            nearest[frame], sizes[frame] = distance, (x1 - x0, y1 - y0)
    return sizes


def add_hands(points: NDArray[np.float32], passes: tuple[dict[int, list[Hand]], dict[int, list[Hand]]]) -> None:
    """Fill in hands that only a detection pass near a face has: in place, where the track (frames, 75, 3) has no hand there.

    A hand goes to the side whose wrist is nearer, if that wrist is less than 10 cm away.
    """
    import numpy as np

    from deemo_data.tracks.skeleton import HAND_POINTS, TRACKED

    for hands_by_frame in passes:
        for frame, hands in hands_by_frame.items():
            for hand in hands:
                to_wrists = np.hypot(*(points[frame, TRACKED.wrists, :2] - hand.points[0]).T)
                if not np.isfinite(to_wrists).all():
                    continue
                side = int(np.argmin(to_wrists))
                place = slice(TRACKED.hands[side], TRACKED.hands[side] + HAND_POINTS)
                if np.isnan(points[frame, place, 0]).all() and to_wrists[side] < 0.1 * hand.scale:
                    points[frame, place, :2] = hand.points
                    points[frame, place, 2] = hand.depth * hand.scale
