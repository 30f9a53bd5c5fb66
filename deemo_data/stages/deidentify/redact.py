"""Take names out of what was said: the transcript that may be read, and the stretches of sound that may not be heard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.errors import ModelError

if TYPE_CHECKING:
    from deemo_data.models.text.known_names import Found


Span = tuple[int, int]
LETTER_MS = 45  # a name takes at least so long a letter, whatever Whisper says of its time
GAP_MS = 250  # silence beside a name that goes with it: word times are that rough
CLOSE_MS = 150  # words that follow one another no later are said in one breath
MIN_LIKENESS = 0.8  # how like two words must be to be taken for one name


@dataclass(frozen=True)
class Redact:
    """Makes `mute_spans` ({"spans": [[start_ms, end_ms], ...]}, source clock) and tells `transcript`.

    names   muted   known names, telephone numbers and the like, and what spaCy takes for a person, a place or an
                    organisation; English only
            known   without spaCy: for other languages, when somebody reads the transcripts before they go out
            none    nothing: the transcript is as heard, nothing is muted
    In the transcript a name is [NAME], [PLACE] or [ORG]; what reaches a person is [CONTACT], [NUMBER] or [DATE]. Within a
    clip one name has one mark, and a further one of its kind is [NAME2], [NAME3] and so on.
    """

    names: Literal["muted", "known", "none"] = "muted"
    model: str = "spacy-en-md-144b7c"
    pad_ms: Annotated[int, Field(ge=0, le=1000)] = 150  # muted on both sides of a name: Whisper tiny is up to 220 ms off
    alike: Annotated[float, Field(ge=0.5, le=1)] = 0.88  # how like a known name a word must be, by letters and by sound
    doubt: Annotated[float, Field(ge=0, le=1)] = 0.35  # a word beside a name that Whisper is less sure of goes with it
    keep: tuple[str, ...] = ()  # words that spaCy takes for names and that are none

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("words", "known_names")
    makes: ClassVar[dict[str, str]] = {"mute_spans": "mute_spans.json"}
    tells: ClassVar[tuple[str, ...]] = ("transcript",)

    def __call__(self, clip: Clip, out: Path) -> Facts:
        heard = json.loads(clip.path("words").read_text())
        before, inside = heard.get("before", []), heard["words"]
        words = [*before, *inside, *heard.get("after", [])]
        found, extra = self._find(clip, heard["language"], words, heard.get("hinted", []))
        spans = [s for f in found if (s := span_of(words, f, self.pad_ms))] + extra
        muted = merged(spans, clip.start_ms, clip.end_ms)
        (out / self.makes["mute_spans"]).write_text(json.dumps({"spans": muted}))
        return {"transcript": transcript([w["text"] for w in words], found, len(before), len(before) + len(inside))}

    def _find(self, clip: Clip, language: str, words: list[Any], hinted: list[list[Any]]) -> tuple[list[Found], list[Span]]:
        """Names among the words, and spans of sound in which a look with a known name in mind heard one."""
        if self.names == "none":
            return [], []
        from deemo_data.models.text import known_names
        from deemo_data.models.text.names import find, load

        if self.names == "muted" and language != "en":
            raise ModelError(
                f"clip {clip.id} is in another language ({language}), and the names model knows English names only",
                'In deemo.toml, set names = "known" under [redact] and read the transcripts, or leave the clip out',
            )
        if not words and not hinted:
            return [], []  # nothing is said: the model, which takes two seconds to load, is not needed
        nlp = load(self.model) if self.names == "muted" else None
        told = clip.facts["known_names"]
        texts = [w["text"] for w in words]
        found = find(texts, told, nlp, alike=self.alike, keep=self.keep)
        extra = []
        for look in hinted:
            for f in known_names.find_known_names([w["text"] for w in look], told, self.alike):
                if f.end - f.first <= 2 * len(f.said):  # a name said over and over was made up
                    extra.append(span_of(look, f, self.pad_ms))
                    found = with_span(found, words, span_of(look, f, 0), f)
        return with_doubtful(found, words, self.doubt), extra


def with_span(found: list[Found], words: list[Any], span: Span, name: Found) -> list[Found]:
    """Also the words that are said in a span in which a known name was heard, unless they are a name already."""
    taken = {i for f in found for i in range(f.first, f.end)}
    middles = [(w["start_ms"] + w["end_ms"]) / 2 for w in words]
    free = [i for i, m in enumerate(middles) if span[0] <= m < span[1]]
    if not free or taken.intersection(free):
        return found
    return sorted([*found, name._replace(first=free[0], end=free[-1] + 1)])


def with_doubtful(found: list[Found], words: list[Any], doubt: float) -> list[Found]:
    """A person's name with the words that touch it and that Whisper is not sure of: half a name, misheard."""
    from deemo_data.models.text import known_names

    taken = {i for f in found for i in range(f.first, f.end)}
    made = []
    for f in found:
        for step, i in ((-1, f.first - 1), (1, f.end)):
            if f.kind != "NAME" or not 0 <= i < len(words) or i in taken or words[i]["probability"] >= doubt:
                continue
            left, right = (i, f.first) if step < 0 else (f.end - 1, i)
            breath = words[right]["start_ms"] - words[left]["end_ms"] <= CLOSE_MS
            if breath and re.search(r"\w$", words[left]["text"]) and not known_names.is_ordinary(words[i]["text"]):
                f = f._replace(first=min(f.first, i), end=max(f.end, i + 1))
                taken.add(i)
        made.append(f)
    return made


def span_of(words: Sequence[Any], found: Found, pad_ms: int) -> Span:
    """When a name is said, generously: with the silence beside it, at least as long as its letters, and padded."""
    first, last = words[found.first], words[found.end - 1]
    start, end = first["start_ms"], last["end_ms"]
    earlier = words[found.first - 1]["end_ms"] if found.first else start - GAP_MS
    later = words[found.end]["start_ms"] if found.end < len(words) else end + GAP_MS
    letters = sum(len(w["text"]) for w in words[found.first : found.end])
    short = max(0, letters * LETTER_MS - (end - start) + 1) // 2
    before, after = (max(pad_ms, min(gap, GAP_MS)) + short for gap in (start - earlier, later - end))
    return start - before, end + after


def merged(spans: Iterable[Span], first_ms: int, end_ms: int) -> list[list[int]]:
    """Spans in order, apart, and cut to [first_ms, end_ms)."""
    made: list[list[int]] = []
    for start, end in sorted((max(s, first_ms), min(e, end_ms)) for s, e in spans):
        if start >= end:
            continue
        if made and start <= made[-1][1]:
            made[-1][1] = max(made[-1][1], end)
        else:
            made.append([start, end])
    return made


def transcript(texts: Sequence[str], found: Sequence[Found], first: int, end: int) -> str:
    """Words [first, end) with a mark for every name, its punctuation kept: "Hello, [NAME]'s friend from [PLACE]."."""
    known: dict[str, list[tuple[str, ...]]] = {}
    starts = {max(f.first, first): f for f in found if f.end > first and f.first < end}
    said, i = [], first
    while i < end:
        f = starts.get(i)
        if f is None:
            said.append(texts[i])
            i += 1
            continue
        number = _number(f.said, known.setdefault(f.kind, []))
        last = min(f.end, end) - 1
        lead = re.match(r"\W*", texts[i]).group()  # type: ignore[union-attr]
        tail = re.search(r"(?:['’]s)?\W*$", texts[last]).group()  # type: ignore[union-attr]
        said.append(f"{lead}[{f.kind}{number if number > 1 else ''}]{tail}")
        i = last + 1
    return " ".join(said)


def _number(said: tuple[str, ...], known: list[tuple[str, ...]]) -> int:
    """Which name of its kind it is, from 1: "Nadal", "Rafael Nadal" and "Nadel" are one."""
    from deemo_data.models.text.known_names import likeness

    for number, other in enumerate(known, 1):
        short, long = sorted((said, other), key=len)
        if all(any(likeness(a, b) >= MIN_LIKENESS for b in long) for a in short):
            known[number - 1] = long
            return number
    known.append(said)
    return len(known)
