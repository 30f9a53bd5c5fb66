"""PublishBody: the subject's body track as it may be released: without face points, in a common place, size and build.

In:  the body track, face boxes and roles. Out: the public body track (64 points, see tracks/skeleton.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.tracks.body import Body
from deemo_data.tracks.skeleton import FINGERS, MIN_CONFIDENCE, PUBLIC, WRIST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Lengths in shoulder widths: of the body after Drillis and Contini (1966, in Winter 2009); of the hand, our own rounded values.
TRUNK_LENGTH = 1.11  # midpoint of the shoulders to midpoint of the hips
HIP_LENGTH = 0.32  # midpoint of the hips to one hip
BODY_BONE_LENGTHS = (
    (PUBLIC.shoulders, PUBLIC.elbows, 0.72), (PUBLIC.elbows, PUBLIC.wrists, 0.56),
    (PUBLIC.wrists, PUBLIC.little_fingers, 0.24), (PUBLIC.wrists, PUBLIC.index_fingers, 0.25),
    (PUBLIC.wrists, PUBLIC.thumbs, 0.17),
    (PUBLIC.hips, PUBLIC.knees, 0.95), (PUBLIC.knees, PUBLIC.ankles, 0.95), (PUBLIC.ankles, PUBLIC.heels, 0.15),
    (PUBLIC.ankles, PUBLIC.toes, 0.45),
)  # fmt: skip
FINGER_BONE_LENGTHS = (
    (0.09, 0.10, 0.075, 0.06), (0.21, 0.10, 0.06, 0.05), (0.21, 0.105, 0.065, 0.05), (0.20, 0.095, 0.06, 0.05),
    (0.185, 0.075, 0.045, 0.045),
)  # fmt: skip


@dataclass(frozen=True)
class PublishBody:
    """Makes `public_body`: 22 body and 2 x 21 hand points per frame; no point where the body is not the subject's.

    normalise   unit (fact `body_unit`) and what the coordinates no longer show
    none        picture: x and y are shares of its width and height, z is in the unit of x
    place       shoulders: the clip's shoulder width is 1, the midpoint of the shoulders is (0, 0, 0); x, y and z are in
                the same unit, y down, mostly within -10 to 10. Removes where a person stands, and how large they appear
    limbs       as place, and rotated so that the shoulders are on the whole level and face the camera. Each bone keeps its
                direction and gets a standard length. Also removes how a person holds the shoulders, and how they are built

    All normalisation uses one value per clip, not one per frame, so movement stays. Smoothing is by 1-2-1 means, which shift
    nothing in time; a point next to a gap stays as it is.
    """

    normalise: Literal["none", "place", "limbs"] = "limbs"
    smooth: Annotated[int, Field(ge=0, le=10)] = 1  # passes; each halves the jitter at fps / 4

    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("body", "roles", "faces", "grid")
    makes: ClassVar[dict[str, str]] = {"public_body": "body.parquet"}
    tells: ClassVar[tuple[str, ...]] = ("body_unit",)

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        from deemo_data.tracks.body import find_frames_of_others, read_body, write_body
        from deemo_data.tracks.faces import read_faces

        track = read_body(clip.path("body"))
        roles = json.loads(clip.path("roles").read_text())
        face_roles = {int(number): role for number, role in roles["faces"].items()}
        is_other = find_frames_of_others(track, read_faces(clip.path("faces")), face_roles, clip.grid.width, clip.grid.height)
        body = track.without_face()
        body = Body(body.points[:, :1], body.confidence[:, :1])
        if roles["body"] != "subject":
            body = empty_body(body)
        elif is_other.any():
            empty, mask = empty_body(body), is_other[:, None, None]
            points = np.where(mask[..., None], empty.points, body.points)
            body = Body(points, np.where(mask, empty.confidence, body.confidence))
        body = Body(smooth_points(body.points, self.smooth), body.confidence)
        if self.normalise != "none":
            body = normalise_place(body, clip.grid.width, clip.grid.height)
        if self.normalise == "limbs":
            body = Body(normalise_limbs(Body(rotate_to_camera(body), body.confidence)), body.confidence)
        write_body(body, out / self.makes["public_body"])
        return {"body_unit": "picture" if self.normalise == "none" else "shoulders"}


def empty_body(body: Body) -> Body:
    """A track of the same shape without any point."""
    import numpy as np

    return Body(np.full_like(body.points, np.nan), np.zeros_like(body.confidence))


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

    sure = _has_shoulders(body)
    if not sure.any():
        return empty_body(body)
    pixels = body.points * np.array([width, height, width], np.float32)
    left, right = (pixels[sure, 0, i] for i in PUBLIC.shoulders)
    shoulder_width = max(float(np.quantile(np.hypot(*(left - right)[:, :2].T), 0.75)), 1.0)
    middle = np.median((left + right) / 2, axis=0)
    return Body(np.asarray((pixels - middle) / shoulder_width, np.float32), body.confidence)


def _has_shoulders(body: Body) -> NDArray[np.bool_]:
    """(frames,) whether both shoulders are measured."""
    import numpy as np

    confident = (body.confidence[:, 0, PUBLIC.shoulders] >= MIN_CONFIDENCE).all(axis=1)
    return np.asarray(confident & np.isfinite(body.points[:, 0, PUBLIC.shoulders]).all(axis=(1, 2)))


def rotate_to_camera(body: Body) -> NDArray[np.float32]:
    """The points of a `normalise_place` track, rotated so that the clip's median shoulder line is level and frontal.

    They are scaled again to a shoulder width of 1.
    """
    import numpy as np

    points = body.points
    sure = _has_shoulders(body)
    if not sure.any():
        return points
    for first, second in ((0, 1), (0, 2)):  # in the picture plane, then about the vertical axis
        line = np.median(points[sure, 0, PUBLIC.shoulders[0]] - points[sure, 0, PUBLIC.shoulders[1]], axis=0)
        angle = -np.arctan2(line[second], line[first])
        rotation = np.eye(3)
        rotation[[first, first, second, second], [first, second, first, second]] = (
            np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle),
        )  # fmt: skip
        points = np.asarray(points @ rotation, np.float32)
    apart = points[sure, 0, PUBLIC.shoulders[0]] - points[sure, 0, PUBLIC.shoulders[1]]
    shoulder_width = np.quantile(np.hypot(apart[:, 0], apart[:, 1]), 0.75)
    return np.asarray(points / max(shoulder_width, 1e-3), np.float32)


def normalise_limbs(body: Body) -> NDArray[np.float32]:
    """The points (frames, 1, 64, 3) of a normalised track with bones of the standard lengths.

    Every bone is multiplied by one factor per clip: the standard length over its median length in space. The bones are joined
    from the midpoint of the shoulders outwards. A limb that points to the camera still looks short.
    """
    import numpy as np

    points, sure = body.points[:, 0].astype(np.float64), body.confidence[:, 0] >= MIN_CONFIDENCE
    result = np.full_like(points, np.nan)

    def scale(bones: NDArray[np.float64], measured: NDArray[np.bool_], length: float) -> NDArray[np.float64]:
        """Bones (frames, 3) times the factor that makes their median `length`, taken over the measured bones if there are any."""
        lengths = np.linalg.norm(bones, axis=1)
        finite = np.isfinite(lengths)
        lengths = lengths[measured & finite] if (measured & finite).any() else lengths[finite]
        return bones * (length / max(float(np.median(lengths)), 1e-3)) if len(lengths) else bones

    def attach(start: int, end: int, length: float) -> None:
        result[:, end] = result[:, start] + scale(points[:, end] - points[:, start], sure[:, start] & sure[:, end], length)

    top, bottom = (points[:, pair].mean(axis=1) for pair in (PUBLIC.shoulders, PUBLIC.hips))
    has_shoulders, has_hips = (np.asarray(sure[:, pair].all(axis=1)) for pair in (PUBLIC.shoulders, PUBLIC.hips))
    new_bottom = top + scale(bottom - top, has_shoulders & has_hips, TRUNK_LENGTH)
    for side in (0, 1):
        shoulder, hip = PUBLIC.shoulders[side], PUBLIC.hips[side]
        result[:, shoulder] = top + scale(points[:, shoulder] - top, has_shoulders, 0.5)
        result[:, hip] = new_bottom + scale(points[:, hip] - bottom, has_hips, HIP_LENGTH)
        for starts, ends, length in BODY_BONE_LENGTHS:
            attach(starts[side], ends[side], length)
        root = PUBLIC.hands[side]
        at_wrist = result[:, PUBLIC.wrists[side]] + (points[:, root] - points[:, PUBLIC.wrists[side]])
        result[:, root] = np.where(np.isfinite(at_wrist), at_wrist, points[:, root])
        for finger, lengths in zip(FINGERS, FINGER_BONE_LENGTHS, strict=True):
            chain = [root + joint for joint in (WRIST, *finger)]
            for (start, end), length in zip(pairwise(chain), lengths, strict=True):
                attach(start, end, length)
    return np.asarray(result[:, None], np.float32)
