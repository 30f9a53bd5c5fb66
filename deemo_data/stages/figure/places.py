"""The parts of the body that hands go to, and how a point near them is carried from a person to the standard figure.

`PLACE_NAMES` are the places of one hand. `find_places` gives their positions on any body, and `carry_points` moves a point so
that it lies at the same place: near a place only that place counts, between places their neighbours share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deemo_data.tracks.skeleton import EARS, EYES, MOUTH, NOSE, TRACKED, Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEAD_PLACES = ("forehead", "eyes", "nose", "mouth", "chin", "left ear", "right ear")
TRUNK_PLACES = ("neck", "collar", "chest", "belly", "left shoulder", "right shoulder")
ARM_PLACES = ("other elbow", "hip")
PLACE_NAMES = (*HEAD_PLACES, *TRUNK_PLACES, *ARM_PLACES)
EAR_PLACES: Pair = (HEAD_PLACES.index("left ear"), HEAD_PLACES.index("right ear"))

SOFTENING = 0.06  # shoulder widths: how near a place a point has to be to belong to it alone
STEEPNESS = 8  # a place counts by 1 / distance ** STEEPNESS
FREE_DISTANCE = 0.45  # shoulder widths from the nearest place: from here on the arm's own movement counts more


def find_places(points: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """The places (frames, places, 2) for the hand of a side, from points (frames, 33 or more, 2) in the layout TRACKED."""
    import numpy as np

    def middle(pair: Pair) -> NDArray[np.float64]:
        return np.asarray((points[:, pair[0]] + points[:, pair[1]]) / 2)

    eyes, mouth, ears = middle(EYES), middle(MOUTH), middle(EARS)
    collar, hips = middle(TRACKED.shoulders), middle(TRACKED.hips)
    return np.stack([
        eyes + 1.1 * (eyes - mouth), eyes, points[:, NOSE], mouth, mouth + 0.7 * (mouth - eyes),
        points[:, EARS[0]], points[:, EARS[1]],
        collar + 0.35 * (ears - collar), collar, collar + 0.35 * (hips - collar), collar + 0.75 * (hips - collar),
        points[:, TRACKED.shoulders[0]], points[:, TRACKED.shoulders[1]],
        points[:, TRACKED.elbows[1 - side]], points[:, TRACKED.hips[side]],
    ], axis=1)  # fmt: skip


def carry_points(
    points: NDArray[np.float64],
    places: NDArray[np.float64],
    new_places: NDArray[np.float64],
    scale: NDArray[np.float64],
    weight: NDArray[np.float64],
    free: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Points (frames, n, 2) of a person, moved to where they are on the figure; NaN where they or all of their ways are missing.

    places      (frames, places, 2) of the person; NaN where not seen
    new_places  (frames, places, 2) of the figure
    scale       (places,) shoulder widths of the figure per unit of the person, near each place
    weight      (frames, places) 0 for a place that does not count there
    free        (frames, n, 2) where the points would be without any place, by the movement of the arm alone
    """
    import numpy as np

    from_places = (points[:, :, None] - places[:, None]) * scale[:, None]  # (frames, n, places, 2)
    distances = np.square(from_places).sum(axis=-1)
    moved = new_places[:, None] + from_places
    there = np.asarray(np.isfinite(moved).all(axis=-1) & (weight > 0)[:, None])
    pull = np.where(there, weight[:, None] / (distances + SOFTENING**2) ** (STEEPNESS / 2), 0)
    has_free = np.asarray(np.isfinite(free).all(axis=-1))
    free_pull = np.where(has_free, 1 / (FREE_DISTANCE**2 + SOFTENING**2) ** (STEEPNESS / 2), 0)
    total = (pull[..., None] * np.where(there[..., None], moved, 0)).sum(axis=2)
    total += free_pull[..., None] * np.where(has_free[..., None], free, 0)
    pulls = pull.sum(axis=2) + free_pull
    return np.where((pulls > 0)[..., None], total / np.maximum(pulls, 1e-300)[..., None], np.nan)


def measure_nearness(points: NDArray[np.float64], places: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames, n) shoulder widths of the figure from each point (frames, n, 2) to its nearest place; inf where none is seen."""
    import numpy as np

    distances = np.linalg.norm((points[:, :, None] - places[:, None]) * scale[:, None], axis=-1)
    return np.asarray(np.nan_to_num(distances, nan=np.inf).min(axis=2))
