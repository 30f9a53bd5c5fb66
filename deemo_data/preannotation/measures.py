"""What is measured on a released clip: rate, pauses, pitch and level of speech, movement, body language, words of feeling.

Only what `release` lets out is read. The voice is all that is heard in the clip, an interviewer too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from deemo_data.labels import consensus
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.models.text import sentiment
from deemo_data.tracks.skeleton import ELBOWS, SHOULDERS, SURE, WRISTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.clip import SafeClip


ROWS = 100  # of the prosody curves, in a second
LEAST_ROWS = ROWS  # of a voice, from which on it is measured
PAUSE_ROWS = 25  # without a voice: a pause, and not a consonant
NEAR_ROWS = 15  # of a voice: what still belongs to speech
STEP_S = 0.2  # over which a speed is measured, so that a shaking point does not move
ILLUSTRATIVE = "illustrative"  # the group of gestures that go with speech: movement, and no sign by themselves
ROBUST = 1.4826  # median absolute deviations in a standard deviation


@dataclass(frozen=True)
class Sign:
    """What one measure is called and counted in; `least` is a difference that nobody would notice, the smallest deviation."""

    name: str
    unit: str
    least: float


SIGNS = {
    "rate": Sign("speech", "onsets a second", 0.3),
    "pauses": Sign("pauses", "of the speech", 0.05),
    "pitch": Sign("pitch range", "semitones", 0.5),
    "loudness": Sign("loudness", "dB", 1.0),
    "movement": Sign("movement", "shoulder widths a second", 0.1),
    "body_language": Sign("body language", "events in 10 s", 0.5),
}


@dataclass(frozen=True)
class Measures:
    """What is measured on one clip, in the units of SIGNS; a sign that cannot be measured is not in `values`.

    basis  what events were counted: "people" (who looked), "proposals" (nobody did), or "" when there are none to count
    """

    subject: str
    values: Mapping[str, float]
    basis: str = ""
    felt: tuple[sentiment.Felt, ...] = ()


def measure(clip: SafeClip, labels: Sequence[Label], nfbl: Nfbl) -> Measures:
    """The signs of one clip; `labels` may be those of its source only."""
    values = voice(clip)
    speeds = speed(clip)
    if speeds is not None:
        values["movement"] = float(speeds.mean())
    level, events = consensus.events_of_clip(clip, labels, nfbl, allow_proposed=True)
    basis = "proposals" if level == "proposed" else "people" if level != "none" else ""
    if level == "none" and clip.facts.get("proposals") is not None:
        basis = "proposals"  # the rules looked and found nothing
    if basis:
        counted = sum(e["group"] != ILLUSTRATIVE for e in events)
        values["body_language"] = counted * 10 / max(seconds_of(clip), sentiment.LEAST_S)
    return Measures(clip.facts["subject"], values, basis, tuple(sentiment.felt(said_in(clip))))


def said_in(clip: SafeClip) -> str:
    """The redacted transcript. Prompts are made of this and of nothing else that was said about a clip."""
    return str(clip.facts.get("transcript") or "").strip()


def seconds_of(clip: SafeClip) -> float:
    return float(clip.num_frames / clip.grid.fps)


def curves(clip: SafeClip) -> dict[str, NDArray[Any]]:
    """The released prosody: f0_semitones (NaN: no voice), energy_db, voiced, speech_rate, each (n,), a row every 10 ms."""
    import pyarrow.parquet as pq

    table = pq.read_table(clip.path("prosody"))
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def voice(clip: SafeClip) -> dict[str, float]:
    """Rate, pauses, pitch and loudness of a clip; nothing with less than a second of voice."""
    import numpy as np

    read = curves(clip)
    at = np.flatnonzero(read["voiced"].astype(bool))
    if len(at) < LEAST_ROWS:
        return {}
    gaps = np.diff(at) - 1
    near = np.zeros(len(read["voiced"]), bool)
    for shift in range(-NEAR_ROWS, NEAR_ROWS + 1):
        near[np.clip(at + shift, 0, len(near) - 1)] = True
    low, high = np.nanpercentile(read["f0_semitones"][at].astype(float), [25, 75])  # slips of the tracker lie outside
    return {
        "rate": float(read["speech_rate"][near].mean()),
        "pauses": float(gaps[gaps >= PAUSE_ROWS].sum() / (at[-1] - at[0] + 1)),
        "pitch": float(high - low),
        "loudness": float(np.median(read["energy_db"][at])),
    }


def speed(clip: SafeClip) -> NDArray[np.float64] | None:
    """How fast shoulders, elbows and wrists move, their mean in shoulder widths a second, of the frames where any is seen.

    None when that is less than a second's worth of frames, or no frame shows both shoulders.
    """
    import numpy as np

    moving = point_speeds(clip, (*SHOULDERS, *ELBOWS, *WRISTS))
    seen = None if moving is None else moving[np.isfinite(moving).any(axis=1)]
    if seen is None or len(seen) < clip.grid.fps:
        return None
    mean: NDArray[np.float64] = np.nanmean(seen, axis=1)
    return mean


def point_speeds(clip: SafeClip, points: Sequence[int]) -> NDArray[np.float64] | None:
    """The speed of points of the released track (frames, points) in shoulder widths a second; NaN where one is not seen.

    It is measured in the picture plane over 0.2 s around each frame. None when no frame shows both shoulders.
    """
    import numpy as np

    from deemo_data.tracks.body import read_body

    body = read_body(clip.path("body"))
    shape = (1.0, clip.grid.height / clip.grid.width) if clip.facts.get("body_unit") == "picture" else (1.0, 1.0)
    where = body.points[:, 0, :, :2].astype(float) * shape
    where[body.confidence[:, 0] < SURE] = np.nan
    wide = np.hypot(*(where[:, SHOULDERS[0]] - where[:, SHOULDERS[1]]).T)
    if not np.isfinite(wide).any():
        return None
    step = max(1, round(STEP_S * float(clip.grid.fps)))
    moved = np.full((len(where), len(points)), np.nan)
    if len(where) > step:
        far = where[step:, list(points)] - where[:-step, list(points)]
        moved[step // 2 : step // 2 + len(far)] = np.hypot(far[..., 0], far[..., 1])
    width = max(float(np.nanpercentile(wide, 75)), 1e-3)
    return np.asarray(moved / width / step * float(clip.grid.fps))


@dataclass(frozen=True)
class Baseline:
    """What is usual: the median and the robust deviation of `clips` clips, and whose they are."""

    median: float
    deviation: float
    clips: int
    whose: str


Pools = Mapping[tuple[str, str, str], Baseline]  # by sign, subject ("" is everybody) and basis


def baselines(measured: Iterable[Measures], own: int) -> Pools:
    """What is usual for each person with at least `own` clips, and for everybody."""
    heaps: dict[tuple[str, str, str], list[float]] = {}
    for this in measured:
        for name, value in this.values.items():
            for subject in (this.subject, ""):
                heaps.setdefault((name, subject, basis_of(name, this)), []).append(value)
    made = {}
    for key, heap in heaps.items():
        if len(heap) >= own:
            middle = median(heap)
            away = ROBUST * median(abs(v - middle) for v in heap)
            whose = "this person's" if key[1] else "everybody's"
            made[key] = Baseline(middle, max(away, SIGNS[key[0]].least), len(heap), whose)
    return made


def baseline_of(name: str, this: Measures, pools: Pools) -> Baseline | None:
    """What is usual for this person, else for everybody; None with too few clips."""
    basis = basis_of(name, this)
    return pools.get((name, this.subject, basis)) or pools.get((name, "", basis))


def basis_of(name: str, this: Measures) -> str:
    """What people marked is compared with what people marked."""
    return this.basis if name == "body_language" else ""
