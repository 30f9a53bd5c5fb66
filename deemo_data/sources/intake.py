"""Takes footage in: turns the rows of a source table into probed, hashed source clips with consent on record.

Rows come from source_table.py. Each is a path or a web address (download.py fetches it), with what the table states about it. A
source clip goes into sources.jsonl (workflow/ingest.py writes it); the people in it go into private/subjects.csv (subjects.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from deemo_data import files, pseudonyms
from deemo_data.clip import Clip, Facts
from deemo_data.consent import is_given, is_withdrawn
from deemo_data.errors import MediaError, SourceError
from deemo_data.files import File
from deemo_data.media.probe import probe_video
from deemo_data.sources.download import MAX_BYTES, MAX_SECONDS, download_video, is_web_address, redact_address
from deemo_data.sources.source_table import SourceRow, find_conflict
from deemo_data.sources.subjects import Person, write_subjects


class Refusal(NamedTuple):
    """Footage, or one span of it, that was not taken in."""

    uri: str
    reason: str
    advice: str


@dataclass(frozen=True)
class IntakeOptions:
    """How footage is taken in.

    secret                 the project's secret: pseudonyms are HMACs under it
    downloads              folder for the videos of web addresses; each is downloaded once
    subjects               private/subjects.csv, the only file that names of people go to; None keeps no names
    consent                a statement of consent for all rows that have none of their own
    vfr_fps                frame rate of the grid for footage of variable frame rate
    allow_local_addresses  also download from this machine and private networks
    max_bytes              size limit of one download
    max_seconds            time limit of one download
    probe                  reads grid, has_sound and duration_ms of a video file
    """

    secret: bytes
    downloads: Path
    subjects: Path | None = None
    consent: str | None = None
    vfr_fps: int = 30
    allow_local_addresses: bool = False
    max_bytes: int = MAX_BYTES
    max_seconds: int = MAX_SECONDS
    probe: Callable[[Path, int], Facts] = probe_video


Digests = dict[tuple[Any, ...], str]  # {(path, *stamp): sha256} of files that were hashed before


def take_in_sources(
    rows: Sequence[SourceRow],
    options: IntakeOptions,
    earlier: Iterable[Clip] = (),
    on_source: Callable[[str], None] = lambda uri: None,
) -> tuple[list[Clip], list[Refusal]]:
    """Turn rows into source clips: locate each file, probe and hash it, record who is in it and what they allow.

    earlier    the sources of the project so far: a file whose path, size and times did not change is not hashed again
    on_source  called with each URI when it is done

    Returns the sources, with the facts grid, has_sound, stamp, subject, subject_assumed, consent, licence and spans, and the
    refusals. The content of a file identifies it: the same bytes under two names are one source, with the spans of both.
    """
    digests: Digests = {(s.files["source"].path, *s.facts["stamp"]): s.files["source"].sha256 for s in earlier}
    rows_by_source: dict[str, tuple[Clip, list[SourceRow]]] = {}
    refusals: list[Refusal] = []
    for uri in dict.fromkeys(row.uri for row in rows):
        try:
            path = locate_file(uri, options)
            source = probe_source(path, digests, options)
            first, all_rows = rows_by_source.get(source.id, (source, []))
            all_rows = [*all_rows, *(row for row in rows if row.uri == uri)]
            if column := find_conflict(all_rows):
                raise SourceError(
                    f"{path.name} holds the same bytes as {first.path('source').name}, but another {column} is given",
                    f"Give both the same {column}, or take one of them out",
                )
            rows_by_source[source.id] = first, all_rows
        except (SourceError, MediaError) as e:
            refusals.append(Refusal(redact_address(uri), e.what, e.advice or "Leave it out, or give a file that holds a video"))
        except OSError as e:
            reason = f"{Path(uri).name} cannot be read: {e.strerror or e}"
            refusals.append(Refusal(redact_address(uri), reason, "Make it readable and run again"))
        on_source(uri)
    sources: list[Clip] = []
    people: list[Person] = []
    for _, (source, all_rows) in sorted(rows_by_source.items()):
        spans, span_refusals = check_spans(source, all_rows)
        refusals += span_refusals
        if spans or not span_refusals:
            try:
                facts, person = account_for(source, all_rows, options)
            except SourceError as e:
                refusals.append(Refusal(redact_address(all_rows[0].uri), e.what, e.advice))
                continue
            sources.append(source.with_results({}, {**facts, "spans": spans}))
            people.append(person)
    if options.subjects is not None:
        write_subjects(options.subjects, people)
    return sources, refusals


def locate_file(uri: str, options: IntakeOptions) -> Path:
    """The file behind a path or a web address, which is downloaded unless it is there. Raises SourceError."""
    if not is_web_address(uri):
        return Path(os.path.abspath(uri))
    return download_video(
        uri, options.downloads, options.allow_local_addresses, max_bytes=options.max_bytes, max_seconds=options.max_seconds
    )


def probe_source(path: Path, digests: Digests, options: IntakeOptions) -> Clip:
    """A video file as a clip that spans all of it, named by the first 12 digits of its digest.

    Raises SourceError for a file that is missing, empty, or changes meanwhile, and MediaError for one that is no video.
    """
    if not path.exists():
        raise SourceError(f"{path.name} is not there", "Put it there, or take its row out")
    if not path.is_file():
        raise SourceError(f"{path.name} is a folder, not a video", "Give the folder itself to deemo ingest, or name its files")
    stamp = files.stamp_of(path)
    if not stamp[0]:
        raise SourceError(f"{path.name} is empty (0 bytes)", "Copy it again")
    facts = dict(options.probe(path, options.vfr_fps))
    digest = digests.get((str(path), *stamp)) or File.of(path).sha256
    if files.stamp_of(path) != stamp:
        raise SourceError(f"{path.name} was written to while it was read", "Run again once it is whole")
    number = digest[:12]
    end_ms = facts.pop("duration_ms")
    return Clip(number, number, 0, end_ms, {"source": File(str(path), digest)}, facts | {"stamp": stamp})


def account_for(source: Clip, rows: Sequence[SourceRow], options: IntakeOptions) -> tuple[Facts, Person]:
    """The facts of a source about its subject and their consent, under a pseudonym; and the person, for the private list.

    Raises SourceError when the consent or licence, which are published, contain a name.
    """

    def first_value(column: str) -> str:
        return next((value for row in rows if (value := getattr(row, column))), "")

    name, row_consent = first_value("subject"), first_value("consent")
    statement = row_consent or (options.consent or "").strip()
    if not statement and any(row.consent == "" for row in rows):
        statement, row_consent = "none", "none"  # an empty cell withdraws the consent that was recorded before
    people = [n for n in (name, *(n for row in rows for n in row.known_names)) if n]
    published = f"{statement} {first_value('licence')}"
    if named := [n for n in people if re.search(rf"\b{re.escape(n)}\b", published, re.IGNORECASE)]:
        what = f"{source.path('source').name}: its consent or licence names {named[0]!r}, and both are published"
        raise SourceError(what, "Write them without names")
    pseudonym = "s-" + pseudonyms.derive_key(options.secret, f"subject:{name or source.source}")[:8]
    facts = {
        "subject": pseudonym,
        "subject_assumed": not name,
        "consent": {"statement": statement, "asserted": not row_consent} if statement else None,
        "licence": first_value("licence") or None,
    }
    names = tuple(dict.fromkeys(n for row in rows for n in row.known_names))
    return facts, Person(source.source, pseudonym, name, names)


def check_spans(source: Clip, rows: Sequence[SourceRow]) -> tuple[list[list[int]], list[Refusal]]:
    """The spans [start_ms, end_ms] that the rows ask for, and refusals of those outside the source or without a frame.

    A row without start and end asks for no span. An end up to one frame late is taken as the source's end, since players
    round up.
    """
    grid = source.grid
    spans: set[tuple[int, int]] = set()
    refusals: list[Refusal] = []
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
            refusals.append(Refusal(redact_address(row.uri), reason, "Mend that row and run again"))
        else:
            spans.add((start, min(end, source.end_ms)))
    return [list(span) for span in sorted(spans)], refusals


def merge_with_earlier(source: Clip, earlier: Clip | None) -> Clip:
    """A source that is taken in again: what nobody states this time stays as it was recorded before.

    Two rules about consent: a statement of this run's CSV replaces the recorded one; one of `--consent` ("asserted") does not
    replace a statement that a CSV gave, be it consent or its withdrawal.
    """
    if earlier is None:
        return source
    kept_facts = {n: earlier.facts[n] for n in ("licence", "spans") if not source.facts[n]}
    new, old = source.facts["consent"], earlier.facts["consent"]
    stands = old and (is_given(old["statement"]) or is_withdrawn(old["statement"]))
    if old and (not new or (stands and new["asserted"] and not old["asserted"])):
        kept_facts["consent"] = old
    if source.facts["subject_assumed"]:
        kept_facts |= {n: earlier.facts[n] for n in ("subject", "subject_assumed")}
    return source.with_results({}, kept_facts)
