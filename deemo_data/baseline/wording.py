"""Reads free text in English without a network: the emotions it names, and its content words.

`EmotionLexicon` maps words to the labels of a dataset, with word forms from words.toml. `find_content_stems` reduces a text to
stems for overlap scores. scoring/mentions.py uses the same words to find body language.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

from deemo_data.labels.vocabulary import Emotions

NEGATION_REACH_WORDS = 2  # words that may stand between a negation and the word it negates, as in "not at all happy"
WORD_PATTERN = re.compile(r"[^\W_]+(?:['.-][^\W_]+)*")  # 3.4, matter-of-fact and isn't are one word each


@dataclass(frozen=True)
class EmotionLexicon:
    """The words that stand for the labels of a dataset in free text.

    labels  the labels of the dataset, in its order
    words   spelling in lower case -> the label that it means
    """

    labels: tuple[str, ...]
    words: Mapping[str, str]

    @classmethod
    def of(cls, labels: Sequence[str], vocabulary: Emotions | None = None) -> EmotionLexicon:
        """A lexicon of the labels' own names, the words that `vocabulary` groups under them, and forms of both (words.toml)."""
        label_of_word = {normalise_text(label): label for label in labels}
        for emotion in vocabulary.emotions if vocabulary else ():
            label = label_of_word.get(normalise_text(emotion.name))
            for word in emotion.words if label else ():
                label_of_word.setdefault(normalise_text(word), str(label))
        for word, forms in _load_word_lists().forms.items():
            for form in forms if word in label_of_word else ():
                label_of_word.setdefault(form, label_of_word[word])
        return cls(tuple(labels), label_of_word)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.words, key=len, reverse=True)
        return re.compile(rf"(?<![\w'-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w'-])")

    def find_label(self, text: str) -> str | None:
        """The label that `text` names; None when it names none, or more than one.

        A text that consists of one word of the lexicon means that word. In a longer text, a whole word counts unless it is
        negated ("not happy") or is a stop word: "even" is a word for neutral, but not in "even though".
        """
        labels = self.find_labels(text)
        return labels[0] if len(labels) == 1 else None

    def find_labels(self, text: str) -> tuple[str, ...]:
        """All labels that `text` names, each once, in the order of the text."""
        plain_text = normalise_text(text)
        only_label = self.words.get(plain_text.strip(" .,;:!?\"'()[]*"))
        if only_label is not None:
            return (only_label,)
        labels = []
        for match in self._pattern.finditer(plain_text):
            if match[0] not in _load_word_lists().stop and not is_negated(plain_text[: match.start()]):
                labels.append(self.words[match[0]])
        return tuple(dict.fromkeys(labels))


def normalise_text(text: str) -> str:
    """Lower case, one kind of apostrophe and hyphen, single spaces, compatibility characters replaced (NFKC)."""
    unified = unicodedata.normalize("NFKC", text).translate({ord("’"): "'", ord("‘"): "'", ord("‑"): "-", ord("‐"): "-"})
    return " ".join(unified.casefold().split())


def split_words(text: str) -> list[str]:
    """The words and numbers of a text in lower case, in order."""
    return WORD_PATTERN.findall(normalise_text(text))


def find_content_stems(text: str) -> list[str]:
    """The stems of a text's words without stop words, in order: "She folds her arms" -> ["fold", "arm"]."""
    stop = _load_word_lists().stop
    return [stem_word(word) for token in split_words(text) if (word := token.removesuffix("'s")) not in stop]


def stem_word(word: str) -> str:
    """A word without its plural or tense ending: steps 1a and 1b of Porter (Program 14, 1980, 130-137), and without a final e.

    "folds", "folded" and "folding" get the same stem, and so do "moves" and "moving". There is no dictionary: "rose" and "rise"
    keep different stems.
    """
    if word.endswith("sses"):
        word = word[:-2]
    elif word.endswith(("ies", "ied")) and len(word) > 4:
        word = f"{word[:-3]}y"
    elif word.endswith(("ches", "shes", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    for ending in () if word.endswith("eed") else ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) > 2 and re.search("[aeiouy]", root):
            word = root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def is_negated(before: str) -> bool:
    """Whether the text before a word ends with a negation that reaches the word. A negation ends with its clause."""
    clause = re.split(r"[.,;:!?]|\bbut\b|\bnot (?:only|just)\b", before)[-1]
    return any(
        word in _load_word_lists().deny or word.endswith("n't")
        for word in WORD_PATTERN.findall(clause)[-1 - NEGATION_REACH_WORDS :]
    )


@dataclass(frozen=True)
class _WordLists:
    """The lists of words.toml.

    forms  word -> other forms that mean the same emotion
    stop   words that carry no content
    deny   words that negate what follows
    """

    forms: Mapping[str, Sequence[str]]
    stop: frozenset[str]
    deny: frozenset[str]


@cache
def _load_word_lists() -> _WordLists:
    tables = tomllib.loads(resources.files("deemo_data.baseline").joinpath("words.toml").read_text("utf-8"))
    return _WordLists(tables["forms"], frozenset(tables["stop"].split()), frozenset(tables["deny"].split()))
