"""Checks that the documents of a dataset say what its tables hold: deemo.json, card, Croissant file, changelog."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deemo_data.dataset.documents import croissant, statements
from deemo_data.dataset.layout import MANIFEST
from deemo_data.dataset.validation.files import DatasetFiles
from deemo_data.dataset.validation.findings import Findings
from deemo_data.files import parse_json

ROWS = {"nfbl": "clips", "mer": "records"}  # config -> what its rows are called in the counts


def read_manifest(folder: Path, findings: Findings) -> dict[str, Any]:
    """deemo.json; empty when it is missing or cannot be read, which is a finding."""
    path = folder / MANIFEST
    if not path.is_file():
        findings.warn(MANIFEST, "there is none: digests cannot be compared")
        return {}
    try:
        manifest = parse_json(path.read_text("utf-8"))
        return {"files": dict(manifest["files"])} | manifest
    except (ValueError, KeyError, TypeError) as e:
        findings.error(MANIFEST, f"cannot be read: {e}")
        return {}


def check_files(manifest: Mapping[str, Any], files: DatasetFiles, findings: Findings) -> set[str]:
    """Compare every file with its digest in deemo.json; the paths of files that differ or are missing."""
    damaged = set()
    for name, sha256 in sorted(manifest["files"].items()):
        file = (files.folder / name).resolve()
        if not file.is_file():
            findings.error(name, "is in deemo.json and not there")
        elif files.digest(file) != sha256:
            findings.error(name, "is not the file that was exported: its digest differs from deemo.json")
        else:
            continue
        damaged.add(name)
    present = {p.relative_to(files.folder).as_posix() for p in files.folder.rglob("*") if p.is_file() and p.name[0] != "."}
    if extra := sorted(present - set(manifest["files"]) - {MANIFEST}):
        more = f", nor are {len(extra) - 1} more" if len(extra) > 1 else ""
        findings.warn(extra[0], f"is not in deemo.json{more}")
    return damaged


def check_counts(manifest: Mapping[str, Any], counts: Mapping[str, Any], findings: Findings) -> None:
    """The counts in deemo.json against those of the tables."""
    stated = manifest.get("counts")
    if not isinstance(stated, dict):
        return
    for key in sorted(stated.keys() | counts.keys()):
        if stated.get(key) != counts.get(key):
            difference = _describe_difference(stated.get(key), counts.get(key))
            findings.error(MANIFEST, f"its counts of {key} are not those of the tables: {difference}")


def _describe_difference(stated: Any, counted: Any) -> str:
    if isinstance(stated, dict) and isinstance(counted, dict):
        key = next(k for k in sorted(stated.keys() | counted.keys()) if stated.get(k) != counted.get(k))
        return f"{key}: {_describe_difference(stated.get(key), counted.get(key))}"
    return f"{stated}, not {counted}"


def check_card(
    folder: Path, front_matter: Mapping[str, Any], manifest: Mapping[str, Any], counts: Mapping[str, Any], findings: Findings
) -> None:
    """The card's headline, its table of splits, the row counts of its front matter and its version."""
    card = folder / "README.md"
    if not card.is_file():
        return
    text = card.read_text("utf-8", errors="replace")
    if statements.headline(counts) not in text:
        findings.error("README.md", f"does not say what the tables hold: {statements.headline(counts)}")
    for line in statements.split_table_rows(counts):
        if line not in text:
            findings.error("README.md", f"its table of splits lacks the line: {line}")
    infos = front_matter.get("dataset_info") or []
    for info in infos if isinstance(infos, list) else [infos]:
        for split in info.get("splits") or []:
            rows = counts["splits"].get(split.get("name"), {}).get(ROWS.get(info.get("config_name"), ""))
            if rows is not None and split.get("num_examples") != rows:
                stated = f"{split.get('num_examples')} rows in {split['name']} of {info['config_name']}"
                findings.error("README.md", f"its front matter says {stated}, there are {rows}")
    if (version := manifest.get("version")) and f"Version {version}," not in text:
        findings.error("README.md", f"is not that of version {version}")


def check_version(folder: Path, manifest: Mapping[str, Any], findings: Findings) -> None:
    """The latest version of the changelog against that of deemo.json."""
    path, version = folder / "CHANGELOG.md", manifest.get("version")
    if version and path.is_file():
        heading = re.search(r"^## (\S+)", path.read_text("utf-8", errors="replace"), flags=re.MULTILINE)
        if not heading or heading.group(1) != version:
            latest = heading.group(1) if heading else "nothing"
            findings.error("CHANGELOG.md", f"ends at {latest}, deemo.json says version {version}")


def check_croissant(
    files: DatasetFiles, manifest: Mapping[str, Any], counts: Mapping[str, Any], digests: Mapping[str, str], findings: Findings
) -> None:
    """croissant.json against the tables. `digests`: path of a table -> sha256."""
    name = croissant.CROISSANT_FILE
    path = files.folder / name
    if not path.is_file():
        return
    try:
        document = parse_json(path.read_text("utf-8"))
    except ValueError as e:
        findings.error(name, f"cannot be read: {e}")
        return
    if not isinstance(document, dict):
        findings.error(name, "is no object")
        return
    for fault in croissant.find_croissant_faults(document, counts, files.columns, digests):
        findings.error(name, fault)
    if (version := manifest.get("version")) and document.get("version") != version:
        findings.error(name, f"is of version {document.get('version')}, deemo.json of {version}")
