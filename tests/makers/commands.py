"""`deemo` as a process of its own, for tests: its exit status and its two outputs."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass

MANY = 40  # seconds; a run of one short clip with its models takes a fifth of it


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Of stderr, what is not progress ("track_body: 2, ...")."""
        return [line for line in self.err.splitlines() if line.strip() and not re.match(r"[a-z_]+: \d+(,|$)", line)]

    def line_with(self, *words: str) -> str:
        """The one line on stderr that has all these words."""
        found = [line for line in self.lines if all(w in line for w in words)]
        assert len(found) == 1, f"{len(found)} lines with {words} in:\n{self.err}"
        return found[0]


def process(*arguments: object, limit: int | None = None, **env: str) -> Said:
    """`deemo ARGUMENTS` as a process of its own; no file may grow beyond `limit` bytes."""
    prepare = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
    done = subprocess.run(
        [sys.executable, "-m", "deemo_data.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=MANY * 3, env=os.environ | env, preexec_fn=prepare,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def only_line(said: Said) -> str:
    """All of stderr, which is one line of ours and not too long to read."""
    assert len(said.lines) == 1, said.err
    assert len(said.lines[0]) < 600
    return said.lines[0]
