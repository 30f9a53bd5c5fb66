"""Lets other threads work ahead of the loop that uses their results, with flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def run_ahead(tasks: Iterable[T], ahead: int = 4) -> Iterator[T]:
    """The tasks in order, each one only after the next `ahead` tasks were taken from the iterable.

    `tasks` starts work in another thread for each item (for example by `executor.submit`). The caller then waits for the
    result of a task while up to `ahead` later ones are already running.
    """
    waiting: deque[T] = deque()
    for task in tasks:
        waiting.append(task)
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting
