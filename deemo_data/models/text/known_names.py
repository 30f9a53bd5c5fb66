"""Listed names, misspelt or by sound."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Literal, NamedTuple

Kind = Literal["NAME", "PLACE", "ORG", "CONTACT", "NUMBER", "DATE"]
TITLES = {"mr", "mrs", "ms", "miss", "mister", "dr", "doctor", "prof", "professor", "st", "sir", "madam", "the", "a", "an"}
MONTHS = "january february march april may june july august september october november december"
CALENDAR = set(f"monday tuesday wednesday thursday friday saturday sunday christmas easter {MONTHS}".split())
SPOKEN = (
    CALENDAR | TITLES | {"i", "im", "ive", "id", "ill", "ok", "okay", "oh", "god", "lord", "english", "tv", "yeah", "yes", "no"}
)
RAISED = 0.13  # how much less alike a word may be to a known name when Whisper wrote it with a capital within a sentence
END = re.compile(r"[.!?]+[\"'”’)]*$")


class Found(NamedTuple):
    """Words [first, end) are a name of some kind; `said` tells names of a clip apart: its words, folded."""

    first: int
    end: int
    kind: Kind
    said: tuple[str, ...]


def fold(word: str) -> str:
    """A word without case, accents, punctuation and a possessive s."""
    plain = unicodedata.normalize("NFKD", re.sub(r"['’]s?(?=\W*$)", "", word)).casefold()
    return "".join(c for c in plain if c.isalnum())


def likeness(heard: str, name: str) -> float:
    """How like two folded words are, 0 to 1: 1 the same letters; where they also sound the same, half of the rest is given.

    Sounds count from three consonants on: with fewer, "Hale" would be "hello". So does a slip of letters from four on.
    """
    import jellyfish
    from rapidfuzz import fuzz

    if heard == name or not heard or not name:
        return float(heard == name and bool(heard))
    letters = fuzz.ratio(heard, name) / 100
    code = jellyfish.metaphone(name)
    if code == jellyfish.metaphone(heard) and (len(code.replace(" ", "")) >= 3 or letters >= 0.7):
        return 0.5 + letters / 2
    return letters if min(len(heard), len(name)) > 3 else 0.0


def find_known_names(words: Sequence[str], names: Iterable[str], alike: float = 0.88) -> list[Found]:
    """Where known names are said: each of their parts, and all parts together however they were cut into words."""
    heard = [fold(w) for w in words]
    starts = list(starts_of_sentences(words))
    found = []
    for name in names:
        parts = [fold(p) for p in re.split(r"[\s\-]+", name) if fold(p)]
        runs = {"".join(parts[a:b]): b - a for a in range(len(parts)) for b in range(a + 1, len(parts) + 1)}
        for target, longest in runs.items():
            if len(target) == 1:  # an initial, of which every "I" and "A" would be one
                continue
            for size in range(1, longest + 2):
                for first in range(len(heard) - size + 1):
                    capital = all(is_capitalised(words[i]) for i in range(first, first + size))
                    needed = alike - (RAISED if capital and not starts[first] else 0)
                    if _matches(heard[first : first + size], target, needed, capital):
                        found.append(Found(first, first + size, "NAME", tuple(parts)))
    return _joined(found)


def _matches(heard: list[str], target: str, alike: float, capital: bool) -> bool:
    together = "".join(heard)
    if not 0.5 < (len(together) + 1) / (len(target) + 1) < 2:
        return False
    if target in ordinary_words() or len(target) < 3:  # Will, May, Jo, de: as a name only with a capital, and only just so
        return capital and together == target
    if len(heard) > 1:  # and with a word less it is not as like
        less = max(likeness("".join(part), target) for part in (heard[1:], heard[:-1]))
        return likeness(together, target) >= max(alike, 0.85, less + 0.01)
    return together not in ordinary_words() and likeness(together, target) >= alike


@cache
def ordinary_words() -> frozenset[str]:
    """Words that are said all the time, some of which are also names."""
    from spacy.lang.en.stop_words import STOP_WORDS

    more = (
        "art bill black brown chase dawn day drew faith field gene grace grant green hill hope joy king long love mark pat "
        "price rob rose sue summer white wood woods young hello well yeah okay right mean think know like really"
    )
    return frozenset(fold(w) for w in STOP_WORDS) | frozenset(more.split()) | CALENDAR


def is_ordinary(word: str) -> bool:
    """Whether a word is one of those that are said all the time."""
    return fold(word) in ordinary_words()


def starts_of_sentences(words: Sequence[str]) -> Iterator[bool]:
    """Whether each word is the first of a sentence, so that its capital says nothing."""
    fresh = True
    for word in words:
        yield fresh
        fresh = bool(END.search(word)) and fold(word) not in TITLES and not re.fullmatch(r"[A-Z]\.", word)


def is_capitalised(word: str) -> bool:
    """Whether the first letter of a word is a capital."""
    letters = [c for c in word if c.isalpha()]
    return bool(letters) and letters[0].isupper()


def _joined(found: list[Found]) -> list[Found]:
    """Parts of one known name that touch or overlap are one."""
    made: list[Found] = []
    for f in sorted(set(found)):
        if made and f.said == made[-1].said and f.first <= made[-1].end:
            made[-1] = made[-1]._replace(end=max(f.end, made[-1].end))
        else:
            made.append(f)
    return made
