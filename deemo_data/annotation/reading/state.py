"""What reading annotations needs, and what it brings: the inputs, the labels so far, problems and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from deemo_data.annotation.reading.tally import Tally
from deemo_data.labels.label import Label, PushRecord
from deemo_data.labels.vocabulary import Emotions, Nfbl


@dataclass(frozen=True)
class Reading:
    """The inputs and the results of reading annotations; `results.read_task` adds to what follows `ledger`.

    secret      key of the annotators' pseudonyms
    vocabulary  classes that timeline labels may have
    emotions    values that emotion and sentiment may have
    ledger      what was pushed, by public clip id: see `read_pushed_by_clip`
    labels      the labels read so far, by key
    unread      keys that could not be read: their earlier labels stay in force; one that ends in / is a whole annotation
    problems    one line for each thing that was left out
    tally       what became of each annotation, region and answer
    other_rate  a rate that pages of this export counted and that is not the footage's; None when none said so
    """

    secret: bytes
    vocabulary: Nfbl
    emotions: Emotions
    ledger: Mapping[str, Sequence[PushRecord]]
    labels: dict[str, Label] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    other_rate: Fraction | None = None

    def is_unread(self, key: str) -> bool:
        """Whether what lies under a key could not be read, or the annotation that it belongs to."""
        return key in self.unread or f"{'/'.join(key.split('/')[:2])}/" in self.unread

    def empty_copy(self) -> Reading:
        """The same inputs, without results."""
        return Reading(self.secret, self.vocabulary, self.emotions, self.ledger)
