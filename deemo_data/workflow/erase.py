"""Erases a person from one place after the other, for `deemo forget` (forget.py).

The places: Label Studio and its server's disk, out/, labels/, corrections/, and files that killed processes left.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.annotation.label_studio import workspace
from deemo_data.dataset.layout import SPLITS, clear_dataset
from deemo_data.errors import LabelError
from deemo_data.files import Line, read_lines, sweep_staged, write_if_changed
from deemo_data.labels import store
from deemo_data.project import speakers, withdrawals

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.connection import Server
    from deemo_data.project.project import Project

REPORT_PATTERNS = ("*.json", "*.html", "judged.jsonl")  # in out/: they name, show or quote people; commands write them again
CONTENTS_SUFFIX = ".past.json"  # kept: hashes of a dataset's contents, for the changelog of the next version


def iterate_label_rows(project: Project) -> Iterator[dict[str, Any]]:
    """The rows of all label files, without deletions; the push ledger is no label file."""
    for path in sorted(project.labels_dir.glob("*.jsonl")):
        if path.name != store.LEDGER_FILE:
            yield from (line.row for line in read_lines(path) if not line.row.get("deleted"))


# ── Label Studio ─────────────────────────────────────────────────────────────────────────────────────────────────


def is_pushed(project: Project) -> bool:
    """Whether a Label Studio that can be asked may have clips of this project. A server that imported a file cannot be asked."""
    address = workspace.read_address(project).get("url") or os.environ.get("LABEL_STUDIO_URL")
    return bool(workspace.read_project_numbers(project) or (address and store.read_ledger(project.labels_dir)))


def erase_from_label_studio(project: Project, clips: Collection[str]) -> int:
    """Delete clips in Label Studio, from all projects that this one ever made there. Returns how many.

    clips  public ids; clips that were withdrawn before and are still there are deleted too

    Raises LabelError when the server does not answer, or still has one of the clips afterwards.
    """
    from deemo_data.annotation.label_studio import projects

    server, count = workspace.connect_server(project), 0
    for number in find_project_numbers(project, server):
        clip_ids = projects.read_clip_ids(server, number)
        if to_delete := (clip_ids & set(clips)) | withdrawals.withdrawn_clips(project, clip_ids):
            count += projects.delete_clips(server, number, to_delete)
            if remaining := to_delete & projects.read_clip_ids(server, number):
                what = (
                    f"Label Studio at {server.url} still has {len(remaining)} clips in project {number}, first {min(remaining)}"
                )
                raise LabelError(what, "Type the same command again in a moment")
    workspace.delete_exports(project)
    return count


def find_project_numbers(project: Project, server: Server) -> list[int]:
    """Numbers of the projects in Label Studio that may have clips of this one: they have its mark, or are noted in private/."""
    from deemo_data.annotation.label_studio import projects
    from deemo_data.annotation.label_studio.connection import one_line_errors

    numbers = set(projects.find_our_projects(server, workspace.mark_of_project(project)))
    if unmarked := set(workspace.read_project_numbers(project).values()) - numbers:
        with one_line_errors(server.url, "looking for our projects"):
            listed: Any = server.client.projects.list(include="id", page_size=1000)
            numbers |= unmarked & {p.id for p in listed}
    return sorted(numbers)


def erase_server_traces(folder: Path) -> None:
    """Erase what the project's own server keeps after a deletion: addresses in its log, and deleted rows in its database file."""
    if (folder / "server.log").exists():
        os.truncate(folder / "server.log", 0)
    database = folder / "label_studio.sqlite3"
    if database.exists():
        try:
            with closing(sqlite3.connect(database, timeout=60)) as handle:
                handle.execute("VACUUM")
        except sqlite3.Error as e:
            raise LabelError(
                f"Label Studio's database cannot be swept now: {e}", "Type the same command again in a moment: it goes on"
            ) from e


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────


def erase_outputs(project: Project) -> None:
    """Remove the dataset, also an unfinished one, all reports, and trained models. The changelog's hashes stay."""
    clear_dataset(project.dataset_dir)
    for split in SPLITS:
        for path in [p for p in (project.dataset_dir / split).rglob("*") if not p.is_dir()]:
            path.unlink()
    for pattern in REPORT_PATTERNS:
        for path in project.out_dir.glob(pattern):
            if not path.name.endswith(CONTENTS_SUFFIX):
                path.unlink()
    if (models := project.out_dir / "baseline").is_dir():
        shutil.rmtree(models)  # they were trained on the person's clips


def erase_label_rows(folder: Path, public_ids: set[str]) -> None:
    """Remove every row about the person from labels/, including the raw log and the push ledger."""
    paths = sorted(folder.rglob("*.jsonl"))
    keys = {_key_of_row(line.row) for path in paths for line in read_lines(path) if mentions_person(line.row, public_ids)} - {
        None
    }
    for path in paths:
        _remove_lines(path, lambda row: mentions_person(row, public_ids) or _key_of_row(row) in keys)


def mentions_person(row: dict[str, Any], public_ids: set[str]) -> bool:
    """Whether the clip or the source of a row is one of the person's."""
    return row.get("clip") in public_ids or row.get("source") in public_ids


def _key_of_row(row: dict[str, Any]) -> Any:
    return row.get("key") or row.get("task")


def erase_corrections(project: Project, sources: set[str]) -> None:
    """Remove the corrections of some sources, and the lines that undo them."""
    ids = {i for path in (project.root / "corrections").glob("*.jsonl") for i in _ids_about(path, sources)}
    for path in sorted((project.root / "corrections").glob("*.jsonl")):
        _remove_lines(path, lambda row: row.get("source") in sources or row.get("removes") in ids)
    for source in sources & set(speakers.read_speakers(project.root)):
        speakers.write_speakers(project.root, source, {})


def _ids_about(path: Path, sources: set[str]) -> set[Any]:
    return {line.row.get("id") for line in _lines(path) if line.row.get("source") in sources}


def _remove_lines(path: Path, is_theirs: Callable[[dict[str, Any]], bool]) -> None:
    """Remove lines from a JSONL file, and the half line that a killed process left. The other lines keep their exact bytes."""
    content = b"".join(line.text for line in _lines(path) if not is_theirs(line.row))
    write_if_changed(path, content, mode=path.stat().st_mode & 0o777)


def _lines(path: Path) -> Iterator[Line]:
    """The rows of a list of JSON lines. Raises LabelError for a damaged line."""
    advice = "Put the file back from your backup, then type the same command again: it goes on"
    return read_lines(path, lambda number, why: LabelError(f"{path.name} line {number} cannot be read: {why}", advice))


def sweep_project(project: Project) -> None:
    """Remove files that processes were writing when they were killed: no command reads them, and they may be about anybody."""
    for folder in (".", "labels", "labels/raw", "corrections", "private", "private/downloads", "out"):
        sweep_staged(project.root / folder)
