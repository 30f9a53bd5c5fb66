"""Finds names and other identifying words in a transcript: listed names, spaCy's entities, and patterns by Presidio and by us.

`find_names` is the entry point. Input are the words of Whisper with punctuation on them, which may lack capitals, so spaCy is
asked about several spellings. English only.
"""

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
    CAPITALISED_WORDS,
    MONTHS,
    TITLES,
    Kind,
    NameSpan,
    find_known_names,
    fold_word,
    is_capitalised,
    list_ordinary_words,
    mark_sentence_starts,
)

WEIGHTS = "spacy-en-md-144b7c"
KIND_OF_LABEL: dict[str, Kind] = {
    "PERSON": "NAME", "GPE": "PLACE", "LOC": "PLACE", "FAC": "PLACE", "EVENT": "PLACE", "ORG": "ORG",
}  # fmt: skip
UNCAPITALISED_LABELS = ("PERSON", "GPE", "LOC")
# spaCy's labels of entities that are no names, and the first letters of its tags of words that are no nouns.
OTHER_LABELS = {"NORP", "LANGUAGE", "DATE", "TIME", "ORDINAL", "CARDINAL", "MONEY", "PERCENT", "QUANTITY"}
OTHER_TAGS = ("CC", "CD", "DT", "IN", "JJ", "MD", "PRP", "RB", "TO", "UH", "VB", "WDT", "WP", "WRB")


DIGIT = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple|\d)"
ENDING = r"(?:com|org|net|edu|gov|io|co|uk|de|fr|es|ca|au)"
OWN_PATTERNS: dict[Kind, list[str]] = {  # in addition to Presidio's: mainly what people spell out in speech
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
    """Load spaCy's English pipeline with its tagger and entities only, once per process. Raises ModelError if it cannot."""
    import spacy

    try:
        return spacy.load(path_of(name), exclude=["parser", "senter", "attribute_ruler", "lemmatizer"])
    except (OSError, ValueError) as problem:
        raise ModelError(f"the names model {name} cannot be loaded: {problem}", "Type: deemo models pull") from problem


def find_names(
    words: Sequence[str], names: Iterable[str], nlp: Any, *, min_likeness: float = 0.88, keep: Iterable[str] = ()
) -> list[NameSpan]:
    """Find the names among words as Whisper returns them (with punctuation); spans in order that do not overlap.

    names         known names: always found, also each of their parts alone
    nlp           from `load`, or None to find only known names and patterns
    min_likeness  of a word in lower case to a part of a known name, 0 to 1 (`measure_likeness`)
    keep          words that are never taken for a name, unless it is a known one
    A person's name that spaCy finds in one place is then searched for in all the words.
    """
    spans = [*find_known_names(words, names, min_likeness), *find_patterns(words)]
    if nlp is not None:
        kept = {fold_word(w) for w in keep}
        of_spacy = [f for f in find_entities(words, nlp) if not kept.issuperset(f.words)]
        people = {w for f in of_spacy if f.kind == "NAME" for w in f.words if len(w) > 3}
        spans += of_spacy + [
            f for f in find_known_names(words, sorted(people), max(min_likeness, 0.9)) if not kept.issuperset(f.words)
        ]
    return _make_disjoint(spans, words)


@cache
def _load_recognisers() -> list[tuple[Any, list[str], Kind]]:
    """Presidio's recognisers that need only the text, and ours: (recogniser, its entities, kind of name)."""
    from presidio_analyzer import Pattern, PatternRecognizer
    from presidio_analyzer import predefined_recognizers as ready

    class Email(ready.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return True  # Presidio's own check downloads a list of domain endings

    recognisers: list[tuple[Any, list[str], Kind]] = [
        (Email(), ["EMAIL_ADDRESS"], "CONTACT"), (ready.UrlRecognizer(), ["URL"], "CONTACT"),
        (ready.PhoneRecognizer(), ["PHONE_NUMBER"], "CONTACT"), (ready.IpRecognizer(), ["IP_ADDRESS"], "CONTACT"),
        (ready.CreditCardRecognizer(), ["CREDIT_CARD"], "NUMBER"), (ready.IbanRecognizer(), ["IBAN_CODE"], "NUMBER"),
        (ready.UsSsnRecognizer(), ["US_SSN"], "NUMBER"),
    ]  # fmt: skip
    for kind, expressions in OWN_PATTERNS.items():
        own = [Pattern(kind.lower(), expression, 0.6) for expression in expressions]
        recognisers.append((PatternRecognizer(kind, patterns=own), [kind], kind))
    return recognisers


def find_patterns(words: Sequence[str]) -> list[NameSpan]:
    """Find telephone numbers, addresses of all kinds, long numbers and full dates, in digits or spelt out; not years alone."""
    text, where = _join_words(words)
    spans = [NameSpan(*_word_range(m.start(), m.end(), where), "DATE", (m.group().casefold(),)) for m in FULL_DATE.finditer(text)]
    for recogniser, entities, kind in _load_recognisers():
        for result in recogniser.analyze(text, entities, None) or ():
            match = re.sub(r"\W", "", text[result.start : result.end]).casefold()
            years = re.fullmatch(r"(?:(?:19|20)\d\d)+", match)
            if not years:
                spans.append(NameSpan(*_word_range(result.start, result.end, where), kind, (match,)))
    return spans


def find_entities(words: Sequence[str], nlp: Any) -> list[NameSpan]:
    """Find names of people, places and organisations, by spaCy and by Whisper's capitals.

    spaCy reads the text as it is, and with capitals on the words that its tagger takes for proper nouns in lower case.
    """
    text, where = _join_words(words)
    as_written, lower = nlp(text), text.lower()
    raised = {t.idx for t in nlp(lower) if t.tag_ in ("NNP", "NNPS")} if len(lower) == len(text) else set()
    cased = nlp(_capitalise(text, raised)) if raised else as_written
    spans = [NameSpan(*_word_range(e.start_char, e.end_char, where), KIND_OF_LABEL[e.label_], ()) for doc in (as_written, cased)
             for e in doc.ents if e.label_ in KIND_OF_LABEL]  # fmt: skip
    for first, end in _split_sentences(words):
        if not is_capitalised(words[first]):
            spans += _find_uncapitalised(words, first, end, nlp)
    other = {i for e in as_written.ents if e.label_ in OTHER_LABELS for i in range(*_word_range(e.start_char, e.end_char, where))}
    for i, starts in enumerate(mark_sentence_starts(words)):
        if not starts and is_capitalised(words[i]) and i not in other and _stem(words[i]) not in CAPITALISED_WORDS:
            spans.append(NameSpan(i, i + 1, "NAME", ()))
    return [t for f in spans if (t := _trim(f, words))]


def _stem(word: str) -> str:
    """A folded word up to its apostrophe: "I'm" -> "i"."""
    return fold_word(re.split(r"['’]", word.lstrip("'’\"("))[0])


def _find_uncapitalised(words: Sequence[str], first: int, end: int, nlp: Any) -> list[NameSpan]:
    """Find names in a sentence [first, end) without capitals: spaCy reads it with each noun (pair) capitalised in turn."""
    text, where = _join_words(words[first:end])
    tokens = [t for t in nlp(text) if t.is_alpha and not t.is_stop and not t.tag_.startswith(OTHER_TAGS)]
    nouns = sorted({bisect_right(where, t.idx) - 1 for t in tokens})
    tries = [[i] for i in nouns] + [[a, b] for a, b in pairwise(nouns) if b == a + 1]
    spans = []
    variants = [_capitalise(text, {where[i] for i in t}) for t in tries]
    for chosen, doc in zip(tries, nlp.pipe(variants), strict=True):
        for e in doc.ents:
            span = _word_range(e.start_char, e.end_char, where)
            if e.label_ in UNCAPITALISED_LABELS and span[0] in chosen:
                spans.append(NameSpan(first + span[0], first + span[1], KIND_OF_LABEL[e.label_], ()))
    return spans


def _capitalise(text: str, at: set[int]) -> str:
    """The text with capitals at these positions."""
    return "".join(c.upper() if i in at else c for i, c in enumerate(text))


def _split_sentences(words: Sequence[str]) -> list[tuple[int, int]]:
    """The sentences as ranges of words [first, end)."""
    starts = [i for i, starts_here in enumerate(mark_sentence_starts(words)) if starts_here]
    return list(pairwise([*starts, len(words)]))


def _join_words(words: Sequence[str]) -> tuple[str, list[int]]:
    """The words joined by spaces, and the position at which each starts."""
    where, at = [], 0
    for word in words:
        where.append(at)
        at += len(word) + 1
    return " ".join(words), where


def _word_range(start: int, end: int, where: list[int]) -> tuple[int, int]:
    """The range of words [first, end) that the characters [start, end) touch."""
    return bisect_right(where, start) - 1, bisect_right(where, end - 1)


def _trim(span: NameSpan, words: Sequence[str]) -> NameSpan | None:
    """The span without articles, titles and common words at both ends; None when nothing is left."""
    first, end = span.first, span.end
    while first < end and (
        fold_word(words[first]) in TITLES | {""}
        or (fold_word(words[first]) in list_ordinary_words() and not is_capitalised(words[first]))
    ):
        first += 1
    while first < end and fold_word(words[end - 1]) in list_ordinary_words() | {""} and not is_capitalised(words[end - 1]):
        end -= 1
    if first == end or (end - first == 1 and _stem(words[first]) in CAPITALISED_WORDS):
        return None
    return NameSpan(first, end, span.kind, tuple(fold_word(w) for w in words[first:end]))


def _make_disjoint(spans: list[NameSpan], words: Sequence[str]) -> list[NameSpan]:
    """Give each word to the first span that claims it. Names of people that touch without a comma become one."""
    owner: dict[int, int] = {}
    for number, f in enumerate(spans):
        for i in range(f.first, f.end):
            owner.setdefault(i, number)
    disjoint: list[NameSpan] = []
    for i in sorted(owner):
        f = spans[owner[i]]
        last = disjoint[-1] if disjoint else None
        touch = last and last.end == i and re.search(r"\w$", words[i - 1])
        same = last and last.end == i and owner[i - 1] == owner[i]
        if last and (same or (touch and last.kind == f.kind == "NAME")):
            both = last.words if same else tuple(dict.fromkeys([*last.words, *f.words]))
            disjoint[-1] = last._replace(end=i + 1, words=both)
        else:
            disjoint.append(NameSpan(i, i + 1, f.kind, f.words))
    return disjoint
