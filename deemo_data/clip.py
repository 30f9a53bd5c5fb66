"""The record that travels: one stretch of one source, and the files made from it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from deemo_data.errors import ProjectError, StageError

Facts = dict[str, Any]  # JSON values only


@dataclass(frozen=True)
class File:
    """A file on disk and the digest of what is in it."""

    path: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> File:
        with open(path, "rb") as f:
            return cls(str(path), hashlib.file_digest(f, "sha256").hexdigest())


@dataclass(frozen=True)
class Grid:
    """The constant-rate frame grid of a source: what frame k of any of its clips is.

    It starts at the source's first frame, and clips share it: grid frame n is the same picture in every clip.

    fps     frames a second; one of the standard rates, or the config's `vfr_fps`
    vfr     True when the source's own frames do not lie on k/fps
    zero    time of the source's first frame on its own clock, in seconds: people's 0 ms
    frames  how many frames the grid has, over the whole source
    width, height  of the upright picture, in square pixels, both even
    """

    fps: Fraction
    vfr: bool
    zero: Fraction
    frames: int
    width: int
    height: int

    def to_fact(self) -> Facts:
        return {
            "fps": str(self.fps), "vfr": self.vfr, "zero": str(self.zero),
            "frames": self.frames, "width": self.width, "height": self.height,
        }  # fmt: skip

    @classmethod
    def of(cls, fact: Facts) -> Grid:
        return cls(**{**fact, "fps": Fraction(fact["fps"]), "zero": Fraction(fact["zero"])})

    def frame_at(self, ms: int) -> int:
        """The frame boundary nearest to `ms` on the source clock; halves go up."""
        return round_half_up(Fraction(ms, 1000) * self.fps)

    def ms_at(self, frame: int) -> int:
        """Where frame boundary `frame` lies, in whole milliseconds on the source clock."""
        return round_half_up(Fraction(frame) * 1000 / self.fps)


def round_half_up(x: Fraction) -> int:
    return (2 * x.numerator + x.denominator) // (2 * x.denominator)


@dataclass(frozen=True)
class Clip:
    """One stretch [start_ms, end_ms) of one source. Immutable: a stage hands back a new one that knows more.

    A source is a clip that spans everything.
    """

    id: str
    source: str
    start_ms: int
    end_ms: int
    files: dict[str, File] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)

    @classmethod
    def of_span(cls, source: Clip, start_ms: int, end_ms: int) -> Clip:
        """The clip of `source` over a span: its id comes from content and span, never from a path."""
        return cls(f"{source.source}-{start_ms}-{end_ms}", source.source, start_ms, end_ms, source.files, source.facts)

    def path(self, name: str) -> Path:
        return Path(self.files[name].path)

    @property
    def grid(self) -> Grid:
        return Grid.of(self.facts["grid"])

    @property
    def first_frame(self) -> int:
        """The clip's frame 0, counted on the source's grid."""
        return self.grid.frame_at(self.start_ms)

    @property
    def num_frames(self) -> int:
        grid = self.grid
        return min(grid.frame_at(self.end_ms), grid.frames) - grid.frame_at(self.start_ms)

    def only(self, needs: Iterable[str]) -> Clip:
        """What a stage is allowed to see: the files and facts it declared, nothing else."""
        needs = list(needs)
        if lacking := [n for n in needs if n not in self.files and n not in self.facts]:
            raise StageError(f"clip {self.id}: {', '.join(lacking)} was never made")
        files = {n: self.files[n] for n in needs if n in self.files}
        facts = {n: self.facts[n] for n in needs if n in self.facts}
        return replace(self, files=files, facts=facts)

    def knowing(self, files: dict[str, File], facts: Facts) -> Clip:
        return replace(self, files=self.files | files, facts=self.facts | facts)

    def at(self, clip: Clip) -> Clip:
        """The same files and facts, over the stretch of `clip`."""
        return replace(self, id=clip.id, start_ms=clip.start_ms, end_ms=clip.end_ms)

    def whole(self) -> Clip:
        """The source of this clip: the clip that spans all of it."""
        return replace(self, id=self.source, start_ms=0, end_ms=self.grid.ms_at(self.grid.frames))

    def to_row(self) -> Facts:
        files = {n: [f.path, f.sha256] for n, f in self.files.items()}
        return {"id": self.id, "source": self.source, "start_ms": self.start_ms, "end_ms": self.end_ms,
                "files": files, "facts": self.facts}  # fmt: skip

    @classmethod
    def of_row(cls, row: Facts) -> Clip:
        files = {n: File(*f) for n, f in row["files"].items()}
        return cls(row["id"], row["source"], row["start_ms"], row["end_ms"], files, row["facts"])


def write_clips(clips: Iterable[Clip], path: Path) -> None:
    """One clip a line, sorted by source and time, replaced whole and only when something changed."""
    ordered = sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms))
    write_if_changed(path, "".join(json.dumps(c.to_row(), sort_keys=True) + "\n" for c in ordered))


def read_clips(path: Path) -> list[Clip]:
    if not path.exists():
        raise ProjectError(f"{path.name} is not there yet", _MADE_BY.get(path.name, ""))
    clips = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            clips.append(Clip.of_row(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise ProjectError(f"{path.name}, line {number} is not a clip of ours: {e}", _MADE_BY.get(path.name, "")) from e
    return clips


_MADE_BY = {"sources.jsonl": "Type: deemo ingest DIR SOURCES", "clips.jsonl": "Type: deemo segment DIR"}


def write_if_changed(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
    """Replace a file whole, aside and renamed; leave it untouched when it already says just this."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    if path.exists() and path.read_bytes() == data:
        if path.stat().st_mode & 0o777 & ~mode:  # somebody opened it wider than it may be
            path.chmod(mode)
        return False
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        aside.replace(path)
        sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)
    return True


def sync(path: Path) -> None:
    """Wait until a file's bytes, or what a folder lists, would outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def own_file(path: str, flags: int) -> int:
    """What open() opens files with that are added to: a symbolic link there may lead out of the project. Raises ProjectError."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o644)
    except OSError as e:
        if e.errno != errno.ELOOP:
            raise
        raise ProjectError(f"{path} is a symbolic link, and nothing is written through it", "Put the file itself there") from e


def place(path: Path, there: Path, sha256: str) -> bool:
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
            sync(aside)
        aside.replace(there)
    finally:
        aside.unlink(missing_ok=True)
    return True
