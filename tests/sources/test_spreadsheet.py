"""Tables as spreadsheets and programs write them are read as they were meant, or refused with how to save them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deemo_data.errors import ConfigError
from deemo_data.sources import spreadsheet
from deemo_data.sources.spreadsheet import SAVE_ADVICE, Table, parse_whole_number, read_table

KNOWN = ("uri", "subject", "consent", "start_ms")
CELLS = [
    ["uri", "subject", "consent", "start_ms"],
    ["in/Müller.mp4", "P1", "signed, 2026; form 3", "0"],
    ["b.mp4", "José", "", ""],
]
MEANT = [
    {"uri": "in/Müller.mp4", "subject": "P1", "consent": "signed, 2026; form 3", "start_ms": "0"},
    {"uri": "b.mp4", "subject": "José", "consent": "", "start_ms": ""},
]


def read(tmp_path: Path, data: bytes | str, name: str = "t.csv") -> Table:
    (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return read_table(tmp_path / name, KNOWN, ("uri",), {"license": "licence"})


def write_csv(separator: str, cells: list[list[str]] = CELLS, end: str = "\r\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(cells)
    return text.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_separator_encoding_and_line_end(separator: str, encoding: str, end: str, tmp_path: Path) -> None:
    table = read(tmp_path, write_csv(separator, end=end).encode(encoding))
    assert [row for _, row in table.rows] == MEANT
    kinds = [notice.kind for notice in table.notices]
    assert ("table_separator" in kinds) == (separator != ",")
    assert ("table_encoding" in kinds) == (not encoding.startswith("utf-8"))
    assert table.unsure == (("José", "Müller") if encoding == "cp1252" else ())


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
def test_the_first_line_of_excel_names_the_separator(first: str, tmp_path: Path) -> None:
    assert [row for _, row in read(tmp_path, f"{first}\r\n{write_csv(';')}").rows] == MEANT


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("uri,subject\na.mp4,P1\n,\n,,,\n\n  , \t\n", ["table_blank_rows"]),
        ("uri,subject,,\na.mp4,P1,,\n", []),
        ("uri,subject\na.mp4,P1,,,\n", []),
        (",uri,subject\n0,a.mp4,P1\n", ["table_row_numbers"]),
        ("Unnamed: 0,uri,subject\n1.0,a.mp4,P1\n", ["table_row_numbers"]),
        (" URI ,Subject\na.mp4,P1\n", []),
        ('"uri","subject"\n"a.mp4"," P1 "\n', []),
        ("uri;subject;Start ms\na.mp4;P1\n", ["table_separator"]),
        ("uri,subject,Start-MS\na.mp4,P1,\n", []),
    ],
)
def test_what_spreadsheets_add_is_left_out_and_told(text: str, kinds: list[str], tmp_path: Path) -> None:
    table = read(tmp_path, text)
    [(number, row)] = table.rows
    assert number == 2
    assert (row["uri"], row["subject"]) == ("a.mp4", "P1")
    assert [notice.kind for notice in table.notices] == kinds


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("path,subject\na.mp4,x\n", "has no column uri (it has path, subject)"),
        ("", "has no column uri (it has none)"),
        ("uri,speaker\na.mp4,x\n", "has a column 'speaker' that is not known"),
        ("uri,URI\na.mp4,x\n", "has a column twice"),
        ("uri,subject\na.mp4,x,y\n", "line 2 has more values than columns"),
        ("uri;subject\na.mp4;Ann;Bo\n", "line 2 has more values than columns"),
        ("uri,,subject\na.mp4,7,x\nb.mp4,,x\n", "line 2: column 2 has a value but no name"),
        (",uri\n5,a.mp4\n9,b.mp4\n", "line 2: column 1 has a value but no name"),
        ("uri,subject\na.mp4,Ольга\n".encode("cp1251"), "its letters cannot be told for certain"),
        ("uri,subject\na.mp4,Łukasz\n".encode("cp1250"), "its letters cannot be told for certain"),
        ("uri,subject\na.mp4,José\n".encode("mac-roman"), "its letters cannot be told for certain"),
        ("uri,subject\na.mp4,Muñoz\n".encode("mac-roman"), "its letters cannot be told for certain"),
        ("uri,subject\na.mp4,Ägir\n".encode("mac-roman"), "its letters cannot be told for certain"),
        ("uri,subject\na.mp4,Müller\n".encode("cp850"), "its letters cannot be told for certain"),
        ("uri,subject\na.mp4,王芳\n".encode("gb18030"), "its letters cannot be told for certain"),
        ("uri,subject\na.mp4,Đorđe\n".encode("cp1250"), "its letters cannot be told for certain"),
        ("uri,subject\na.mp4,x\n".encode("utf-16") + b"a", "is damaged: it is no UTF-16"),
        ("uri,subject,consent\na.mp4,zurÃ¼ckgezogen,\n", "its letters are garbled ('Ã¼')"),
        ("uri,subject,consent\na.mp4,x,Отказ\n".encode().decode("latin-1"), "its letters are garbled"),
        ("uri,subject,consent\na.mp4,王芳,拒绝\n".encode().decode("latin-1"), "its letters are garbled"),
        ('uri,subject,consent\na.mp4,"Ann,yes\nb.mp4,P2,withdrawn\nc.mp4,P3,yes\n', "line 2: a double quote is not closed"),
        ('uri,subject,consent\nz.mp4,x,\na.mp4,"Ann,yes\nb.mp4,"P2",withdrawn\n', "line 3: a double quote is not closed"),
        (b"uri,subject\na\x00.mp4,x\n" + b"b.mp4,x\n" * 40, "holds bytes that are no text"),
        (b"uri,subject\n" + b"b.mp4,x\n" * 40 + b"a\x00.mp4,x\n", "holds bytes that are no text"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_line(data: bytes | str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as e:
        read(tmp_path, data)
    assert said in e.value.what
    assert e.value.advice


@pytest.mark.parametrize("cell", ["Ann\nBob", "CAFÉ»", "Ångström", "Müller–Lüdenscheidt", "Ä", "Łódź", "naïve “MÉ”"])
def test_lines_in_a_cell_and_letters_beyond_ascii_are_taken_as_they_are(cell: str, tmp_path: Path) -> None:
    [(_, row)] = read(tmp_path, f'uri,subject,consent\na.mp4,"{cell}",yes\n').rows
    assert row["subject"] == cell


@pytest.mark.parametrize("name", ["t.xlsx", "t.xls", "t.ods", "t.XLSX"])
def test_a_workbook_is_refused_with_how_to_save_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as e:
        read(tmp_path, b"PK\x03\x04", name)
    assert (e.value.what, e.value.advice) == (f"{name} is not a table of text", SAVE_ADVICE)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("0", 0), ("2000", 2000), ("-1", -1), ("0.0", 0), ("2000.0", 2000), ("2000,0", 2000), ("2000.00", 2000),
        ("1.000", None), ("1,000", None), ("1.5", None), ("1,5", None), ("0:01:30", None), ("1E+05", None), ("", None),
        ("٣", None), ("1 000", None), ("9" * 5000, None),
    ],
)  # fmt: skip
def test_numbers_as_programs_write_them(cell: str, number: int | None) -> None:
    assert parse_whole_number(cell) == number


TEXTS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\ufeff\u200b"), min_size=1, max_size=8)


@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=4),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8-sig", "utf-16"]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], separator: str, encoding: str
) -> None:
    cells = [["uri", "subject", "consent"], *map(list, rows)]
    assume(not spreadsheet._find_garbled(write_csv(separator, cells)))  # such a table is refused
    table = read(tmp_path_factory.mktemp("t"), write_csv(separator, cells).encode(encoding))
    import unicodedata

    kept = [tuple(unicodedata.normalize("NFC", cell).strip() for cell in row) for row in rows]
    assert [tuple(row.values()) for _, row in table.rows] == [row for row in kept if any(row)]
