"""Removes one person from a project for good, proves it by a search, and leaves a line that says how much went and not whose."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data import annotate, speakers, withdrawn
from deemo_data.build import known_clips, known_sources
from deemo_data.clip import Clip, write_clips, write_if_changed
from deemo_data.errors import ConfigError, LabelError
from deemo_data.export import clear
from deemo_data.ingest import read_subjects, write_subjects
from deemo_data.labels import whole_lines
from deemo_data.release import public_id

if TYPE_CHECKING:
    from deemo_data.config import Project

LONG = 5  # letters of a name from which on it is looked for: shorter ones stand in any file
REPORTS = ("*.json", "*.html")  # of out/: they name or show people, and are made anew by their commands


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

    who           a subject as the CSV names them, a subject id (s-…), or a source's id
    label_studio  False leaves a server that is not to be had as it is
    First of all the server is asked, so that nothing is half done when it does not answer. Raises ConfigError when there is
    no such person, LabelError when Label Studio does not answer.
    """
    wanted = sources_of(project, who)
    known = {i: s for i, s in known_sources(project).items() if i in wanted}
    clips = [c for c in known_clips(project) if c.source in wanted]
    public = public_ids(project, wanted, clips)
    secrets, short = known_of(project, wanted, known.values(), clips, public)
    if label_studio and annotate.address(project).get("url"):
        from_label_studio(project, {p for p in public if p.startswith("c-")})
    with project.locked():
        ours, theirs = footage_of(project, known.values())
        gone = sum(r.get("source") in public for r in all_labels(project))
        withdrawn.note(project, list(known.values()), len(clips), gone)  # first: what is killed from here on is begun again
        keep = {public_id(project.secret, "c", c.id) for c in known_clips(project) if c.source not in wanted}
        for path in project.served.rglob("*"):
            if path.is_file() and path.name.split(".")[0] not in keep:  # also what was cut otherwise once
                path.unlink()
        clear(project.dataset)
        for pattern in REPORTS:
            for path in project.out.glob(pattern):
                path.unlink()
        from_labels(project.labels, public)
        from_corrections(project, wanted)
        from_store(project.store, wanted)
        shutil.rmtree(project.private / annotate.MODEL_CACHE, ignore_errors=True)  # answers about anybody's words
        for path in ours:
            path.unlink(missing_ok=True)
        write_clips((c for c in known_clips(project) if c.source not in wanted), project.root / "clips.jsonl")
        write_clips((s for i, s in known_sources(project).items() if i not in wanted), project.root / "sources.jsonl")
        write_subjects(project.private / "subjects.csv", [], without=wanted)
    return Forgotten(len(wanted), len(clips), gone, tuple(map(str, theirs)), tuple(search(project, secrets)), tuple(short))


def sources_of(project: Project, who: str) -> set[str]:
    """The sources of a person, also those that are no longer listed. Raises ConfigError when nobody is called so."""
    people, listed, said = read_subjects(project.private / "subjects.csv"), known_sources(project), who.strip().casefold()
    found = {p.source for p in people if said and said in (p.name.casefold(), p.subject.casefold())}
    found |= {i for i, s in listed.items() if who in (i, s.facts["subject"])}
    if not found:
        subjects = sorted({s.facts["subject"] for s in listed.values()} | {p.subject for p in people})
        raise ConfigError(
            f"nobody here is called {who!r}", f"Give a name of the CSV, a source's id, or one of: {', '.join(subjects)}"
        )
    return found


def all_labels(project: Project) -> Iterator[dict[str, Any]]:
    for path in sorted(project.labels.glob("*.jsonl")):
        if path.name != "pushed.jsonl":
            yield from (r for r in whole_lines(path) if not r.get("deleted"))


def public_ids(project: Project, sources: set[str], clips: Iterable[Clip]) -> set[str]:
    """What they are called outside, also clips that are not cut so any more: by the ledger."""
    outside = {public_id(project.secret, "v", i) for i in sources}
    lines = whole_lines(project.labels / "pushed.jsonl")
    return outside | {public_id(project.secret, "c", c.id) for c in clips} | {r["clip"] for r in lines if r["source"] in outside}


def known_of(
    project: Project, ids: set[str], sources: Iterable[Clip], clips: Iterable[Clip], public: set[str]
) -> tuple[list[str], list[str]]:
    """(all by which they could be found: ids, digests, names, places; names too short to be looked for: they are everywhere)"""
    sources = list(sources)
    names = {n for p in read_subjects(project.private / "subjects.csv") if p.source in ids for n in (p.name, p.subject) if n}
    exact = {s.files["source"].sha256 for s in sources} | {s.files["source"].path for s in sources}
    exact |= ids | public | {c.id for c in clips} | {n for n in names if len(n) >= LONG}
    return sorted(exact), sorted(n for n in names if len(n) < LONG)


def from_label_studio(project: Project, clips: set[str]) -> int:
    """Delete their clips there, from whatever projects this one ever made; how many. Raises LabelError without an answer."""
    from deemo_data import label_studio

    server = annotate.server_of(project)
    numbers = label_studio.all_ours(server, annotate.mark_of(project))
    gone = sum(label_studio.delete_clips(server, number, clips) for number in numbers)
    annotate.sweep_exports(project)
    from_its_disk(project.private / annotate.SERVER)
    return gone


def from_its_disk(folder: Path) -> None:
    """What a server of ours leaves lying: addresses in its log, and deleted rows in the file of its database."""
    if (folder / "server.log").exists():
        os.truncate(folder / "server.log", 0)
    database = folder / "label_studio.sqlite3"
    if database.exists():
        try:
            with closing(sqlite3.connect(database, timeout=60)) as handle:
                handle.execute("VACUUM")
        except sqlite3.OperationalError as e:
            raise LabelError(f"Label Studio's database is busy: {e}", "Type the same command again in a moment") from e


def from_labels(folder: Path, public: set[str]) -> None:
    """Take every line about them out of labels/, the raw ones and the ledger too."""
    for path in sorted(folder.rglob("*.jsonl")):
        rows = list(whole_lines(path))
        theirs = {r.get("key") or r.get("task") for r in rows if _about(r, public)} - {None}
        kept = [r for r in rows if not _about(r, public) and (r.get("key") or r.get("task")) not in theirs]
        if len(kept) < len(rows):
            _rewrite(path, kept)


def _about(row: dict[str, Any], public: set[str]) -> bool:
    return row.get("clip") in public or row.get("source") in public


def from_corrections(project: Project, sources: set[str]) -> None:
    for path in sorted((project.root / "corrections").glob("*.jsonl")):
        rows = list(whole_lines(path))
        theirs = {r.get("id") for r in rows if r.get("source") in sources}
        kept = [r for r in rows if r.get("source") not in sources and r.get("removes") not in theirs]
        if len(kept) < len(rows):
            _rewrite(path, kept)
    for source in sources & set(speakers.said(project.root)):
        speakers.write(project.root, source, {})


def from_store(store: Path, sources: set[str]) -> None:
    """Remove what was ever made of their footage, under whatever settings. What is being built by a run is not touched."""
    for home in store.glob("*/*"):
        entry = home / "entry.json"
        try:
            source = json.loads(entry.read_text())["source"] if entry.exists() else None
        except (ValueError, KeyError):
            source = None
        if source in sources:
            shutil.rmtree(home)


def footage_of(project: Project, sources: Iterable[Clip]) -> tuple[list[Path], list[Path]]:
    """(footage that lies in the project: downloads; footage that lies elsewhere)."""
    paths = [s.path("source") for s in sources]
    ours = [p for p in paths if project.private in p.parents]
    return ours, [p for p in paths if p not in ours]


def search(project: Project, secrets: Sequence[str]) -> list[str]:
    """The files of the project in which any of it still stands, in name or content."""
    from deemo_data.attacks.metadata import planted

    return sorted({hit.file for hit in planted(project.root, secrets)}) if secrets else []


def _rewrite(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_if_changed(path, "".join(json.dumps(r, sort_keys=True, ensure_ascii=False) + "\n" for r in rows))
