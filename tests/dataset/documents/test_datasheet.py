"""The datasheet: every question is answered, from measurement or by saying that it is the owner's to answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deemo_data.dataset.documents import statements
from deemo_data.dataset.documents.datasheet import QUESTIONS
from tests.makers.documents import build_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    return (build_dataset(tmp_path_factory.mktemp("datasheet")) / "datasheet.md").read_text()


def answers(text: str) -> dict[str, str]:
    pieces = re.split(r"^\*\*(.+)\*\*$", re.sub(r"^## .*$", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    return {q: a.strip() for q, a in zip(pieces[1::2], pieces[2::2], strict=True)}


def test_every_question_has_an_answer(made: str) -> None:
    asked = {q for questions in QUESTIONS.values() for q in questions}
    found = answers(made)
    assert found.keys() == asked
    assert all(found.values())
    assert len(asked) >= 30


def test_what_only_the_owner_knows_is_not_made_up(made: str) -> None:
    found = answers(made)
    for question in ("For what purpose was the dataset created?", "Who funded it?", "Were there ethical reviews?",
                     "Over what time was it collected?"):  # fmt: skip
        assert found[question] == statements.OWNER_ANSWERS


def test_what_was_measured_is_in_it(made: str) -> None:
    found = answers(made)
    assert "6 clips of 5 subjects" in found["What do the instances represent, and how many are there?"]
    assert '"test media" (6)' in found["Did the individuals consent, and to what?"]
    assert "Face: dlib, parrot: rank-1: 75 %" in found["Does it contain data that might be confidential or sensitive?"]
    assert "no subject is in two" in found["Are there recommended splits?"].lower()
    assert "6 names gave way to placeholders" in found["What was done?"]


def test_no_word_that_nobody_can_keep(made: str, tmp_path: Path) -> None:
    assert "anonymous" not in made.replace("not anonymous", "")
    assert not re.search(r"irreversibl|unrecognisable", made)
