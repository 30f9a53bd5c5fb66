"""A Ray cluster."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from deemo_data.errors import ConfigError, ProjectError
from deemo_data.models.runtime import weights as runtime_weights
from deemo_data.pipeline.environment import describe_environment

T = TypeVar("T")

R = TypeVar("R")

AHEAD = 2  # clips handed to a cluster per CPU: one at work, one at hand
LOST = 3  # nodes that may go down with one clip before it is the clip that is blamed
PATIENCE = 20.0  # seconds for a cluster to answer
START = "See docs/ray.md; without --ray the work is done here"


@dataclass(frozen=True)
class ClusterCheck:
    """What a node must have in common with the run: else it would make other bytes, or put them where nobody looks."""

    versions: tuple[tuple[str, str], ...]
    weights: tuple[str, ...]
    proof: Path  # a file in the store that only this run wrote
    word: str  # what is in it


def hired(address: str | None, kept: Path) -> AbstractContextManager[ClusterCheck | None]:
    """The Ray cluster at an address, if one is given: it may work on the store `kept` while the block lasts."""
    return nullcontext() if address is None else cluster(address, kept)


@contextmanager
def cluster(address: str, kept: Path) -> Iterator[ClusterCheck]:
    """A connection to the Ray cluster at an address, all of whose nodes share our code, weights and the store `kept`.

    Raises ConfigError when there is no Ray here, nobody answers in time, or a node differs: it says in what.
    """
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        os.environ.setdefault(name, "0")  # before the import: no statistics, and nobody makes the environment anew
    try:
        import ray
    except ImportError as e:
        raise ConfigError("--ray needs Ray, which is not installed", "Type: pip install 'deemo-data[ray]'") from e
    if address == "local":
        raise ConfigError("--ray is about a cluster that runs already", "For this machine alone: --workers")
    if reason := _probe_cluster(address):
        raise ConfigError(f"no Ray cluster can be used at {address}: {reason}", START)
    for left in kept.glob(".ray.*"):  # of a run that was killed
        if left.stat().st_mtime < time.time() - 86400:
            left.unlink(missing_ok=True)
    here = tuple(name for name, w in runtime_weights.pinned().items() if w.path.exists())
    word = uuid.uuid4().hex
    terms = ClusterCheck(tuple(sorted(describe_environment().items())), here, kept.resolve() / f".ray.{word[:8]}", word)
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        terms.proof.write_text(word)
        _inspect(ray, terms)
        yield terms
    finally:
        ray.shutdown()
        terms.proof.unlink(missing_ok=True)


def _probe_cluster(address: str) -> str:
    """Why the cluster cannot be used, or nothing. Asked in a process of its own: `ray.init` may hang for minutes, and talks."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_ask, args=(address, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return str(ours.recv()) if ours.poll(PATIENCE) else f"nobody answered in {PATIENCE:.0f} s (or not with our token)"
    except EOFError:
        return "asking it ended the process that asked"
    finally:
        process.kill()
        process.join()


def _ask(address: str, answer: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    import ray

    try:
        ray.init(address=address, log_to_driver=False)
        answer.send("" if _cpus(ray) else "none of its nodes has a CPU to give")
    except (OSError, ValueError, RuntimeError, AssertionError, ray.exceptions.RayError) as e:
        answer.send(str(e))


def _cpus(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 0))


def _inspect(ray: Any, terms: ClusterCheck) -> None:
    """Ask each node that may work whether it is like this machine. Raises ConfigError."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    ask: Any = ray.remote(num_cpus=0, max_retries=0)(_task)
    nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    asked = [ask.options(scheduling_strategy=On(n["NodeID"], soft=False)).remote(bool, 0, terms) for n in nodes]
    for name, answer in zip((n["NodeManagerAddress"] for n in nodes), asked, strict=True):
        try:
            refused, _ = ray.get(answer, timeout=60)
        except ray.exceptions.RayError as e:
            lines = str(e).strip().splitlines() or [type(e).__name__]
            raise ConfigError(f"the Ray node {name} cannot load deemo_data as it is here: {lines[-1]}", START) from e
        if refused:
            raise ConfigError(refused, START)


@cache
def list_differences(terms: ClusterCheck) -> str:
    """In what this machine differs from the one that made the terms; nothing when it may work for it. Once a process."""
    node = f"the Ray node {platform.node()}"
    try:
        mine: Mapping[str, str] = describe_environment()
    except importlib.metadata.PackageNotFoundError as e:
        return f"{node} lacks the package {e.name}"
    if other := [f"{n} {mine.get(n, 'is missing')} instead of {v}" for n, v in terms.versions if mine.get(n) != v]:
        return f"{node} would make other bytes: it has {', '.join(other)}"
    if lacking := [
        n for n in terms.weights if n not in runtime_weights.pinned() or not runtime_weights.pinned()[n].path.exists()
    ]:
        return f"{node} lacks the weights {', '.join(lacking)} (deemo models pull, there)"
    try:
        same = terms.proof.read_text() == terms.word
    except OSError:
        same = False
    return "" if same else f"{node} does not see our {terms.proof.parent}: all nodes must share it, under the same path"


def run_on_ray(
    fn: Callable[[T], R], clips: Iterable[T], workers: int, died: Callable[[T], R], hired: ClusterCheck
) -> Iterator[R]:
    """`fn` of every clip, as they get done, on the cluster: one clip a CPU, whatever `workers` says.

    A clip whose worker died gets `died(clip)` for an answer, as with `local`; one whose whole node went is given to another
    node. Only paths go through Ray. `clips` is read no further than AHEAD a CPU.

    Raises ConfigError when a node that came later differs from us, ProjectError when the cluster fails.
    """
    import ray
    from ray import exceptions as failed

    task: Any = ray.remote(num_cpus=1, max_retries=0)(_task)
    waiting = iter(clips)
    again: list[tuple[T, int]] = []  # whose node went, and how many nodes went with them
    under_way: dict[Any, tuple[T, int]] = {}
    try:
        while True:
            _look_for_the_head(ray)
            room = AHEAD * max(1, _cpus(ray)) - len(under_way)
            for clip, lost in islice(chain(_taken(again), ((clip, 0) for clip in waiting)), max(0, room)):
                under_way[task.remote(fn, clip, hired)] = clip, lost
            if not under_way:
                return
            ready, _ = ray.wait(list(under_way), timeout=60)
            if not ready and not _cpus(ray):
                raise ProjectError("no node is left in the Ray cluster", "Start one and run again: nothing is lost")
            for done in ready:
                clip, lost = under_way.pop(done)
                try:
                    refused, result = ray.get(done)
                except (failed.NodeDiedError, failed.ObjectLostError):
                    if lost + 1 < LOST:
                        again.append((clip, lost + 1))
                        continue
                    result = died(clip)
                except (failed.WorkerCrashedError, failed.OutOfMemoryError, failed.RayTaskError):
                    result = died(clip)
                else:
                    if refused:
                        raise ConfigError(refused, "Mend or stop that node, and run again: nothing is lost")
                yield result
    except failed.RayError as e:
        raise ProjectError(f"the Ray cluster failed: {e}", "Run again: nothing is lost") from e
    finally:
        _let_go(ray, list(under_way))


def _look_for_the_head(ray: Any) -> None:
    """Without a head every question waits for a minute, and then Ray ends this process."""
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except OSError as e:
        raise ProjectError("the head of the Ray cluster is gone", "Start one and run again: nothing is lost") from e


def _taken(again: list[T]) -> Iterator[T]:
    while again:
        yield again.pop()


def _let_go(ray: Any, under_way: list[Any]) -> None:
    """Nobody waits for these any more. Kindly, so that what was begun is tidied away; what stays ends with the connection."""
    with suppress(ray.exceptions.RayError):
        for ref in under_way:
            ray.cancel(ref)  # with force, ray 2.60 may abort this process
        if under_way:
            ray.wait(under_way, num_returns=len(under_way), timeout=10)


def _task(fn: Callable[[T], R], clip: T, terms: ClusterCheck) -> tuple[str, R | None]:
    """What runs on a node: why it may not, or what came out. The secret is in `fn`: an argument, which Ray does not log."""
    refused = list_differences(terms)
    return (refused, None) if refused else ("", fn(clip))
