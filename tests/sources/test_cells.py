"""Cells about people: every part that is no bare code is a name, and words for nothing are no names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.sources.cells import find_names_in_subject, is_nothing, list_spellings, parse_names
from deemo_data.sources.subjects import Person


@pytest.mark.parametrize(
    "cell",
    [
        "P01", "p1", "S12", "subj_3", "Subject 3", "0042", "3.0", "f3a9c2d1", "participant-7", "Participant_07_B", "speaker A",
        "VP12w", "Sub01", "A", "AB", "ID 0042", "#4", "No. 7", "Guest 2", "Case 12", "Proband 3", "被试3", "участник 5",
        "T1-P2", "2024-05-03", "SBJ_A", "Mr. X", "anonymous", "unknown", "n/a", "-", "?", "", "NaN", "none", "TBD",
    ],
)  # fmt: skip
def test_a_code_is_no_name(cell: str) -> None:
    assert find_names_in_subject(cell) == ()


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("Ann Lee", ["Ann Lee"]),
        ("Lee, Ann", ["Ann Lee"]),
        ("LEE, Ann", ["Ann LEE"]),
        ("Bo", ["Bo"]),
        ("Al Ng", ["Al Ng"]),
        ("kim", ["kim"]),
        ("Pat Smith", ["Pat Smith"]),
        ("Cam", ["Cam"]),
        ("Dr. Anna Müller", ["Anna Müller"]),
        ("J. Smith", ["Smith"]),
        ("J.K. Rowling", ["Rowling"]),
        ("Smith J", ["Smith"]),
        ("anna_smith", ["anna smith"]),
        ("AnnaSmith", ["Anna Smith"]),
        ("annaSmith", ["anna Smith"]),
        ("MacGregor", ["MacGregor"]),
        ("anna.smith@example.org", ["anna smith"]),
        ("P01 Anna", ["Anna"]),
        ("P01_anna", ["anna"]),
        ("Anna (P01)", ["Anna"]),
        ("Anna01", ["Anna"]),
        ("Bo2", ["Bo"]),
        ("s-001_maria", ["maria"]),
        ("Smith, Anna, P01", ["Anna Smith"]),
        ("subject Anna", ["Anna"]),
        ("Anna Guest", ["Anna Guest"]),
        ("Ann/Bob", ["Ann", "Bob"]),
        ("Ann & Bob", ["Ann", "Bob"]),
        ("王芳、李伟", ["王芳", "李伟"]),
        ("O'Brien", ["O'Brien"]),
        ("Jean-Luc Picard", ["Jean Luc Picard"]),
        ("Ludwig van Beethoven", ["Ludwig van Beethoven"]),
        ("María José", ["María José"]),
        ("Đorđe", ["Đorđe"]),
        ("Ольга Иванова", ["Ольга Иванова"]),
        ("مريم", ["مريم"]),
        ("王芳", ["王芳"]),
        ("अमित", ["अमित"]),
        ("김민수", ["김민수"]),
        ("Nan", ["Nan"]),
    ],
)
def test_every_part_that_is_no_code_is_a_name(cell: str, names: list[str]) -> None:
    assert list(find_names_in_subject(cell)) == names
    assert set(names) <= set(Person("a", "s-1", cell, ()).all_names)


FIRST_NAMES = [
    "Ann",
    "Bo",
    "Zoë",
    "Jürgen",
    "Ольга",
    "王芳",
    "مريم",
    "İpek",
    "Þór",
    "O'Neil",
    "Jean-Luc",
    "LI",
    "maria",
    "Đorđe",
    "अमित",
]
LAST_NAMES = ["Lee", "Ng", "Müller", "Иванова", "Smith", "van Dyk", "Guest", "Young", "Nadal", "kim"]
CODES = ["", "P01", "S12", "0042", "subj_3", "participant", "(P7)", "#4", "ID 9"]
SHAPES = [
    "{first} {last}",
    "{last}, {first}",
    "{first}_{last}",
    "Dr. {first} {last}",
    "{first} X. {last}",
    "{first}  {last}",
    "{last} {first}",
]


@given(st.sampled_from(FIRST_NAMES), st.sampled_from(LAST_NAMES), st.sampled_from(CODES), st.sampled_from(SHAPES), st.booleans())
def test_every_part_of_a_name_is_known_whatever_stands_beside_it(
    first: str, last: str, code: str, shape: str, behind: bool
) -> None:
    person = shape.format(first=first, last=last)
    cell = f"{person} {code}" if behind else f"{code} {person}"
    if code in ("S12", "P01", "subj_3", "0042") and shape == "{last}, {first}" and not behind:
        cell = f"{code}, {person}"
    found = " ".join(find_names_in_subject(cell)).replace("-", " ").split()
    expected = [part for name in (first, last) for part in name.replace("-", " ").split()]
    numbered = any(c.isdigit() for c in cell)
    assert set(expected) - ({"Guest"} if numbered else set()) <= set(found)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("Ann Lee; Bo", ("Ann Lee", "Bo")),
        ("Ann/Bob", ("Ann", "Bob")),
        ("Ann | Bob", ("Ann", "Bob")),
        ("Ann, Bob and Carl & Di", ("Ann", "Bob", "Carl", "Di")),
        ("王芳、李伟；张三", ("王芳", "李伟", "张三")),
        ("Ann；Bob", ("Ann", "Bob")),
        ("مريم، سارة", ("مريم", "سارة")),
        ("Ann\nBob", ("Ann", "Bob")),
        ("ann.lee@example.org; Bo", ("ann.lee", "Bo")),
        ("n/a", ()),
        ("none; -; Ann; ?", ("Ann",)),
        ("Nan; Sandy", ("Nan", "Sandy")),
        ("", ()),
    ],
)
def test_lists_of_names(cell: str, names: tuple[str, ...]) -> None:
    assert parse_names(cell) == names
    assert parse_names("; ".join(names)) == names


def test_names_in_other_alphabets_are_listened_for_in_latin_letters_too() -> None:
    assert list_spellings(("Ольга", "王芳", "Đorđe", "مريم")) == ("Ольга", "Olga", "王芳", "Wang Fang", "Đorđe", "مريم")


def test_words_for_nothing() -> None:
    assert [w for w in ("Nan", "None", "Na", "Ann", "P01", "0") if is_nothing(w)] == []
    assert [w for w in ("nan", "NONE", "n/a", "N/A", " - ", "?", "…", "\u200b", "null", "TBD") if not is_nothing(w)] == []
