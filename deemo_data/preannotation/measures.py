"""Measures of a released clip: rate, pauses, pitch and level of speech, movement, body language, sentiment words.

Only files and facts of a SafeClip are read. Voice measures cover all speech in the clip, an interviewer's too. A measure says
little by itself: it is compared with a baseline, the median of this person's clips. moments.py and clues.py do that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from deemo_data.clip import SafeClip
from deemo_data.labels import consensus
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.models.text import sentiment
from deemo_data.tracks.skeleton import MIN_CONFIDENCE, PUBLIC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ROWS_PER_S = 100  # rows per second of the prosody curves
MIN_VOICED_ROWS = ROWS_PER_S  # voiced rows, below which a voice is not measured
MIN_PAUSE_ROWS = 25  # unvoiced rows that make a pause; a consonant has fewer
SPEECH_MARGIN_ROWS = 15  # rows around a voiced row that still count as speech
SPEED_WINDOW_S = 0.2  # a speed is measured over this time, so that jitter of a point is no movement
ILLUSTRATIVE_GROUP = "illustrative"  # group of gestures that accompany speech; they do not count as body language
DEVIATION_PER_MAD = 1.4826  # standard deviation of a normal distribution, in median absolute deviations


@dataclass(frozen=True)
class Measure:
    """The name and the unit of a measure.

    min_deviation  the smallest deviation that a baseline may have: a difference that nobody would notice
    """

    name: str
    unit: str
    min_deviation: float


MEASURES = {
    "rate": Measure("speech", "onsets a second", 0.3),
    "pauses": Measure("pauses", "of the speech", 0.05),
    "pitch": Measure("pitch range", "semitones", 0.5),
    "loudness": Measure("loudness", "dB", 1.0),
    "movement": Measure("movement", "shoulder widths a second", 0.1),
    "body_language": Measure("body language", "events in 10 s", 0.5),
}


@dataclass(frozen=True)
class ClipMeasures:
    """The measures of one clip.

    values           {measure: value in the unit of MEASURES}, without the measures that could not be taken
    basis            the events that were counted: "people" (marked by annotators), "proposals" (no annotator has viewed the
                     clip), or "" when there is neither
    sentiment_words  those of the redacted transcript
    """

    subject: str
    values: Mapping[str, float]
    basis: str = ""
    sentiment_words: tuple[sentiment.SentimentWord, ...] = ()


def measure_clip(clip: SafeClip, labels: Sequence[Label], nfbl: Nfbl) -> ClipMeasures:
    """Take the measures of one clip. `labels` need only hold the labels of its source."""
    values = measure_voice(clip)
    speeds = measure_body_speed(clip)
    if speeds is not None:
        values["movement"] = float(speeds.mean())
    level, events = consensus.events_of_clip(clip, labels, nfbl, allow_proposed=True)
    basis = "proposals" if level == "proposed" else "people" if level != "none" else ""
    if level == "none" and clip.facts.get("proposals") is not None:
        basis = "proposals"  # the rules ran and proposed nothing
    if basis:
        count = sum(e["group"] != ILLUSTRATIVE_GROUP for e in events)
        values["body_language"] = count * 10 / max(duration_s(clip), sentiment.MIN_WINDOW_S)
    return ClipMeasures(clip.facts["subject"], values, basis, tuple(sentiment.find_sentiment_words(read_transcript(clip))))


def read_transcript(clip: SafeClip) -> str:
    """The redacted transcript. Prompts to a language model contain no other text about a clip."""
    return str(clip.facts.get("transcript") or "").strip()


def duration_s(clip: SafeClip) -> float:
    return float(clip.num_frames / clip.grid.fps)


def read_prosody(clip: SafeClip) -> dict[str, NDArray[Any]]:
    """The released prosody, one row every 10 ms: f0_semitones (NaN where unvoiced), energy_db, voiced, speech_rate; each (n,)."""
    import pyarrow.parquet as pq

    table = pq.read_table(clip.path("prosody"))
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def measure_voice(clip: SafeClip) -> dict[str, float]:
    """Rate, pauses, pitch and loudness of a clip, in the units of MEASURES; {} with less than a second of voice."""
    import numpy as np

    prosody = read_prosody(clip)
    voiced = np.flatnonzero(prosody["voiced"].astype(bool))
    if len(voiced) < MIN_VOICED_ROWS:
        return {}
    gaps = np.diff(voiced) - 1
    in_speech = np.zeros(len(prosody["voiced"]), bool)
    for shift in range(-SPEECH_MARGIN_ROWS, SPEECH_MARGIN_ROWS + 1):
        in_speech[np.clip(voiced + shift, 0, len(in_speech) - 1)] = True
    # the quartiles leave out errors of the F0 tracker, which lie outside them
    low, high = np.nanpercentile(prosody["f0_semitones"][voiced].astype(float), [25, 75])
    return {
        "rate": float(prosody["speech_rate"][in_speech].mean()),
        "pauses": float(gaps[gaps >= MIN_PAUSE_ROWS].sum() / (voiced[-1] - voiced[0] + 1)),
        "pitch": float(high - low),
        "loudness": float(np.median(prosody["energy_db"][voiced])),
    }


def measure_body_speed(clip: SafeClip) -> NDArray[np.float64] | None:
    """The mean speed of shoulders, elbows and wrists in shoulder widths per second, (frames where any is visible,).

    None when these are fewer frames than a second has, or when no frame shows both shoulders.
    """
    import numpy as np

    speeds = measure_point_speeds(clip, (*PUBLIC.shoulders, *PUBLIC.elbows, *PUBLIC.wrists))
    visible = None if speeds is None else speeds[np.isfinite(speeds).any(axis=1)]
    if visible is None or len(visible) < clip.grid.fps:
        return None
    mean: NDArray[np.float64] = np.nanmean(visible, axis=1)
    return mean


def measure_point_speeds(clip: SafeClip, points: Sequence[int]) -> NDArray[np.float64] | None:
    """The speed of points of the released skeleton, (frames, points), in shoulder widths per second; NaN where not visible.

    It is measured in the picture plane over SPEED_WINDOW_S around each frame. None when no frame shows both shoulders.
    """
    import numpy as np

    from deemo_data.tracks.body import read_body

    body = read_body(clip.path("body"))
    shape = (1.0, clip.grid.height / clip.grid.width) if clip.facts.get("body_unit") == "picture" else (1.0, 1.0)
    positions = body.points[:, 0, :, :2].astype(float) * shape
    positions[body.confidence[:, 0] < MIN_CONFIDENCE] = np.nan
    widths = np.hypot(*(positions[:, PUBLIC.shoulders[0]] - positions[:, PUBLIC.shoulders[1]]).T)
    if not np.isfinite(widths).any():
        return None
    step = max(1, round(SPEED_WINDOW_S * float(clip.grid.fps)))
    distances = np.full((len(positions), len(points)), np.nan)
    if len(positions) > step:
        change = positions[step:, list(points)] - positions[:-step, list(points)]
        distances[step // 2 : step // 2 + len(change)] = np.hypot(change[..., 0], change[..., 1])
    width = max(float(np.nanpercentile(widths, 75)), 1e-3)
    return np.asarray(distances / width / step * float(clip.grid.fps))


@dataclass(frozen=True)
class Baseline:
    """What is usual for a measure: its median and robust deviation over a number of clips.

    whose  "this person's" or "everybody's" clips
    """

    median: float
    deviation: float
    clips: int
    whose: str


Baselines = Mapping[tuple[str, str, str], Baseline]  # by measure, subject ("" is everybody) and basis of events


def compute_baselines(measured: Iterable[ClipMeasures], min_clips: int) -> Baselines:
    """The baselines of each person, and of everybody, over all measures that at least `min_clips` clips have."""
    values_by_key: dict[tuple[str, str, str], list[float]] = {}
    for clip_measures in measured:
        for name, value in clip_measures.values.items():
            for subject in (clip_measures.subject, ""):
                values_by_key.setdefault((name, subject, basis_of(name, clip_measures)), []).append(value)
    baselines = {}
    for key, values in values_by_key.items():
        if len(values) >= min_clips:
            middle = median(values)
            deviation = DEVIATION_PER_MAD * median(abs(v - middle) for v in values)
            whose = "this person's" if key[1] else "everybody's"
            baselines[key] = Baseline(middle, max(deviation, MEASURES[key[0]].min_deviation), len(values), whose)
    return baselines


def find_baseline(name: str, clip_measures: ClipMeasures, baselines: Baselines) -> Baseline | None:
    """The person's own baseline of a measure, otherwise everybody's; None when both have too few clips."""
    basis = basis_of(name, clip_measures)
    return baselines.get((name, clip_measures.subject, basis)) or baselines.get((name, "", basis))


def basis_of(name: str, clip_measures: ClipMeasures) -> str:
    """The basis within which a measure is compared: events that people marked are not compared with proposals."""
    return clip_measures.basis if name == "body_language" else ""
