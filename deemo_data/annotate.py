"""Where a project's annotators work, and what they are given: Label Studio's address, who they are, push, pages, agreement."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data import labels, release, sheets, withdrawn
from deemo_data.build import Missing, current, kept_back, vocabularies
from deemo_data.clip import write_if_changed
from deemo_data.errors import ConfigError, LabelError
from deemo_data.store import derive
from deemo_data.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    from deemo_data.config import Project
    from deemo_data.label_studio import Server
    from deemo_data.labels import Label
    from deemo_data.moments import Moment
    from deemo_data.release import SafeClip

ADDRESS = "label_studio.json"
ANNOTATORS = "annotators.csv"
SERVER = "label-studio"  # below private/: the data of a server of the project's own
GROUPS = ("label", "adjudicate")
MODEL_CACHE = "language_model"  # below private/: what a language model was asked, and said
Watch = Callable[[int], None]  # told how many clips were sent or looked at since it was last told


@dataclass(frozen=True)
class Annotator:
    """A row of private/annotators.csv."""

    email: str
    group: str = "label"


@dataclass(frozen=True)
class Handed:
    """What a push did. page: where annotators label; gone: clips that are still listed there and may no longer be shown."""

    new: int
    there_before: int
    with_proposals: int
    page: str
    gone: tuple[str, ...] = ()


def push(project: Project, template: str = sheets.TIMELINE, watch: Watch = lambda clips: None) -> tuple[Handed, list[Missing]]:
    """Released clips into Label Studio, on the page of a template; those that are there already are left as they are.

    Nothing of the project changes meanwhile: who withdraws, or what is withheld, waits until it is sent.
    """
    server = server_of(project)
    with project.locked():
        safe, kept = release.release_all(current(project), project)
        return hand_over(project, server, safe, template, watch), kept_back(kept)


def hand_over(
    project: Project, server: Server, safe: Sequence[SafeClip], template: str, watch: Watch = lambda clips: None
) -> Handed:
    """See `push`. What is handed over is noted in the ledger before it is sent."""
    from deemo_data import label_studio, templates

    nfbl, emotions = vocabularies(project)
    config = page_for(project, template, nfbl, emotions)
    if not safe:
        raise LabelError("there is no clip that may be shown to annotators", f"Type: deemo status {project.root}")
    number = desk(project, server, template, config, templates.guide(template, nfbl, emotions))
    there = label_studio.clips_of(server, number)
    made = list(chosen(project, safe, template, there))
    labels.record_pushed(project.labels, (s.line for s in made))
    given = (s.given for s in made)
    sent = label_studio.push(server, number, given, batch=project.config.labelling.batch, known=there, watch=watch)
    proposed = sum(bool(s.line.proposals) for s in made)
    gone = tuple(sorted(there - {c.id for c in safe}))
    return Handed(sent, len(there), proposed, label_studio.page_of(server, number), gone)


def chosen(project: Project, safe: Sequence[SafeClip], template: str, there: Collection[str] = ()) -> Iterator[sheets.Sheet]:
    """The sheets of a template for the clips that are not `there` yet.

    For adjudicators only clips in dispute; for clip_review only candidates for strong emotion (`deemo moments`), where any
    clip is one; for mer_clues with drafts of the clues.
    """
    (nfbl, emotions), said = vocabularies(project), labels.in_force(project.labels)
    new = [c for c in safe if c.id not in there]
    if template == sheets.ADJUDICATE:
        return sheets.disputes(new, nfbl, said, tracks=project.config.labelling.overlap)
    drafts = clue_drafts(project, safe, said, nfbl, emotions) if template == sheets.CLUES else {}
    if template == sheets.REVIEW:
        strong = {m.clip for m in ranked(project, safe, said) if m.candidate}
        new = [c for c in new if c.id in strong or not strong]
    if template == sheets.TIMELINE and (lacking := [c.id for c in new if c.facts.get("proposals") is None]):
        raise LabelError(f"{len(lacking)} clips have no proposals yet, first {lacking[0]}", f"Type: deemo run {project.root}")
    return sheets.sheets(new, template, nfbl, said, share=project.config.labelling.proposals, drafts=drafts)


def ranked(
    project: Project, safe: Sequence[SafeClip], said: Sequence[Label], told: Callable[[str], None] = lambda line: None
) -> list[Moment]:
    """The clips by signs of strong emotion, the strongest first, as [moments] and [language_model] say."""
    from deemo_data import moments

    config = project.config
    cache = project.private / MODEL_CACHE
    return moments.candidates(
        safe, said, vocabularies(project)[0], config.moments, model=config.language_model, cache=cache, told=told
    )


def moments_of(project: Project, told: Callable[[str], None]) -> tuple[list[Moment], list[Missing]]:
    """`ranked`, of all released clips, into out/moments.json."""
    with project.locked():
        safe, kept = release.release_all(current(project), project)
        said, gone = labels.in_force(project.labels), withdrawn.marks(project)
    found = ranked(project, safe, said, told)
    settings = asdict(project.config.moments)
    with project.locked():
        withdrawn.check(project, gone)
        project.write_report("moments.json", {"settings": settings, "clips": [asdict(m) for m in found]})
    return found, kept_back(kept)


def clue_drafts(
    project: Project, safe: Sequence[SafeClip], said: Sequence[Label], nfbl: Nfbl, emotions: Emotions
) -> dict[str, dict[str, str]]:
    """By clip, what the text boxes of mer_clues begin with: clues by rules, and a reasoning that names no emotion yet."""
    from deemo_data import clues, reasoning, signs

    near = labels.by_clip(said, safe)
    measured = {c.id: signs.measure(c, near[c.id], nfbl) for c in safe}
    of_subject: dict[str, list[SafeClip]] = {}
    for clip in safe:
        of_subject.setdefault(clip.facts["subject"], []).append(clip)
    found = {}
    for clip in safe:
        mine = of_subject[clip.facts["subject"]]
        drafted = clues.draft(clip, said, nfbl, emotions, mine, project.config.moments, measured=measured)
        found[clip.id] = reasoning.prefilled(drafted, reasoning.draft(clip, drafted, None, nfbl))
    return found


def push_to_file(project: Project, path: Path, template: str = sheets.TIMELINE) -> tuple[int, list[Missing]]:
    """Released clips as a file that Label Studio imports; what they were is noted in the ledger, labels/pushed.jsonl."""
    page_for(project, template, *vocabularies(project))
    with project.locked():
        safe, kept = release.release_all(current(project), project)
        made = list(chosen(project, safe, template))
        labels.record_pushed(project.labels, (s.line for s in made))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_if_changed(path, json.dumps([s.given for s in made], indent=1) + "\n")
    return len(made), kept_back(kept)


def address(project: Project) -> dict[str, Any]:
    """private/label_studio.json: url, token, and the numbers of our projects there, by template."""
    try:
        said = json.loads((project.private / ADDRESS).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as e:
        raise ConfigError(f"private/{ADDRESS} is damaged: {e}", "Put it back from your backup, or delete it") from e
    return dict(said)


def server_of(project: Project) -> Server:
    """The Label Studio of this project: as the environment says, else as `make label-studio` wrote it down."""
    from deemo_data import label_studio

    said = address(project)
    url, token = os.environ.get("LABEL_STUDIO_URL"), os.environ.get("LABEL_STUDIO_API_KEY")
    if url and not token and url.rstrip("/") != said.get("url"):  # the token of one server is not told to another
        raise LabelError(f"there is no token for Label Studio at {url}", "Set LABEL_STUDIO_API_KEY too")
    url, token = url or said.get("url"), token or said.get("token")
    if not url or not token:
        what = "no Label Studio is known to this project"
        raise LabelError(
            what, f"Type: make label-studio PROJECT={project.root}, or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        )
    return label_studio.connect(url, token)


def sweep_exports(project: Project) -> None:
    """Remove the copies that a server of the project's own keeps of whatever is fetched from it."""
    for path in (project.private / SERVER / "export").glob("project-*"):
        path.unlink()


def desks(project: Project) -> dict[str, int]:
    """{template: number of our project there}."""
    return {str(k): int(v) for k, v in address(project).get("projects", {}).items() if v is not None}


def mark_of(project: Project) -> str:
    """By which our projects there are known as ours."""
    return derive(project.secret, "label-studio")[:12]


def page_for(project: Project, template: str, nfbl: Nfbl, emotions: Emotions) -> str:
    """A template's page. Raises LabelError for one with a fault, ConfigError where there is no such template."""
    from deemo_data import templates

    settings = project.config.labelling
    config = templates.render(template, nfbl, emotions, settings.size, annotators=settings.overlap)
    if wrong := templates.faults(config, nfbl, emotions):
        raise LabelError(f"page {template}: {wrong[0]}", "Mend annotation_templates, or the vocabulary that it is made from")
    return config


def desk(project: Project, server: Server, template: str, config: str, guide: str) -> int:
    """The number of our project there for a template, made or brought up to date, with its page, guide and videos."""
    from deemo_data import label_studio

    said = address(project)
    projects = said.get("projects", {})
    number = label_studio.project_for(
        server,
        title=f"deemo {template} {mark_of(project)}",
        template=template,
        config=config,
        guide=guide,
        overlap=1 if template == sheets.ADJUDICATE else project.config.labelling.overlap,
        known=projects.get(template),
        anew=template in projects and projects[template] is None,
    )
    project.released.mkdir(parents=True, exist_ok=True)
    label_studio.give_storage(server, number, project.released)
    said["projects"] = {**projects, template: number}
    write_if_changed(project.private / ADDRESS, json.dumps(said, indent=1, sort_keys=True) + "\n", mode=0o600)
    return number


def annotators(project: Project) -> list[Annotator]:
    """Who labels: private/annotators.csv. Raises ConfigError for a row without an e-mail address or of another group."""
    path = project.private / ANNOTATORS
    if not path.exists():
        return []
    found = []
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    except UnicodeDecodeError as e:
        raise ConfigError(f"private/{ANNOTATORS} is not UTF-8: {e.reason}", "Save it as UTF-8") from e
    for number, row in enumerate(rows, 2):
        who = Annotator((row.get("email") or "").strip().lower(), (row.get("group") or "label").strip())
        if "@" not in who.email or who.group not in GROUPS:
            wrong = f"private/{ANNOTATORS} line {number}: it needs an e-mail address and a group"
            raise ConfigError(wrong, f"Columns: email, group ({' or '.join(GROUPS)})")
        found.append(who)
    return found


def write_templates(project: Project, folder: Path) -> list[Path]:
    """Every page, in both sizes, with its guide. Raises LabelError, naming it, when one of them has a fault."""
    from deemo_data import templates

    return templates.write(folder, *vocabularies(project), project.config.labelling.overlap)


def install_keys(project: Project) -> tuple[int, list[str]]:
    """Our keys, for us and each annotator of the project: (how many have them now, the addresses that have no account there)."""
    from deemo_data import label_studio, templates

    server, body = server_of(project), templates.hotkeys()
    number_of = {email: number for number, email in label_studio.annotators(server).items()}
    people = [who.email for who in annotators(project)]
    label_studio.install_hotkeys_of(server, server.user, body)
    for email in people:
        if email in number_of:
            label_studio.install_hotkeys_of(server, number_of[email], body)
    return sum(email in number_of for email in people), [email for email in people if email not in number_of]


def agree(project: Project, rounds: int = 1000) -> dict[str, Any]:
    """How far the annotators agree, into out/agreement.json and out/agreement.html."""
    from deemo_data import agreement, agreement_page

    nfbl, emotions = vocabularies(project)
    with project.locked():
        safe, _ = release.release_all(current(project), project)
        said, pushed = labels.in_force(project.labels), labels.read_ledger(project.labels)
        gone = withdrawn.marks(project)
    measured = agreement.measure(said, safe, nfbl, emotions, pushed, rounds=rounds)
    with project.locked():
        withdrawn.check(project, gone)
        project.write_report("agreement.json", measured)
        write_if_changed(project.out / "agreement.html", agreement_page.page(measured))
    return measured


@dataclass(frozen=True)
class Progress:
    """How far the labelling of body language is, in clips: each is counted once, under the furthest that it has come."""

    pushed: int
    single: int
    reviewed: int
    adjudicated: int
    people: int


def progress(project: Project) -> Progress:
    """By the ledger and the labels in force."""
    lines = [line for line in labels.read_ledger(project.labels) if line.template in (sheets.TIMELINE, sheets.ADJUDICATE)]
    seen: dict[str, dict[str, set[str]]] = {line.clip: {} for line in lines}
    for label in labels.in_force(project.labels):
        if label.kind == "seen" and label.clip in seen and label.value in ("nfbl", "adjudicated"):
            seen[label.clip].setdefault(label.value, set()).add(label.annotator)
    done = [c for c in seen.values() if c.get("adjudicated", set()) - c.get("nfbl", set())]
    looked = [len(c.get("nfbl", ())) for c in seen.values() if c not in done]
    people = {who for c in seen.values() for group in c.values() for who in group}
    return Progress(len(seen), looked.count(1), sum(n > 1 for n in looked), len(done), len(people))
