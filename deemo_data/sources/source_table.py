"""Reads what is given as sources: a table, a folder of videos, one file or one address, as rows for intake.py."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deemo_data.errors import ConfigError, SourceError
from deemo_data.notices import Notice
from deemo_data.sources.cells import is_nothing, parse_names
from deemo_data.sources.download import is_web_address, redact_address
from deemo_data.sources.folder import VIDEO_SUFFIXES, find_files
from deemo_data.sources.spreadsheet import (
    BINARY_SUFFIXES,
    SAVE_ADVICE,
    TABLE_SUFFIXES,
    describe_number_fault,
    is_machine_nothing,
    parse_whole_number,
    read_table,
)

COLUMNS = ("uri", "subject", "known_names", "consent", "licence", "start_ms", "end_ms", "audio_track", "video_track", "mix")
ALIASES = {"license": "licence", "url": "uri"}


@dataclass(frozen=True)
class SourceRow:
    """What a table states about one source, or about one span of it. `uri` is a path or an http(s) address.

    consent  "": the table has the column and the cell is empty, so no consent was given; None: it has no such column
    audio_track, video_track, mix  which tracks are used (media/streams.py); 0 or "": deemo shall choose; None: no such column
    line     of the table; None where there is no table
    tried    its ending says nothing about it: when it is no video, it is passed over and not refused
    """

    uri: str
    subject: str = ""
    known_names: tuple[str, ...] = ()
    consent: str | None = None
    licence: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    audio_track: int | None = None
    video_track: int | None = None
    mix: str | None = None
    line: int | None = field(default=None, compare=False)
    tried: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class GivenSources:
    """The rows of what was given, and what was passed over or guessed on the way.

    passed_over         {ending or reason: number of files} of a folder
    dead_links          links with an ending of footage that lead to nothing
    unreadable_folders  folders that may not be read
    notices             what was guessed or left out
    unsure              words of a table in which letters were guessed: for the owner only, they may be names
    """

    rows: tuple[SourceRow, ...]
    passed_over: Counter[str] = field(default_factory=Counter)
    dead_links: tuple[Path, ...] = ()
    unreadable_folders: tuple[Path, ...] = ()
    notices: tuple[Notice, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def refusals(self) -> list[tuple[str, str, str]]:
        """(path, reason, advice) of what could not be looked at."""
        folders = [
            (str(p), f"{p.name} is a folder that may not be read", "Make it readable and run again")
            for p in self.unreadable_folders
        ]
        return [(str(p), f"{p.name} is a link to nothing", "Mend the link, or delete it") for p in self.dead_links] + folders


def read_source_rows(where: str) -> list[SourceRow]:
    """The rows of `read_given_sources`."""
    return list(read_given_sources(where).rows)


def read_given_sources(where: str) -> GivenSources:
    """The rows of a table, or one row per video of a folder with its sub-folders, or one row for a file or an http(s) address.

    Raises SourceError when there is no video, ConfigError for a table with an unknown column, a broken line, or two values for
    one source.
    """
    if "://" in where:
        if not is_web_address(where):
            what = f"{redact_address(where)}: only http and https addresses can be fetched"
            raise SourceError(what, "Download it yourself and give the file")
        return GivenSources((SourceRow(where),))
    path = Path(where).expanduser()
    if path.is_dir():
        return _read_folder(where, path)
    if not path.is_file():
        raise SourceError(f"{where} is not there", "Give a folder of videos, a CSV, a video file or an http(s) address")
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _read_table_of_sources(path)
    if path.suffix.lower() in BINARY_SUFFIXES:
        raise ConfigError(f"{path.name} is neither a video nor a table of text", SAVE_ADVICE)
    return GivenSources((SourceRow(str(path)),))


def show_place(where: str) -> str:
    """What was given as sources, as reports and terminals may show it."""
    return redact_address(where)


def find_conflict(rows: Sequence[SourceRow]) -> str | None:
    """The first column for which the rows of one source have two values; an empty cell is no value. None if there is none."""
    columns = ("subject", "consent", "licence", "audio_track", "video_track", "mix")
    return next((c for c in columns if len({getattr(row, c) for row in rows} - {"", None, 0}) > 1), None)


def group_by_uri(rows: Iterable[SourceRow]) -> dict[str, list[SourceRow]]:
    """{URI: its rows}, in the order of the rows."""
    groups: dict[str, list[SourceRow]] = {}
    for row in rows:
        groups.setdefault(row.uri, []).append(row)
    return groups


def _read_folder(where: str, path: Path) -> GivenSources:
    """One row for each file of a folder that is footage or may be."""
    found = find_files(path)
    rows = [SourceRow(str(p)) for p in found.footage] + [SourceRow(str(p), tried=True) for p in found.candidates]
    if not rows and not found.dead_links:
        others = f"; {found.passed_over.total()} other files are in it" if found.passed_over else ""
        if found.projects and (path / "deemo.toml").exists():
            others = "; it is a project folder"
        if found.unreadable:
            others = f"; {len(found.unreadable)} folders may not be read"
        raise SourceError(
            f"{where} holds no video ({' '.join(VIDEO_SUFFIXES[:12])} …){others}",
            "Give another folder, or a CSV with a uri column",
        )
    folders = {
        "hidden_folders": (found.hidden_folders, "hidden folders were not looked into."),
        "project_folders": (found.projects, "project folders were not looked into: what is in them is no footage."),
        "linked_folders": (found.linked_folders, "links to folders were not followed."),
    }
    notices = tuple(Notice(kind, f"{count} {text}") for kind, (count, text) in folders.items() if count)
    return GivenSources(tuple(rows), found.passed_over, found.dead_links, found.unreadable, notices)


def _read_table_of_sources(path: Path) -> GivenSources:
    """The rows of a table of sources."""
    table = read_table(path, COLUMNS, ("uri",), ALIASES)
    nothings: Counter[str] = Counter()
    rows = [_parse_row(path, number, cells, nothings) for number, cells in table.rows]
    if not rows:
        raise SourceError(f"{path.name} has no rows", "Give it one row for each source")
    for uri, rows_of_uri in group_by_uri(rows).items():
        if column := find_conflict(rows_of_uri):
            raise ConfigError(f"{path.name}: {redact_address(uri)} has two values of {column}", f"Give one source one {column}")
    notices = [
        Notice(
            "table_empty_words",
            f"{count} cells of the column {column} hold a word for nothing (nan, n/a, -) and were read as empty.",
        )
        for column, count in nothings.items()
    ]
    return GivenSources(tuple(rows), notices=(*table.notices, *notices), unsure=table.unsure)


def _parse_row(path: Path, number: int, cells: dict[str, str], nothings: Counter[str]) -> SourceRow:
    """One row of a table; counts in `nothings` the cells that say nothing, by column. Raises ConfigError, with the line."""
    where = f"{path.name} line {number}"
    values = dict(cells)
    for name, value in cells.items():
        says_nothing = is_nothing(value) if name in ("subject", "known_names") else is_machine_nothing(value)
        if value and says_nothing and name != "consent":
            nothings[name] += 1
            values[name] = ""
    uri = values["uri"]
    if not uri:
        raise ConfigError(f"{where} has no uri", "Mend that line and run again; a value with a comma goes in double quotes")
    if "://" not in uri:
        uri = str(path.parent / Path(uri).expanduser())
    times: list[int | None] = []
    for name in ("start_ms", "end_ms"):
        text = values.get(name, "")
        if text and parse_whole_number(text) is None:
            raise ConfigError(f"{where}: {name} is {text!r}, {describe_number_fault(text)}", "Mend that line and run again")
        times.append(parse_whole_number(text))
    tracks: dict[str, int | None] = {}
    for name in ("audio_track", "video_track"):
        track = parse_whole_number(values.get(name, ""))
        if values.get(name) and (track is None or track < 1):
            what = f"{where}: {name} is {values[name]!r}, not the number of a track, which counts from 1"
            raise ConfigError(what, "Mend that line and run again")
        tracks[name] = track or 0 if name in values else None
    subject = re.sub(r"^(\d+)\.0$", r"\1", values.get("subject", ""))  # a code that a program took for a number
    names = parse_names(values.get("known_names", ""))
    return SourceRow(
        uri, subject, names, values.get("consent"), values.get("licence", ""), start_ms=times[0], end_ms=times[1],
        audio_track=tracks["audio_track"], video_track=tracks["video_track"], mix=values.get("mix"), line=number,
    )  # fmt: skip
