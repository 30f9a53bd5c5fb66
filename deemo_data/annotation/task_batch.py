"""Reads one batch of tasks from a Label Studio server into labels/ and labels/raw.

In: tasks with their annotations, as `label_studio.projects.fetch_tasks` yields them, one batch at a time. `TaskListing` decides
which tasks are worth fetching. Out: labels, and snapshots in the raw log. pull.py runs this over all projects of a server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deemo_data.annotation.pull_result import PullResult
from deemo_data.annotation.raw_log import RawLog, snapshot_of
from deemo_data.annotation.reading import tally
from deemo_data.annotation.reading.state import Reading
from deemo_data.annotation.results import (
    annotations_of,
    find_shown_video,
    key_of_task,
    make_task_key,
    name_of_task,
    read_task,
)
from deemo_data.annotation.withholding import withhold_identifying
from deemo_data.labels.label import ADJUDICATION_TEMPLATE
from deemo_data.pseudonyms import derive_pseudonym

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.projects import TaskSummary
    from deemo_data.labels.store import LabelStore
    from deemo_data.project.project import Project


@dataclass
class TaskListing:
    """The tasks that a Label Studio project has, collected while the server lists them.

    number        number of the project on the server
    is_withdrawn  whether a clip (public id) is about somebody who withdrew
    tasks         task keys of all listed tasks
    clips         public ids of their clips
    """

    number: int
    log: RawLog
    is_withdrawn: Callable[[str], bool] = lambda clip: False
    tasks: set[str] = field(default_factory=set)
    clips: set[str] = field(default_factory=set)

    def needs_pull(self, summary: TaskSummary) -> bool:
        """Add a task to the listing. True when it changed since the last pull and nobody in it withdrew."""
        task = make_task_key(summary.clip, summary.id, self.number, summary.created_at)
        self.tasks.add(task)
        self.clips.add(summary.clip)
        return not self.is_withdrawn(summary.clip) and not self.log.is_current(task, summary.updated_at)


@dataclass
class TaskBatch:
    """What is new in one batch of tasks.

    reading      holds the labels and problems of the batch
    snapshots    the new or changed tasks as the raw log keeps them, by task key
    updated_at   when each of them last changed on the server, by task key
    annotations  the number of annotations read
    """

    reading: Reading
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)
    updated_at: dict[str, str] = field(default_factory=dict)
    annotations: int = 0

    def add_task(self, task: dict[str, Any], log: RawLog) -> None:
        """Read a task, unless it is as it was at the last pull. A task of an unknown clip becomes a problem."""
        drafts = task.pop("drafts", None)  # an annotator is still at work: this is no problem
        self.reading.tally.annotations.update([tally.UNSUBMITTED] * len(drafts) if isinstance(drafts, list) else [])
        video = find_shown_video(task, self.reading)
        if video is None:
            self.reading.tally.annotations[tally.UNMATCHED] += len(annotations_of(task))
            line = f"{name_of_task(task)}: no clip was pushed under its id, fps and number of frames, left out"
            self.reading.problems.append(line)
            return
        key, snapshot = key_of_task(task, video), snapshot_of(task, self.reading.secret)
        if log.is_new(key, snapshot):
            self.snapshots[key], self.updated_at[key] = snapshot, str(task.get("updated_at"))
            self.annotations += read_task(task, video, self.reading)


def read_batch(
    project: Project, tasks: Sequence[dict[str, Any]], batch: TaskBatch, label_store: LabelStore, log: RawLog, number: int
) -> PullResult:
    """Read the tasks into `batch`, and write its labels and snapshots.

    The order makes a killed pull safe: reports of identifying content first, then labels, then the log. A task whose snapshot
    was not logged is read again by the next pull.
    """
    for task in tasks:
        batch.add_task(task, log)
    problems = batch.reading.problems
    deleted = [key for task in batch.snapshots for key in label_store.keys_of_task(task) if not batch.reading.is_unread(key)]
    change = label_store.update_labels(
        f"project-{number}",
        batch.reading.labels,
        deleted,
        lambda new_labels: problems.extend(withhold_identifying(project, new_labels)),
    )
    log.record(batch.snapshots, batch.updated_at)
    return PullResult(annotations=batch.annotations, change=change, problems=tuple(problems), tally=batch.reading.tally)


def report_other_groups(tasks: Sequence[dict[str, Any]], template: str, groups: Mapping[int, str], secret: bytes) -> list[str]:
    """One line for each annotator of a task whose group works on other pages.

    groups  account number -> group, of the annotators in private/annotators.csv
    """
    group_of_page = "adjudicate" if template == ADJUDICATION_TEMPLATE else "label"
    consequence = "it does not count if they labelled the clip" if template == ADJUDICATION_TEMPLATE else "taken all the same"
    lines = []
    for task in tasks:
        accounts = {a["completed_by"] for a in annotations_of(task) if isinstance(a.get("completed_by"), int)}
        for account in sorted(set(groups) & accounts):
            if groups[account] != group_of_page:
                who = derive_pseudonym(secret, account)
                lines.append(f"{name_of_task(task)}: by {who}, who is of the group {groups[account]}; {consequence}")
    return lines
