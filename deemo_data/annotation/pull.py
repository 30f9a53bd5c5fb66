"""`deemo pull` from a Label Studio server: new, changed and deleted annotations become lines of labels/.

Each Label Studio project of ours is read in three steps: `read_project` (labels), `report_deleted_tasks` (tasks that are gone
on the server) and `remove_barred_clips` (clips that annotators may not see any more). task_batch.py reads a batch of tasks.
export_file.py reads a JSON export in place of a server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deemo_data.annotation.label_studio.workspace import (
    connect_server,
    delete_exports,
    mark_of_project,
    read_annotators,
    read_project_numbers,
)
from deemo_data.annotation.pull_result import PullResult
from deemo_data.annotation.raw_log import RawLog
from deemo_data.annotation.reading.state import Reading
from deemo_data.annotation.results import read_pushed_by_clip
from deemo_data.annotation.task_batch import TaskBatch, TaskListing, read_batch, report_other_groups
from deemo_data.annotation.withholding import find_barred_clips
from deemo_data.errors import LabelError
from deemo_data.labels.store import LabelStore
from deemo_data.project import withdrawals
from deemo_data.project.project import load_vocabularies

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.connection import Server
    from deemo_data.project.project import Project


READING_VERSION = "reading 2"  # raised when the same task would give other labels: every task is then read again


@dataclass(frozen=True)
class ServerProject:
    """One of our projects on the server, while it is pulled.

    template  the page that annotators work on there
    number    its number on the server
    log       what was pulled from it before
    listing   which tasks it has now; complete once `read_project` has run
    """

    server: Server
    template: str
    number: int
    log: RawLog
    listing: TaskListing


def pull(project: Project, on_progress: Callable[[int], None] = lambda tasks: None) -> PullResult:
    """Read what annotators submitted since the last pull. After an interruption, the next pull continues with the open batch.

    labels/raw keeps a snapshot of each task with a checksum; labels/ gets one line for each label that is new, changed or
    deleted. Labels stay in force when their task is deleted on the server. A clip in which somebody sees something identifying
    is withheld at once.

    on_progress  called after each batch with the number of tasks in it
    Raises LabelError without a server, and when nothing was pushed yet.
    """
    from deemo_data.annotation.label_studio import projects

    nfbl, emotions = load_vocabularies(project)
    server, numbers = connect_server(project), read_project_numbers(project)
    if not numbers:
        raise LabelError("nothing of this project was pushed to Label Studio yet", f"Type: deemo push {project.root}")
    group_of = {a.email: a.group for a in read_annotators(project)}
    groups = {account: group_of[email] for account, email in projects.read_accounts(server).items() if email in group_of}
    result = PullResult()
    with project.lock():
        label_store, marks = LabelStore(project.labels_dir), withdrawals.read_marks(project)
        reading = Reading(project.secret, nfbl, emotions, read_pushed_by_clip(project.labels_dir))
        for template, number in numbers.items():
            if not projects.is_our_project(server, number, mark_of_project(project)):
                missing = f"project {number} for {template} is not there any more, or not ours; its labels are kept"
                result += PullResult.of_problems(missing)
                continue
            read_with = f"{nfbl.versioned_name}, {emotions.versioned_name}, {READING_VERSION}"
            log = RawLog(project.labels_dir / "raw" / f"project-{number}.jsonl", read_with)
            listing = TaskListing(number, log, lambda clip: withdrawals.mark_of(project, clip) in marks)
            there = ServerProject(server, template, number, log, listing)
            result += read_project(project, there, label_store, reading, groups, on_progress)
            result += report_deleted_tasks(there)
            result += remove_barred_clips(project, there, reading)
    delete_exports(project)
    return result


def read_project(
    project: Project,
    there: ServerProject,
    label_store: LabelStore,
    reading: Reading,
    groups: Mapping[int, str],
    on_progress: Callable[[int], None],
) -> PullResult:
    """Read the new and changed tasks of one project, batch by batch.

    reading  the inputs for reading; each batch gets an empty copy
    groups   account number -> group, of the annotators in private/annotators.csv
    """
    from deemo_data.annotation.label_studio import projects

    result = PullResult()
    tasks_per_batch = project.config.labelling.batch
    for tasks in projects.fetch_tasks(there.server, there.number, tasks_per_batch, there.listing.needs_pull):
        read = read_batch(project, tasks, TaskBatch(reading.empty_copy()), label_store, there.log, there.number)
        others = report_other_groups(tasks, there.template, groups, project.secret)
        result += replace(read, problems=(*read.problems, *others))
        on_progress(len(tasks))
    return result + PullResult(tasks=len(there.listing.tasks))


def report_deleted_tasks(there: ServerProject) -> PullResult:
    """One problem for each task that was pulled before and is gone from the server. It is reported once; its labels stay."""
    clips = there.log.record_deleted(there.listing.tasks)
    return PullResult.of_problems(*(f"clip {clip}: was deleted in Label Studio; its labels are kept" for clip in clips))


def remove_barred_clips(project: Project, there: ServerProject, reading: Reading) -> PullResult:
    """Delete from the server what annotators may not see any more, and clips of people who withdrew while it was unreachable."""
    from deemo_data.annotation.label_studio import projects

    listing = there.listing
    barred = find_barred_clips(project, (line for lines in reading.ledger.values() for line in lines)) & listing.clips
    barred |= withdrawals.withdrawn_clips(project, listing.clips)
    if not barred:
        return PullResult()
    projects.delete_clips(there.server, there.number, barred)
    there.log.record_deleted(listing.tasks - there.log.tasks_of_clips(barred))
    return PullResult.of_problems(
        f"{len(barred)} clips may no longer be shown: taken out of Label Studio ({there.template}); their labels are kept"
    )
