"""The result of a pull: parts add up, and a problem alone counts nothing."""

from __future__ import annotations

from deemo_data.annotation.pull_result import PullResult
from deemo_data.labels.store import ChangeCounts


def test_a_problem_alone_counts_nothing() -> None:
    assert PullResult.of_problems("lost") == PullResult(0, 0, ChangeCounts(), ("lost",))
    assert PullResult.of_problems() == PullResult()


def test_parts_add_up_and_problems_keep_their_order() -> None:
    parts = [PullResult(2, 3, ChangeCounts(added=4), ("first",)), PullResult.of_problems("second", "third"), PullResult(tasks=1)]
    result = sum(parts, PullResult())
    assert result == PullResult(3, 3, ChangeCounts(added=4), ("first", "second", "third"))
