"""Speaker diarisation without torch: Silero finds speech, GE2E embeds voices, and similar voices are clustered.

    speech    |==========================|        |==================|
    windows   |-----|                                                     2 s, every 0.2 s; windows whose two halves
                 |-----|  ...                                             differ are left out
    clusters  A A A A A a a a B B B B B A A       A A A B B B B B B B     many at first; the two most similar are merged
              A A A A A A A A B B B B B A A       A A A B B B B B B B     until all are different
    steps     ................|.........|.        ......|............     0.1 s each, from windows of three lengths

The result has one speaker at a time, also where two speak at once. It is a draft that a person can correct (deemo speakers).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pyannote.core import Annotation, Segment
from scipy.cluster.hierarchy import fcluster, linkage

from deemo_data.models.speech import ge2e, silero
from deemo_data.tracks.turns import number_to_letter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deemo_data.media.sound import SoundBlocks


STEP_FRAMES = 10  # mel frames per step: the result has a resolution of 0.1 s
WINDOW_HOP_STEPS = 2  # from one window to the next
WINDOW_FRAMES = (120, 160, 200)  # mel frames; the longest are clustered
STEADY_SHARE = 0.7  # of the windows are clustered: those whose halves are most similar
MAX_FINE_DISTANCE = 0.25  # cosine distance, average linkage, within the small clusters at the start
MIN_SPEAKER_DISTANCE = 0.36  # see `measure_cluster_distances`
MIN_SPEECH_S, MIN_SPEECH_SHARE = 3.0, 0.05  # a voice with less speech than either is not a speaker
MAX_WINDOWS = 1500  # are clustered; evenly spaced in a long recording
RIDGE_SHARE = 0.1  # of the mean variance, added in the ridge regression
WINDOWS_PER_BATCH = 2**13  # in the sums of the ridge regression: about nine minutes
SWITCH_COST = 0.1  # of a change of speaker, in the unit of a step's score
SPEECH_THRESHOLD = 0.3  # of Silero; low, because soft answers count


def diarise(
    wave: NDArray[np.float32] | SoundBlocks,
    *,
    speakers: int | None = None,
    max_speakers: int = 8,
    uri: str = "",
    vad: str = silero.WEIGHTS,
    encoder: str = ge2e.WEIGHTS,
) -> Annotation:
    """The turns of mono float32 sound at 16 kHz, without overlap; speakers are A, B, C in order of their first turn.

    speakers  their number, if it is known; otherwise it is estimated, up to `max_speakers`
    uri       name of the Annotation
    """
    spans = detect_speech(wave, vad)
    if not spans:
        return Annotation(uri=uri)
    steps = _mark_speech_steps(spans, len(wave))
    frames = ge2e.compute_mel(wave)
    frames *= np.float32(_compute_gain(wave))
    net = ge2e.load(encoder)
    starts = np.arange(0, len(steps), WINDOW_HOP_STEPS)
    near = np.convolve(steps, np.ones(2 * (WINDOW_FRAMES[-1] // STEP_FRAMES) + 1, np.int32), mode="same") > 0
    starts = starts[near[starts]]  # without long silence
    windows = ge2e.embed_prefixes(net, frames, (starts * STEP_FRAMES).tolist(), WINDOW_FRAMES)
    del frames  # 58 MB per hour
    half = WINDOW_FRAMES[-1] // 2 // STEP_FRAMES
    middle = np.minimum(starts + half, len(steps) - 1)
    usable = np.nonzero(steps[middle] & (starts + half < len(steps)))[0]
    if not len(usable):
        return to_annotation(spans, np.zeros(len(steps), np.int32), uri)
    steady = _measure_steadiness(windows[0], starts, half)[usable]
    chosen = usable[steady >= np.quantile(steady, 1 - STEADY_SHARE)]
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, min(len(chosen), MAX_WINDOWS)).astype(int))]
    speech = float(steps.sum()) * STEP_FRAMES / 100
    # Each window stands for a part of the speech.
    min_windows = max(MIN_SPEECH_S, MIN_SPEECH_SHARE * speech) * len(chosen) / speech
    centres = cluster_windows(windows[-1][chosen], min_windows, speakers, max_speakers)
    return to_annotation(spans, resegment(windows, starts, steps, centres), uri)


def assign_one_speaker(wave: NDArray[np.float32] | SoundBlocks, *, uri: str = "", vad: str = silero.WEIGHTS) -> Annotation:
    """All speech as turns of a single speaker A."""
    spans = detect_speech(wave, vad)
    return to_annotation(spans, np.zeros(len(_mark_speech_steps(spans, len(wave))), np.int32), uri)


def detect_speech(wave: NDArray[np.float32] | SoundBlocks, vad: str = silero.WEIGHTS) -> list[tuple[int, int]]:
    """The stretches of speech [start_ms, end_ms), with pauses of up to 0.3 s inside."""
    return silero.detect_speech(wave, threshold=SPEECH_THRESHOLD, min_silence_ms=300, pad_ms=100, name=vad)


def cluster_windows(
    windows: NDArray[np.float32], min_windows: float, speakers: int | None = None, max_speakers: int = 8
) -> NDArray[np.float32]:
    """Cluster windows (n, 256) into voices: (k, 256) unit vectors, each the mean of at least `min_windows` windows.

    Average linkage makes many small clusters. Then the two most similar are merged until all distances reach
    MIN_SPEAKER_DISTANCE. So a voice that drifts stays one: the distance between the means of clusters counts, not their width.
    """
    if len(windows) == 1:
        return windows.copy()
    tree = linkage(windows.astype(np.float64), "average", metric="cosine")
    fine = fcluster(tree, MAX_FINE_DISTANCE, "distance")
    if speakers is not None and fine.max() < speakers:
        fine = fcluster(tree, speakers, "maxclust")
    counts = np.bincount(fine - 1).astype(np.float64)
    means = np.stack([windows[fine == i].mean(axis=0) for i in range(1, fine.max() + 1)]).astype(np.float64)
    if speakers is not None:
        counts, means = _absorb_small_clusters(counts, means, min_windows / 2, speakers)
    while len(counts) > 1:
        distance = measure_cluster_distances(counts, means)
        a, b = divmod(int(distance.argmin()), len(counts))
        large = int((counts >= min_windows).sum())
        is_done = (
            len(counts) <= speakers if speakers is not None else distance[a, b] >= MIN_SPEAKER_DISTANCE and large <= max_speakers
        )
        if is_done:
            break
        counts, means = _merge_clusters(counts, means, a, b)
    if speakers is None and (counts >= min_windows).any():
        means = means[counts >= min_windows]
    elif speakers is None:
        means = means[[int(counts.argmax())]]
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def measure_cluster_distances(counts: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between clusters (k, k), infinite on the diagonal.

    It is 1 - cosine of the means, divided by the root of the scatter of the windows (1 - mean cosine within the two clusters).
    Windows scatter more in a noisy room, and less on a telephone.
    """
    within = np.einsum("kd,kd->k", means, means)
    cosine = means @ means.T / np.sqrt(np.outer(within, within))
    share = counts[:, None] / (counts[:, None] + counts[None])
    scatter = 1 - (share * within[:, None] + share.T * within[None])
    distance = (1 - cosine) / np.sqrt(np.maximum(scatter, 0.05))
    np.fill_diagonal(distance, np.inf)
    return np.asarray(distance, np.float64)


def _merge_clusters(
    counts: NDArray[np.float64], means: NDArray[np.float64], a: int, b: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    together = counts[a] + counts[b]
    means[a] = (counts[a] * means[a] + counts[b] * means[b]) / together
    counts[a] = together
    return np.delete(counts, b), np.delete(means, b, axis=0)


def _absorb_small_clusters(
    counts: NDArray[np.float64], means: NDArray[np.float64], min_windows: float, speakers: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Merge each cluster of fewer than `min_windows` windows into the most similar one: a fragment is not a speaker."""
    while len(counts) > speakers and counts.min() < min_windows:
        small = int(counts.argmin())
        nearest = int(measure_cluster_distances(counts, means)[small].argmin())
        counts, means = _merge_clusters(counts, means, nearest, small)
    return counts, means


def resegment(
    windows: list[NDArray[np.float32]], starts: NDArray[np.integer], steps: NDArray[np.bool_], voices: NDArray[np.float32]
) -> NDArray[np.int32]:
    """The voice of each step of 0.1 s: (steps,).

    First by similarity to the voices (k, 256). Then twice by a ridge regression that separates just these voices.
    """
    if len(voices) == 1:
        return np.zeros(len(steps), np.int32)
    voice_of_step = _find_best_path(
        _score_steps([np.asarray(w @ voices.T, np.float32) for w in windows], starts, len(steps)), steps
    )
    for _ in range(2):
        rows, owners = _find_pure_windows(windows, starts, np.where(steps, voice_of_step, -1), len(voices))
        if len(np.unique(owners)) < len(voices):
            break
        middle, weights = _fit_ridge(rows, owners, len(voices))
        voice_of_step = _find_best_path(
            _score_steps([np.asarray((w - middle) @ weights / 2, np.float32) for w in windows], starts, len(steps)), steps
        )
    return voice_of_step


def _find_pure_windows(
    windows: list[NDArray[np.float32]], starts: NDArray[np.integer], voice_of_step: NDArray[np.integer], voices: int
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """The windows with one voice only, and that voice: it speaks in over 0.7 of the window, and has over 0.9 of its speech."""
    sums = np.stack([np.concatenate([[0], np.cumsum(voice_of_step == v)]) for v in range(voices)])
    rows, owners = [], []
    for embeddings, length in zip(windows, WINDOW_FRAMES, strict=True):
        ends = np.minimum(starts + length // STEP_FRAMES, len(voice_of_step))
        share = (sums[:, ends] - sums[:, starts]) / (length // STEP_FRAMES)
        pure = (share.max(axis=0) > 0.7) & (share.max(axis=0) > 0.9 * share.sum(axis=0))
        rows.append(embeddings[pure])
        owners.append(share.argmax(axis=0)[pure])
    return np.concatenate(rows), np.concatenate(owners)


def _fit_ridge(
    rows: NDArray[np.float32], owners: NDArray[np.integer], voices: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ridge regression from embeddings to voices of equal weight: (mean to subtract (256,), weights (256, voices))."""
    weight = (len(rows) / voices / np.bincount(owners, minlength=voices))[owners][:, None]
    middle = rows.mean(axis=0)
    target = np.eye(voices)[owners] - 1 / voices
    gram, moments = np.zeros((rows.shape[1], rows.shape[1])), np.zeros((rows.shape[1], voices))
    for first in range(0, len(rows), WINDOWS_PER_BATCH):
        part = slice(first, first + WINDOWS_PER_BATCH)
        off = (rows[part] - middle).astype(np.float64)
        gram += off.T @ (off * weight[part])
        moments += off.T @ (target[part] * weight[part])
    gram /= len(rows)
    gram += RIDGE_SHARE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return middle, np.linalg.solve(gram, moments / len(rows)).astype(np.float32)


def _score_steps(scores: list[NDArray[np.float32]], starts: NDArray[np.integer], steps: int) -> NDArray[np.float64]:
    """Scores (steps, voices): for each step the score of the window whose middle lies there, averaged over the window lengths."""
    at = np.arange(steps)
    total = np.zeros((steps, scores[0].shape[1]))
    for score, length in zip(scores, WINDOW_FRAMES, strict=True):
        middles = starts + length / STEP_FRAMES / 2 - 0.5
        for v in range(score.shape[1]):
            total[:, v] += np.interp(at, middles, score[:, v]) / len(scores)
    return total


def _find_best_path(scores: NDArray[np.float64], steps: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The best path of voices through the steps with speech (Viterbi). A change of voice costs SWITCH_COST, except in silence."""
    scores = np.where(steps[:, None], scores, 0.0)
    best = scores[0].copy()
    previous = np.zeros(scores.shape, np.int32)
    same = np.arange(scores.shape[1], dtype=np.int32)
    for t in range(1, len(scores)):
        leader = int(best.argmax())
        stays = best >= best[leader] - SWITCH_COST
        previous[t] = np.where(stays, same, leader)
        best = np.where(stays, best, best[leader] - SWITCH_COST) + scores[t]
    path = np.empty(len(scores), np.int32)
    path[-1] = best.argmax()
    for t in range(len(scores) - 1, 0, -1):
        path[t - 1] = previous[t, path[t]]
    return path


def to_annotation(spans: list[tuple[int, int]], voice_of_step: NDArray[np.integer], uri: str = "") -> Annotation:
    """The speech spans (ms), cut where the voice of the steps changes; speakers are A, B, C in order of their first turn."""
    names: dict[int, str] = {}
    annotation = Annotation(uri=uri)
    for begin, end, voice in _find_runs(spans, voice_of_step):
        name = names.setdefault(voice, number_to_letter(len(names)))
        annotation[Segment(begin / 1000, end / 1000)] = name
    return annotation


def _find_runs(spans: list[tuple[int, int]], voice_of_step: NDArray[np.integer]) -> Iterator[tuple[int, int, int]]:
    """The stretches of one voice within the spans: (start_ms, end_ms, voice)."""
    for begin, end in spans:
        first, last = begin // 100, max(begin // 100 + 1, -(-end // 100))
        piece = voice_of_step[first:last]
        edges = [0, *(np.nonzero(np.diff(piece))[0] + 1).tolist(), len(piece)]
        for a, b in pairwise(edges):
            yield max(begin, (first + a) * 100), min(end, (first + b) * 100), int(piece[a])


def _mark_speech_steps(spans: list[tuple[int, int]], samples: int) -> NDArray[np.bool_]:
    """(steps,) True for steps of 0.1 s whose middle lies in a span."""
    middles = np.arange(-(-samples // (ge2e.HOP_SAMPLES * STEP_FRAMES))) * 100 + 50
    steps = np.zeros(len(middles), bool)
    for begin, end in spans:
        steps |= (middles >= begin) & (middles < end)
    return steps


def _measure_steadiness(shortest: NDArray[np.float32], starts: NDArray[np.integer], half: int) -> NDArray[np.float32]:
    """The similarity of the two halves of each longest window; both are about as long as a shortest window."""
    second = np.searchsorted(starts, starts + half)
    there = (second < len(starts)) & (starts[np.minimum(second, len(starts) - 1)] == starts + half)
    like = np.einsum("nd,nd->n", shortest, shortest[np.minimum(second, len(starts) - 1)])
    return np.asarray(np.where(there, like, 0), np.float32)


def _compute_gain(wave: NDArray[np.float32] | SoundBlocks) -> float:
    """The factor on power that brings the wave to the level of GE2E's training. Works in blocks, without a copy of the wave."""
    power = sum(float(np.dot(b, b)) for b in _split_evenly(wave, max(1, len(wave) // 2**20))) / len(wave)
    return ge2e.TRAINED_RMS**2 / power if power > 1e-18 else 1.0


def _split_evenly(wave: NDArray[np.float32] | SoundBlocks, parts: int) -> Iterator[NDArray[np.float32]]:
    """np.array_split of the wave, so that a sum over the parts is the same to the last bit for an array and for blocks."""
    if isinstance(wave, np.ndarray):
        yield from np.array_split(wave, parts)
        return
    shorter, longer_parts = divmod(len(wave), parts)
    sizes = iter([shorter + 1] * longer_parts + [shorter] * (parts - longer_parts))
    size = next(sizes)
    rest: NDArray[np.float32] = np.zeros(0, np.float32)
    for block in wave:
        rest = np.concatenate([rest, block])
        while size and len(rest) >= size:
            yield rest[:size]
            rest, size = rest[size:], next(sizes, 0)
