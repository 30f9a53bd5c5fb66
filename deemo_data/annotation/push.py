"""`deemo push`: released clips become tasks of a Label Studio project, or a file that Label Studio imports.

selection.py chooses the clips and builds their tasks, project_pages.py renders the page, label_studio/workspace.py prepares the
project on the server. Everything that is pushed is recorded in the ledger (labels/pushed.jsonl) first; pull needs the ledger to
read the annotations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.annotation.label_studio.workspace import connect_server, prepare_project
from deemo_data.annotation.project_pages import render_checked_page, render_project_guide
from deemo_data.annotation.selection import select_tasks
from deemo_data.errors import LabelError
from deemo_data.files import write_if_changed
from deemo_data.labels import label, store
from deemo_data.project.release import release_current_clips

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.connection import Server
    from deemo_data.clip import SafeClip
    from deemo_data.project.problems import Problem
    from deemo_data.project.project import Project


@dataclass(frozen=True)
class PushResult:
    """What a push did, in numbers of clips.

    new             clips that were sent
    already_there   clips that the project had before
    with_proposals  of the new ones, those that went out with proposals
    page            address of the page where annotators label
    not_released    public ids of clips that the project has and that may no longer be shown
    """

    new: int
    already_there: int
    with_proposals: int
    page: str
    not_released: tuple[str, ...] = ()


def push(
    project: Project, template: str = label.TIMELINE_TEMPLATE, on_progress: Callable[[int], None] = lambda clips: None
) -> tuple[PushResult, list[Problem]]:
    """Send released clips to Label Studio, on the page of a template. Clips that are there already stay as they are.

    The project is locked until everything is sent: a withdrawal, or a correction, waits that long.

    on_progress  called after each batch with the number of clips sent in it
    """
    server = connect_server(project)
    with project.lock():
        clips, problems = release_current_clips(project)
        return push_clips(project, server, clips, template, on_progress), problems


def push_clips(
    project: Project,
    server: Server,
    clips: Sequence[SafeClip],
    template: str,
    on_progress: Callable[[int], None] = lambda clips: None,
) -> PushResult:
    """`push` for clips that are released already, to a server that is connected. Clips enter the ledger before they are sent."""
    from deemo_data.annotation.label_studio.projects import labelling_url, read_clip_ids, send_tasks

    config = render_checked_page(project, template)
    if not clips:
        raise LabelError("there is no clip that may be shown to annotators", f"Type: deemo status {project.root}")
    number = prepare_project(project, server, template, config, render_project_guide(project, template))
    there = read_clip_ids(server, number)
    tasks = list(select_tasks(project, clips, template, there))
    store.record_pushed(project.labels_dir, (task.line for task in tasks))
    payloads = (task.payload for task in tasks)
    batch = project.config.labelling.batch
    sent = send_tasks(server, number, payloads, batch=batch, known_clips=there, on_progress=on_progress)
    with_proposals = sum(bool(task.line.proposals) for task in tasks)
    not_released = tuple(sorted(there - {c.id for c in clips}))
    return PushResult(sent, len(there), with_proposals, labelling_url(server, number), not_released)


def push_to_file(project: Project, path: Path, template: str = label.TIMELINE_TEMPLATE) -> tuple[int, list[Problem]]:
    """Write released clips to a file that Label Studio imports, and record them in the ledger. Returns how many there are."""
    render_checked_page(project, template)
    with project.lock():
        clips, problems = release_current_clips(project)
        tasks = list(select_tasks(project, clips, template))
        store.record_pushed(project.labels_dir, (task.line for task in tasks))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_if_changed(path, json.dumps([task.payload for task in tasks], indent=1) + "\n")
    return len(tasks), problems
