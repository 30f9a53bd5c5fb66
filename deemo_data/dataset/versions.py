"""Version and changelog of a dataset, computed by comparing its rows with those of the previous version.

Each export stores a `Snapshot` of its rows (hashes only) in deemo.json. The next export compares its own snapshot with that one:
the differences give the new version number and a `VersionEntry` of the changelog.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deemo_data.errors import DatasetError
from deemo_data.files import parse_json, read_lines

FIRST_VERSION = "1.0.0"
CONFIGS = ("nfbl", "mer")

RowHashes = Mapping[str, Mapping[str, str]]  # config -> hash of a row's id -> "hash of its content:hash of its clip's id"


@dataclass(frozen=True)
class Tombstone:
    """A line of withdrawn.jsonl: the date on which somebody withdrew, and the number of their clips. It does not say who."""

    date: str
    clips: int


@dataclass(frozen=True)
class VersionEntry:
    """One version in the changelog.

    added, changed, removed, withdrawn  config -> number of rows; withdrawn rows count as removed too
    moved   number of subjects who are in another split than before
    breaks  sentences about changed columns or vocabularies: code that reads the previous version may have to change
    """

    version: str
    date: str
    added: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    withdrawn: dict[str, int] = field(default_factory=dict)
    moved: int = 0
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What deemo.json remembers of a version. Ids are hashed: a hash finds the same row again and reveals nothing.

    ids         config -> hash of a row's id -> hashes of its content and of its clip's id
    splits      hash of a subject's id -> split
    shape       what code that reads the dataset relies on: a hash of the columns of each config, and the vocabularies
    versions    the changelog, oldest version first
    tombstones  number of lines of withdrawn.jsonl that the changelog already accounts for
    """

    ids: RowHashes = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    shape: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[VersionEntry, ...] = ()
    tombstones: int = 0

    @property
    def version(self) -> str:
        return self.versions[-1].version if self.versions else ""


def short_hash(*values: object) -> str:
    """The first 16 hex digits of the sha256 of the values as JSON."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_snapshot(manifest: Path) -> Snapshot:
    """The snapshot in a manifest: deemo.json, or the file that outlives a dataset that was taken back.

    It is empty when there is no such file, or the file has an older format.
    """
    try:
        row = parse_json(manifest.read_text("utf-8"))["past"]
        entries = tuple(VersionEntry(**(e | {"breaks": tuple(e.get("breaks", ()))})) for e in row["versions"])
        return Snapshot(row["ids"], row["splits"], row["shape"], entries, int(row["tombstones"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Snapshot()


def to_row(snapshot: Snapshot) -> dict[str, Any]:
    return asdict(snapshot) | {"versions": [asdict(entry) for entry in snapshot.versions]}


def read_tombstones(path: Path) -> list[Tombstone]:
    """The project's withdrawn.jsonl: each line holds `at` (date and time) and `clips`. Without the file there are no withdrawals.

    Raises DatasetError, which names the line, when a line cannot be understood.
    """

    def error(number: int, why: object) -> DatasetError:
        return DatasetError(f"{path.name} line {number} is no tombstone: {why}", "Put the file back from your backup")

    tombstones = []
    for number, _, row in read_lines(path, error, strict=True) if path.is_file() else ():
        try:
            tombstones.append(Tombstone(str(row["at"])[:10], int(row["clips"])))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as e:  # OverflowError: Infinity
            raise error(number, e) from e
    return tombstones


def compare_versions(previous: Snapshot, now: Snapshot, tombstones: Sequence[Tombstone], date: str) -> VersionEntry | None:
    """The new version in the changelog; None when rows, splits and columns are the same as before."""
    if not previous.versions:
        return VersionEntry(FIRST_VERSION, date, added={c: len(now.ids.get(c, {})) for c in CONFIGS})
    added, changed, removed, withdrawn = {}, {}, {}, {}
    new_tombstones = tombstones[previous.tombstones :]
    for config in CONFIGS:
        old, new = previous.ids.get(config, {}), now.ids.get(config, {})
        added[config] = len(new.keys() - old.keys())
        removed[config] = len(old.keys() - new.keys())
        changed[config] = sum(old[k] != new[k] for k in old.keys() & new.keys())
    lost = previous.ids.get("nfbl", {}).keys() - now.ids.get("nfbl", {}).keys()
    if clips := min(sum(t.clips for t in new_tombstones), len(lost)):
        withdrawn["nfbl"] = clips
        if clips == len(lost):  # otherwise it is unknown which of the removed clips were withdrawn
            records = previous.ids.get("mer", {})
            gone = (hashes for key, hashes in records.items() if key not in now.ids["mer"])
            withdrawn["mer"] = sum(hashes.split(":")[-1] in lost for hashes in gone)
    moved = sum(now.splits[s] != split for s, split in previous.splits.items() if s in now.splits)
    breaks = tuple(
        f"The {name} changed." if name.startswith("columns") else f"The {name} changed: {previous.shape[name]} → {value}."
        for name, value in sorted(now.shape.items())
        if previous.shape.get(name, value) != value
    )
    if any(removed.values()) or moved or breaks:
        level = 0
    elif any(added.values()) or any(changed.values()):
        level = 1
    else:
        return None
    return VersionEntry(
        version=bump_version(previous.version, level), date=date, added=_without_zeros(added), changed=_without_zeros(changed),
        removed=_without_zeros(removed), withdrawn=_without_zeros(withdrawn), moved=moved, breaks=breaks,
    )  # fmt: skip


def bump_version(version: str, level: int) -> str:
    """The next version number: raise the part at `level` (0: major, 1: minor, 2: patch), set the parts after it to 0."""
    parts = [int(part) for part in version.split(".")]
    return ".".join(str(part + 1 if n == level else 0 if n > level else part) for n, part in enumerate(parts))


def documents_only_entry(previous: Snapshot, date: str) -> VersionEntry:
    """The entry of a version in which only documents changed."""
    return VersionEntry(bump_version(previous.version, 2), date)


def _without_zeros(rows: dict[str, int]) -> dict[str, int]:
    return {c: n for c, n in rows.items() if n}


def render_changelog(entries: Iterable[VersionEntry]) -> str:
    """The text of CHANGELOG.md, latest version first."""
    parts = ["# Changelog\n", VERSION_RULES]
    for entry in reversed(list(entries)):
        lines = [f"\n## {entry.version} ({entry.date})\n"]
        is_first = entry.version == FIRST_VERSION and not entry.removed and not entry.changed
        lines += (
            [f"- {_count_rows(entry.added)}{' to begin with' if is_first else ' added'}."] if any(entry.added.values()) else []
        )
        lines += [f"- {_count_rows(entry.changed)} changed."] if entry.changed else []
        if entry.removed:
            other = {c: n - entry.withdrawn.get(c, 0) for c, n in entry.removed.items()}
            reasons = [f"{_count_rows(entry.withdrawn)} because somebody withdrew"] if any(entry.withdrawn.values()) else []
            reasons += [f"{_count_rows(other)} for other reasons"] if any(other.values()) else []
            lines.append(f"- {_count_rows(entry.removed)} removed: {'; '.join(reasons)}.")
        if any(entry.withdrawn.values()):
            lines.append("- **Delete your copies of earlier versions**: people in them no longer agree to be in it.")
        lines += [f"- {entry.moved} subjects are in another split."] if entry.moved else []
        lines += [f"- {b}" for b in entry.breaks]
        if len(lines) == 1:
            lines.append("- Only the documents changed.")
        parts.append("\n".join(lines))
    return "\n".join(parts) + "\n"


VERSION_RULES = """\
The first number grows when something that was there is gone or means something else (rows removed, subjects in another split,
columns or vocabularies changed), the second when rows were added or are labelled anew, the third when only documents changed."""


def _count_rows(counts: Mapping[str, int]) -> str:
    names = {"nfbl": ("clip", "clips"), "mer": ("emotion record", "emotion records")}
    return " and ".join(f"{counts[c]} {one if counts[c] == 1 else more}" for c, (one, more) in names.items() if counts.get(c))


def today() -> str:
    """Today's date in UTC. SOURCE_DATE_EPOCH overrides it, so that a build can be repeated byte for byte."""
    return time.strftime("%Y-%m-%d", time.gmtime(float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())))
