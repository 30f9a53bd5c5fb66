"""Labels from Label Studio into labels/, page by page: what is new, what was changed, and what was taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data import consent
from deemo_data.annotation.export_file import Pulled, read_export
from deemo_data.annotation.label_studio.workspace import annotators, mark_of, project_numbers, server_of, sweep_exports
from deemo_data.annotation.push import Watch
from deemo_data.annotation.raw_log import Log, snapshot
from deemo_data.annotation.results import Reading, annotations_of, key_of, name_of, ours, pushed_by_clip, read_task, task_key
from deemo_data.clip import Clip
from deemo_data.errors import ConfigError, LabelError
from deemo_data.labels.label import ADJUDICATE, Label, Pushed
from deemo_data.labels.store import Change, LabelStore
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.project import corrections, release, withdrawals
from deemo_data.project.clips import read_known_clips, read_sources_by_id
from deemo_data.project.project import vocabularies
from deemo_data.pseudonyms import pseudonym, public_id

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.projects import TaskSummary
    from deemo_data.project.project import Project


NOTHING = "nothing"  # what somebody chooses who sees nothing that identifies


def pull(project: Project, watch: Watch = lambda clips: None) -> Pulled:
    """What annotators handed in since the last pull. One that is stopped goes on from the page where it was.

    Of each of their tasks labels/raw keeps what it held, with a checksum; labels/ gets what is new, changed or deleted as new
    lines. A task that is gone there takes no label along. Where somebody sees something identifying, the clip is withheld.
    Raises LabelError when there is no server, or none of our projects is to be had.
    """
    from deemo_data.annotation.label_studio import projects

    nfbl, emotions = vocabularies(project)
    server, numbers = server_of(project), project_numbers(project)
    if not numbers:
        raise LabelError("nothing of this project was pushed to Label Studio yet", f"Type: deemo push {project.root}")
    group_of = {a.email: a.group for a in annotators(project)}
    groups = {who: group_of[email] for who, email in projects.annotators(server).items() if email in group_of}
    whole = Pulled(0, 0, Change(), ())
    with project.locked():
        shelf, ledger, gone = LabelStore(project.labels), pushed_by_clip(project.labels), withdrawals.marks(project)
        for template, number in numbers.items():
            if not projects.is_ours(server, number, mark_of(project)):
                gone_too = f"project {number} for {template} is not there any more, or not ours; its labels are kept"
                whole += Pulled(0, 0, Change(), (gone_too,))
                continue
            log = Log(project.labels / "raw" / f"project-{number}.jsonl", f"{nfbl.said}, {emotions.said}")
            seen = Seen(number, log, lambda clip: withdrawals.mark_of(project, clip) in gone)
            for page in projects.pages(server, number, project.config.labelling.batch, seen.wanted):
                read = read_page(project, page, Page(Reading(project.secret, nfbl, emotions, ledger)), shelf, log, number)
                others = of_another_group(page, template, groups, project.secret)
                whole += replace(read, problems=(*read.problems, *others))
                watch(len(page))
            lost = tuple(f"clip {clip}: was deleted in Label Studio; its labels are kept" for clip in log.note_gone(seen.tasks))
            whole += Pulled(len(seen.tasks), 0, Change(), lost)
            shut = barred(project, (line for lines in ledger.values() for line in lines)) & seen.clips
            shut |= withdrawals.withdrawn_clips(project, seen.clips)  # of somebody who was forgotten while the server was away
            if shut:
                projects.delete_clips(server, number, shut)
                log.note_gone(seen.tasks - log.about(shut))
                taken = f"{len(shut)} clips may no longer be shown: taken out of Label Studio ({template}); their labels are kept"
                whole += Pulled(0, 0, Change(), (taken,))
    sweep_exports(project)
    return whole


def read_page(project: Project, page: Sequence[dict[str, Any]], read: Page, shelf: LabelStore, log: Log, number: int) -> Pulled:
    """One page of their tasks: alarms first, then labels, then the log: what a kill leaves undone, the next pull does."""
    for task in page:
        read.take(task, log)
    problems, said = read.reading.problems, read.reading.said
    gone = [k for task_ in read.held for k in shelf.keys(task_) if k not in read.reading.unread]
    change = shelf.update(f"project-{number}", said, gone, lambda news: problems.extend(withhold(project, news)))
    log.note(read.held, read.when)
    return Pulled(0, read.annotations, change, tuple(problems))


def pull_from_file(project: Project, path: Path, match: Path | None = None, vocabulary: str | None = None) -> Pulled:
    """A Label Studio JSON export into labels/. An export that is not of our clips needs `match` and `vocabulary`."""
    if match is not None and vocabulary is None:
        raise ConfigError(f"{path.name}: with --match, say what it was labelled with", "Add: --vocabulary nfbl, or your own file")
    nfbl, emotions = vocabularies(project)
    alarms: list[str] = []
    with project.locked():
        pulled = read_export(
            path, project.labels, secret=project.secret, vocabulary=load_nfbl(vocabulary) if vocabulary else nfbl,
            emotions=emotions, sources=project.sources(), match=match,
            alarm=lambda new: alarms.extend(withhold(project, new)),
        )  # fmt: skip
    return replace(pulled, problems=(*pulled.problems, *alarms))


@dataclass
class Seen:
    """Which of their tasks there are, while they are listed."""

    number: int
    log: Log
    withdrawn: Callable[[str], bool] = lambda clip: False
    tasks: set[str] = field(default_factory=set)
    clips: set[str] = field(default_factory=set)

    def wanted(self, brief: TaskSummary) -> bool:
        """Whether it changed since it was pulled, and is of nobody who was forgotten."""
        task = task_key(brief.clip, brief.id, self.number, brief.created_at)
        self.tasks.add(task)
        self.clips.add(brief.clip)
        return not self.withdrawn(brief.clip) and not self.log.is_current(task, brief.updated_at)


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
        key, held = key_of(task, shown), snapshot(task, self.reading.secret)
        if log.is_new(key, held):
            self.held[key], self.when[key] = held, str(task.get("updated_at"))
            self.annotations += read_task(task, shown, self.reading)


def of_another_group(page: Sequence[dict[str, Any]], template: str, groups: dict[int, str], secret: bytes) -> list[str]:
    """A line for each annotation by somebody whose group works on other pages."""
    wanted = "adjudicate" if template == ADJUDICATE else "label"
    so = "it does not count if they labelled the clip" if template == ADJUDICATE else "taken all the same"
    return [
        f"{name_of(task)}: by {pseudonym(secret, who)}, who is of the group {groups[who]}; {so}"
        for task in page
        for who in sorted(
            set(groups) & {a["completed_by"] for a in annotations_of(task) if isinstance(a.get("completed_by"), int)}
        )
        if groups[who] != wanted
    ]


def withhold(project: Project, new: Iterable[Label]) -> list[str]:
    """Keep back at once the stretch in which an annotator sees something identifying, until its owner has looked at it."""
    alarms = [
        lb for lb in new
        if lb.kind == "choice" and lb.value["name"] == "identifying" and set(lb.value["choices"]) != {NOTHING}
    ]  # fmt: skip
    if not alarms:
        return []
    sources = {public_id(project.secret, "v", i): i for i in read_sources_by_id(project)}
    lines = []
    for label in alarms:
        what = ", ".join(sorted(set(label.value["choices"]) - {NOTHING})) or "not said what"
        if source := sources.get(label.source):
            stretch = Clip(label.clip, source, label.start_ms, label.end_ms)
            if not corrections.is_withheld(project.root, stretch):
                corrections.withhold(project.root, stretch)
            lines.append(f"clip {label.clip}: an annotator sees something identifying ({what}); withheld. Type: deemo review DIR")
        else:
            lines.append(f"clip {label.clip}: an annotator saw something identifying ({what}); its footage is no longer here")
    clips = read_known_clips(project)
    held = {c.id: c for h in corrections.withheld(project.root) for c in corrections.touched_by(h, clips)}
    release.take_back((), project, gone=held.values())
    for label in alarms:  # also where it is cut otherwise by now
        for path in project.served.rglob(f"{label.clip}.*"):
            path.unlink()
    return lines


def barred(project: Project, ledger: Iterable[Pushed]) -> set[str]:
    """The clips that were pushed and may not be shown any more: withheld, no consent, refused, or their footage is gone."""
    sources = {public_id(project.secret, "v", i): s for i, s in read_sources_by_id(project).items()}
    refused = {public_id(project.secret, "c", c.id) for c in read_known_clips(project) if c.facts.get("leaks_passed") is False}
    held = corrections.withheld(project.root)
    found = set()
    for line in ledger:
        source = sources.get(line.source)
        if source is None:
            if sources:  # in a project whose lists are gone nothing is known of any footage
                found.add(line.clip)
            continue
        shown = Clip(line.clip, source.source, line.start_ms, line.end_ms)
        if not consent.has_consent(source) or line.clip in refused or any(corrections.touched_by(h, [shown]) for h in held):
            found.add(line.clip)
    return found
