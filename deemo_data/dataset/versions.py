"""A dataset's version and its changelog, computed by comparing its records with those of the version before."""

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
from deemo_data.files import parse_json

FIRST = "1.0.0"
CONFIGS = ("nfbl", "mer")

Ids = Mapping[str, Mapping[str, str]]  # config -> short hash of a row's id -> short hashes of what it says and of its clip


@dataclass(frozen=True)
class Withdrawn:
    """A line of withdrawn.jsonl: on a day, so many clips went with somebody. Nothing says who."""

    date: str
    clips: int


@dataclass(frozen=True)
class Entry:
    """One version. `added`, `changed`, `removed`, `withdrawn`: config -> rows; the withdrawn are among the removed.

    moved   subjects who are in another split than before
    breaks  why a reader of the version before may have to change something; columns, classes
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
class Past:
    """What is remembered of the version before. Ids are hashed: they find the same row again, and tell nothing else.

    splits      short hash of a subject -> split
    shape       what a reader relies on: a hash of the columns of each config, and the vocabularies
    tombstones  how many lines of the tombstones file are already told
    """

    ids: Ids = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    shape: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[Entry, ...] = ()
    tombstones: int = 0

    @property
    def version(self) -> str:
        return self.versions[-1].version if self.versions else ""


def short_hash(*said: object) -> str:
    """Sixteen hex digits of sha256 over JSON of what is given."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_past(manifest: Path) -> Past:
    """What a manifest (deemo.json, or what was kept of one) remembers; nothing where there is none, or one of an older form."""
    try:
        said = parse_json(manifest.read_text("utf-8"))["past"]
        entries = tuple(Entry(**(e | {"breaks": tuple(e.get("breaks", ()))})) for e in said["versions"])
        return Past(said["ids"], said["splits"], said["shape"], entries, int(said["tombstones"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Past()


def to_row(past: Past) -> dict[str, Any]:
    return asdict(past) | {"versions": [asdict(e) for e in past.versions]}


def read_tombstones(path: Path) -> list[Withdrawn]:
    """The project's withdrawn.jsonl: of each line, `at` (date and time) and `clips`. No such file is no withdrawals.

    Raises DatasetError, naming the line, when one cannot be understood.
    """
    found = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.is_file() else (), 1):
        try:
            row = parse_json(line)
            found.append(Withdrawn(str(row["at"])[:10], int(row["clips"])))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as e:  # the last: an infinity
            raise DatasetError(f"{path.name} line {number} is no tombstone: {e}", "Put the file back from your backup") from e
    return found


def compare(past: Past, now: Past, tombstones: Sequence[Withdrawn], date: str) -> Entry | None:
    """The new version; None when it says what the one before said."""
    if not past.versions:
        return Entry(FIRST, date, added={c: len(now.ids.get(c, {})) for c in CONFIGS})
    added, changed, removed, withdrawn = {}, {}, {}, {}
    fresh = tombstones[past.tombstones :]
    for config in CONFIGS:
        old, new = past.ids.get(config, {}), now.ids.get(config, {})
        added[config] = len(new.keys() - old.keys())
        removed[config] = len(old.keys() - new.keys())
        changed[config] = sum(old[k] != new[k] for k in old.keys() & new.keys())
    lost = past.ids.get("nfbl", {}).keys() - now.ids.get("nfbl", {}).keys()
    if clips := min(sum(w.clips for w in fresh), len(lost)):
        withdrawn["nfbl"] = clips
        if clips == len(lost):  # else nobody knows which of the clips that went they are
            records = past.ids.get("mer", {})
            withdrawn["mer"] = sum(said.split(":")[-1] in lost for key, said in records.items() if key not in now.ids["mer"])
    moved = sum(now.splits[s] != split for s, split in past.splits.items() if s in now.splits)
    breaks = tuple(
        f"The {name} changed." if name.startswith("columns") else f"The {name} changed: {past.shape[name]} → {said}."
        for name, said in sorted(now.shape.items())
        if past.shape.get(name, said) != said
    )
    if any(removed.values()) or moved or breaks:
        level = 0
    elif any(added.values()) or any(changed.values()):
        level = 1
    else:
        return None
    return Entry(raised(past.version, level), date, _some(added), _some(changed), _some(removed), _some(withdrawn), moved, breaks)


def raised(version: str, level: int) -> str:
    """The version after, by a whole step of `level` (0: major, 1: minor, 2: patch)."""
    parts = [int(p) for p in version.split(".")]
    return ".".join(str(p + 1 if n == level else 0 if n > level else p) for n, p in enumerate(parts))


def documents_only(past: Past, date: str) -> Entry:
    """The version in which nothing but words about the dataset changed."""
    return Entry(raised(past.version, 2), date)


def _some(rows: dict[str, int]) -> dict[str, int]:
    return {c: n for c, n in rows.items() if n}


def changelog(entries: Iterable[Entry]) -> str:
    """CHANGELOG.md, the latest version first."""
    parts = ["# Changelog\n", LEVELS]
    for entry in reversed(list(entries)):
        lines = [f"\n## {entry.version} ({entry.date})\n"]
        first = entry.version == FIRST and not entry.removed and not entry.changed
        lines += [f"- {_rows(entry.added)}{' to begin with' if first else ' added'}."] if any(entry.added.values()) else []
        lines += [f"- {_rows(entry.changed)} changed."] if entry.changed else []
        if entry.removed:
            other = {c: n - entry.withdrawn.get(c, 0) for c, n in entry.removed.items()}
            why = [f"{_rows(entry.withdrawn)} because somebody withdrew"] if any(entry.withdrawn.values()) else []
            why += [f"{_rows(other)} for other reasons"] if any(other.values()) else []
            lines.append(f"- {_rows(entry.removed)} removed: {'; '.join(why)}.")
        if any(entry.withdrawn.values()):
            lines.append("- **Delete your copies of earlier versions**: people in them no longer agree to be in it.")
        lines += [f"- {entry.moved} subjects are in another split."] if entry.moved else []
        lines += [f"- {b}" for b in entry.breaks]
        if len(lines) == 1:
            lines.append("- Only the documents changed.")
        parts.append("\n".join(lines))
    return "\n".join(parts) + "\n"


LEVELS = """\
The first number grows when something that was there is gone or means something else (rows removed, subjects in another split,
columns or vocabularies changed), the second when rows were added or are labelled anew, the third when only documents changed."""


def _rows(counts: Mapping[str, int]) -> str:
    names = {"nfbl": ("clip", "clips"), "mer": ("emotion record", "emotion records")}
    return " and ".join(f"{counts[c]} {one if counts[c] == 1 else more}" for c, (one, more) in names.items() if counts.get(c))


def today() -> str:
    """The day in UTC; that of SOURCE_DATE_EPOCH, where it is set, so that a build can be repeated to the byte."""
    return time.strftime("%Y-%m-%d", time.gmtime(float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())))
