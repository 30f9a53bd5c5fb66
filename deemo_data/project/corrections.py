"""What the data owner corrected by hand: boxes over faces that were missed, and stretches that may never leave.

    corrections/boxes.jsonl      {"id", "source", "start_ms", "end_ms", "box", "at"}
    corrections/withheld.jsonl   {"id", "source", "start_ms", "end_ms", "at"}

Lines are only ever added; {"removes": id, "at"} takes one back. It is state: nothing can make it again. Everything is said of
a source and on its clock, so that it holds for whatever clips are cut from it later.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from deemo_data.clip import Clip, Facts
from deemo_data.errors import LabelError, ProjectError
from deemo_data.files import open_no_follow, parse_json, sync_to_disk

BOXES = "boxes.jsonl"
WITHHELD = "withheld.jsonl"
DIGITS = 5  # of a share of the picture: a tenth of a pixel in the largest picture we take


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
class Held:
    """A stretch [start_ms, end_ms) of a source that may not leave."""

    id: str
    source: str
    start_ms: int
    end_ms: int
    at: str


def add(project_root: Path, source: str, start_ms: int, end_ms: int, box: Sequence[float]) -> Box:
    """Write down a box. Raises LabelError for one that covers nothing, or lies outside the picture."""
    made = Box(secrets.token_hex(6), source, *_span(start_ms, end_ms), _shares(box), _now())
    _append(_file(project_root, BOXES), asdict(made))
    return made


def remove(project_root: Path, box_id: str) -> Box:
    """Take a box back. Raises LabelError when there is none of that id (any more)."""
    return _remove(project_root, BOXES, box_id, {b.id: b for b in boxes(project_root)})


def boxes(project_root: Path) -> list[Box]:
    """The boxes that hold now, oldest first."""
    rows = _in_force(_file(project_root, BOXES))
    return [Box(r["id"], r["source"], r["start_ms"], r["end_ms"], _shares(r["box"]), r["at"]) for r in rows]


def sources_touched(project_root: Path) -> set[str]:
    """The sources that ever had a box, also one that was taken back."""
    rows = [row for _, row in _rows(_file(project_root, BOXES))]
    return {str(row["source"]) for row in rows if isinstance(row, dict) and "source" in row}


def boxes_in_force(project_root: Path) -> dict[str, list[Facts]]:
    """{source: [{"start_ms", "end_ms", "box"}, ...]}, each once, sorted by time and place: the same boxes are the same bytes."""
    found: dict[str, set[tuple[int, int, tuple[float, ...]]]] = {}
    for b in boxes(project_root):
        found.setdefault(b.source, set()).add((b.start_ms, b.end_ms, b.box))
    return {
        source: [{"start_ms": s, "end_ms": e, "box": list(box)} for s, e, box in sorted(found[source])]
        for source in sorted(found)
    }


def drawn(clip: Clip, in_force: dict[str, list[Facts]]) -> list[Facts]:
    """The fact `drawn` of a clip: what `boxes_in_force` has on it, cut to its span. Another box elsewhere does not change it."""
    cut = {
        (max(b["start_ms"], clip.start_ms), min(b["end_ms"], clip.end_ms), tuple(b["box"]))
        for b in in_force.get(clip.source, ())
        if touches(clip, b["start_ms"], b["end_ms"])
    }
    return [{"start_ms": s, "end_ms": e, "box": list(box)} for s, e, box in sorted(cut)]


def touches(clip: Clip, start_ms: int, end_ms: int) -> bool:
    """Whether a stretch of the clip's source shares time with the clip."""
    return start_ms < clip.end_ms and clip.start_ms < end_ms


def touched_by(one: Box | Held, clips: Iterable[Clip]) -> list[Clip]:
    """The clips that a correction is about."""
    return [c for c in clips if c.source == one.source and touches(c, one.start_ms, one.end_ms)]


def withhold(project_root: Path, clip: Clip) -> Held:
    """Write down that nothing of the clip's stretch may leave, in this clip or any other that shows a part of it."""
    made = Held(secrets.token_hex(6), clip.source, *_span(clip.start_ms, clip.end_ms), _now())
    _append(_file(project_root, WITHHELD), asdict(made))
    return made


def allow(project_root: Path, held_id: str) -> Held:
    """Take a `withhold` back: the leak check decides again. Raises LabelError when there is none of that id (any more)."""
    return _remove(project_root, WITHHELD, held_id, {h.id: h for h in withheld(project_root)})


def withheld(project_root: Path) -> list[Held]:
    """The stretches that may not leave, oldest first."""
    rows = _in_force(_file(project_root, WITHHELD))
    return [Held(r["id"], r["source"], r["start_ms"], r["end_ms"], r["at"]) for r in rows]


def is_withheld(project_root: Path, clip: Clip) -> bool:
    """Whether the clip shows anything that may not leave, whatever it was called when that was said."""
    path = _file(project_root, WITHHELD)
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    held = _withheld(project_root, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return any(touches(clip, start, end) for start, end in held.get(clip.source, ()))


@lru_cache(maxsize=1)
def _withheld(project_root: Path, stamp: tuple[int, ...]) -> dict[str, list[tuple[int, int]]]:
    """{source: stretches that may not leave} as the file of that stamp says: asked for every clip, read when it changed."""
    found: dict[str, list[tuple[int, int]]] = {}
    for h in withheld(project_root):
        found.setdefault(h.source, []).append((h.start_ms, h.end_ms))
    return found


# ── what may be said ─────────────────────────────────────────────────────────────────────────────────────────


def _span(start_ms: Any, end_ms: Any) -> tuple[int, int]:
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in (start_ms, end_ms)):
        raise LabelError(f"{start_ms!r}-{end_ms!r} is not a span", "Give whole milliseconds on the source's clock")
    if not 0 <= start_ms < end_ms:
        raise LabelError(f"span {start_ms}-{end_ms} ms holds no time", "Its end must lie after its start, and neither below 0")
    return start_ms, end_ms


def _shares(box: Any) -> tuple[float, float, float, float]:
    """Rounded, so that the same box is the same number on every machine."""
    numbers = isinstance(box, Sequence) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in box)
    if not numbers or len(box) != 4:
        raise LabelError(f"{box!r} is not a box", "Give four numbers: left, top, right, bottom, as shares of the picture")
    if not all(0 <= v <= 1 for v in box):
        raise LabelError(f"box {list(box)} leaves the picture", "Give shares of the picture, 0 to 1")
    x0, y0, x1, y1 = (round(float(v), DIGITS) for v in box)
    if not (x0 < x1 and y0 < y1):
        raise LabelError(f"box {[x0, y0, x1, y1]} covers nothing", "Give left before right, and top before bottom")
    return x0, y0, x1, y1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────


def _file(project_root: Path, name: str) -> Path:
    return project_root / "corrections" / name


def _in_force(path: Path) -> list[dict[str, Any]]:
    """The lines that nothing takes back. Raises ProjectError for a line that is not one of ours: it may be a face that shows."""
    found: dict[str, dict[str, Any]] = {}
    for number, row in _rows(path):
        try:
            if "removes" in row:
                found.pop(row["removes"], None)
                continue
            _span(row["start_ms"], row["end_ms"])
            if path.name == BOXES:
                _shares(row["box"])
            found[row["id"]] = {"source": str(row["source"]), "at": str(row.get("at", "")), **row}
        except (LabelError, KeyError, TypeError) as e:
            said = e.what if isinstance(e, LabelError) else f"{type(e).__name__} {e}"
            raise _broken(path, number, said) from e
    return list(found.values())


def _rows(path: Path) -> list[tuple[int, Any]]:
    """(line number, content). A last line without an end that is no JSON was left by a killed process: it is none."""
    if not path.exists():
        return []
    *lines, last = path.read_bytes().split(b"\n")
    rows = []
    for number, line in enumerate([*lines, last], 1):
        try:
            if line.strip():
                rows.append((number, parse_json(line)))
        except ValueError as e:
            if number <= len(lines):
                raise _broken(path, number, str(e)) from e
    return rows


def _broken(path: Path, number: int, said: str) -> ProjectError:
    return ProjectError(
        f"corrections/{path.name}, line {number} cannot be read: {said}", "Mend it, or put the file back from your backup"
    )


def _remove(project_root: Path, name: str, one: str, known: dict[str, Any]) -> Any:
    if one not in known:
        raise LabelError(f"there is no {one!r} in corrections/{name}", "Load the page again: it may be gone already")
    _append(_file(project_root, name), {"removes": one, "at": _now()})
    return known[one]


def _append(path: Path, row: dict[str, Any]) -> None:
    """One whole line more, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", opener=open_no_follow) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        text = f.read()
        last = text[text.rfind(b"\n") + 1 :]
        if last and _whole(last):
            f.write(b"\n")  # somebody's editor left the end off
        elif last:
            f.truncate(len(text) - len(last))
        f.write(json.dumps(row, sort_keys=True).encode() + b"\n")
        f.flush()
        os.fsync(f.fileno())
    sync_to_disk(path.parent)


def _whole(line: bytes) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True
