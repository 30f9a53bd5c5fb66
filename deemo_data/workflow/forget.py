"""Deemo forget."""

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
from deemo_data.pipeline.store import from_store
from deemo_data.project import withdrawals
from deemo_data.project.clips import read_sources_by_id
from deemo_data.pseudonyms import public_id
from deemo_data.sources.download import from_downloads
from deemo_data.sources.subjects import Person, read_subjects, write_subjects
from deemo_data.workflow.erase import (
    all_labels,
    from_corrections,
    from_its_disk,
    from_label_studio,
    from_labels,
    from_out,
    is_pushed,
    mentions_person,
    sweep,
)

if TYPE_CHECKING:
    from deemo_data.project.project import Project


LONG = 5  # letters of a name from which on it is looked for: shorter ones stand in any file
PUBLIC_CLIP = re.compile(rb"c-[0-9a-f]{16}")


@dataclass(frozen=True)
class Forgotten:
    """What went.

    footage  files outside the project, which are yours to delete
    left     where the search still found them
    short    names too short to be looked for
    """

    sources: int
    clips: int
    labels: int
    footage: tuple[str, ...]
    left: tuple[str, ...]
    short: tuple[str, ...]


def forget(project: Project, who: str, *, label_studio: bool = True) -> Forgotten:
    """Remove a person: lists, footage of ours, finished work, labels, corrections, Label Studio, what was released and exported.

    who           a subject as the CSV names them, a subject id (s-…), or the id of a source or clip of theirs, ours or public:
                  all sources of that person go
    label_studio  False leaves a server that is not to be had as it is
    Nobody pushes, pulls or exports meanwhile. First of all the server is asked, so that nothing is half done when it does not
    answer; their line in private/subjects.csv goes last, so that one that was killed is finished by typing it again. Raises
    ConfigError when there is no such person, LabelError when Label Studio does not answer.
    """
    with project.locked():
        wanted = sources_of(project, who)
        listed = [s for i, s in read_sources_by_id(project).items() if i in wanted]
        rows = cut_clips(project)
        theirs = [c for c in rows if c.source in wanted]
        public = public_ids(project, wanted, theirs)
        secrets, short = known_of(project, wanted, listed)
        if label_studio and is_pushed(project):
            from_label_studio(project, public)
        gone = sum(mentions_person(row, public) for row in all_labels(project))
        withdrawals.record_withdrawal(project, wanted, public, len(theirs), gone)
        keep = {public_id(project.secret, "c", c.id) for c in rows if c.source not in wanted}
        for path in project.served.rglob("*"):
            if path.is_symlink() or (path.is_file() and path.name.split(".")[0] not in keep):  # also what was cut otherwise once
                path.unlink()
        from_out(project)
        from_labels(project.labels, public)
        from_corrections(project, wanted)
        from_store(project.store, wanted)
        shutil.rmtree(project.private / drafts.MODEL_CACHE, ignore_errors=True)  # answers about anybody's words
        ours, elsewhere = footage_of(project, wanted, listed)
        from_downloads(project.private / "downloads", ours, wanted)
        sweep(project)
        if label_studio:
            from_its_disk(project.private / workspace.SERVER)
        write_clips((c for c in rows if c.source not in wanted), project.root / "clips.jsonl")
        write_clips((s for i, s in read_sources_by_id(project).items() if i not in wanted), project.root / "sources.jsonl")
        write_subjects(project.private / "subjects.csv", [], without=wanted)
        left = tuple(search(project, secrets, public))
    return Forgotten(len(wanted), len(theirs), gone, tuple(map(str, elsewhere)), left, tuple(short))


# ── who, and what is theirs ──────────────────────────────────────────────────────────────────────────────────────


def sources_of(project: Project, who: str) -> set[str]:
    """All sources of a person, also those that are not listed any more. Raises ConfigError when nobody, or several, are meant."""
    people, listed = read_subjects(project.private / "subjects.csv"), read_sources_by_id(project)
    subject_of = {p.source: p.subject for p in people} | {i: str(s.facts["subject"]) for i, s in listed.items()}
    found = _called(project, who.strip(), people, subject_of)
    subjects = {subject_of[source] for source in found}
    if len(subjects) > 1:
        raise ConfigError(f"{len(subjects)} people here are called {who!r}", f"Give one of: {', '.join(sorted(subjects))}")
    if not found:
        everybody = ", ".join(sorted(set(subject_of.values()))) or "nobody is here"
        raise ConfigError(f"nobody here is called {who!r}", f"Give a name of the CSV, a source's id, or one of: {everybody}")
    return {source for source, subject in subject_of.items() if subject in subjects}


def _called(project: Project, who: str, people: Sequence[Person], subject_of: dict[str, str]) -> set[str]:
    """The sources that somebody may mean; capitals count only where they have to."""
    name = unicodedata.normalize("NFC", who)
    exact = {i for i, subject in subject_of.items() if who in (i, subject, public_id(project.secret, "v", i))}
    exact |= {p.source for p in people if name and name == p.name}
    if not exact and re.fullmatch("c-[0-9a-f]{16}|[0-9a-f]{12}-.*", who):
        outside = {public_id(project.secret, "v", i): i for i in subject_of}
        exact = {c.source for c in cut_clips(project) if who in (c.id, public_id(project.secret, "c", c.id))}
        exact |= {outside.get(line.source, "") for line in store.read_ledger(project.labels) if line.clip == who}
    small = name.casefold()
    return exact & set(subject_of) or {p.source for p in people if small and small in (p.name.casefold(), p.subject.casefold())}


def cut_clips(project: Project) -> list[Clip]:
    """The lines of clips.jsonl as they stand there, also of footage that is no longer listed."""
    path = project.root / "clips.jsonl"
    return read_clips(path) if path.exists() else []


def public_ids(project: Project, sources: set[str], clips: Iterable[Clip]) -> set[str]:
    """What they are called outside, also clips that are not cut so any more: by the ledger and what was said of them."""
    outside = {public_id(project.secret, "v", i) for i in sources}
    said = {str(row["clip"]) for row in all_labels(project) if row.get("source") in outside}
    pushed = {line.clip for line in store.read_ledger(project.labels) if line.source in outside}
    return outside | {public_id(project.secret, "c", c.id) for c in clips} | said | pushed


def known_of(project: Project, ids: set[str], sources: Iterable[Clip]) -> tuple[list[str], list[str]]:
    """(all by which they could be found, clips apart: ids, names, places; names too short to be looked for: they are everywhere).

    A source's id is in the ids of its clips and begins its digest.
    """
    names = {n for p in read_subjects(project.private / "subjects.csv") if p.source in ids for n in (p.name, p.subject) if n}
    exact = ids | {public_id(project.secret, "v", i) for i in ids} | {n for n in names if len(n) >= LONG}
    for source in sources:
        exact |= {str(source.facts["subject"]), source.files["source"].path}
    return sorted(exact), sorted(n for n in names if len(n) < LONG)


def footage_of(project: Project, wanted: set[str], listed: Iterable[Clip]) -> tuple[list[Path], list[Path]]:
    """(footage that lies in the project, also downloads of sources that are not listed any more; footage that lies elsewhere)."""
    paths = [s.path("source") for s in listed]
    ours = {p for p in paths if project.private in p.parents}
    ours |= {p for p in (project.private / "downloads").glob("[0-9a-f]*.*") if p.name[:12] in wanted}
    return sorted(ours), sorted(set(paths) - ours)


def search(project: Project, secrets: Sequence[str], public: Collection[str] = ()) -> list[str]:
    """The files of the project in which any of it still stands, in name or content. public: clips, which may be many."""
    from deemo_data.project.search import contents, find_secrets

    found = {hit.file for hit in find_secrets(project.root, secrets)} if secrets else set()
    clips = {name.encode() for name in public}
    for path in sorted(p for p in project.root.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(project.root).as_posix()
        places = chain([("name", name.encode(errors="surrogateescape"))], contents(path))
        if name not in found and any(not clips.isdisjoint(PUBLIC_CLIP.findall(data)) for _, data in places):
            found.add(name)
    return sorted(found)
