"""Labels from Label Studio into labels/, page by page: what is new, what was changed, and what was taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deemo_data import corrections, release
from deemo_data.annotate import Watch, annotators, desks, server_of
from deemo_data.build import known_clips, vocabularies
from deemo_data.errors import LabelError
from deemo_data.label_export import Pulled
from deemo_data.label_log import Log, held_by
from deemo_data.label_reading import Reading, by_clip, key_of, name_of, ours, read_task, task_key
from deemo_data.labels import Change, Label, Shelf, pseudonym
from deemo_data.release import public_id
from deemo_data.sheets import ADJUDICATE

if TYPE_CHECKING:
    from deemo_data.config import Project
    from deemo_data.label_studio import Brief

NOTHING = "nothing"  # what somebody chooses who sees nothing that identifies


def pull(project: Project, watch: Watch = lambda clips: None) -> Pulled:
    """What annotators handed in since the last pull. One that is stopped goes on from the page where it was.

    Of each of their tasks labels/raw keeps what it held, with a checksum; labels/ gets what is new, changed or deleted as new
    lines. A task that is gone there takes no label along. Where somebody sees something identifying, the clip is withheld.
    Raises LabelError when there is no server, or none of our projects is to be had.
    """
    from deemo_data import label_studio

    nfbl, emotions = vocabularies(project)
    server, numbers = server_of(project), desks(project)
    if not numbers:
        raise LabelError("nothing of this project was pushed to Label Studio yet", f"Type: deemo push {project.root}")
    group_of = {a.email: a.group for a in annotators(project)}
    groups = {who: group_of[email] for who, email in label_studio.annotators(server).items() if email in group_of}
    whole = Pulled(0, 0, Change(), ())
    with project.locked():
        shelf, ledger = Shelf(project.labels), by_clip(project.labels)
        for template, number in numbers.items():
            log = Log(project.labels / "raw" / f"project-{number}.jsonl", f"{nfbl.said}, {emotions.said}")
            seen = Seen(number, log)
            for page in label_studio.pages(server, number, project.config.labelling.batch, seen.wanted):
                read = Page(Reading(project.secret, nfbl, emotions, ledger))
                for task in page:
                    read.take(task, log)
                problems = read.reading.problems + of_another_group(page, template, groups, project.secret)
                gone = [k for task_ in read.held for k in shelf.keys(task_) if k not in read.reading.unread]
                said = read.reading.said
                problems += withhold(project, [said[k] for k in shelf.news(said)])
                change = shelf.update(f"project-{number}", said, gone)
                log.note(read.held, read.when)
                whole += Pulled(0, read.annotations, change, tuple(problems))
                watch(len(page))
            lost = tuple(f"clip {clip}: was deleted in Label Studio; its labels are kept" for clip in log.note_gone(seen.tasks))
            whole += Pulled(len(seen.tasks), 0, Change(), lost)
    for left in (project.private / "label-studio" / "export").glob("project-*"):
        left.unlink()  # a server of ours keeps a copy of whatever is fetched from it
    return whole


@dataclass
class Seen:
    """Which of their tasks there are, while they are listed."""

    number: int
    log: Log
    tasks: set[str] = field(default_factory=set)

    def wanted(self, brief: Brief) -> bool:
        """Whether it changed since it was pulled."""
        task = task_key(brief.clip, brief.id, self.number, brief.created_at)
        self.tasks.add(task)
        return not self.log.is_current(task, brief.updated_at)


@dataclass
class Page:
    """What is new on one page of their tasks. `held`: by the first part of the keys of its labels."""

    reading: Reading
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    when: dict[str, str] = field(default_factory=dict)
    annotations: int = 0

    def take(self, task: dict[str, Any], log: Log) -> None:
        task.pop("drafts", None)  # somebody is at work
        shown = ours(task, self.reading)
        if shown is None:
            line = f"{name_of(task)}: no clip was pushed under its id, fps and number of frames, left out"
            self.reading.problems.append(line)
            return
        key, held = key_of(task, shown), held_by(task, self.reading.secret)
        if log.is_new(key, held):
            self.held[key], self.when[key] = held, str(task.get("updated_at"))
            self.annotations += read_task(task, shown, self.reading)


def of_another_group(page: Sequence[dict[str, Any]], template: str, groups: dict[int, str], secret: bytes) -> list[str]:
    """A line for each annotation by somebody whose group works on other pages. It counts all the same."""
    wanted = "adjudicate" if template == ADJUDICATE else "label"
    return [
        f"{name_of(task)}: by {pseudonym(secret, who)}, who is of the group {groups[who]}; taken all the same"
        for task in page
        for who in sorted({a.get("completed_by") for a in task.get("annotations") or ()} & set(groups))
        if groups[who] != wanted
    ]


def withhold(project: Project, new: Sequence[Label]) -> list[str]:
    """Keep back at once what an annotator says shows something identifying, until its owner has looked at it."""
    alarms = [
        lb for lb in new
        if lb.kind == "choice" and lb.value["name"] == "identifying" and set(lb.value["choices"]) - {NOTHING}
    ]  # fmt: skip
    if not alarms:
        return []
    clips = {public_id(project.secret, "c", c.id): c for c in known_clips(project)}
    lines = []
    for label in alarms:
        what = ", ".join(sorted(set(label.value["choices"]) - {NOTHING}))
        if clip := clips.get(label.clip):
            if not corrections.is_withheld(project.root, clip):
                corrections.withhold(project.root, clip)
            lines.append(f"clip {label.clip}: an annotator sees something identifying ({what}); withheld. Type: deemo review DIR")
        else:
            lines.append(f"clip {label.clip}: an annotator saw something identifying ({what}); it is no clip any more")
    held = [c for c in clips.values() if corrections.is_withheld(project.root, c)]
    release.take_back((), project, gone=held)
    return lines
