"""Which body language a text names, and when: "Folding arms from 2.0 to 3.4 s" is a class and a span. English, offline.

A class is named by the words of its name or an alias, in any order and form ("folds her arms", "arms folded"); of a name
such as "Rubbing or holding hands" either half will do. A time belongs to the class named before it in the sentence, else to
the one after it, else to the last one before; it is a span in seconds or m:ss, "throughout", or up to "the end". What is
denied ("no folding of arms") is not said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deemo_data.baseline.wording import TOKEN, denied, plain, stem
from deemo_data.labels.vocabulary import Nfbl

SKIPPED = frozenset(
    {"a", "an", "the", "his", "her", "their", "its", "one", "own", "both", "or", "and", "of", "is", "are", "was", "were", "being"}
)  # between the words of a name
SENTENCE = re.compile(r"(?<=[.;!?])\s+")
_NUMBER, _UNIT = r"(?:\d+:\d\d(?:\.\d+)?|\d+(?:\.\d+)?)", r"(?:\s*(?:seconds?|secs?|s)\b)"
_TO = rf"(?P<start>{_NUMBER}){_UNIT}?\s*(?:-|–|—|\bto\b|\bun?till?\b)\s*"
SPAN = re.compile(rf"{_TO}(?:(?P<last>the end\b)|(?P<end>{_NUMBER})(?P<unit>{_UNIT})?)|\b(?P<always>throughout)\b")
BETWEEN = re.compile(rf"\bbetween\s+({_NUMBER}{_UNIT}?)\s+and\b")

Span = tuple[float, float]  # [start, end) in seconds of the clip


@dataclass(frozen=True)
class Names:
    """How the classes of a dataset are named: stems of a spelling, sorted -> the class."""

    by_stems: Mapping[tuple[str, ...], str]

    @classmethod
    def of(cls, classes: Sequence[str], vocabulary: Nfbl | None = None) -> Names:
        """Names, aliases that `vocabulary` has, and halves of names; a half that two classes share means neither."""
        by_stems: dict[tuple[str, ...], str] = {}
        halves: dict[tuple[str, ...], set[str]] = {}
        for label in classes:
            known = vocabulary.find(label) if vocabulary else None
            for spelling in (label, *(known.aliases if known else ())):
                by_stems[_stems(spelling)] = label
                for half in _halves(spelling):
                    halves.setdefault(_stems(half), set()).add(label)
        meant = {stems: labels.pop() for stems, labels in halves.items() if len(labels) == 1}
        return cls(meant | by_stems)


@dataclass(frozen=True)
class Mention:
    """A class that a text names once. spans: when; none where the text does not say."""

    label: str
    spans: tuple[Span, ...] = ()


def mentions(text: str, names: Names, lasts_s: float) -> tuple[Mention, ...]:
    """In the order in which they are named. lasts_s: how long the clip lasts."""
    found: list[tuple[str, list[Span]]] = []
    for sentence in SENTENCE.split(BETWEEN.sub(r"\1 to", plain(text))):
        before = len(found)
        named = _named(sentence, names)
        found += [(label, []) for _, label in named]
        for place, span in _spans(sentence, lasts_s):
            earlier = sum(at < place for at, _ in named)
            at = before + max(earlier - 1, 0) if named else before - 1
            if at >= 0:
                found[at][1].append(span)
    return tuple(Mention(label, tuple(spans)) for label, spans in found)


def _named(sentence: str, names: Names) -> list[tuple[int, str]]:
    """(place in the sentence, class): the longest names first, none inside another, none that is denied."""
    words = [(m.start(), stem(m[0].removesuffix("'s"))) for m in TOKEN.finditer(sentence) if m[0] not in SKIPPED]
    free, found = [True] * len(words), []
    for stems, label in sorted(names.by_stems.items(), key=lambda one: -len(one[0])):
        for at in range(len(words) - len(stems) + 1):
            here = slice(at, at + len(stems))
            if all(free[here]) and tuple(sorted(word for _, word in words[here])) == stems:
                free[here] = [False] * len(stems)
                if not denied(sentence[: words[at][0]]):
                    found.append((words[at][0], label))
    return sorted(found)


def _spans(sentence: str, lasts_s: float) -> list[tuple[int, Span]]:
    """(place in the sentence, span); a number without a unit is no time, and neither is a span that ends before it starts."""
    found = []
    for match in SPAN.finditer(sentence):
        if match["always"]:
            found.append((match.start(), (0.0, lasts_s)))
        elif match["last"] or match["unit"] or ":" in match["end"]:
            start, end = _seconds(match["start"]), lasts_s if match["last"] else _seconds(match["end"])
            if start < end:
                found.append((match.start(), (start, end)))
    return found


def _seconds(said: str) -> float:
    minutes, _, seconds = said.rpartition(":")
    return 60 * float(minutes or 0) + float(seconds)


def _stems(spelling: str) -> tuple[str, ...]:
    return tuple(sorted(stem(word) for word in TOKEN.findall(plain(spelling)) if word not in SKIPPED))


def _halves(spelling: str) -> list[str]:
    """ "Rubbing or holding hands" -> "Rubbing hands", "holding hands"; a half of one word would be found everywhere."""
    one, _, other = spelling.partition(" or ")
    if not other or " or " in other or "," in spelling:
        return []
    if len(one.split()) == 1:
        one = f"{one} {' '.join(other.split()[1:])}"
    return [half for half in (one, other) if len(_stems(half)) > 1]
