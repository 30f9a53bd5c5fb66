"""A check of a dataset: what it looks at (Material) and what it reports (Check).

A check is a question with a fixed name and title, such as "Can it be learned?". Each file beside this one declares its questions
as constants and answers them with functions `check_...(Material) -> Check`. An answer is one of three verdicts (statistics.py),
a few sentences, and the figures behind them. run.py calls the checks in order; reports/evaluation.py renders the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.checks.features import FeatureTables
from deemo_data.baseline.checks.statistics import PERMUTATION_ROUNDS, Finding, Verdict, finding_to_json

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.data import Example


MAX_CLIPS = 1500  # of a larger dataset, checks look at a sample of at most this size, drawn by whole subjects
MIN_SUBJECTS = 5  # with fewer, no subject can be held out while enough others are learned from
FOLDS = 5  # of cross-validation


@dataclass(frozen=True)
class Material:
    """What the checks look at: clips that have an emotion, and their features.

    features                              hand-made features, one row per example
    emotions                              the labels of the dataset, in its order
    rounds                                permutations for each null distribution
    untrained_features, trained_features  features of the same clips by a model before and after training, by name; empty
                                          when no model was trained
    """

    examples: tuple[Example, ...]
    features: FeatureTables
    emotions: tuple[str, ...]
    rounds: int = PERMUTATION_ROUNDS
    seed: int = 0
    untrained_features: Mapping[str, np.ndarray] = field(default_factory=dict)
    trained_features: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def subjects(self) -> list[str]:
        """The subject of each clip."""
        return [e.subject_id for e in self.examples]

    @property
    def labels(self) -> list[str]:
        """The emotion of each clip."""
        return [e.emotion for e in self.examples]


@dataclass(frozen=True)
class Check:
    """One check: its question, and its result. With the first three fields only, it is a question without an answer.

    question           what the check asks, in one sentence
    sentences          what the result means, in a few sentences
    findings           the figures that decide the verdict
    context_findings   figures to be read beside them, which do not decide anything
    details            what the report draws or lists: a curve, pairs of clips, facts that are the same for all clips
    clips, subjects    how many the check looked at
    """

    name: str
    title: str
    question: str
    verdict: Verdict = "inconclusive"
    sentences: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    context_findings: tuple[Finding, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    clips: int = 0
    subjects: int = 0

    def to_json(self) -> dict[str, Any]:
        """The check as evaluation.json holds it."""
        return {
            "name": self.name, "title": self.title, "asks": self.question, "verdict": self.verdict,
            "words": list(self.sentences), "findings": [finding_to_json(f) for f in self.findings],
            "beside": [finding_to_json(f) for f in self.context_findings], "more": dict(self.details), "clips": self.clips,
            "subjects": self.subjects,
        }  # fmt: skip


def answer_check(
    check: Check,
    material: Material,
    *,
    verdict: Verdict,
    sentences: Sequence[str],
    findings: Sequence[Finding] = (),
    context_findings: Sequence[Finding] = (),
    details: Mapping[str, Any] | None = None,
) -> Check:
    """A question with its answer, and with the size of the material. An inconclusive answer ends with that size in words."""
    clips, subjects = len(material.examples), len(set(material.subjects))
    if verdict == "inconclusive":
        sentences = [*sentences, f"With {subjects} {pluralise(subjects, 'subject')} and {clips} clips no more can be said."]
    return replace(
        check,
        verdict=verdict,
        sentences=tuple(sentences),
        findings=tuple(findings),
        context_findings=tuple(context_findings),
        details=details or {},
        clips=clips,
        subjects=subjects,
    )


def leave_unanswered(check: Check, material: Material, reason: str) -> Check:
    """A question that this material cannot answer: inconclusive, with the reason and no figures."""
    clips, subjects = len(material.examples), len(set(material.subjects))
    return replace(check, verdict="inconclusive", sentences=(reason,), clips=clips, subjects=subjects)


def limit_clips(material: Material, max_clips: int = MAX_CLIPS) -> Material:
    """Material of at most `max_clips` clips: all clips of subjects that the seed draws, in their order.

    When no drawn subject fits, because each has more clips than that, the first `max_clips` clips are taken instead.
    """
    import numpy as np

    if len(material.examples) <= max_clips:
        return material
    names, subject_of_clip, counts = np.unique(material.subjects, return_inverse=True, return_counts=True)
    order = np.random.default_rng(material.seed).permutation(len(names))
    drawn = order[np.cumsum(counts[order]) <= max_clips]
    rows = np.flatnonzero(np.isin(subject_of_clip, drawn)) if len(drawn) else np.arange(max_clips)
    return replace(
        material,
        examples=tuple(material.examples[k] for k in rows),
        features=material.features.select_rows(rows),
        untrained_features={name: table[rows] for name, table in material.untrained_features.items()},
        trained_features={name: table[rows] for name, table in material.trained_features.items()},
    )


def explain_shortage(subjects: Sequence[str], labels: Sequence[str], min_subjects: int = MIN_SUBJECTS) -> str | None:
    """Why a check with held-out subjects can say nothing: too few subjects, or only one label. None when it can.

    subjects, labels  of each clip
    """
    people, kinds = len(set(subjects)), len(set(labels))
    if people < min_subjects:
        return (
            f"The dataset is too small: {people} {pluralise(people, 'subject')} with an emotion, "
            f"{min_subjects} are needed at least."
        )
    if kinds < 2:
        return f"All clips have one emotion, {labels[0]}: there is nothing to tell apart."
    return None


def pluralise(n: int, word: str) -> str:
    """The word, with an s unless n is 1."""
    return word if n == 1 else f"{word}s"


def power_sentence(findings: Sequence[Finding]) -> str:
    """The smallest effect that the check would have detected, as a sentence."""
    smallest = max(f.smallest for f in findings)
    if smallest > 1:
        return "No effect would have been seen for sure, not even a full one."
    return f"An effect of {smallest:.2f} would have been seen 4 times of 5."


def format_finding(finding: Finding) -> str:
    """A figure in words: "0.62 (0.58 to 0.66), by chance 0.25"."""
    span = f" ({finding.low:.2f} to {finding.high:.2f})" if finding.low is not None and finding.high is not None else ""
    return f"{finding.value:.2f}{span}, by chance {finding.chance:.2f}"
