"""What free text says: the emotions it names, by whole words of a vocabulary, and its content words. English, offline."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

from deemo_data.labels.vocabulary import Emotions

BEFORE = 2  # words that may stand between a negation and what it denies, as in "not at all happy"
TOKEN = re.compile(r"[^\W_]+(?:['.-][^\W_]+)*")  # 3.4, matter-of-fact and isn't are one each


@dataclass(frozen=True)
class EmotionLexicon:
    """The words by which a dataset's labels are told in free text.

    labels  those of the dataset, in its order
    words   spelling, in small letters -> the label it means
    """

    labels: tuple[str, ...]
    words: Mapping[str, str]

    @classmethod
    def of(cls, labels: Sequence[str], vocabulary: Emotions | None = None) -> EmotionLexicon:
        """A label's own name, the words that `vocabulary` groups under it, and forms of both (words.toml)."""
        meant = {plain(label): label for label in labels}
        for emotion in vocabulary.emotions if vocabulary else ():
            label = meant.get(plain(emotion.name))
            for word in emotion.words if label else ():
                meant.setdefault(plain(word), str(label))
        for word, forms in _words().forms.items():
            for form in forms if word in meant else ():
                meant.setdefault(form, meant[word])
        return cls(tuple(labels), meant)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.words, key=len, reverse=True)
        return re.compile(rf"(?<![\w'-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w'-])")

    def label(self, text: str) -> str | None:
        """The one label that `text` names; None where it names none, or more than one.

        A text that is a single word of the vocabulary means it. Else whole words count that are not denied ("not happy") and
        carry a meaning of their own: "even" is a word for neutral, and not one in "even though".
        """
        found = self.labels_in(text)
        return found[0] if len(found) == 1 else None

    def labels_in(self, text: str) -> tuple[str, ...]:
        """All labels that `text` names, each once, in the order in which they are named."""
        said = plain(text)
        alone = self.words.get(said.strip(" .,;:!?\"'()[]*"))
        if alone is not None:
            return (alone,)
        found = []
        for match in self._pattern.finditer(said):
            if match[0] not in _words().stop and not denied(said[: match.start()]):
                found.append(self.words[match[0]])
        return tuple(dict.fromkeys(found))


def plain(text: str) -> str:
    """Small letters, one kind of apostrophe and dash, single spaces, compatible characters made one (NFKC)."""
    one_kind = unicodedata.normalize("NFKC", text).translate({ord("’"): "'", ord("‘"): "'", ord("‑"): "-", ord("‐"): "-"})
    return " ".join(one_kind.casefold().split())


def tokens(text: str) -> list[str]:
    """The words and numbers of a text in small letters, in order."""
    return TOKEN.findall(plain(text))


def content(text: str) -> list[str]:
    """The stems of its words without those that carry no content, in order: "She folds her arms" -> ["fold", "arm"]."""
    stop = _words().stop
    return [stem(word) for said in tokens(text) if (word := said.removesuffix("'s")) not in stop]


def stem(word: str) -> str:
    """A word without the ending of its number or time: steps 1a and 1b of Porter (Program 14, 1980, 130-137), and no last e.

    "folds", "folded" and "folding" are one, and so are "moves" and "moving". Not a dictionary: "rose" and "rise" stay two.
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


def denied(before: str) -> bool:
    """Whether a negation stands close before; a clause that begins in between ends it."""
    clause = re.split(r"[.,;:!?]|\bbut\b|\bnot (?:only|just)\b", before)[-1]
    return any(word in _words().deny or word.endswith("n't") for word in TOKEN.findall(clause)[-1 - BEFORE :])


@dataclass(frozen=True)
class _Words:
    """words.toml: forms of a word, words without content, and those that deny what follows."""

    forms: Mapping[str, Sequence[str]]
    stop: frozenset[str]
    deny: frozenset[str]


@cache
def _words() -> _Words:
    said = tomllib.loads(resources.files("deemo_data.baseline").joinpath("words.toml").read_text("utf-8"))
    return _Words(said["forms"], frozenset(said["stop"].split()), frozenset(said["deny"].split()))
