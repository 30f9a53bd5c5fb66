"""Files on disk: digests, safe replacement, lists of JSON lines, and JSON written by others.

Every file that deemo_data replaces goes through `staged`: it is written beside its place, synced to disk and renamed, so that
nobody ever reads half a file. A process that is killed leaves its staged file behind; `sweep_staged` removes it.

Lists that only grow (labels, corrections, withdrawals) are JSON Lines: one JSON object per line. `append_lines` and `read_lines`
are the one writer and the one reader. Both treat the last line alike when its newline is missing. A complete row is a row:
an editor left the newline off. Anything else is half a row that a killed process left: it is dropped.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydantic_core import from_json

from deemo_data.errors import DeemoError, LabelError, ProjectError

BLOCK_BYTES = 65536  # read at a time when the last line of a file is looked for


@dataclass(frozen=True, slots=True)
class File:
    """A file on disk and the SHA-256 digest of its content."""

    path: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> File:
        with open(path, "rb") as f:
            return cls(str(path), hashlib.file_digest(f, "sha256").hexdigest())


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that others wrote. Raises ValueError, also for a text nested so deeply that Python's own parser gives up.

    pydantic's parser takes half the time. Python's parser decides about what it refuses, such as half a surrogate pair.
    """
    try:
        return from_json(text)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except RecursionError as e:
        raise ValueError("it is nested too deeply") from e


# ── replacing a file ─────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def staged(path: Path, mode: int | None = None, *, sync: bool = True) -> Iterator[Path]:
    """Write a file or a folder beside its place; on leaving without an error it is synced to disk and renamed to `path`.

    The body writes to the path that it gets: a hidden one in the same folder, which must exist by then. `path` stays as it is
    when the body raises, and when nothing lies at that path in the end. A staged folder replaces the folder at `path`.

    mode  permissions of a file: an empty one is there from the beginning, and is never open to more people
    sync  False: the caller syncs what it wrote, and the folder once after many files
    """
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    _remove(staging)  # left by an earlier process of the same number
    try:
        if mode is not None:  # its owner can write it until it is in place
            os.close(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode | stat.S_IWUSR))
        yield staging
        if not os.path.lexists(staging):
            return
        if mode is not None and not mode & stat.S_IWUSR:
            staging.chmod(staging.stat().st_mode & ~stat.S_IWUSR)
        if sync:
            for written in (*staging.rglob("*"), staging):
                sync_to_disk(written)
        if staging.is_dir():
            _remove(path)  # a folder that is not empty cannot be replaced by a rename
        staging.replace(path)
        if sync:
            sync_to_disk(path.parent)
    finally:
        _remove(staging)


def is_staging_name(name: str) -> bool:
    """Whether `staged` gives such a name to what is being written: a dot, the name of the file, a dot, a process id."""
    return name.startswith(".") and name.rpartition(".")[2].isdecimal() and name.count(".") > 1


def sweep_staged(folder: Path) -> None:
    """Remove the files in a folder that processes were writing when they were killed; not those of processes that run."""
    for path in folder.glob(".*.*"):
        if is_staging_name(path.name) and path.is_file() and not _is_running(int(path.name.rpartition(".")[2])):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_if_changed(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
    """Replace a file, unless it holds exactly this already; whether it was replaced."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    if file_contains(path, [data], mode):
        return False
    replace_file(path, [data], mode)
    return True


def file_contains(path: Path, pieces: Iterable[bytes], mode: int) -> bool:
    """Whether a file holds exactly these pieces, compared one by one. If so, permissions wider than `mode` are narrowed."""
    if not path.exists():
        return False
    with open(path, "rb") as f:
        if not all(f.read(len(piece)) == piece for piece in pieces) or f.read(1):
            return False
    if path.stat().st_mode & 0o777 & ~mode:  # somebody opened it wider than it may be
        path.chmod(mode)
    return True


def replace_file(path: Path, pieces: Iterable[bytes], mode: int) -> None:
    """Write pieces to a file, which replaces the one that is there."""
    with staged(path, mode) as staging, open(staging, "wb", opener=open_no_follow) as f:
        f.writelines(pieces)


def link_or_copy(path: Path, there: Path, sha256: str) -> bool:
    """Put the same bytes at another path: a hard link where the disk allows one, otherwise a copy; whether anything was done.

    The caller syncs the folder, once after many files.
    """
    if there.exists() and not there.is_symlink() and (there.samefile(path) or File.of(there).sha256 == sha256):
        return False
    there.parent.mkdir(parents=True, exist_ok=True)
    with staged(there, sync=False) as staging:
        try:
            os.link(path, staging)
        except OSError:
            shutil.copyfile(path, staging)
            sync_to_disk(staging)
    return True


def sync_to_disk(path: Path) -> None:
    """Wait until the bytes of a file, or the entries of a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_no_follow(path: str, flags: int) -> int:
    """An opener for `open` that refuses a symbolic link: it may lead out of the project. Raises ProjectError."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o644)
    except OSError as e:
        if e.errno != errno.ELOOP:
            raise
        raise ProjectError(f"{path} is a symbolic link, and nothing is written through it", "Put the file itself there") from e


def stamp_of(path: Path) -> list[int]:
    """Size, time of change and inode time of a file: equal stamps mean an unchanged file, without reading it.

    Somebody who changes a file can put its size and time back, but not its inode time.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


# ── lists of JSON lines ──────────────────────────────────────────────────────────────────────────────────────


class Line(NamedTuple):
    """One line of a list: its number from 1, its bytes with the newline (if it has one), and the JSON object it holds."""

    number: int
    text: bytes
    row: dict[str, Any]


def append_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Append rows to a list. Durable on return; concurrent writers do not interleave.

    A complete last row that lacks its newline gets it; half a row that a killed process left is cut off.
    """
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", opener=open_no_follow) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        end = _end_of_lines(f)
        f.seek(end)
        tail = f.read()
        if _is_row(tail):
            f.write(b"\n")
        elif tail:
            f.truncate(end)
        f.write("".join(json.dumps(r, sort_keys=True, ensure_ascii=False) + "\n" for r in rows).encode(errors="backslashreplace"))
        f.flush()
        os.fsync(f.fileno())
    sync_to_disk(path.parent)


def _unreadable_line(path: Path) -> Callable[[int, str], DeemoError]:
    advice = "Put the file back from your backup"
    return lambda number, why: LabelError(f"{path.name} line {number} cannot be read: {why}", advice)


def read_lines(path: Path, error: Callable[[int, str], DeemoError] | None = None, *, strict: bool = False) -> Iterator[Line]:
    """The rows of a list, one line at a time. A list that is not there yet has none.

    Half a row at the end, which a killed process left, is dropped, and so are blank lines. Another line that is no JSON object
    raises `error(line number, reason)`; without one, a LabelError that names the file and the line.

    strict  for lists that are always replaced as a whole: a missing file raises OSError, and every line must be a row
    """
    if not strict and not path.exists():
        return
    error = error or _unreadable_line(path)
    with open(path, "rb") as f:
        for number, text in enumerate(f, 1):
            if not strict and not text.strip():
                continue
            try:
                row = parse_json(text)
                if not isinstance(row, dict):
                    raise ValueError("it is no JSON object")
            except ValueError as e:
                if not strict and not text.endswith(b"\n"):
                    return
                raise error(number, str(e)) from e
            yield Line(number, text, row)


def _is_row(text: bytes) -> bool:
    try:
        return isinstance(parse_json(text), dict)
    except ValueError:
        return False


def _end_of_lines(f: BinaryIO) -> int:
    """The offset at which the last line that lacks its newline begins; the size of the file when no line lacks it."""
    size = f.seek(0, os.SEEK_END)
    while size > 0:
        start = max(0, size - BLOCK_BYTES)
        f.seek(start)
        newline = f.read(size - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        size = start
    return 0
