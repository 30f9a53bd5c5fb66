"""Makers that tests of several packages share; taken from test_faults."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def flip(path: Path) -> None:
    """Other bytes of the same number, under the old time: as a disk does it."""
    was, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


# ── a full disk ──────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def disk(folder: Path, kb: int, more: str = "") -> Iterator[Path]:
    """A disk of its own with so much room. Skips the test where nobody may mount one."""
    folder.mkdir()
    said = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kb}k{more}", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if said.returncode:
        pytest.skip(f"no small disk can be mounted here: {said.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def grow(folder: Path, kb: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kb}k,nr_inodes=1m", str(folder)], check=True)
