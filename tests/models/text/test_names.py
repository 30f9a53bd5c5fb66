"""Names in text: known ones however they are spelt, what is spelt out, and what spaCy sees; with no connection open."""

from __future__ import annotations

import socket
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.errors import ModelError
from deemo_data.models.runtime.weights import path_of
from deemo_data.models.text import known_names, names

TALK = ["Sheila", "diane,", "said.", "New", "Jersey's", "Rafa", "el", "a", "5", "five", ",", ".", "[", "]", "Ü"]


@pytest.fixture(scope="module")
def nlp(weights: object) -> Any:
    return names.load()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    tried: list[Any] = []

    def refuse(*what: Any, **_: Any) -> None:
        tried.append(what)
        raise OSError("no network in this test")

    for call in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, call, refuse)
    return tried


def found(text: str, known: list[str], nlp: Any = None, **how: Any) -> list[tuple[str, str]]:
    words = text.split()
    return [(f.kind, " ".join(words[f.first : f.end])) for f in names.find_names(words, known, nlp, **how)]


@pytest.mark.parametrize(
    ("text", "known", "said"),
    [
        ("I lost to Nadal today.", ["Rafael Nadal"], "Nadal"),
        ("I lost to Nadel today.", ["Rafael Nadal"], "Nadel"),
        ("i lost to nadel today", ["Rafael Nadal"], "nadel"),
        ("And Rafa el Nadal's coach", ["Rafael Nadal"], "Rafa el Nadal's"),
        ("in front of Sherborn's house", ["Sherburn"], "Sherborn's"),
        ("then said Shyla to me", ["Sheila"], "Shyla"),
        ("my friend Mac Gregor said", ["MacGregor"], "Mac Gregor"),
        ("so Maryann, he said", ["Mary Ann Smith"], "Maryann,"),
        ("we met O'Brien there", ["Obrien"], "O'Brien"),
        ("da war Jürgen im Haus", ["Jurgen"], "Jürgen"),
        ("I think Will is there", ["Will Smith"], "Will"),
    ],
)
def test_a_known_name_is_found_however_it_is_spelt(text: str, known: list[str], said: str) -> None:
    assert found(text, known) == [("NAME", said)]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("Hello, he is in the hall and whole as hell.", ["Hale"]),
        ("I will go, and you may too.", ["Will", "May"]),
        ("A needle in a noodle.", ["Nadal"]),
        ("She married him in march.", ["Marie"]),
        ("", ["Nadal"]),
        ("A man and I, and B.", ["John I. B. A. Smith"]),
        ("Nothing is known here.", []),
        ("Nothing is known here.", ["", " - "]),
    ],
)
def test_other_words_are_not_a_known_name(text: str, known: list[str]) -> None:
    assert found(text, known) == []


@given(st.lists(st.sampled_from(TALK), max_size=12), st.data())
def test_names_are_apart_in_order_and_within_the_words(words: list[str], data: st.DataObject) -> None:
    known = data.draw(st.lists(st.sampled_from(["Sheila", "Diane Said", "Rafael", "Ü", "New Jersey"]), max_size=3))
    places = [(f.first, f.end) for f in names.find_names(words, known, None)]
    assert all(0 <= a < b <= len(words) for a, b in places)
    assert all(b <= c for (_, b), (c, _) in pairwise(places))
    for name in known:
        covered = {i for a, b in places for i in range(a, b)}
        assert all(
            i in covered
            for i, w in enumerate(words)
            if known_names.fold_word(w) == known_names.fold_word(name) and len(known_names.fold_word(w)) > 2
        )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("write to john.smith@example.com now", ("CONTACT", "john.smith@example.com")),
        ("write to john dot smith at example dot com now", ("CONTACT", "john dot smith at example dot com")),
        ("see www.example.com for it", ("CONTACT", "www.example.com")),
        ("call me at 212-555-0187 please", ("CONTACT", "212-555-0187")),
        ("it is five five five, one two three four, I think", ("NUMBER", "five five five, one two three four,")),
        ("my card is 4111 1111 1111 1111 it is", ("NUMBER", "4111 1111 1111 1111")),
        ("I was born on March 3rd, 1985 in spring", ("DATE", "March 3rd, 1985")),
        ("I was born in 1985 at home", ("DATE", "1985")),
        ("we live at 42 elm street still", ("PLACE", "42 elm street")),
    ],
)
def test_what_reaches_a_person_is_found_written_or_spelt_out(text: str, what: tuple[str, str]) -> None:
    assert found(text, []) == [what]


@pytest.mark.parametrize(
    "text",
    [
        "I won 1,000,000 dollars",
        "between 2019 and 2020",
        "one or two of three",
        "in 1985 we met",
        "the first of march",
        "at 10 30",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert found(text, []) == []


def test_spacy_finds_people_places_and_organisations(nlp: Any) -> None:
    text = "Hello. This is Diane in New Jersey. And I'm Sheila, of Harvard University. Yeah, Mr. Hale was on TV on Monday."
    assert found(text, [], nlp) == [
        ("NAME", "Diane"), ("PLACE", "New Jersey."), ("NAME", "Sheila,"), ("ORG", "Harvard University."), ("NAME", "Hale"),
    ]  # fmt: skip


def test_lower_case_is_given_capitals_first(nlp: Any) -> None:
    text = "well rafael nadal went to wimbledon with toni last summer and it was very good"
    assert {w for _, said in found(text, [], nlp) for w in said.split()} >= {"rafael", "nadal", "toni"}
    assert not [e for e in nlp(text).ents if "toni" in e.text]  # which it would not have found


def test_a_name_seen_once_is_found_where_it_is_misspelt(nlp: Any) -> None:
    text = "They came to Sherburn's house. So sherborn ran."
    assert found(text, [], nlp) == [("NAME", "Sherburn's"), ("NAME", "sherborn")]


def test_words_to_keep_are_kept_but_a_known_name_never_is(nlp: Any) -> None:
    text = "We used Arthau, and Sheila did too."
    assert ("NAME", "Arthau,") in found(text, [], nlp)
    assert found(text, ["Sheila"], nlp, keep=["arthau", "Sheila"]) == [("NAME", "Sheila")]


def test_plain_talk_is_left_alone(nlp: Any) -> None:
    text = (
        "I was really upset about it, you know, I couldn't sleep for a week. We played well in the second set, but then my arm "
        "hurt. He kept touching his neck. My mother always told me to be patient. I bought a phone on Monday. It was great. "
        "Honestly, I don't remember much of it. Well, there isn't that much difference. Okay, thanks. I'm from here."
    )
    assert found(text, [], nlp) == []


def test_nothing_asks_the_network(no_network: list[Any], weights: object) -> None:
    pipeline = names.load.__wrapped__()
    names._load_recognisers.cache_clear()
    text = "Write to john@example.co.uk or www.example.org or 212-555-0187, said Diane in Texas from 10.0.0.1."
    assert len(found(text, ["Diane"], pipeline)) >= 5
    assert no_network == []


def test_a_missing_model_says_what_to_type(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEMO_MODELS", str(tmp_path))
    path_of.cache_clear()
    with pytest.raises(ModelError, match="spacy-en-md-144b7c are missing") as caught:
        names.load.__wrapped__()
    assert caught.value.advice == "Type: deemo models pull"
    path_of.cache_clear()
