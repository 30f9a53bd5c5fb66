"""Makers that tests of several packages share; taken from pipeline/test_workers."""

from __future__ import annotations

import os
import signal


def work(number: int) -> int:
    """Numbers ending in 7 take the process with them, each in another way."""
    if number % 10 == 7:
        match number % 3:
            case 0:
                os._exit(1)
            case 1:
                os.kill(os.getpid(), signal.SIGKILL)
            case _:
                raise RuntimeError("let out")
    return number * number


def died(number: int) -> int:
    return -number
