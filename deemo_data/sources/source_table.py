"""Reads a table of sources, or lists the videos in a folder, as rows for intake.py."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deemo_data.errors import ConfigError, SourceError
from deemo_data.sources.download import is_web_address, redact_address

COLUMNS = ("uri", "subject", "known_names", "consent", "licence", "start_ms", "end_ms")
VIDEO_SUFFIXES = (".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
            ".ogg", ".ogv", ".ts", ".vob", ".webm", ".wmv")  # fmt: skip


@dataclass(frozen=True)
class SourceRow:
    """What a table states about one source, or about one span of it. `uri` is a path or an http(s) address."""

    uri: str
    subject: str = ""
    known_names: tuple[str, ...] = ()
    consent: str | None = (
        None  # "": the CSV has the column and the cell is empty, so no consent was given; None: it has no such column
    )
    licence: str = ""
    start_ms: int | None = None
    end_ms: int | None = None


def read_source_rows(where: str) -> list[SourceRow]:
    """The rows of a CSV, or one row per video of a folder with its sub-folders, or one row for a file or an http(s) address.

    Hidden files and folders and project folders are skipped. Raises SourceError when there is no video, ConfigError for a CSV
    with an unknown column, a broken line, or two values for one source.
    """
    if "://" in where:
        if not is_web_address(where):
            what = f"{redact_address(where)}: only http and https addresses can be fetched"
            raise SourceError(what, "Download it yourself and give the file")
        return [SourceRow(where)]
    path = Path(where).expanduser()
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
        projects = {p.parent for p in path.rglob("deemo.toml")}  # the files in a project are no footage
        visible = [p for p in inside if not any(n.startswith(".") for n in p.relative_to(path).parts)]
        rows = [SourceRow(str(p)) for p in visible if projects.isdisjoint(p.parents)]
        if not rows:
            raise SourceError(
                f"{where} holds no video ({' '.join(VIDEO_SUFFIXES)})", "Give another folder, or a CSV with a uri column"
            )
        return rows
    if not path.is_file():
        raise SourceError(f"{where} is not there", "Give a folder of videos, a CSV, a video file or an http(s) address")
    return _read_csv(path) if path.suffix.lower() == ".csv" else [SourceRow(str(path))]


def _read_csv(path: Path) -> list[SourceRow]:
    advice = f"Known columns: {', '.join(COLUMNS)}; only uri is required"
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), skipinitialspace=True)
        columns = [(c or "").strip() for c in reader.fieldnames or []]
        lines = [(reader.line_num, cells) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as e:
        raise ConfigError(f"{path.name} cannot be read as CSV in UTF-8: {e}", advice) from e
    if "uri" not in columns:
        raise ConfigError(f"{path.name} has no column uri (it has {', '.join(filter(None, columns)) or 'none'})", advice)
    if unknown := [c for c in columns if c not in COLUMNS]:
        raise ConfigError(f"{path.name} has a column {unknown[0]!r} that is not known", advice)
    if len(set(columns)) < len(columns):
        raise ConfigError(f"{path.name} has a column twice", advice)
    rows = [_parse_row(path, number, dict(zip(columns, cells.values(), strict=False)), None in cells) for number, cells in lines]
    if not rows:
        raise SourceError(f"{path.name} has no rows", "Give it one row for each source")
    for uri in dict.fromkeys(row.uri for row in rows):
        if column := find_conflict([row for row in rows if row.uri == uri]):
            raise ConfigError(f"{path.name}: {redact_address(uri)} has two values of {column}", f"Give one source one {column}")
    return rows


def find_conflict(rows: Sequence[SourceRow]) -> str | None:
    """The first column for which the rows of one source have two values; an empty cell is no value. None if there is none."""
    columns = ("subject", "consent", "licence")
    return next((c for c in columns if len({getattr(row, c) for row in rows} - {"", None}) > 1), None)


def _parse_row(path: Path, number: int, cells: dict[str, Any], too_many: bool) -> SourceRow:
    where = f"{path.name} line {number}"
    values = {name: unicodedata.normalize("NFC", (value or "").strip()) for name, value in cells.items()}
    if too_many or not values["uri"]:
        reason = "more values than columns" if too_many else "no uri"
        raise ConfigError(f"{where} has {reason}", "Mend that line and run again; a value with a comma goes in double quotes")
    uri = values["uri"]
    if "://" not in uri:
        uri = str(path.parent / Path(uri).expanduser())
    times: list[int | None] = []
    for name in ("start_ms", "end_ms"):
        text = values.get(name, "")
        if text and not re.fullmatch(r"-?[0-9]{1,12}", text):
            raise ConfigError(f"{where}: {name} is {text!r}, not a whole number of milliseconds", "Mend that line and run again")
        times.append(int(text) if text else None)
    names = split_names(values.get("known_names", ""))
    return SourceRow(uri, values.get("subject", ""), names, values.get("consent"), values.get("licence", ""), *times)


def split_names(cell: str) -> tuple[str, ...]:
    """The names in one cell, separated by semicolons."""
    return tuple(name for part in cell.split(";") if (name := part.strip()))
