"""Finds words in clues and reasoning that the released data cannot support: the face, a person's identity, the sound of a voice.

Faces are masked, voices are changed and names are removed, so a reader of the dataset cannot check such words. The rules are
lists of English words (vocabularies/unsupported.toml), with the phrases in which these words mean something else. Text in
quotation marks is somebody's speech: it is searched for names only. tests/labels/test_screening.py measures how well it works.
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

REASONS = {
    "face": "the face is masked in what is released",
    "name": "it looks like a name; write “the person”",
    "identity": "it guesses who somebody is: age, sex, origin, looks, belief, health or occupation",
    "voice": "the voice was changed in what is released: only rate, pauses, melody and loudness can be heard",
    "note": "the released data do not say whether somebody is a man or a woman; write “they”",
}


@dataclass(frozen=True)
class UnsupportedClaim:
    """Characters [start, end) of a text that the released data cannot support. A "note" is advice; other kinds are faults."""

    kind: Kind
    start: int
    end: int
    text: str
    why: str


QUOTED_TEXT = re.compile(r"“[^”]*”|\"[^\"]*\"|«[^»]*»|‘[^’]{3,}’(?!\w)")
PLACEHOLDER = re.compile(r"\[[A-Z]+\d*\]")
CAPITALISED_WORD = re.compile(r"(?<![\w’'])[A-Z][\w’'-]*")
SENTENCE_START = re.compile(r"(?:^|[.!?:;]\s*[”\"’)]*\s*|\n\s*(?:[-*•]|\d+[.)])?\s*|[“\"«‘(]\s*|—\s*)$")
ORDINARY_CAPITALISED = {  # words that may be capitalised within a sentence without being a name
    "i", "im", "ive", "id", "ill", "ok", "okay", "tv", "god", "english", "nfbl", "hz", "db", "f0", "monday", "tuesday",
    "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march", "april", "may", "june", "july",
    "august", "september", "october", "november", "december", "christmas", "easter", "name", "place", "org",
}  # fmt: skip
NAME_ENTITIES = {"PERSON", "GPE", "LOC", "FAC", "ORG"}  # labels of spaCy's entities


def find_claims(
    text: str, known_names: Sequence[str] = (), *, allowed: Collection[str] = (), nlp: Any = None
) -> list[UnsupportedClaim]:
    """Find what the released data cannot support in a clue, a reasoning or emotion words; in order of position.

    known_names  names that are found in each of their parts, also misspelt and in quotation marks
    allowed      class names that may be used as they are: those of visible classes (`visible_class_names`)
    nlp          the spaCy model of models/text/names.py, which also finds names at the start of a sentence. Without it, a
                 capitalised word within a sentence counts as a name
    """
    claims = list(_find_names(text, known_names, allowed, nlp))
    plain = _blank_out(text, [QUOTED_TEXT, PLACEHOLDER, *_patterns_of_names(allowed)])
    literal = _blank_out(plain, _load_patterns("otherwise"))
    searches: list[tuple[Kind, str, str]] = [  # kind, list of patterns, text to search
        ("face", "face_parts", _blank_out(literal, _load_patterns("visible"))), ("face", "expressions", literal),
        ("identity", "identity", literal), ("voice", "voice", literal), ("note", "note", plain),
    ]  # fmt: skip
    for kind, list_name, masked in searches:
        matches = [m for pattern in _load_patterns(list_name) for m in pattern.finditer(masked)]
        claims += [_make_claim(kind, text, m.start(), m.end()) for m in matches]
    return _drop_overlaps(claims)


def find_faults(
    text: str, known_names: Sequence[str] = (), *, allowed: Collection[str] = (), nlp: Any = None
) -> list[UnsupportedClaim]:
    """The claims of `find_claims` that are more than a note."""
    return [c for c in find_claims(text, known_names, allowed=allowed, nlp=nlp) if c.kind != "note"]


def visible_class_names(nfbl: Nfbl) -> list[str]:
    """The names of the classes that stay visible when the face is masked."""
    return [c.name for c in nfbl.classes if c.visible_after_masking]


def describe_claim(claim: UnsupportedClaim) -> str:
    """A claim as one line of text."""
    return f"“{claim.text}” ({claim.kind}): {claim.why}"


@cache
def _load_patterns(list_name: str) -> list[re.Pattern[str]]:
    """The patterns of one list of vocabularies/unsupported.toml. In a rule, <name> stands for any word of the list `name`."""
    table = tomllib.loads(resources.files("deemo_data").joinpath("vocabularies", "unsupported.toml").read_text("utf-8"))
    words = {f"<{name}>": f"(?:{'|'.join(listed)})" for name, listed in table["words"].items()}
    return [re.compile(re.sub(r"<\w+>", lambda m: words[m[0]], rule), re.IGNORECASE) for rule in table["rules"][list_name]]


def _patterns_of_names(allowed: Collection[str]) -> list[re.Pattern[str]]:
    return _pattern_of_any(tuple(sorted(allowed, key=lambda name: (-len(name), name)))) if allowed else []


@cache
def _pattern_of_any(names: tuple[str, ...]) -> list[re.Pattern[str]]:
    """One pattern that matches any of the names; the caller puts the longest first."""
    return [re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b", re.IGNORECASE)]


def _blank_out(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    """The text with all matches replaced by "#", one per character, so that positions stay the same."""
    for pattern in patterns:
        text = pattern.sub(lambda m: "#" * len(m[0]), text)
    return text


def _find_names(text: str, known_names: Sequence[str], allowed: Collection[str], nlp: Any) -> Iterator[UnsupportedClaim]:
    """Names: the known ones, capitalised words within a sentence, and what `nlp` finds."""
    if known_names:
        from deemo_data.models.text.known_names import find_known_names

        words = list(re.finditer(r"\S+", text))
        for known in find_known_names([w[0] for w in words], known_names):
            yield _make_claim("name", text, words[known.first].start(), words[known.end - 1].end())
    masked = _blank_out(text, [PLACEHOLDER, *_patterns_of_names(allowed)])
    for m in CAPITALISED_WORD.finditer(masked):
        word = re.sub(r"['’].*", "", m[0]).casefold()
        if word not in ORDINARY_CAPITALISED and not SENTENCE_START.search(masked[: m.start()]):
            yield _make_claim("name", text, m.start(), m.end())
    if nlp is not None:
        for e in nlp(masked.replace("#", " ")).ents:
            if e.label_ in NAME_ENTITIES and e.text[:1].isupper() and e.text.casefold() not in ORDINARY_CAPITALISED:
                yield _make_claim("name", text, e.start_char, e.end_char)


def _make_claim(kind: Kind, text: str, start: int, end: int) -> UnsupportedClaim:
    return UnsupportedClaim(kind, start, end, text[start:end], REASONS[kind])


def _drop_overlaps(claims: Sequence[UnsupportedClaim]) -> list[UnsupportedClaim]:
    """The claims in order of position. Of overlapping claims of one kind, only the longest stays."""
    result: list[UnsupportedClaim] = []
    for claim in sorted(claims, key=lambda c: (c.start - c.end, c.start, c.kind)):
        if not any(c.kind == claim.kind and c.start < claim.end and claim.start < c.end for c in result):
            result.append(claim)
    return sorted(result, key=lambda c: (c.start, c.end, c.kind))
