"""PublishBody: the public skeleton."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.tracks.body import Body
from deemo_data.tracks.skeleton import ANKLES, ELBOWS, HANDS, HEELS, HIPS, KNEES, SHOULDERS, STUBS, SURE, TOES, WRISTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Lengths in shoulder widths. Of the body after Drillis and Contini (1966, in Winter 2009), of the hand rounded by us.
TRUNK, HIP = 1.11, 0.32  # from the middle between the shoulders to that between the hips, and from there to one hip
BODY_BONES = (
    (SHOULDERS, ELBOWS, 0.72), (ELBOWS, WRISTS, 0.56), (WRISTS, STUBS[0], 0.24), (WRISTS, STUBS[1], 0.25),
    (WRISTS, STUBS[2], 0.17), (HIPS, KNEES, 0.95), (KNEES, ANKLES, 0.95), (ANKLES, HEELS, 0.15), (ANKLES, TOES, 0.45),
)  # fmt: skip
FINGERS = ((0.09, 0.10, 0.075, 0.06), (0.21, 0.10, 0.06, 0.05), (0.21, 0.105, 0.065, 0.05), (0.20, 0.095, 0.06, 0.05),
           (0.185, 0.075, 0.045, 0.045))  # fmt: skip


@dataclass(frozen=True)
class PublishBody:
    """Makes `public_body`: 22 body and 2 x 21 hand points a frame; no point where the body is not the subject's.

    normalise   unit (fact `body_unit`)   what is gone
    none        picture: x and y are shares of its width and height, z is in the unit of x
    place       shoulders: the clip's shoulder width is 1, its middle between the shoulders (0, 0, 0): where somebody
                stands, and how large; x, y and z in the same unit, y down; outside 0 to 1, within about 10
    limbs       as place, turned so that the shoulders are level and face the camera on the whole, and each bone keeps
                its direction but has the length that it has in everybody: how somebody holds the shoulders, and is built

    Figures are a clip's, not a frame's: movement stays. Smoothing is by 1-2-1 means, which move nothing in time; next to
    a gap a point stays as it is.
    """

    normalise: Literal["none", "place", "limbs"] = "limbs"
    smooth: Annotated[int, Field(ge=0, le=10)] = 1  # how many times; each takes away half of what shakes at fps / 4

    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("body", "roles", "faces", "grid")
    makes: ClassVar[dict[str, str]] = {"public_body": "body.parquet"}
    tells: ClassVar[tuple[str, ...]] = ("body_unit",)

    def __call__(self, clip: Clip, out: Path) -> Facts:
        import numpy as np

        from deemo_data.tracks.body import read_body, strangers, write_body
        from deemo_data.tracks.faces import read_faces

        whole = read_body(clip.path("body"))
        roles = json.loads(clip.path("roles").read_text())
        faces = {int(track): role for track, role in roles["faces"].items()}
        other = strangers(whole, read_faces(clip.path("faces")), faces, clip.grid.width, clip.grid.height)
        body = whole.without_face()
        body = Body(body.points[:, :1], body.confidence[:, :1])
        if roles["body"] != "subject":
            body = nothing(body)
        elif other.any():
            none, gone = nothing(body), other[:, None, None]
            points = np.where(gone[..., None], none.points, body.points)
            body = Body(points, np.where(gone, none.confidence, body.confidence))
        body = Body(smoothed(body.points, self.smooth), body.confidence)
        if self.normalise != "none":
            body = placed(body, clip.grid.width, clip.grid.height)
        if self.normalise == "limbs":
            body = Body(alike(Body(turned(body), body.confidence)), body.confidence)
        write_body(body, out / self.makes["public_body"])
        return {"body_unit": "picture" if self.normalise == "none" else "shoulders"}


def nothing(body: Body) -> Body:
    """A track of the same shape in which nothing was found."""
    import numpy as np

    return Body(np.full_like(body.points, np.nan), np.zeros_like(body.confidence))


def smoothed(points: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """1-2-1 means along the first axis, where a point was found in the frame before and the frame after too."""
    import numpy as np

    for _ in range(times):
        mean = (points[:-2] + 2 * points[1:-1] + points[2:]) / 4
        points = points.copy()
        points[1:-1] = np.where(np.isnan(mean), points[1:-1], mean)
    return points


def placed(body: Body, width: int, height: int) -> Body:
    """The track in shoulder widths around the middle between the shoulders, by one width and one middle for the clip.

    Empty where no frame shows both shoulders. The width is the upper quartile, when the shoulders face the camera.
    """
    import numpy as np

    sure = (body.confidence[:, 0, SHOULDERS] >= SURE).all(axis=1) & np.isfinite(body.points[:, 0, SHOULDERS]).all(axis=(1, 2))
    if not sure.any():
        return nothing(body)
    pixels = body.points * np.array([width, height, width], np.float32)
    left, right = (pixels[sure, 0, i] for i in SHOULDERS)
    wide = max(float(np.quantile(np.hypot(*(left - right)[:, :2].T), 0.75)), 1.0)
    middle = np.median((left + right) / 2, axis=0)
    return Body(np.asarray((pixels - middle) / wide, np.float32), body.confidence)


def turned(body: Body) -> NDArray[np.float32]:
    """The points of a placed track as the clip's median shoulder line lies level and frontal, one shoulder width apart."""
    import numpy as np

    points = body.points
    sure = (body.confidence[:, 0, SHOULDERS] >= SURE).all(axis=1) & np.isfinite(points[:, 0, SHOULDERS]).all(axis=(1, 2))
    if not sure.any():
        return points
    for first, second in ((0, 1), (0, 2)):  # in the picture, then about the upright axis
        line = np.median(points[sure, 0, SHOULDERS[0]] - points[sure, 0, SHOULDERS[1]], axis=0)
        angle = -np.arctan2(line[second], line[first])
        turn = np.eye(3)
        turn[[first, first, second, second], [first, second, first, second]] = (
            np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle),
        )  # fmt: skip
        points = np.asarray(points @ turn, np.float32)
    apart = points[sure, 0, SHOULDERS[0]] - points[sure, 0, SHOULDERS[1]]
    wide = np.quantile(np.hypot(apart[:, 0], apart[:, 1]), 0.75)
    return np.asarray(points / max(wide, 1e-3), np.float32)


def alike(body: Body) -> NDArray[np.float32]:
    """The points (frames, 1, 64, 3) of a placed track with the bones of the tables.

    Every bone is multiplied by one factor a clip, table length over its median length in space, from the middle between
    the shoulders outwards: so a limb that is held towards the camera is still seen short.
    """
    import numpy as np

    points, sure = body.points[:, 0].astype(np.float64), body.confidence[:, 0] >= SURE
    made = np.full_like(points, np.nan)

    def scaled(bones: NDArray[np.float64], known: NDArray[np.bool_], length: float) -> NDArray[np.float64]:
        """Bones (frames, 3) by the factor that makes their median `length`; those that are known say what it is now."""
        long = np.linalg.norm(bones, axis=1)
        seen = long[known & np.isfinite(long)] if (known & np.isfinite(long)).any() else long[np.isfinite(long)]
        return bones * (length / max(float(np.median(seen)), 1e-3)) if len(seen) else bones

    def joined(start: int, end: int, length: float) -> None:
        made[:, end] = made[:, start] + scaled(points[:, end] - points[:, start], sure[:, start] & sure[:, end], length)

    top, low = (points[:, pair].mean(axis=1) for pair in (SHOULDERS, HIPS))
    across, below = (np.asarray(sure[:, pair].all(axis=1)) for pair in (SHOULDERS, HIPS))
    new_low = top + scaled(low - top, across & below, TRUNK)
    for side in (0, 1):
        shoulder, hip = SHOULDERS[side], HIPS[side]
        made[:, shoulder] = top + scaled(points[:, shoulder] - top, across, 0.5)
        made[:, hip] = new_low + scaled(points[:, hip] - low, below, HIP)
        for start, end, length in BODY_BONES:
            joined(start[side], end[side], length)
        root = HANDS[side]
        at_wrist = made[:, WRISTS[side]] + (points[:, root] - points[:, WRISTS[side]])
        made[:, root] = np.where(np.isfinite(at_wrist), at_wrist, points[:, root])
        for finger, lengths in enumerate(FINGERS):
            chain = [root, *range(root + 1 + 4 * finger, root + 5 + 4 * finger)]
            for (start, end), length in zip(pairwise(chain), lengths, strict=True):
                joined(start, end, length)
    return np.asarray(made[:, None], np.float32)
