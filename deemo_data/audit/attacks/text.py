"""Attack on words: which known names are still in a transcript, in text on the screen, or in the sound.

The attacker has the list of names and accepts near matches: spelling errors and words that sound alike. The comparison uses
edit distance, NYSIIS and Match Rating. The redaction under attack uses other methods.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


EXACT_NAME_LETTERS = 4  # a name with at most this many letters must match exactly
LETTERS_PER_SLIP = 5  # one spelling error is accepted per this many letters


class NameRecall(NamedTuple):
    """How many names are in a text, never which ones: of `names`, `exact` as written and `near` misspelt or by sound.

    share  share of the names that are there in either way, 0 to 1; 0 when there are no names
    """

    names: int
    exact: int
    near: int
    share: float


def recall_names(names: list[str], text: str) -> NameRecall:
    """How many of the names an attacker who knows them finds in a text. Each part of a full name counts as a name."""
    parts = sorted({p for name in names for p in extract_folded_words(name) if len(p) > 1})
    words = extract_folded_words(text)
    exact = [p for p in parts if p in words]
    pieces = [*words, *map("".join, pairwise(words))]  # a name may be written as two words
    near = [p for p in parts if p not in words and any(is_near_name(p, w) for w in pieces)]
    share = (len(exact) + len(near)) / len(parts) if parts else 0.0
    return NameRecall(len(parts), len(exact), len(near), share)


def extract_folded_words(text: str) -> list[str]:
    """The words of a text in small letters, without accents and without marks such as [NAME2]."""
    unmarked = re.sub(r"\[[A-Z]+\d*\](?:['’]s)?", " ", text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", unmarked) if not unicodedata.combining(c)).casefold()
    return re.findall(r"[^\W_]+", re.sub(r"['’](?:s\b)?", "", plain))


def is_near_name(name: str, word: str) -> bool:
    """Whether a word may be the name: one spelling error per five letters, or the same phonetic code."""
    import jellyfish

    if min(len(name), len(word)) <= EXACT_NAME_LETTERS:
        return False
    slips = jellyfish.damerau_levenshtein_distance(name, word)
    if slips <= len(name) // LETTERS_PER_SLIP:
        return True
    alike = jellyfish.nysiis(name) == jellyfish.nysiis(word) or jellyfish.match_rating_codex(
        name
    ) == jellyfish.match_rating_codex(word)
    return alike and slips <= len(name) // 2


def transcribe_wave(wave: NDArray[np.float32]) -> str:
    """The words that the pinned Whisper model hears in a mono 16 kHz wave (n,)."""
    from deemo_data.models.speech import whisper

    return " ".join(word.text for word in whisper.transcribe(whisper.load(), wave, "en"))
