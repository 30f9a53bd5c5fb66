"""What Whisper makes up is told from what was said, by its own ratings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.models.speech import invented
from deemo_data.models.speech.whisper import Passage, Word


def passage(
    text: str,
    log_probability: float = -0.3,
    repetition: float = 1.2,
    no_speech: float = 0.05,
    step_s: float = 0.4,
    sure: float = 0.8,
) -> Passage:
    words = tuple(Word(step_s * i, step_s * (i + 1), w, sure) for i, w in enumerate(text.split()))
    return Passage(words, log_probability, repetition, no_speech)


@pytest.mark.parametrize(
    ("heard", "verdict"),
    [  # the ratings are those that were measured: see docs/reliability.md
        (passage("It's the question I don't even yet know to ask.", -0.21, 1.62, 0.05), "said"),
        (passage("Lay blue at X4 now.", -0.75, 0.70, 0.07, sure=0.6), "said"),  # 2 s of a word list
        (passage("You're on a video, right?", -0.72, 1.37, 0.19, sure=0.5), "said"),  # in the wind
        (passage("He needs money.", -0.47, 1.57, 0.44, sure=0.47), "said"),  # a far microphone, several people
        (passage("Thank you.", -0.47, 0.9, 0.1, sure=0.9), "said"),
        (passage("Thank you.", -0.47, 0.9, 0.1, sure=0.5), "doubtful"),
        (passage("and then we went", -0.9), "doubtful"),
        (passage("and then we went", -0.5, no_speech=0.6), "doubtful"),
        (passage("Thank you very much.", -1.13, 0.71, 0.91, sure=0.53), "invented"),  # chords
        (passage("Thank you.", -1.18, 0.56, 0.53), "invented"),  # the end of a recording
        (passage("I'm going to be doing this for you", -1.45, 1.0, 0.2), "invented"),  # Greek
        (passage("I'm not sure if I see you", -0.27, 15.1, 0.72), "invented"),  # Spanish
        (passage("see you in the next video see you", -0.2, 1.7, 0.1, step_s=0.01), "invented"),  # a rush of words
        (passage("work your one fun " * 4, -0.16, 2.0, 0.2), "invented"),
    ],
)
def test_a_passage_is_judged_by_its_ratings(heard: Passage, verdict: str) -> None:
    assert invented.judge_passage(heard) == verdict


def test_the_same_passage_again_and_again_is_invented_and_an_answer_is_not() -> None:
    said = passage("You know what I mean.")
    verdicts = invented.judge_passages([passage("So he came."), *[said] * 4, passage("Then he left.")])
    assert verdicts == ["said", "said", "invented", "invented", "invented", "said"]
    assert invented.judge_passages([said] * 3) == ["said"] * 3
    assert invented.judge_passages([passage("Yes.")] * 6) == ["said"] * 6
    assert invented.judge_passages([]) == []


WORDS = st.lists(st.sampled_from("abc"), max_size=12)


@given(WORDS)
def test_loops_are_counted_as_by_hand(words: list[str]) -> None:
    most = 1
    for size in range(1, 7):
        for first in range(len(words)):
            phrase, run = words[first : first + size], 1
            while len(phrase) == size and words[first + run * size : first + (run + 1) * size] == phrase:
                run += 1
            most = max(most, run)
    assert invented.count_loops(words) == most
    assert invented.count_loops([w.upper() + "," for w in words]) == most


@given(st.floats(-4, 0), st.floats(0, 1), st.floats(0.5, 5))
def test_worse_ratings_are_never_believed_more(log_probability: float, no_speech: float, repetition: float) -> None:
    order = ["said", "doubtful", "invented"]
    here = order.index(invented.judge_passage(passage("so it was", log_probability, repetition, no_speech)))
    for worse in (
        passage("so it was", log_probability - 0.3, repetition, no_speech),
        passage("so it was", log_probability, repetition + 1, no_speech),
        passage("so it was", log_probability, repetition, min(1, no_speech + 0.3)),
    ):
        assert order.index(invented.judge_passage(worse)) >= here
