"""Labels that are not exported are told in plain sentences, and their numbers add up."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from deemo_data.dataset.export.account import explain_left_out, explain_replaced
from deemo_data.labels.label import Label
from deemo_data.labels.placing import drop_repeated, group_by_clip
from tests.makers.datasets import NFBL, export_clips, make_clip, make_event_label
from tests.makers.labels import clip_at, said


def of_withheld() -> list[Label]:
    gone = replace(clip_at(600, 750), id="c-gone", source="v-1")
    answer = {"name": "identifying", "choices": ["face"]}
    return [said("choice", answer, gone), said("text", {"name": "identifying_where", "text": "frames 1-30"}, gone),
            said("clue_video", "Arms.", gone), make_event_label(gone, 1, 9), make_event_label(gone, 20, 29)]  # fmt: skip


def test_labels_of_a_withheld_clip_are_one_plain_sentence() -> None:
    clip = clip_at(0, 100)
    (line,) = explain_left_out([*of_withheld(), make_event_label(clip, 1, 9)], [clip], NFBL)
    assert line == (
        "clip c-gone: 5 labels (1 answer, 1 clue, 2 events, 1 note) left out: no clip is there any more that may be exported. "
        "It is withheld, was cut otherwise, or its footage is gone"
    )
    assert not re.search(r"[{}\[\]]", line)


def test_every_label_that_is_left_out_is_in_one_number() -> None:
    clip = clip_at(0, 100)
    foreign = replace(make_event_label(clip, 500, 600), clip="v-1")
    labels = [
        *of_withheld(), foreign, make_event_label(clip, 1, 9, "brow raise"), make_event_label(clip, 3, 9, "brow raise"),
        said("choice", {"name": "intensity", "choices": ["clear"]}, clip), said("rating", {"name": "stars", "rating": 4}, clip),
        make_event_label(clip, 1, 9), said("seen", "nfbl", clip), said("emotion", "happy", clip),
    ]  # fmt: skip
    lines = explain_left_out(labels, [clip], NFBL)
    assert lines[1].startswith("footage v-1: 1 label (1 event) left out")
    assert lines[2] == f"nfbl 'brow raise' of {clip.id} is not in vocabulary imigue-32 1 (2 events)"
    assert lines[3] == "2 labels (1 answer, 1 rating) in labels/ only: the dataset has no column for them"
    told = sum(int(re.search(r"(\d+) (?:labels?|events)", line)[1]) for line in lines)  # type: ignore[index]
    assert told + 3 == len(labels)


def submitted(label: Label, number: int) -> Label:
    return replace(label, raw={"annotation": {"id": number, "updated_at": f"t{number}"}})


def test_what_a_later_hand_replaced_is_told() -> None:
    clip = clip_at(0, 100)
    first = [said("seen", "nfbl", clip), make_event_label(clip, 1, 9), make_event_label(clip, 20, 29)]
    second = [said("seen", "nfbl", clip), make_event_label(clip, 1, 10)]
    labels = [*(submitted(lb, 1) for lb in first), *(submitted(lb, 2) for lb in second)]
    assert explain_replaced([clip], group_by_clip(labels, [clip])) == [
        "events left out since their annotators handed in the clip again: 2"
    ]
    verdict = make_event_label(clip, 2, 9, who="a-judge")
    verdict = replace(verdict, value=verdict.value | {"adjudicated": True})
    labels += [said("seen", "adjudicated", clip, "a-judge"), verdict]
    assert explain_replaced([clip], group_by_clip(labels, [clip]))[1:] == ["events that gave way to an adjudicator's: 1"]


def test_an_event_twice_by_one_person_is_exported_once(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "released", 0)
    one = make_event_label(clip, 2, 8)
    labels = [one, replace(one), make_event_label(clip, 2, 8, who="a-2"), make_event_label(clip, 3, 8)]
    assert drop_repeated(labels) == [one, *labels[2:]]
    result = export_clips([clip], labels, tmp_path / "d")
    assert result.left_out == ("events left out since the same person marked them twice in one place: 1",)
    assert result.events == 2
