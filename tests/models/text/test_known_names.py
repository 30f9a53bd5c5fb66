"""Known names in other scripts, with letters that are not English, several in a cell, and beside ordinary words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.models.text.known_names import find_known_names, fold_word, judge_name, part_name
from deemo_data.models.text.scripts import spell_in_latin


def find(text: str, *names: str) -> list[str]:
    words = text.split()
    return [" ".join(words[f.first : f.end]) for f in find_known_names(words, names)]


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("and then Olga said hello", "Ольга", ["Olga"]),
        ("вчера видели Ольгу там", "Ольга", ["Ольгу"]),
        ("вчера с Ольгой были", "Olga", ["Ольгой"]),
        ("я видел Ивана Петрова", "Иван Петров", ["Ивана Петрова"]),
        ("είδα τον Γιώργο εκεί", "Γιώργος", ["Γιώργο"]),
        ("and Giorgos came", "Γιώργος", ["Giorgos"]),
        ("and Maryam said", "مريم", ["Maryam"]),
        ("and Mariam said", "مريم", ["Mariam"]),
        ("then Muhammad came", "محمد", ["Muhammad"]),
        ("قالت مريم لي", "مريم", ["مريم"]),
        ("قالت ومريم لي", "مريم", ["ومريم"]),
        ("قالت مريم لي", "Maryam", ["مريم"]),
        ("אמרה לשרה שלום", "שרה", ["לשרה"]),
        ("I met Wang Fang there", "王芳", ["Wang Fang"]),
        ("我叫王芳。 你好", "王芳", ["我叫王芳。"]),
        ("我 叫 王 芳 。", "王芳", ["王 芳"]),
        ("我 叫 王 芳 。", "Wang Fang", ["王 芳"]),
        ("小明来了", "王小明", ["小明来了"]),
        ("たなかさんです", "たなか", ["たなかさんです"]),
        ("with Tanaka there", "たなか", ["Tanaka"]),
        ("and Amit came", "अमित", ["Amit"]),
        ("मैं अमित हूँ", "अमित", ["अमित"]),
        ("then Djordje came", "Đorđe", ["Djordje"]),
        ("then dorde came", "Đorđe", ["dorde"]),
        ("then Thor came", "Þór", ["Thor"]),
        ("then Þór came", "Thor", ["Þór"]),
        ("with Aegir there", "Ægir", ["Aegir"]),
        ("with Ipek and me", "İpek", ["Ipek"]),
        ("İpek'in evi", "İpek", ["İpek'in"]),
        ("with Lukasz there", "Łukasz", ["Lukasz"]),
        ("with Soeren and me", "Søren", ["Soeren"]),
        ("da war Mueller im Haus", "Müller", ["Mueller"]),
        ("with Weiss there", "Weiß", ["Weiss"]),
        ("then Ann met Bob there", "Ann/Bob", ["Ann", "Bob"]),
        ("then Ann met Bob there", "Ann|Bob", ["Ann", "Bob"]),
        ("then Ann met Bob there", "Ann；Bob", ["Ann", "Bob"]),
        ("there Li Wei said it", "王芳、李伟", ["Li Wei"]),
    ],
)  # fmt: skip
def test_a_name_is_found_in_its_script_and_in_latin_letters(text: str, name: str, found: list[str]) -> None:
    assert find(text, name) == found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("don't you can't we won't they'll", ["Don", "Can", "Won", "They"]),
        ("the doctor drove the van with the herr der", ["Dr. van der Berg", "Herr von Ark"]),
        ("so we must remember more of him", ["مريم"]),
        ("he said sir yes sure sorry", ["سارة"]),
        ("我们 都 忘 了 这 件 事", ["王芳", "Wang Li"]),
        ("мы верили ему", ["Ольга"]),
        ("there was a mark upon it", ["Марк Иванов"]),
    ],
)
def test_other_words_stay(text: str, names: list[str]) -> None:
    assert find(text, *names) == []


NAMES = [
    "Ольга",
    "Дмитрий",
    "Γιώργος",
    "Đorđe",
    "Þór",
    "Ægir",
    "İpek",
    "Łukasz",
    "Søren",
    "Weiß",
    "Zoë",
    "Ştefan",
    "Nguyễn",
    "たなか",
    "王小明",
    "अमित",
]


@given(
    st.sampled_from(NAMES),
    st.sampled_from([str, str.upper, str.lower]),
    st.sampled_from(["", ".", ",", "!", "。"]),
    st.booleans(),
)
def test_a_name_is_found_as_it_is_written_and_in_latin_letters(name: str, case: object, mark: str, latin: bool) -> None:
    spelt = case(spell_in_latin(name) if latin else name)  # type: ignore[operator]
    words = ["and", "then", *f"{spelt}{mark}".split(), "went", "away"]
    [found] = find_known_names(words, [name])
    assert (found.first, found.end) == (2, len(words) - 2)


@given(st.text(max_size=12), st.text(max_size=30))
def test_any_name_and_any_text_are_compared(name: str, text: str) -> None:
    words = text.split()
    for found in find_known_names(words, [name]):
        assert 0 <= found.first < found.end <= len(words)
    assert all(part.isascii() and part.isalnum() for part in part_name(name))
    assert fold_word(name).isascii()


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("Ann Lee", "sure"), ("Bo", "sure"), ("Đorđe", "sure"), ("Ольга", "sure"), ("Γιώργος", "sure"), ("王芳", "guess"),
        ("مريم", "guess"), ("שרה", "guess"), ("田中", "guess"), ("김민수", "guess"), ("J.", "never"), ("芳", "never"),
        ("Dr.", "never"), ("🙂", "never"), ("42", "never"), ("", "never"), ("A. B.", "never"),
    ],
)  # fmt: skip
def test_how_surely_a_name_is_found(name: str, verdict: str) -> None:
    assert judge_name(name) == verdict
