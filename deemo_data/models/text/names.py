"""Names by spaCy and Presidio."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from deemo_data.errors import ModelError
from deemo_data.models.runtime.weights import path_of
from deemo_data.models.text.known_names import (
    MONTHS,
    SPOKEN,
    TITLES,
    Found,
    Kind,
    find_known_names,
    fold,
    is_capitalised,
    ordinary_words,
    starts_of_sentences,
)

WEIGHTS = "spacy-en-md-144b7c"
KINDS: dict[str, Kind] = {"PERSON": "NAME", "GPE": "PLACE", "LOC": "PLACE", "FAC": "PLACE", "EVENT": "PLACE", "ORG": "ORG"}
ONE_BY_ONE = ("PERSON", "GPE", "LOC")
NO_NAME = {"NORP", "LANGUAGE", "DATE", "TIME", "ORDINAL", "CARDINAL", "MONEY", "PERCENT", "QUANTITY"}  # spaCy's labels
NO_NOUN = ("CC", "CD", "DT", "IN", "JJ", "MD", "PRP", "RB", "TO", "UH", "VB", "WDT", "WP", "WRB")  # how their tags begin


DIGIT = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple|\d)"
ENDING = r"(?:com|org|net|edu|gov|io|co|uk|de|fr|es|ca|au)"
OURS: dict[Kind, list[str]] = {  # beside Presidio's: what is spelt out
    "CONTACT": [
        rf"\b[\w.]+(?:\s+(?:dot|underscore|dash)\s+\w+)*\s+(?:at|@)\s+\w+(?:\s*(?:\bdot\b|\.)\s*{ENDING})+\b",
        r"\b\w+(?:\s+dot\s+|\.)(?:com|org|net|edu|gov)\b",
        r"(?<!\w)@\w{2,}",
    ],
    "NUMBER": [
        rf"\b{DIGIT}(?:[\s,.\-()]+{DIGIT}){{4,}}\b",
        r"(?<![\d,.$£€])\d(?:[\s.\-()]*\d){5,}(?![\d,]*,\d)",
        r"\b[A-Z]{1,2}\d{4,}\b",
    ],
    "PLACE": [
        r"\b\d{1,5}[a-z]?,?\s+(?:[a-z'’]+\s+){1,3}(?:street|road|avenue|lane|drive|boulevard|terrace|crescent)\b",
        r"\b[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}\b",
    ],
}
MONTH = f"(?:{MONTHS.replace(' ', '|')})"
DAY = r"(?:the\s+)?(?:\d{1,2}(?:st|nd|rd|th)?|\w+(?:first|second|third|th))"
DATES = [
    rf"{DAY}(?:\s+of)?\s+{MONTH},?\s+\d{{4}}",
    rf"{MONTH}\s+{DAY},?\s+\d{{4}}",
    r"\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2,4}",
    rf"(?<=\bborn in )(?:{MONTH},?\s+)?\d{{4}}",
    rf"(?<=\bborn on )(?:{MONTH}\s+{DAY}|{DAY}\s+(?:of\s+)?{MONTH})",
]
FULL_DATE = re.compile(rf"\b(?:{'|'.join(DATES)})\b", re.IGNORECASE)


@cache
def load(name: str = WEIGHTS) -> Any:
    """spaCy's English pipeline, its tagger and names only, once per process."""
    import spacy

    try:
        return spacy.load(path_of(name), exclude=["parser", "senter", "attribute_ruler", "lemmatizer"])
    except (OSError, ValueError) as problem:
        raise ModelError(f"the names model {name} cannot be loaded: {problem}", "Type: deemo models pull") from problem


def find(words: Sequence[str], names: Iterable[str], nlp: Any, *, alike: float = 0.88, keep: Iterable[str] = ()) -> list[Found]:
    """Names among words as Whisper gives them (punctuation on them), apart and in order.

    names   known ones: always found, in each of their parts
    nlp     from `load`, or None: known names and patterns only
    alike   how like a word in lower case must be to a part of a known name, 0 to 1 (`likeness`)
    keep    words that are never taken for a name, unless it is a known one

    What is found stays found throughout: a person's name that spaCy sees once is sought in all the words.
    """
    found = [*find_known_names(words, names, alike), *patterns(words)]
    if nlp is not None:
        kept = {fold(w) for w in keep}
        seen = [f for f in entities(words, nlp) if not kept.issuperset(f.said)]
        people = {w for f in seen if f.kind == "NAME" for w in f.said if len(w) > 3}
        found += seen + [f for f in find_known_names(words, sorted(people), max(alike, 0.9)) if not kept.issuperset(f.said)]
    return _apart(found, words)


@cache
def _recognisers() -> list[tuple[Any, list[str], Kind]]:
    """Presidio's recognisers that work on the text alone, and what they find."""
    from presidio_analyzer import Pattern, PatternRecognizer
    from presidio_analyzer import predefined_recognizers as ready

    class Email(ready.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return True  # Presidio's own asks a list of domain endings that it fetches

    found: list[tuple[Any, list[str], Kind]] = [
        (Email(), ["EMAIL_ADDRESS"], "CONTACT"), (ready.UrlRecognizer(), ["URL"], "CONTACT"),
        (ready.PhoneRecognizer(), ["PHONE_NUMBER"], "CONTACT"), (ready.IpRecognizer(), ["IP_ADDRESS"], "CONTACT"),
        (ready.CreditCardRecognizer(), ["CREDIT_CARD"], "NUMBER"), (ready.IbanRecognizer(), ["IBAN_CODE"], "NUMBER"),
        (ready.UsSsnRecognizer(), ["US_SSN"], "NUMBER"),
    ]  # fmt: skip
    for kind, expressions in OURS.items():
        made = [Pattern(kind.lower(), expression, 0.6) for expression in expressions]
        found.append((PatternRecognizer(kind, patterns=made), [kind], kind))
    return found


def patterns(words: Sequence[str]) -> list[Found]:
    """Telephone numbers, addresses of all kinds, long numbers, and full dates: written or spelt out."""
    text, where = _text(words)
    found = [Found(*_range(m.start(), m.end(), where), "DATE", (m.group().casefold(),)) for m in FULL_DATE.finditer(text)]
    for recogniser, entities, kind in _recognisers():
        for result in recogniser.analyze(text, entities, None) or ():
            said = re.sub(r"\W", "", text[result.start : result.end]).casefold()
            years = re.fullmatch(r"(?:(?:19|20)\d\d)+", said)
            if not years:
                found.append(Found(*_range(result.start, result.end, where), kind, (said,)))
    return found


def entities(words: Sequence[str], nlp: Any) -> list[Found]:
    """Names of people, places and organisations, by spaCy and by the capitals that Whisper gave."""
    text, where = _text(words)
    plain, lower = nlp(text), text.lower()
    raised = {t.idx for t in nlp(lower) if t.tag_ in ("NNP", "NNPS")} if len(lower) == len(text) else set()
    cased = nlp(_with_capitals(text, raised)) if raised else plain
    found = [Found(*_range(e.start_char, e.end_char, where), KINDS[e.label_], ()) for doc in (plain, cased)
             for e in doc.ents if e.label_ in KINDS]  # fmt: skip
    for first, end in _sentences(words):
        if not is_capitalised(words[first]):
            found += _one_by_one(words, first, end, nlp)
    other = {i for e in plain.ents if e.label_ in NO_NAME for i in range(*_range(e.start_char, e.end_char, where))}
    for i, fresh in enumerate(starts_of_sentences(words)):
        if not fresh and is_capitalised(words[i]) and i not in other and _stem(words[i]) not in SPOKEN:
            found.append(Found(i, i + 1, "NAME", ()))
    return [t for f in found if (t := _trimmed(f, words))]


def _stem(word: str) -> str:
    return fold(re.split(r"['’]", word.lstrip("'’\"("))[0])


def _one_by_one(words: Sequence[str], first: int, end: int, nlp: Any) -> list[Found]:
    """Names in a sentence without a capital: each noun is given one, alone and with the next, and spaCy is asked."""
    text, where = _text(words[first:end])
    tokens = [t for t in nlp(text) if t.is_alpha and not t.is_stop and not t.tag_.startswith(NO_NOUN)]
    nouns = sorted({bisect_right(where, t.idx) - 1 for t in tokens})
    tries = [[i] for i in nouns] + [[a, b] for a, b in pairwise(nouns) if b == a + 1]
    found = []
    shown = [_with_capitals(text, {where[i] for i in t}) for t in tries]
    for chosen, doc in zip(tries, nlp.pipe(shown), strict=True):
        for e in doc.ents:
            span = _range(e.start_char, e.end_char, where)
            if e.label_ in ONE_BY_ONE and span[0] in chosen:
                found.append(Found(first + span[0], first + span[1], KINDS[e.label_], ()))
    return found


def _with_capitals(text: str, at: set[int]) -> str:
    return "".join(c.upper() if i in at else c for i, c in enumerate(text))


def _sentences(words: Sequence[str]) -> list[tuple[int, int]]:
    starts = [i for i, fresh in enumerate(starts_of_sentences(words)) if fresh]
    return list(pairwise([*starts, len(words)]))


def _text(words: Sequence[str]) -> tuple[str, list[int]]:
    """The words with a blank between, and where each begins."""
    where, at = [], 0
    for word in words:
        where.append(at)
        at += len(word) + 1
    return " ".join(words), where


def _range(start: int, end: int, where: list[int]) -> tuple[int, int]:
    """The words that characters [start, end) touch, half-open."""
    return bisect_right(where, start) - 1, bisect_right(where, end - 1)


def _trimmed(found: Found, words: Sequence[str]) -> Found | None:
    """Without articles, titles and verbs at either end; None when nothing is left."""
    first, end = found.first, found.end
    while first < end and (
        fold(words[first]) in TITLES | {""} or (fold(words[first]) in ordinary_words() and not is_capitalised(words[first]))
    ):
        first += 1
    while first < end and fold(words[end - 1]) in ordinary_words() | {""} and not is_capitalised(words[end - 1]):
        end -= 1
    if first == end or (end - first == 1 and _stem(words[first]) in SPOKEN):
        return None
    return Found(first, end, found.kind, tuple(fold(w) for w in words[first:end]))


def _apart(found: list[Found], words: Sequence[str]) -> list[Found]:
    """Each word in one name at most, the first that claimed it; people's names that touch without a comma are one."""
    owner: dict[int, int] = {}
    for number, f in enumerate(found):
        for i in range(f.first, f.end):
            owner.setdefault(i, number)
    made: list[Found] = []
    for i in sorted(owner):
        f = found[owner[i]]
        last = made[-1] if made else None
        touch = last and last.end == i and re.search(r"\w$", words[i - 1])
        same = last and last.end == i and owner[i - 1] == owner[i]
        if last and (same or (touch and last.kind == f.kind == "NAME")):
            said = last.said if same else tuple(dict.fromkeys([*last.said, *f.said]))
            made[-1] = last._replace(end=i + 1, said=said)
        else:
            made.append(Found(i, i + 1, f.kind, f.said))
    return made
