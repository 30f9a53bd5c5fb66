"""private/subjects.csv: who is in which source. The only file with the names of people; it never leaves the machine.

`deemo ingest` adds lines, `deemo forget` removes them. The known names are searched for in speech, pictures and free text.
"""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Container, Iterable
from pathlib import Path
from typing import NamedTuple

from deemo_data.errors import ProjectError
from deemo_data.files import write_if_changed
from deemo_data.sources.cells import find_names_in_subject, list_spellings, parse_names


class Person(NamedTuple):
    """A line of private/subjects.csv: the subject of a source, and names that may be spoken in it."""

    source: str
    subject: str  # the pseudonym, which is a fact of the source
    name: str  # as in the table; empty when the table has none
    known_names: tuple[str, ...]

    @property
    def all_names(self) -> tuple[str, ...]:
        """The names that may be spoken: the known names and every name in `name`, which may be a code; in Latin spelling too."""
        return list_spellings((*self.known_names, *find_names_in_subject(self.name)))


def write_subjects(path: Path, people: Iterable[Person], without: Container[str] = ()) -> None:
    """Add people to the file, one line per source, and remove the lines of the sources in `without`.

    An empty name or an empty list of known names does not replace what the line has already. Only the owner of the file can
    read it. A lock lets one process write at a time.
    """
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
        remaining = [p for source, p in sorted(lines.items()) if source not in without]
        writer.writerows((p.source, p.subject, p.name, "; ".join(p.known_names)) for p in remaining)
        write_if_changed(path, text.getvalue(), mode=0o600)


def read_subjects(path: Path) -> list[Person]:
    """The people in private/subjects.csv; empty when there is no such file yet. Raises ProjectError for a damaged file."""
    if not path.exists():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        return [Person(row["source"], row["subject"], row["name"], parse_names(row["known_names"])) for row in rows]
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError) as e:
        raise ProjectError(
            f"{path.name} cannot be read: {type(e).__name__} {e}", "Mend it, or put it back from your backup"
        ) from e
