"""What an intake did, in counts that add up: the content of out/ingest.json, and the lines that `deemo ingest` prints.

The report names files and statements of consent, never people. Lines that may show names of people are printed and not stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deemo_data.clip import Clip
from deemo_data.consent import has_consent, is_given, judge_statement
from deemo_data.models.text.known_names import judge_name
from deemo_data.notices import Notice
from deemo_data.sources.cells import find_names_in_subject
from deemo_data.sources.download import redact_address
from deemo_data.sources.folder import name_ending
from deemo_data.sources.intake import Intake
from deemo_data.sources.source_table import GivenSources, SourceRow, group_by_uri
from deemo_data.sources.subjects import Person, read_subjects

MAX_LINES = 5  # of one kind that are printed
MAX_CELLS = 100  # of one kind that are printed of those that no report lists
REPORT = "out/ingest.json"
OWN_KINDS = ("no_consent", "names_not_found", "names_guessed")  # of notices that are made here


def summarise_intake(given: GivenSources, intake: Intake, sources: Sequence[Clip], denied: Sequence[Clip]) -> dict[str, Any]:
    """The content of out/ingest.json but for the problems.

    sources  those that were taken in, as they are recorded now
    denied   sources whose recorded consent was taken back by a row that was refused (`Intake.denials`)
    files = taken_in + same_bytes + refused + passed_over; passed_over is the sum of passed_over_by_ending.
    """
    outcomes = Counter(intake.outcomes.values())
    endings = given.passed_over + Counter(
        name_ending(Path(uri)) for uri, what in intake.outcomes.items() if what == "passed_over"
    )
    refused = outcomes["refused"] + len(given.dead_links)
    statements = Counter(s.facts["consent"]["statement"] for s in sources if has_consent(s))
    without = [s for s in sources if not has_consent(s)]
    rows_by_uri = group_by_uri(given.rows)
    return {
        "files": outcomes["taken_in"] + outcomes["same_bytes"] + refused + endings.total(),
        "taken_in": outcomes["taken_in"],
        "same_bytes": outcomes["same_bytes"],
        "refused": refused,
        "passed_over": endings.total(),
        "passed_over_by_ending": dict(endings.most_common()),
        "taken_for_consent": [{"statement": text, "sources": count} for text, count in statements.most_common()],
        "without_consent": sorted(
            (_describe_denial(s, rows_by_uri, intake) for s in without), key=lambda line: (line["lines"], line["file"])
        ),
        "denied": [redact_address(s.path("source").name) for s in denied],
        "notices": [notice.to_fact() for notice in given.notices],
    }


def renew_all_notices(sources: Mapping[str, Clip], subjects_csv: Path) -> dict[str, Clip]:
    """{id: source} with renewed notices. `subjects_csv` says whose names may be spoken in them."""
    people = {person.source: person for person in read_subjects(subjects_csv)}
    return {number: renew_notices(source, people.get(number)) for number, source in sources.items()}


def renew_notices(source: Clip, person: Person | None) -> Clip:
    """A source with the notices of the probe, and those that follow from its consent and from the names of its people."""
    kept = [notice for notice in source.facts.get("notices", ()) if notice["kind"] not in OWN_KINDS]
    own = list(check_names(person)) if person else []
    if not has_consent(source):
        verdict = judge_statement((source.facts.get("consent") or {}).get("statement")).verdict
        own.append(Notice("no_consent", f"No consent is on record ({_word_verdict(verdict)}): none of its clips is released."))
    return source.with_results({}, {"notices": [*kept, *(notice.to_fact() for notice in own)]})


def check_names(person: Person) -> Iterator[Notice]:
    """Notices about the names of a person that speech cannot be searched for, or only by a guess."""
    verdicts = [judge_name(name) for name in (*person.known_names, *find_names_in_subject(person.name))]
    if count := verdicts.count("never"):
        yield Notice(
            "names_not_found",
            f"{count} of {len(verdicts)} names hold only initials, titles or signs: speech is not searched for them.",
        )
    if count := verdicts.count("guess"):
        text = f"{count} of {len(verdicts)} names are in a script whose Latin spelling is a guess: list that spelling too."
        yield Notice("names_guessed", text)


def render_summary(report: dict[str, Any], given: GivenSources, sources: Iterable[Clip]) -> Iterator[str]:
    """The lines that `deemo ingest` prints, the counts first. Names of people are in them: they are for the terminal only.

    sources  all sources of the project: how many of them have no consent
    """
    without_consent = sum(not has_consent(source) for source in sources)
    more = [
        f"{report[key]} {words}"
        for key, words in (("same_bytes", "the same bytes as another"), ("passed_over", "passed over"))
        if report[key]
    ]
    counts = ", ".join([f"{report['taken_in']} sources taken in, {report['refused']} refused", *more])
    yield f"{counts} (files: {report['files']})" + (f"; {without_consent} have no consent on record" if without_consent else "")
    endings = [f"{ending} {count}" for ending, count in report["passed_over_by_ending"].items()]
    yield from _list_lines("passed over, no footage: ", endings, ", ")
    for notice in report["notices"]:
        yield f"{notice['text']}"
    if given.unsure:
        yield f"check these words: {', '.join(given.unsure)}"
    consents = [f"“{c['statement']}” ({c['sources']})" for c in report["taken_for_consent"]]
    yield from _list_lines("taken for consent: ", consents, ", ")
    yield from _list_lines("no consent: ", [_render_denial(line) for line in report["without_consent"]], "\nno consent: ")
    yield from _list_lines("a row that was refused takes back the consent of: ", report["denied"], ", ")
    if any(line["statement"] for line in report["without_consent"]):
        yield "A statement is consent when no word in it refuses, withdraws or leaves open: “consent given for all uses”."
    yield from _render_names(given.rows)


def render_left_out(report: Any) -> str:
    """One line about the files that the last ingest did not take in, for `deemo status`; empty when it took in all of them.

    report  the content of out/ingest.json, whichever version wrote it
    """
    if not isinstance(report, dict):
        return ""
    words = {"refused": "refused", "same_bytes": "the same bytes as another", "passed_over": "passed over"}
    counts = [f"{report[key]} {said}" for key, said in words.items() if report.get(key)]
    return f"not taken in by the last ingest: {', '.join(counts)} (see {REPORT})" if counts else ""


def _render_names(rows: Iterable[SourceRow]) -> Iterator[str]:
    """Lines about the cells with names: which are taken for codes, how many for names, and which cannot be found."""
    subjects = list(dict.fromkeys(row.subject for row in rows if row.subject))
    names_in = {subject: find_names_in_subject(subject) for subject in subjects}
    codes = [subject for subject in subjects if not names_in[subject]]
    named = [name for names in names_in.values() for name in names]
    known = dict.fromkeys([*named, *(name for row in rows for name in row.known_names)])
    verdicts = {name: judge_name(name) for name in known}
    if len(subjects) > len(codes):
        yield f"subjects taken for names, which are muted in speech: {len(subjects) - len(codes)} of {len(subjects)}"
    yield from _list_cells("subjects taken for codes, which are not muted: ", codes)
    by_verdict = {verdict: [name for name in known if verdicts[name] == verdict] for verdict in ("never", "guess")}
    yield from _list_cells("names that cannot be found in speech (list them as they are spoken): ", by_verdict["never"])
    yield from _list_cells("names found by a guess of their Latin spelling (list that too): ", by_verdict["guess"])


def _describe_denial(source: Clip, rows_by_uri: Mapping[str, Sequence[SourceRow]], intake: Intake) -> dict[str, Any]:
    """Which file has no consent, by which lines of the table, and what its statement was taken for."""
    rows = [row for uri in intake.uris.get(source.source, ()) for row in rows_by_uri[uri]]
    lines = sorted({row.line for row in rows if row.line is not None and not is_given(row.consent)})
    statement = (source.facts["consent"] or {}).get("statement") or ""
    return {
        "file": redact_address(source.path("source").name), "lines": lines, "statement": statement,
        "taken_for": judge_statement(statement).verdict,
    }  # fmt: skip


def _render_denial(line: dict[str, Any]) -> str:
    """One line about a source without consent."""
    where = f"line {', '.join(map(str, line['lines']))} ({line['file']})" if line["lines"] else line["file"]
    if line["statement"] in ("", "none"):
        return f"{where}: nothing is stated"
    return f"{where}: “{line['statement']}” is taken for {_word_verdict(line['taken_for'])}"


def _word_verdict(verdict: str) -> str:
    """What a statement was taken for, in words."""
    words = {
        "withdrawn": "withdrawn consent",
        "refused": "a refusal",
        "open": "a decision that is still open",
        "nothing": "no statement",
    }
    return words.get(verdict, "consent")


def _list_lines(label: str, items: Sequence[str], joint: str) -> Iterator[str]:
    """The first items of a list, and how many more there are; nothing for an empty list. `joint` may begin a new line."""
    if items:
        more = f"{joint}and {len(items) - MAX_LINES} more: {REPORT}" if len(items) > MAX_LINES else ""
        yield from (label + joint.join(items[:MAX_LINES]) + more).split("\n")


def _list_cells(label: str, cells: Sequence[str]) -> Iterator[str]:
    """The cells with names or codes in one line. No report lists them, so that only a very long list is cut."""
    if cells:
        more = f", and {len(cells) - MAX_CELLS} more" if len(cells) > MAX_CELLS else ""
        yield label + ", ".join(cells[:MAX_CELLS]) + more
