"""Words in clues and reasoning that the released data cannot support: the face, who somebody is, how the voice sounds by itself.

Faces are masked, voices are changed and names are gone, so whoever reads a dataset cannot check such words. The rules are
lists of English words (vocabularies/unsupported.toml), with the turns of phrase in which they mean something else. What
stands in quotation marks was said by somebody: there only names are looked for. tests/test_unsupported.py measures it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from deemo_data.labels.vocabulary import Nfbl

Kind = Literal["face", "name", "identity", "voice", "note"]

WHY = {
    "face": "the face is masked in what is released",
    "name": "it looks like a name; write “the person”",
    "identity": "it guesses who somebody is: age, sex, origin, looks, belief, health or occupation",
    "voice": "the voice was changed in what is released: only rate, pauses, melody and loudness can be heard",
    "note": "the released data do not say whether somebody is a man or a woman; write “they”",
}


@dataclass(frozen=True)
class UnsupportedClaim:
    """Words [start, end) of a text that its data cannot support. A "note" is advice; the other kinds are faults."""

    kind: Kind
    start: int
    end: int
    text: str
    why: str


QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"|«[^»]*»|‘[^’]{3,}’(?!\w)")
PLACEHOLDER = re.compile(r"\[[A-Z]+\d*\]")
CAPITAL = re.compile(r"(?<![\w’'])[A-Z][\w’'-]*")
STARTS = re.compile(r"(?:^|[.!?:;]\s*[”\"’)]*\s*|\n\s*(?:[-*•]|\d+[.)])?\s*|[“\"«‘(]\s*|—\s*)$")
PLAIN = {
    "i", "im", "ive", "id", "ill", "ok", "okay", "tv", "god", "english", "nfbl", "hz", "db", "f0", "monday", "tuesday",
    "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march", "april", "may", "june", "july",
    "august", "september", "october", "november", "december", "christmas", "easter", "name", "place", "org",
}  # fmt: skip
NAMED = {"PERSON", "GPE", "LOC", "FAC", "ORG"}  # spaCy's labels


def flags(
    text: str, known_names: Sequence[str] = (), *, allowed: Collection[str] = (), nlp: Any = None
) -> list[UnsupportedClaim]:
    """What in a clue, a reasoning or emotion words the released data cannot support, in order of place.

    known_names  found in each of their parts, also misspelt and in quotation marks
    allowed      names of classes that may be written as they are: those that can be seen (`visible`)
    nlp          `models.names.load()`: finds names that begin a sentence too; without it a capital within a sentence tells
    """
    found = list(_names(text, known_names, allowed, nlp))
    plain = _blanked(text, [QUOTED, PLACEHOLDER, *_as_written(allowed)])
    meant = _blanked(plain, _compiled("otherwise"))
    looked_at: list[tuple[Kind, str, str]] = [
        ("face", "face_parts", _blanked(meant, _compiled("visible"))), ("face", "expressions", meant),
        ("identity", "identity", meant), ("voice", "voice", meant), ("note", "note", plain),
    ]  # fmt: skip
    for kind, listed, where in looked_at:
        found += [_flag(kind, text, m.start(), m.end()) for rule in _compiled(listed) for m in rule.finditer(where)]
    return _apart(found)


def faults(
    text: str, known_names: Sequence[str] = (), *, allowed: Collection[str] = (), nlp: Any = None
) -> list[UnsupportedClaim]:
    """The flags that are more than a note."""
    return [f for f in flags(text, known_names, allowed=allowed, nlp=nlp) if f.kind != "note"]


def visible(nfbl: Nfbl) -> list[str]:
    """The names of a vocabulary's classes that can be seen although the face is masked."""
    return [c.name for c in nfbl.classes if c.visible_after_masking]


def said(flag: UnsupportedClaim) -> str:
    """A flag as one line."""
    return f"“{flag.text}” ({flag.kind}): {flag.why}"


@cache
def _compiled(listed: str) -> list[re.Pattern[str]]:
    """One list of vocabularies/unsupported.toml."""
    said = tomllib.loads(resources.files("deemo_data").joinpath("vocabularies", "unsupported.toml").read_text("utf-8"))
    words = {f"<{name}>": f"(?:{'|'.join(listed)})" for name, listed in said["words"].items()}
    return [re.compile(re.sub(r"<\w+>", lambda m: words[m[0]], rule), re.IGNORECASE) for rule in said["rules"][listed]]


def _as_written(allowed: Collection[str]) -> list[re.Pattern[str]]:
    return _either(tuple(sorted(allowed, key=lambda name: (-len(name), name)))) if allowed else []


@cache
def _either(names: tuple[str, ...]) -> list[re.Pattern[str]]:
    """One pattern for all, the longest first."""
    return [re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b", re.IGNORECASE)]


def _blanked(text: str, rules: Sequence[re.Pattern[str]]) -> str:
    """The text with what matches made unreadable; places stay what they are."""
    for rule in rules:
        text = rule.sub(lambda m: "#" * len(m[0]), text)
    return text


def _names(text: str, known_names: Sequence[str], allowed: Collection[str], nlp: Any) -> Iterator[UnsupportedClaim]:
    if known_names:
        from deemo_data.models.text.known_names import find_known_names

        words = list(re.finditer(r"\S+", text))
        for known in find_known_names([w[0] for w in words], known_names):
            yield _flag("name", text, words[known.first].start(), words[known.end - 1].end())
    shown = _blanked(text, [PLACEHOLDER, *_as_written(allowed)])
    for m in CAPITAL.finditer(shown):
        plain = re.sub(r"['’].*", "", m[0]).casefold()
        if plain not in PLAIN and not STARTS.search(shown[: m.start()]):
            yield _flag("name", text, m.start(), m.end())
    if nlp is not None:
        for e in nlp(shown.replace("#", " ")).ents:
            if e.label_ in NAMED and e.text[:1].isupper() and e.text.casefold() not in PLAIN:
                yield _flag("name", text, e.start_char, e.end_char)


def _flag(kind: Kind, text: str, start: int, end: int) -> UnsupportedClaim:
    return UnsupportedClaim(kind, start, end, text[start:end], WHY[kind])


def _apart(found: Sequence[UnsupportedClaim]) -> list[UnsupportedClaim]:
    """In order of place; of those of one kind that overlap, the longest."""
    kept: list[UnsupportedClaim] = []
    for flag in sorted(found, key=lambda f: (f.start - f.end, f.start, f.kind)):
        if not any(f.kind == flag.kind and f.start < flag.end and flag.start < f.end for f in kept):
            kept.append(flag)
    return sorted(kept, key=lambda f: (f.start, f.end, f.kind))
