"""Takes footage in: turns the rows of a source table into probed, hashed source clips with consent on record.

Rows come from source_table.py. Each is a path or a web address (download.py fetches it), with what the table states about it. A
source clip goes into sources.jsonl (workflow/ingest.py writes it); the people in it go into private/subjects.csv (subjects.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from deemo_data import files, pseudonyms
from deemo_data.clip import Clip, Facts
from deemo_data.consent import has_consent, is_binding, is_given, judge_statement
from deemo_data.errors import MediaError, SourceError
from deemo_data.files import File
from deemo_data.media.probe import probe_video
from deemo_data.media.streams import NO_WISH, TrackWish
from deemo_data.sources.cells import find_names_in_subject
from deemo_data.sources.download import MAX_BYTES, MAX_SECONDS, download_video, find_download, is_web_address, redact_address
from deemo_data.sources.source_table import SourceRow, find_conflict, group_by_uri
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
    probe                  reads the facts of a video file, with the tracks that the table asks for
    """

    secret: bytes
    downloads: Path
    subjects: Path | None = None
    consent: str | None = None
    vfr_fps: int = 30
    allow_local_addresses: bool = False
    max_bytes: int = MAX_BYTES
    max_seconds: int = MAX_SECONDS
    probe: Callable[[Path, int, TrackWish], Facts] = probe_video


Outcome = Literal["taken_in", "same_bytes", "refused", "passed_over"]


@dataclass
class Intake:
    """What became of the rows.

    sources   the sources, by id
    refusals  what was not taken in, with the reason: files, and spans of files
    outcomes  what became of each URI
    uris      {id of a source: its URIs}
    denials   {id of a source, or path: statement}: somebody refused or withdrew consent in a row that was refused for another
              reason; it holds for what was recorded before
    """

    sources: list[Clip] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    uris: dict[str, list[str]] = field(default_factory=dict)
    denials: dict[str, str] = field(default_factory=dict)

    def refuse_sources(self, ids: Iterable[str]) -> None:
        """Count sources as refused, with all their URIs."""
        for uri in (uri for source in ids for uri in self.uris.get(source, ())):
            self.outcomes[uri] = "refused"


Digests = dict[tuple[Any, ...], str]  # {(path, *stamp): sha256} of files that were hashed before


def take_in_sources(
    rows: Sequence[SourceRow],
    options: IntakeOptions,
    earlier: Iterable[Clip] = (),
    on_source: Callable[[str], None] = lambda uri: None,
) -> Intake:
    """Turn rows into source clips: locate each file, probe and hash it, record who is in it and what they allow.

    earlier    the sources of the project so far: a file whose path, size and times did not change is not hashed again
    on_source  called with each URI when it is done

    The sources have the facts grid, has_sound, stamp, subject, subject_assumed, consent, licence, spans and notices. The content
    of a file identifies it: the same bytes under two names are one source, with the spans of both.
    """
    digests: Digests = {(s.files["source"].path, *s.facts["stamp"]): s.files["source"].sha256 for s in earlier}
    wishes = {s.id: TrackWish(**s.facts["tracks_said"]) for s in earlier if "tracks_said" in s.facts}
    intake = Intake()
    rows_by_source: dict[str, tuple[Clip, list[SourceRow]]] = {}
    for uri, rows_of_uri in group_by_uri(rows).items():
        place = find_download(uri, options.downloads) if is_web_address(uri) else os.path.abspath(uri)
        keys = [str(place)] if place else []  # by which an earlier record of it is found
        is_known = False
        try:
            path = locate_file(uri, options)
            source = probe_source(path, digests, options, rows_of_uri, wishes)
            keys.append(source.id)
            is_known = True
            first, all_rows = rows_by_source.get(source.id, (source, []))
            all_rows = [*all_rows, *rows_of_uri]
            said, said_before = (clip.facts.get("tracks_said") for clip in (source, first))
            if column := find_conflict(all_rows) or ("choice of tracks" if said and said_before not in (None, said) else None):
                raise SourceError(
                    f"{path.name} holds the same bytes as {first.path('source').name}, but another {column} is given",
                    f"Give both the same {column}, or take one of them out",
                )
            rows_by_source[source.id] = source if said and not said_before else first, all_rows
            intake.uris.setdefault(source.id, []).append(uri)
        except (SourceError, MediaError) as e:
            if rows_of_uri[0].tried and not is_known:
                intake.outcomes[uri] = "passed_over"
            else:
                advice = e.advice or "Leave it out, or give a file that holds a video"
                _refuse(intake, uri, rows_of_uri, keys, options, Refusal(redact_address(uri), e.what, advice))
        except OSError as e:
            reason = f"{Path(uri).name} cannot be read: {e.strerror or e}"
            refusal = Refusal(redact_address(uri), reason, "Make it readable and run again")
            _refuse(intake, uri, rows_of_uri, keys, options, refusal)
        on_source(uri)
    people: list[Person] = []
    for number, (source, all_rows) in sorted(rows_by_source.items()):
        uris, keys = intake.uris[number], [number, source.files["source"].path]
        spans, span_refusals = check_spans(source, all_rows)
        intake.refusals += span_refusals
        try:
            facts, person = account_for(source, all_rows, options)
        except SourceError as e:
            for uri in uris:
                _refuse(intake, uri, all_rows, keys, options)
            intake.refusals.append(Refusal(redact_address(all_rows[0].uri), e.what, e.advice))
            continue
        if span_refusals and not spans:
            for uri in uris:
                _refuse(intake, uri, all_rows, keys, options)
            continue
        intake.outcomes |= {uri: "same_bytes" if at else "taken_in" for at, uri in enumerate(uris)}
        intake.sources.append(source.with_results({}, {**facts, "spans": spans}))
        people.append(person)
    if options.subjects is not None:
        write_subjects(options.subjects, people)
    return intake


def _refuse(
    intake: Intake,
    uri: str,
    rows: Sequence[SourceRow],
    keys: Sequence[str],
    options: IntakeOptions,
    refusal: Refusal | None = None,
) -> None:
    """Note that a URI was refused, and whether its rows deny consent for what is known under `keys`."""
    intake.outcomes[uri] = "refused"
    if refusal is not None:
        intake.refusals.append(refusal)
    statement, stated_here = find_statement(rows, options)
    if statement and stated_here and not is_given(statement):
        named = any(find_name_in_text(statement, row.subject, row.known_names) for row in rows)
        intake.denials |= dict.fromkeys(keys, judge_statement(statement).verdict if named else statement)


def locate_file(uri: str, options: IntakeOptions) -> Path:
    """The file behind a path or a web address, which is downloaded unless it is there. Raises SourceError."""
    if not is_web_address(uri):
        return Path(os.path.abspath(uri))
    return download_video(
        uri, options.downloads, options.allow_local_addresses, max_bytes=options.max_bytes, max_seconds=options.max_seconds
    )


def probe_source(
    path: Path,
    digests: Digests,
    options: IntakeOptions,
    rows: Sequence[SourceRow] = (),
    wishes: Mapping[str, TrackWish] = MappingProxyType({}),
) -> Clip:
    """A video file as a clip that spans all of it, named by the first 12 digits of its digest.

    rows    what the table states about it; only the tracks count here
    wishes  {id: the tracks that an earlier table asked for}; they stay where this one has no such columns
    Raises SourceError for a file that is missing, empty, or changes meanwhile, and MediaError for one that is no video.
    """
    if not path.exists():
        raise SourceError(f"{path.name} is not there", "Put it there, or take its row out")
    if not path.is_file():
        raise SourceError(f"{path.name} is a folder, not a video", "Give the folder itself to deemo ingest, or name its files")
    stamp = files.stamp_of(path)
    if not stamp[0]:
        raise SourceError(f"{path.name} is empty (0 bytes)", "Copy it again")
    wish = find_wish(rows, NO_WISH)
    facts = dict(options.probe(path, options.vfr_fps, wish))
    digest = digests.get((str(path), *stamp)) or File.of(path).sha256
    if files.stamp_of(path) != stamp:
        raise SourceError(f"{path.name} was written to while it was read", "Run again once it is whole")
    number = digest[:12]
    if (kept := find_wish(rows, wishes.get(number, NO_WISH))) != wish:
        wish, facts = kept, dict(options.probe(path, options.vfr_fps, kept))
    if wish != NO_WISH:
        facts["tracks_said"] = vars(wish)
    end_ms = facts.pop("duration_ms")
    return Clip(number, number, 0, end_ms, {"source": File(str(path), digest)}, facts | {"stamp": stamp})


def find_wish(rows: Sequence[SourceRow], earlier: TrackWish) -> TrackWish:
    """The tracks that rows ask for. What their table has no column for stays as it was asked for earlier."""

    def find_value(column: str) -> Any:
        cells = [getattr(row, column) for row in rows]
        stated = next((cell for cell in cells if cell), None)
        return getattr(earlier, column) if all(cell is None for cell in cells) else stated

    return TrackWish(find_value("video_track"), find_value("audio_track"), find_value("mix") or "")


def find_statement(rows: Sequence[SourceRow], options: IntakeOptions) -> tuple[str, bool]:
    """The statement of consent of a source, and whether its rows state it (or --consent does). Empty where nothing is stated.

    A cell that denies consent goes before others. An empty cell is "none": it withdraws what was recorded before.
    """
    stated = sorted((row.consent for row in rows if row.consent), key=is_given)
    if stated:
        return stated[0], True
    if for_all := (options.consent or "").strip():
        return for_all, False
    return ("none", True) if any(row.consent == "" for row in rows) else ("", False)


def account_for(source: Clip, rows: Sequence[SourceRow], options: IntakeOptions) -> tuple[Facts, Person]:
    """The facts of a source about its subject and their consent, under a pseudonym; and the person, for the private list.

    Raises SourceError when the consent or licence, which are published, contain a name.
    """

    def first_value(column: str) -> str:
        return next((value for row in rows if (value := getattr(row, column))), "")

    name, known_names = first_value("subject"), tuple(dict.fromkeys(n for row in rows for n in row.known_names))
    statement, stated_here = find_statement(rows, options)
    named_in_licence = find_name_in_text(first_value("licence"), name, known_names)
    named = find_name_in_text(statement, name, known_names)
    if named and not is_given(statement):
        statement, named = judge_statement(statement).verdict, ""  # it is not published, but it is kept where names are not
    if named or named_in_licence:
        column = "consent" if named else "licence"
        what = f"{source.path('source').name}: its {column} holds its subject or a known name, and is published"
        raise SourceError(what, f"Write the {column} without names")
    pseudonym = "s-" + pseudonyms.derive_key(options.secret, f"subject:{name or source.source}")[:8]
    facts = {
        "subject": pseudonym,
        "subject_assumed": not name,
        "consent": {"statement": statement, "asserted": not stated_here} if statement else None,
        "licence": first_value("licence") or None,
    }
    return facts, Person(source.source, pseudonym, name, known_names)


def find_name_in_text(text: str, subject: str, known_names: Iterable[str]) -> str:
    """The first of the names, or of the subject's code, that a text contains; empty without one.

    A whole name counts in any case, a part of a name only as it is written, so that May Lee does not forbid "they may".
    """
    for name in (subject, *known_names):
        if name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
            return name
    parts = [part for name in (*find_names_in_subject(subject), *known_names) for part in re.split(r"[\s,.]+", name)]
    return next((p for p in parts if len(p) > 2 and p != p.lower() and re.search(rf"(?<!\w){re.escape(p)}(?!\w)", text)), "")


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

    Two rules about consent. A statement of this run's table replaces the recorded one. One of `--consent` ("asserted") that gives
    consent does not replace what a table said about this source, be it consent, a refusal, a withdrawal or a decision that is
    still open; it does replace a cell that said nothing.
    """
    if earlier is None:
        return source
    kept_facts = {n: earlier.facts[n] for n in ("licence", "spans") if not source.facts[n]}
    new, old = source.facts["consent"], earlier.facts["consent"]
    for_all = new and new["asserted"] and is_given(new["statement"])
    if old and (not new or (for_all and not old["asserted"] and is_binding(old["statement"]))):
        kept_facts["consent"] = old
    if source.facts["subject_assumed"]:
        kept_facts |= {n: earlier.facts[n] for n in ("subject", "subject_assumed")}
    return source.with_results({}, kept_facts)


def is_denied(source: Clip, denials: Mapping[str, str]) -> bool:
    """Whether a row that was refused denies the consent that is on record for a source (`Intake.denials`)."""
    return has_consent(source) and not {source.source, source.files["source"].path}.isdisjoint(denials)


def deny_consent(source: Clip, denials: Mapping[str, str]) -> Clip:
    """A source for which `is_denied` holds, with the statement that denies it."""
    statement = denials.get(source.source) or denials[source.files["source"].path]
    return source.with_results({}, {"consent": {"statement": statement, "asserted": False}})
