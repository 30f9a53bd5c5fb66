"""Overlap without a judge: what is worked out by hand, and what chance gives."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.data import Example
from deemo_data.baseline.scoring.mentions import ClassNames
from deemo_data.baseline.scoring.overlap import NO_MODALITIES, NO_REASONS, NO_TIMES, bag_f1, score_overlaps
from deemo_data.errors import DatasetError
from deemo_data.labels import vocabulary
from tests.makers.answers import make_example

EMOTIONS = vocabulary.load_emotions("emotions")
NFBL = vocabulary.load_nfbl("nfbl")
NAMES = ClassNames.of(NFBL.labels, NFBL)


BAGS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 3)).map(Counter)


@given(BAGS, BAGS)
def test_f1_of_bags_is_symmetric_and_one_only_for_the_same(one: Counter[str], other: Counter[str]) -> None:
    score = bag_f1(one, other)
    assert score == bag_f1(other, one)
    assert 0 <= score <= 1
    assert (score == 1) == (one == other and bool(one))
    squad = sum(min(one[w], other[w]) for w in "abcde")
    if squad:
        precision, recall = squad / other.total(), squad / one.total()
        assert score == pytest.approx(2 * precision * recall / (precision + recall))


def scored(examples: list[Example], *runs: list[Answer], **more: Any) -> dict[str, Any]:
    return score_overlaps(examples, runs, EMOTIONS.labels, NFBL.labels, EMOTIONS, NFBL, **{"rounds": 50} | more)


def test_emotion_sets_by_hand() -> None:
    """P, R: (1, 1), (1/2, 1), (0, 0), (1, 1/2); F of the means .625 and .625. "bored" and "glad" are in no group."""
    clips = [
        make_example("a", "s1", "happy", emotion_words=("joyful", "bored")),
        make_example("b", "s2", "sad"),
        make_example("c", "s3", "sad"),
        make_example("d", "s4", "angry", emotion_words=("nervous",)),
    ]
    answers = [
        Answer("a", "happy"),
        Answer("b", "sad", text="sad and worried, so glad"),
        Answer("c", None, text="I cannot tell"),
        Answer("d", None, text="furious"),
    ]
    felt = scored(clips, answers)["emotion_words"]
    assert felt["groups"]["value"] == pytest.approx(0.625)
    assert felt["sentiments"]["value"] == pytest.approx(0.75), "worry is as negative as sadness, fury as anger"
    assert felt["groups"]["clips"] == 4


def test_a_word_of_the_right_group_is_right_and_another_is_not() -> None:
    clips = [make_example(f"c{n}", f"s{n}", label) for n, label in enumerate(["happy", "sad", "angry"] * 4)]
    near = {"happy": "elation", "sad": "gloomy", "angry": "fury"}
    good = scored(clips, [Answer(c.clip_id, text=near[c.emotion]) for c in clips])["emotion_words"]["groups"]
    assert (good["value"], good["low"]) == (1.0, 1.0)
    assert 0.1 < good["chance"] < 0.5
    bad = scored(clips, [Answer(c.clip_id, text="bored") for c in clips])["emotion_words"]["groups"]
    assert bad["value"] == 0


def clued(n: int, subject: str, what: str, events: tuple[tuple[int, int, str], ...] = ()) -> Example:
    clues = {"video": what, "audio": "The voice shows nothing.", "text": ""}
    return make_example(f"c{n}", subject, "sad", clues=clues, events=events, num_frames=250, duration_ms=10_000)


def test_clue_words_by_modality_and_together() -> None:
    clips = [clued(0, "s0", "She folds her arms"), clued(1, "s1", "Rubbing hands quickly")]
    answers = [
        Answer("c0", clues={"video": "The arms are folded", "audio": "the voice shows nothing", "text": "nothing is said"}),
        Answer("c1", clues={"video": "Hands rubbed", "audio": "", "text": ""}),
    ]
    words = scored(clips, answers)["clue_words"]
    assert words["video"]["value"] == pytest.approx((1 + 4 / 5) / 2)
    assert words["audio"]["value"] == 0.5
    assert (words["text"]["value"], words["text"]["clips"], words["text"]["why"]) == (
        None, 0, "people said nothing that could be compared",
    )  # fmt: skip
    assert words["all"]["value"] == pytest.approx((2 * 5 / (5 + 7) + 2 * 2 / (2 + 6)) / 2)


def test_free_reasoning_is_compared_with_all_clues_and_with_gold_reasoning() -> None:
    clips = [clued(0, "s0", "She folds her arms"), make_example("c1", "s1", "sad", reasoning="Gaze drops, voice falls.")]
    answers = [
        Answer("c0", reasoning="Arms folded; voice shows nothing"),
        Answer("c1", text="The voice falls and the gaze drops"),
    ]
    words = scored(clips, answers)["clue_words"]
    assert words["all"]["value"] == pytest.approx(1.0)
    assert (words["video"]["value"], words["video"]["why"]) == (None, NO_MODALITIES)


def test_events_by_class_and_by_time() -> None:
    """Of 3 marked and 4 named 2 classes are one; in time only the first folding is."""
    clips = [
        clued(0, "s0", "x", ((50, 100, "Folding arms"), (150, 200, "Folding arms"))),
        clued(1, "s1", "x", ((0, 25, "Moving torso"),)),
    ]
    answers = [
        Answer("c0", clues={"video": "Folding arms from 2.1 to 4.0 s and from 9.0 to 9.5 s.", "audio": "", "text": ""}),
        Answer("c1", clues={"video": "Moving torso. Head up from 0 to 1 s.", "audio": "", "text": ""}),
    ]
    events = scored(clips, answers)["events"]
    assert events["named"]["value"] == pytest.approx(2 * 2 / (2 + 3))
    assert events["placed"]["value"] == pytest.approx(2 * 1 / (3 + 4))


@pytest.mark.parametrize(
    ("said", "score"), [("1.0 to 3.0", 1), ("1.0 to 2.0", 1), ("1.0 to 1.9", 0), ("2.4 to 5.4", 0), ("0 to 4", 1)]
)
def test_an_event_is_the_same_from_half_an_overlap_on(said: str, score: int) -> None:
    clip = clued(0, "s0", "x", ((25, 75, "Head up"),))  # 1 to 3 s
    told = scored([clip], [Answer("c0", reasoning=f"Head up from {said} s")])["events"]["placed"]
    assert told["value"] == score


def test_like_is_compared_with_like() -> None:
    clues = {"video": "Folding arms", "audio": "", "text": ""}
    clip = make_example("c0", "s0", "sad", clues=clues, reasoning="The arms fold, so the person is sad.")
    free = scored([clip], [Answer("c0", reasoning="The arms fold, so the person is sad.")])["clue_words"]["all"]
    assert free["value"] == 1.0, "reasons with reasons"
    both = scored([clip], [Answer("c0", clues=clues, reasoning="Nothing of the kind")])["clue_words"]["all"]
    assert both["value"] == 1.0, "clues with clues"


def test_who_never_says_when_has_no_score_for_it() -> None:
    told = scored([clued(0, "s0", "x", ((0, 25, "Head up"),))], [Answer("c0", reasoning="Head up")])["events"]
    assert (told["named"]["value"], told["placed"]["value"], told["placed"]["why"]) == (1.0, None, NO_TIMES)


def test_clips_where_nobody_looked_say_nothing_about_events() -> None:
    unseen = make_example("c0", "s0", "sad", events_annotated=False)
    told = scored(
        [unseen, clued(1, "s1", "x", ((0, 25, "Head up"),))],
        [Answer("c0", reasoning="Head up"), Answer("c1", reasoning="head up")],
    )
    assert (told["events"]["named"]["value"], told["events"]["named"]["clips"]) == (1.0, 1)


def test_nobody_marks_and_nobody_names_anything() -> None:
    told = scored([make_example("c0", "s0", "sad"), make_example("c1", "s1", "sad")], [Answer("c0", reasoning="so sad")])[
        "events"
    ]["named"]
    assert (told["value"], told["why"]) == (None, "nobody named anything")


def test_labels_alone_have_no_reasons() -> None:
    told = scored([clued(n, f"s{n}", "x") for n in range(6)], [Answer(f"c{n}", "sad") for n in range(6)])
    assert {s["why"] for kind in ("clue_words", "events") for s in told[kind].values()} == {NO_REASONS}
    assert told["emotion_words"]["groups"]["value"] == 1


def test_words_that_all_texts_share_are_chance_and_what_is_of_the_clip_is_above_it() -> None:
    body = ["Folding arms", "Moving torso", "Head up", "Touching jaw", "Crossing fingers"]
    clips = [
        clued(n, f"s{n % 10}", f"{body[n % 5]} from 1 to 2 s shows in this clip", ((25, 50, body[n % 5]),)) for n in range(50)
    ]
    knows = [Answer(c.clip_id, clues={**c.clues}) for c in clips]
    guesses = [Answer(c.clip_id, clues={**clips[(n * 7 + 3) % 50].clues}) for n, c in enumerate(clips)]
    known, guessed = scored(clips, knows), scored(clips, guesses)
    for kind, name in (("clue_words", "video"), ("events", "named"), ("events", "placed")):
        assert known[kind][name]["value"] == 1
        assert known[kind][name]["low"] > known[kind][name]["chance"] + 0.2
        assert abs(guessed[kind][name]["value"] - guessed[kind][name]["chance"]) < 0.25
    assert 0.4 < known["clue_words"]["video"]["chance"] < 0.8
    assert known["clue_words"]["audio"]["chance"] == 1, "every voice shows nothing"


def test_seeds_are_averaged_and_missing_answers_count() -> None:
    clips = [clued(n, f"s{n}", "Folding arms") for n in range(6)]
    full, half = ([Answer(c.clip_id, clues={**c.clues}) for c in some] for some in (clips, clips[:3]))
    told = scored(clips, full, half)["clue_words"]["video"]
    assert told["by_seed"] == [1.0, 0.5]
    assert told["value"] == 0.75
    assert scored(clips, full, half) == scored(clips, full, half)


def test_one_subject_has_no_chance_level_and_no_clips_are_an_error() -> None:
    clips = [clued(n, "s", "Folding arms") for n in range(3)]
    told = scored(clips, [Answer(c.clip_id, clues={**c.clues}) for c in clips])["clue_words"]["video"]
    assert (told["value"], told["chance"], told["low"]) == (1.0, None, None)
    with pytest.raises(DatasetError, match="nothing to score"):
        scored([], [])
