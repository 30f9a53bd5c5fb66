"""answers.jsonl as other people's models write it, right and wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.baseline.answers import Answer, read_answers, write_answers
from deemo_data.errors import DatasetError
from tests.makers.lexicons import LABELS, LEXICON


def a_file(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), "utf-8")
    return path


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
    found = read_answers(path, LEXICON, ["a", "b", "c", "d", "e", "f"], other_clips=["elsewhere"])
    assert [a.clip_id for a in found.answers] == ["a", "b", "c", "d", "e", "f"]
    assert [a.emotion for a in found.answers] == ["sad", "angry", "happy", None, None, None]
    assert found.answers[1].probabilities == {label: {"angry": 0.7, "sad": 0.3}.get(label, 0) for label in LABELS}
    assert found.answers[2].clues == {"video": "Folding arms", "audio": ""}
    assert found.answers[2].explanation == "because"
    assert (found.missing, found.refused, found.unknown, found.unused) == (("f",), ("d", "e"), ("never-was",), 1)
    assert found.to_json() == {
        "answers": 5, "clips": 6, "missing": {"count": 1, "clips": ["f"]}, "refused": {"count": 2, "clips": ["d", "e"]},
        "unknown": {"count": 1, "clips": ["never-was"]}, "outside": {"bored": 1}, "unused": 1,
    }  # fmt: skip


def test_two_labels_that_are_equally_likely_are_no_answer(tmp_path: Path) -> None:
    path = a_file(tmp_path, {"clip_id": "a", "probabilities": {"angry": 0.5, "sad": 0.5}})
    assert read_answers(path, LEXICON, ["a"]).answers[0].emotion is None


def test_rounded_probabilities_sum_to_one_again(tmp_path: Path) -> None:
    path = a_file(tmp_path, {"clip_id": "a", "probabilities": {"angry": 0.333, "sad": 0.333, "happy": 0.333}, "emotion": "sad"})
    (answer,) = read_answers(path, LEXICON, ["a"]).answers
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
        read_answers(a_file(tmp_path, GOOD, wrong), LEXICON, ["a", "b"])
    assert e.value.advice
    assert "\n" not in str(e.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        read_answers(tmp_path / "gone.jsonl", LEXICON, ["a"])
    with pytest.raises(DatasetError, match=r"no answer about any of the 1 clips that are scored \(it is empty\)"):
        read_answers(a_file(tmp_path), LEXICON, ["a"])
    with pytest.raises(DatasetError, match=r"no answer about any of the 2 clips that are scored \(a\)"):
        read_answers(a_file(tmp_path, GOOD), LEXICON, ["b", "c"])
    (tmp_path / "answers.jsonl").write_bytes(b'{"clip_id": "\xff"}')
    with pytest.raises(DatasetError, match="is not UTF-8"):
        read_answers(tmp_path / "answers.jsonl", LEXICON, ["a"])


def test_a_byte_order_mark_and_other_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"clip_id": "a", "emotion": "sad"}\r\n{"clip_id": "b", "text": "a line\xe2\x80\xa8break, sad"}\r\n'
    )
    assert [a.emotion for a in read_answers(path, LEXICON, ["a", "b"]).answers] == ["sad", "sad"]


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
    write_answers(path, answers)
    assert list(read_answers(path, LEXICON, [a.clip_id for a in answers]).answers) == answers
