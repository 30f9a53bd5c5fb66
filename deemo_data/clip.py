"""Clip, Grid, SafeClip; the lists sources.jsonl and clips.jsonl; frame <-> ms."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NewType

from deemo_data.errors import ProjectError, StageError
from deemo_data.files import File, file_contains, parse_json, replace_file

Facts = dict[str, Any]  # JSON values only
NTSC = Fraction(1000, 1001)
WHOLE_RATES = (5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 144, 240)
RATES = sorted(
    {Fraction(r) for r in WHOLE_RATES} | {r * NTSC for r in (15, 24, 30, 48, 60, 120)} | {Fraction(15, 2), Fraction(25, 2)}
)


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


def frame_rate(times: list[Fraction], vfr_fps: int = 30) -> tuple[Fraction, bool]:
    """(fps, vfr) of frames shown at `times`, in seconds, ascending.

    The nearest standard rate within 0.1 % of the mean, when frame k lies within half an interval of k/fps for
    every k; else the stream is of variable rate and will be put on a grid of `vfr_fps`.
    """
    if len(times) < 2 or times[-1] <= times[0]:
        return Fraction(vfr_fps), len(times) > 1
    mean = (len(times) - 1) / (times[-1] - times[0])
    fps = min([*RATES, Fraction(vfr_fps)], key=lambda r: abs(r - mean))
    even = abs(fps - mean) * 1000 <= mean and all(abs((t - times[0]) * fps - k) < Fraction(1, 2) for k, t in enumerate(times))
    return (fps, False) if even else (Fraction(vfr_fps), True)


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
        return Clip(self.id, self.source, self.start_ms, self.end_ms, self.files | files, self.facts | facts)

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
        files = {sys.intern(n): File(*f) for n, f in row["files"].items()}
        return cls(row["id"], row["source"], row["start_ms"], row["end_ms"], files, row["facts"])


def write_clips(clips: Iterable[Clip], path: Path) -> None:
    """One clip a line, sorted by source and time, replaced whole and only when something changed."""
    ordered = sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms))
    row = json.JSONEncoder(sort_keys=True).encode

    def lines() -> Iterator[bytes]:
        return (f"{row(c.to_row())}\n".encode() for c in ordered)

    if not file_contains(path, lines(), 0o644):
        replace_file(path, lines(), 0o644)


def read_clips(path: Path) -> list[Clip]:
    return list(each_clip(path))


def each_clip(path: Path) -> Iterator[Clip]:
    """The clips of a list, a line at a time: there may be many."""
    if not path.exists():
        raise ProjectError(f"{path.name} is not there yet", _MADE_BY.get(path.name, ""))
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                clip = Clip.of_row(parse_json(line))
                if not (
                    isinstance(clip.id, str) and isinstance(clip.source, str) and type(clip.start_ms) is type(clip.end_ms) is int
                ):
                    raise ValueError("a name or a time is none")
                if "grid" in clip.facts or path.name == "sources.jsonl":
                    _check_grid(clip.grid)
            except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as e:
                raise ProjectError(f"{path.name}, line {number} is not a clip of ours: {e}", _MADE_BY.get(path.name, "")) from e
            yield clip


def _check_grid(grid: Grid) -> None:
    if not all(type(x) is int and x > 0 for x in (grid.frames, grid.width, grid.height)) or grid.fps <= 0:
        raise ValueError("its grid is none")


_MADE_BY = {"sources.jsonl": "Type: deemo ingest DIR SOURCES", "clips.jsonl": "Type: deemo segment DIR"}


def ms_of(frame: int, fps: Fraction) -> int:
    """Where frame boundary `frame` of a clip lies on the clip's own clock, in whole milliseconds; halves go up."""
    return round_half_up(Fraction(frame) * 1000 / fps)


SafeClip = NewType("SafeClip", Clip)
