"""answers.jsonl as other people's models write it, right and wrong, and what free text says about an emotion."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.baseline.answers import Answer, read, write
from deemo_data.baseline.wording import EmotionLexicon, content, stem
from deemo_data.errors import DatasetError
from deemo_data.labels import vocabulary
from tests.makers.lexicons import LABELS, WORDING


def a_file(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), "utf-8")
    return path


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
    assert WORDING.label(text) == label


def test_every_word_of_the_vocabulary_means_its_category() -> None:
    ours = vocabulary.load_emotions("emotions")
    wording = EmotionLexicon.of(ours.labels, ours)
    for emotion in ours.emotions:
        for word in (emotion.name, *emotion.words):
            assert wording.label(word) == emotion.name
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
    assert wording.label("in zen  MODE now") == "Zen mode"
    assert wording.label("zen") is None
    assert wording.label("sadness") == "sad"


@pytest.mark.parametrize(
    "alike",
    [
        "folds folded folding fold", "touches touching touched touch", "moves moving moved move", "rubs rubbing rubbed rub",
        "crosses crossing crossed cross", "covers covering", "studies studied study", "raises raising raised raise",
        "shoulders shoulder",
    ],
)  # fmt: skip
def test_forms_of_a_word_have_one_stem(alike: str) -> None:
    assert len({stem(word) for word in alike.split()}) == 1


def test_short_words_keep_their_stem() -> None:
    assert [stem(w) for w in ("need", "speed", "sing", "red", "tennis", "bus", "loss")] == [
        "need", "speed", "sing", "red", "tennis", "bus", "loss",
    ]  # fmt: skip


def test_content_words_are_what_a_clue_is_about() -> None:
    assert content("She folds HER arms from 2.0 to 3.4 s; nothing else.") == ["fold", "arm", "2.0", "3.4", "noth", "els"]
    assert content("the person’s arms") == ["person", "arm"]


def test_answers_come_in_the_order_of_the_clips(tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        {"clip_id": "c", "text": "So much joy", "clues": {"video": "Folding arms", "audio": ""}, "reasoning": "because"},
        "",
        {"clip_id": "a", "emotion": "SADNESS"},
        {"clip_id": "b", "probabilities": {"angry": 0.7, "sad": 0.3}},
        {"clip_id": "elsewhere", "emotion": "sad"},
        {"clip_id": "never-was", "emotion": "sad"},
        {"clip_id": "d", "emotion": None, "text": "I would rather say nothing; happy?"},
        {"clip_id": "e", "emotion": "bored"},
    )
    found = read(path, WORDING, ["a", "b", "c", "d", "e", "f"], known=["elsewhere"])
    assert [a.clip_id for a in found.answers] == ["a", "b", "c", "d", "e", "f"]
    assert [a.emotion for a in found.answers] == ["sad", "angry", "happy", None, None, None]
    assert found.answers[1].probabilities == {label: {"angry": 0.7, "sad": 0.3}.get(label, 0) for label in LABELS}
    assert found.answers[2].clues == {"video": "Folding arms", "audio": ""}
    assert found.answers[2].said == "because"
    assert (found.missing, found.refused, found.unknown, found.unused) == (("f",), ("d", "e"), ("never-was",), 1)
    assert found.summary() == {
        "answers": 5, "clips": 6, "missing": {"count": 1, "clips": ["f"]}, "refused": {"count": 2, "clips": ["d", "e"]},
        "unknown": {"count": 1, "clips": ["never-was"]}, "outside": {"bored": 1}, "unused": 1,
    }  # fmt: skip


def test_two_labels_that_are_equally_likely_are_no_answer(tmp_path: Path) -> None:
    path = a_file(tmp_path, {"clip_id": "a", "probabilities": {"angry": 0.5, "sad": 0.5}})
    assert read(path, WORDING, ["a"]).answers[0].emotion is None


def test_rounded_probabilities_sum_to_one_again(tmp_path: Path) -> None:
    path = a_file(tmp_path, {"clip_id": "a", "probabilities": {"angry": 0.333, "sad": 0.333, "happy": 0.333}, "emotion": "sad"})
    (answer,) = read(path, WORDING, ["a"]).answers
    assert math.isclose(sum((answer.probabilities or {}).values()), 1)


GOOD = {"clip_id": "a", "emotion": "sad"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("{not json", "line 2: .*JSON"),
        ("[1, 2]", "line 2: .*object"),
        ({"emotion": "sad"}, "line 2: clip_id: Field required"),
        ({"clip_id": "", "emotion": "sad"}, "line 2: clip_id: String should have at least 1 character"),
        ({"clip_id": "b"}, "line 2: there is no emotion, no text and no probabilities"),
        ({"clip_id": "b", "emotion": 3}, "line 2: emotion: Input should be a valid string"),
        ({"clip_id": "b", "emotion": "sad", "probabilites": {}}, "line 2: probabilites: Extra inputs are not permitted"),
        ({"clip_id": "b", "emotion": "sad", "clues": {"face": "a smile"}}, "line 2: clues.face"),
        ({"clip_id": "b", "probabilities": {"sad": 0.5}}, "line 2: probabilities: they sum to 0.5, not to 1"),
        ({"clip_id": "b", "probabilities": {"sad": 1.5, "happy": -0.5}}, "line 2: probabilities: one is below 0"),
        ('{"clip_id": "b", "probabilities": {"sad": NaN}}', "line 2: "),
        ({"clip_id": "b", "probabilities": {"bored": 1.0}}, "line 2: probabilities has 'bored', which is no label"),
        ({"clip_id": "a", "emotion": "sad"}, "line 2: a was answered in line 1 already"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, wrong: Any, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as e:
        read(a_file(tmp_path, GOOD, wrong), WORDING, ["a", "b"])
    assert e.value.advice
    assert "\n" not in str(e.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        read(tmp_path / "gone.jsonl", WORDING, ["a"])
    with pytest.raises(DatasetError, match=r"no answer about any of the 1 clips that are scored \(it is empty\)"):
        read(a_file(tmp_path), WORDING, ["a"])
    with pytest.raises(DatasetError, match=r"no answer about any of the 2 clips that are scored \(a\)"):
        read(a_file(tmp_path, GOOD), WORDING, ["b", "c"])
    (tmp_path / "answers.jsonl").write_bytes(b'{"clip_id": "\xff"}')
    with pytest.raises(DatasetError, match="is not UTF-8"):
        read(tmp_path / "answers.jsonl", WORDING, ["a"])


def test_a_byte_order_mark_and_other_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"clip_id": "a", "emotion": "sad"}\r\n{"clip_id": "b", "text": "a line\xe2\x80\xa8break, sad"}\r\n'
    )
    assert [a.emotion for a in read(path, WORDING, ["a", "b"]).answers] == ["sad", "sad"]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.lists(
        st.builds(
            Answer,
            clip_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=6),
            emotion=st.none() | st.sampled_from(LABELS),
            probabilities=st.none() | st.sampled_from(LABELS).map(lambda one: {label: float(label == one) for label in LABELS}),
            text=TEXTS,
            clues=st.none() | st.fixed_dictionaries({"video": TEXTS, "audio": TEXTS, "text": TEXTS}),
            reasoning=TEXTS,
        ),
        min_size=1,
        unique_by=lambda a: a.clip_id,
    )
)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, answers: list[Answer]) -> None:
    path = tmp_path_factory.mktemp("answers") / "deeper" / "answers.jsonl"
    write(path, answers)
    assert list(read(path, WORDING, [a.clip_id for a in answers]).answers) == answers
