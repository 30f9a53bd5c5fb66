"""File and its digest; atomic replace, hard link, JSONL append, JSON from strangers."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from deemo_data.errors import LabelError, ProjectError


@dataclass(frozen=True, slots=True)
class File:
    """A file on disk and the digest of what is in it."""

    path: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> File:
        with open(path, "rb") as f:
            return cls(str(path), hashlib.file_digest(f, "sha256").hexdigest())


def parse_json(text: str | bytes) -> Any:
    """What a JSON text of somebody else's says. Raises ValueError, also for one so deep that Python's own reader gives up.

    pydantic's reader takes half the time. Of what it refuses (half a surrogate pair, say), Python's has the last word.
    """
    try:
        return from_json(text)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except RecursionError as e:
        raise ValueError("it is nested too deeply") from e


def write_if_changed(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
    """Replace a file whole, aside and renamed; leave it untouched when it already says just this."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    if file_contains(path, [data], mode):
        return False
    replace_file(path, [data], mode)
    return True


def file_contains(path: Path, pieces: Iterable[bytes], mode: int) -> bool:
    """Whether a file is just these pieces, without holding all of it; if so, it is not open wider than `mode` afterwards."""
    if not path.exists():
        return False
    with open(path, "rb") as f:
        if not all(f.read(len(piece)) == piece for piece in pieces) or f.read(1):
            return False
    if path.stat().st_mode & 0o777 & ~mode:  # somebody opened it wider than it may be
        path.chmod(mode)
    return True


def replace_file(path: Path, pieces: Iterable[bytes], mode: int) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as f:
            f.writelines(pieces)
            f.flush()
            os.fsync(f.fileno())
        aside.replace(path)
        sync_to_disk(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def sync_to_disk(path: Path) -> None:
    """Wait until a file's bytes, or what a folder lists, would outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_no_follow(path: str, flags: int) -> int:
    """What open() opens files with that are added to: a symbolic link there may lead out of the project. Raises ProjectError."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o644)
    except OSError as e:
        if e.errno != errno.ELOOP:
            raise
        raise ProjectError(f"{path} is a symbolic link, and nothing is written through it", "Put the file itself there") from e


def link_or_copy(path: Path, there: Path, sha256: str) -> bool:
    """The same bytes at another path: a hard link where the disk allows one, else a copy; whether anything was done.

    Who places many files syncs their folder once, at the end.
    """
    if there.exists() and not there.is_symlink() and (there.samefile(path) or File.of(there).sha256 == sha256):
        return False
    there.parent.mkdir(parents=True, exist_ok=True)
    aside = there.with_name(f".{there.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    try:
        try:
            os.link(path, aside)
        except OSError:
            shutil.copyfile(path, aside)
            sync_to_disk(aside)
        aside.replace(there)
    finally:
        aside.unlink(missing_ok=True)
    return True


def read_whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file; one that a killed process left half written is none."""
    if not path.exists():
        return
    with open(path, "rb") as f:
        for number, line in enumerate(f, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = parse_json(line)
                if not isinstance(row, dict):
                    raise ValueError("it is no JSON object")
                yield row
            except ValueError as e:
                advice = "Put the file back from your backup"
                raise LabelError(f"{path.name} line {number} cannot be read: {e}", advice) from e


def append_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to a file of JSON lines, on disk when this returns; what others add at the same time is not mixed in."""
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", opener=open_no_follow) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.truncate(_end_of_lines(f))  # half a line of a killed process
        f.write("".join(json.dumps(r, sort_keys=True, ensure_ascii=False) + "\n" for r in rows).encode(errors="backslashreplace"))
        f.flush()
        os.fsync(f.fileno())
    sync_to_disk(path.parent)


def _end_of_lines(f: BinaryIO) -> int:
    """How many bytes of a file are whole lines, seen from its end."""
    size = f.seek(0, os.SEEK_END)
    while size > 0:
        start = max(0, size - 65536)
        f.seek(start)
        found = f.read(size - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


def stamp_of(path: Path) -> list[int]:
    """By what it is known, without reading it, that a file is as it was: size, time, and time of whatever was done to it last.

    The first two can be put back after a change, the third cannot.
    """
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
