"""Sources.csv or a folder -> rows."""

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
from deemo_data.sources.download import is_address, shown

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
        if column := find_conflict([row for row in rows if row.uri == uri]):
            raise ConfigError(f"{path.name}: {shown(uri)} has two values of {column}", f"Give one source one {column}")
    return rows


def find_conflict(rows: Sequence[Row]) -> str | None:
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
    names = split_names(said.get("known_names", ""))
    return Row(uri, said.get("subject", ""), names, said.get("consent"), said.get("licence", ""), *times)


def split_names(cell: str) -> tuple[str, ...]:
    """The names in one cell, which semicolons part."""
    return tuple(name for part in cell.split(";") if (name := part.strip()))
