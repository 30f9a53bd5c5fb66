"""One person's body track as a `Scene`: points, hands, and the person's own units of length.

In:  the body track in pixels and the person's face boxes (`build_scene`).
Out: a `Scene`, split where the body jumps (`split_at_jumps`), and the measures that the rules share: lengths, speeds, rolling
     means and percentiles.

The rules measure in shoulder widths and face widths, so that they hold at any distance from the camera. Next: signals.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deemo_data.tracks.skeleton import BODY_POINTS, HAND_POINTS, MIN_CONFIDENCE, TRACKED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_STEP_SHOULDER_WIDTHS = 0.6  # per frame; a larger step is a cut or another person, not a movement


@dataclass(frozen=True)
class Scene:
    """The subject's body in consecutive frames. Lengths are in pixels: x to the right, y down, z away from the camera.

    points          (frames, 33, 3) of BlazePose; NaN where nothing was found
    confidence      (frames, 33) of the points
    in_picture      (frames, 33) whether the point lies in the picture: the pose also guesses points outside of it
    hands           (frames, 2, 21, 3) the person's left and right hand; NaN where not seen
    face_width      (frames,)
    shoulder_width  (frames,) distance between the shoulders when they face the camera
    """

    fps: float
    points: NDArray[np.float64]
    confidence: NDArray[np.float64]
    in_picture: NDArray[np.bool_]
    hands: NDArray[np.float64]
    face_width: NDArray[np.float64]
    shoulder_width: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)

    def slice_frames(self, start: int, end: int) -> Scene:
        names = ("points", "confidence", "in_picture", "hands", "face_width", "shoulder_width")
        return replace(self, **{n: getattr(self, n)[start:end] for n in names})

    def frames_of_ms(self, ms: float) -> int:
        return max(1, round(ms / 1000 * self.fps))

    def has_points(self, indices: Sequence[int]) -> NDArray[np.bool_]:
        """(frames,) whether all these points are measured: the pose is sure of them, and they lie in the picture.

        BlazePose guesses what is hidden or outside of the picture, such as the hips of somebody behind a desk. A rule may use
        such a point only where it says so.
        """
        import numpy as np

        measured = (self.confidence[:, indices] >= MIN_CONFIDENCE) & self.in_picture[:, indices]
        return np.asarray(measured.all(axis=1))


def build_scene(
    points: NDArray[np.float32],
    confidence: NDArray[np.float32],
    faces: NDArray[np.float32],
    fps: float,
    min_shoulder_px: float = 0,
    picture: tuple[int, int] | None = None,
) -> Scene:
    """The scene of one person's track.

    points           (frames, 75, 3) in pixels: BlazePose, left hand, right hand; NaN where nothing was found
    confidence       (frames, 75)
    faces            (frames, 2) width and height of the person's face box in pixels; NaN where there is no box
    min_shoulder_px  a body with narrower shoulders is too small to be measured: no rule holds there
    picture          its width and height; without it all points that were found lie in the picture
    """
    import numpy as np

    body, body_confidence = points[:, :BODY_POINTS].astype(np.float64), confidence[:, :BODY_POINTS].astype(np.float64)
    hands = points[:, BODY_POINTS:].astype(np.float64).reshape(-1, 2, HAND_POINTS, 3)
    left, right = (body[:, index] for index in TRACKED.shoulders)
    both_sure = (body_confidence[:, TRACKED.shoulders] >= MIN_CONFIDENCE).all(axis=1)
    half = max(1, round(fps / 2))
    shoulder_width = rolling_percentile(np.where(both_sure, np.hypot(*(left - right)[:, :2].T), np.nan), half, 75)
    shoulder_width = np.where(shoulder_width >= min_shoulder_px, shoulder_width, np.nan)
    face_width = rolling_percentile(np.maximum(faces[:, 0], 0.7 * faces[:, 1]).astype(np.float64), half, 50)
    face_width = np.where(np.isfinite(face_width), face_width, 0.44 * shoulder_width)
    from_wrist = np.hypot(*(hands[:, :, 0] - body[:, TRACKED.wrists])[..., :2].reshape(-1, 2).T).reshape(-1, 2)
    sure_wrist = body_confidence[:, TRACKED.wrists] >= MIN_CONFIDENCE
    hands[sure_wrist & (from_wrist > 0.6 * shoulder_width[:, None])] = np.nan  # this is another person's hand
    in_picture = np.asarray(np.isfinite(body[..., :2]).all(axis=-1))
    if picture is not None:
        in_picture &= ((body[..., :2] >= 0) & (body[..., :2] <= picture)).all(axis=-1)
    return Scene(fps, body, body_confidence, in_picture, hands, face_width, shoulder_width)


def split_at_jumps(scene: Scene) -> list[tuple[int, int]]:
    """The parts [start, end) between jumps of the body: a jump is a cut, or the track continues on another person."""
    import numpy as np

    middle = scene.points[:, TRACKED.shoulders, :2].mean(axis=1)
    width = scene.shoulder_width
    measured = np.flatnonzero(np.isfinite(middle).all(axis=1) & np.isfinite(width))
    if not len(measured):
        return []
    before, after = measured[:-1], measured[1:]
    step = np.hypot(*(middle[after] - middle[before]).T) / np.maximum(width[after], 1.0)
    growth = np.abs(np.log(width[after] / width[before]))
    cuts = after[(step > MAX_STEP_SHOULDER_WIDTHS) | (growth > np.log(1.5))].tolist()
    return [(a, b) for a, b in zip([0, *cuts], [*cuts, len(scene)], strict=True) if b > a]


def planar_lengths(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths of vectors (…, 2 or 3) in the picture plane; z is too coarse for distances."""
    import numpy as np

    return np.asarray(np.hypot(vectors[..., 0], vectors[..., 1]))


def measure_speed(scene: Scene, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames,) speed of places (frames, 2) in shoulder widths per second, over the tenth of a second around each frame."""
    import numpy as np

    step = min(scene.frames_of_ms(50), max(1, len(places) // 2))
    padded = np.pad(places, ((step, step), (0, 0)), mode="edge")
    distance = planar_lengths(padded[2 * step :] - padded[: -2 * step])
    return np.asarray(distance / scene.shoulder_width / (2 * step) * scene.fps)


def rolling_percentile(values: NDArray[np.float64], half: int, percent: float) -> NDArray[np.float64]:
    """The percentile of the values within `half` frames on either side, without NaN; NaN where there is no value."""
    import numpy as np
    import pandas as pd

    window = pd.Series(values).rolling(2 * half + 1, center=True, min_periods=1)
    return np.asarray(window.quantile(percent / 100), np.float64)


def rolling_mean(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """The mean of the values within `half` frames on either side, without NaN; NaN where there is no value."""
    import numpy as np

    finite = np.isfinite(values)
    kernel = np.ones(2 * half + 1)
    sums, counts = (
        np.convolve(v, kernel)[half : half + len(values)] for v in (np.where(finite, values, 0), finite.astype(float))
    )
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
