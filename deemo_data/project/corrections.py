"""Corrections that the data owner makes by hand: boxes over faces that were missed, and spans that may not be released.

    corrections/boxes.jsonl      {"id", "source", "start_ms", "end_ms", "box", "at"}
    corrections/withheld.jsonl   {"id", "source", "start_ms", "end_ms", "at"}

The files are append-only; the line {"removes": id, "at"} undoes an earlier one. They cannot be computed again, so back them up.
Every correction refers to a source, in milliseconds on its clock, so that it also holds for clips that are cut later.
`deemo review` writes them; project/clips.py joins the boxes to the clips; project/release.py holds withheld spans back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from deemo_data.clip import Clip, Facts
from deemo_data.errors import LabelError, ProjectError
from deemo_data.files import append_lines, read_lines

BOXES_FILE = "boxes.jsonl"
WITHHELD_FILE = "withheld.jsonl"
BOX_DECIMALS = 5  # decimals of a share of the picture: 1/10 of a pixel in the largest picture that media/limits.py allows


@dataclass(frozen=True)
class Box:
    """A box over [start_ms, end_ms) of a source: left, top, right, bottom, as shares of the upright picture."""

    id: str
    source: str
    start_ms: int
    end_ms: int
    box: tuple[float, float, float, float]
    at: str


@dataclass(frozen=True)
class WithheldSpan:
    """A span [start_ms, end_ms) of a source that may not be released."""

    id: str
    source: str
    start_ms: int
    end_ms: int
    at: str


def add_box(project_root: Path, source: str, start_ms: int, end_ms: int, box: Sequence[float]) -> Box:
    """Record a box. Raises LabelError for a box that covers nothing or leaves the picture."""
    correction = Box(secrets.token_hex(6), source, *_check_span(start_ms, end_ms), _check_box(box), _timestamp())
    append_lines(_correction_path(project_root, BOXES_FILE), [asdict(correction)])
    return correction


def remove_box(project_root: Path, box_id: str) -> Box:
    """Undo a box. Raises LabelError when no box in force has that id."""
    return _remove_row(project_root, BOXES_FILE, box_id, {b.id: b for b in read_boxes(project_root)})


def read_boxes(project_root: Path) -> list[Box]:
    """The boxes in force, oldest first."""
    rows = _read_rows_in_force(_correction_path(project_root, BOXES_FILE))
    return [Box(r["id"], r["source"], r["start_ms"], r["end_ms"], _check_box(r["box"]), r["at"]) for r in rows]


def sources_with_boxes(project_root: Path) -> set[str]:
    """The sources that ever had a box, including boxes that were removed."""
    return {str(row["source"]) for _, row in _read_rows(_correction_path(project_root, BOXES_FILE)) if "source" in row}


def boxes_by_source(project_root: Path) -> dict[str, list[Facts]]:
    """The boxes in force: {source: [{"start_ms", "end_ms", "box"}, ...]}.

    Each box is listed once, sorted by time and place, so that the same set of boxes always gives the same bytes.
    """
    keys: dict[str, set[tuple[int, int, tuple[float, ...]]]] = {}
    for b in read_boxes(project_root):
        keys.setdefault(b.source, set()).add((b.start_ms, b.end_ms, b.box))
    return {
        source: [{"start_ms": s, "end_ms": e, "box": list(box)} for s, e, box in sorted(keys[source])] for source in sorted(keys)
    }


def boxes_on_clip(clip: Clip, by_source: dict[str, list[Facts]]) -> list[Facts]:
    """The fact `drawn` of a clip: the boxes of `boxes_by_source` on it, cut to its span. Boxes elsewhere do not change it."""
    cut = {
        (max(b["start_ms"], clip.start_ms), min(b["end_ms"], clip.end_ms), tuple(b["box"]))
        for b in by_source.get(clip.source, ())
        if overlaps_clip(clip, b["start_ms"], b["end_ms"])
    }
    return [{"start_ms": s, "end_ms": e, "box": list(box)} for s, e, box in sorted(cut)]


def overlaps_clip(clip: Clip, start_ms: int, end_ms: int) -> bool:
    """Whether a span of the clip's source overlaps the clip in time."""
    return start_ms < clip.end_ms and clip.start_ms < end_ms


def clips_under_correction(correction: Box | WithheldSpan, clips: Iterable[Clip]) -> list[Clip]:
    """The clips that a correction affects."""
    return [c for c in clips if c.source == correction.source and overlaps_clip(c, correction.start_ms, correction.end_ms)]


def withhold_clip(project_root: Path, clip: Clip) -> WithheldSpan:
    """Record that the clip's span may not be released, in this clip or in any other that shows a part of it."""
    span = WithheldSpan(secrets.token_hex(6), clip.source, *_check_span(clip.start_ms, clip.end_ms), _timestamp())
    append_lines(_correction_path(project_root, WITHHELD_FILE), [asdict(span)])
    return span


def allow_span(project_root: Path, span_id: str) -> WithheldSpan:
    """Undo a `withhold_clip`: the leak check decides again. Raises LabelError when no span in force has that id."""
    return _remove_row(project_root, WITHHELD_FILE, span_id, {s.id: s for s in read_withheld_spans(project_root)})


def read_withheld_spans(project_root: Path) -> list[WithheldSpan]:
    """The spans that may not be released, oldest first."""
    rows = _read_rows_in_force(_correction_path(project_root, WITHHELD_FILE))
    return [WithheldSpan(r["id"], r["source"], r["start_ms"], r["end_ms"], r["at"]) for r in rows]


def is_withheld(project_root: Path, clip: Clip) -> bool:
    """Whether any part of the clip may not be released, also when it was withheld as part of another clip."""
    path = _correction_path(project_root, WITHHELD_FILE)
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    spans = _withheld_spans_by_source(project_root, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return any(overlaps_clip(clip, start, end) for start, end in spans.get(clip.source, ()))


@lru_cache(maxsize=1)
def _withheld_spans_by_source(project_root: Path, stamp: tuple[int, ...]) -> dict[str, list[tuple[int, int]]]:
    """{source: [(start_ms, end_ms), ...]}. Cached by the file's stamp: it is needed for every clip, and read when it changed."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for span in read_withheld_spans(project_root):
        spans.setdefault(span.source, []).append((span.start_ms, span.end_ms))
    return spans


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────


def _check_span(start_ms: Any, end_ms: Any) -> tuple[int, int]:
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in (start_ms, end_ms)):
        raise LabelError(f"{start_ms!r}-{end_ms!r} is not a span", "Give whole milliseconds on the source's clock")
    if not 0 <= start_ms < end_ms:
        raise LabelError(f"span {start_ms}-{end_ms} ms holds no time", "Its end must lie after its start, and neither below 0")
    return start_ms, end_ms


def _check_box(box: Any) -> tuple[float, float, float, float]:
    """The box, rounded so that the same box gives the same numbers on every machine. Raises LabelError."""
    numbers = isinstance(box, Sequence) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in box)
    if not numbers or len(box) != 4:
        raise LabelError(f"{box!r} is not a box", "Give four numbers: left, top, right, bottom, as shares of the picture")
    if not all(0 <= v <= 1 for v in box):
        raise LabelError(f"box {list(box)} leaves the picture", "Give shares of the picture, 0 to 1")
    x0, y0, x1, y1 = (round(float(v), BOX_DECIMALS) for v in box)
    if not (x0 < x1 and y0 < y1):
        raise LabelError(f"box {[x0, y0, x1, y1]} covers nothing", "Give left before right, and top before bottom")
    return x0, y0, x1, y1


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────


def _correction_path(project_root: Path, name: str) -> Path:
    return project_root / "corrections" / name


def _read_rows_in_force(path: Path) -> list[dict[str, Any]]:
    """The rows that no later line removes. Raises ProjectError for a damaged line, since it may be a box over a visible face."""
    in_force: dict[str, dict[str, Any]] = {}
    for number, row in _read_rows(path):
        try:
            if "removes" in row:
                in_force.pop(row["removes"], None)
                continue
            _check_span(row["start_ms"], row["end_ms"])
            if path.name == BOXES_FILE:
                _check_box(row["box"])
            in_force[row["id"]] = {"source": str(row["source"]), "at": str(row.get("at", "")), **row}
        except (LabelError, KeyError, TypeError) as e:
            reason = e.what if isinstance(e, LabelError) else f"{type(e).__name__} {e}"
            raise _broken_line(path, number, reason) from e
    return list(in_force.values())


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of each correction in a file."""
    return ((line.number, line.row) for line in read_lines(path, lambda number, why: _broken_line(path, number, why)))


def _broken_line(path: Path, number: int, reason: str) -> ProjectError:
    return ProjectError(
        f"corrections/{path.name}, line {number} cannot be read: {reason}", "Mend it, or put the file back from your backup"
    )


def _remove_row(project_root: Path, name: str, row_id: str, in_force: dict[str, Any]) -> Any:
    if row_id not in in_force:
        raise LabelError(f"there is no {row_id!r} in corrections/{name}", "Load the page again: it may be gone already")
    append_lines(_correction_path(project_root, name), [{"removes": row_id, "at": _timestamp()}])
    return in_force[row_id]
