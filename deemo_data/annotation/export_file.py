"""A JSON export -> labels."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from deemo_data.annotation.results import Reading, Shown, file_names, key_of, name_of, ours, pushed_by_clip, read_task
from deemo_data.clip import Clip, round_half_up
from deemo_data.errors import LabelError
from deemo_data.files import parse_json, read_whole_lines
from deemo_data.labels.label import Label
from deemo_data.labels.store import Change, LabelStore
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.pseudonyms import public_id


@dataclass(frozen=True)
class Pulled:
    """What was read. `problems`: one line each for what was left out, and where."""

    tasks: int
    annotations: int
    change: Change
    problems: tuple[str, ...]

    def __add__(self, other: Pulled) -> Pulled:
        counts = (self.tasks + other.tasks, self.annotations + other.annotations, self.change + other.change)
        return Pulled(*counts, self.problems + other.problems)


def read_export(
    path: Path,
    folder: Path,
    *,
    secret: bytes,
    vocabulary: Nfbl,
    emotions: Emotions,
    sources: Sequence[Clip] = (),
    match: Path | None = None,
    alarm: Callable[[list[Label]], object] = lambda new: None,
) -> Pulled:
    """`deemo pull --from-file`: the labels of a Label Studio JSON export, appended to labels/.

    folder      the project's labels/
    vocabulary  what the classes of timeline labels must be of
    sources     the project's sources, for `match`
    match       CSV with the columns `name` (a task's id, or a file name in its data), `source` (our id, path or file name),
                and optionally `fps`, `start_ms` and `end_ms` of the labelled video on the source's clock
    alarm       told of the labels that are new, before they are written

    Frames of Label Studio are 1-based and inclusive: (s, e) is [s-1, e). Whatever cannot be understood becomes a line of
    `problems` and nothing else is lost by it. Reading the same file twice adds nothing.
    Raises LabelError when the file is no export, or none of it is about this project's clips.
    """
    tasks = _tasks(path)
    reading = Reading(secret, vocabulary, emotions, pushed_by_clip(folder))
    table = _read_match(match, sources, secret) if match else {}
    pulled_at = {
        row["task"]: row["updated_at"] for path in folder.glob("raw/*.jsonl") for row in read_whole_lines(path) if "held" in row
    }
    strangers: list[str] = []
    prefixes: set[str] = set()
    count = 0
    for task in tasks:
        shown = ours(task, reading) or _matched(task, table)
        if shown is None:
            strangers.append(name_of(task))
            continue
        key = key_of(task, shown)
        if str(task.get("updated_at") or "") < pulled_at.get(key, ""):
            reading.problems.append(f"{name_of(task)}: is older here than what was pulled, left out")
            continue
        prefixes.add(key)
        count += read_task(task, shown, reading)
    if strangers and len(strangers) == len(tasks):
        advice = (
            "Add them to the match table" if match else f"Type: deemo pull DIR --from-file {path} --match M.csv --vocabulary V"
        )
        first = ", ".join(strangers[:3]) + " ..." * (len(strangers) > 3)
        raise LabelError(f"{path.name} is not about this project's clips: {first}", advice)
    reading.problems.extend(f"{name}: no clip of this project was pushed under its id and fps, left out" for name in strangers)
    shelf = LabelStore(folder)
    held = [k for prefix in sorted(prefixes) for k in shelf.keys(prefix) if k not in reading.unread]
    projects = sorted({str(t["project"]) for t in tasks if isinstance(t.get("project"), int)})
    change = shelf.update(f"project-{projects[0]}" if projects else "pulled", reading.said, held, alarm)
    return Pulled(len(tasks) - len(strangers), count, change, tuple(reading.problems))


def _tasks(path: Path) -> list[dict[str, Any]]:
    advice = "Export the project as JSON (not JSON-MIN, not CSV)"
    try:
        tasks = parse_json(path.read_text("utf-8"))
    except OSError as e:
        raise LabelError(f"{path}: {e.strerror}", "Give a file exported from Label Studio") from e
    except ValueError as e:
        raise LabelError(f"{path.name} is not JSON: {e}", advice) from e
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and "data" in t for t in tasks):
        raise LabelError(f"{path.name} is not a Label Studio JSON export", advice)
    if not tasks:
        raise LabelError(f"{path.name} is empty", advice)
    return tasks


def _matched(task: dict[str, Any], table: dict[str, Shown]) -> Shown | None:
    names = [str(task.get("id")), *file_names(task["data"])]
    return next((table[n] for n in [*names, *(Path(n).stem for n in names[1:])] if n in table), None)


def _read_match(path: Path, sources: Sequence[Clip], secret: bytes) -> dict[str, Shown]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            rows = list(csv.DictReader(f))
    except OSError as e:
        raise LabelError(f"{path}: {e.strerror}", "Give a CSV with the columns name, source") from e
    except (UnicodeDecodeError, csv.Error) as e:
        raise LabelError(f"{path.name} cannot be read as CSV in UTF-8: {e}", "Give a CSV with the columns name, source") from e
    if not rows or not {"name", "source"} <= set(rows[0]):
        raise LabelError(f"{path.name} has no rows with the columns name and source", "Give a CSV with the columns name, source")
    table = {}
    for number, row in enumerate(rows, 2):
        said = (row["source"] or "").strip()
        try:
            place = (path.parent / said).resolve()
        except (OSError, ValueError) as e:  # longer than any path, or with a NUL
            raise LabelError(f"{path.name} line {number}: {e}", "Give the id that sources.jsonl says") from e
        found = [
            s for s in sources
            if said in (s.source, public_id(secret, "v", s.source), s.files["source"].path, s.path("source").name)
            or place == s.path("source").resolve()
        ]  # fmt: skip
        if len(found) != 1:
            many = f"{len(found)} sources are called" if found else "there is no source"
            raise LabelError(f"{path.name} line {number}: {many} {said!r}", "Give the id that sources.jsonl says")
        source = found[0]
        try:
            fps = Fraction(row["fps"]) if row.get("fps") else source.grid.fps
            start, end = int(row.get("start_ms") or 0), int(row.get("end_ms") or source.end_ms)
        except (ValueError, ZeroDivisionError) as e:
            advice = "fps is a number or 30000/1001, times are whole milliseconds"
            raise LabelError(f"{path.name} line {number}: {e}", advice) from e
        if not (0 <= start < end <= source.end_ms and fps > 0):
            wrong = f"{path.name} line {number}: {start}-{end} ms at {fps} fps does not fit"
            raise LabelError(wrong, f"The source lasts {source.end_ms} ms")
        public = public_id(secret, "v", source.source)
        frames = round_half_up((end - start) * fps / 1000)
        table[(row["name"] or "").strip()] = Shown(public, public, start, end, start, 0, frames, fps)
    return table


@dataclass(frozen=True)
class LabelFile:
    """What `deemo pull --from-file` takes: a Label Studio export, and, where it is not of our clips, what its names mean."""

    export: Path
    match: Path | None = None
    vocabulary: str | None = None
