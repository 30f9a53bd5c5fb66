"""Names in other scripts than Latin: their Latin spelling, and how they are found in text of their own script.

Whisper writes a name in Latin letters in English speech, and in its own script where it hears another language. anyascii gives
one Latin spelling for each letter. That is sure for alphabets. It is a guess for scripts without vowels, and for Han characters,
which it reads as Mandarin.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
HAN = re.compile(r"[\u3005\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
HANGUL = re.compile(r"[\uac00-\ud7a3]+")
ABJAD = re.compile(r"[\u0590-\u07ff\u0860-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")  # Hebrew, Arabic, Syriac: vowels are not written
INFLECTED = re.compile(r"[\u0370-\u03ff\u0400-\u052f\u1f00-\u1fff]")  # Greek and Cyrillic
ABJAD_PREFIXES = re.compile(r"(?:[وف]?(?:ال|لل|[بلك]ال|[بلك])?|[ושכ]?[הבלמכ]?)$")  # and, the, to, in, as, from
ABJAD_LETTERS = str.maketrans({"ى": "ي", "ة": "ه", "ک": "ك", "ی": "ي", "ך": "כ", "ם": "מ", "ן": "נ", "ף": "פ", "ץ": "צ"})
MIN_LATIN_LETTERS = 5  # of a Latin spelling that is looked for in a text without spaces

Certainty = Literal["sure", "guess", "never"]


def spell_in_latin(name: str) -> str:
    """A name in Latin letters, with blanks between its parts. A Han or Hangul name is parted after its first character."""
    from anyascii import anyascii

    def part_names(found: re.Match[str]) -> str:
        text = found[0]
        spelt = [anyascii(c).lower() for c in text]
        return " " + (f"{spelt[0].title()} {''.join(spelt[1:]).title()}" if 2 <= len(text) <= 4 else "".join(spelt).title()) + " "

    composed = unicodedata.normalize("NFC", name)
    if composed.isascii():
        return composed
    parted = HANGUL.sub(part_names, HAN.sub(part_names, composed))
    return re.sub(r"\s+", " ", re.sub(r"(?<=\w)['`](?=\w)", "", anyascii(parted))).strip()


def is_latin(text: str) -> bool:
    """Whether all letters of a text are Latin ones, with or without marks."""
    return all(
        unicodedata.name(c, "").startswith(("LATIN", "FULLWIDTH LATIN", "MODIFIER"))
        for c in text
        if c.isalpha() and not c.isascii()
    )


def judge_spelling(name: str) -> Certainty:
    """How surely a name is found: a guess where its script has no vowels or several readings, never without letters."""
    letters = [c for c in name if c.isalpha()]
    if not letters:
        return "never"
    parts = [re.sub(r"\W|\d", "", part) for part in re.split(r"[\s\-]+", spell_in_latin(name))]
    if max(map(len, parts), default=0) < 2 or (len(letters) == 1 and not name.isascii()):
        return "never"
    return "sure" if is_latin(name) or all(INFLECTED.match(c) for c in letters if not c.isascii()) else "guess"


def find_in_own_script(words: Sequence[str], name: str) -> Iterator[tuple[int, int]]:
    """Spans [first, end) of words that hold a name in its own script, also within words where there are no spaces."""
    if ABJAD.search(name):
        wanted = {letters for part in re.split(r"[\s\-]+", name) if len(letters := _strip_vowels(part)) > 1}
        for at, word in enumerate(words):
            letters = _strip_vowels(word)
            if any(letters.endswith(w) and ABJAD_PREFIXES.match(letters[: len(letters) - len(w)]) for w in wanted):
                yield at, at + 1
    if any(UNSPACED.search(word) for word in words):
        yield from _find_without_spaces(words, name)


def measure_consonants(latin: str) -> str:
    """The consonants of a folded word, each once in a row: what a script without vowels keeps of a name."""
    plain = re.sub(r"[aeiouyw]+", "", latin[1:] if latin[:1] in "aeiouyw" else latin)
    return re.sub(r"(.)\1+", r"\1", plain).removesuffix("h")


def is_inflected_form(word: str, target: str, capital: bool) -> bool:
    """Whether a folded word may be a name with another ending, as Russian and Greek have them: Olga, Olgu, Olgoi."""
    stem = target.rstrip("aeiouyj") if len(target) > 3 else target
    if len(stem) < 3 or not word.startswith(stem) or len(word) > len(target) + 3:
        return False
    return capital or len(stem) > 3


def _strip_vowels(word: str) -> str:
    """A word in Hebrew or Arabic letters without points, in one form of each letter."""
    decomposed = unicodedata.normalize("NFKD", word)
    return "".join(c for c in decomposed if c.isalpha() and ABJAD.match(c) and c != "ـ").translate(ABJAD_LETTERS)


def _find_without_spaces(words: Sequence[str], name: str) -> Iterator[tuple[int, int]]:
    """Spans of words in which the letters of a name follow one another, or letters that sound the same."""
    from anyascii import anyascii

    letters = [
        (at, c) for at, word in enumerate(words) for c in unicodedata.normalize("NFKC", word) if c.isalnum() or UNSPACED.match(c)
    ]
    text = "".join(c for _, c in letters)
    own = unicodedata.normalize("NFKC", name)
    wanted = {re.sub(r"\W", "", own), *re.split(r"[\s\-·・,]+", own)}
    wanted |= {whole[1:] for whole in tuple(wanted) if HAN.fullmatch(whole) and len(whole) == 3}  # the given name
    for target in (w for w in wanted if len(w) > 1 and UNSPACED.search(w)):
        for found in re.finditer(re.escape(target), text):
            yield letters[found.start()][0], letters[found.end() - 1][0] + 1
    latin = re.sub(r"\W", "", spell_in_latin(name)).lower()
    spelt = [anyascii(c).lower() if UNSPACED.match(c) else "" for _, c in letters]
    for first in range(len(spelt)):
        if len(latin) < MIN_LATIN_LETTERS or not spelt[first]:
            continue
        sound, end = "", first
        while end < len(spelt) and spelt[end] and len(sound) < len(latin):
            sound, end = sound + spelt[end], end + 1
        if sound == latin and end - first > 1:
            yield letters[first][0], letters[end - 1][0] + 1
