"""What free text says about an emotion: names, forms, negations, and content words."""

from __future__ import annotations

import pytest

from deemo_data.baseline.wording import EmotionLexicon, find_content_stems, stem_word
from deemo_data.labels import vocabulary
from tests.makers.lexicons import LEXICON


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("happy", "happy"),
        (" Happy. ", "happy"),
        ("The person is JOYFUL at the end.", "happy"),
        ("**Anger**", "angry"),
        ("There is sadness in how she sits.", "sad"),
        ("He feels let down.", "disappointed"),
        ("matter-of-fact", "neutral"),
        ("even", "neutral"),
        ("Even though they smile, they are tense", "anxious"),
        ("not happy but sad", "sad"),
        ("She isn’t really angry, she is worried", "anxious"),
        ("not only tense, also nervous", "anxious"),
        ("glad, joyful, happy and pleased", "happy"),
        ("happy and sad", None),
        ("They are not happy.", None),
        ("bored", None),
        ("", None),
        ("unhappyish", None),
        ("saddle", None),
        ("well-composed", None),
        ("I am sorry, I cannot tell that from a de-identified clip.", None),
    ],
)
def test_the_one_emotion_that_a_text_names(text: str, label: str | None) -> None:
    assert LEXICON.find_label(text) == label


def test_every_word_of_the_vocabulary_means_its_category() -> None:
    ours = vocabulary.load_emotions("emotions")
    wording = EmotionLexicon.of(ours.labels, ours)
    for emotion in ours.emotions:
        for word in (emotion.name, *emotion.words):
            assert wording.find_label(word) == emotion.name
    forms = set(wording.words) - {w for e in ours.emotions for w in (e.name, *e.words)}
    assert {wording.words[f] for f in ("joy", "rage", "fear", "pride", "relief")} == {
        "happy",
        "angry",
        "afraid",
        "proud",
        "relieved",
    }
    assert len(forms) > 60


def test_labels_of_ones_own_need_no_vocabulary() -> None:
    wording = EmotionLexicon.of(["Zen mode", "sad"])
    assert wording.find_label("in zen  MODE now") == "Zen mode"
    assert wording.find_label("zen") is None
    assert wording.find_label("sadness") == "sad"


@pytest.mark.parametrize(
    "alike",
    [
        "folds folded folding fold", "touches touching touched touch", "moves moving moved move", "rubs rubbing rubbed rub",
        "crosses crossing crossed cross", "covers covering", "studies studied study", "raises raising raised raise",
        "shoulders shoulder",
    ],
)  # fmt: skip
def test_forms_of_a_word_have_one_stem(alike: str) -> None:
    assert len({stem_word(word) for word in alike.split()}) == 1


def test_short_words_keep_their_stem() -> None:
    assert [stem_word(w) for w in ("need", "speed", "sing", "red", "tennis", "bus", "loss")] == [
        "need", "speed", "sing", "red", "tennis", "bus", "loss",
    ]  # fmt: skip


def test_content_words_are_what_a_clue_is_about() -> None:
    assert find_content_stems("She folds HER arms from 2.0 to 3.4 s; nothing else.") == [
        "fold",
        "arm",
        "2.0",
        "3.4",
        "noth",
        "els",
    ]
    assert find_content_stems("the person’s arms") == ["person", "arm"]
