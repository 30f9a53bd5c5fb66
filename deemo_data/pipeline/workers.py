"""Worker processes of this machine."""

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
    """Worker processes, each at the end of a pipe of its own. They load a model once and keep it for the next stage."""

    processes: dict[Connection, BaseProcess] = field(default_factory=dict)
    idle: list[Connection] = field(default_factory=list)


@contextmanager
def worker_pool() -> Iterator[WorkerPool]:
    """A crew that is hired as work comes in, and ends with the block. It ends with this process too, even if killed."""
    hired = WorkerPool()
    try:
        yield hired
    finally:
        for pipe in hired.processes:
            pipe.close()  # to an idle worker this is the end of work
        for process in hired.processes.values():
            process.join(10)
            process.kill()


def run_locally(
    fn: Callable[[T], R], clips: Iterable[T], workers: int, died: Callable[[T], R], hired: WorkerPool | None = None
) -> Iterator[R]:
    """`fn` of every clip, as they get done, by at most `workers` processes; in this process when `workers` is 0.

    A worker has one clip at a time. So when one dies (killed, out of memory, a crash in a library, an exception that
    `fn` let out) it is known which clip it was at: that one gets `died(clip)` for an answer, and the next clip a new
    worker. Without a crew, one is hired for this work alone.
    """
    if workers == 0:
        yield from map(fn, clips)
    elif hired is None:
        with worker_pool() as hired:
            yield from _shared(fn, clips, workers, died, hired)
    else:
        yield from _shared(fn, clips, workers, died, hired)


def _shared(fn: Callable[[T], R], clips: Iterable[T], workers: int, died: Callable[[T], R], hired: WorkerPool) -> Iterator[R]:
    waiting = iter(clips)
    under_way: dict[Connection, T] = {}
    try:
        while True:
            for clip in islice(waiting, workers - len(under_way)):
                while hired.idle and not hired.processes[hired.idle[-1]].is_alive():
                    hired.processes.pop(hired.idle.pop())
                pipe = hired.idle.pop() if hired.idle else _hire(hired)
                under_way[pipe] = clip
                with suppress(BrokenPipeError):  # it died just now: `recv` will say so
                    pipe.send((fn, clip))
            if not under_way:
                return
            ready = wait(list(under_way))
            for pipe in [p for p in under_way if p in ready]:
                clip = under_way.pop(pipe)
                try:
                    result = pipe.recv()
                except (EOFError, OSError):
                    result = died(clip)
                    hired.processes.pop(pipe).join()
                else:
                    hired.idle.append(pipe)
                yield result
    finally:
        for pipe in under_way:  # nobody waits for these any more
            hired.processes[pipe].terminate()


def _hire(hired: WorkerPool) -> Connection:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends when the worker does
    hired.processes[ours] = process
    return ours


def _work(pipe: Connection) -> None:
    """A worker's life: until the pipe ends, because there is no more work or because the run was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which then ends its workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was begun is tidied away
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            fn, clip = pipe.recv()
            pipe.send(fn(clip))


def _end_with_the_run() -> None:
    """A run that is killed closes no pipe that a worker looks at before its clip is done, which may take an hour."""
    if run := parent_process():
        run.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)  # inside a library, nobody hears that
        os._exit(1)
