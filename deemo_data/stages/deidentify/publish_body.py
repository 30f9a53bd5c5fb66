"""PublishBody: the subject's body track as it may be released: without face points, in a common place, size and build.

In:  the body track, face boxes and roles. Out: the public body track (64 points, see tracks/skeleton.py).
The build is that of the standard figure (stages/figure).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.notices import Notice
from deemo_data.tracks.body import Body
from deemo_data.tracks.skeleton import HAND_POINTS, MIN_CONFIDENCE, PUBLIC, TRACKED, Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Shoulder widths between the wrist of the body and that of a hand. A hand further away is another person's.
MAX_TO_SEEN_WRIST = 0.6
MAX_TO_GUESSED_WRIST = 1.2  # the wrist is hidden or outside of the picture


@dataclass(frozen=True)
class PublishBody:
    """Makes `public_body`: 22 body and 2 x 21 hand points per frame; no point where the body is not the subject's.

    normalise   unit (fact `body_unit`) and what the coordinates no longer show
    none        picture: x and y are shares of its width and height, z is in the unit of x
    place       shoulders: the clip's shoulder width is 1, the midpoint of the shoulders is (0, 0, 0); x, y and z are in
                the same unit, y down, mostly within -10 to 10. Removes where a person stands, and how large they appear
    limbs       shoulders: the standard figure does what the person does. Hands lie where they lie on the person's head, trunk,
                other arm and other hand, each hand begins at its wrist, and bones are as long as everybody's. Also removes how
                a person is built and holds the trunk. z is no deeper than bones are long

    All normalisation uses one value per clip, not one per frame, so movement stays. Smoothing is by 1-2-1 means, which shift
    nothing in time; a point next to a gap stays as it is. A hand too far from the body's wrist is left out. Tells
    `publish_body_notices`: what is left out (notices.py).
    """

    normalise: Literal["none", "place", "limbs"] = "limbs"
    smooth: Annotated[int, Field(ge=0, le=10)] = 1  # passes; each halves the jitter at fps / 4

    version: ClassVar[int] = 4
    needs: ClassVar[tuple[str, ...]] = ("body", "roles", "faces", "grid")
    makes: ClassVar[dict[str, str]] = {"public_body": "body.parquet"}
    tells: ClassVar[tuple[str, ...]] = ("body_unit", "publish_body_notices")

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        from deemo_data.stages.figure.retarget import retarget_body
        from deemo_data.tracks.body import find_frames_of_others, read_body, write_body
        from deemo_data.tracks.faces import read_faces

        track, (width, height) = read_body(clip.path("body")), (clip.grid.width, clip.grid.height)
        roles = json.loads(clip.path("roles").read_text())
        face_roles = {int(number): role for number, role in roles["faces"].items()}
        is_other = find_frames_of_others(track, read_faces(clip.path("faces")), face_roles, width, height)
        if roles["body"] != "subject":
            is_other[:] = True
        body = clear_points(Body(track.points[:, :1], track.confidence[:, :1]), is_other[:, None])
        is_foreign = find_foreign_hands(body, width, height)
        body = clear_points(body, is_foreign)
        body = Body(smooth_points(body.points, self.smooth), body.confidence)
        public = body.without_face()
        if self.normalise == "place":
            public = normalise_place(public, width, height)
        elif self.normalise == "limbs":
            points = retarget_body(body, width, height)
            public = clear_points(Body(points, public.confidence), np.isnan(points[:, 0, :, 0]))
        write_body(public, out / self.makes["public_body"])
        notices = describe_omissions(body, public, is_other, is_foreign)
        unit = "picture" if self.normalise == "none" else "shoulders"
        return {"body_unit": unit, "publish_body_notices": [notice.to_fact() for notice in notices]}


def describe_omissions(body: Body, public: Body, is_other: NDArray[np.bool_], is_foreign: NDArray[np.bool_]) -> list[Notice]:
    """What the public track does not have, although it was tracked."""
    import numpy as np

    notices = []
    if is_other.any():
        text = f"The body track is empty in {is_other.sum()} of {len(is_other)} frames, which show another person's body."
        notices.append(Notice("body_of_others_left_out", text))
    if hands := int(is_foreign.sum()) // HAND_POINTS:
        frames = f"{is_foreign.any(axis=1).sum()} of {len(is_foreign)} frames"
        text = f"{hands} hands in {frames} are left out, because they are too far from the body's wrists."
        notices.append(Notice("hands_of_others_left_out", text))
    if np.isfinite(body.points).any() and not np.isfinite(public.points).any():
        notices.append(Notice("body_without_shoulders", "The body track is empty, because no frame shows both shoulders."))
    return notices


def find_foreign_hands(body: Body, width: int, height: int) -> NDArray[np.bool_]:
    """(frames, 75) True for the points of hands that are too far from the body's wrist to be this person's."""
    import numpy as np

    foreign = np.zeros(body.confidence[:, 0].shape, bool)
    pixels = body.points[:, 0, :, :2] * np.array([width, height], np.float32)
    shoulder_width = measure_shoulders(pixels, body.confidence[:, 0], TRACKED.shoulders)
    for root, wrist in zip(TRACKED.hands, TRACKED.wrists, strict=True):
        is_seen = body.confidence[:, 0, wrist] >= MIN_CONFIDENCE
        bound = np.where(is_seen, MAX_TO_SEEN_WRIST, MAX_TO_GUESSED_WRIST) * shoulder_width
        too_far = np.linalg.norm(pixels[:, root] - pixels[:, wrist], axis=-1) > bound
        foreign[:, root : root + HAND_POINTS] = too_far[:, None]
    return foreign


def measure_shoulders(pixels: NDArray[np.float32], confidence: NDArray[np.float32], shoulders: Pair) -> float:
    """The width in pixels of shoulders that face the camera: the upper quartile over the clip; inf where no frame shows both."""
    import numpy as np

    sure = _has_shoulders(pixels, confidence, shoulders)
    if not sure.any():
        return float("inf")
    left, right = (pixels[sure, i, :2] for i in shoulders)
    return max(float(np.quantile(np.hypot(*(left - right).T), 0.75)), 1.0)


def clear_points(body: Body, where: NDArray[np.bool_]) -> Body:
    """The track without the points at `where`, (frames, points) or (frames, 1)."""
    import numpy as np

    points = np.where(where[:, None, :, None], np.float32(np.nan), body.points)
    return Body(points, np.where(where[:, None], np.float32(0), body.confidence))


def smooth_points(points: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """1-2-1 means along the first axis, where the frames before and after have the point too."""
    import numpy as np

    for _ in range(times):
        mean = (points[:-2] + 2 * points[1:-1] + points[2:]) / 4
        points = points.copy()
        points[1:-1] = np.where(np.isnan(mean), points[1:-1], mean)
    return points


def normalise_place(body: Body, width: int, height: int) -> Body:
    """The track in shoulder widths from the midpoint of the shoulders, with one width and one midpoint for the whole clip.

    Empty if no frame shows both shoulders. The width is the upper quartile, that of shoulders that face the camera.
    """
    import numpy as np

    pixels, confidence = body.points * np.array([width, height, width], np.float32), body.confidence[:, 0]
    sure = _has_shoulders(pixels[:, 0], confidence, PUBLIC.shoulders)
    if not sure.any():
        return clear_points(body, np.ones((len(pixels), 1), bool))
    middle = np.median(pixels[sure][:, 0, PUBLIC.shoulders].mean(axis=1), axis=0)
    shoulder_width = measure_shoulders(pixels[:, 0], confidence, PUBLIC.shoulders)
    return Body(np.asarray((pixels - middle) / shoulder_width, np.float32), body.confidence)


def _has_shoulders(points: NDArray[np.float32], confidence: NDArray[np.float32], shoulders: Pair) -> NDArray[np.bool_]:
    """(frames,) whether both shoulders are measured."""
    import numpy as np

    confident = (confidence[:, shoulders] >= MIN_CONFIDENCE).all(axis=1)
    return np.asarray(confident & np.isfinite(points[:, shoulders]).all(axis=(1, 2)))
