"""How a function is run over many clips. The stages do not know."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def local(fn: Callable[[T], R], clips: Iterable[T], workers: int, died: Callable[[T], R]) -> Iterator[R]:
    """`fn` of every clip, as they get done, by fresh processes; in this process when `workers` is 0.

    A worker has one clip at a time, over a pipe of its own. So when one dies (killed, out of memory, a crash in a
    library, an exception that `fn` let out) it is known which clip it was at: that one gets `died(clip)` for an
    answer, and the next clip a new worker. Workers end with this process, even when it is killed.
    """
    if workers == 0:
        yield from map(fn, clips)
        return
    waiting = iter(clips)
    crew: dict[Connection, BaseProcess] = {}
    idle: list[Connection] = []
    under_way: dict[Connection, T] = {}
    try:
        while True:
            for clip in islice(waiting, workers - len(under_way)):
                while idle and not crew[idle[-1]].is_alive():
                    crew.pop(idle.pop())
                pipe = idle.pop() if idle else _hire(fn, crew)
                under_way[pipe] = clip
                with suppress(BrokenPipeError):  # it died just now: `recv` will say so
                    pipe.send(clip)
            if not under_way:
                return
            ready = wait(list(under_way))
            for pipe in [p for p in under_way if p in ready]:
                clip = under_way.pop(pipe)
                try:
                    result = pipe.recv()
                except (EOFError, OSError):
                    result = died(clip)
                    crew.pop(pipe).join()
                else:
                    idle.append(pipe)
                yield result
    finally:
        for pipe, process in crew.items():
            if pipe in under_way:
                process.terminate()
            pipe.close()  # to an idle worker this is the end of work
        for process in crew.values():
            process.join(10)
            process.kill()


def _hire(fn: Callable[[Any], Any], crew: dict[Connection, BaseProcess]) -> Connection:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(fn, theirs), daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends when the worker does
    crew[ours] = process
    return ours


def _work(fn: Callable[[Any], Any], pipe: Connection) -> None:
    """A worker's life: until the pipe ends, because there is no more work or because the run was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which then ends its workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was begun is tidied away
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(fn(pipe.recv()))
