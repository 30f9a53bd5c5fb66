"""Whether a dataset's documents say what its tables hold: deemo.json, card, Croissant, changelog."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from deemo_data.dataset.documents import croissant, statements
from deemo_data.dataset.layout import MANIFEST
from deemo_data.files import parse_json

Say = Callable[[str, str], None]  # where, what


def check_files(manifest: Mapping[str, Any], folder: Path, digest: Callable[[Path], str], error: Say, warn: Say) -> set[str]:
    """Every file against its digest in deemo.json; the paths that differ or are gone."""
    wrong = set()
    files = manifest["files"]
    for name, sha256 in sorted(files.items()):
        file = (folder / name).resolve()
        if not file.is_file():
            error(name, "is in deemo.json and not there")
        elif digest(file) != sha256:
            error(name, "is not the file that was exported: its digest differs from deemo.json")
        else:
            continue
        wrong.add(name)
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}
    if extra := sorted(present - set(files) - {MANIFEST}):
        warn(extra[0], f"is not in deemo.json{f', nor are {len(extra) - 1} more' if len(extra) > 1 else ''}")
    return wrong


def read_manifest(folder: Path, error: Say, warn: Say) -> dict[str, Any]:
    """deemo.json; nothing, and a word about it, where there is none that can be read."""
    path = folder / MANIFEST
    if not path.is_file():
        warn(MANIFEST, "there is none: digests cannot be compared")
        return {}
    try:
        said = parse_json(path.read_text("utf-8"))
        return {"files": dict(said["files"])} | said
    except (ValueError, KeyError, TypeError) as e:
        error(MANIFEST, f"cannot be read: {e}")
        return {}


def check_counts(manifest: Mapping[str, Any], counted: Mapping[str, Any], error: Say) -> None:
    """What deemo.json counts against what the tables hold."""
    said = manifest.get("counts")
    if not isinstance(said, dict):
        return
    for key in sorted(said.keys() | counted.keys()):
        if said.get(key) != counted.get(key):
            error(MANIFEST, f"its counts of {key} are not those of the tables: {_apart(said.get(key), counted.get(key))}")


def _apart(said: Any, counted: Any) -> str:
    if isinstance(said, dict) and isinstance(counted, dict):
        key = next(k for k in sorted(said.keys() | counted.keys()) if said.get(k) != counted.get(k))
        return f"{key}: {_apart(said.get(key), counted.get(key))}"
    return f"{said}, not {counted}"


def check_card(
    folder: Path, front: Mapping[str, Any], manifest: Mapping[str, Any], counted: Mapping[str, Any], error: Say
) -> None:
    """The card's headline, its table of splits, the row counts of its front matter and its version."""
    card = folder / "README.md"
    if not card.is_file():
        return
    text = card.read_text("utf-8", errors="replace")
    if statements.headline(counted) not in text:
        error("README.md", f"does not say what the tables hold: {statements.headline(counted)}")
    for line in statements.split_lines(counted):
        if line not in text:
            error("README.md", f"its table of splits lacks the line: {line}")
    rows = {"nfbl": "clips", "mer": "records"}
    infos = front.get("dataset_info") or []
    for info in infos if isinstance(infos, list) else [infos]:
        for split in info.get("splits") or []:
            there = counted["splits"].get(split.get("name"), {}).get(rows.get(info.get("config_name"), ""))
            if there is not None and split.get("num_examples") != there:
                said = f"{split.get('num_examples')} rows in {split['name']} of {info['config_name']}"
                error("README.md", f"its front matter says {said}, there are {there}")
    if (version := manifest.get("version")) and f"Version {version}," not in text:
        error("README.md", f"is not that of version {version}")


def check_version(folder: Path, manifest: Mapping[str, Any], error: Say) -> None:
    """The changelog's latest version against that of deemo.json."""
    path, version = folder / "CHANGELOG.md", manifest.get("version")
    if version and path.is_file():
        found = re.search(r"^## (\S+)", path.read_text("utf-8", errors="replace"), flags=re.MULTILINE)
        if not found or found.group(1) != version:
            error("CHANGELOG.md", f"ends at {found.group(1) if found else 'nothing'}, deemo.json says version {version}")


def check_croissant(
    folder: Path, manifest: Mapping[str, Any], counted: Mapping[str, Any], columns: Mapping[str, Iterable[str]],
    digests: Mapping[str, str], error: Say,
) -> None:  # fmt: skip
    """croissant.json against the tables that are there. `columns`: config -> names; `digests`: table -> sha256."""
    path = folder / croissant.FILE
    if not path.is_file():
        return
    try:
        said = parse_json(path.read_text("utf-8"))
    except ValueError as e:
        error(croissant.FILE, f"cannot be read: {e}")
        return
    if not isinstance(said, dict):
        error(croissant.FILE, "is no object")
        return
    for fault in croissant.faults(said, counted, {c: list(n) for c, n in columns.items()}, digests):
        error(croissant.FILE, fault)
    if (version := manifest.get("version")) and said.get("version") != version:
        error(croissant.FILE, f"is of version {said.get('version')}, deemo.json of {version}")
