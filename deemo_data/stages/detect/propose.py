"""Suggest labels: what rules see in the subject's body track, each with a score and one sentence why."""

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
    """Makes `proposed` and tells the same as the fact `proposals`: a list, by time, of rule, start_frame, end_frame (of the
    clip, half-open), score, threshold and why.

    Which class a rule stands for is said by the vocabulary (`rule`), so another vocabulary needs no other run. Only of the
    subject: where the body is not, or jumps to somebody else, nothing is proposed. What is told goes out with the clip, and
    holds lengths of one movement in units of the same body, no points.
    """

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("body", "faces", "roles", "hand_looks", "grid")
    makes: ClassVar[dict[str, str]] = {"proposed": "proposals.json"}
    tells: ClassVar[tuple[str, ...]] = ("proposals",)

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.stages.gestures import select
        from deemo_data.stages.gestures.scene import scene_of
        from deemo_data.tracks import hands
        from deemo_data.tracks.body import read_body, strangers
        from deemo_data.tracks.faces import read_faces

        grid = clip.grid
        body, table = read_body(clip.path("body")), read_faces(clip.path("faces"))
        roles = json.loads(clip.path("roles").read_text())
        faces = {int(track): role for track, role in roles["faces"].items()}
        found: list[dict[str, Any]] = []
        if roles["body"] == "subject":
            other = strangers(body, table, faces, grid.width, grid.height)
            points, confidence = in_pixels(body.points[:, 0], grid), body.confidence[:, 0].copy()
            looks = hands.read_looks(clip.path("hand_looks"), grid.width, grid.height)
            add_hands(points, looks)
            points[other], confidence[other] = float("nan"), 0
            own = table[table["track"].map(faces) == "subject"]
            scene = scene_of(points, confidence, boxes(own, points), float(grid.fps), self.small * grid.width)
            found = [p.to_fact() for p in select.propose(scene, self)]
        (out / self.makes["proposed"]).write_text(json.dumps(found))
        return {"proposals": found}


def in_pixels(points: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    import numpy as np

    return points * np.array([grid.width, grid.height, grid.width], np.float32)


def boxes(table: Any, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, 2): width and height of the face box nearest to the pose's nose, of a table of boxes; NaN where there is none."""
    import numpy as np

    found = np.full((len(points), 2), np.nan, np.float32)
    nearest = np.full(len(points), np.inf)
    for frame, x0, y0, x1, y1 in table[["frame", "x0", "y0", "x1", "y1"]].itertuples(index=False):
        off = float(np.hypot(*(points[frame, 0, :2] - [(x0 + x1) / 2, (y0 + y1) / 2])))
        if off < nearest[frame]:
            nearest[frame], found[frame] = off, (x1 - x0, y1 - y0)
    return found


def add_hands(points: NDArray[np.float32], looks: tuple[dict[int, list[Hand]], dict[int, list[Hand]]]) -> None:
    """Put hands that only the second look near a face has seen where the track (frames, 75, 3) has none: at the nearer wrist."""
    import numpy as np

    from deemo_data.tracks.body import BODY_POINTS, HAND_POINTS

    for look in looks:
        for frame, seen in look.items():
            for hand in seen:
                off = np.hypot(*(points[frame, [15, 16], :2] - hand.points[0]).T)
                if not np.isfinite(off).all():
                    continue
                side = int(np.argmin(off))
                place = slice(BODY_POINTS + side * HAND_POINTS, BODY_POINTS + (side + 1) * HAND_POINTS)
                if np.isnan(points[frame, place, 0]).all() and off[side] < 0.1 * hand.scale:  # 10 cm
                    points[frame, place, :2] = hand.points
                    points[frame, place, 2] = hand.depth * hand.scale
