"""How many clips are in dispute, and what `deemo agree` says is next: what is true of the project, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from deemo_data.agreement.disputes import count_disputes
from deemo_data.agreement.measure import measure_agreement
from deemo_data.clip import SafeClip
from deemo_data.labels.label import Label, PushRecord
from deemo_data.labels.placing import group_by_clip
from deemo_data.reports.agreement import describe_next_step, render_page
from tests.makers.studies import ANN, BEN, EMOTIONS, NFBL, A, B, adjudicates, clip_of, says

CLIPS = [clip_of(n) for n in range(3)]
ALIKE = [lb for who in (ANN, BEN) for lb in says(CLIPS[0], who, (10, 60, A))]
UNLIKE = [*says(CLIPS[1], ANN, (10, 60, A)), *says(CLIPS[1], BEN, (10, 60, B))]
ONE = says(CLIPS[2], ANN, (10, 60, A))
VERDICT = adjudicates(CLIPS[1], "a-judge", (10, 60, B))
OWN_VERDICT = adjudicates(CLIPS[1], ANN, (10, 60, A))


def pushed(*clips: Any) -> list[PushRecord]:
    return [PushRecord.of(SafeClip(c), NFBL, "adjudicate", None) for c in clips]


@pytest.mark.parametrize(
    ("labels", "sent", "counts", "says_next"),
    [
        ([], (), (0, 0, 0), "Nobody has labelled yet. Next: deemo push DIR, then: deemo pull DIR"),
        (ONE, (), (0, 0, 0), "No clip was seen by two people. When a second person has labelled: deemo pull DIR"),
        ([*ALIKE, *UNLIKE], (), (1, 0, 0), "1 clip is in dispute. Next: deemo push DIR --adjudicate"),
        (
            [*ALIKE, *UNLIKE], CLIPS[1:2], (0, 1, 0),
            "1 clip is in dispute, which the second group has. When they are handed in: deemo pull DIR",
        ),
        (
            [*ALIKE, *UNLIKE, *OWN_VERDICT], CLIPS[1:2], (0, 1, 0),
            "1 clip is in dispute, which the second group has. When they are handed in: deemo pull DIR",
        ),
        (
            [*ALIKE, *UNLIKE, *VERDICT, *ONE], CLIPS[1:2], (0, 0, 1),
            "No clip is in dispute, 1 adjudicated; 1 of 3 clips were seen by nobody or by one person. "
            "Next: deemo pull DIR, or deemo export DIR",
        ),
    ],
)  # fmt: skip
def test_what_is_next(labels: Sequence[Label], sent: Sequence[Any], counts: tuple[int, int, int], says_next: str) -> None:
    found = count_disputes(group_by_clip(labels, CLIPS), CLIPS, NFBL, {c.id for c in sent})
    assert found == dict(zip(("open", "sent", "settled"), counts, strict=True))
    report = measure_agreement(labels, CLIPS, NFBL, EMOTIONS, pushed(*sent), rounds=10)
    assert report["disputes"] == found
    assert describe_next_step(report) == says_next
    assert ("push DIR --adjudicate" in render_page(report)) == bool(found["open"])


def test_when_all_is_settled_the_dataset_is_next() -> None:
    labels = [*ALIKE, *UNLIKE, *VERDICT]
    report = measure_agreement(labels, CLIPS[:2], NFBL, EMOTIONS, pushed(CLIPS[1]), rounds=10)
    assert describe_next_step(report, "pr") == "No clip is in dispute, 1 adjudicated. Next: deemo export pr"


def test_without_clips() -> None:
    report = measure_agreement([], [], NFBL, EMOTIONS, [], rounds=10)
    assert describe_next_step(report) == "No clip may be shown yet. Next: deemo status DIR"
