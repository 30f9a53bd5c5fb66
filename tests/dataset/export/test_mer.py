"""A clip's emotion records: who agrees, which questions are asked, what they rest on."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from deemo_data.clip import Clip
from deemo_data.dataset.export.mer import make_mer_records, publish_annotator, question_template, question_templates
from deemo_data.dataset.records import Clues, MerRecord
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import load_emotions
from tests.makers.labels import clip_at, said

EMOTIONS = load_emotions("emotions")
CLIP = clip_at(300, 450).with_results({}, {"transcript": "well [NAME]"})
EVENTS = [{"start_ms": 100, "end_ms": 900}, {"start_ms": 1000, "end_ms": 1200}]


def records(*labels: Label, clip: Clip = CLIP, events: Any = EVENTS) -> tuple[list[MerRecord], list[str]]:
    return make_mer_records(clip, labels, EMOTIONS, "clips/c.mp4", events)


def test_three_kinds_of_question() -> None:
    found, left_out = records(
        said("emotion", "happy", CLIP), said("emotion_words", ["glad", "relieved"], CLIP),
        said("clue_video", "Hands move.", CLIP), said("reasoning", "Hands move, so they seem happy.", CLIP),
    )  # fmt: skip
    assert left_out == []
    assert [(r.record_id.removeprefix(f"{CLIP.id}-"), r.task, r.response) for r in found] == [
        ("recognition", "recognition", "happy"), ("open", "recognition", "glad, relieved"),
        ("reasoning", "reasoning", "Hands move, so they seem happy."),
    ]  # fmt: skip
    assert {r.emotion for r in found} == {"happy"}
    assert [e.event for e in found[0].evidence] == [f"{CLIP.id}#0", f"{CLIP.id}#1"]
    for r in found:
        assert r.conversations[0].value == f"<video>\nThe person says: well [NAME]\n{r.instruction}"
        assert r.conversations[1].value == r.response
    assert "happy, sad" in found[0].instruction
    assert "happy" not in found[1].instruction


def test_reasons_of_those_who_were_outvoted_do_not_leave() -> None:
    found, _ = records(
        *(said("emotion", e, CLIP, w) for e, w in (("happy", "a-1"), ("happy", "a-2"), ("sad", "a-3"))),
        *(said("reasoning", f"So they seem {e}.", CLIP, w) for e, w in (("happy", "a-1"), ("glad", "a-2"), ("sad", "a-3"))),
    )
    assert sorted(r.response for r in found if r.task == "reasoning") == ["So they seem glad.", "So they seem happy."]
    assert len({r.record_id for r in found}) == len(found)
    assert {r.status for r in found} == {"reviewed"}


def test_a_draft_that_nobody_finished_is_left_out() -> None:
    found, left_out = records(said("emotion", "happy", CLIP), said("reasoning", "Taken together, this suggests …", CLIP))
    assert [r.task for r in found] == ["recognition"]
    assert "still ends in …" in left_out[0]


def test_without_a_majority_there_is_no_record() -> None:
    found, left_out = records(said("emotion", "happy", CLIP, "a-1"), said("emotion", "sad", CLIP, "a-2"))
    assert found == []
    assert left_out == [f"clip {CLIP.id}: no majority for one emotion (happy, sad)"]


def test_a_record_has_the_same_wording_every_time_and_all_are_used() -> None:
    assert question_template("recognition", "c-1-recognition") == question_template("recognition", "c-1-recognition")
    for kind, texts in question_templates().items():
        assert {question_template(kind, f"c-{n}-{kind}") for n in range(200)} == set(texts)
    assert all(text.format(labels="x") for texts in question_templates().values() for text in texts)


def text(kind: str, value: object, who: str, origin: str, at: str = "") -> Label:
    return replace(said(kind, value, CLIP, who), raw={"origin": origin, "annotation": {"updated_at": at}})


def test_drafts_that_nobody_changed_are_no_ones_words() -> None:
    found, left_out = records(
        said("emotion", "happy", CLIP, "a-1"), said("emotion", "happy", CLIP, "a-2"),
        text("clue_video", "Arms fold.", "a-1", "untouched"), text("clue_video", "They lean back.", "a-2", "edited"),
        text("clue_audio", "Pauses.", "a-1", "untouched"), text("reasoning", "Most likely …", "a-2", "untouched"),
    )  # fmt: skip
    assert [r.task for r in found] == ["recognition"]
    assert found[0].clues == Clues(video="They lean back.", audio="", text="")
    assert left_out == [f"clip {CLIP.id}: drafts that nobody changed, left out: 3 (clue_video, clue_audio, reasoning)"]


def test_a_draft_that_was_completed_says_so() -> None:
    found, _ = records(
        said("emotion", "sad", CLIP, "a-1"), said("emotion", "sad", CLIP, "a-2"),
        text("reasoning", "Arms fold. Most likely sad.", "a-1", "completed"),
        text("reasoning", "I hear a sigh: sad.", "a-2", "edited"),
    )  # fmt: skip
    status = {r.response: r.status for r in found}
    assert status == {"sad": "reviewed", "Arms fold. Most likely sad.": "drafted", "I hear a sigh: sad.": "reviewed"}
    ways = {(a.text, a.how) for r in found for a in r.authors if r.task == "reasoning"}
    assert ways == {("Arms fold. Most likely sad.", "drafted"), ("I hear a sigh: sad.", "edited")}


def test_a_record_says_who_contributed_what() -> None:
    found, left_out = records(
        *(said("emotion", e, CLIP, w) for e, w in (("happy", "a-1"), ("happy", "a-2"), ("sad", "a-3"))),
        text("clue_text", "Says yes.", "a-3", "written"), text("clue_text", "Agrees.", "a-1", "edited"),
        said("emotion_words", ["glad"], CLIP, "a-2"), text("reasoning", "So they seem sad.", "a-3", "written"),
    )  # fmt: skip
    by_name = {r.record_id.removeprefix(f"{CLIP.id}-"): [(a.field, a.annotator, a.how, a.text) for a in r.authors] for r in found}
    one, two, three = (publish_annotator(f"a-{n}") for n in (1, 2, 3))
    clues = [("clue_text", one, "edited", "Agrees."), ("clue_text", three, "written", "Says yes.")]
    assert by_name == {
        "recognition": [*(("response", who, "chosen", "happy") for who in (one, two)), *clues],
        "open": [("response", two, "written", "glad"), *clues],
    }
    assert found[0].clues.text == "Agrees.\nSays yes."
    assert left_out == [f"clip {CLIP.id}: texts in no record, since their authors chose another emotion: 1 (reasoning)"]
    assert all(re.fullmatch(r"w-[0-9a-f]{8}", a.annotator) for r in found for a in r.authors)


def test_who_hands_in_again_takes_the_earlier_text_back() -> None:
    found, _ = records(
        said("emotion", "happy", CLIP), text("clue_video", "First.", "a-1", "written", "t1"),
        text("clue_video", "Second.", "a-1", "written", "t2"),
    )  # fmt: skip
    assert found[0].clues.video == "Second."


def test_texts_without_an_emotion_are_told() -> None:
    found, left_out = records(text("clue_video", "They lean back.", "a-1", "written"))
    assert (found, left_out) == ([], [f"clip {CLIP.id}: texts in no record, since nobody chose an emotion: 1 (clue_video)"])


def test_a_record_and_its_authors_agree() -> None:
    (row,) = [r.model_dump(by_alias=True) for r in records(said("emotion", "happy", CLIP))[0]]
    assert MerRecord.model_validate(row | {"authors": ()}).authors == (), "datasets of before this column"
    for wrong, told in ((row | {"status": "drafted"}, "the status is drafted"),
                        (row | {"authors": [row["authors"][0] | {"field": "clue_text"}]}, "nobody is named")):  # fmt: skip
        with pytest.raises(ValidationError, match=told):
            MerRecord.model_validate(wrong)
