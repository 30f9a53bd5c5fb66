"""Finds the body language that a text names, and when: "Folding arms from 2.0 to 3.4 s" is a class and a span.

English, without a network. The rules:

    class     named by the words of its name or of an alias, in any order and form ("folds her arms", "arms folded"); for a name
              such as "Rubbing or holding hands", each half counts too. A negated name ("no folding of arms") does not count
    time      a span in seconds or m:ss, "throughout", or up to "the end". It belongs to the class named before it in the same
              sentence, otherwise to the class after it, otherwise to the last class of an earlier sentence
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deemo_data.baseline.wording import WORD_PATTERN, is_negated, normalise_text, stem_word
from deemo_data.labels.vocabulary import Nfbl

SKIPPED_WORDS = frozenset(
    {"a", "an", "the", "his", "her", "their", "its", "one", "own", "both", "or", "and", "of", "is", "are", "was", "were", "being"}
)  # words that may stand between the words of a name
SENTENCE_BREAK = re.compile(r"(?<=[.;!?])\s+")
_NUMBER, _UNIT = r"(?:\d+:\d\d(?:\.\d+)?|\d+(?:\.\d+)?)", r"(?:\s*(?:seconds?|secs?|s)\b)"
_TO = rf"(?P<start>{_NUMBER}){_UNIT}?\s*(?:-|–|—|\bto\b|\bun?till?\b)\s*"
SPAN_PATTERN = re.compile(rf"{_TO}(?:(?P<last>the end\b)|(?P<end>{_NUMBER})(?P<unit>{_UNIT})?)|\b(?P<always>throughout)\b")
BETWEEN_PATTERN = re.compile(rf"\bbetween\s+({_NUMBER}{_UNIT}?)\s+and\b")

Span = tuple[float, float]  # [start, end) in seconds of the clip


@dataclass(frozen=True)
class ClassNames:
    """The names of the classes of a dataset: the stems of a spelling, sorted -> the class."""

    by_stems: Mapping[tuple[str, ...], str]

    @classmethod
    def of(cls, classes: Sequence[str], vocabulary: Nfbl | None = None) -> ClassNames:
        """The classes' own names, their aliases in `vocabulary`, and halves of names that belong to one class only."""
        by_stems: dict[tuple[str, ...], str] = {}
        halves: dict[tuple[str, ...], set[str]] = {}
        for label in classes:
            entry = vocabulary.find(label) if vocabulary else None
            for spelling in (label, *(entry.aliases if entry else ())):
                by_stems[_sort_stems(spelling)] = label
                for half in _split_halves(spelling):
                    halves.setdefault(_sort_stems(half), set()).add(label)
        unique_halves = {stems: labels.pop() for stems, labels in halves.items() if len(labels) == 1}
        return cls(unique_halves | by_stems)


@dataclass(frozen=True)
class Mention:
    """One place where a text names a class. spans: when; empty when the text does not say."""

    label: str
    spans: tuple[Span, ...] = ()


def find_mentions(text: str, names: ClassNames, duration_s: float) -> tuple[Mention, ...]:
    """The body language that a text names, in the order of the text. duration_s: of the clip."""
    mentions: list[tuple[str, list[Span]]] = []
    for sentence in SENTENCE_BREAK.split(BETWEEN_PATTERN.sub(r"\1 to", normalise_text(text))):
        mentions_before = len(mentions)
        classes = _find_classes(sentence, names)
        mentions += [(label, []) for _, label in classes]
        for offset, span in _find_spans(sentence, duration_s):
            classes_before = sum(class_offset < offset for class_offset, _ in classes)
            index = mentions_before + max(classes_before - 1, 0) if classes else mentions_before - 1
            if index >= 0:
                mentions[index][1].append(span)
    return tuple(Mention(label, tuple(spans)) for label, spans in mentions)


def _find_classes(sentence: str, names: ClassNames) -> list[tuple[int, str]]:
    """(offset in the sentence, class) of each named class. A longer name wins over a shorter one; negated names do not count."""
    words = [
        (m.start(), stem_word(m[0].removesuffix("'s"))) for m in WORD_PATTERN.finditer(sentence) if m[0] not in SKIPPED_WORDS
    ]
    is_free, classes = [True] * len(words), []
    for stems, label in sorted(names.by_stems.items(), key=lambda item: -len(item[0])):
        for first in range(len(words) - len(stems) + 1):
            window = slice(first, first + len(stems))
            if all(is_free[window]) and tuple(sorted(stem for _, stem in words[window])) == stems:
                is_free[window] = [False] * len(stems)
                offset = words[first][0]
                if not is_negated(sentence[:offset]):
                    classes.append((offset, label))
    return sorted(classes)


def _find_spans(sentence: str, duration_s: float) -> list[tuple[int, Span]]:
    """(offset in the sentence, span) of each time. A number needs a unit, and a span must end after it starts."""
    spans = []
    for match in SPAN_PATTERN.finditer(sentence):
        if match["always"]:
            spans.append((match.start(), (0.0, duration_s)))
        elif match["last"] or match["unit"] or ":" in match["end"]:
            start, end = _parse_seconds(match["start"]), duration_s if match["last"] else _parse_seconds(match["end"])
            if start < end:
                spans.append((match.start(), (start, end)))
    return spans


def _parse_seconds(time: str) -> float:
    """Seconds of a time such as "3.4" or "1:05"."""
    minutes, _, seconds = time.rpartition(":")
    return 60 * float(minutes or 0) + float(seconds)


def _sort_stems(spelling: str) -> tuple[str, ...]:
    """The stems of a name in alphabetical order, so that the order of its words does not matter."""
    return tuple(sorted(stem_word(word) for word in WORD_PATTERN.findall(normalise_text(spelling)) if word not in SKIPPED_WORDS))


def _split_halves(spelling: str) -> list[str]:
    """ "Rubbing or holding hands" -> "Rubbing hands", "holding hands". Halves of one word are left out: they are too common."""
    first, _, second = spelling.partition(" or ")
    if not second or " or " in second or "," in spelling:
        return []
    if len(first.split()) == 1:
        first = f"{first} {' '.join(second.split()[1:])}"
    return [half for half in (first, second) if len(_sort_stems(half)) > 1]
