"""Attacks on body tracks: identification by build, posture and movement.

Each clip becomes a few feature vectors; each is used alone and together with the others. There are two attackers: the nearest
other clip, and a discriminant analysis that has seen every clip except the probe. Tracks are enough to tell signers apart
(Battisti et al. 2024), so the question is real. Clips of one recording share camera and place: an attacker may recognise the
session and not the person, and the figure counts that as recognised.
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
from deemo_data.audit.attacks.voice import fit_backend
from deemo_data.tracks.body import Body, read_body
from deemo_data.tracks.skeleton import EARS, HAND_POINTS, NOSE, PUBLIC, PUBLIC_POINTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BONES = (*PUBLIC.upper_arms, *PUBLIC.forearms, *PUBLIC.flanks, PUBLIC.hips, PUBLIC.shoulders)
POSTURE_POINTS = (*PUBLIC.shoulders, *PUBLIC.elbows, *PUBLIC.wrists, *PUBLIC.hips)  # points whose places make a posture
MOTION_POINTS = (*PUBLIC.shoulders, *PUBLIC.elbows, *PUBLIC.wrists)  # points whose movement is measured
HAND_LENGTHS = (  # pairs of points within a hand; the first is the palm's length, wrist to middle knuckle
    (0, 9), (0, 5), (0, 17), (5, 17), (5, 6), (6, 7), (7, 8), (9, 10), (10, 11), (11, 12), (13, 14), (17, 18), (1, 2), (2, 3),
)  # fmt: skip
BANDS_HZ = ((0.3, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0))  # Hz
MIN_CONFIDENCE = 0.5  # a point with less confidence is not used
MIN_FRAMES = 10  # with visible shoulders; a clip with fewer is not attacked
SCATTER_SHRINKAGE = 0.5  # of the discriminant's scatter matrix towards a round one, because few clips estimate it poorly


@dataclass(frozen=True)
class Track:
    """The body points of one clip of one subject; `aspect` is the picture's width / height, or 1 if x and y share one unit."""

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
    """The score of one attacker; without a score, `note` says why it could not run.

    scenario  tracked (all points, face included) or public (the published points)
    attacker  the matching method and the features, for example "nearest clip, limbs"
    """

    scenario: str
    attacker: str
    score: Score | None
    note: str = ""
    measure: str = "rank-1"

    def to_row(self) -> dict[str, Any]:
        row = {"scenario": self.scenario, "attacker": self.attacker, "measure": self.measure, "note": self.note}
        return {**row, **(self.score.to_row() if self.score else {})}


def attack_bodies(tracked: Sequence[Track], public: Sequence[Track], seed: int = 0) -> list[Row]:
    """All attackers on tracked and public points, and a row "highest": the best of them on the public tracks.

    Gallery and probes are the same clips; each is compared with all others. Chance is 1 / subjects. The highest of many
    figures is by chance a little higher than each of them, which is the safe side.
    """
    rows = [*identify_subjects("tracked", tracked, seed), *identify_subjects("public", public, seed)]
    scored = [(r.score.value, r) for r in rows if r.score and r.scenario == "public"]
    if not scored:
        return [*rows, Row("highest", "none", None, "no attacker could run")]
    best = max(scored, key=lambda pair: pair[0])[1]
    return [*rows, Row("highest", best.attacker, best.score, f"the highest of {len(scored)}")]


def identify_subjects(scenario: str, clips: Sequence[Track], seed: int = 0) -> list[Row]:
    """Rank-1 of each attacker on one set of tracks: each clip is identified by all others."""
    import numpy as np

    featured = [(t, f) for t in clips if (f := feature_vectors(t))]
    subjects = [t.subject for t, _ in featured]
    probes = [i for i, who in enumerate(subjects) if subjects.count(who) > 1]
    if len(set(subjects)) < 2 or not probes:
        return [Row(scenario, "all", None, "needs two subjects, and one of them in two clips where a body is seen")]
    common = [name for name in featured[0][1] if all(name in f for _, f in featured)]
    groups = {name: standardise(np.array([f[name] for _, f in featured])) for name in common}
    groups["all"] = np.concatenate(list(groups.values()), axis=1)
    groups["limbs and posture"] = np.concatenate([groups["limbs"], groups["posture"]], axis=1)
    candidates, people = sorted(set(subjects)), np.array(subjects)
    probe_subjects = [subjects[i] for i in probes]
    rows = []
    for way, judge in (("nearest clip", score_nearest), ("discriminant", score_discriminant)):
        for name, table in groups.items():
            similarity = [judge(np.delete(table, i, 0), np.delete(people, i), candidates, table[i]) for i in probes]
            rows.append(
                Row(scenario, f"{way}, {name}", scores.rank1_score(similarity, candidates, probe_subjects, "clips", seed))
            )
    return rows


def score_nearest(
    vectors: NDArray[np.float64], subjects: NDArray[np.str_], candidates: Sequence[str], probe: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Similarity of a probe (d,) to the nearest clip of each known subject among `vectors` (n, d): high is near.

    Features are weighted by how well each separates the subjects of these clips (voice.backend).
    """
    import numpy as np

    _, weight = fit_backend(vectors, subjects)
    near = -np.linalg.norm((vectors - probe) * weight, axis=1)
    return np.array([near[subjects == who].max(initial=-np.inf) for who in candidates])


def score_discriminant(
    vectors: NDArray[np.float64], subjects: NDArray[np.str_], candidates: Sequence[str], probe: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Similarity of a probe (d,) to each known subject by linear discriminant analysis of `vectors` (n, d): high is near.

    Weighted as in `nearest`; then the distance is measured by the within-subject scatter on the axes that the clips
    span, shrunk towards a round one.
    """
    import numpy as np

    middle, weight = fit_backend(vectors, subjects)
    vectors, probe_point = (vectors - middle) * weight, (probe - middle) * weight
    _, strength, axes = np.linalg.svd(vectors, full_matrices=False)
    axes = axes[strength > 1e-6 * max(strength[0], 1e-12)]
    points, probe_point = vectors @ axes.T, probe_point @ axes.T
    means = {who: points[subjects == who].mean(axis=0) for who in sorted(set(subjects))}
    rest = points - np.array([means[who] for who in subjects])
    scatter = rest.T @ rest / max(len(rest) - len(means), 1)
    even = np.eye(len(scatter)) * max(float(np.trace(scatter)) / max(len(scatter), 1), 1e-9)
    measure = np.linalg.inv((1 - SCATTER_SHRINKAGE) * scatter + SCATTER_SHRINKAGE * even)
    away = {who: (probe_point - mean) @ measure @ (probe_point - mean) for who, mean in means.items()}
    return np.array([-away[who] if who in away else -np.inf for who in candidates])


def standardise(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each column standardised to mean 0 and deviation 1 over the clips; missing values become 0."""
    import numpy as np

    with _without_nan_warnings():
        middle, spread = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    return np.nan_to_num(np.clip((table - middle) / np.where(spread > 1e-9, spread, np.inf), -4, 4))


# ── features of a clip ────────────────────────────────────────────────────────────────────────────────────────


def feature_vectors(track: Track) -> dict[str, NDArray[np.float64]]:
    """Feature vectors by name: limbs, hands, posture, motion, place, and face if face points are there. Empty without a body."""
    import numpy as np

    points = track.body.points[:, 0].astype(np.float64) * [track.aspect, 1, track.aspect]
    points = np.where(track.body.confidence[:, 0, :, None] >= MIN_CONFIDENCE, points, np.nan)
    face, points = points[:, :-PUBLIC_POINTS], points[:, -PUBLIC_POINTS:]
    shoulders = points[:, PUBLIC.shoulders, :2]
    if np.isfinite(shoulders).all(axis=(1, 2)).sum() < MIN_FRAMES:
        return {}
    with _without_nan_warnings():
        wide = max(float(np.nanquantile(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1), 0.75)), 1e-6)
        middle = shoulders.mean(axis=1, keepdims=True)
        posture = (points[:, POSTURE_POINTS, :2] - middle) / wide
        vectors = {
            "limbs": _limb_lengths(points, BONES) / wide,
            "hands": np.concatenate([_hand_shape(points[:, first : first + HAND_POINTS]) for first in PUBLIC.hands]),
            "posture": np.concatenate([np.nanmean(posture, axis=0).ravel(), np.nanstd(posture, axis=0).ravel()]),
            "motion": np.concatenate([_movement_features(points[:, i, :2] / wide, track.fps) for i in MOTION_POINTS]),
            "place": np.array([*np.nanmean(middle[:, 0], axis=0), wide]),
        }
        if face.shape[1]:
            ears = np.nanmean(np.linalg.norm(face[:, EARS[0]] - face[:, EARS[1]], axis=-1))
            vectors["face"] = (np.nanmean(face - face[:, [NOSE]], axis=0) / ears)[1:].ravel()
    return vectors


def _limb_lengths(points: NDArray[np.float64], pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Lengths between pairs of points, in the picture and in space: the median, and the upper quartile (a flat limb)."""
    import numpy as np

    first, second = (points[:, [pair[k] for pair in pairs]] for k in (0, 1))
    long = [np.linalg.norm((first - second)[..., :n], axis=-1) for n in (2, 3)]
    return np.concatenate([np.nanquantile(values, [0.5, 0.75], axis=0).ravel() for values in long])


def _hand_shape(hand: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths within one hand (frames, 21, 3), divided by the length of its palm."""
    lengths = _limb_lengths(hand, HAND_LENGTHS)
    return lengths / max(float(lengths[0]), 1e-6)


def _movement_features(path: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Logarithms of a point's (frames, 2) mean speed, its spread over the picture, and its power in BANDS_HZ."""
    import numpy as np

    visible = np.isfinite(path).all(axis=1)
    if visible.sum() < MIN_FRAMES:
        return np.full(2 + len(BANDS_HZ), np.nan)
    at = np.arange(len(path))
    filled = np.stack([np.interp(at, at[visible], path[visible, k]) for k in (0, 1)], axis=1)
    speed = np.linalg.norm(np.diff(filled, axis=0), axis=1).mean() * fps
    spread = np.linalg.norm(filled.std(axis=0))
    power = (np.abs(np.fft.rfft((filled - filled.mean(axis=0)) * np.hanning(len(filled))[:, None], axis=0)) ** 2).mean(axis=1)
    hertz = np.fft.rfftfreq(len(filled), 1 / fps)
    bands = [power[(hertz >= low) & (hertz < high)].sum() / len(filled) ** 2 for low, high in BANDS_HZ]
    return np.log(np.maximum([speed, spread, *bands], 1e-9))


@contextmanager
def _without_nan_warnings() -> Iterator[None]:
    """Means over points that no frame has are NaN; that is intended, so numpy's warnings are suppressed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
