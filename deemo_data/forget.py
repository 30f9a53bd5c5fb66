"""Removes one person from a project for good, proves it by a search, and leaves a line that says how much went and not whose."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import unicodedata
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data import annotate, labels, speakers, withdrawn
from deemo_data.build import known_sources
from deemo_data.clip import Clip, read_clips, write_clips, write_if_changed
from deemo_data.errors import ConfigError, LabelError
from deemo_data.export import clear
from deemo_data.ingest import Person, read_subjects, write_subjects
from deemo_data.labels import whole_lines
from deemo_data.release import public_id
from deemo_data.splits import SPLITS

if TYPE_CHECKING:
    from deemo_data.config import Project
    from deemo_data.label_studio_server import Server

LONG = 5  # letters of a name from which on it is looked for: shorter ones stand in any file
REPORTS = ("*.json", "*.html", "judged.jsonl")  # of out/: they name, show or quote people, and are made anew
PAST = ".past.json"  # except of what a dataset held: hashes, of which the next version's changelog is made
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
        listed = [s for i, s in known_sources(project).items() if i in wanted]
        rows = cut_clips(project)
        theirs = [c for c in rows if c.source in wanted]
        public = public_ids(project, wanted, theirs)
        secrets, short = known_of(project, wanted, listed)
        if label_studio and is_pushed(project):
            from_label_studio(project, public)
        gone = sum(_about(row, public) for row in all_labels(project))
        withdrawn.note(project, wanted, public, len(theirs), gone)
        keep = {public_id(project.secret, "c", c.id) for c in rows if c.source not in wanted}
        for path in project.served.rglob("*"):
            if path.is_symlink() or (path.is_file() and path.name.split(".")[0] not in keep):  # also what was cut otherwise once
                path.unlink()
        from_out(project)
        from_labels(project.labels, public)
        from_corrections(project, wanted)
        from_store(project.store, wanted)
        shutil.rmtree(project.private / annotate.MODEL_CACHE, ignore_errors=True)  # answers about anybody's words
        ours, elsewhere = footage_of(project, wanted, listed)
        from_downloads(project.private / "downloads", ours, wanted)
        sweep(project)
        if label_studio:
            from_its_disk(project.private / annotate.SERVER)
        write_clips((c for c in rows if c.source not in wanted), project.root / "clips.jsonl")
        write_clips((s for i, s in known_sources(project).items() if i not in wanted), project.root / "sources.jsonl")
        write_subjects(project.private / "subjects.csv", [], without=wanted)
        left = tuple(search(project, secrets, public))
    return Forgotten(len(wanted), len(theirs), gone, tuple(map(str, elsewhere)), left, tuple(short))


# ── who, and what is theirs ──────────────────────────────────────────────────────────────────────────────────────


def sources_of(project: Project, who: str) -> set[str]:
    """All sources of a person, also those that are not listed any more. Raises ConfigError when nobody, or several, are meant."""
    people, listed = read_subjects(project.private / "subjects.csv"), known_sources(project)
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
        exact |= {outside.get(line.source, "") for line in labels.read_ledger(project.labels) if line.clip == who}
    small = name.casefold()
    return exact & set(subject_of) or {p.source for p in people if small and small in (p.name.casefold(), p.subject.casefold())}


def cut_clips(project: Project) -> list[Clip]:
    """The lines of clips.jsonl as they stand there, also of footage that is no longer listed."""
    path = project.root / "clips.jsonl"
    return read_clips(path) if path.exists() else []


def all_labels(project: Project) -> Iterator[dict[str, Any]]:
    for path in sorted(project.labels.glob("*.jsonl")):
        if path.name != labels.LEDGER:
            yield from (r for r in whole_lines(path) if not r.get("deleted"))


def public_ids(project: Project, sources: set[str], clips: Iterable[Clip]) -> set[str]:
    """What they are called outside, also clips that are not cut so any more: by the ledger and what was said of them."""
    outside = {public_id(project.secret, "v", i) for i in sources}
    said = {str(row["clip"]) for row in all_labels(project) if row.get("source") in outside}
    pushed = {line.clip for line in labels.read_ledger(project.labels) if line.source in outside}
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


# ── Label Studio ─────────────────────────────────────────────────────────────────────────────────────────────────


def is_pushed(project: Project) -> bool:
    """Whether a Label Studio may have clips of this project; what a file took elsewhere is not known to any we could ask."""
    known = annotate.address(project).get("url") or os.environ.get("LABEL_STUDIO_URL")
    return bool(annotate.desks(project) or (known and labels.read_ledger(project.labels)))


def from_label_studio(project: Project, clips: Collection[str]) -> int:
    """Delete clips there, from whatever projects this one ever made; how many.

    What was withdrawn before and is still there goes too. Raises LabelError without an answer, and for a clip that stays.
    """
    from deemo_data import label_studio

    server, gone = annotate.server_of(project), 0
    for number in where(project, server):
        there = label_studio.clips_of(server, number)
        if shut := (there & set(clips)) | withdrawn.among(project, there):
            gone += label_studio.delete_clips(server, number, shut)
            if left := shut & label_studio.clips_of(server, number):
                what = f"Label Studio at {server.url} still has {len(left)} clips in project {number}, first {min(left)}"
                raise LabelError(what, "Type the same command again in a moment")
    annotate.sweep_exports(project)
    return gone


def where(project: Project, server: Server) -> list[int]:
    """The projects there that may have clips of this one: those that say so, and those that we noted, whatever they say."""
    from deemo_data import label_studio
    from deemo_data.label_studio_server import clearly

    ours = set(label_studio.all_ours(server, annotate.mark_of(project)))
    if noted := set(annotate.desks(project).values()) - ours:
        with clearly(server.url, "looking for our projects"):
            listed: Any = server.client.projects.list(include="id", page_size=1000)
            ours |= noted & {p.id for p in listed}
    return sorted(ours)


def from_its_disk(folder: Path) -> None:
    """What a server of ours leaves lying: addresses in its log, and deleted rows in the file of its database."""
    if (folder / "server.log").exists():
        os.truncate(folder / "server.log", 0)
    database = folder / "label_studio.sqlite3"
    if database.exists():
        try:
            with closing(sqlite3.connect(database, timeout=60)) as handle:
                handle.execute("VACUUM")
        except sqlite3.Error as e:
            raise LabelError(
                f"Label Studio's database cannot be swept now: {e}", "Type the same command again in a moment: it goes on"
            ) from e


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────


def from_out(project: Project) -> None:
    """Take the dataset back, also one that was never finished, and all reports; not what the next version has to know."""
    clear(project.dataset)
    for split in SPLITS:
        for path in [p for p in (project.dataset / split).rglob("*") if not p.is_dir()]:
            path.unlink()
    for pattern in REPORTS:
        for path in project.out.glob(pattern):
            if not path.name.endswith(PAST):
                path.unlink()
    if (learned := project.out / "baseline").is_dir():
        shutil.rmtree(learned)  # models that learned from them


def from_labels(folder: Path, public: set[str]) -> None:
    """Take every line about them out of labels/, the raw ones and the ledger too."""
    paths = sorted(folder.rglob("*.jsonl"))
    theirs = {_key(row) for path in paths for row in whole_lines(path) if _about(row, public)} - {None}
    for path in paths:
        _strike(path, lambda row: _about(row, public) or _key(row) in theirs)


def _about(row: dict[str, Any], public: set[str]) -> bool:
    return row.get("clip") in public or row.get("source") in public


def _key(row: dict[str, Any]) -> Any:
    return row.get("key") or row.get("task")


def from_corrections(project: Project, sources: set[str]) -> None:
    held = {i for path in (project.root / "corrections").glob("*.jsonl") for i in _said_of(path, sources)}
    for path in sorted((project.root / "corrections").glob("*.jsonl")):
        _strike(path, lambda row: row.get("source") in sources or row.get("removes") in held)
    for source in sources & set(speakers.said(project.root)):
        speakers.write(project.root, source, {})


def _said_of(path: Path, sources: set[str]) -> set[Any]:
    return {row.get("id") for _, row in _lines(path) if row and row.get("source") in sources}


def _strike(path: Path, theirs: Callable[[dict[str, Any]], bool]) -> None:
    """Take lines out of a file of JSON lines, and half a line that a killed process left; the others stay to the letter."""
    kept = b"".join(line for line, row in _lines(path) if row is not None and not theirs(row))
    write_if_changed(path, kept, mode=path.stat().st_mode & 0o777)


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Each line, and what it says; None for what is no JSON. Raises LabelError for such a line that is not the last."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line, json.loads(line)
            except ValueError as e:
                if line.endswith(b"\n") and line.strip():
                    advice = "Put the file back from your backup, then type the same command again: it goes on"
                    raise LabelError(f"{path.name} line {number} cannot be read: {e}", advice) from e
                yield line, None


def from_store(store: Path, sources: set[str]) -> None:
    """Remove what was ever made of their footage, under whatever settings, and what a run is just making of it.

    It is given another name first, with the source in it: one that was removed in part would not say whose it is.
    """
    for home in [h for h in store.glob("*/*") if h.is_dir() and not h.is_symlink()] if sources else ():
        mine = sources & {*home.name.split("."), _source_of(home)}
        if not mine:
            continue
        if not mine & set(home.name.split(".")):
            home = home.rename(home.with_name(f".{home.name}.{min(mine)}.{uuid.uuid4().hex[:8]}"))
        with suppress(FileNotFoundError):
            shutil.rmtree(home)


def _source_of(home: Path) -> str:
    try:
        return str(json.loads((home / "entry.json").read_text())["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def from_downloads(folder: Path, ours: Iterable[Path], sources: set[str]) -> None:
    """Delete footage of ours, and the addresses that it came from."""
    for path in ours:
        path.unlink(missing_ok=True)
    listed = folder / "downloads.json"
    if listed.exists():
        kept = {url: name for url, name in json.loads(listed.read_text()).items() if name[:12] not in sources}
        write_if_changed(listed, json.dumps(kept, indent=1, sort_keys=True))


def sweep(project: Project) -> None:
    """Remove files that processes were writing when they were killed: nobody reads them, and anybody may be in them."""
    for folder in (".", "labels", "labels/raw", "corrections", "private", "private/downloads", "out"):
        for path in (project.root / folder).glob(".*.*"):
            number = path.name.rpartition(".")[2]
            if path.is_file() and number.isdigit() and not _lives(int(number)):
                path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def search(project: Project, secrets: Sequence[str], public: Collection[str] = ()) -> list[str]:
    """The files of the project in which any of it still stands, in name or content. public: clips, which may be many."""
    from deemo_data.attacks.metadata import contents, planted

    found = {hit.file for hit in planted(project.root, secrets)} if secrets else set()
    clips = {name.encode() for name in public}
    for path in sorted(p for p in project.root.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(project.root).as_posix()
        places = chain([("name", name.encode(errors="surrogateescape"))], contents(path))
        if name not in found and any(not clips.isdisjoint(PUBLIC_CLIP.findall(data)) for _, data in places):
            found.add(name)
    return sorted(found)
