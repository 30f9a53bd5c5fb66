"""Finds emotional words in a transcript with VADER's English lexicon, and measures how strong and how positive they are.

A modifier before a word ("not", "very") changes its valence. In other languages than English hardly any word is found.
"""

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
PHRASE = re.compile(r"[,.;:!?…]+(?:\s|$)|[—–]|\bbut\b", re.IGNORECASE)  # a modifier has no effect beyond one of these
MODIFIER_REACH_WORDS = 3  # before an emotional word, in which a modifier changes it
VADER_ALPHA = 15.0  # VADER's normalisation: a sum of valences s becomes s / sqrt(s² + alpha), between -1 and 1
WINDOW_S = 10.0  # strength is measured per this time
MIN_WINDOW_S = 5.0  # shorter clips count as this long


@dataclass(frozen=True)
class SentimentWord:
    """An emotional word with its modifiers, as spoken ("not happy"). valence: -4 (negative) to 4 (positive)."""

    text: str
    valence: float


def find_sentiment_words(transcript: str) -> list[SentimentWord]:
    """The emotional words of a redacted transcript, in order."""
    from vaderSentiment import vaderSentiment as vader

    analyser, emotional = _load_analyser(), []
    for phrase in PHRASE.split(PLACEHOLDER.sub("_", transcript)):
        text = vader.SentiText(phrase)
        words = text.words_and_emoticons
        for at, word in enumerate(words):
            kind_of = word.lower() == "kind" and at + 1 < len(words) and words[at + 1].lower() == "of"
            if word.lower() in vader.BOOSTER_DICT or kind_of:
                continue
            valence = analyser.sentiment_valence(0, text, word, at, [])[-1]
            if valence:
                emotional.append(SentimentWord(" ".join(words[_phrase_start(words, at) : at + 1]), round(float(valence), 2)))
    return emotional


def measure_strength(words: Sequence[SentimentWord], seconds: float) -> float:
    """How emotional the words are, whether positive or negative: 0 to 1. seconds: duration of the clip."""
    size = sum(abs(w.valence) for w in words) * WINDOW_S / max(seconds, MIN_WINDOW_S)
    return size / math.sqrt(size * size + VADER_ALPHA)


def measure_valence(words: Sequence[SentimentWord]) -> float:
    """The mean direction of the words: -1 (negative) to 1 (positive)."""
    size = sum(w.valence for w in words)
    return size / math.sqrt(size * size + VADER_ALPHA)


def _phrase_start(words: Sequence[str], at: int) -> int:
    """The index at which the phrase of the word at `at` starts: its first modifier, otherwise the word itself."""
    from vaderSentiment import vaderSentiment as vader

    for first in range(max(at - MODIFIER_REACH_WORDS, 0), at):
        word = words[first].lower()
        if word == "no" or vader.negated([word]) or word in vader.BOOSTER_DICT:
            return first
    return at


@cache
def _load_analyser() -> Any:
    """VADER's analyser without the words that vocabularies/sentiment.toml calls neutral."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    config = tomllib.loads(resources.files("deemo_data").joinpath("vocabularies", "sentiment.toml").read_text("utf-8"))
    for word in config["neutral"]:
        analyser.lexicon.pop(word, None)
    return analyser
