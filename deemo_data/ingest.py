"""Taking footage in, from a folder, a CSV, a file or an http(s) address: sources that are probed, hashed and accounted for."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from deemo_data import media, store
from deemo_data.clip import Clip, Facts, File, write_if_changed
from deemo_data.download import MAX_BYTES, MAX_SECONDS, download, is_address, shown
from deemo_data.errors import ConfigError, MediaError, ProjectError, SourceError

COLUMNS = ("uri", "subject", "known_names", "consent", "licence", "start_ms", "end_ms")
SUFFIXES = (".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
            ".ogg", ".ogv", ".ts", ".vob", ".webm", ".wmv")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What somebody says of one source, or of one span of it. `uri` is a path, or an http(s) address."""

    uri: str
    subject: str = ""
    known_names: tuple[str, ...] = ()
    consent: str | None = None  # "" where a CSV has the column and leaves it empty: none was given
    licence: str = ""
    start_ms: int | None = None
    end_ms: int | None = None


class Refused(NamedTuple):
    """Footage (or one span of it) that was not taken in."""

    uri: str
    reason: str
    advice: str


class Person(NamedTuple):
    """A line of private/subjects.csv: who speaks in a source, and names that may be spoken there."""

    source: str
    subject: str  # the pseudonym that is in the facts
    name: str  # as the CSV gave it; empty when it gave none
    known_names: tuple[str, ...]

    @property
    def all_names(self) -> tuple[str, ...]:
        """What may be spoken: the known names, and the subject's own where it is one and not a number or a code."""
        own = (self.name,) if re.fullmatch(r"[^\W\d_]{3,}([ .'-]+[^\W\d_]+)*\.?", self.name) else ()
        return tuple(dict.fromkeys((*self.known_names, *own)))


# ── what to take in ──────────────────────────────────────────────────────────────────────────────────────────


def read_sources(where: str) -> list[Row]:
    """The rows of a CSV, or one row for each video in a folder (and below), for a file, or for an http(s) address.

    Hidden files and folders, and project folders, are passed over. Raises SourceError when nothing is there,
    ConfigError for a CSV that says something we do not understand.
    """
    if "://" in where:
        if not is_address(where):
            what = f"{shown(where)}: only http and https addresses can be fetched"
            raise SourceError(what, "Download it yourself and give the file")
        return [Row(where)]
    path = Path(where).expanduser()
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        projects = {p.parent for p in path.rglob("deemo.toml")}  # what a project made is not footage
        seen = [p for p in inside if not any(n.startswith(".") for n in p.relative_to(path).parts)]
        rows = [Row(str(p)) for p in seen if projects.isdisjoint(p.parents)]
        if not rows:
            raise SourceError(f"{where} holds no video ({' '.join(SUFFIXES)})", "Give another folder, or a CSV with a uri column")
        return rows
    if not path.is_file():
        raise SourceError(f"{where} is not there", "Give a folder of videos, a CSV, a video file or an http(s) address")
    return _read_csv(path) if path.suffix.lower() == ".csv" else [Row(str(path))]


def _read_csv(path: Path) -> list[Row]:
    known = f"Known columns: {', '.join(COLUMNS)}; only uri is required"
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), skipinitialspace=True)
        columns = [(c or "").strip() for c in reader.fieldnames or []]
        lines = [(reader.line_num, cells) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as e:
        raise ConfigError(f"{path.name} cannot be read as CSV in UTF-8: {e}", known) from e
    if "uri" not in columns:
        raise ConfigError(f"{path.name} has no column uri (it has {', '.join(filter(None, columns)) or 'none'})", known)
    if strange := [c for c in columns if c not in COLUMNS]:
        raise ConfigError(f"{path.name} has a column {strange[0]!r} that is not known", known)
    if len(set(columns)) < len(columns):
        raise ConfigError(f"{path.name} has a column twice", known)
    rows = [_row(path, number, dict(zip(columns, cells.values(), strict=False)), None in cells) for number, cells in lines]
    if not rows:
        raise SourceError(f"{path.name} has no rows", "Give it one row for each source")
    for uri in dict.fromkeys(row.uri for row in rows):
        if column := _conflict([row for row in rows if row.uri == uri]):
            raise ConfigError(f"{path.name}: {shown(uri)} has two values of {column}", f"Give one source one {column}")
    return rows


def _conflict(rows: Sequence[Row]) -> str | None:
    """What the rows of one source say in two ways, if anything; leaving it out is not another way."""
    columns = ("subject", "consent", "licence")
    return next((c for c in columns if len({getattr(row, c) for row in rows} - {"", None}) > 1), None)


def _row(path: Path, number: int, cells: dict[str, Any], too_many: bool) -> Row:
    where = f"{path.name} line {number}"
    said = {name: unicodedata.normalize("NFC", (value or "").strip()) for name, value in cells.items()}
    if too_many or not said["uri"]:
        reason = "more values than columns" if too_many else "no uri"
        raise ConfigError(f"{where} has {reason}", "Mend that line and run again; a value with a comma goes in double quotes")
    uri = said["uri"]
    if "://" not in uri:
        uri = str(path.parent / Path(uri).expanduser())
    times: list[int | None] = []
    for name in ("start_ms", "end_ms"):
        text = said.get(name, "")
        if text and not re.fullmatch(r"-?[0-9]{1,12}", text):
            raise ConfigError(f"{where}: {name} is {text!r}, not a whole number of milliseconds", "Mend that line and run again")
        times.append(int(text) if text else None)
    names = _names(said.get("known_names", ""))
    return Row(uri, said.get("subject", ""), names, said.get("consent"), said.get("licence", ""), *times)


def _names(cell: str) -> tuple[str, ...]:
    """The names in one cell, which semicolons part."""
    return tuple(name for part in cell.split(";") if (name := part.strip()))


# ── taking it in ─────────────────────────────────────────────────────────────────────────────────────────────


def ingest(
    rows: Sequence[Row],
    *,
    secret: bytes,
    downloads: Path,
    subjects: Path | None = None,
    consent: str | None = None,
    known: Iterable[Clip] = (),
    vfr_fps: int = 30,
    allow_local_addresses: bool = False,
    max_bytes: int = MAX_BYTES,
    max_seconds: int = MAX_SECONDS,
    probe: Callable[[Path, int], Facts] = media.probe,
    done: Callable[[str], None] = lambda uri: None,
) -> tuple[list[Clip], list[Refused]]:
    """Sources, with the facts grid, has_sound, stamp, subject, subject_assumed, consent, licence and spans; and what was refused.

    Files are known by their content: the same bytes under two names are one source, with the spans of both. A file
    whose path, size and time are those of a source in `known` is not hashed again. Names of people go to `subjects`
    (private/subjects.csv) and nowhere else. http(s) addresses are downloaded into `downloads`, once.
    """
    digests = {(s.files["source"].path, *s.facts["stamp"]): s.files["source"].sha256 for s in known}
    found: dict[str, tuple[Clip, list[Row]]] = {}
    refused: list[Refused] = []
    for uri in dict.fromkeys(row.uri for row in rows):
        said = [row for row in rows if row.uri == uri]
        try:
            path = Path(os.path.abspath(uri))
            if is_address(uri):
                path = download(uri, downloads, allow_local_addresses, max_bytes=max_bytes, max_seconds=max_seconds)
            source = _probed(path, digests, vfr_fps, probe)
            source, before = found.get(source.id, (source, []))
            if column := _conflict([*before, *said]):
                raise SourceError(
                    f"{path.name} holds the same bytes as {source.path('source').name}, but another {column} is given",
                    f"Give both the same {column}, or take one of them out",
                )
            found[source.id] = source, [*before, *said]
        except (SourceError, MediaError) as e:
            refused.append(Refused(shown(uri), e.what, e.advice or "Leave it out, or give a file that holds a video"))
        except OSError as e:
            reason = f"{Path(uri).name} cannot be read: {e.strerror or e}"
            refused.append(Refused(shown(uri), reason, "Make it readable and run again"))
        done(uri)
    taken: list[Clip] = []
    people: list[Person] = []
    for _, (source, said) in sorted(found.items()):
        spans, bad = _spans(source, said)
        refused += bad
        if spans or not bad:
            try:
                facts, person = _accounted(source, said, consent, secret)
            except SourceError as e:
                refused.append(Refused(shown(said[0].uri), e.what, e.advice))
                continue
            taken.append(source.knowing({}, {**facts, "spans": spans}))
            people.append(person)
    if subjects is not None:
        write_subjects(subjects, people)
    return taken, refused


def _probed(path: Path, digests: dict[tuple[Any, ...], str], vfr_fps: int, probe: Callable[[Path, int], Facts]) -> Clip:
    if not path.exists():
        raise SourceError(f"{path.name} is not there", "Put it there, or take its row out")
    if not path.is_file():
        raise SourceError(f"{path.name} is a folder, not a video", "Give the folder itself to deemo ingest, or name its files")
    stamp = store.stamp_of(path)
    if not stamp[0]:
        raise SourceError(f"{path.name} is empty (0 bytes)", "Copy it again")
    facts = dict(probe(path, vfr_fps))
    digest = digests.get((str(path), *stamp)) or File.of(path).sha256
    if store.stamp_of(path) != stamp:
        raise SourceError(f"{path.name} was written to while it was read", "Run again once it is whole")
    number = digest[:12]
    end_ms = facts.pop("duration_ms")
    return Clip(number, number, 0, end_ms, {"source": File(str(path), digest)}, facts | {"stamp": stamp})


def _accounted(source: Clip, rows: Sequence[Row], consent: str | None, secret: bytes) -> tuple[Facts, Person]:
    """Who is in the source, as a pseudonym, and who allowed what; the person behind it apart."""

    def said(column: str) -> str:
        return next((value for row in rows if (value := getattr(row, column))), "")

    name, given = said("subject"), said("consent")
    statement = given or (consent or "").strip()
    if not statement and any(row.consent == "" for row in rows):
        statement, given = "none", "none"  # said in so many words: what was recorded before no longer holds
    people = [n for n in (name, *(n for row in rows for n in row.known_names)) if n]
    published = f"{statement} {said('licence')}"
    if named := [n for n in people if re.search(rf"\b{re.escape(n)}\b", published, re.IGNORECASE)]:
        what = f"{source.path('source').name}: its consent or licence names {named[0]!r}, and both are published"
        raise SourceError(what, "Write them without names")
    pseudonym = "s-" + store.derive(secret, f"subject:{name or source.source}")[:8]
    facts = {
        "subject": pseudonym,
        "subject_assumed": not name,
        "consent": {"statement": statement, "asserted": not given} if statement else None,
        "licence": said("licence") or None,
    }
    names = tuple(dict.fromkeys(n for row in rows for n in row.known_names))
    return facts, Person(source.source, pseudonym, name, names)


def _spans(source: Clip, rows: Sequence[Row]) -> tuple[list[list[int]], list[Refused]]:
    """The spans [start_ms, end_ms] that the rows ask for, and those that cannot be had. A row without a span asks for none.

    An end up to one frame late is the source's end: players round up.
    """
    grid = source.grid
    spans: set[tuple[int, int]] = set()
    bad: list[Refused] = []
    for row in rows:
        if row.start_ms is None and row.end_ms is None:
            continue
        start, end = row.start_ms or 0, source.end_ms if row.end_ms is None else row.end_ms
        first, last = grid.frame_at(start), grid.frame_at(end)
        reason = ""
        if start < 0 or max(first, last - 1) > grid.frames:
            reason = f"span {start}-{end} lies outside the source, which ends at {source.end_ms} ms"
        elif min(last, grid.frames) <= first:
            reason = f"span {start}-{end} " + ("holds not one frame" if start < end else "ends before it begins")
        if reason:
            bad.append(Refused(shown(row.uri), reason, "Mend that row and run again"))
        else:
            spans.add((start, min(end, source.end_ms)))
    return [list(span) for span in sorted(spans)], bad


# ── the private list of people ───────────────────────────────────────────────────────────────────────────────


def write_subjects(path: Path, people: Iterable[Person], without: Container[str] = ()) -> None:
    """Add people to the list, a line for each source, readable by its owner only. What it says already stays, where
    nothing else is said now; sources `without` lose their line. One process at a time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        lines = {p.source: p for p in read_subjects(path)}
        for p in people:
            old = lines.get(p.source, p)
            subject = p.subject if p.name else old.subject
            lines[p.source] = Person(p.source, subject, p.name or old.name, p.known_names or old.known_names)
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Person._fields)
        kept = [p for source, p in sorted(lines.items()) if source not in without]
        writer.writerows((p.source, p.subject, p.name, "; ".join(p.known_names)) for p in kept)
        write_if_changed(path, text.getvalue(), mode=0o600)


def read_subjects(path: Path) -> list[Person]:
    """The people in private/subjects.csv; none when there is no such file yet."""
    if not path.exists():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        return [Person(row["source"], row["subject"], row["name"], _names(row["known_names"])) for row in rows]
    except (UnicodeDecodeError, csv.Error, KeyError, AttributeError) as e:
        raise ProjectError(
            f"{path.name} cannot be read: {type(e).__name__} {e}", "Mend it, or put it back from your backup"
        ) from e
