"""One place after the other, erased."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.annotation.label_studio import workspace
from deemo_data.dataset.layout import SPLITS, clear
from deemo_data.errors import LabelError
from deemo_data.files import read_whole_lines, write_if_changed
from deemo_data.labels import store
from deemo_data.project import speakers, withdrawals

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.connection import Server
    from deemo_data.project.project import Project

REPORTS = ("*.json", "*.html", "judged.jsonl")  # of out/: they name, show or quote people, and are made anew
PAST = ".past.json"  # except of what a dataset held: hashes, of which the next version's changelog is made


def all_labels(project: Project) -> Iterator[dict[str, Any]]:
    for path in sorted(project.labels.glob("*.jsonl")):
        if path.name != store.LEDGER:
            yield from (r for r in read_whole_lines(path) if not r.get("deleted"))


# ── Label Studio ─────────────────────────────────────────────────────────────────────────────────────────────────


def is_pushed(project: Project) -> bool:
    """Whether a Label Studio may have clips of this project; what a file took elsewhere is not known to any we could ask."""
    known = workspace.address(project).get("url") or os.environ.get("LABEL_STUDIO_URL")
    return bool(workspace.project_numbers(project) or (known and store.read_ledger(project.labels)))


def from_label_studio(project: Project, clips: Collection[str]) -> int:
    """Delete clips there, from whatever projects this one ever made; how many.

    What was withdrawn before and is still there goes too. Raises LabelError without an answer, and for a clip that stays.
    """
    from deemo_data.annotation.label_studio import projects

    server, gone = workspace.server_of(project), 0
    for number in where(project, server):
        there = projects.clips_of(server, number)
        if shut := (there & set(clips)) | withdrawals.withdrawn_clips(project, there):
            gone += projects.delete_clips(server, number, shut)
            if left := shut & projects.clips_of(server, number):
                what = f"Label Studio at {server.url} still has {len(left)} clips in project {number}, first {min(left)}"
                raise LabelError(what, "Type the same command again in a moment")
    workspace.sweep_exports(project)
    return gone


def where(project: Project, server: Server) -> list[int]:
    """The projects there that may have clips of this one: those that say so, and those that we noted, whatever they say."""
    from deemo_data.annotation.label_studio import projects
    from deemo_data.annotation.label_studio.connection import clearly

    ours = set(projects.all_ours(server, workspace.mark_of(project)))
    if noted := set(workspace.project_numbers(project).values()) - ours:
        with clearly(server.url, "looking for our projects"):
            listed: Any = server.client.projects.list(include="id", page_size=1000)
            ours |= noted & {p.id for p in listed}
    return sorted(ours)


def from_its_disk(folder: Path) -> None:
    """What a server of ours leaves lying: addresses in its log, and deleted rows in the file of its database."""
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


def from_out(project: Project) -> None:
    """Take the dataset back, also one that was never finished, and all reports; not what the next version has to know."""
    clear(project.dataset)
    for split in SPLITS:
        for path in [p for p in (project.dataset / split).rglob("*") if not p.is_dir()]:
            path.unlink()
    for pattern in REPORTS:
        for path in project.out.glob(pattern):
            if not path.name.endswith(PAST):
                path.unlink()
    if (learned := project.out / "baseline").is_dir():
        shutil.rmtree(learned)  # models that learned from them


def from_labels(folder: Path, public: set[str]) -> None:
    """Take every line about them out of labels/, the raw ones and the ledger too."""
    paths = sorted(folder.rglob("*.jsonl"))
    theirs = {_key(row) for path in paths for row in read_whole_lines(path) if mentions_person(row, public)} - {None}
    for path in paths:
        _strike(path, lambda row: mentions_person(row, public) or _key(row) in theirs)


def mentions_person(row: dict[str, Any], public: set[str]) -> bool:
    return row.get("clip") in public or row.get("source") in public


def _key(row: dict[str, Any]) -> Any:
    return row.get("key") or row.get("task")


def from_corrections(project: Project, sources: set[str]) -> None:
    held = {i for path in (project.root / "corrections").glob("*.jsonl") for i in _said_of(path, sources)}
    for path in sorted((project.root / "corrections").glob("*.jsonl")):
        _strike(path, lambda row: row.get("source") in sources or row.get("removes") in held)
    for source in sources & set(speakers.said(project.root)):
        speakers.write(project.root, source, {})


def _said_of(path: Path, sources: set[str]) -> set[Any]:
    return {row.get("id") for _, row in _lines(path) if row and row.get("source") in sources}


def _strike(path: Path, theirs: Callable[[dict[str, Any]], bool]) -> None:
    """Take lines out of a file of JSON lines, and half a line that a killed process left; the others stay to the letter."""
    kept = b"".join(line for line, row in _lines(path) if row is not None and not theirs(row))
    write_if_changed(path, kept, mode=path.stat().st_mode & 0o777)


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Each line, and what it says; None for what is no JSON. Raises LabelError for such a line that is not the last."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line, json.loads(line)
            except ValueError as e:
                if line.endswith(b"\n") and line.strip():
                    advice = "Put the file back from your backup, then type the same command again: it goes on"
                    raise LabelError(f"{path.name} line {number} cannot be read: {e}", advice) from e
                yield line, None


def sweep(project: Project) -> None:
    """Remove files that processes were writing when they were killed: nobody reads them, and anybody may be in them."""
    for folder in (".", "labels", "labels/raw", "corrections", "private", "private/downloads", "out"):
        for path in (project.root / folder).glob(".*.*"):
            number = path.name.rpartition(".")[2]
            if path.is_file() and number.isdigit() and not _lives(int(number)):
                path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
