"""Clips, their frame grid, and the lists sources.jsonl and clips.jsonl.

A source is a video file that was taken in; a clip is a stretch of it. Everything that deemo_data does is done to clips: a stage
gets a clip, and hands back files and facts about it. All clips of a source share one grid of frames (`Grid`), which also converts
between frames and milliseconds.

A `SafeClip` is a clip that may leave the machine. Only project/release.py makes one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NewType

from deemo_data.errors import ProjectError, StageError
from deemo_data.files import File, file_contains, read_lines, replace_file

Facts = dict[str, Any]  # what is known about a clip: JSON values only
NTSC_FACTOR = Fraction(1000, 1001)
INTEGER_RATES = (5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 144, 240)
STANDARD_RATES = sorted(
    {Fraction(r) for r in INTEGER_RATES}
    | {r * NTSC_FACTOR for r in (15, 24, 30, 48, 60, 120)}
    | {Fraction(15, 2), Fraction(25, 2)}
)


@dataclass(frozen=True)
class Join:
    """A place at which the clock of a source begins anew, for one stream: there a second recording follows the first.

    stream  index of the stream in the file
    packet  the first packet that belongs to the second recording, counted from 0 among those of the stream
    shift   seconds by which it, and all that follow, are later than their own time stamps say
    """

    stream: int
    packet: int
    shift: Fraction


@dataclass(frozen=True)
class Grid:
    """The frames of a source at a constant rate: it defines which picture frame k of a clip is.

    The grid starts at the first frame of the source. All clips share it, so that frame n of the grid is the same picture in
    every clip.

    fps     frames per second: one of the standard rates, or `vfr_fps` of the config
    vfr     True when the source has a variable frame rate: its own frames do not lie on k / fps
    zero    time of the first frame on the source's own clock, in seconds; people see it as 0 ms
    frames  number of frames in the grid, over the whole source
    width, height  of the upright picture, in square pixels, both even
    video_track  index of the picture track, counted from 0 among those of the file
    still_frames  number of frames at the end that show the last picture again, because it lasts or the sound goes on
    joins   where the clock begins anew, in the order of the file; `zero` and all times are those of the first recording's clock
    white   of HDR footage: cd/m² of a white sheet, as media/filters.py estimates it; 0 for other footage
    fields  "tff" or "bff" (top or bottom field first) for interlaced frames that do not say so; otherwise ""
    """

    fps: Fraction
    vfr: bool
    zero: Fraction
    frames: int
    width: int
    height: int
    video_track: int = 0
    still_frames: int = 0
    joins: tuple[Join, ...] = ()
    white: int = 0
    fields: str = ""

    def to_fact(self) -> Facts:
        """The grid as JSON values. The optional fields are left out where they say nothing, as in nearly all footage."""
        fact: Facts = {
            "fps": str(self.fps), "vfr": self.vfr, "zero": str(self.zero),
            "frames": self.frames, "width": self.width, "height": self.height,
        }  # fmt: skip
        joins = [[j.stream, j.packet, str(j.shift)] for j in self.joins]
        optional = {
            "video_track": self.video_track, "still_frames": self.still_frames, "joins": joins,
            "white": self.white, "fields": self.fields,
        }  # fmt: skip
        return fact | {name: value for name, value in optional.items() if value}

    @classmethod
    def of(cls, fact: Facts) -> Grid:
        joins = tuple(Join(stream, packet, Fraction(shift)) for stream, packet, shift in fact.get("joins", ()))
        return cls(**{**fact, "fps": Fraction(fact["fps"]), "zero": Fraction(fact["zero"]), "joins": joins})

    def frame_at(self, ms: int) -> int:
        """The frame boundary nearest to `ms` on the source's clock; halves are rounded up."""
        return round_half_up(Fraction(ms, 1000) * self.fps)

    def ms_at(self, frame: int) -> int:
        """The time of frame boundary `frame` on the source's clock, in whole milliseconds."""
        return round_half_up(Fraction(frame) * 1000 / self.fps)


def find_frame_rate(times: list[Fraction], vfr_fps: int = 30) -> tuple[Fraction, bool]:
    """Find the frame rate of a stream: (fps, vfr) of frames that are shown at `times`, in seconds, ascending.

    The result is the standard rate nearest to the mean rate, if it lies within 0.1 % of the mean and every frame k lies within
    half an interval of k / fps. Otherwise the stream has a variable rate and gets a grid of `vfr_fps`.
    """
    if len(times) < 2 or times[-1] <= times[0]:
        return Fraction(vfr_fps), len(times) > 1
    mean = (len(times) - 1) / (times[-1] - times[0])
    fps = min([*STANDARD_RATES, Fraction(vfr_fps)], key=lambda r: abs(r - mean))
    even = abs(fps - mean) * 1000 <= mean and all(abs((t - times[0]) * fps - k) < Fraction(1, 2) for k, t in enumerate(times))
    return (fps, False) if even else (Fraction(vfr_fps), True)


def round_half_up(x: Fraction) -> int:
    """The nearest whole number; halves are rounded up."""
    return (2 * x.numerator + x.denominator) // (2 * x.denominator)


@dataclass(frozen=True)
class Clip:
    """One stretch [start_ms, end_ms) of one source, with the files and facts that stages made of it.

    A clip is immutable: `with_results` gives a new one that holds more. A source is a clip that spans the whole video.

    id      of the clip; for a source, the same as `source`
    source  id of the source: the beginning of the digest of its bytes
    files   name -> file, such as "source", "faces", "safe"
    facts   name -> JSON value, such as "grid", "consent", "leaks_passed"
    """

    id: str
    source: str
    start_ms: int
    end_ms: int
    files: dict[str, File] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)

    @classmethod
    def of_span(cls, source: Clip, start_ms: int, end_ms: int) -> Clip:
        """The clip of `source` over a span. Its id comes from the content and the span, never from a path."""
        return cls(f"{source.source}-{start_ms}-{end_ms}", source.source, start_ms, end_ms, source.files, source.facts)

    def path(self, name: str) -> Path:
        return Path(self.files[name].path)

    @property
    def grid(self) -> Grid:
        return Grid.of(self.facts["grid"])

    @property
    def first_frame(self) -> int:
        """Frame 0 of the clip, counted on the grid of the source."""
        return self.grid.frame_at(self.start_ms)

    @property
    def num_frames(self) -> int:
        grid = self.grid
        return min(grid.frame_at(self.end_ms), grid.frames) - grid.frame_at(self.start_ms)

    def restrict_to(self, needs: Iterable[str]) -> Clip:
        """The clip with only the files and facts that a stage declared in `needs`. Raises StageError when one is missing."""
        needs = list(needs)
        if lacking := [n for n in needs if n not in self.files and n not in self.facts]:
            raise StageError(f"clip {self.id}: {', '.join(lacking)} was never made")
        files = {n: self.files[n] for n in needs if n in self.files}
        facts = {n: self.facts[n] for n in needs if n in self.facts}
        return replace(self, files=files, facts=facts)

    def with_results(self, files: dict[str, File], facts: Facts) -> Clip:
        """The clip with more files and facts; a new one replaces the old one of that name."""
        return Clip(self.id, self.source, self.start_ms, self.end_ms, self.files | files, self.facts | facts)

    def over_span_of(self, clip: Clip) -> Clip:
        """The same files and facts, with the id and the stretch of `clip`."""
        return replace(self, id=clip.id, start_ms=clip.start_ms, end_ms=clip.end_ms)

    def source_clip(self) -> Clip:
        """The clip that spans the whole source, with the same files and facts."""
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
    """Write a list of clips, one per line, sorted by source and time. An unchanged file is not replaced."""
    ordered = sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms))
    row = json.JSONEncoder(sort_keys=True).encode

    def lines() -> Iterator[bytes]:
        return (f"{row(c.to_row())}\n".encode() for c in ordered)

    if not file_contains(path, lines(), 0o644):
        replace_file(path, lines(), 0o644)


def read_clips(path: Path) -> list[Clip]:
    """All clips of a list; see `iterate_clips`."""
    return list(iterate_clips(path))


def iterate_clips(path: Path) -> Iterator[Clip]:
    """The clips of a list, read one line at a time because there may be many.

    Raises ProjectError when the list is missing, and for a line that holds no clip.
    """
    if not path.exists():
        raise ProjectError(f"{path.name} is not there yet", _MADE_BY.get(path.name, ""))

    def error(number: int, why: str) -> ProjectError:
        return ProjectError(f"{path.name}, line {number} is not a clip of ours: {why}", _MADE_BY.get(path.name, ""))

    for number, _, row in read_lines(path, error, strict=True):
        try:
            clip = Clip.of_row(row)
            if not (
                isinstance(clip.id, str) and isinstance(clip.source, str) and type(clip.start_ms) is type(clip.end_ms) is int
            ):
                raise ValueError("a name or a time is none")
            if "grid" in clip.facts or path.name == "sources.jsonl":
                _check_grid(clip.grid)
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as e:
            raise error(number, str(e)) from e
        yield clip


def _check_grid(grid: Grid) -> None:
    if not all(type(x) is int and x > 0 for x in (grid.frames, grid.width, grid.height)) or grid.fps <= 0:
        raise ValueError("its grid is none")


_MADE_BY = {"sources.jsonl": "Type: deemo ingest DIR SOURCES", "clips.jsonl": "Type: deemo segment DIR"}


def frame_to_ms(frame: int, fps: Fraction) -> int:
    """The time of frame boundary `frame` of a clip on the clip's own clock, in whole milliseconds; halves are rounded up."""
    return round_half_up(Fraction(frame) * 1000 / fps)


SafeClip = NewType("SafeClip", Clip)  # a clip that may leave the machine: see project/release.py
