"""Real Ray clusters on loopback: a head and worker nodes, each a process group of its own that can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TOKEN = "5a" * 32

# `ray start` takes the machine's address for a worker node, whatever it is told, or refuses a second node on loopback: here it
# may do neither.
START = """
import sys
from ray._private import ray_constants, services
ray_constants.ENABLE_RAY_CLUSTER = True
services.get_node_ip_address = lambda address=None: "127.0.0.1"
from ray.scripts.scripts import main
sys.argv[0] = "ray"
main()
"""


def environment(**more: str) -> dict[str, str]:
    """For all that belongs to a cluster, and who connects to it: loopback only, no statistics, a token, our code."""
    return os.environ | {
        "PYTHONPATH": f"{REPO}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
    } | more  # fmt: skip


def free_port() -> int:
    """Below those that Ray gives to workers (10002-19999) and Linux to anybody (32768 on)."""
    for port in range(21000 + os.getpid() % 5000, 32000):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("no port is free")


@dataclass
class Cluster:
    """Nodes; the first is the head. `folder` has a short path: Ray puts sockets in it."""

    folder: Path
    port: int = field(default_factory=free_port)
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, cpus: int = 1, **env: str) -> int:
        """One more node, when it is there; its number."""
        said = [sys.executable, "-c", START, "start", "--block", "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}",
                "--object-store-memory=80000000", "--disable-usage-stats"]  # fmt: skip
        said += [f"--address={self.address}"] if self.nodes else [
            "--head", f"--port={self.port}", f"--temp-dir={self.folder}", "--include-dashboard=false"]  # fmt: skip
        with open(self.folder.parent / f"{self.folder.name}.node{len(self.nodes)}", "wb") as log:
            node = subprocess.Popen(said, env=environment(**env), stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 60
        self.nodes.append(node)
        while b"Ray runtime started" not in Path(log.name).read_bytes():
            if node.poll() is not None or time.monotonic() > until:
                raise RuntimeError(Path(log.name).read_text())
            time.sleep(0.1)
        return len(self.nodes) - 1

    def kill(self, number: int) -> None:
        """kill -9 of all processes of a node at once: the power went."""
        self.send(number, signal.SIGKILL)
        self.nodes[number].wait()

    def send(self, number: int, which: signal.Signals) -> None:
        for pid in self.of(number):
            send(pid, which)

    def of(self, number: int) -> list[int]:
        """The processes of a node."""
        return of_session(self.nodes[number].pid)

    def processes(self) -> list[int]:
        return [pid for number in range(len(self.nodes)) for pid in self.of(number)]

    def stop(self) -> None:
        """As an administrator does, and not kinder than need be."""
        for node in reversed(self.nodes):
            node.terminate()
        until = time.monotonic() + 20
        while self.processes() and time.monotonic() < until:
            time.sleep(0.1)
        for pid in self.processes():
            send(pid, signal.SIGKILL)
        for node in self.nodes:
            node.wait()


def send(pid: int, which: signal.Signals) -> None:
    try:
        os.kill(pid, which)
    except ProcessLookupError:
        return


def of_session(session: int) -> list[int]:
    """The processes of a session that are alive."""
    return [pid for pid, (state, _, its) in status().items() if its == session and state != "Z"]


def children(parent: int) -> list[int]:
    return [pid for pid, (_, its, _) in status().items() if its == parent]


def status() -> Mapping[int, tuple[str, int, int]]:
    """Of every process: state, parent, session."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(path.parent.name)] = state, int(parent), int(session)
    return found
