"""Words of feeling in what was said, by VADER's English lexicon: which they are, and how strong with what stands before them."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

PLACEHOLDER = re.compile(r"\[[A-Z]+\d*\]")
PHRASE = re.compile(r"[,.;:!?…]+(?:\s|$)|[—–]|\bbut\b", re.IGNORECASE)  # what ends where "not" reaches
REACH = 3  # words before one of feeling that may turn or strengthen it
HALF = 15.0  # VADER's: a sum of valences whose square is this is 0.71 of all there can be
WINDOW_S = 10.0  # strength is reckoned over so long
LEAST_S = 5.0  # and over no less of a clip than this


@dataclass(frozen=True)
class Felt:
    """A word of feeling as it was said, with what turns or strengthens it ("not happy"). valence: -4 (bad) to 4 (good)."""

    said: str
    valence: float


def felt(transcript: str) -> list[Felt]:
    """The words of feeling in a redacted transcript, in order. In other languages than English hardly any is found."""
    from vaderSentiment import vaderSentiment as vader

    analyser, found = _analyser(), []
    for phrase in PHRASE.split(PLACEHOLDER.sub("_", transcript)):
        text = vader.SentiText(phrase)
        words = text.words_and_emoticons
        for at, word in enumerate(words):
            kind_of = word.lower() == "kind" and at + 1 < len(words) and words[at + 1].lower() == "of"
            if word.lower() in vader.BOOSTER_DICT or kind_of:
                continue
            valence = analyser.sentiment_valence(0, text, word, at, [])[-1]
            if valence:
                found.append(Felt(" ".join(words[_start(words, at) : at + 1]), round(float(valence), 2)))
    return found


def strength(found: Sequence[Felt], seconds: float) -> float:
    """How much feeling is in the words of so many seconds, whether good or bad: 0 to 1."""
    size = sum(abs(f.valence) for f in found) * WINDOW_S / max(seconds, LEAST_S)
    return size / math.sqrt(size * size + HALF)


def leaning(found: Sequence[Felt]) -> float:
    """Whether the words are rather bad or good ones: -1 to 1."""
    size = sum(f.valence for f in found)
    return size / math.sqrt(size * size + HALF)


def _start(words: Sequence[str], at: int) -> int:
    """Where the phrase of the word at `at` begins: at the first word before it that turns or strengthens it."""
    from vaderSentiment import vaderSentiment as vader

    for first in range(max(at - REACH, 0), at):
        word = words[first].lower()
        if word == "no" or vader.negated([word]) or word in vader.BOOSTER_DICT:
            return first
    return at


@cache
def _analyser() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    said = tomllib.loads(resources.files("deemo_data").joinpath("vocabularies", "sentiment.toml").read_text("utf-8"))
    for word in said["neutral"]:
        analyser.lexicon.pop(word, None)
    return analyser
