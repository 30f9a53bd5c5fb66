"""A clip's emotion records: who agrees, which questions are asked, what they rest on."""

from __future__ import annotations

from typing import Any

from deemo_data.clip import Clip
from deemo_data.dataset.export.mer import make_mer_records, question_template, question_templates
from deemo_data.dataset.records import MerRecord
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
