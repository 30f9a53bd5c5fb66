"""Redact: finds the names that are said in a clip, marks them in the transcript and lists the spans of sound to mute.

In:  the words of `transcribe` and the names known for the source.
Out: the spans, which anonymise_voice.py mutes, and the transcript that may be read. How names are found is in models/text.

The names model knows English only. What becomes of speech in other languages is a choice (`other_languages`); unless somebody
chooses otherwise, nobody hears it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.errors import ModelError
from deemo_data.notices import Notice
from deemo_data.stages.detect.transcribe import name_language

if TYPE_CHECKING:
    from deemo_data.models.text.known_names import NameSpan


Span = tuple[int, int]
MIN_LETTER_MS = 45  # a name lasts at least this long per letter, even if Whisper gives it less time
MAX_GAP_MS = 250  # silence beside a name that is muted too, because word times are this inexact
MAX_BREATH_GAP_MS = 150  # two words with a shorter pause between them are said in one breath
MIN_LIKENESS = 0.8  # similarity from which two words count as the same name
UNCLEAR_MARK, MUTED_MARK = "[UNCLEAR]", "[MUTED]"  # in the transcript, for doubtful words and for a muted stretch


@dataclass(frozen=True)
class Redact:
    """Makes `mute_spans` ({"spans": [[start_ms, end_ms], ...]}, source clock) and tells `transcript`.

    names   muted   known names, telephone numbers and the like, and the persons, places and organisations that spaCy finds, in
                    English; other languages: see below
            known   the same without spaCy, in all languages: for those who read the transcripts before release
            none    nothing is muted, and the transcript is complete
    other_languages, with names = "muted": what becomes of speech in another language than English
            mute      its whole stretch is silent, from the last English word before it to the first after it
            withhold  the clip fails
            known     names are muted in it as with names = "known"
    In the transcript a name becomes [NAME], [PLACE] or [ORG]; contact details, numbers and dates become [CONTACT], [NUMBER] and
    [DATE]. Within a clip the same name always gets the same mark; further names of a kind are [NAME2], [NAME3] and so on.
    [MUTED] stands for a stretch in another language, [UNCLEAR] for words that may not have been said. Words that Whisper made up
    are not in the transcript; where they look like names, the sound is muted all the same. A transcript without words is empty.
    """

    names: Literal["muted", "known", "none"] = "muted"
    other_languages: Literal["mute", "withhold", "known"] = "mute"
    model: str = "spacy-en-md-144b7c"
    pad_ms: Annotated[int, Field(ge=0, le=1000)] = 150  # muted on both sides of a name: Whisper tiny is up to 220 ms off
    alike: Annotated[float, Field(ge=0.5, le=1)] = 0.88  # similarity to a known name, by letters and sound
    doubt: Annotated[float, Field(ge=0, le=1)] = 0.35  # a word beside a name is redacted too if its probability is lower
    keep: tuple[str, ...] = ()  # words that are not names although spaCy takes them for names

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("words", "known_names")
    makes: ClassVar[dict[str, str]] = {"mute_spans": "mute_spans.json"}
    tells: ClassVar[tuple[str, ...]] = ("transcript", "redact_notices")

    def __call__(self, clip: Clip, out: Path) -> Facts:
        payload = json.loads(clip.path("words").read_text())
        dropped = [{**w, "dropped": True} for w in payload["dropped"]]
        words = [*payload["before"], *payload["words"], *payload["after"], *dropped]
        words.sort(key=lambda w: w["start_ms"])
        muted = self._find_muted_stretches(clip, payload["others"])
        words = [w for w in words if not _lies_in(w, muted)]
        names, hinted_spans = self._find_names(clip, words, payload["others"], payload["hinted"])
        spans = [span_of_name(words, name, self.pad_ms) for name in names] + hinted_spans + muted
        mute_spans = merge_spans(spans, clip.start_ms, clip.end_ms)
        (out / self.makes["mute_spans"]).write_text(json.dumps({"spans": mute_spans}))
        shown, names = select_shown_words(words, names, merge_spans(muted, clip.start_ms, clip.end_ms), clip)
        transcript = mark_names(shown, names, 0, len(shown))
        empty = all(text in (UNCLEAR_MARK, MUTED_MARK) for text in shown)
        return {"transcript": "" if empty else transcript, "redact_notices": self._describe_muted(clip, payload["others"], muted)}

    def _find_muted_stretches(self, clip: Clip, others: list[Facts]) -> list[Span]:
        """The stretches of other languages that are muted as a whole. Raises ModelError where the clip is to be withheld."""
        if self.names != "muted" or self.other_languages == "known":
            return []
        if self.other_languages == "withhold" and (codes := _list_languages(others, clip)):
            raise ModelError(
                f"clip {clip.id} has speech in another language ({codes}), and the names model knows English names only",
                'In deemo.toml, set other_languages = "mute" under [redact], or leave the clip out',
            )
        return [(s["start_ms"], s["end_ms"]) for s in others]

    def _describe_muted(self, clip: Clip, others: list[Facts], muted: list[Span]) -> list[Facts]:
        spans = merge_spans(muted, clip.start_ms, clip.end_ms)
        if not spans:
            return []
        seconds, whole = sum(e - s for s, e in spans) / 1000, (clip.end_ms - clip.start_ms) / 1000
        codes = _list_languages(others, clip)
        text = f"{seconds:.1f} of {whole:.1f} s are muted: speech in another language ({codes}), whose names cannot be found"
        return [Notice("other_language_muted", text).to_fact()]

    def _find_names(
        self, clip: Clip, words: list[Any], others: list[Facts], hinted: list[list[Any]]
    ) -> tuple[list[NameSpan], list[Span]]:
        """Names among the words, and time spans in which a second transcription, prompted with a known name, heard that name."""
        if self.names == "none" or (not words and not hinted):
            return [], []  # no speech: do not load the model, which takes two seconds
        from deemo_data.models.text import known_names
        from deemo_data.models.text.names import find_names, load

        nlp = load(self.model) if self.names == "muted" else None
        source_names = clip.facts["known_names"]
        foreign = [(s["start_ms"], s["end_ms"]) for s in others]
        names: list[NameSpan] = []
        for first, end, is_foreign in _find_runs([_lies_in(w, foreign) for w in words]):
            texts = [w["text"] for w in words[first:end]]
            found = find_names(texts, source_names, None if is_foreign else nlp, min_likeness=self.alike, keep=self.keep)
            names += [name._replace(first=name.first + first, end=name.end + first) for name in found]
        spans = []
        for hinted_words in hinted:
            for name in known_names.find_known_names([w["text"] for w in hinted_words], source_names, self.alike):
                if name.end - name.first <= 2 * len(name.words):  # many repeats are invented
                    spans.append(span_of_name(hinted_words, name, self.pad_ms))
                    names = add_span(names, words, span_of_name(hinted_words, name, 0), name)
        return extend_to_doubtful(names, words, self.doubt), spans


def _list_languages(others: list[Facts], clip: Clip) -> str:
    """The other languages in a clip, for people."""
    inside = [name_language(s) for s in others if s["start_ms"] < clip.end_ms and s["end_ms"] > clip.start_ms]
    return ", ".join(dict.fromkeys(inside))


def _lies_in(word: Any, spans: Sequence[Span]) -> bool:
    """Whether the middle of a word lies in one of the spans."""
    middle = (word["start_ms"] + word["end_ms"]) / 2
    return any(start <= middle < end for start, end in spans)


def _find_runs(flags: Sequence[bool]) -> Iterator[tuple[int, int, bool]]:
    """Runs of equal flags: (first, end, flag)."""
    first = 0
    for flag, group in groupby(flags):
        end = first + len(list(group))
        yield first, end, flag
        first = end


def select_shown_words(
    words: list[Any], names: list[NameSpan], muted: list[list[int]], clip: Clip
) -> tuple[list[str], list[NameSpan]]:
    """The texts that the transcript shows, in order of time, and the names among them.

    Left out are dropped words and the words around the clip. Doubtful words that follow each other become one [UNCLEAR], a muted
    stretch becomes [MUTED].
    """
    named = {i for name in names for i in range(name.first, name.end)}
    pieces: list[tuple[float, int, str]] = [(float(start), -1, MUTED_MARK) for start, _ in muted]
    for i, word in enumerate(words):
        if word.get("dropped") or word["end_ms"] <= clip.start_ms or word["start_ms"] >= clip.end_ms:
            continue
        unclear = word.get("doubtful") and i not in named
        pieces.append((float(word["start_ms"]), i, UNCLEAR_MARK if unclear else word["text"]))
    pieces.sort(key=lambda piece: piece[:2])
    pieces = [p for k, p in enumerate(pieces) if p[2] != UNCLEAR_MARK or k == 0 or pieces[k - 1][2] != UNCLEAR_MARK]
    place = {i: k for k, (_, i, _) in enumerate(pieces)}
    shown = []
    for name in names:
        if kept := [place[i] for i in range(name.first, name.end) if i in place]:
            shown.append(name._replace(first=min(kept), end=max(kept) + 1))
    return [text for _, _, text in pieces], shown


def add_span(names: list[NameSpan], words: list[Any], span: Span, name: NameSpan) -> list[NameSpan]:
    """The names, and the words said in a span in which a known name was heard, unless one of them is a name already."""
    taken = {i for other in names for i in range(other.first, other.end)}
    middles = [(w["start_ms"] + w["end_ms"]) / 2 for w in words]
    free = [i for i, m in enumerate(middles) if span[0] <= m < span[1]]
    if not free or taken.intersection(free):
        return names
    return sorted([*names, name._replace(first=free[0], end=free[-1] + 1)])


def extend_to_doubtful(names: list[NameSpan], words: list[Any], doubt: float) -> list[NameSpan]:
    """The names; a person's name takes in the words beside it whose probability is below `doubt`: half a name, misheard."""
    from deemo_data.models.text import known_names

    taken = {i for name in names for i in range(name.first, name.end)}
    extended = []
    for name in names:
        for step, i in ((-1, name.first - 1), (1, name.end)):
            if name.kind != "NAME" or not 0 <= i < len(words) or i in taken or words[i]["probability"] >= doubt:
                continue
            left, right = (i, name.first) if step < 0 else (name.end - 1, i)
            in_one_breath = words[right]["start_ms"] - words[left]["end_ms"] <= MAX_BREATH_GAP_MS
            if in_one_breath and re.search(r"\w$", words[left]["text"]) and not known_names.is_ordinary(words[i]["text"]):
                name = name._replace(first=min(name.first, i), end=max(name.end, i + 1))
                taken.add(i)
        extended.append(name)
    return extended


def span_of_name(words: Sequence[Any], name: NameSpan, pad_ms: int) -> Span:
    """The time span of a name, rather too long than too short.

    It includes the silence beside the name (up to MAX_GAP_MS), has a minimum length per letter, and is padded.
    """
    first, last = words[name.first], words[name.end - 1]
    start, end = first["start_ms"], last["end_ms"]
    earlier = words[name.first - 1]["end_ms"] if name.first else start - MAX_GAP_MS
    later = words[name.end]["start_ms"] if name.end < len(words) else end + MAX_GAP_MS
    letters = sum(len(w["text"]) for w in words[name.first : name.end])
    lack = max(0, letters * MIN_LETTER_MS - (end - start) + 1) // 2
    before, after = (max(pad_ms, min(gap, MAX_GAP_MS)) + lack for gap in (start - earlier, later - end))
    return start - before, end + after


def merge_spans(spans: Iterable[Span], first_ms: int, end_ms: int) -> list[list[int]]:
    """Spans in order, without overlap, cut to [first_ms, end_ms)."""
    merged: list[list[int]] = []
    for start, end in sorted((max(s, first_ms), min(e, end_ms)) for s, e in spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged


def mark_names(texts: Sequence[str], names: Sequence[NameSpan], first: int, end: int) -> str:
    """Words [first, end) as text in which every name is a mark with its punctuation: "Hello, [NAME]'s friend from [PLACE]."."""
    names_by_kind: dict[str, list[tuple[str, ...]]] = {}
    name_at = {max(n.first, first): n for n in names if n.end > first and n.first < end}
    pieces, i = [], first
    while i < end:
        name = name_at.get(i)
        if name is None:
            pieces.append(texts[i])
            i += 1
            continue
        number = _number_name(name.words, names_by_kind.setdefault(name.kind, []))
        last = min(name.end, end) - 1
        lead = re.match(r"\W*", texts[i]).group()  # type: ignore[union-attr]
        tail = re.search(r"(?:['’]s)?\W*$", texts[last]).group()  # type: ignore[union-attr]
        pieces.append(f"{lead}[{name.kind}{number if number > 1 else ''}]{tail}")
        i = last + 1
    return " ".join(pieces)


def _number_name(name: tuple[str, ...], earlier: list[tuple[str, ...]]) -> int:
    """The number of a name among the earlier ones of its kind, from 1: "Nadal", "Rafael Nadal" and "Nadel" are the same name.

    Adds the name to `earlier`, or keeps its longest form there.
    """
    from deemo_data.models.text.known_names import measure_likeness

    for number, other in enumerate(earlier, 1):
        short, long = sorted((name, other), key=len)
        if all(any(measure_likeness(a, b) >= MIN_LIKENESS for b in long) for a in short):
            earlier[number - 1] = long
            return number
    earlier.append(name)
    return len(earlier)
