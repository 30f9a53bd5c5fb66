"""Reads a match table: which source each task of a foreign Label Studio export is about, and which stretch of it was labelled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from deemo_data.annotation.reading.shown import ShownVideo
from deemo_data.clip import Clip, round_half_up
from deemo_data.errors import ConfigError, LabelError
from deemo_data.pseudonyms import derive_public_id
from deemo_data.sources import spreadsheet

MATCH_ADVICE = "Give a CSV with the columns name, source"
MATCH_COLUMNS = ("name", "source", "fps", "start_ms", "end_ms")
SOURCE_ADVICE = "Give the id that sources.jsonl says"


def find_match(names: Sequence[str], table: Mapping[str, ShownVideo]) -> ShownVideo | None:
    """The row of a match table for a task. `names`: its id, then file names in its data, which may stand without their ending."""
    return next((table[n] for n in [*names, *(Path(n).stem for n in names[1:])] if n in table), None)


def read_match_table(path: Path, sources: Sequence[Clip], secret: bytes) -> tuple[dict[str, ShownVideo], tuple[str, ...]]:
    """({task id or file name: the labelled video}, what was guessed about the table).

    Raises LabelError, with the line, for a row that does not fit a source, and for two rows of one name.
    """
    try:
        table = spreadsheet.read_table(path, MATCH_COLUMNS, MATCH_COLUMNS[:2])
    except OSError as e:
        raise LabelError(f"{path}: {e.strerror}", MATCH_ADVICE) from e
    except ConfigError as e:
        raise LabelError(e.what, e.advice) from e
    if not table.rows:
        raise LabelError(f"{path.name} has no rows with the columns name and source", MATCH_ADVICE)
    videos: dict[str, ShownVideo] = {}
    for number, row in table.rows:
        name = re.sub(r"^(\d+)\.0$", r"\1", row["name"])  # a task's id that a program took for a number with a fraction
        if not name:
            raise LabelError(f"{path.name} line {number} has no name", MATCH_ADVICE)
        video = _video_of_row(path, number, row, sources, secret)
        if videos.setdefault(name, video) != video:
            raise LabelError(
                f"{path.name} line {number}: {name!r} stands for another video in a line before", "Leave one of the two"
            )
    return videos, tuple(notice.text for notice in table.notices)


def _video_of_row(path: Path, number: int, row: dict[str, str], sources: Sequence[Clip], secret: bytes) -> ShownVideo:
    """The labelled video of one row of the match table; `number` is its line."""
    source = _find_source(path, number, row["source"], sources, secret)
    cells = {name: "" if spreadsheet.is_machine_nothing(cell) else cell for name, cell in row.items()}
    try:
        is_stated = bool(cells.get("fps"))
        fps = (
            Fraction(re.sub(r"^(\d+),(\d+)$", r"\1.\2", cells["fps"])) if is_stated else source.grid.fps
        )  # 29,97 of a spreadsheet
        start, end = (_read_ms(cells.get(name, ""), other) for name, other in (("start_ms", 0), ("end_ms", source.end_ms)))
    except (ValueError, ZeroDivisionError) as e:
        advice = "fps is a number or 30000/1001, times are whole milliseconds"
        raise LabelError(f"{path.name} line {number}: {e}", advice) from e
    if not (0 <= start < end <= source.end_ms and fps > 0):
        wrong = f"{path.name} line {number}: {start}-{end} ms at {fps} fps does not fit"
        raise LabelError(wrong, f"The source lasts {source.end_ms} ms")
    public = derive_public_id(secret, "v", source.source)
    num_frames = round_half_up((end - start) * fps / 1000)
    return ShownVideo(public, public, start, end, start, 0, num_frames, fps, fps_stated=is_stated)


def _read_ms(cell: str, otherwise: int) -> int:
    """Whole milliseconds, or `otherwise` for an empty cell. Raises ValueError."""
    value = spreadsheet.parse_whole_number(cell) if cell else otherwise
    if value is None:
        raise ValueError(f"{cell!r} is {spreadsheet.describe_number_fault(cell)}")
    return value


def _find_source(path: Path, number: int, name: str, sources: Sequence[Clip], secret: bytes) -> Clip:
    """The source that a match table names: by our id, its public id, its path or its file name."""
    try:
        place = (path.parent / name).resolve()
    except (OSError, ValueError) as e:  # longer than any path, or with a NUL
        raise LabelError(f"{path.name} line {number}: {e}", SOURCE_ADVICE) from e
    matches = [
        s for s in sources
        if name in (s.source, derive_public_id(secret, "v", s.source), s.files["source"].path, s.path("source").name)
        or place == s.path("source").resolve()
    ]  # fmt: skip
    if len(matches) != 1:
        count = f"{len(matches)} sources are called" if matches else "there is no source"
        raise LabelError(f"{path.name} line {number}: {count} {name!r}", SOURCE_ADVICE)
    return matches[0]
