"""One person's body track, level and measured: what the standard figure is made to follow.

In:  the track of a clip. Out: a `Stance`: the points in the picture plane, and the person's own lengths (`Build`). Everything is
one value per clip, so that movement stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deemo_data.stages.figure import standard
from deemo_data.tracks.body import Body
from deemo_data.tracks.skeleton import EARS, EYES, HAND_POINTS, KNUCKLES, MIN_CONFIDENCE, MOUTH, TRACKED, Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIDDLE_KNUCKLE = KNUCKLES[2]
FULL_LENGTH_QUANTILE = 0.9  # of a bone's length in the picture: that of a bone which lies in the picture plane
LENGTH_RANGE = (0.8, 1.3)  # of a person's bone against the standard one; a bone that never lies in the plane looks shorter


@dataclass(frozen=True)
class Build:
    """One person's lengths in pixels, each over the whole clip.

    unit       one shoulder width of the standard figure; for somebody who stands sideways, what neck and trunk ask for at least
    shoulders  distance of the shoulders when they face the camera
    head       one shoulder width of a standard figure with a head of this size
    trunk      midpoint of the shoulders to midpoint of the hips
    hips       distance of the hips
    palm       wrist to middle knuckle
    """

    unit: float
    shoulders: float
    head: float
    trunk: float
    hips: float
    palm: float


@dataclass(frozen=True)
class Stance:
    """A body in consecutive frames, in pixels of the level picture: y down, the middle of the shoulders at (0, 0) in the median.

    planar      (frames, 75, 2) in the layout TRACKED; NaN where nothing was found
    deep        (frames, 75) MediaPipe's z; that of a hand begins at its own wrist
    confidence  (frames, 75)
    has_hips    (frames,) whether the hips are measured, not guessed
    """

    planar: NDArray[np.float64]
    deep: NDArray[np.float64]
    confidence: NDArray[np.float64]
    has_hips: NDArray[np.bool_]
    build: Build

    def hand(self, side: int) -> NDArray[np.float64]:
        """(frames, 21, 2) the hand of a side."""
        return self.planar[:, hand_slice(side)]

    def middle(self, pair: Pair) -> NDArray[np.float64]:
        """(frames, 2) the midpoint of two points."""
        return (self.planar[:, pair[0]] + self.planar[:, pair[1]]) / 2

    def bone(self, start: int, end: int) -> NDArray[np.float64]:
        """(frames, 2) from one point to another."""
        return self.planar[:, end] - self.planar[:, start]

    def full_length(self, bones: tuple[tuple[int, int], ...], standard_length: float) -> float:
        """The length in pixels of bones that are equally long in truth, where they lie in the picture plane."""
        import numpy as np

        usual = standard_length * self.build.unit
        lengths = np.concatenate([measure_lengths(self.bone(start, end)) for start, end in bones])
        return float(
            np.clip(find_quantile(lengths, FULL_LENGTH_QUANTILE, usual), usual * LENGTH_RANGE[0], usual * LENGTH_RANGE[1])
        )

    def hint(self, start: int, end: int) -> NDArray[np.float64]:
        """(frames,) MediaPipe's depth of a bone, in shoulder widths."""
        return (self.deep[:, end] - self.deep[:, start]) / self.build.unit


def hand_slice(side: int) -> slice:
    return slice(TRACKED.hands[side], TRACKED.hands[side] + HAND_POINTS)


def take_stance(body: Body, width: int, height: int) -> Stance | None:
    """The stance of a clip's first body (75 points); None where no frame shows both shoulders.

    The clip's median line of the shoulders becomes level, with the head above it.
    """
    import numpy as np

    pixels = body.points[:, 0].astype(np.float64) * [width, height, width]
    planar, deep, confidence = pixels[..., :2], pixels[..., 2], body.confidence[:, 0].astype(np.float64)

    def is_measured(pair: Pair) -> NDArray[np.bool_]:
        finite = np.isfinite(planar[:, pair]).all(axis=(1, 2))
        return np.asarray(finite & (confidence[:, pair] >= MIN_CONFIDENCE).all(axis=1))

    has_shoulders, has_hips = is_measured(TRACKED.shoulders), is_measured(TRACKED.hips)
    if not has_shoulders.any():
        return None
    line = np.median(planar[has_shoulders][:, TRACKED.shoulders[0]] - planar[has_shoulders][:, TRACKED.shoulders[1]], axis=0)
    middle = planar[:, TRACKED.shoulders].mean(axis=1)
    upwards = take_median((planar[:, EARS].mean(axis=1) - middle)[has_shoulders])
    turn = make_rotation(-np.arctan2(line[1], line[0]))
    if (turn @ upwards)[1] > 0:  # seen from behind, the person's left is on the left: level is the other way round
        turn = -turn
    planar = (planar - np.median(middle[has_shoulders], axis=0)) @ turn.T
    return Stance(planar, deep, confidence, has_hips, measure_build(planar, has_shoulders, has_hips))


def measure_build(planar: NDArray[np.float64], has_shoulders: NDArray[np.bool_], has_hips: NDArray[np.bool_]) -> Build:
    """The lengths of a person from level points (frames, 75, 2). What is not seen has the standard's proportion."""
    import numpy as np

    def middle(pair: Pair) -> NDArray[np.float64]:
        return np.asarray(planar[:, pair].mean(axis=1))

    def across(pair: Pair, frames: NDArray[np.bool_]) -> NDArray[np.float64]:
        return measure_lengths((planar[:, pair[0]] - planar[:, pair[1]])[frames])

    trunks = measure_lengths((middle(TRACKED.hips) - middle(TRACKED.shoulders))[has_hips])
    necks = measure_lengths(middle(EARS) - middle(TRACKED.shoulders))
    faces = measure_lengths(middle(EYES) - middle(MOUTH))
    shoulders = max(find_quantile(across(TRACKED.shoulders, has_shoulders), 0.75, 1.0), 1.0)
    unit = max(
        shoulders, 0.85 * find_quantile(necks, 0.5, 0.0) / standard.NECK_LENGTH,
        0.8 * find_quantile(trunks, 0.5, 0.0) / standard.TRUNK_LENGTH,
    )  # fmt: skip
    every = np.ones(len(planar), bool)
    head = max(
        find_quantile(across(EARS, every), 0.75, 0.0) / 2 / standard.HEAD_RADIUS,
        find_quantile(faces, 0.5, 0.0) / standard.FACE_LENGTH, 0.6 * unit,
    )  # fmt: skip
    hips = find_quantile(across(TRACKED.hips, has_hips if has_hips.any() else every), 0.75, standard.HIP_WIDTH * unit)
    palms = np.concatenate([measure_lengths(planar[:, root + MIDDLE_KNUCKLE] - planar[:, root]) for root in TRACKED.hands])
    usual_palm = standard.PALM_LENGTH * unit
    return Build(
        unit=unit,
        shoulders=shoulders,
        head=head,
        trunk=find_quantile(trunks, 0.5, standard.TRUNK_LENGTH * unit),
        hips=max(hips, standard.HIP_WIDTH / 2 * unit),
        palm=float(np.clip(find_quantile(palms, 0.75, usual_palm), 0.6 * usual_palm, 1.6 * usual_palm)),
    )


def make_rotation(angle: float) -> NDArray[np.float64]:
    """(2, 2) the rotation of the picture plane by an angle in radians, from x to y."""
    import numpy as np

    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def measure_lengths(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.linalg.norm(vectors, axis=-1))


def find_quantile(values: NDArray[np.float64], share: float, otherwise: float) -> float:
    """The quantile of the values that are there; `otherwise` where none is."""
    import numpy as np

    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, share)) if len(finite) else otherwise


def take_median(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2,) the median of those vectors (n, 2) that are there; (0, 0) where none is."""
    import numpy as np

    finite = vectors[np.isfinite(vectors).all(axis=1)]
    return np.asarray(np.median(finite, axis=0)) if len(finite) else np.zeros(2)


def shorten(vectors: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Vectors (…, 2 or 3), the longer ones cut to `length`."""
    import numpy as np

    own = np.linalg.norm(vectors, axis=-1)
    return np.asarray(vectors * np.minimum(1, length / np.maximum(own, 1e-9))[..., None])
