"""Runs stages on a Ray cluster, after a check that its nodes give the same bytes as this machine and share its store.

`run_on_ray` does what `run_locally` of workers.py does with the processes of one machine. Ray carries paths and settings, never
frames or files. See docs/ray.md.
"""

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

CLIPS_PER_CPU = 2  # clips sent to the cluster per CPU: one in work, one in the queue
MAX_LOST_NODES = 3  # nodes lost while working on one clip, until the clip counts as the cause
CONNECT_TIMEOUT_S = 20.0  # a cluster must answer within this time
START_ADVICE = "See docs/ray.md; without --ray the work is done here"


@dataclass(frozen=True)
class ClusterCheck:
    """What a cluster node must share with the run, so that its results are identical and land in the same store.

    versions    (name, version) of libraries, our code, Python and the machine, as in `describe_environment`
    weights     names of the pinned weights that are on this machine
    proof_file  a file that this run wrote into the store
    token       the file's content
    """

    versions: tuple[tuple[str, str], ...]
    weights: tuple[str, ...]
    proof_file: Path
    token: str


def optional_cluster(address: str | None, store_dir: Path) -> AbstractContextManager[ClusterCheck | None]:
    """`connect_cluster`, if an address is given; otherwise a context manager that yields None."""
    return nullcontext() if address is None else connect_cluster(address, store_dir)


@contextmanager
def connect_cluster(address: str, store_dir: Path) -> Iterator[ClusterCheck]:
    """Connect to the Ray cluster at an address for the length of the block. Its nodes may then work on `store_dir`.

    Raises ConfigError when Ray is not installed, when the cluster does not answer in time, or when a node differs from this
    machine in code, versions, weights or store; the error names the difference.
    """
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        os.environ.setdefault(name, "0")  # set before the import: Ray sends no statistics and builds no environment of its own
    try:
        import ray
    except ImportError as e:
        raise ConfigError("--ray needs Ray, which is not installed", "Type: pip install 'deemo-data[ray]'") from e
    if address == "local":
        raise ConfigError("--ray is about a cluster that runs already", "For this machine alone: --workers")
    if reason := _probe_cluster(address):
        raise ConfigError(f"no Ray cluster can be used at {address}: {reason}", START_ADVICE)
    for path in store_dir.glob(".ray.*"):  # proof files of runs that were killed
        if path.stat().st_mtime < time.time() - 86400:
            path.unlink(missing_ok=True)
    weights = tuple(name for name, w in runtime_weights.read_pinned().items() if w.path.exists())
    token = uuid.uuid4().hex
    proof_file = store_dir.resolve() / f".ray.{token[:8]}"
    check = ClusterCheck(tuple(sorted(describe_environment().items())), weights, proof_file, token)
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        proof_file.write_text(token)
        _check_nodes(ray, check)
        yield check
    finally:
        ray.shutdown()
        proof_file.unlink(missing_ok=True)


def _probe_cluster(address: str) -> str:
    """Why the cluster cannot be used; "" if it can.

    A separate process asks, because `ray.init` may hang for minutes and prints to the terminal.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer_probe, args=(address, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        if ours.poll(CONNECT_TIMEOUT_S):
            return str(ours.recv())
        return f"nobody answered in {CONNECT_TIMEOUT_S:.0f} s (or not with our token)"
    except EOFError:
        return "asking it ended the process that asked"
    finally:
        process.kill()
        process.join()


def _answer_probe(address: str, pipe: Connection) -> None:
    """The body of the separate process: connects and sends the reason why the cluster cannot be used, or ""."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    import ray

    try:
        ray.init(address=address, log_to_driver=False)
        pipe.send("" if _count_cpus(ray) else "none of its nodes has a CPU to give")
    except (OSError, ValueError, RuntimeError, AssertionError, ray.exceptions.RayError) as e:
        pipe.send(str(e))


def _count_cpus(ray: Any) -> int:
    return int(ray.cluster_resources().get("CPU", 0))


def _check_nodes(ray: Any, check: ClusterCheck) -> None:
    """Run `describe_difference` on every node that has a CPU. Raises ConfigError when a node differs from this machine."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as OnNode

    task: Any = ray.remote(num_cpus=0, max_retries=0)(_run_on_node)
    nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    answers = [task.options(scheduling_strategy=OnNode(n["NodeID"], soft=False)).remote(bool, 0, check) for n in nodes]
    for name, answer in zip((n["NodeManagerAddress"] for n in nodes), answers, strict=True):
        try:
            difference, _ = ray.get(answer, timeout=60)
        except ray.exceptions.RayError as e:
            lines = str(e).strip().splitlines() or [type(e).__name__]
            raise ConfigError(f"the Ray node {name} cannot load deemo_data as it is here: {lines[-1]}", START_ADVICE) from e
        if difference:
            raise ConfigError(difference, START_ADVICE)


@cache
def describe_difference(check: ClusterCheck) -> str:
    """How this machine differs from the one that made the check; "" when it may work for it. Computed once per process."""
    node = f"the Ray node {platform.node()}"
    try:
        ours: Mapping[str, str] = describe_environment()
    except importlib.metadata.PackageNotFoundError as e:
        return f"{node} lacks the package {e.name}"
    if differing := [f"{n} {ours.get(n, 'is missing')} instead of {v}" for n, v in check.versions if ours.get(n) != v]:
        return f"{node} would make other bytes: it has {', '.join(differing)}"
    pinned = runtime_weights.read_pinned()
    if lacking := [n for n in check.weights if n not in pinned or not pinned[n].path.exists()]:
        return f"{node} lacks the weights {', '.join(lacking)} (deemo models pull, there)"
    try:
        sees_store = check.proof_file.read_text() == check.token
    except OSError:
        sees_store = False
    return (
        "" if sees_store else f"{node} does not see our {check.proof_file.parent}: all nodes must share it, under the same path"
    )


def run_on_ray(
    work: Callable[[T], R], items: Iterable[T], workers: int, on_death: Callable[[T], R], check: ClusterCheck
) -> Iterator[R]:
    """Yield `work(item)` for every item in the order of completion, one item per CPU of the cluster; `workers` is ignored.

    For an item whose worker died, `on_death(item)` is yielded, as in `run_locally`. An item whose whole node was lost goes to
    another node, up to MAX_LOST_NODES in all. `items` is read at most CLIPS_PER_CPU items per CPU ahead.

    Raises ConfigError when a node that joined later differs from this machine, ProjectError when the cluster fails.
    """
    import ray
    from ray import exceptions

    task: Any = ray.remote(num_cpus=1, max_retries=0)(_run_on_node)
    waiting = iter(items)
    retries: list[tuple[T, int]] = []  # items whose node was lost, and how many nodes each has lost so far
    running: dict[Any, tuple[T, int]] = {}
    try:
        while True:
            _check_head(ray)
            room = CLIPS_PER_CPU * max(1, _count_cpus(ray)) - len(running)
            for item, lost_nodes in islice(chain(_pop_each(retries), ((item, 0) for item in waiting)), max(0, room)):
                running[task.remote(work, item, check)] = item, lost_nodes
            if not running:
                return
            ready, _ = ray.wait(list(running), timeout=60)
            if not ready and not _count_cpus(ray):
                raise ProjectError("no node is left in the Ray cluster", "Start one and run again: nothing is lost")
            for answer in ready:
                item, lost_nodes = running.pop(answer)
                try:
                    difference, result = ray.get(answer)
                except (exceptions.NodeDiedError, exceptions.ObjectLostError):
                    if lost_nodes + 1 < MAX_LOST_NODES:
                        retries.append((item, lost_nodes + 1))
                        continue
                    result = on_death(item)
                except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError, exceptions.RayTaskError):
                    result = on_death(item)
                else:
                    if difference:
                        raise ConfigError(difference, "Mend or stop that node, and run again: nothing is lost")
                yield result
    except exceptions.RayError as e:
        raise ProjectError(f"the Ray cluster failed: {e}", "Run again: nothing is lost") from e
    finally:
        _cancel_tasks(ray, list(running))


def _check_head(ray: Any) -> None:
    """Raise ProjectError when the cluster's head is gone. Ray itself would wait a minute per call and then end this process."""
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError as e:
        raise ProjectError("the head of the Ray cluster is gone", "Start one and run again: nothing is lost") from e


def _pop_each(items: list[T]) -> Iterator[T]:
    while items:
        yield items.pop()


def _cancel_tasks(ray: Any, tasks: list[Any]) -> None:
    """Cancel tasks whose results are no longer needed, gently, so that they remove their staging folders.

    Tasks that go on regardless end with the connection.
    """
    with suppress(ray.exceptions.RayError):
        for task in tasks:
            ray.cancel(task)  # with force, ray 2.60 may abort this process
        if tasks:
            ray.wait(tasks, num_returns=len(tasks), timeout=10)


def _run_on_node(work: Callable[[T], R], item: T, check: ClusterCheck) -> tuple[str, R | None]:
    """The task that runs on a node. Returns (why the node may not work, None), or ("", the result).

    The project's secret is in `work`. That is a task argument, and Ray does not log those.
    """
    difference = describe_difference(check)
    return (difference, None) if difference else ("", work(item))
