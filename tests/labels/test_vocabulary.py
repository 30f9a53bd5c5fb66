"""Vocabularies: the two we bring, and what a wrong file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from deemo_data.errors import ConfigError
from deemo_data.labels.vocabulary import load_emotions, load_nfbl, load_vocabulary
from tests.makers.vocabularies import SMALL


def test_ours_has_the_32_classes() -> None:
    v = load_nfbl("nfbl")
    assert [c.id for c in v.classes] == list(range(32))
    assert [v.classes[i].name for i in (0, 18, 28, 31)] == [
        "Turtle neck", "Putting arms behind body", "Pressing lips", "Illustrative hand gestures"
    ]  # fmt: skip
    counts = {p: sum(c.body_part == p for c in v.classes) for p in ("head", "head-hand", "body-hand", "hand", "body")}
    assert counts == {"head": 4, "head-hand": 9, "body-hand": 8, "hand": 8, "body": 3}
    assert not any("," in c.name for c in v.classes), "Label Studio splits names on commas"
    assert {c.name for c in v.classes if not c.visible_after_masking} == {"Bulging face or deep breath", "Pressing lips"}
    assert all(c.definition.endswith(".") for c in v.classes)
    assert all(0 <= i < 17 for c in v.classes for i in c.smg)
    assert all(0 <= i < 52 for c in v.classes for i in c.ma52)
    assert "our mapping" in v.provenance


def test_a_class_is_found_by_any_of_its_spellings() -> None:
    v = load_nfbl("nfbl")
    names = {found.name for s in ("Button, collar or tie", " button or collar or TIE") if (found := v.find(s))}
    assert names == {"Button or collar or tie"}
    assert v.find("brow_raise") is None


def test_emotions_are_grouped() -> None:
    e = load_emotions("emotions")
    assert e.sentiments == ("positive", "neutral", "negative")
    assert (found := e.category_of("worried")) is not None
    assert found.name == "anxious"
    assert e.find("Happy") is not None
    words = [w for x in e.emotions for w in x.words]
    assert len(words) == len(set(words)), "a word is grouped once"


def test_a_file_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_text(SMALL)
    v = load_nfbl(path)
    assert (v.versioned_name, v.labels, v.groups) == ("small 7", ["brow raise", "head_shake"], {"a": "A"})


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("id = 1", "id = 2", "has id 2 and stands at 1"),
        ('group = "a", definition = "Up."', 'group = "b", definition = "Up."', "is of group 'b'"),
        (
            'body_part = "head", group = "a", definition = "To',
            'body_part = "foot", group = "a", definition = "To',
            "of body part 'foot'",
        ),
        ("head_shake", "brow_raise", "'brow_raise' means two classes"),
        ("head_shake", "brow raise", "there twice"),
        ("definition", "meaning", "which nothing reads"),
        ('version = "7"\n', "", "'version' is missing"),
        ('kind = "nfbl"', 'kind = "gaze"', "kind is 'gaze'"),
        ('name = "small"', "name = small", "Invalid value"),
        ('definition = "Up.", ', "", "definition"),
    ],
)
def test_a_wrong_file_is_told_what(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "v.toml"
    assert old in SMALL
    path.write_text(SMALL.replace(old, new))
    with pytest.raises(ConfigError) as e:
        load_vocabulary(path)
    assert told in e.value.what
    assert "v.toml" in e.value.what
    assert e.value.advice


def test_a_vocabulary_that_is_not_there_or_of_the_other_kind() -> None:
    with pytest.raises(ConfigError, match=r"no vocabulary nbfl\. .*: nfbl, emotions"):
        load_vocabulary("nbfl")
    with pytest.raises(ConfigError, match="is one of emotions"):
        load_nfbl("emotions")
    with pytest.raises(ConfigError, match="is one of body language"):
        load_emotions("nfbl")
