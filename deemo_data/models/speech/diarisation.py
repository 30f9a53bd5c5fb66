"""Who speaks when, without torch: Silero finds speech, GE2E tells voices apart, and like voices are put together.

    speech    |==========================|        |==================|
    windows   |-----|                                                     2 s, every 0.2 s; those whose two halves are
                 |-----|  ...                                             unlike are left out
    clusters  A A A A A a a a B B B B B A A       A A A B B B B B B B     many at first; the likest two become one,
              A A A A A A A A B B B B B A A       A A A B B B B B B B     until those left are unlike
    steps     ................|.........|.        ......|............     0.1 s each, from windows of three lengths

One speaker a moment: where two speak at once, one of them is told. A draft that a person can correct.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pyannote.core import Annotation, Segment
from scipy.cluster.hierarchy import fcluster, linkage

from deemo_data.models.speech import ge2e, silero
from deemo_data.tracks.turns import letter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deemo_data.media.sound import Sound


STEP = 10  # mel frames: what is told is told every 0.1 s
EVERY = 2  # steps from one window to the next
LENGTHS = (120, 160, 200)  # mel frames; the longest are clustered
STEADY = 0.7  # the share of windows that are clustered: those whose first half sounds most like their second
FINE = 0.25  # cosine distance, average linkage: how unlike windows of one small cluster may be
APART = 0.36  # how unlike two clusters are that are two speakers: see `unlike`
LEAST, SHARE = 3.0, 0.05  # seconds, and of all speech: who says less than either is nobody of their own
MOST = 1500  # windows that are clustered: evenly spaced ones of a long recording
RIDGE = 0.1  # of the mean variance
AT_ONCE = 2**13  # windows in the sums of the ridge: those of nine minutes or so
SWITCH = 0.1  # what a change of speaker costs, in steps of one step's score
LOWER = 0.3  # Silero's threshold here: quiet answers count


def embedded(
    wave: NDArray[np.float32] | Sound,
    *,
    speakers: int | None = None,
    most: int = 8,
    uri: str = "",
    vad: str = silero.WEIGHTS,
    encoder: str = ge2e.WEIGHTS,
) -> Annotation:
    """Speakers A, B, C ... by first word, of mono float32 sound at 16 kHz; never two at once.

    speakers  how many there are, where that is known; else estimated, `most` at most
    """
    spans = spoken(wave, vad)
    if not spans:
        return Annotation(uri=uri)
    steps = _steps(spans, len(wave))
    frames = ge2e.mel(wave)
    frames *= np.float32(_gain(wave))
    net = ge2e.load(encoder)
    starts = np.arange(0, len(steps), EVERY)
    near = np.convolve(steps, np.ones(2 * (LENGTHS[-1] // STEP) + 1, np.int32), mode="same") > 0
    starts = starts[near[starts]]  # none in long silence
    windows = ge2e.embed_prefixes(net, frames, (starts * STEP).tolist(), LENGTHS)
    del frames  # 58 MB an hour
    half = LENGTHS[-1] // 2 // STEP
    middle = np.minimum(starts + half, len(steps) - 1)
    usable = np.nonzero(steps[middle] & (starts + half < len(steps)))[0]
    if not len(usable):
        return told(spans, np.zeros(len(steps), np.int32), uri)
    steady = _steady(windows[0], starts, half)[usable]
    chosen = usable[steady >= np.quantile(steady, 1 - STEADY)]
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, min(len(chosen), MOST)).astype(int))]
    speech = float(steps.sum()) * STEP / 100
    least = max(LEAST, SHARE * speech) * len(chosen) / speech  # windows: each stands for a part of the speech
    centres = cluster(windows[-1][chosen], least, speakers, most)
    return told(spans, resegment(windows, starts, steps, centres), uri)


def one(wave: NDArray[np.float32] | Sound, *, uri: str = "", vad: str = silero.WEIGHTS) -> Annotation:
    """Everything that is spoken, as one speaker's."""
    spans = spoken(wave, vad)
    return told(spans, np.zeros(len(_steps(spans, len(wave))), np.int32), uri)


def spoken(wave: NDArray[np.float32] | Sound, vad: str = silero.WEIGHTS) -> list[tuple[int, int]]:
    """Where anybody speaks, half-open (start_ms, end_ms): generous, with pauses under 0.3 s in it."""
    return silero.speech(wave, threshold=LOWER, min_silence_ms=300, pad_ms=100, name=vad)


def cluster(windows: NDArray[np.float32], least: float, speakers: int | None = None, most: int = 8) -> NDArray[np.float32]:
    """The voices (k, 256), each of length one, that windows (n, 256) are of; a voice has at least `least` windows.

    Average linkage makes many small clusters, then the likest two become one until all are `APART`. So a voice that
    drifts stays one, and what counts is how far apart the middles of clusters are, not how wide clusters are.
    """
    if len(windows) == 1:
        return windows.copy()
    tree = linkage(windows.astype(np.float64), "average", metric="cosine")
    fine = fcluster(tree, FINE, "distance")
    if speakers is not None and fine.max() < speakers:
        fine = fcluster(tree, speakers, "maxclust")
    counts = np.bincount(fine - 1).astype(np.float64)
    means = np.stack([windows[fine == i].mean(axis=0) for i in range(1, fine.max() + 1)]).astype(np.float64)
    if speakers is not None:
        counts, means = _absorbed(counts, means, least / 2, speakers)
    while len(counts) > 1:
        distance = unlike(counts, means)
        a, b = divmod(int(distance.argmin()), len(counts))
        large = int((counts >= least).sum())
        enough = len(counts) <= speakers if speakers is not None else distance[a, b] >= APART and large <= most
        if enough:
            break
        counts, means = _joined(counts, means, a, b)
    if speakers is None and (counts >= least).any():
        means = means[counts >= least]
    elif speakers is None:
        means = means[[int(counts.argmax())]]
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def unlike(counts: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """How unlike clusters are, (k, k), infinite on the diagonal: 1 - cosine of their means, over the root of how much
    their windows scatter (1 - mean cosine within). A noisy room scatters more, and a telephone less."""
    within = np.einsum("kd,kd->k", means, means)
    cosine = means @ means.T / np.sqrt(np.outer(within, within))
    share = counts[:, None] / (counts[:, None] + counts[None])
    scatter = 1 - (share * within[:, None] + share.T * within[None])
    distance = (1 - cosine) / np.sqrt(np.maximum(scatter, 0.05))
    np.fill_diagonal(distance, np.inf)
    return np.asarray(distance, np.float64)


def _joined(
    counts: NDArray[np.float64], means: NDArray[np.float64], a: int, b: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    together = counts[a] + counts[b]
    means[a] = (counts[a] * means[a] + counts[b] * means[b]) / together
    counts[a] = together
    return np.delete(counts, b), np.delete(means, b, axis=0)


def _absorbed(
    counts: NDArray[np.float64], means: NDArray[np.float64], least: float, speakers: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Clusters too small to be a speaker each go to the likest, so that a given count is not spent on splinters."""
    while len(counts) > speakers and counts.min() < least:
        small = int(counts.argmin())
        likest = int(unlike(counts, means)[small].argmin())
        counts, means = _joined(counts, means, likest, small)
    return counts, means


def resegment(
    windows: list[NDArray[np.float32]], starts: NDArray[np.integer], steps: NDArray[np.bool_], voices: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Which voice each step of 0.1 s is of, (steps,): by likeness, then twice by what parts these voices (ridge)."""
    if len(voices) == 1:
        return np.zeros(len(steps), np.int32)
    said = _path(_scores([np.asarray(w @ voices.T, np.float32) for w in windows], starts, len(steps)), steps)
    for _ in range(2):
        rows, owners = _whole(windows, starts, np.where(steps, said, -1), len(voices))
        if len(np.unique(owners)) < len(voices):
            break
        middle, weights = _ridge(rows, owners, len(voices))
        said = _path(_scores([np.asarray((w - middle) @ weights / 2, np.float32) for w in windows], starts, len(steps)), steps)
    return said


def _whole(
    windows: list[NDArray[np.float32]], starts: NDArray[np.integer], said: NDArray[np.integer], voices: int
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """The windows that lie within one voice's speech (at least 0.7 of them, others under a tenth), and whose."""
    sums = np.stack([np.concatenate([[0], np.cumsum(said == v)]) for v in range(voices)])
    rows, owners = [], []
    for embeddings, length in zip(windows, LENGTHS, strict=True):
        ends = np.minimum(starts + length // STEP, len(said))
        share = (sums[:, ends] - sums[:, starts]) / (length // STEP)
        pure = (share.max(axis=0) > 0.7) & (share.max(axis=0) > 0.9 * share.sum(axis=0))
        rows.append(embeddings[pure])
        owners.append(share.argmax(axis=0)[pure])
    return np.concatenate(rows), np.concatenate(owners)


def _ridge(
    rows: NDArray[np.float32], owners: NDArray[np.integer], voices: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least squares from embeddings to voices, every voice of equal weight: (what to take off, (256, voices))."""
    weight = (len(rows) / voices / np.bincount(owners, minlength=voices))[owners][:, None]
    middle = rows.mean(axis=0)
    target = np.eye(voices)[owners] - 1 / voices
    power, toward = np.zeros((rows.shape[1], rows.shape[1])), np.zeros((rows.shape[1], voices))
    for first in range(0, len(rows), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        off = (rows[part] - middle).astype(np.float64)
        power += off.T @ (off * weight[part])
        toward += off.T @ (target[part] * weight[part])
    power /= len(rows)
    power += RIDGE * np.trace(power) / len(power) * np.eye(len(power))
    return middle, np.linalg.solve(power, toward / len(rows)).astype(np.float32)


def _scores(scores: list[NDArray[np.float32]], starts: NDArray[np.integer], steps: int) -> NDArray[np.float64]:
    """(steps, voices): the mean over window lengths of the score of the window with its middle there."""
    at = np.arange(steps)
    total = np.zeros((steps, scores[0].shape[1]))
    for score, length in zip(scores, LENGTHS, strict=True):
        middles = starts + length / STEP / 2 - 0.5
        for v in range(score.shape[1]):
            total[:, v] += np.interp(at, middles, score[:, v]) / len(scores)
    return total


def _path(scores: NDArray[np.float64], steps: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The best path of voices through the steps in which there is speech, a switch costing `SWITCH`; silence costs nothing."""
    scores = np.where(steps[:, None], scores, 0.0)
    best = scores[0].copy()
    came = np.zeros(scores.shape, np.int32)
    own = np.arange(scores.shape[1], dtype=np.int32)
    for t in range(1, len(scores)):
        leader = int(best.argmax())
        stays = best >= best[leader] - SWITCH
        came[t] = np.where(stays, own, leader)
        best = np.where(stays, best, best[leader] - SWITCH) + scores[t]
    path = np.empty(len(scores), np.int32)
    path[-1] = best.argmax()
    for t in range(len(scores) - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path


def told(spans: list[tuple[int, int]], said: NDArray[np.integer], uri: str = "") -> Annotation:
    """Speech spans (ms) cut where the voice of the 0.1 s steps changes; letters by first word."""
    names: dict[int, str] = {}
    found = Annotation(uri=uri)
    for begin, end, voice in _runs(spans, said):
        name = names.setdefault(voice, letter(len(names)))
        found[Segment(begin / 1000, end / 1000)] = name
    return found


def _runs(spans: list[tuple[int, int]], said: NDArray[np.integer]) -> Iterator[tuple[int, int, int]]:
    for begin, end in spans:
        first, last = begin // 100, max(begin // 100 + 1, -(-end // 100))
        piece = said[first:last]
        edges = [0, *(np.nonzero(np.diff(piece))[0] + 1).tolist(), len(piece)]
        for a, b in pairwise(edges):
            yield max(begin, (first + a) * 100), min(end, (first + b) * 100), int(piece[a])


def _steps(spans: list[tuple[int, int]], samples: int) -> NDArray[np.bool_]:
    """Which steps of 0.1 s hold speech: those whose middle does."""
    middles = np.arange(-(-samples // (ge2e.HOP * STEP))) * 100 + 50
    steps = np.zeros(len(middles), bool)
    for begin, end in spans:
        steps |= (middles >= begin) & (middles < end)
    return steps


def _steady(shortest: NDArray[np.float32], starts: NDArray[np.integer], half: int) -> NDArray[np.float32]:
    """How like the first half of each longest window its second half is: both are windows of the shortest length."""
    second = np.searchsorted(starts, starts + half)
    there = (second < len(starts)) & (starts[np.minimum(second, len(starts) - 1)] == starts + half)
    like = np.einsum("nd,nd->n", shortest, shortest[np.minimum(second, len(starts) - 1)])
    return np.asarray(np.where(there, like, 0), np.float32)


def _gain(wave: NDArray[np.float32] | Sound) -> float:
    """What brings the power of the whole wave to the level GE2E knows; found in blocks, so that no copy is made."""
    power = sum(float(np.dot(b, b)) for b in _evenly(wave, max(1, len(wave) // 2**20))) / len(wave)
    return ge2e.LEVEL**2 / power if power > 1e-18 else 1.0


def _evenly(wave: NDArray[np.float32] | Sound, parts: int) -> Iterator[NDArray[np.float32]]:
    """np.array_split of the whole wave: the sum of its parts is the same to the last bit, however it is held."""
    if isinstance(wave, np.ndarray):
        yield from np.array_split(wave, parts)
        return
    least, more = divmod(len(wave), parts)
    sizes = iter([least + 1] * more + [least] * (parts - more))
    size = next(sizes)
    left: NDArray[np.float32] = np.zeros(0, np.float32)
    for block in wave:
        left = np.concatenate([left, block])
        while size and len(left) >= size:
            yield left[:size]
            left, size = left[size:], next(sizes, 0)
