"""Counts what became of each annotation, region and answer that was read: the numbers of a tally add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

READ = "read"  # an annotation that was read
LABEL = "label"  # a region or an answer that became a label, or a part of one

SKIPPED, UNSUBMITTED, UNREADABLE = "skipped by their annotator", "drafts never handed in", "unreadable"
UNMATCHED, OUTDATED, UNCLEAR_RATE = "of other footage", "older than what was pulled", "at an unclear frame rate"

LOCKED, BOX, TEXT_MARK = "locked copies of other annotators' events", "boxes around something", "marks in a text"
PHANTOM = "classes of such boxes, which have no time"
REPEATED, UNKNOWN_CLASS, MALFORMED = "marked twice by one person", "with a class that the vocabulary lacks", "unreadable"
OF_SKIPPED = "in skipped annotations"


@dataclass
class Tally:
    """What became of everything that was found.

    annotations  READ or the reason why not -> how many annotations
    results      LABEL or the reason why not -> how many regions and answers
    remarks      sentence with "{n}" -> how many things it is about: what was guessed or changed, which is no fault
    """

    annotations: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)

    def remark(self, text: str, count: int = 1) -> None:
        """Add a remark about `count` things. `text` has "{n}" where their number goes."""
        if count:
            self.remarks[text] += count

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.annotations + other.annotations, self.results + other.results, self.remarks + other.remarks)

    def lines(self) -> list[str]:
        """What was not read, with numbers that add up, and the remarks; empty when there is nothing to tell."""
        lines = [
            _account("annotations", self.annotations, READ, "read"),
            _account("regions and answers", self.results, LABEL, "kept"),
            *(text.replace("{n}", str(count)) for text, count in sorted(self.remarks.items())),
        ]
        return [line for line in lines if line]


def _account(noun: str, counts: Counter[str], kept: str, word: str) -> str:
    """Such as "annotations: 5 found, 4 read, 1 left out (1 skipped by their annotator)"; empty when nothing was left out."""
    left_out = {reason: n for reason, n in sorted(counts.items()) if reason != kept and n}
    reasons = ", ".join(f"{n} {reason}" for reason, n in left_out.items())
    found = f"{noun}: {sum(counts.values())} found, {counts[kept]} {word}, {sum(left_out.values())} left out ({reasons})"
    return found if left_out else ""
