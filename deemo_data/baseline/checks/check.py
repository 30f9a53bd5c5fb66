"""Check, Material."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.checks.features import Summaries
from deemo_data.baseline.checks.statistics import ROUNDS, Finding, Verdict, told

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.data import Example


MOST = 1500  # clips that are looked at, whole subjects; of more, so many are drawn
SUBJECTS = 5  # with fewer nobody can be held out while others are learned from
FOLDS = 5


@dataclass(frozen=True)
class Material:
    """What checks look at: clips with an emotion, and what they are like.

    untrained, trained  features of the same clips by a model before and after training, by name; empty without one
    rounds              of each permutation null
    """

    examples: tuple[Example, ...]
    summaries: Summaries
    emotions: tuple[str, ...]
    rounds: int = ROUNDS
    seed: int = 0
    untrained: Mapping[str, np.ndarray] = field(default_factory=dict)
    trained: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def subjects(self) -> list[str]:
        return [e.subject_id for e in self.examples]

    @property
    def labels(self) -> list[str]:
        return [e.emotion for e in self.examples]


@dataclass(frozen=True)
class Check:
    """What came out of one check.

    words     what that means, in a few sentences
    findings  the figures on which the verdict rests
    beside    figures to be read beside them
    more      what the page draws or lists: a curve, pairs of clips, facts that are the same everywhere
    """

    name: str
    title: str
    asks: str
    verdict: Verdict
    words: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    beside: tuple[Finding, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    clips: int = 0
    subjects: int = 0

    def told(self) -> dict[str, Any]:
        return {
            "name": self.name, "title": self.title, "asks": self.asks, "verdict": self.verdict, "words": list(self.words),
            "findings": [told(f) for f in self.findings], "beside": [told(f) for f in self.beside], "more": dict(self.more),
            "clips": self.clips, "subjects": self.subjects,
        }  # fmt: skip


def thinned(material: Material, most: int = MOST) -> Material:
    """At most so many of the clips: those of subjects drawn by the seed, in their order."""
    import numpy as np

    if len(material.examples) <= most:
        return material
    names, whose, counts = np.unique(material.subjects, return_inverse=True, return_counts=True)
    order = np.random.default_rng(material.seed).permutation(len(names))
    kept = order[np.cumsum(counts[order]) <= most]
    rows = np.flatnonzero(np.isin(whose, kept)) if len(kept) else np.arange(most)
    return replace(
        material,
        examples=tuple(material.examples[k] for k in rows),
        summaries=material.summaries.of(rows),
        untrained={name: table[rows] for name, table in material.untrained.items()},
        trained={name: table[rows] for name, table in material.trained.items()},
    )


def lacking(subjects: Sequence[str], labels: Sequence[str], least: int = SUBJECTS) -> str | None:
    """Why nothing can be said about labels with people held out; None when something can."""
    people, kinds = len(set(subjects)), len(set(labels))
    if people < least:
        return f"The dataset is too small: {people} {plural(people, 'subject')} with an emotion, {least} are needed at least."
    if kinds < 2:
        return f"All clips have one emotion, {labels[0]}: there is nothing to tell apart."
    return None


def cannot_check(name: str, title: str, asks: str, material: Material, why: str) -> Check:
    """A check that could not be made."""
    people = len(set(material.subjects))
    return Check(name, title, asks, "inconclusive", (why,), clips=len(material.examples), subjects=people)


def make_check(
    name: str, title: str, asks: str, verdict: Verdict, words: Sequence[str], found: Sequence[Finding],
    beside: Sequence[Finding], material: Material, more: Mapping[str, Any] | None = None,
) -> Check:  # fmt: skip
    people = len(set(material.subjects))
    if verdict == "inconclusive":
        words = [*words, f"With {people} {plural(people, 'subject')} and {len(material.examples)} clips no more can be said."]
    return Check(
        name, title, asks, verdict, tuple(words), tuple(found), tuple(beside), more or {}, len(material.examples), people
    )


def plural(n: int, word: str) -> str:
    return word if n == 1 else f"{word}s"


def power_sentence(found: Sequence[Finding]) -> str:
    """What the check would have seen, in words."""
    smallest = max(f.smallest for f in found)
    if smallest > 1:
        return "No effect would have been seen for sure, not even a full one."
    return f"An effect of {smallest:.2f} would have been seen 4 times of 5."


def said(finding: Finding) -> str:
    """A figure in words: .62 (.58 to .66), chance .25."""
    span = f" ({finding.low:.2f} to {finding.high:.2f})" if finding.low is not None and finding.high is not None else ""
    return f"{finding.value:.2f}{span}, by chance {finding.chance:.2f}"
