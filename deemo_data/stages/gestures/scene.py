"""One person between two cuts, in body units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deemo_data.tracks.body import BODY_POINTS, HAND_POINTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

JUMP = 0.6  # shoulder widths in one frame: not a movement but a cut, or another person
SURE = 0.5  # confidence from which on a point is measured


@dataclass(frozen=True)
class Scene:
    """The subject's body in one stretch without a cut. All lengths in pixels, x to the right, y down, z away from the camera.

    points  (frames, 33, 3) of BlazePose, NaN where nothing was found; sure (frames, 33): its confidence
    hands   (frames, 2, 21, 3): the person's left, right; NaN where not seen
    face    (frames,): how wide the face is; shoulders (frames,): how far apart they are when they face the camera
    """

    fps: float
    points: NDArray[np.float64]
    sure: NDArray[np.float64]
    hands: NDArray[np.float64]
    face: NDArray[np.float64]
    shoulders: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)

    def part(self, start: int, end: int) -> Scene:
        names = ("points", "sure", "hands", "face", "shoulders")
        return replace(self, **{n: getattr(self, n)[start:end] for n in names})

    def frames(self, ms: float) -> int:
        return max(1, round(ms / 1000 * self.fps))


def shots(scene: Scene) -> list[tuple[int, int]]:
    """The stretches between jumps of the body: cuts of the picture, and frames from which another person is followed."""
    import numpy as np

    middle = scene.points[:, 11:13, :2].mean(axis=1)
    seen = np.flatnonzero(np.isfinite(middle).all(axis=1) & np.isfinite(scene.shoulders))
    if not len(seen):
        return []
    gone = np.hypot(*(middle[seen[1:]] - middle[seen[:-1]]).T) / np.maximum(scene.shoulders[seen[1:]], 1.0)
    grown = np.abs(np.log(scene.shoulders[seen[1:]] / scene.shoulders[seen[:-1]]))
    cuts = seen[1:][(gone > JUMP) | (grown > np.log(1.5))].tolist()
    return [(a, b) for a, b in zip([0, *cuts], [*cuts, len(scene)], strict=True) if b > a]


def scene_of(
    points: NDArray[np.float32], confidence: NDArray[np.float32], faces: NDArray[np.float32], fps: float, least_wide: float = 0
) -> Scene:
    """The scene of one person's track.

    points      (frames, 75, 3) in pixels: BlazePose, left hand, right hand; NaN where nothing was found
    confidence  (frames, 75)
    faces       (frames, 2): width and height of the person's face box in pixels, NaN where there is none
    least_wide  pixels between the shoulders, below which a body is too small to be measured: nothing holds there
    """
    import numpy as np

    body, sure = points[:, :BODY_POINTS].astype(np.float64), confidence[:, :BODY_POINTS].astype(np.float64)
    hands = points[:, BODY_POINTS:].astype(np.float64).reshape(-1, 2, HAND_POINTS, 3)
    both = (sure[:, 11:13] >= SURE).all(axis=1)
    apart = np.where(both, np.hypot(*(body[:, 11] - body[:, 12])[:, :2].T), np.nan)
    window = max(1, round(fps / 2))
    shoulders = rolling(apart, window, 75)
    shoulders = np.where(shoulders >= least_wide, shoulders, np.nan)
    face = rolling(np.maximum(faces[:, 0], 0.7 * faces[:, 1]).astype(np.float64), window, 50)
    far = np.hypot(*(hands[:, :, 0] - body[:, 15:17])[..., :2].reshape(-1, 2).T).reshape(-1, 2)
    strange = (sure[:, 15:17] >= SURE) & (far > 0.6 * shoulders[:, None])  # somebody else's hand
    hands[strange] = np.nan
    return Scene(fps, body, sure, hands, np.where(np.isfinite(face), face, 0.44 * shoulders), shoulders)


def rolling(values: NDArray[np.float64], half: int, percent: float) -> NDArray[np.float64]:
    """The percentile of the values within `half` frames on either side, NaN left out; NaN where there are none."""
    import numpy as np
    import pandas as pd

    window = pd.Series(values).rolling(2 * half + 1, center=True, min_periods=1)
    return np.asarray(window.quantile(percent / 100), np.float64)


SIDES = ("left", "right")
NOSE, EYES, EARS, MOUTH, SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES = (
    (0,), (2, 5), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (23, 24), (25, 26),
)  # fmt: skip
STUBS = ((17, 19, 21), (18, 20, 22))  # where the pose has the little finger, the index finger and the thumb begin
TIPS, KNUCKLES, JOINTS, PALM = (4, 8, 12, 16, 20), (2, 5, 9, 13, 17), (6, 10, 14, 18), (0, 5, 9, 13, 17)
TOUCHING = tuple(n for n in range(21) if n not in (0, 1, 2, 5, 9, 13, 17))  # the fingers, without palm and knuckles
ENDS = (*TIPS, 21, 22, 23)  # those, and the pose's three points of a hand
FINGERS = (*TOUCHING, 21, 22, 23)
FACE_M, PALM_M, KNUCKLES_M = 0.14, 0.095, 0.07  # metres: a face's width, wrist to middle knuckle, first to last knuckle


def length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths in the picture; the third coordinate is too coarse for distances."""
    import numpy as np

    return np.asarray(np.hypot(vectors[..., 0], vectors[..., 1]))


def speed_of(scene: Scene, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames,) shoulder widths a second, over the tenth of a second around each frame."""
    import numpy as np

    step = min(scene.frames(50), max(1, len(places) // 2))
    padded = np.pad(places, ((step, step), (0, 0)), mode="edge")
    gone = length(padded[2 * step :] - padded[: -2 * step])
    return np.asarray(gone / scene.shoulders / (2 * step) * scene.fps)


def mean_of(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """The mean of what is known within `half` frames on either side."""
    import numpy as np

    known = np.isfinite(values)
    kernel = np.ones(2 * half + 1)
    total, count = (np.convolve(v, kernel)[half : half + len(values)] for v in (np.where(known, values, 0), known.astype(float)))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
