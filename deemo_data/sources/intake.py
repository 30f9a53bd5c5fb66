"""Rows -> probed, hashed, accounted source clips."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deemo_data import files, pseudonyms
from deemo_data.clip import Clip, Facts
from deemo_data.consent import NO_CONSENT
from deemo_data.errors import MediaError, SourceError
from deemo_data.files import File
from deemo_data.media.probe import probe_video
from deemo_data.sources.download import MAX_BYTES, MAX_SECONDS, download, is_address, shown
from deemo_data.sources.source_table import Row, find_conflict
from deemo_data.sources.subjects import Person, write_subjects


class Refused(NamedTuple):
    """Footage (or one span of it) that was not taken in."""

    uri: str
    reason: str
    advice: str


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
    probe: Callable[[Path, int], Facts] = probe_video,
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
            if column := find_conflict([*before, *said]):
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
    stamp = files.stamp_of(path)
    if not stamp[0]:
        raise SourceError(f"{path.name} is empty (0 bytes)", "Copy it again")
    facts = dict(probe(path, vfr_fps))
    digest = digests.get((str(path), *stamp)) or File.of(path).sha256
    if files.stamp_of(path) != stamp:
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
    pseudonym = "s-" + pseudonyms.derive(secret, f"subject:{name or source.source}")[:8]
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


def remembering(source: Clip, old: Clip | None) -> Clip:
    """A source that was taken in again: where nothing is said this time, what was said before holds."""
    if old is None:
        return source
    keep = {n: old.facts[n] for n in ("licence", "spans") if not source.facts[n]}
    new, was = source.facts["consent"], old.facts["consent"]
    held = was and was["statement"].casefold() not in NO_CONSENT  # a withdrawal holds against --consent too
    if was and (not new or (held and new["asserted"] and not was["asserted"])):
        keep["consent"] = was
    if source.facts["subject_assumed"]:
        keep |= {n: old.facts[n] for n in ("subject", "subject_assumed")}
    return source.knowing({}, keep)
