"""Hand-made features of a clip, and the responses of untrained filters: the input of the probes.

`extract_features` reads every clip once and returns one table per group of features: posture, limb lengths, movement, voice
statistics, picture colours, and the output of fixed random filters (an untrained encoder). Tables have one row per clip.

In the shapes below, T is a number of frames or steps, P of body points, C of curves (channels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from deemo_data.tracks.skeleton import FINGERS, FINGERTIPS, HAND_POINTS, PUBLIC, PUBLIC_BODY_POINTS, WRIST, join_pairs

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.data import Example


UPPER_BODY = (*PUBLIC.shoulders, *PUBLIC.elbows, *PUBLIC.wrists, *PUBLIC.hips)
BONES = (
    PUBLIC.shoulders, *PUBLIC.upper_arms, *PUBLIC.forearms, *PUBLIC.flanks, PUBLIC.hips, *PUBLIC.thighs, *PUBLIC.shins,
)  # fmt: skip
_LEFT, _RIGHT = PUBLIC.wrists
REACH_PAIRS = (  # from the wrists to the places where hands usually go: the other wrist, shoulders, the other elbow, the hip
    (_LEFT, _RIGHT), *((wrist, shoulder) for wrist in PUBLIC.wrists for shoulder in PUBLIC.shoulders),
    (_LEFT, PUBLIC.elbows[1]), (_RIGHT, PUBLIC.elbows[0]), *join_pairs(PUBLIC.wrists, PUBLIC.hips),
)  # fmt: skip
BANDS_HZ = ((0.2, 0.7), (0.7, 1.5), (1.5, 3.0), (3.0, 6.0))  # of swaying, nodding, tapping and trembling
COSINE_TERMS = 8  # terms of the cosine series that describes the course of a curve
FRAMES_PER_CLIP = 4
FRAME_SIZE_PX = 32  # side of a square frame
CELLS_PER_SIDE = 4  # a frame is divided into a grid of cells, each with its mean colour
COLOUR_COLUMNS = 3 * CELLS_PER_SIDE**2  # the first columns of the table "frames": mean colours of the cells
PATCH_SIZE_PX = 8  # side of the patches that the picture filters see
FILTER_STEPS = (1, 3, 9)  # dilations: distance between the values that an untrained filter sees
FILTERS_PER_STEP = 48
FILTER_WIDTH = 9  # values that a filter sees
FILTER_SEED = 20251027


@dataclass(frozen=True)
class FeatureTables:
    """Features with one row per clip, in the order of the examples. A missing value is replaced by the mean of its column.

    body, voice      the inputs of the plain probe: posture, reach and movement; melody, loudness and pauses
    identity_inputs  the tables that the identity probes use, by name
    transcripts      the redacted words of each clip
    """

    body: np.ndarray
    voice: np.ndarray
    identity_inputs: Mapping[str, np.ndarray]
    transcripts: tuple[str, ...]

    def select_rows(self, rows: np.ndarray) -> FeatureTables:
        """The tables of some clips, given by their row numbers."""
        identity_inputs = {name: table[rows] for name, table in self.identity_inputs.items()}
        return FeatureTables(self.body[rows], self.voice[rows], identity_inputs, tuple(self.transcripts[k] for k in rows))


def extract_features(
    examples: Sequence[Example], pictures: bool = True, on_clip: Callable[[str], None] = lambda name: None
) -> FeatureTables:
    """Read every clip once and compute all of its features.

    pictures  whether to decode the videos, which takes most of the time
    on_clip   called with the id of each clip after it was read
    """
    import numpy as np

    rows: dict[str, list[np.ndarray]] = {}
    body_filters, voice_filters, picture_filters = _draw_filters()
    for example in examples:
        body, voice = example.read_body(), example.read_voice()
        posture, movement, voice_row = posture_features(body), movement_features(body, example.fps), voice_statistics(voice)
        row = {
            "body": np.concatenate([posture, movement]),
            "voice": np.concatenate([voice_row, cosine_series(voice)]),
            "body means": posture,
            "limb lengths": limb_lengths(body),
            "movement": movement,
            "voice statistics": voice_row,
            "random encoder": np.concatenate(
                [
                    apply_filters(_upper_body_curves(body), body_filters),
                    apply_filters(voice[:, :4] / (6, 10, 1, 4), voice_filters),
                ]
            ),
        }
        if pictures:
            frames = example.read_frames(FRAMES_PER_CLIP, FRAME_SIZE_PX).astype(np.float32) / 255
            row["frames"] = colour_features(frames)
            row["random encoder"] = np.concatenate(
                [row["random encoder"], np.maximum(_split_patches(frames) @ picture_filters, 0).mean(axis=0)]
            )
        for name, values in row.items():
            rows.setdefault(name, []).append(values)
        on_clip(example.clip_id)
    tables = {name: _fill_gaps(np.stack(values)) for name, values in rows.items()}
    identity_inputs = {name: table for name, table in tables.items() if name not in ("body", "voice")}
    return FeatureTables(tables["body"], tables["voice"], identity_inputs, tuple(e.transcript for e in examples))


def _fill_gaps(table: np.ndarray) -> np.ndarray:
    """The table with the mean of its column in place of every missing value; 0 in a column that has none."""
    import numpy as np

    known = np.isfinite(table)
    means = np.where(known, table, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, table, means)


def _mask_missing(body: np.ndarray) -> np.ndarray:
    """(T, P, 4) -> (T, P, 3): the coordinates, NaN where the confidence is 0 because the point was not found."""
    import numpy as np

    return np.where(body[..., 3:] > 0, body[..., :3], np.nan)


def _reduce_over_time(values: np.ndarray, statistic: Callable[[np.ndarray], Any]) -> np.ndarray:
    """A statistic of each column over time, which must ignore NaN; NaN for columns without any value. values (T, ...)."""
    import numpy as np

    flat = values.reshape(len(values), -1).astype(float)
    known = np.isfinite(flat).any(axis=0) if len(flat) else np.zeros(flat.shape[1], bool)
    out = np.full(flat.shape[1], np.nan)
    if known.any():
        out[known] = statistic(flat[:, known])
    return out


def _mean(v: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.nanmean(v, axis=0)


def _median(v: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.nanmedian(v, axis=0)


def posture_features(body: np.ndarray) -> np.ndarray:
    """Mean position of each point, then the share of points found on the body and on each hand: (P·3 + 3,). body (T, P, 4)."""
    import numpy as np

    points = _mask_missing(body)
    shares = [np.isfinite(part[..., 0]).mean() if part.size else 0.0 for part in _split_pose_and_hands(points)]
    return np.concatenate([_reduce_over_time(points, _mean), shares])


def _split_pose_and_hands(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points (T, P, ...) of the body, the left hand and the right hand."""
    return (
        points[:, :PUBLIC_BODY_POINTS],
        points[:, PUBLIC_BODY_POINTS : PUBLIC_BODY_POINTS + HAND_POINTS],
        points[:, PUBLIC_BODY_POINTS + HAND_POINTS : PUBLIC_BODY_POINTS + 2 * HAND_POINTS],
    )


def limb_lengths(body: np.ndarray) -> np.ndarray:
    """Median lengths of the bones of arms, trunk, legs and fingers: all in 3-D, then all in the picture. body (T, P, 4)."""
    import numpy as np

    pose, *hands = _split_pose_and_hands(_mask_missing(body))
    pairs = [(pose[:, a], pose[:, b]) for a, b in BONES if pose.shape[1] > max(a, b)]
    for hand in hands:
        if hand.shape[1] == HAND_POINTS:
            pairs += [(hand[:, a], hand[:, b]) for finger in FINGERS for a, b in pairwise((WRIST, *finger))]
    if not pairs:
        return np.zeros(1)
    bones = np.stack([a - b for a, b in pairs], axis=1)
    lengths = np.concatenate([np.linalg.norm(bones, axis=-1), np.linalg.norm(bones[..., :2], axis=-1)], axis=1)
    return _reduce_over_time(lengths, _median)


def movement_features(body: np.ndarray, fps: float) -> np.ndarray:
    """Movement of the upper body (T, P, 4): spread of its points and reaches, their speed, and their power in BANDS_HZ.

    A reach is the distance between a wrist and a place where hands usually go (REACH_PAIRS).
    """
    import numpy as np

    pose, *hands = _split_pose_and_hands(_mask_missing(body))
    points = pose[:, [p for p in UPPER_BODY if p < pose.shape[1]]]
    reaches = [np.linalg.norm(pose[:, a] - pose[:, b], axis=-1) for a, b in REACH_PAIRS if pose.shape[1] > max(a, b)]
    spans = [np.linalg.norm(h[:, FINGERTIPS] - h[:, [WRIST]], axis=-1).mean(axis=1) for h in hands if h.shape[1] == HAND_POINTS]
    curves = np.stack([*reaches, *spans], axis=1) if reaches or spans else np.zeros((len(body), 1))
    speeds = np.linalg.norm(np.diff(points, axis=0), axis=-1) * fps if len(body) > 1 else np.zeros((1, points.shape[1]))
    flat = np.concatenate([points[..., :2].reshape(len(body), -1), curves], axis=1)
    return np.concatenate([
        _spread_of_curves(points.reshape(len(body), -1)), _spread_of_curves(curves), _reduce_over_time(curves, _mean),
        _reduce_over_time(speeds, _mean), _reduce_over_time(speeds, partial(np.nanpercentile, q=95, axis=0)),
        band_powers(flat, fps),
    ])  # fmt: skip


def _spread_of_curves(curves: np.ndarray) -> np.ndarray:
    """Of each column its standard deviation, and its 10th and 90th percentile relative to the median: (T, C) -> (3 C,)."""
    import numpy as np

    spread = _reduce_over_time(curves, lambda v: np.nanstd(v, axis=0))
    low, middle, high = (_reduce_over_time(curves, partial(np.nanpercentile, q=q, axis=0)) for q in (10, 50, 90))
    return np.concatenate([spread, low - middle, high - middle])


def band_powers(curves: np.ndarray, rate: float) -> np.ndarray:
    """Logarithm of the power of each curve in BANDS_HZ: (T, C) at `rate` Hz -> (4·C,). A gap counts as the mean of its curve."""
    import numpy as np

    if len(curves) < 4:
        return np.zeros(curves.shape[1] * len(BANDS_HZ))
    centred = np.nan_to_num(curves - _reduce_over_time(curves, _mean))
    power = np.abs(np.fft.rfft(centred * np.hanning(len(curves))[:, None], axis=0)) ** 2 / len(curves)
    frequency = np.fft.rfftfreq(len(curves), 1 / rate)
    in_band = [((frequency >= low) & (frequency < high)) for low, high in BANDS_HZ]
    return np.log(np.stack([power[b].mean(axis=0) if b.any() else np.zeros(curves.shape[1]) for b in in_band]) + 1e-6).ravel()


def voice_statistics(voice: np.ndarray) -> np.ndarray:
    """19 figures of a voice (T, 4): spread and percentiles of melody, loudness and rate, then four more.

    Those are the mean rate, the share of voiced steps, the mean pitch change per step, and the voice onsets per second.
    """
    import numpy as np

    if not len(voice):
        return np.full(19, np.nan)
    voiced = voice[:, 2] > 0.5
    pitch, level, rate = voice[voiced, 0], voice[:, 1], voice[:, 3]
    figures = [
        np.concatenate([[v.std()], np.percentile(v, [5, 25, 75, 95])]) if len(v) else np.zeros(5) for v in (pitch, level, rate)
    ]
    pitch_steps = np.abs(np.diff(pitch)).mean() if len(pitch) > 1 else 0.0
    onsets = (np.diff(voiced.astype(int)) == 1).sum() / len(voice) * 100
    return np.concatenate([*figures, [rate.mean(), voiced.mean(), pitch_steps, onsets]])


def cosine_series(voice: np.ndarray) -> np.ndarray:
    """First terms of the cosine series of melody, loudness, voicing and rate: whether they rise, fall or arch. voice (T, 4)."""
    import numpy as np
    from scipy.fft import dct

    if not len(voice):
        return np.full(4 * COSINE_TERMS, np.nan)
    series = dct(voice[:, :4].astype(float), axis=0, norm="ortho") / np.sqrt(len(voice))
    terms = np.zeros((COSINE_TERMS, 4))
    terms[: min(COSINE_TERMS, len(series) - 1)] = series[1 : COSINE_TERMS + 1]
    return terms.ravel()


def colour_features(frames: np.ndarray) -> np.ndarray:
    """Mean colours of the cells of the picture, their change over time, and the amount of detail. frames (n, S, S, 3), 0 to 1."""
    import numpy as np

    n, side = len(frames), frames.shape[1] // CELLS_PER_SIDE
    cells = frames.reshape(n, CELLS_PER_SIDE, side, CELLS_PER_SIDE, side, 3).mean(axis=(2, 4)).reshape(n, -1)
    detail = np.abs(np.diff(frames.mean(axis=-1), axis=1)).mean(), np.abs(np.diff(frames.mean(axis=-1), axis=2)).mean()
    return np.concatenate([cells.mean(axis=0), cells.std(axis=0), detail])


def _upper_body_curves(body: np.ndarray) -> np.ndarray:
    """(T, 16): positions of the upper body's points in the picture. A point that was not found is at its mean."""
    import numpy as np

    points = _mask_missing(body)[:, :PUBLIC_BODY_POINTS]
    flat = points[:, [p for p in UPPER_BODY if p < points.shape[1]], :2].reshape(len(body), -1)
    return np.where(np.isfinite(flat), flat, np.nan_to_num(_reduce_over_time(flat, _mean)))


def _split_patches(frames: np.ndarray) -> np.ndarray:
    """(patches, 192): the 8 × 8 px patches of all pictures, without overlap."""
    n, side = len(frames), frames.shape[1] // PATCH_SIZE_PX
    grid = frames.reshape(n, side, PATCH_SIZE_PX, side, PATCH_SIZE_PX, 3).transpose(0, 1, 3, 2, 4, 5)
    return grid.reshape(-1, 3 * PATCH_SIZE_PX**2)


def _draw_filters() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fixed random weights: for the body (steps, 9·16, filters), the voice (steps, 9·4, filters) and pictures (192, filters)."""
    import numpy as np

    rng = np.random.default_rng(FILTER_SEED)
    body, voice = (
        rng.standard_normal((len(FILTER_STEPS), FILTER_WIDTH * c, FILTERS_PER_STEP)) / np.sqrt(FILTER_WIDTH * c)
        for c in (2 * len(UPPER_BODY), 4)
    )
    patch_values = 3 * PATCH_SIZE_PX**2
    return body, voice, rng.standard_normal((patch_values, FILTERS_PER_STEP)) / np.sqrt(patch_values)


def apply_filters(curves: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """An untrained convolution over curves (T, C), ReLU, then mean and maximum over time: (steps · filters · 2,).

    filters  (steps, FILTER_WIDTH · C, filters), one set for each dilation of FILTER_STEPS
    """
    import numpy as np

    responses = []
    for step, weights in zip(FILTER_STEPS, filters, strict=True):
        reach = (FILTER_WIDTH - 1) * step
        padded = (
            np.pad(curves, ((reach // 2, reach - reach // 2), (0, 0)), mode="edge")
            if len(curves)
            else np.zeros((reach + 1, curves.shape[1]))
        )
        windows = np.concatenate([padded[k * step : len(padded) - reach + k * step] for k in range(FILTER_WIDTH)], axis=1)
        out = np.maximum(windows @ weights, 0)
        responses += [out.mean(axis=0), out.max(axis=0)]
    return np.concatenate(responses)
