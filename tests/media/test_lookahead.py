"""Tasks come back in order, each after the next few were started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deemo_data.media.lookahead import run_ahead


@pytest.mark.parametrize("ahead", [0, 1, 4, 100])
def test_a_task_is_returned_when_the_next_ones_were_started(ahead: int) -> None:
    started: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(10):
            started.append(number)
            yield number

    for number, task in enumerate(run_ahead(tasks(), ahead)):
        assert task == number
        assert len(started) == min(number + 1 + ahead, 10)
    assert len(started) == 10
