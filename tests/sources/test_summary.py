"""What an ingest tells: counts that add up, what was taken for consent, who has none, which cells are codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deemo_data.errors import MediaError
from deemo_data.project.project import Project
from deemo_data.sources.subjects import read_subjects
from deemo_data.workflow import ingest

Told = tuple[dict[str, Any], list[str], list[str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose probe takes every file that begins with the word video for 4 s of footage."""

    def probe(pool: object, path: Path, vfr_fps: int, wish: object) -> dict[str, Any]:
        if not path.read_bytes().startswith(b"video"):
            raise MediaError(f"{path.name} cannot be read as video or sound")
        grid = {"fps": "25", "vfr": False, "zero": "0", "frames": 100, "width": 64, "height": 48}
        return {"grid": grid, "has_sound": True, "duration_ms": 4000}

    monkeypatch.setattr("deemo_data.sources.isolated_probe.probe_in_process", probe)
    return Project.make(tmp_path / "project")


@pytest.fixture
def take(project: Project, tmp_path: Path) -> Callable[..., Told]:
    """Takes in a table (text) or the folder `footage`; gives out/ingest.json, the lines told, and the problems."""

    def take(table: str | None = None, consent: str | None = None) -> Told:
        where = tmp_path / "footage"
        if table is not None:
            where = tmp_path / "s.csv"
            where.write_text(table)
        lines: list[str] = []
        _, problems = ingest.ingest_sources(project, str(where), consent, tell=lines.append)
        report = json.loads((project.out_dir / "ingest.json").read_text())
        assert report["files"] == sum(report[key] for key in ("taken_in", "same_bytes", "refused", "passed_over"))
        assert report["passed_over"] == sum(report["passed_over_by_ending"].values())
        assert len(report["problems"]) == len(problems)
        return report, lines, [p.reason for p in problems]

    return take


def file(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def consents(project: Project) -> dict[str, str | None]:
    return {s.path("source").name: (s.facts["consent"] or {}).get("statement") for s in project.read_sources()}


def test_the_counts_of_a_folder_add_up(take: Callable[..., Told], tmp_path: Path) -> None:
    footage = tmp_path / "footage"
    for name in ("a.mp4", "b.3g2", "c.xyz", "NOENDING"):
        file(footage / name, f"video {name}")
    file(footage / "sub" / "copy.MP4", "video a.mp4")
    for name in ("bad.mov", "what.zzz", "notes.txt", "d.JPG", ".DS_Store", "e.wav"):
        file(footage / name, "no footage")
    (footage / "gone.mkv").symlink_to(footage / "nowhere.mkv")
    report, lines, problems = take(consent="signed form 12")
    assert {key: report[key] for key in ("files", "taken_in", "same_bytes", "refused", "passed_over")} == {
        "files": 12, "taken_in": 4, "same_bytes": 1, "refused": 2, "passed_over": 5,
    }  # fmt: skip
    assert report["passed_over_by_ending"] == {".txt": 1, ".jpg": 1, "hidden": 1, ".wav": 1, ".zzz": 1}
    assert lines[0] == "4 sources taken in, 2 refused, 1 the same bytes as another, 5 passed over (files: 12)"
    assert "taken for consent: “signed form 12” (4)" in lines
    assert sorted(problems) == ["bad.mov cannot be read as video or sound", "gone.mkv is a link to nothing"]


def test_long_lists_are_cut_short(take: Callable[..., Told], tmp_path: Path) -> None:
    for n in range(9):
        file(tmp_path / f"{n}.mp4", f"video {n}")
    table = "uri,subject,consent\n" + "".join(f"{n}.mp4,P{n},statement {n} {'no' if n > 1 else ''}\n" for n in range(9))
    report, lines, _ = take(table)
    assert len(report["without_consent"]) == 7
    assert sum(line.startswith("no consent: line") for line in lines) == 5
    assert "no consent: and 2 more: out/ingest.json" in lines
    assert any(line.endswith(", P4, P5, P6, P7, P8") for line in lines), "no report lists the codes: all of them are told"


def test_consent_is_told_by_row_and_what_it_was_taken_for(take: Callable[..., Told], project: Project, tmp_path: Path) -> None:
    for name in "abcd":
        file(tmp_path / f"{name}.mp4", f"video {name}")
    table = "uri,subject,consent\na.mp4,P1,signed\nb.mp4,P2,withdrawn 2024-05-03\nc.mp4,P3,n/a\nd.mp4,P4,\n"
    report, lines, _ = take(table)
    assert report["taken_for_consent"] == [{"statement": "signed", "sources": 1}]
    assert [(row["lines"], row["taken_for"]) for row in report["without_consent"]] == [
        ([3], "withdrawn"),
        ([4], "nothing"),
        ([5], "nothing"),
    ]
    assert lines[0].endswith("; 3 have no consent on record")
    assert "no consent: line 3 (b.mp4): “withdrawn 2024-05-03” is taken for withdrawn consent" in lines
    assert "no consent: line 4 (c.mp4): “n/a” is taken for no statement" in lines
    assert "no consent: line 5 (d.mp4): nothing is stated" in lines
    assert any("“consent given for all uses”" in line for line in lines)
    kinds = {s.path("source").name: [n["kind"] for n in s.facts["notices"]] for s in project.read_sources()}
    assert kinds == {"a.mp4": [], "b.mp4": ["no_consent"], "c.mp4": ["no_consent"], "d.mp4": ["no_consent"]}


def test_a_withdrawal_is_not_undone_by_a_statement_for_all(take: Callable[..., Told], project: Project, tmp_path: Path) -> None:
    for name in "abc":
        file(tmp_path / "footage" / f"{name}.mp4", f"video {name}")
    take("uri,consent\nfootage/a.mp4,zurückgezogen\nfootage/b.mp4,refused\nfootage/c.mp4,-\n")
    take(consent="all agreed")
    assert consents(project) == {"a.mp4": "zurückgezogen", "b.mp4": "refused", "c.mp4": "all agreed"}
    take("uri,consent\nfootage/a.mp4,signed anew\n")
    assert consents(project)["a.mp4"] == "signed anew"


def test_consent_that_comes_back_takes_its_notice_away(take: Callable[..., Told], project: Project, tmp_path: Path) -> None:
    file(tmp_path / "a.mp4", "video")
    take("uri,consent\na.mp4,pending\n")
    take("uri,consent\na.mp4,signed\n")
    assert [s.facts["notices"] for s in project.read_sources()] == [[]]


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        ("uri,consent\ngone.mp4,withdrawn\n", "is not there"),
        ("uri,consent,start_ms\ngone.mp4,revoked,9000\n", "lies outside the source"),
        ("uri,consent,licence,subject\ngone.mp4,withdrawn,property of Ann,Ann\n", "holds its subject"),
        ("uri,consent\ncopy.mp4,signed\ngone.mp4,withdrawn\n", "holds the same bytes"),
    ],
)
def test_a_withdrawal_holds_though_its_row_is_refused(
    again: str, reason: str, take: Callable[..., Told], project: Project, tmp_path: Path
) -> None:
    file(tmp_path / "gone.mp4", "video gone")
    file(tmp_path / "other.mp4", "video other")
    take("uri,consent\ngone.mp4,signed\nother.mp4,signed\n")
    file(tmp_path / "copy.mp4", "video gone")
    if reason == "is not there":
        (tmp_path / "gone.mp4").unlink()
    header, *rows = again.splitlines()
    report, lines, problems = take(f"{header}\nother.mp4,signed{',' * (header.count(',') - 1)}\n" + "\n".join(rows) + "\n")
    assert reason in " ".join(problems)
    assert len(report["denied"]) == 1
    given = {name for name, statement in consents(project).items() if statement == "signed"}
    assert given == {"other.mp4"}
    assert any(line.startswith("a row that was refused takes back the consent of: ") for line in lines)


def test_a_refusal_that_names_somebody_is_recorded_without_the_name(
    take: Callable[..., Told], project: Project, tmp_path: Path
) -> None:
    file(tmp_path / "a.mp4", "video")
    report, lines, problems = take('uri,subject,consent\na.mp4,"Lee, Ann",withdrawn by Ann on Monday\n')
    assert problems == []
    assert consents(project) == {"a.mp4": "withdrawn"}
    assert "Ann" not in json.dumps(report)
    assert "subjects taken for names, which are muted in speech: 1 of 1" in lines


@pytest.mark.parametrize("statement", ["signed by Ms Lee", "Lee signed", "signed, Ann"])
def test_a_part_of_a_name_in_the_consent_is_seen(statement: str, take: Callable[..., Told], tmp_path: Path) -> None:
    for name in "ab":
        file(tmp_path / f"{name}.mp4", f"video {name}")
    _, _, [problem] = take(f'uri,subject,consent\na.mp4,"Lee, Ann","{statement}"\nb.mp4,P1,signed\n')
    assert "its consent holds its subject" in problem


def test_names_and_codes_are_told_apart_and_names_stay_out_of_reports(
    take: Callable[..., Told], project: Project, tmp_path: Path
) -> None:
    for name in "abc":
        file(tmp_path / f"{name}.mp4", f"video {name}")
    _, lines, _ = take("uri,subject,known_names,consent\na.mp4,P01,مريم; Q.,yes\nb.mp4,Zebulon_Quist,,yes\nc.mp4,0042,,yes\n")
    assert "subjects taken for names, which are muted in speech: 1 of 3" in lines
    assert "subjects taken for codes, which are not muted: P01, 0042" in lines
    assert "names that cannot be found in speech (list them as they are spoken): Q." in lines
    assert "names found by a guess of their Latin spelling (list that too): مريم" in lines
    text = (project.out_dir / "ingest.json").read_text() + (project.root / "sources.jsonl").read_text()
    assert not [name for name in ("Zebulon", "مريم", "Q.") if name in text]
    [first] = [s for s in project.read_sources() if s.path("source").name == "a.mp4"]
    assert [n["kind"] for n in first.facts["notices"]] == ["names_not_found", "names_guessed"]
    people = {p.name: p.all_names for p in read_subjects(project.private_dir / "subjects.csv")}
    assert people["Zebulon_Quist"] == ("Zebulon Quist",)
    take("uri,consent\na.mp4,yes\n")
    [first] = [s for s in project.read_sources() if s.path("source").name == "a.mp4"]
    assert len(first.facts["notices"]) == 2, "the names are still on the private list"


def test_guesses_about_the_table_are_told(take: Callable[..., Told], tmp_path: Path) -> None:
    file(tmp_path / "a.mp4", "video")
    report, lines, _ = take(";uri;consent\n0;a.mp4;yes\n;;\n")
    assert [n["kind"] for n in report["notices"]] == ["table_separator", "table_blank_rows", "table_row_numbers"]
    assert "The cells of the table are parted by semicolons." in lines
