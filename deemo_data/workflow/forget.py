"""`deemo forget`: erases one person from a project, searches for leftovers, and logs how much was erased without saying whose.

This file decides what belongs to the person and in which order it goes; erase.py erases it, place by place.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.annotation import drafts
from deemo_data.annotation.label_studio import workspace
from deemo_data.clip import Clip, read_clips, write_clips
from deemo_data.errors import ConfigError
from deemo_data.labels import store
from deemo_data.pipeline.store import erase_sources
from deemo_data.project import withdrawals
from deemo_data.project.clips import read_sources_by_id
from deemo_data.project.search import find_secrets, read_contents
from deemo_data.pseudonyms import derive_public_id
from deemo_data.sources.download import delete_downloads
from deemo_data.sources.subjects import Person, read_subjects, write_subjects
from deemo_data.workflow.erase import (
    erase_corrections,
    erase_from_label_studio,
    erase_label_rows,
    erase_outputs,
    erase_server_traces,
    is_pushed,
    iterate_label_rows,
    mentions_person,
    sweep_project,
)

if TYPE_CHECKING:
    from deemo_data.project.project import Project


MIN_NAME_LETTERS = 5  # shorter names are not searched for, since they occur in any file
PUBLIC_CLIP_PATTERN = re.compile(rb"c-[0-9a-f]{16}")


@dataclass(frozen=True)
class ForgetResult:
    """What was erased.

    sources, clips, labels  how many
    outside_footage         their footage outside the project, which the user has to delete
    leftovers               files in which the search still found something of them
    short_names             names that are too short to be searched for
    """

    sources: int
    clips: int
    labels: int
    outside_footage: tuple[str, ...]
    leftovers: tuple[str, ...]
    short_names: tuple[str, ...]


def forget_person(project: Project, who: str, *, label_studio: bool = True) -> ForgetResult:
    """Erase a person: lists, footage in the project, stored results, labels, corrections, Label Studio, releases, exports.

    who           a subject as the CSV names them, a subject id (s-…), or the private or public id of one of their sources or
                  clips; all sources of that person are erased
    label_studio  False: do not ask a server that cannot be reached

    The project is locked, so nobody pushes, pulls or exports meanwhile. Label Studio is asked first, so that nothing is half
    erased when it does not answer. The person's line in private/subjects.csv goes last, so that typing the command again
    finishes one that was killed. Raises ConfigError when there is no such person, LabelError when Label Studio does not answer.
    """
    with project.lock():
        sources = find_sources_of_person(project, who)
        listed = [s for i, s in read_sources_by_id(project).items() if i in sources]
        rows = read_clip_rows(project)
        clips = [c for c in rows if c.source in sources]
        public_ids = public_ids_of(project, sources, clips)
        secrets, short_names = search_strings_of(project, sources, listed)
        if label_studio and is_pushed(project):
            erase_from_label_studio(project, public_ids)
        labels = sum(mentions_person(row, public_ids) for row in iterate_label_rows(project))
        withdrawals.record_withdrawal(project, sources, public_ids, len(clips), labels)
        other_ids = {derive_public_id(project.secret, "c", c.id) for c in rows if c.source not in sources}
        for path in project.served_dir.rglob("*"):  # also clips that were cut in another way before
            if path.is_symlink() or (path.is_file() and path.name.split(".")[0] not in other_ids):
                path.unlink()
        erase_outputs(project)
        erase_label_rows(project.labels_dir, public_ids)
        erase_corrections(project, sources)
        erase_sources(project.store_dir, sources)
        shutil.rmtree(
            project.private_dir / drafts.MODEL_CACHE, ignore_errors=True
        )  # its answers do not say whose words they are about
        inside, outside = locate_footage(project, sources, listed)
        delete_downloads(project.private_dir / "downloads", inside, sources)
        sweep_project(project)
        if label_studio:
            erase_server_traces(project.private_dir / workspace.SERVER_FOLDER)
        write_clips((c for c in rows if c.source not in sources), project.root / "clips.jsonl")
        write_clips((s for i, s in read_sources_by_id(project).items() if i not in sources), project.root / "sources.jsonl")
        write_subjects(project.private_dir / "subjects.csv", [], without=sources)
        leftovers = tuple(find_leftovers(project, secrets, public_ids))
    return ForgetResult(len(sources), len(clips), labels, tuple(map(str, outside)), leftovers, tuple(short_names))


# ── who, and what is theirs ──────────────────────────────────────────────────────────────────────────────────────


def find_sources_of_person(project: Project, who: str) -> set[str]:
    """Ids of all sources of a person, including sources that are no longer listed.

    Raises ConfigError when `who` fits nobody, or several people.
    """
    people, listed = read_subjects(project.private_dir / "subjects.csv"), read_sources_by_id(project)
    subject_of = {p.source: p.subject for p in people} | {i: str(s.facts["subject"]) for i, s in listed.items()}
    sources = _match_person(project, who.strip(), people, subject_of)
    subjects = {subject_of[source] for source in sources}
    if len(subjects) > 1:
        raise ConfigError(f"{len(subjects)} people here are called {who!r}", f"Give one of: {', '.join(sorted(subjects))}")
    if not sources:
        everybody = ", ".join(sorted(set(subject_of.values()))) or "nobody is here"
        raise ConfigError(f"nobody here is called {who!r}", f"Give a name of the CSV, a source's id, or one of: {everybody}")
    return {source for source, subject in subject_of.items() if subject in subjects}


def _match_person(project: Project, who: str, people: Sequence[Person], subject_of: dict[str, str]) -> set[str]:
    """The sources that `who` may mean. Upper and lower case only matter when both match."""
    name = unicodedata.normalize("NFC", who)
    exact = {i for i, subject in subject_of.items() if who in (i, subject, derive_public_id(project.secret, "v", i))}
    exact |= {p.source for p in people if name and name == p.name}
    if not exact and re.fullmatch("c-[0-9a-f]{16}|[0-9a-f]{12}-.*", who):
        source_of = {derive_public_id(project.secret, "v", i): i for i in subject_of}
        exact = {c.source for c in read_clip_rows(project) if who in (c.id, derive_public_id(project.secret, "c", c.id))}
        exact |= {source_of.get(line.source, "") for line in store.read_ledger(project.labels_dir) if line.clip == who}
    folded = name.casefold()
    any_case = {p.source for p in people if folded and folded in (p.name.casefold(), p.subject.casefold())}
    return exact & set(subject_of) or any_case


def read_clip_rows(project: Project) -> list[Clip]:
    """The rows of clips.jsonl, not joined with their sources: also clips of sources that are no longer listed."""
    path = project.root / "clips.jsonl"
    return read_clips(path) if path.exists() else []


def public_ids_of(project: Project, sources: set[str], clips: Iterable[Clip]) -> set[str]:
    """The public ids of sources and of their clips, including clips that only the push ledger or labels still mention."""
    source_ids = {derive_public_id(project.secret, "v", i) for i in sources}
    labelled = {str(row["clip"]) for row in iterate_label_rows(project) if row.get("source") in source_ids}
    pushed = {line.clip for line in store.read_ledger(project.labels_dir) if line.source in source_ids}
    return source_ids | {derive_public_id(project.secret, "c", c.id) for c in clips} | labelled | pushed


def search_strings_of(project: Project, ids: set[str], sources: Iterable[Clip]) -> tuple[list[str], list[str]]:
    """Strings to search for (ids, names, paths; not clip ids), and names too short to search for because they occur in any file.

    A source's id begins the ids of its clips and its digest, so these are found with it.
    """
    names = {n for p in read_subjects(project.private_dir / "subjects.csv") if p.source in ids for n in (p.name, p.subject) if n}
    strings = ids | {derive_public_id(project.secret, "v", i) for i in ids} | {n for n in names if len(n) >= MIN_NAME_LETTERS}
    for source in sources:
        strings |= {str(source.facts["subject"]), source.files["source"].path}
    return sorted(strings), sorted(n for n in names if len(n) < MIN_NAME_LETTERS)


def locate_footage(project: Project, sources: set[str], listed: Iterable[Clip]) -> tuple[list[Path], list[Path]]:
    """Footage of some sources: (files in the project, also downloads of sources no longer listed; files outside it)."""
    paths = [s.path("source") for s in listed]
    inside = {p for p in paths if project.private_dir in p.parents}
    inside |= {p for p in (project.private_dir / "downloads").glob("[0-9a-f]*.*") if p.name[:12] in sources}
    return sorted(inside), sorted(set(paths) - inside)


def find_leftovers(project: Project, secrets: Sequence[str], public_ids: Collection[str] = ()) -> list[str]:
    """The files of the project whose name or content has one of the secrets or public ids.

    The public ids of clips may be many, so they are found with one pattern and looked up in a set.
    """
    hits = {hit.file for hit in find_secrets(project.root, secrets)} if secrets else set()
    ids = {name.encode() for name in public_ids}
    for path in sorted(p for p in project.root.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(project.root).as_posix()
        places = chain([("name", name.encode(errors="surrogateescape"))], read_contents(path))
        if name not in hits and any(not ids.isdisjoint(PUBLIC_CLIP_PATTERN.findall(data)) for _, data in places):
            hits.add(name)
    return sorted(hits)
