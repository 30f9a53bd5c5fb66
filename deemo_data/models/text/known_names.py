"""Finds the names of a given list in a transcript, also misspelt or written as they sound.

A project lists the names of its people. Speech recognition misspells names, so `find_known_names` compares letters and sounds
(`measure_likeness`), in Latin spelling and in the script of the name (scripts.py). text/names.py adds names that are on no list.
Both return `NameSpan`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Literal, NamedTuple

from deemo_data.models.text import scripts

Kind = Literal["NAME", "PLACE", "ORG", "CONTACT", "NUMBER", "DATE"]
TITLES = {"mr", "mrs", "ms", "miss", "mister", "dr", "doctor", "prof", "professor", "st", "sir", "madam", "the", "a", "an"}
PARTICLE_TEXT = (  # no names where they stand alone, but parts of names
    "van von vom zum zur der del dela della dos bin ibn bint and und jr jnr snr esq phd herr frau mme mlle monsieur madame senor "
    "senora signor signora aka nee"
)
PARTICLES = set(PARTICLE_TEXT.split())
DIGRAPHS = {
    "đ": "dj",
    "Đ": "Dj",
    "ö": "oe",
    "Ö": "Oe",
    "ü": "ue",
    "Ü": "Ue",
    "ä": "ae",
    "Ä": "Ae",
    "ø": "oe",
    "Ø": "Oe",
    "å": "aa",
    "Å": "Aa",
}
MONTHS = "january february march april may june july august september october november december"
CALENDAR = set(f"monday tuesday wednesday thursday friday saturday sunday christmas easter {MONTHS}".split())
CAPITALISED_WORDS = (  # that are no names
    CALENDAR | TITLES | {"i", "im", "ive", "id", "ill", "ok", "okay", "oh", "god", "lord", "english", "tv", "yeah", "yes", "no"}
)
CAPITAL_BONUS = 0.13  # by which the needed likeness is lower for a word that Whisper capitalised within a sentence
CONTRACTIONS = {"t", "s", "ll", "ve", "re", "d", "m", "em", "all", "clock", ""}
SENTENCE_END = re.compile(r"[.!?]+[\"'”’)]*$")


class NameSpan(NamedTuple):
    """The words [first, end) are a name of a kind. words: the folded words by which one name of a clip differs from another."""

    first: int
    end: int
    kind: Kind
    words: tuple[str, ...]


def fold_word(word: str) -> str:
    """A word in Latin letters without case, accents, punctuation and possessive s: the key by which words are compared here."""
    bare = re.sub(r"['’]s?(?=\W*$)", "", word)
    if not bare.isascii():
        letters = "".join(c for c in unicodedata.normalize("NFKC", bare) if unicodedata.category(c)[0] in "LNM")
        bare = scripts.spell_in_latin(letters)
    return "".join(c for c in bare.casefold() if c.isalnum())


def part_name(name: str) -> list[str]:
    """The parts of a name, folded: "O'Brien, Ann-Marie" is obrien, ann, marie. Marks between names part them too."""
    return [part for p in re.split(r"[\s\-_,;/|、；，،؛·・.()]+", scripts.spell_in_latin(name)) if (part := fold_word(p))]


def judge_name(name: str) -> scripts.Certainty:
    """How surely a name is found in speech and text: "never" when it has nothing but initials, titles or signs."""
    usable = [p for p in part_name(name) if len(p) > 1 and p not in TITLES | PARTICLES and not p.isdigit()]
    return scripts.judge_spelling(name) if usable else "never"


def measure_likeness(word: str, name: str) -> float:
    """The likeness of two folded words, 0 to 1: that of their letters, raised half the way to 1 if they also sound the same.

    The sound counts only with at least three consonants or nearly the same letters, otherwise "Hale" would match "hello".
    Words of up to three letters have no likeness unless they are equal or sound the same.
    """
    import jellyfish
    from rapidfuzz import fuzz

    if word == name or not word or not name:
        return float(word == name and bool(word))
    letters = fuzz.ratio(word, name) / 100
    sound = jellyfish.metaphone(name)
    if sound == jellyfish.metaphone(word) and (len(sound.replace(" ", "")) >= 3 or letters >= 0.7):
        return 0.5 + letters / 2
    return letters if min(len(word), len(name)) > 3 else 0.0


def find_known_names(words: Sequence[str], names: Iterable[str], min_likeness: float = 0.88) -> list[NameSpan]:
    """Find the listed names among words: each part of a name alone, and its parts together, however they are split into words.

    min_likeness  that a word in lower case needs, 0 to 1; see CAPITAL_BONUS
    """
    folded = ["" if scripts.UNSPACED.search(w) else fold_word(w) for w in words]  # one character sounds like many names
    stems = [_strip_suffix(w) for w in words]
    starts = list(mark_sentence_starts(words))
    spans = []
    for name in names:
        spellings = [part_name(spelling) for spelling in dict.fromkeys((name, "".join(DIGRAPHS.get(c, c) for c in name)))]
        label = tuple(spellings[0])
        spans += [NameSpan(first, end, "NAME", label) for first, end in scripts.find_in_own_script(words, name)]
        runs = {
            "".join(parts[a:b]): b - a for parts in spellings for a in range(len(parts)) for b in range(a + 1, len(parts) + 1)
        }
        lone_particles = PARTICLES if len(label) > 1 else ()
        abjad = bool(scripts.ABJAD.search(name))
        for target, longest in runs.items():
            if len(target) == 1 or target in TITLES or target in lone_particles:  # an initial: every "I" would match it
                continue
            for size in range(1, longest + 2):
                for first in range(len(folded) - size + 1):
                    capital = all(is_capitalised(words[i]) for i in range(first, first + size))
                    needed = min_likeness - (CAPITAL_BONUS if capital and not starts[first] else 0)
                    if _matches(folded[first : first + size], target, needed, capital):
                        spans.append(NameSpan(first, first + size, "NAME", label))
            for at, word in enumerate(words):
                capital = is_capitalised(word)
                if (stems[at] and _matches([stems[at]], target, min_likeness, capital)) or _matches_other_script(
                    word, folded[at], target, capital and not starts[at], abjad
                ):
                    spans.append(NameSpan(at, at + 1, "NAME", label))
    return _join_parts(spans)


def _strip_suffix(word: str) -> str:
    """The folded word before an apostrophe, where a language adds endings (İpek'in); empty for English contractions."""
    stem, mark, ending = word.rstrip('.,;:!?"”)»').partition("’" if "’" in word else "'")
    return fold_word(stem) if mark and len(stem) > 2 and fold_word(ending) not in CONTRACTIONS else ""


def _matches_other_script(word: str, folded: str, target: str, capital: bool, abjad: bool) -> bool:
    """Whether a word is the target in another script: with another ending, or with the vowels that one of the two does not write.

    abjad  the name is in a script without vowels
    """
    if len(target) < 3 or target in list_ordinary_words():
        return False
    if scripts.INFLECTED.search(word):
        return scripts.is_inflected_form(folded, target, is_capitalised(word))
    if abjad != bool(scripts.ABJAD.search(word)):
        consonants = scripts.measure_consonants(target)
        return (
            len(consonants) >= (2 if capital else 3)
            and (not abjad or capital)
            and consonants == scripts.measure_consonants(folded)
        )
    return False


def _matches(parts: list[str], target: str, min_likeness: float, capital: bool) -> bool:
    """Whether consecutive words (folded) are the target: a part of a name, or several parts written together."""
    together = "".join(parts)
    if not 0.5 < (len(together) + 1) / (len(target) + 1) < 2:
        return False
    if (
        target in list_ordinary_words() or target in PARTICLES or len(target) < 3
    ):  # Will, May, Jo: with a capital, the same letters
        return capital and together == target
    if len(parts) > 1:  # it must be less like the target with one word fewer
        shorter = max(measure_likeness("".join(part), target) for part in (parts[1:], parts[:-1]))
        return measure_likeness(together, target) >= max(min_likeness, 0.85, shorter + 0.01)
    return together not in list_ordinary_words() and measure_likeness(together, target) >= min_likeness


@cache
def list_ordinary_words() -> frozenset[str]:
    """Very common words, some of which are also names."""
    from spacy.lang.en.stop_words import STOP_WORDS

    more = (
        "art bill black brown chase dawn day drew faith field gene grace grant green hill hope joy king long love mark pat "
        "price rob rose sue summer white wood woods young hello well yeah okay right mean think know like really"
    )
    return frozenset(fold_word(w) for w in STOP_WORDS) | frozenset(more.split()) | CALENDAR


def is_ordinary(word: str) -> bool:
    """Whether a word is one of the very common words."""
    return fold_word(word) in list_ordinary_words()


def mark_sentence_starts(words: Sequence[str]) -> Iterator[bool]:
    """For each word whether it starts a sentence: then its capital is no sign of a name."""
    starts = True
    for word in words:
        yield starts
        starts = bool(SENTENCE_END.search(word)) and fold_word(word) not in TITLES and not re.fullmatch(r"[A-Z]\.", word)


def is_capitalised(word: str) -> bool:
    """Whether the first letter of a word is a capital."""
    letters = [c for c in word if c.isalpha()]
    return bool(letters) and letters[0].isupper()


def _join_parts(spans: list[NameSpan]) -> list[NameSpan]:
    """Join parts of the same name that touch or overlap."""
    joined: list[NameSpan] = []
    for f in sorted(set(spans)):
        if joined and f.words == joined[-1].words and f.first <= joined[-1].end:
            joined[-1] = joined[-1]._replace(end=max(f.end, joined[-1].end))
        else:
            joined.append(f)
    return joined
