"""The one place that decides which statement is consent.

Every source carries a statement of consent: free text from the consent column of a table, or from `--consent`. A statement is
consent unless it refuses, withdraws, leaves open or says nothing. Its words decide (vocabularies/refusals.toml, in many
languages), not its sense: one such word is enough, wherever it stands. So "consent given, no restrictions" is no consent here.
It has to be written without the word: "consent given for all uses". The owner is told of every such statement. What counts as
consent is published with the dataset, for its readers to judge.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

from deemo_data.clip import Clip

Verdict = Literal["given", "withdrawn", "refused", "open", "nothing"]
REFUSAL_KINDS: tuple[Verdict, ...] = ("withdrawn", "refused", "open")  # the weightiest first
BINDING_KINDS: tuple[Verdict, ...] = ("given", "withdrawn", "refused", "open")  # that say something about this source
QUESTION_MARKS = "?？﹖¿؟\u037e՞፧⁇⁈⁉❓❔"
LATIN_LETTERS = {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ə": "e"}
LOOK_ALIKES = str.maketrans("авеіјкмнорсѕтухԁոαεικνορτυ", "abeijkmhopcstyxdnaeikvoptu")  # Cyrillic, Armenian and Greek letters
LICENCE_WORDS = re.compile(r"\bnon[\s-]?(?=(?:commercial|profit|exclusive)(?:ly)?\b)")  # where "non" refuses nothing
REFUSAL_SIGN = re.compile(r"[:=]\s*(?:0|f)\b(?![.,]\d)")  # "signed: 0", "consent=F"
WORD = re.compile(r"[^\W\d_]+")
FILLERS = "\u115f\u1160\u3164\uffa0"  # letters that show nothing


class Judgement(NamedTuple):
    """What a statement was taken for, and the word or sign that decided; the word is empty where none did."""

    verdict: Verdict
    word: str = ""


class _WordList(NamedTuple):
    """The words of one kind in refusals.toml, folded."""

    whole: frozenset[str]
    words: frozenset[tuple[str, ...]]
    stems: tuple[str, ...]
    ends: tuple[str, ...]
    parts: tuple[str, ...]


def judge_statement(statement: str | None) -> Judgement:
    """What a statement is taken for.

    given      consent
    withdrawn  consent was given before, and holds no longer
    refused    somebody said no
    open       it is not decided yet, or it is a question
    nothing    it is empty, has no word, or says "none", "n/a" and the like
    """
    return _judge_text(statement) if isinstance(statement, str) else Judgement("nothing")


@cache
def _judge_text(statement: str) -> Judgement:
    """`judge_statement` for a text. It takes milliseconds, and the same few statements are asked about for every clip."""
    spellings = list(dict.fromkeys(_list_spellings(statement.replace("№", "#"))))
    readings = [_list_words(text) + _join_spaced_letters(text) + _read_look_alikes(text) for text in spellings]
    texts = [spellings[0], _join_words(spellings[0])]
    letters = "".join(c for c in "".join(_list_words(spellings[0])) if c.isalpha())
    lists = _read_word_lists()
    if letters in lists["nothing"].whole:
        return Judgement("nothing", letters)
    for kind in REFUSAL_KINDS:
        words_of_kind = lists[kind]
        found = (_find_word(words, words_of_kind) for words in readings)
        if word := next(filter(None, found), "") or next((p for p in words_of_kind.parts if any(p in t for t in texts)), ""):
            return Judgement(kind, word)
        if letters in words_of_kind.whole:
            return Judgement(kind, letters)
    if sign := REFUSAL_SIGN.search(spellings[0]):
        return Judgement("refused", sign[0])
    if mark := next((mark for mark in QUESTION_MARKS if mark in statement), ""):
        return Judgement("open", mark)
    if not letters or (len(letters) == 1 and letters.isascii() and letters != "y"):
        return Judgement("nothing", statement.strip())
    return Judgement("given")


def is_given(statement: str | None) -> bool:
    """Whether a statement is consent."""
    return judge_statement(statement).verdict == "given"


def is_binding(statement: str | None) -> bool:
    """Whether a statement about one source holds against a later statement for all sources: also a refusal, but not "n/a"."""
    return judge_statement(statement).verdict in BINDING_KINDS


def has_consent(clip: Clip) -> bool:
    """Whether consent is on record for the source of a clip."""
    consent = clip.facts.get("consent") or {}
    return is_given(consent.get("statement"))


@cache
def _read_word_lists() -> dict[str, _WordList]:
    """The lists of refusals.toml by kind."""
    table = tomllib.loads(resources.files("deemo_data").joinpath("vocabularies", "refusals.toml").read_text("utf-8"))

    def fold_all(kind: dict[str, list[str]], key: str) -> tuple[str, ...]:
        return tuple(_fold(word, "") for word in kind.get(key, ()))

    return {
        name: _WordList(
            frozenset(fold_all(kind, "whole")), frozenset(tuple(_list_words(w)) for w in fold_all(kind, "words")),
            fold_all(kind, "stems"), fold_all(kind, "ends"), fold_all(kind, "parts"),
        )
        for name, kind in table.items()
    }  # fmt: skip


def _find_word(words: list[str], listed: _WordList) -> str:
    """The first word, or words in a row, that a list has; empty without one."""
    for at, word in enumerate(words):
        for size in (1, 2, 3, 4):
            if tuple(words[at : at + size]) in listed.words:
                return " ".join(words[at : at + size])
        if word.startswith(listed.stems) or (len(word) >= 6 and word.endswith(listed.ends)):
            return word
    return ""


def _list_spellings(statement: str) -> Iterator[str]:
    """A statement folded in several ways, because marks that do not show may part words or stand within them.

    Without the marks; with blanks for them; with blanks where small letters turn into capitals ("NotGiven"); without hyphens.
    """
    for gap in ("", " "):
        yield _fold(statement, gap)
        yield _fold(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", statement)), gap)
        yield _fold(re.sub(r"[-\u00ad\u2010-\u2015\u2212]", "", statement), gap)


def _fold(text: str, gap: str) -> str:
    """A text without capitals, accents and marks that do not show (`gap` in their place), in compatible letters."""
    compatible = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text))
    shown = "".join(gap if unicodedata.category(c) == "Cf" or c in FILLERS else c for c in compatible)
    plain = "".join(c for c in unicodedata.normalize("NFKD", shown.casefold()) if not unicodedata.category(c).startswith("M"))
    plain = "".join(LATIN_LETTERS.get(c, c) for c in plain)
    return LICENCE_WORDS.sub("", plain)


def _list_words(folded: str) -> list[str]:
    """The words of a folded text, without the apostrophes in them."""
    return WORD.findall(re.sub(r"(?<=\w)['’‘ʼ`´](?=\w)", "", folded))


def _join_spaced_letters(folded: str) -> list[str]:
    """The words of a folded text that are written with gaps: "n o", "r.e.f.u.s.e.d"."""
    letter = r"[^\W\d_]"
    runs = re.findall(rf"(?<!{letter})(?:{letter}[\W\d_]+)+{letter}(?!{letter})", folded)
    return ["".join(WORD.findall(run)) for run in runs]


def _read_look_alikes(folded: str) -> list[str]:
    """The words of a folded text that mix Latin letters with look-alikes of another script, all in Latin letters."""
    return [word.translate(LOOK_ALIKES) for word in WORD.findall(folded) if not word.isascii() and re.search("[a-z]", word)]


def _join_words(folded: str) -> str:
    """A folded text without what parts two letters of scripts other than Latin, which may be written apart."""
    return re.sub(r"(?<=[^\x00-\x7f])[\W\d_]+(?=[^\x00-\x7f])", "", folded)
