"""Reads labels from a Label Studio JSON export: `deemo pull --from-file`, and `--labels` of `deemo build`.

An export of our own projects needs nothing else: the ledger (labels/pushed.jsonl) tells which clip a task shows. An export of
other footage needs a match table (CSV) that names our source for each task, and the vocabulary it was labelled with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.annotation.pull_result import PullResult
from deemo_data.annotation.reading import tally
from deemo_data.annotation.reading.match_table import find_match, read_match_table
from deemo_data.annotation.reading.rate import find_other_rate
from deemo_data.annotation.reading.state import Reading
from deemo_data.annotation.results import (
    annotations_of,
    file_names_of,
    find_shown_video,
    key_of_task,
    name_of_task,
    read_pushed_by_clip,
    read_task,
)
from deemo_data.annotation.withholding import withhold_identifying
from deemo_data.clip import Clip
from deemo_data.errors import ConfigError, LabelError
from deemo_data.files import parse_json, read_lines
from deemo_data.labels.label import Label
from deemo_data.labels.store import LabelStore
from deemo_data.labels.vocabulary import Emotions, Nfbl, load_nfbl
from deemo_data.project.project import load_vocabularies

if TYPE_CHECKING:
    from deemo_data.project.project import Project


@dataclass(frozen=True)
class LabelFile:
    """A Label Studio export to read: the arguments of `pull_from_file`."""

    export: Path
    match: Path | None = None
    vocabulary: str | None = None


def pull_from_file(project: Project, path: Path, match: Path | None = None, vocabulary: str | None = None) -> PullResult:
    """Read a Label Studio JSON export into labels/, and withhold what annotators report as identifying.

    match       match table, for an export that is not of our clips: see `read_export`
    vocabulary  the vocabulary that such an export was labelled with: one of ours by name, or a file
    Raises ConfigError for a match table without a vocabulary, LabelError as `read_export` does.
    """
    said = read_vocabulary(path, match, vocabulary)
    nfbl, emotions = load_vocabularies(project)
    withheld: list[str] = []
    with project.lock():
        result = read_export(
            path, project.labels_dir, secret=project.secret, vocabulary=said or nfbl,
            emotions=emotions, sources=project.read_sources(), match=match,
            on_new_labels=lambda new_labels: withheld.extend(withhold_identifying(project, new_labels)),
        )  # fmt: skip
    return replace(result, problems=(*result.problems, *withheld))


def read_vocabulary(path: Path, match: Path | None, vocabulary: str | None) -> Nfbl | None:
    """The vocabulary that the export `path` is said to be labelled with; None means the project's own.

    Raises ConfigError for a match table without a vocabulary, and for a vocabulary that cannot be read.
    """
    if match is not None and vocabulary is None:
        raise ConfigError(f"{path.name}: with --match, say what it was labelled with", "Add: --vocabulary nfbl, or your own file")
    return load_nfbl(vocabulary) if vocabulary else None


def read_export(
    path: Path,
    labels_folder: Path,
    *,
    secret: bytes,
    vocabulary: Nfbl,
    emotions: Emotions,
    sources: Sequence[Clip] = (),
    match: Path | None = None,
    on_new_labels: Callable[[list[Label]], object] = lambda new: None,
) -> PullResult:
    """Append the labels of a Label Studio JSON export to labels/.

    labels_folder  the project's labels/
    vocabulary     the vocabulary of the timeline labels
    sources        the project's sources, for `match`
    match          CSV with the columns `name` (id of a task, or a file name in its data), `source` (our id, path or file name)
                   and, if needed, `fps`, `start_ms` and `end_ms` of the labelled video on the clock of the source
    on_new_labels  called with the new and changed labels before they are written

    Frames in Label Studio are 1-based and inclusive: (s, e) there is [s-1, e) here. What cannot be read becomes one line of
    `problems`; everything else is still read. Reading the same file twice adds nothing.
    Raises LabelError when the file is not an export, or no task in it is about clips of this project.
    """
    tasks = _read_tasks(path)
    reading = Reading(secret, vocabulary, emotions, read_pushed_by_clip(labels_folder))
    table, notices = read_match_table(match, sources, secret) if match else ({}, ())
    pulled_at = {
        row["task"]: row["updated_at"]
        for path in labels_folder.glob("raw/*.jsonl")
        for _, _, row in read_lines(path)
        if "held" in row
    }
    unmatched: list[str] = []
    keys: set[str] = set()
    annotations = 0
    videos = [
        find_shown_video(task, reading) or find_match([str(task.get("id")), *file_names_of(task["data"])], table)
        for task in tasks
    ]
    other_rates = (find_other_rate(t, v) for t, v in zip(tasks, videos, strict=True) if v and not v.template)
    reading = replace(reading, other_rate=next((rate for rate in other_rates if rate), None))
    for task, video in zip(tasks, videos, strict=True):
        if video is None:
            unmatched.append(name_of_task(task))
            reading.tally.annotations[tally.UNMATCHED] += len(annotations_of(task))
            continue
        key = key_of_task(task, video)
        if str(task.get("updated_at") or "") < pulled_at.get(key, ""):
            reading.problems.append(f"{name_of_task(task)}: is older here than what was pulled, left out")
            reading.tally.annotations[tally.OUTDATED] += len(annotations_of(task))
            continue
        keys.add(key)
        annotations += read_task(task, video, reading)
    if unmatched and len(unmatched) == len(tasks):
        advice = (
            "Add them to the match table" if match else f"Type: deemo pull DIR --from-file {path} --match M.csv --vocabulary V"
        )
        first = ", ".join(unmatched[:3]) + " ..." * (len(unmatched) > 3)
        raise LabelError(f"{path.name} is not about this project's clips: {first}", advice)
    reading.problems.extend(f"{name}: no clip of this project was pushed under its id and fps, left out" for name in unmatched)
    label_store = LabelStore(labels_folder)
    earlier = [k for key in sorted(keys) for k in label_store.keys_of_task(key) if not reading.is_unread(k)]
    projects = sorted({str(t["project"]) for t in tasks if isinstance(t.get("project"), int)})
    change = label_store.update_labels(f"project-{projects[0]}" if projects else "pulled", reading.labels, earlier, on_new_labels)
    return PullResult(len(tasks) - len(unmatched), annotations, change, tuple(reading.problems), reading.tally, notices)


def _read_tasks(path: Path) -> list[dict[str, Any]]:
    """The tasks of an export. Raises LabelError when it is not one."""
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
