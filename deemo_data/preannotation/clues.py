"""Drafts the clues of a clip by rules, from its released files and from the body language that people marked. People edit them.

    video  the events that people marked (never proposals), with time, duration and frequency; and how the body moves
    audio  rate, pauses and melody, compared with this person's other clips
    text   the redacted transcript and its sentiment words

A draft never mentions the face, a person's identity, or the sound of a voice by itself: labels/screening.py finds such words.
The measures come from measures.py; reasoning.py goes on from these clues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from deemo_data.clip import SafeClip, frame_to_ms
from deemo_data.labels import consensus, screening
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.models.language_model import RULES
from deemo_data.models.text import sentiment
from deemo_data.preannotation import measures
from deemo_data.preannotation.measures import Baseline, Baselines, ClipMeasures, read_transcript
from deemo_data.preannotation.moments import DEFAULT_MOMENTS, Moments
from deemo_data.tracks.skeleton import PUBLIC

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MIN_OTHER_CLIPS = 3  # annotated clips of a person, below which no frequency is stated
MIN_DEVIATIONS = 1.0  # robust deviations from the baseline, from which a measure counts as different
SMOOTHING_S = 0.5  # window of the moving average of speed; also the shortest span of fast movement
MIN_FAST_SPEED = 0.5  # shoulder widths per second, from which a movement is fast ...
FAST_RATIO = 1.5  # ... if it is also this many times as fast as the clip's median
MAIN_HAND_RATIO = 1.7  # one hand counts as the main one when it is this many times as fast as the other
ENDING_ROWS, REFERENCE_ROWS = 30, 100  # voiced rows of prosody at the end of the clip, and those before, for the contour
MIN_RISE_SEMITONES, MAX_FALL_SEMITONES = 2.0, -3.0  # changes of F0 at the end that count as a rise or a fall
MIN_LONG_PAUSE_S = 1.0
MAX_QUOTE_CHARS = 240
MIN_VALENCE = 0.3  # from this valence (or from minus it), the words of a clip are called positive (negative)

HINT_OF_GROUP = {  # how a group of body language is often interpreted
    "self-manipulation": "Touching oneself often goes with tension, so this suggests some unease.",
    "object-manipulation": "Handling things often goes with restlessness, so this suggests some tension.",
    "self-protective": "Such a posture often goes with reserve, so this suggests unease or distance.",
}


@dataclass(frozen=True)
class Clues:
    """Clues from the body, the voice and the words; "" when there is nothing to say.

    by  "rules", or another word for clues that people wrote
    """

    video: str
    audio: str
    text: str
    by: str = RULES


def draft_clues(
    clip: SafeClip,
    labels: Sequence[Label],
    nfbl: Nfbl,
    emotions: Emotions,
    subject_clips: Sequence[SafeClip],
    settings: Moments = DEFAULT_MOMENTS,
    *,
    measures_by_clip: Mapping[str, ClipMeasures] | None = None,
) -> Clues:
    """Draft the clues of a clip by rules.

    subject_clips     all clips of this person; this clip may be among them
    settings          the [moments] table: pitch and loudness are compared if they have a weight
    measures_by_clip  {clip id: result of `measure_clip`}, as far as it is known already
    """
    measured = dict(measures_by_clip or {})
    clips = {c.id: c for c in (*subject_clips, clip)}
    sources = {c.source for c in clips.values()}
    labels = [lb for lb in labels if lb.source in sources]
    for c in clips.values():
        measured[c.id] = measured.get(c.id) or measures.measure_clip(c, labels, nfbl)
    baselines = measures.compute_baselines([measured[i] for i in clips], settings.own)
    others = [c for c in clips.values() if c.id != clip.id]
    own = measured[clip.id]
    video = [*_describe_events(clip, labels, nfbl, others), *_describe_movement(clip, own, baselines)]
    audio = _describe_voice(clip, own, baselines, settings)
    return Clues(" ".join(video), " ".join(audio), " ".join(_describe_words(clip, own, emotions)))


def _describe_events(clip: SafeClip, labels: Sequence[Label], nfbl: Nfbl, others: Sequence[SafeClip]) -> list[str]:
    """The visible events that people marked, class by class."""
    visible = set(screening.visible_class_names(nfbl))
    level, events = consensus.events_of_clip(clip, labels, nfbl)
    if level == "none":
        return []
    marked = [e for e in events if e["label"] in visible]
    if not marked:
        return ["No body language was marked."]
    other_events = _events_of_clips(others, labels, nfbl)
    ordered = sorted(marked, key=lambda e: e["label"])
    by_class = {label: list(group) for label, group in groupby(ordered, key=lambda e: e["label"])}
    classes = sorted(by_class, key=lambda label: by_class[label][0]["start_frame"])
    phrases = []
    for label in classes:
        spans = _join_items([_format_span(clip, e["start_frame"], e["end_frame"]) for e in by_class[label]])
        seconds = sum(e["end_ms"] - e["start_ms"] for e in by_class[label]) / 1000
        duration = f"{seconds:.1f} s in all" if len(by_class[label]) > 1 else f"{seconds:.1f} s"
        phrases.append(f"{label} is seen {spans} ({duration}{_describe_frequency(label, other_events)})")
    groups = list(dict.fromkeys(e["group"] for label in classes for e in by_class[label]))
    return [f"{'; '.join(phrases)}.", *[HINT_OF_GROUP[g] for g in groups if g in HINT_OF_GROUP][:1]]


def _events_of_clips(clips: Sequence[SafeClip], labels: Sequence[Label], nfbl: Nfbl) -> list[list[dict[str, Any]]]:
    """The events of each clip that people annotated."""
    return [events for level, events in (consensus.events_of_clip(c, labels, nfbl) for c in clips) if level != "none"]


def _describe_frequency(label: str, other_events: Sequence[Sequence[dict[str, Any]]]) -> str:
    """In how many of this person's other annotated clips a class was marked; "" with fewer than MIN_OTHER_CLIPS of them."""
    if len(other_events) < MIN_OTHER_CLIPS:
        return ""
    count = sum(any(e["label"] == label for e in events) for events in other_events)
    return f", and in {count} of {len(other_events)} other clips of this person"


def _describe_movement(clip: SafeClip, own: ClipMeasures, baselines: Baselines) -> list[str]:
    """How much the body moves, and when the hands and the trunk move most."""
    if "movement" not in own.values:
        return []
    value = _format_value("movement", own.values["movement"])
    baseline = measures.find_baseline("movement", own, baselines)
    if baseline is None:
        sentences = [f"Shoulders, elbows and wrists move {value} shoulder widths a second on average."]
    else:
        how = {1: "more than usual", -1: "less than usual", 0: "about as much as usual"}[_compare("movement", own, baseline)]
        against = f"{value} against {_format_value('movement', baseline.median)} shoulder widths a second"
        sentences = [f"The body moves {how} ({against}, {_describe_baseline(baseline)})."]
    speeds_of_points = measures.measure_point_speeds(clip, (*PUBLIC.wrists, *PUBLIC.shoulders))
    if speeds_of_points is None:
        return sentences
    left, right, trunk = speeds_of_points[:, 0], speeds_of_points[:, 1], speeds_of_points[:, 2:].mean(axis=1)
    for name, speeds in (("hands", _pointwise_max(left, right)), ("trunk", trunk)):
        if (span := _longest_fast_span(clip, speeds)) is not None:
            start, end = span
            side = _describe_side(left[start:end], right[start:end]) if name == "hands" else ""
            verb = "move" if name == "hands" else "moves"
            sentences.append(f"The {name} {verb} most {_format_span(clip, start, end)}{side}.")
    return sentences


def _pointwise_max(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.fmax(one, other))


def _longest_fast_span(clip: SafeClip, speeds: NDArray[np.float64]) -> tuple[int, int] | None:
    """[start, end) in frames of the longest span that is clearly faster than the rest of the clip.

    speeds  (frames,), NaN where the points are not visible
    """
    import numpy as np

    size = max(1, round(SMOOTHING_S * float(clip.grid.fps)))
    known = np.isfinite(speeds)
    if known.sum() < size:
        return None
    kernel = np.ones(size)
    total, count = (np.convolve(v, kernel, "same") for v in (np.where(known, speeds, 0), known.astype(float)))
    smooth = np.divide(total, count, out=np.zeros(len(total)), where=count > size / 2)
    fast = smooth > max(MIN_FAST_SPEED, FAST_RATIO * float(np.median(speeds[known])))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], fast.astype(np.int8), [0]])))
    spans = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= size]
    return max(spans, key=lambda s: s[1] - s[0], default=None)


def _describe_side(left: NDArray[np.float64], right: NDArray[np.float64]) -> str:
    import numpy as np

    if not np.isfinite(left).any() or not np.isfinite(right).any():
        return ""
    left_speed, right_speed = float(np.nanmean(left)), float(np.nanmean(right))
    if left_speed > MAIN_HAND_RATIO * right_speed:
        return ", mostly the left one"
    return ", mostly the right one" if right_speed > MAIN_HAND_RATIO * left_speed else ""


def _describe_voice(clip: SafeClip, own: ClipMeasures, baselines: Baselines, settings: Moments) -> list[str]:
    """How something is said: rate and pauses, pitch and loudness if they have a weight, and the contour at the end."""
    if "rate" not in own.values:
        return []
    wordings = {  # for each measure: more than usual, less than usual, as usual, and without a baseline
        "rate": (
            "They speak faster than usual",
            "They speak slower than usual",
            "They speak about as fast as usual",
            "They speak",
        ),
        "pauses": ("pauses take up more", "pauses take up less", "pauses take up about as much as usual", "pauses take up"),
        "pitch": (
            "the melody is livelier",
            "the melody is flatter",
            "the melody is about as lively as usual",
            "the melody spans",
        ),
        "loudness": ("it is louder", "it is quieter", "it is about as loud as usual", "the level is"),
    }
    phrases, directions = [], {}
    for name in ("rate", "pauses", *(n for n in ("pitch", "loudness") if getattr(settings, n))):
        more, less, same, alone = wordings[name]
        value = _format_value(name, own.values[name])
        baseline = measures.find_baseline(name, own, baselines)
        directions[name] = _compare(name, own, baseline) if baseline else 0
        if baseline is None:
            phrases.append(f"{alone} {value} {_unit_of(name)}" if name != "rate" else f"{alone} at {value} {_unit_of(name)}")
        else:
            how = {1: more, -1: less, 0: same}[directions[name]]
            whose = f", {_describe_baseline(baseline)}" if name == "rate" else ""
            phrases.append(f"{how} ({value} against {_format_value(name, baseline.median)} {_unit_of(name)}{whose})")
    sentences = ["; ".join(phrases) + _interpret_speech(directions) + "."]
    if contour := _describe_contour(clip):
        sentences.append(contour)
    return sentences


def _interpret_speech(directions: Mapping[str, int]) -> str:
    """What such speech may suggest, worded carefully. `directions`: {measure: result of `_compare`}."""
    lively = directions["rate"] - directions["pauses"] + directions.get("pitch", 0) + directions.get("loudness", 0)
    if lively == 0:
        return ""
    return ", which suggests agitation or eagerness" if lively > 0 else ", which suggests hesitation or low spirits"


def _describe_contour(clip: SafeClip) -> str:
    """Whether the voice rises or falls at the end, where it is loudest, and the longest pause if it is long."""
    import numpy as np

    prosody = measures.read_prosody(clip)
    voiced = np.flatnonzero(prosody["voiced"].astype(bool))
    tones = prosody["f0_semitones"][voiced].astype(float)
    phrases = []
    if len(voiced) >= ENDING_ROWS + REFERENCE_ROWS:
        step = float(np.nanmedian(tones[-ENDING_ROWS:]) - np.nanmedian(tones[-ENDING_ROWS - REFERENCE_ROWS : -ENDING_ROWS]))
        if step >= MIN_RISE_SEMITONES or step <= MAX_FALL_SEMITONES:
            phrases.append(f"the voice {'rises' if step > 0 else 'falls'} at the end (by {abs(step):.0f} semitones)")
    loud = np.convolve(prosody["energy_db"].astype(float), np.ones(30) / 30, "valid")
    phrases.append(f"it is loudest around {(int(loud.argmax()) + 15) / measures.ROWS_PER_S:.1f} s")
    gaps = np.diff(voiced) - 1
    if len(gaps) and gaps.max() >= MIN_LONG_PAUSE_S * measures.ROWS_PER_S:
        longest = int(gaps.argmax())
        duration_s, start_s = gaps[longest] / measures.ROWS_PER_S, voiced[longest] / measures.ROWS_PER_S
        phrases.append(f"there is a pause of {duration_s:.1f} s at {start_s:.1f} s")
    text = _join_items(phrases)
    return f"{text[0].upper()}{text[1:]}."


def _describe_words(clip: SafeClip, own: ClipMeasures, emotions: Emotions) -> list[str]:
    """What is said, its sentiment words, and whether they are positive or negative on the whole."""
    transcript = read_transcript(clip)
    if not transcript:
        return []
    quote = _quote(transcript)
    sentences = [f"The person says: “{quote}”" + ("" if quote[-1] in ".!?…" else ".")]
    if not own.sentiment_words:
        return [*sentences, "No word of feeling is among them; the wording is matter-of-fact."]
    descriptions: dict[str, str] = {}
    for word in sorted(own.sentiment_words, key=lambda word: -abs(word.valence))[:5]:
        category = emotions.category_of(word.text)
        meaning = f", a word for {category.name}" if category else ""
        descriptions.setdefault(word.text.casefold(), f"“{word.text}” ({_polarity(word.valence)}{meaning})")
    valence = sentiment.measure_valence(own.sentiment_words)
    mood = "mixed or hardly any feeling" if abs(valence) < MIN_VALENCE else f"a rather {_polarity(valence)} mood"
    sentences.append(f"Words of feeling: {_join_items(list(descriptions.values()))}.")
    return [*sentences, f"On the whole the words suggest {mood} ({valence:+.2f} between −1 and 1)."]


def _polarity(value: float) -> str:
    return "positive" if value > 0 else "negative"


def _quote(transcript: str) -> str:
    """The transcript without quotation marks of its own, cut to MAX_QUOTE_CHARS at a word boundary."""
    plain = " ".join(transcript.translate({ord(c): "’" for c in '“”"«»'}).split())
    return plain if len(plain) <= MAX_QUOTE_CHARS else f"{plain[:MAX_QUOTE_CHARS].rsplit(' ', 1)[0]} …"


def _compare(name: str, own: ClipMeasures, baseline: Baseline) -> int:
    """1 if the measure is clearly above its baseline, -1 if it is clearly below, otherwise 0."""
    deviations = (own.values[name] - baseline.median) / baseline.deviation
    return (deviations >= MIN_DEVIATIONS) - (deviations <= -MIN_DEVIATIONS)


def _describe_baseline(baseline: Baseline) -> str:
    return f"the median of {baseline.whose} {baseline.clips} clips"


def _format_value(name: str, value: float) -> str:
    return f"{100 * value:.0f}" if name == "pauses" else f"{value:.2f}" if abs(value) < 0.1 else f"{value:.1f}"


def _unit_of(name: str) -> str:
    return "% of the speech" if name == "pauses" else measures.MEASURES[name].unit


def _format_span(clip: SafeClip, start: int, end: int) -> str:
    """[start, end) in frames, as text in seconds of the clip."""
    from_s, to_s = (frame_to_ms(f, clip.grid.fps) / 1000 for f in (start, end))
    if start <= 0 and end >= clip.num_frames:
        return "throughout"
    return f"from {from_s:.1f} s to the end" if end >= clip.num_frames else f"from {from_s:.1f} to {to_s:.1f} s"


def _join_items(items: Sequence[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)
