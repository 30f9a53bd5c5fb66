"""Runs work in worker processes of this machine, in such a way that the death of a worker costs only the item it had.

cluster.py has the same function for a Ray cluster.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class WorkerPool:
    """Worker processes, each connected by its own pipe. A worker loads a model once and keeps it for the next stage.

    processes  {our end of the pipe: process}
    idle       the pipes of the workers that have nothing to do
    """

    processes: dict[Connection, BaseProcess] = field(default_factory=dict)
    idle: list[Connection] = field(default_factory=list)


@contextmanager
def worker_pool() -> Iterator[WorkerPool]:
    """A pool that starts workers when they are needed and ends them with the block.

    The workers also end when this process ends, even if it is killed.
    """
    pool = WorkerPool()
    try:
        yield pool
    finally:
        for pipe in pool.processes:
            pipe.close()  # this tells an idle worker to end
        for process in pool.processes.values():
            process.join(10)
            process.kill()


def run_locally(
    work: Callable[[T], R], items: Iterable[T], workers: int, on_death: Callable[[T], R], pool: WorkerPool | None = None
) -> Iterator[R]:
    """Yield `work(item)` for every item, in the order of completion, with at most `workers` processes.

    With `workers` 0, all work is done in this process. A worker has one item at a time. So when a worker dies (killed, out of
    memory, a crash in a library, an exception out of `work`), its item is known: `on_death(item)` is yielded for it, and a new
    worker is started for the next item. Without a `pool`, one is made for this call.
    """
    if workers == 0:
        yield from map(work, items)
    elif pool is None:
        with worker_pool() as pool:
            yield from _run_in_pool(work, items, workers, on_death, pool)
    else:
        yield from _run_in_pool(work, items, workers, on_death, pool)


def _run_in_pool(
    work: Callable[[T], R], items: Iterable[T], workers: int, on_death: Callable[[T], R], pool: WorkerPool
) -> Iterator[R]:
    waiting = iter(items)
    running: dict[Connection, T] = {}
    try:
        while True:
            for item in islice(waiting, workers - len(running)):
                while pool.idle and not pool.processes[pool.idle[-1]].is_alive():
                    pool.processes.pop(pool.idle.pop())
                pipe = pool.idle.pop() if pool.idle else _start_worker(pool)
                running[pipe] = item
                with suppress(BrokenPipeError):  # the worker has just died: `recv` below finds out
                    pipe.send((work, item))
            if not running:
                return
            ready = wait(list(running))
            for pipe in [p for p in running if p in ready]:
                item = running.pop(pipe)
                try:
                    result = pipe.recv()
                except (EOFError, OSError):
                    result = on_death(item)
                    pool.processes.pop(pipe).join()
                else:
                    pool.idle.append(pipe)
                yield result
    finally:
        for pipe in running:  # their results are no longer needed
            pool.processes[pipe].terminate()


def _start_worker(pool: WorkerPool) -> Connection:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_worker, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # now the pipe is closed when the worker ends
    pool.processes[ours] = process
    return ours


def _run_worker(pipe: Connection) -> None:
    """The body of a worker. It ends when the pipe is closed: there is no more work, or the run was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the run, which then ends its workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exception, so that a started stage removes its staging folder
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            work, item = pipe.recv()
            pipe.send(work(item))


def _end_with_parent() -> None:
    """End this worker as soon as the run has ended.

    A worker looks at its pipe only between two items. One item may take an hour, and the run may have been killed long before.
    """
    if parent := parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)  # code inside a library does not react to the signal
        os._exit(1)
