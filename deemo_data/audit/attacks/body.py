"""Attacks on body tracks: whose clip is it, told from how a body is built, how it is held and how it moves.

Each clip becomes a few vectors of plain figures, and each is used alone and with the others. Two attackers: the nearest
other clip, and a discriminant analysis that has seen every clip but the one in question. Tracks are enough to tell
signers apart (Battisti et al. 2024), so this is no idle question. Clips of one recording share camera and place: what
such an attacker finds may be the session and not the person, and the figure counts it as found all the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.audit.attacks import scores
from deemo_data.audit.attacks.scores import Score
from deemo_data.audit.attacks.voice import backend
from deemo_data.tracks.body import BODY_POINTS, FACE_POINTS, HAND_POINTS, Body, read_body

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


PUBLIC_POINTS = BODY_POINTS - FACE_POINTS + 2 * HAND_POINTS
SHOULDERS = (0, 1)  # of a public track: the left, the right; then elbows, wrists, and from 12 on hips, knees and so on
BONES = ((0, 2), (1, 3), (2, 4), (3, 5), (0, 12), (1, 13), (12, 13), (0, 1))
POSED = (0, 1, 2, 3, 4, 5, 12, 13)  # whose places make a posture
MOVED = (0, 1, 2, 3, 4, 5)  # whose movement is looked at
HANDS = (22, 43)  # the first point of the left hand and of the right
FINGERS = (
    (0, 9),
    (0, 5),
    (0, 17),
    (5, 17),
    (5, 6),
    (6, 7),
    (7, 8),
    (9, 10),
    (10, 11),
    (11, 12),
    (13, 14),
    (17, 18),
    (1, 2),
    (2, 3),
)
BANDS = ((0.3, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0))  # Hz
SURE = 0.5  # confidence below which a point is a guess
LEAST = 10  # frames in which shoulders are seen, below which there is no body to look at
SHRINK = 0.5  # of the discriminant's scatter towards a round one: a few clips say little about it


@dataclass(frozen=True)
class Track:
    """The body points of one clip of one subject; `aspect` is the picture's width / height, 1 where x and y have one unit."""

    subject: str
    clip: str
    body: Body
    fps: float
    aspect: float = 1.0

    @classmethod
    def read(cls, subject: str, path: Path, fps: float, aspect: float = 1.0, clip: str = "") -> Track:
        return cls(subject, clip or path.stem, read_body(path), fps, aspect)


@dataclass(frozen=True)
class Row:
    """What one attacker reached; without a score, `note` says why it could not run.

    scenario  tracked (all points, the face's too) or public (what is given away)
    attacker  the way of matching and the figures it looked at, say "nearest clip, limbs"
    """

    scenario: str
    attacker: str
    score: Score | None
    note: str = ""
    measure: str = "rank-1"

    def to_row(self) -> dict[str, Any]:
        said = {"scenario": self.scenario, "attacker": self.attacker, "measure": self.measure, "note": self.note}
        return {**said, **(self.score.to_row() if self.score else {})}


def attack(tracked: Sequence[Track], public: Sequence[Track], seed: int = 0) -> list[Row]:
    """All attackers before and after, and a row "highest": the best of them on the public tracks.

    Gallery and probes are the same clips, each asked about the others. Chance is 1 / subjects. The highest of many
    figures is by chance alone a little higher than each: the safe side.
    """
    rows = [*identify("tracked", tracked, seed), *identify("public", public, seed)]
    known = [(r.score.value, r) for r in rows if r.score and r.scenario == "public"]
    if not known:
        return [*rows, Row("highest", "none", None, "no attacker could run")]
    most = max(known, key=lambda pair: pair[0])[1]
    return [*rows, Row("highest", most.attacker, most.score, f"the highest of {len(known)}")]


def identify(scenario: str, clips: Sequence[Track], seed: int = 0) -> list[Row]:
    """Rank-1 of each attacker on one set of tracks: whose is each clip, by all the others."""
    import numpy as np

    seen = [(t, f) for t in clips if (f := figures(t))]
    subjects = [t.subject for t, _ in seen]
    asked = [i for i, who in enumerate(subjects) if subjects.count(who) > 1]
    if len(set(subjects)) < 2 or not asked:
        return [Row(scenario, "all", None, "needs two subjects, and one of them in two clips where a body is seen")]
    common = [name for name in seen[0][1] if all(name in f for _, f in seen)]
    groups = {name: standard(np.array([f[name] for _, f in seen])) for name in common}
    groups["all"] = np.concatenate(list(groups.values()), axis=1)
    groups["limbs and posture"] = np.concatenate([groups["limbs"], groups["posture"]], axis=1)
    known, people = sorted(set(subjects)), np.array(subjects)
    whose = [subjects[i] for i in asked]
    rows = []
    for way, judge in (("nearest clip", nearest), ("discriminant", discriminant)):
        for name, table in groups.items():
            told = [judge(np.delete(table, i, 0), np.delete(people, i), known, table[i]) for i in asked]
            rows.append(Row(scenario, f"{way}, {name}", scores.rank1_score(told, known, whose, "clips", seed)))
    return rows


def nearest(
    vectors: NDArray[np.float64], subjects: NDArray[np.str_], known: Sequence[str], probe: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How near a probe (d,) is to the nearest clip of each known subject among `vectors` (n, d): high is near.

    Figures are weighted by how well each tells the subjects of these clips apart (voice.backend).
    """
    import numpy as np

    _, weight = backend(vectors, subjects)
    near = -np.linalg.norm((vectors - probe) * weight, axis=1)
    return np.array([near[subjects == who].max(initial=-np.inf) for who in known])


def discriminant(
    vectors: NDArray[np.float64], subjects: NDArray[np.str_], known: Sequence[str], probe: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How near a probe (d,) is to each known subject, by a linear discriminant analysis of `vectors` (n, d): high is near.

    Weighted as in `nearest`; then, on the axes that the clips span, distance is measured by their scatter within a
    subject, shrunk towards a round one.
    """
    import numpy as np

    middle, weight = backend(vectors, subjects)
    vectors, asked = (vectors - middle) * weight, (probe - middle) * weight
    _, strength, axes = np.linalg.svd(vectors, full_matrices=False)
    axes = axes[strength > 1e-6 * max(strength[0], 1e-12)]
    points, asked = vectors @ axes.T, asked @ axes.T
    means = {who: points[subjects == who].mean(axis=0) for who in sorted(set(subjects))}
    rest = points - np.array([means[who] for who in subjects])
    scatter = rest.T @ rest / max(len(rest) - len(means), 1)
    even = np.eye(len(scatter)) * max(float(np.trace(scatter)) / max(len(scatter), 1), 1e-9)
    measure = np.linalg.inv((1 - SHRINK) * scatter + SHRINK * even)
    away = {who: (asked - mean) @ measure @ (asked - mean) for who, mean in means.items()}
    return np.array([-away[who] if who in away else -np.inf for who in known])


def standard(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column at mean 0 and deviation 1 over the clips; what was not seen lies in the middle."""
    import numpy as np

    with _few():
        middle, spread = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    return np.nan_to_num(np.clip((table - middle) / np.where(spread > 1e-9, spread, np.inf), -4, 4))


# ── what a clip tells ────────────────────────────────────────────────────────────────────────────────────────


def figures(track: Track) -> dict[str, NDArray[np.float64]]:
    """Vectors by name: limbs, hands, posture, motion, place, and face where its points are there. Empty without a body."""
    import numpy as np

    points = track.body.points[:, 0].astype(np.float64) * [track.aspect, 1, track.aspect]
    points = np.where(track.body.confidence[:, 0, :, None] >= SURE, points, np.nan)
    face, points = points[:, :-PUBLIC_POINTS], points[:, -PUBLIC_POINTS:]
    shoulders = points[:, SHOULDERS, :2]
    if np.isfinite(shoulders).all(axis=(1, 2)).sum() < LEAST:
        return {}
    with _few():
        wide = max(float(np.nanquantile(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1), 0.75)), 1e-6)
        middle = shoulders.mean(axis=1, keepdims=True)
        held = (points[:, POSED, :2] - middle) / wide
        said = {
            "limbs": _lengths(points, BONES) / wide,
            "hands": np.concatenate([_shape(points[:, first : first + HAND_POINTS]) for first in HANDS]),
            "posture": np.concatenate([np.nanmean(held, axis=0).ravel(), np.nanstd(held, axis=0).ravel()]),
            "motion": np.concatenate([_movement(points[:, i, :2] / wide, track.fps) for i in MOVED]),
            "place": np.array([*np.nanmean(middle[:, 0], axis=0), wide]),
        }
        if face.shape[1]:
            ears = np.nanmean(np.linalg.norm(face[:, 7] - face[:, 8], axis=-1))
            said["face"] = (np.nanmean(face - face[:, :1], axis=0) / ears)[1:].ravel()
    return said


def _lengths(points: NDArray[np.float64], pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Of each pair of points, on the picture and in space: the median and the upper quartile, when a limb lies flat."""
    import numpy as np

    first, second = (points[:, [pair[k] for pair in pairs]] for k in (0, 1))
    long = [np.linalg.norm((first - second)[..., :n], axis=-1) for n in (2, 3)]
    return np.concatenate([np.nanquantile(values, [0.5, 0.75], axis=0).ravel() for values in long])


def _shape(hand: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths within one hand (frames, 21, 3) by the length of its palm."""
    lengths = _lengths(hand, FINGERS)
    return lengths / max(float(lengths[0]), 1e-6)


def _movement(path: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """How fast a point (frames, 2) goes, its spread over the picture, and its power in BANDS, as logarithms."""
    import numpy as np

    seen = np.isfinite(path).all(axis=1)
    if seen.sum() < LEAST:
        return np.full(2 + len(BANDS), np.nan)
    at = np.arange(len(path))
    whole = np.stack([np.interp(at, at[seen], path[seen, k]) for k in (0, 1)], axis=1)
    speed = np.linalg.norm(np.diff(whole, axis=0), axis=1).mean() * fps
    spread = np.linalg.norm(whole.std(axis=0))
    power = (np.abs(np.fft.rfft((whole - whole.mean(axis=0)) * np.hanning(len(whole))[:, None], axis=0)) ** 2).mean(axis=1)
    hertz = np.fft.rfftfreq(len(whole), 1 / fps)
    bands = [power[(hertz >= low) & (hertz < high)].sum() / len(whole) ** 2 for low, high in BANDS]
    return np.log(np.maximum([speed, spread, *bands], 1e-9))


@contextmanager
def _few() -> Iterator[None]:
    """Means over points that no frame has are NaN, and that is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
