"""Attack on the words: which known names are still in a transcript, in text on the screen, or in what can be heard.

The attacker has the list of names and reads generously: a slip of the pen counts, and so does what sounds alike. He
compares by edit distance, NYSIIS and Match Rating; the redaction, which he is to find fault with, by other means.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SHORT = 4  # letters; a name as short as that has to be written as it is
SLIPS = 5  # letters to one slip


class Recalled(NamedTuple):
    """How many names are in a text, and never which: of `names`, `exact` as written, `near` misspelt or by sound.

    share  of the names that are there in one way or another, 0 to 1; 0 when there are none to recall
    """

    names: int
    exact: int
    near: int
    share: float


def names_recalled(names: list[str], text: str) -> Recalled:
    """How many of the names (each part of a full name is one) somebody who knows them finds in a text."""
    parts = sorted({p for name in names for p in plain_words(name) if len(p) > 1})
    words = plain_words(text)
    exact = [p for p in parts if p in words]
    pieces = [*words, *map("".join, pairwise(words))]  # a name may be written in two
    near = [p for p in parts if p not in words and any(is_near(p, w) for w in pieces)]
    share = (len(exact) + len(near)) / len(parts) if parts else 0.0
    return Recalled(len(parts), len(exact), len(near), share)


def plain_words(text: str) -> list[str]:
    """The words of a text in small letters, without accents and without marks such as [NAME2]."""
    unmarked = re.sub(r"\[[A-Z]+\d*\](?:['’]s)?", " ", text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", unmarked) if not unicodedata.combining(c)).casefold()
    return re.findall(r"[^\W_]+", re.sub(r"['’](?:s\b)?", "", plain))


def is_near(name: str, word: str) -> bool:
    """Whether a word may well be the name: a slip in five letters, or the same code of its sound."""
    import jellyfish

    if min(len(name), len(word)) <= SHORT:
        return False
    slips = jellyfish.damerau_levenshtein_distance(name, word)
    if slips <= len(name) // SLIPS:
        return True
    alike = jellyfish.nysiis(name) == jellyfish.nysiis(word) or jellyfish.match_rating_codex(
        name
    ) == jellyfish.match_rating_codex(word)
    return alike and slips <= len(name) // 2


def heard(wave: NDArray[np.float32]) -> str:
    """What the pinned Whisper understands of a mono 16 kHz wave: the ear of somebody who wants the names."""
    from deemo_data.models.speech import whisper

    return " ".join(word.text for word in whisper.words(whisper.load(), wave, "en"))
