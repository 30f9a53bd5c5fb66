"""Tables of sources and folders become rows; what they hold that is no footage, and what was guessed, is counted and told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deemo_data.errors import ConfigError, SourceError
from deemo_data.sources.source_table import SourceRow, read_given_sources, read_source_rows


def file(path: Path, content: str = "video") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def table(tmp_path: Path, text: str) -> list[SourceRow]:
    return read_source_rows(str(file(tmp_path / "sources.csv", text)))


def test_a_folder_is_read_to_the_bottom_sorted_without_hidden_files_and_without_what_is_no_video(tmp_path: Path) -> None:
    for name in ("b.MP4", "a/z.mkv", "a/.b.mp4", ".trash/c.mp4", "notes.txt", ".d.mov"):
        file(tmp_path / name)
    assert [Path(r.uri).relative_to(tmp_path).as_posix() for r in read_source_rows(str(tmp_path))] == ["a/z.mkv", "b.MP4"]


def test_a_folder_whose_own_name_is_hidden_is_read_all_the_same(tmp_path: Path) -> None:
    file(tmp_path / ".here" / "a.mp4")
    assert len(read_source_rows(str(tmp_path / ".here"))) == 1


@pytest.mark.parametrize("where", ["nowhere", "empty", "ftp://example.org/a.mp4", "file:///etc/passwd"])
def test_what_is_not_there_or_not_allowed_is_an_error_with_advice(where: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError) as e:
        read_source_rows(where if "://" in where else str(tmp_path / where))
    assert e.value.advice


def test_a_csv_says_everything_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    rows = table(
        tmp_path,
        "\ufeffuri, subject, known_names, consent, licence, start_ms, end_ms\n"
        'in/a.mp4, Ann, "Ann Lee; Bo", "signed, 2026", CC0, 0, 2000\nhttps://example.org/b.mp4,,,,,,\n',
    )
    assert rows[0] == SourceRow(str(tmp_path / "in/a.mp4"), "Ann", ("Ann Lee", "Bo"), "signed, 2026", "CC0", 0, 2000)
    assert rows[1] == SourceRow("https://example.org/b.mp4", consent="")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,subject\na.mp4,x\n", "no column uri (it has path, subject)"),
        ("", "no column uri (it has none)"),
        ("uri,speaker\na.mp4,x\n", "column 'speaker' that is not known"),
        ("uri,uri\na.mp4,x\n", "column twice"),
        ("uri\na.mp4,x\n", "sources.csv line 2 has more values than columns"),
        ("uri,subject\n,x\n", "sources.csv line 2 has no uri"),
        ("uri,subject\na.mp4,x\na.mp4,y\n", "a.mp4 has two values of subject"),
    ],
)
def test_a_csv_that_is_not_understood_is_refused_with_the_line_or_the_known_columns(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as e:
        table(tmp_path, text)
    assert said in e.value.what
    assert e.value.advice


CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "csv_of_excel"


@pytest.mark.parametrize(
    "name",
    [
        "semicolon", "cp1252_semicolon", "utf16_tab", "sep_line", "blank_tail", "trail_commas", "pandas_index", "pandas_nan",
    ],
)  # fmt: skip
def test_the_cases_of_spreadsheets(name: str, tmp_path: Path) -> None:
    if not CASES.is_dir():
        pytest.skip(f"no {CASES.name} here")
    shutil.copy(CASES / f"{name}.csv", tmp_path)
    rows = read_source_rows(str(tmp_path / f"{name}.csv"))
    uris = [Path(row.uri).relative_to(tmp_path).as_posix() for row in rows]
    assert uris == (["foot/two.mp4"] if name in ("blank_tail", "trail_commas") else ["foot/Interview Müller.mp4", "foot/two.mp4"])
    assert rows[-1].subject == "P2"
    if len(rows) == 2:
        assert (rows[0].start_ms, rows[0].end_ms, rows[1].start_ms) == (0, 2000, None)
        assert rows[0].known_names == (() if "pandas" in name else ("Müller", "José"))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1.5", "start_ms is '1.5', not a whole number of milliseconds"),
        ('"1,5"', "start_ms is '1,5', not a whole number of milliseconds"),
        ("1.500", "either thousands or a fraction"),
        ("0:01:30", "a time of day; write milliseconds"),
        ("1.2E+05", "a rounded number"),
        ("two", "not a whole number"),
    ],
)
def test_a_time_that_is_not_clear_is_refused(cell: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as e:
        table(tmp_path, f"uri,start_ms\na.mp4,{cell}\n")
    assert "sources.csv line 2" in e.value.what
    assert said in e.value.what


def test_words_for_nothing_are_read_as_empty_and_told_but_not_in_consent(tmp_path: Path) -> None:
    text = "uri,subject,known_names,consent,licence,start_ms\na.mp4,n/a,none,n/a,nan,NaN\nb.mp4,3.0,Nan,nan,CC0,\n"
    given = read_given_sources(str(file(tmp_path / "s.csv", text)))
    assert given.rows[0] == SourceRow(str(tmp_path / "a.mp4"), "", (), "n/a", "", None, None)
    assert given.rows[1] == SourceRow(str(tmp_path / "b.mp4"), "3", ("Nan",), "nan", "CC0", None, None)
    assert [n.kind for n in given.notices] == ["table_empty_words"] * 4
    assert [row.line for row in given.rows] == [2, 3]


@pytest.mark.parametrize("name", ["list.tsv", "list.txt", "list.TAB"])
def test_tables_with_other_endings(name: str, tmp_path: Path) -> None:
    rows = read_source_rows(str(file(tmp_path / name, "uri\tsubject\na.mp4\tP1\n")))
    assert rows == [SourceRow(str(tmp_path / "a.mp4"), "P1")]


@pytest.mark.parametrize("name", ["list.xlsx", "list.ods", "list.json", "list.pdf"])
def test_what_is_neither_table_nor_video(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a video nor a table of text"):
        read_source_rows(str(file(tmp_path / name, "PK")))


def test_a_text_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no column uri"):
        read_source_rows(str(file(tmp_path / "notes.txt", "Dear diary\nall is well\n")))


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_file_of_a_folder_is_counted(tmp_path: Path) -> None:
    footage = [
        "a.mp4",
        "b.MOV",
        "sub/c.M2TS",
        "d.asf",
        "e.dv",
        "f.3g2",
        "g.gif",
        "h.mod",
        "i.m2v",
        "j.f4v",
        "k.divx",
        "l.mpe",
        "m.qt",
        "n.m2t",
    ]
    tried = ["sub/o.xyz", "NOENDING", "p.dat"]
    others = ["q.txt", "r.csv", "s.srt", "t.JPG", "u.wav", "Thumbs.db", ".DS_Store", ".hidden.mp4", "sub/v.eaf"]
    for name in [*footage, *tried, *others, ".cache/w.mp4", "old/deemo.toml", "old/private/x.mp4"]:
        file(tmp_path / name)
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    (tmp_path / "linked").symlink_to(tmp_path / "sub")
    (tmp_path / "again.mp4").symlink_to(tmp_path / "a.mp4")
    given = read_given_sources(str(tmp_path))
    named = {Path(row.uri).relative_to(tmp_path).as_posix(): row.tried for row in given.rows}
    assert named == dict.fromkeys([*footage, "again.mp4"], False) | dict.fromkeys(tried, True)
    assert given.passed_over == {
        ".txt": 1, ".csv": 1, ".srt": 1, ".jpg": 1, ".wav": 1, ".db": 1, ".eaf": 1, "hidden": 2, "link to nothing": 1,
    }  # fmt: skip
    assert [p.name for p in given.dead_links] == ["gone.mp4"]
    assert [reason for _, reason, _ in given.refusals] == ["gone.mp4 is a link to nothing"]
    assert {n.kind: n.text.split()[0] for n in given.notices} == {
        "hidden_folders": "1",
        "project_folders": "1",
        "linked_folders": "1",
    }


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    file(tmp_path / "a.mp4")
    file(tmp_path / "locked" / "b.mp4")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    given = read_given_sources(str(tmp_path))
    assert [Path(row.uri).name for row in given.rows] == ["a.mp4"]
    assert given.refusals == [
        (str(tmp_path / "locked"), "locked is a folder that may not be read", "Make it readable and run again")
    ]


def test_a_folder_without_footage_says_how_many_other_files_it_has(tmp_path: Path) -> None:
    for name in ("a.txt", "b.wav"):
        file(tmp_path / name)
    with pytest.raises(SourceError, match="2 other files are in it"):
        read_source_rows(str(tmp_path))
    file(tmp_path / "deemo.toml")
    with pytest.raises(SourceError, match="it is a project folder"):
        read_source_rows(str(tmp_path))
