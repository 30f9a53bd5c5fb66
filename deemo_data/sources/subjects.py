"""Private/subjects.csv: who is in which source."""

from __future__ import annotations

import csv
import fcntl
import io
import re
from collections.abc import Container, Iterable
from pathlib import Path
from typing import NamedTuple

from deemo_data.errors import ProjectError
from deemo_data.files import write_if_changed
from deemo_data.sources.source_table import split_names


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
        return [Person(row["source"], row["subject"], row["name"], split_names(row["known_names"])) for row in rows]
    except (UnicodeDecodeError, csv.Error, KeyError, AttributeError) as e:
        raise ProjectError(
            f"{path.name} cannot be read: {type(e).__name__} {e}", "Mend it, or put it back from your backup"
        ) from e
