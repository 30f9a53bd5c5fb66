"""What a clip is like in a few hundred numbers: posture, limbs, movement, melody, colours; and what untrained filters say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.data import Example


POSE = 22  # first points of a body: BlazePose's 11 to 32; then 21 of each hand
HAND = 21
UPPER = (0, 1, 2, 3, 4, 5, 12, 13)  # left and right shoulder, elbow, wrist and hip; knees are 14 15, ankles 16 17
BONES = ((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (0, 12), (1, 13), (12, 13), (12, 14), (13, 15), (14, 16), (15, 17))
REACHES = ((4, 5), (4, 0), (4, 1), (5, 0), (5, 1), (4, 3), (5, 2), (4, 12), (5, 13))  # wrists to where hands go
FINGERS = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10, 11, 12), (0, 13, 14, 15, 16), (0, 17, 18, 19, 20))  # of a hand
BANDS = ((0.2, 0.7), (0.7, 1.5), (1.5, 3.0), (3.0, 6.0))  # Hz, of what sways, nods, taps and trembles
WAVES = 8  # terms of the cosine series that tells the course of a curve
PICTURES, SIDE, CELLS = 4, 32, 4  # frames of a clip, px of their side, cells a side whose colours are kept
COLOURS = 3 * CELLS**2  # of `frames`, the first columns: mean colours of the cells
FILTERS, WIDTH, STEPS = 48, 9, (1, 3, 9)  # untrained filters for each step between the values they see


@dataclass(frozen=True)
class Summaries:
    """One row a clip, in the order of the examples. What is not known is the column's mean.

    body, voice      what the plain probe sees: posture, reach and movement; melody, loudness, pauses
    parts            the inputs that an identity probe is shown, by name
    transcripts      redacted words
    """

    body: np.ndarray
    voice: np.ndarray
    parts: Mapping[str, np.ndarray]
    transcripts: tuple[str, ...]

    def of(self, rows: np.ndarray) -> Summaries:
        """Those of some clips, by their numbers."""
        parts = {name: table[rows] for name, table in self.parts.items()}
        return Summaries(self.body[rows], self.voice[rows], parts, tuple(self.transcripts[k] for k in rows))


def summarise(examples: Sequence[Example], pictures: bool = True, done: Callable[[str], None] = lambda name: None) -> Summaries:
    """Read every clip once.

    pictures  whether to decode the videos, which takes most of the time
    done      told the id of each clip that was read
    """
    import numpy as np

    rows: dict[str, list[np.ndarray]] = {}
    body_filters, voice_filters, picture_filters = _filters()
    for example in examples:
        body, voice = example.body(), example.voice()
        stands, moves, sounds = postures(body), movement(body, example.fps), voice_statistics(voice)
        row = {
            "body": np.concatenate([stands, moves]),
            "voice": np.concatenate([sounds, courses(voice)]),
            "body means": stands,
            "limb lengths": limbs(body),
            "movement": moves,
            "voice statistics": sounds,
            "random encoder": np.concatenate(
                [filtered(_tracks(body), body_filters), filtered(voice[:, :4] / (6, 10, 1, 4), voice_filters)]
            ),
        }
        if pictures:
            seen = example.frames(PICTURES, SIDE).astype(np.float32) / 255
            row["frames"] = colours(seen)
            row["random encoder"] = np.concatenate(
                [row["random encoder"], np.maximum(_patches(seen) @ picture_filters, 0).mean(axis=0)]
            )
        for name, values in row.items():
            rows.setdefault(name, []).append(values)
        done(example.clip_id)
    tables = {name: _filled(np.stack(values)) for name, values in rows.items()}
    parts = {name: table for name, table in tables.items() if name not in ("body", "voice")}
    return Summaries(tables["body"], tables["voice"], parts, tuple(e.transcript for e in examples))


def _filled(table: np.ndarray) -> np.ndarray:
    import numpy as np

    known = np.isfinite(table)
    means = np.where(known, table, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, table, means)


def _found(body: np.ndarray) -> np.ndarray:
    """(T, P, 3) with NaN where a point was not found."""
    import numpy as np

    return np.where(body[..., 3:] > 0, body[..., :3], np.nan)


def _over_time(values: np.ndarray, how: Callable[[np.ndarray], Any]) -> np.ndarray:
    """A statistic over axis 0 of what is known; NaN for columns without a value."""
    import numpy as np

    flat = values.reshape(len(values), -1).astype(float)
    known = np.isfinite(flat).any(axis=0) if len(flat) else np.zeros(flat.shape[1], bool)
    out = np.full(flat.shape[1], np.nan)
    if known.any():
        out[known] = how(flat[:, known])
    return out


def _mean(v: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.nanmean(v, axis=0)


def _median(v: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.nanmedian(v, axis=0)


def postures(body: np.ndarray) -> np.ndarray:
    """Mean place of each point, and how often it was found: (P·3 + 3,). body (T, P, 4)."""
    import numpy as np

    points = _found(body)
    shares = [np.isfinite(part[..., 0]).mean() if part.size else 0.0 for part in _parts(points)]
    return np.concatenate([_over_time(points, _mean), shares])


def _parts(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return points[:, :POSE], points[:, POSE : POSE + HAND], points[:, POSE + HAND : POSE + 2 * HAND]


def limbs(body: np.ndarray) -> np.ndarray:
    """Median length of bones of arms, trunk, legs and fingers, in space and in the picture."""
    import numpy as np

    pose, *hands = _parts(_found(body))
    pairs = [(pose[:, a], pose[:, b]) for a, b in BONES if pose.shape[1] > max(a, b)]
    for hand in hands:
        if hand.shape[1] == HAND:
            pairs += [(hand[:, a], hand[:, b]) for chain in FINGERS for a, b in pairwise(chain)]
    if not pairs:
        return np.zeros(1)
    lines = np.stack([a - b for a, b in pairs], axis=1)
    lengths = np.concatenate([np.linalg.norm(lines, axis=-1), np.linalg.norm(lines[..., :2], axis=-1)], axis=1)
    return _over_time(lengths, _median)


def movement(body: np.ndarray, fps: float) -> np.ndarray:
    """How the upper body moves: how far points and reaches spread, how fast they are, and how strongly they sway, nod and tap."""
    import numpy as np

    pose, *hands = _parts(_found(body))
    points = pose[:, [p for p in UPPER if p < pose.shape[1]]]
    reaches = [np.linalg.norm(pose[:, a] - pose[:, b], axis=-1) for a, b in REACHES if pose.shape[1] > max(a, b)]
    spans = [np.linalg.norm(h[:, [4, 8, 12, 16, 20]] - h[:, :1], axis=-1).mean(axis=1) for h in hands if h.shape[1] == HAND]
    curves = np.stack([*reaches, *spans], axis=1) if reaches or spans else np.zeros((len(body), 1))
    speeds = np.linalg.norm(np.diff(points, axis=0), axis=-1) * fps if len(body) > 1 else np.zeros((1, points.shape[1]))
    flat = np.concatenate([points[..., :2].reshape(len(body), -1), curves], axis=1)
    return np.concatenate([
        _spread(points.reshape(len(body), -1)), _spread(curves), _over_time(curves, _mean),
        _over_time(speeds, _mean), _over_time(speeds, partial(np.nanpercentile, q=95, axis=0)),
        bands(flat, fps),
    ])  # fmt: skip


def _spread(curves: np.ndarray) -> np.ndarray:
    """Of each column the standard deviation, and the 10th and 90th percentile around the median: (3 C,)."""
    import numpy as np

    spread = _over_time(curves, lambda v: np.nanstd(v, axis=0))
    low, middle, high = (_over_time(curves, partial(np.nanpercentile, q=q, axis=0)) for q in (10, 50, 90))
    return np.concatenate([spread, low - middle, high - middle])


def bands(curves: np.ndarray, rate: float) -> np.ndarray:
    """Logarithm of the power of each curve in BANDS, (C·4,). Gaps hold the curve's mean; curves (T, C), rate in Hz."""
    import numpy as np

    if len(curves) < 4:
        return np.zeros(curves.shape[1] * len(BANDS))
    centred = np.nan_to_num(curves - _over_time(curves, _mean))
    power = np.abs(np.fft.rfft(centred * np.hanning(len(curves))[:, None], axis=0)) ** 2 / len(curves)
    pitch = np.fft.rfftfreq(len(curves), 1 / rate)
    inside = [((pitch >= low) & (pitch < high)) for low, high in BANDS]
    return np.log(np.stack([power[b].mean(axis=0) if b.any() else np.zeros(curves.shape[1]) for b in inside]) + 1e-6).ravel()


def voice_statistics(voice: np.ndarray) -> np.ndarray:
    """Of melody, loudness and rate: spread and percentiles; share of voice, how often it breaks off. voice (T, 4)."""
    import numpy as np

    if not len(voice):
        return np.full(19, np.nan)
    said = voice[:, 2] > 0.5
    tones, loud, rate = voice[said, 0], voice[:, 1], voice[:, 3]
    figures = [
        np.concatenate([[v.std()], np.percentile(v, [5, 25, 75, 95])]) if len(v) else np.zeros(5) for v in (tones, loud, rate)
    ]
    steps = np.abs(np.diff(tones)).mean() if len(tones) > 1 else 0.0
    breaks = (np.diff(said.astype(int)) == 1).sum() / len(voice) * 100
    return np.concatenate([*figures, [rate.mean(), said.mean(), steps, breaks]])


def courses(voice: np.ndarray) -> np.ndarray:
    """The first terms of the cosine series of melody, loudness, voicing and rate: whether they rise, fall, or arch."""
    import numpy as np
    from scipy.fft import dct

    if not len(voice):
        return np.full(4 * WAVES, np.nan)
    series = dct(voice[:, :4].astype(float), axis=0, norm="ortho") / np.sqrt(len(voice))
    kept = np.zeros((WAVES, 4))
    kept[: min(WAVES, len(series) - 1)] = series[1 : WAVES + 1]
    return kept.ravel()


def colours(frames: np.ndarray) -> np.ndarray:
    """Mean colours of cells of the picture, how much they change, and how much detail there is. frames (n, S, S, 3) of 0 to 1."""
    import numpy as np

    n, side = len(frames), frames.shape[1] // CELLS
    cells = frames.reshape(n, CELLS, side, CELLS, side, 3).mean(axis=(2, 4)).reshape(n, -1)
    detail = np.abs(np.diff(frames.mean(axis=-1), axis=1)).mean(), np.abs(np.diff(frames.mean(axis=-1), axis=2)).mean()
    return np.concatenate([cells.mean(axis=0), cells.std(axis=0), detail])


def _tracks(body: np.ndarray) -> np.ndarray:
    """(T, 16): places of the upper body in the picture, those not found at their mean."""
    import numpy as np

    points = _found(body)[:, :POSE]
    flat = points[:, [p for p in UPPER if p < points.shape[1]], :2].reshape(len(body), -1)
    return np.where(np.isfinite(flat), flat, np.nan_to_num(_over_time(flat, _mean)))


def _patches(frames: np.ndarray) -> np.ndarray:
    """(patches, 192): 8 × 8 px of each picture, beside one another."""
    n, side = len(frames), frames.shape[1] // 8
    return frames.reshape(n, side, 8, side, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 192)


def _filters() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights nobody trained, always the same: of body (steps, 9·16, filters), of voice (steps, 9·4, filters), of pictures."""
    import numpy as np

    rng = np.random.default_rng(20251027)
    body, voice = (rng.standard_normal((len(STEPS), WIDTH * c, FILTERS)) / np.sqrt(WIDTH * c) for c in (2 * len(UPPER), 4))
    return body, voice, rng.standard_normal((192, FILTERS)) / np.sqrt(192)


def filtered(curves: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """What an untrained convolution, ReLU, mean and maximum over time make of curves (T, C): (steps · filters · 2,)."""
    import numpy as np

    made = []
    for step, weights in zip(STEPS, filters, strict=True):
        reach = (WIDTH - 1) * step
        padded = (
            np.pad(curves, ((reach // 2, reach - reach // 2), (0, 0)), mode="edge")
            if len(curves)
            else np.zeros((reach + 1, curves.shape[1]))
        )
        windows = np.concatenate([padded[k * step : len(padded) - reach + k * step] for k in range(WIDTH)], axis=1)
        out = np.maximum(windows @ weights, 0)
        made += [out.mean(axis=0), out.max(axis=0)]
    return np.concatenate(made)
