"""Drafts of the clues of a clip, from what was released of it and what people marked of its body language; people edit them.

    video  events that people marked (never proposals), and how the body moves: which, when, how long, how often
    audio  rate, pauses and melody, against this person's other clips
    text   the redacted transcript, its words of feeling

Nothing is said about the face, about who somebody is, or about how a voice sounds by itself: unsupported.py looks for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from deemo_data.clip import ms_of
from deemo_data.labels import consensus, screening
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.models.language_model import RULES
from deemo_data.models.text import sentiment
from deemo_data.preannotation import measures
from deemo_data.preannotation.measures import Measures, Pools, said_in
from deemo_data.preannotation.moments import Moments
from deemo_data.tracks.skeleton import SHOULDERS, WRISTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.clip import SafeClip


OTHERS = 3  # clips of a person that people looked at, from which on "how often" is said
APART = 1.0  # robust deviations from which on something differs from the usual
SMOOTH_S = 0.5
FAST, FASTER = 0.5, 1.5  # shoulder widths a second, and times the clip's median, that a stretch of movement has
MOSTLY = 1.7  # times as fast as the other hand
LAST_ROWS, BEFORE_ROWS = 30, 100  # of a voice: the end of the clip, and what its melody is compared with
RISE, FALL = 2.0, -3.0  # semitones
LONG_PAUSE_S = 1.0
QUOTED = 240  # characters of a transcript that are quoted at most
CLEAR = 0.3  # leaning of the words from which on they are called positive or negative

HINTS = {  # what is often read into a group of body language
    "self-manipulation": "Touching oneself often goes with tension, so this suggests some unease.",
    "object-manipulation": "Handling things often goes with restlessness, so this suggests some tension.",
    "self-protective": "Such a posture often goes with reserve, so this suggests unease or distance.",
}


@dataclass(frozen=True)
class Clues:
    """What the body, the voice and the words show; empty where nothing can be said. by: "rules", or another for people's."""

    video: str
    audio: str
    text: str
    by: str = RULES


def draft(
    clip: SafeClip,
    labels: Sequence[Label],
    nfbl: Nfbl,
    emotions: Emotions,
    subject_clips: Sequence[SafeClip],
    settings: Moments = Moments(),  # noqa: B008
    *,
    measured: Mapping[str, Measures] | None = None,
) -> Clues:
    """The clues of a clip by rules.

    subject_clips  all clips of this person, this one or not
    settings       the [moments] table: pitch and loudness are compared where they have a weight
    measured       `signs.measure` of clips by id, where it is known already
    """
    known = dict(measured or {})
    clips = {c.id: c for c in (*subject_clips, clip)}
    sources = {c.source for c in clips.values()}
    labels = [lb for lb in labels if lb.source in sources]
    for c in clips.values():
        known[c.id] = known.get(c.id) or measures.measure(c, labels, nfbl)
    pools = measures.baselines([known[i] for i in clips], settings.own)
    others = [c for c in clips.values() if c.id != clip.id]
    video = [*_events(clip, labels, nfbl, others), *_dynamics(clip, known[clip.id], pools)]
    audio = _voice(clip, known[clip.id], pools, settings)
    return Clues(" ".join(video), " ".join(audio), " ".join(_wording(clip, known[clip.id], emotions)))


def _events(clip: SafeClip, labels: Sequence[Label], nfbl: Nfbl, others: Sequence[SafeClip]) -> list[str]:
    """What people marked, class by class, where it can be seen."""
    seen = set(screening.visible(nfbl))
    level, events = consensus.events_of_clip(clip, labels, nfbl)
    if level == "none":
        return []
    marked = [e for e in events if e["label"] in seen]
    if not marked:
        return ["No body language was marked."]
    often = _often(labels, nfbl, others)
    by_class = {label: list(heap) for label, heap in groupby(sorted(marked, key=lambda e: e["label"]), key=lambda e: e["label"])}
    first = sorted(by_class, key=lambda label: by_class[label][0]["start_frame"])
    said = []
    for label in first:
        spans = _listed([_span(clip, e["start_frame"], e["end_frame"]) for e in by_class[label]])
        long = sum(e["end_ms"] - e["start_ms"] for e in by_class[label]) / 1000
        more = f"{long:.1f} s in all" if len(by_class[label]) > 1 else f"{long:.1f} s"
        said.append(f"{label} is seen {spans} ({more}{often(label)})")
    groups = list(dict.fromkeys(e["group"] for label in first for e in by_class[label]))
    return [f"{'; '.join(said)}.", *[HINTS[g] for g in groups if g in HINTS][:1]]


def _often(labels: Sequence[Label], nfbl: Nfbl, others: Sequence[SafeClip]) -> Callable[[str], str]:
    """In how many of this person's other clips a class was marked; nothing is said of fewer than three."""
    looked = [events for level, events in (consensus.events_of_clip(c, labels, nfbl) for c in others) if level != "none"]

    def often(label: str) -> str:
        with_it = sum(any(e["label"] == label for e in events) for events in looked)
        return f", and in {with_it} of {len(looked)} other clips of this person" if len(looked) >= OTHERS else ""

    return often


def _dynamics(clip: SafeClip, this: Measures, pools: Pools) -> list[str]:
    """How much the body moves, and when hands and trunk move most."""
    if "movement" not in this.values:
        return []
    figure = _figure("movement", this.values["movement"])
    away, usual = _away("movement", this, pools)
    if usual is None:
        said = [f"Shoulders, elbows and wrists move {figure} shoulder widths a second on average."]
    else:
        how = "more than usual" if away >= APART else "less than usual" if away <= -APART else "about as much as usual"
        against = f"{figure} against {_figure('movement', usual.median)} shoulder widths a second"
        said = [f"The body moves {how} ({against}, {_whose(usual)})."]
    moving = measures.point_speeds(clip, (*WRISTS, *SHOULDERS))
    if moving is None:
        return said
    left, right, trunk = moving[:, 0], moving[:, 1], moving[:, 2:].mean(axis=1)
    for name, speeds in (("hands", _larger(left, right)), ("trunk", trunk)):
        if (found := _stretch(clip, speeds)) is not None:
            start, end = found
            side = _side(left[start:end], right[start:end]) if name == "hands" else ""
            verb = "move" if name == "hands" else "moves"
            said.append(f"The {name} {verb} most {_span(clip, start, end)}{side}.")
    return said


def _larger(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.fmax(one, other))


def _stretch(clip: SafeClip, speeds: NDArray[np.float64]) -> tuple[int, int] | None:
    """[start, end) in frames of the longest stretch that is clearly faster than the rest of the clip."""
    import numpy as np

    size = max(1, round(SMOOTH_S * float(clip.grid.fps)))
    known = np.isfinite(speeds)
    if known.sum() < size:
        return None
    kernel = np.ones(size)
    total, count = (np.convolve(v, kernel, "same") for v in (np.where(known, speeds, 0), known.astype(float)))
    smooth = np.divide(total, count, out=np.zeros(len(total)), where=count > size / 2)
    fast = smooth > max(FAST, FASTER * float(np.median(speeds[known])))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], fast.astype(np.int8), [0]])))
    found = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= size]
    return max(found, key=lambda s: s[1] - s[0], default=None)


def _side(left: NDArray[np.float64], right: NDArray[np.float64]) -> str:
    import numpy as np

    if not np.isfinite(left).any() or not np.isfinite(right).any():
        return ""
    one, other = float(np.nanmean(left)), float(np.nanmean(right))
    return ", mostly the left one" if one > MOSTLY * other else ", mostly the right one" if other > MOSTLY * one else ""


def _voice(clip: SafeClip, this: Measures, pools: Pools, settings: Moments) -> list[str]:
    """How something is said: rate, pauses, where the voice can tell pitch and loudness, and the melody at the end."""
    if "rate" not in this.values:
        return []
    told = {  # sign: what is said when it is more, less, about the same, and with nothing to compare it with
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
    parts, signs_apart = [], {}
    for name in ("rate", "pauses", *(n for n in ("pitch", "loudness") if getattr(settings, n))):
        away, usual = _away(name, this, pools)
        signs_apart[name] = away
        more, less, same, alone = told[name]
        figure = _figure(name, this.values[name])
        if usual is None:
            parts.append(f"{alone} {figure} {_unit(name)}" if name != "rate" else f"{alone} at {figure} {_unit(name)}")
        else:
            how = more if away >= APART else less if away <= -APART else same
            whose = f", {_whose(usual)}" if name == "rate" else ""
            parts.append(f"{how} ({figure} against {_figure(name, usual.median)} {_unit(name)}{whose})")
    said = ["; ".join(parts) + _read_into(signs_apart) + "."]
    if contour := _contour(clip):
        said.append(contour)
    return said


def _read_into(away: Mapping[str, float]) -> str:
    """What such speech may suggest, carefully."""
    lively = (away["rate"] >= APART) - (away["rate"] <= -APART) + (away["pauses"] <= -APART) - (away["pauses"] >= APART)
    lively += sum((away[n] >= APART) - (away[n] <= -APART) for n in ("pitch", "loudness") if n in away)
    if abs(lively) < 1:
        return ""
    return ", which suggests agitation or eagerness" if lively > 0 else ", which suggests hesitation or low spirits"


def _contour(clip: SafeClip) -> str:
    """Whether the voice rises or falls at the end, where it is loudest, and a long pause."""
    import numpy as np

    read = measures.curves(clip)
    at = np.flatnonzero(read["voiced"].astype(bool))
    tones = read["f0_semitones"][at].astype(float)
    said = []
    if len(at) >= LAST_ROWS + BEFORE_ROWS:
        step = float(np.nanmedian(tones[-LAST_ROWS:]) - np.nanmedian(tones[-LAST_ROWS - BEFORE_ROWS : -LAST_ROWS]))
        if step >= RISE or step <= FALL:
            said.append(f"the voice {'rises' if step > 0 else 'falls'} at the end (by {abs(step):.0f} semitones)")
    loud = np.convolve(read["energy_db"].astype(float), np.ones(30) / 30, "valid")
    said.append(f"it is loudest around {(int(loud.argmax()) + 15) / measures.ROWS:.1f} s")
    gaps = np.diff(at) - 1
    if len(gaps) and gaps.max() >= LONG_PAUSE_S * measures.ROWS:
        where = int(gaps.argmax())
        said.append(f"there is a pause of {gaps[where] / measures.ROWS:.1f} s at {at[where] / measures.ROWS:.1f} s")
    text = _listed(said)
    return f"{text[0].upper()}{text[1:]}."


def _wording(clip: SafeClip, this: Measures, emotions: Emotions) -> list[str]:
    """What is said, its words of feeling, and whether they are rather good or bad ones."""
    transcript = said_in(clip)
    if not transcript:
        return []
    quoted = _quoted(transcript)
    said = [f"The person says: “{quoted}”" + ("" if quoted[-1] in ".!?…" else ".")]
    if not this.felt:
        return [*said, "No word of feeling is among them; the wording is matter-of-fact."]
    shown: dict[str, str] = {}
    for f in sorted(this.felt, key=lambda f: -abs(f.valence))[:5]:
        category = emotions.category_of(f.said)
        shown.setdefault(
            f.said.casefold(), f"“{f.said}” ({_sign(f.valence)}{f', a word for {category.name}' if category else ''})"
        )
    leaning = sentiment.leaning(this.felt)
    whole = "mixed or hardly any feeling" if abs(leaning) < CLEAR else f"a rather {_sign(leaning)} mood"
    said.append(f"Words of feeling: {_listed(list(shown.values()))}.")
    return [*said, f"On the whole the words suggest {whole} ({leaning:+.2f} between −1 and 1)."]


def _sign(value: float) -> str:
    return "positive" if value > 0 else "negative"


def _quoted(transcript: str) -> str:
    """At most so much of it, without quotation marks of its own."""
    plain = " ".join(transcript.translate({ord(c): "’" for c in '“”"«»'}).split())
    return plain if len(plain) <= QUOTED else f"{plain[:QUOTED].rsplit(' ', 1)[0]} …"


def _away(name: str, this: Measures, pools: Pools) -> tuple[float, measures.Baseline | None]:
    """How many deviations from the usual, and what that is."""
    usual = measures.baseline_of(name, this, pools)
    return ((this.values[name] - usual.median) / usual.deviation if usual else 0.0), usual


def _whose(usual: measures.Baseline) -> str:
    return f"the median of {usual.whose} {usual.clips} clips"


def _figure(name: str, value: float) -> str:
    return f"{100 * value:.0f}" if name == "pauses" else f"{value:.2f}" if abs(value) < 0.1 else f"{value:.1f}"


def _unit(name: str) -> str:
    return "% of the speech" if name == "pauses" else measures.SIGNS[name].unit


def _span(clip: SafeClip, start: int, end: int) -> str:
    """A stretch in frames, in seconds of the clip."""
    from_s, to_s = (ms_of(f, clip.grid.fps) / 1000 for f in (start, end))
    if start <= 0 and end >= clip.num_frames:
        return "throughout"
    return f"from {from_s:.1f} s to the end" if end >= clip.num_frames else f"from {from_s:.1f} to {to_s:.1f} s"


def _listed(items: Sequence[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)
