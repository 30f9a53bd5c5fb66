"""Deemo push."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.annotation.drafts import clue_drafts, ranked
from deemo_data.annotation.label_studio.workspace import ADDRESS, address, mark_of, server_of
from deemo_data.annotation.pages import tasks
from deemo_data.errors import LabelError
from deemo_data.files import write_if_changed
from deemo_data.labels import label, store
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.project import release
from deemo_data.project.clips import current
from deemo_data.project.problems import Problem, as_problems
from deemo_data.project.project import vocabularies

if TYPE_CHECKING:
    from deemo_data.annotation.label_studio.connection import Server
    from deemo_data.clip import SafeClip
    from deemo_data.project.project import Project

Watch = Callable[[int], None]  # told how many clips were sent or looked at since it was last told


@dataclass(frozen=True)
class PushResult:
    """What a push did. page: where annotators label; gone: clips that are still listed there and may no longer be shown."""

    new: int
    there_before: int
    with_proposals: int
    page: str
    gone: tuple[str, ...] = ()


def push(project: Project, template: str = label.TIMELINE, watch: Watch = lambda clips: None) -> tuple[PushResult, list[Problem]]:
    """Released clips into Label Studio, on the page of a template; those that are there already are left as they are.

    Nothing of the project changes meanwhile: who withdraws, or what is withheld, waits until it is sent.
    """
    server = server_of(project)
    with project.locked():
        safe, kept = release.release_all(current(project), project)
        return push_clips(project, server, safe, template, watch), as_problems(kept)


def push_clips(
    project: Project, server: Server, safe: Sequence[SafeClip], template: str, watch: Watch = lambda clips: None
) -> PushResult:
    """See `push`. What is handed over is noted in the ledger before it is sent."""
    from deemo_data.annotation.label_studio.projects import clips_of, page_of, send_tasks
    from deemo_data.annotation.pages import templates

    nfbl, emotions = vocabularies(project)
    config = page_for(project, template, nfbl, emotions)
    if not safe:
        raise LabelError("there is no clip that may be shown to annotators", f"Type: deemo status {project.root}")
    number = project_number(project, server, template, config, templates.guide(template, nfbl, emotions))
    there = clips_of(server, number)
    made = list(select_tasks(project, safe, template, there))
    store.record_pushed(project.labels, (s.line for s in made))
    payloads = (s.payload for s in made)
    sent = send_tasks(server, number, payloads, batch=project.config.labelling.batch, known=there, watch=watch)
    proposed = sum(bool(s.line.proposals) for s in made)
    gone = tuple(sorted(there - {c.id for c in safe}))
    return PushResult(sent, len(there), proposed, page_of(server, number), gone)


def select_tasks(
    project: Project, safe: Sequence[SafeClip], template: str, there: Collection[str] = ()
) -> Iterator[tasks.ImportTask]:
    """The sheets of a template for the clips that are not `there` yet.

    For adjudicators only clips in dispute; for clip_review only candidates for strong emotion (`deemo moments`), where any
    clip is one; for mer_clues with drafts of the clues.
    """
    (nfbl, emotions), said = vocabularies(project), store.in_force(project.labels)
    new = [c for c in safe if c.id not in there]
    if template == label.ADJUDICATE:
        return tasks.disputes(new, nfbl, said, tracks=project.config.labelling.overlap)
    drafts = clue_drafts(project, safe, said, nfbl, emotions) if template == label.CLUES else {}
    if template == label.REVIEW:
        strong = {m.clip for m in ranked(project, safe, said) if m.candidate}
        new = [c for c in new if c.id in strong or not strong]
    if template == label.TIMELINE and (lacking := [c.id for c in new if c.facts.get("proposals") is None]):
        raise LabelError(f"{len(lacking)} clips have no proposals yet, first {lacking[0]}", f"Type: deemo run {project.root}")
    return tasks.import_tasks(new, template, nfbl, said, share=project.config.labelling.proposals, drafts=drafts)


def push_to_file(project: Project, path: Path, template: str = label.TIMELINE) -> tuple[int, list[Problem]]:
    """Released clips as a file that Label Studio imports; what they were is noted in the ledger, labels/pushed.jsonl."""
    page_for(project, template, *vocabularies(project))
    with project.locked():
        safe, kept = release.release_all(current(project), project)
        made = list(select_tasks(project, safe, template))
        store.record_pushed(project.labels, (s.line for s in made))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_if_changed(path, json.dumps([s.payload for s in made], indent=1) + "\n")
    return len(made), as_problems(kept)


def page_for(project: Project, template: str, nfbl: Nfbl, emotions: Emotions) -> str:
    """A template's page. Raises LabelError for one with a fault, ConfigError where there is no such template."""
    from deemo_data.annotation.pages import checks, templates

    settings = project.config.labelling
    config = templates.render(template, nfbl, emotions, settings.size, annotators=settings.overlap)
    if wrong := checks.faults(config, nfbl, emotions):
        raise LabelError(f"page {template}: {wrong[0]}", "Mend annotation_templates, or the vocabulary that it is made from")
    return config


def project_number(project: Project, server: Server, template: str, config: str, guide: str) -> int:
    """The number of our project there for a template, made or brought up to date, with its page, guide and videos."""
    from deemo_data.annotation.label_studio.projects import give_storage, project_for

    said = address(project)
    projects = said.get("projects", {})
    number = project_for(
        server,
        title=f"deemo {template} {mark_of(project)}",
        template=template,
        config=config,
        guide=guide,
        overlap=1 if template == label.ADJUDICATE else project.config.labelling.overlap,
        known=projects.get(template),
        anew=template in projects and projects[template] is None,
    )
    project.released.mkdir(parents=True, exist_ok=True)
    give_storage(server, number, project.released)
    said["projects"] = {**projects, template: number}
    write_if_changed(project.private / ADDRESS, json.dumps(said, indent=1, sort_keys=True) + "\n", mode=0o600)
    return number


def write_templates(project: Project, folder: Path) -> list[Path]:
    """Every page, in both sizes, with its guide. Raises LabelError, naming it, when one of them has a fault."""
    from deemo_data.annotation.pages import checks

    return checks.write(folder, *vocabularies(project), project.config.labelling.overlap)
