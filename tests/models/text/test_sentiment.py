"""Words of feeling: found, turned round by what stands before them, and fillers left alone."""

from __future__ import annotations

import pytest

from deemo_data.models.text.sentiment import felt, leaning, strength


@pytest.mark.parametrize(
    ("said", "words", "sign"),
    [
        ("It was an amazing day.", ["amazing"], 1),
        ("I was not happy with it.", ["not happy"], -1),
        ("no problem at all", ["no problem"], 1),
        ("We were really sad, you know.", ["really sad"], -1),
        ("It's terrible, I hate it!", ["terrible", "hate"], -1),
    ],
)
def test_words_of_feeling(said: str, words: list[str], sign: int) -> None:
    found = felt(said)
    assert [f.said for f in found] == words
    assert all(f.valence * sign > 0 for f in found)
    assert leaning(found) * sign > 0


@pytest.mark.parametrize(
    "said",
    [
        "Well, yeah, like, kind of, you know, okay, sure, thanks, thank you.",
        "We play on clay, I played the ball to his left hand and saved two chances.",
        "[NAME] and [PLACE2] and [ORG].",
        "",
    ],
)
def test_fillers_and_placeholders_are_no_feeling(said: str) -> None:
    assert felt(said) == []


@pytest.mark.parametrize("said", ["I was not happy, I was proud.", "not happy but proud", "I'm not happy. Proud, yes."])
def test_a_not_does_not_reach_into_the_next_phrase(said: str) -> None:
    unhappy, proud = felt(said)
    assert unhappy.valence < 0 < proud.valence
    assert proud.said.casefold() == "proud"


def test_stronger_with_a_word_before_it() -> None:
    plain, very = felt("it was sad"), felt("it was very sad")
    assert very[0].valence < plain[0].valence < 0


def test_strength_counts_both_ways_and_is_reckoned_over_time() -> None:
    both = felt("It was great and it was terrible.")
    assert abs(leaning(both)) < 0.3
    assert strength(both, 10) > 0.7
    assert strength(both, 30) < strength(both, 10) < 1
    assert strength(both, 1) == strength(both, 5), "a very short clip is not made strong by its shortness"
    assert strength([], 10) == 0
