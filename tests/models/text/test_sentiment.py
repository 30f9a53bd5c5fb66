"""Words of feeling: found, turned round by what stands before them, and fillers left alone."""

from __future__ import annotations

import pytest

from deemo_data.models.text.sentiment import find_sentiment_words, measure_strength, measure_valence


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
    found = find_sentiment_words(said)
    assert [f.text for f in found] == words
    assert all(f.valence * sign > 0 for f in found)
    assert measure_valence(found) * sign > 0


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
    assert find_sentiment_words(said) == []


@pytest.mark.parametrize("said", ["I was not happy, I was proud.", "not happy but proud", "I'm not happy. Proud, yes."])
def test_a_not_does_not_reach_into_the_next_phrase(said: str) -> None:
    unhappy, proud = find_sentiment_words(said)
    assert unhappy.valence < 0 < proud.valence
    assert proud.text.casefold() == "proud"


def test_stronger_with_a_word_before_it() -> None:
    plain, very = find_sentiment_words("it was sad"), find_sentiment_words("it was very sad")
    assert very[0].valence < plain[0].valence < 0


def test_strength_counts_both_ways_and_is_reckoned_over_time() -> None:
    both = find_sentiment_words("It was great and it was terrible.")
    assert abs(measure_valence(both)) < 0.3
    assert measure_strength(both, 10) > 0.7
    assert measure_strength(both, 30) < measure_strength(both, 10) < 1
    assert measure_strength(both, 1) == measure_strength(both, 5), "a very short clip is not made strong by its shortness"
    assert measure_strength([], 10) == 0
