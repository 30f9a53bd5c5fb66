"""Label Studio exports: ours through the ledger, real foreign ones through a match table, and everything that is odd."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from deemo_data.annotation.export_file import read_export
from deemo_data.annotation.pull_result import PullResult
from deemo_data.clip import Clip, Grid
from deemo_data.errors import LabelError
from deemo_data.files import File
from deemo_data.labels.placing import place_events
from deemo_data.labels.store import read_labels
from deemo_data.labels.vocabulary import Nfbl, load_emotions, load_nfbl
from deemo_data.pseudonyms import derive_public_id
from tests.makers.labels import NTSC, clip_at
from tests.makers.results import CLIP, SECRET, annotation, choice, pull, push, region, text_answer
from tests.makers.vocabularies import SMALL

GRID25 = Grid(Fraction(25), False, Fraction(0), 300, 64, 36)
SOURCE = Clip("abc123", "abc123", 0, 12000, {"source": File("/footage/clip_1.mp4", "0" * 64)}, {"grid": GRID25.to_fact()})


def kinds(tmp_path: Path) -> list[str]:
    return sorted(lb.kind for lb in read_labels(tmp_path / "labels"))


def test_frames_are_one_based_and_inclusive(tmp_path: Path) -> None:
    pulled = pull(tmp_path, annotation(region(1, 1), region(3, 8, id_="r2"), region(150, 150, id_="r3")))
    assert pulled.problems == ()
    assert (pulled.tasks, pulled.annotations, pulled.change.added) == (1, 1, 4)
    placed = place_events(read_labels(tmp_path / "labels"), CLIP)
    assert [(p.start_frame, p.end_frame) for p in placed] == [(0, 1), (2, 8), (149, 150)]
    spans = {(p.label.start_ms, p.label.end_ms) for p in placed}
    assert (NTSC.ms_at(302), NTSC.ms_at(308)) in spans, "milliseconds on the clock of the source"


def test_the_same_file_twice_adds_nothing(tmp_path: Path) -> None:
    a = annotation(region(3, 8), choice("emotion", "happy"))
    pull(tmp_path, a)
    before = (tmp_path / "labels/project-2.jsonl").read_bytes()
    again = pull(tmp_path, a)
    assert (again.change.added, again.change.changed, again.change.deleted, again.change.same) == (0, 0, 0, 3)
    assert (tmp_path / "labels/project-2.jsonl").read_bytes() == before


def test_an_edit_replaces_and_a_deletion_removes(tmp_path: Path) -> None:
    pull(tmp_path, annotation(region(3, 8), region(20, 30, id_="r2")), annotation(region(5, 9), id_=2, who=4))
    change = pull(tmp_path, annotation(region(3, 10))).change
    assert (change.added, change.changed, change.deleted) == (0, 1, 3)
    assert [(p.start_frame, p.end_frame) for p in place_events(read_labels(tmp_path / "labels"), CLIP)] == [(2, 10)]


def test_a_skipped_annotation_takes_its_labels_back(tmp_path: Path) -> None:
    pull(tmp_path, annotation(region(3, 8)))
    pulled = pull(tmp_path, annotation(region(3, 8), was_cancelled=True))
    assert kinds(tmp_path) == []
    assert "was skipped by its annotator" in pulled.problems[0]


def test_certainty_belongs_to_its_region(tmp_path: Path) -> None:
    sure = choice("certainty", "unsure", id="r2")
    pull(tmp_path, annotation(region(3, 8), region(20, 30, id_="r2"), sure))
    values = [p.label.value for p in place_events(read_labels(tmp_path / "labels"), CLIP)]
    assert [v["certainty"] for v in values] == [None, "unsure"]


def test_what_is_said_about_the_whole_clip(tmp_path: Path) -> None:
    pulled = pull(tmp_path, annotation(
        choice("emotion", "Happy"), choice("sentiment", "positive"), choice("intensity", "clear"),
        text_answer("emotion_words", "relieved, Exhausted", "glad"), text_answer("clue_video", "arms up", "then down"),
        text_answer("other", "hm"),
        {"id": "q", "from_name": "stars", "type": "rating", "value": {"rating": 4}},
    ))  # fmt: skip
    assert pulled.problems == ()
    values = {lb.kind: lb.value for lb in read_labels(tmp_path / "labels")}
    assert values == {
        "seen": "clip", "emotion": "happy", "sentiment": "positive", "choice": {"name": "intensity", "choices": ["clear"]},
        "emotion_words": ["relieved", "exhausted", "glad"], "clue_video": "arms up\nthen down",
        "text": {"name": "other", "text": "hm"}, "rating": {"name": "stars", "rating": 4},
    }  # fmt: skip
    assert all((lb.start_ms, lb.end_ms) == (CLIP.start_ms, CLIP.end_ms) for lb in read_labels(tmp_path / "labels"))


ODD = {
    "no ranges": (region(1, 2) | {"value": {"timelinelabels": ["Folding arms"]}}, "has no ranges"),
    "start after end": (region(50, 20), "50-20 ends before it starts"),
    "frame 0": (region(0, 10), "0-10 begins before frame 1"),
    "half a frame": (region(3.5, 8), "3.5-8 is not in whole frames"),
    "text": (region("3", 8), "is not in whole frames"),
    "past the end": (region(10, 9999), "10-9999 goes past frame 150"),
    "wholly past the end": (region(151, 151), "151-151 goes past frame 150"),
    "infinite": (region(3, float("inf")), "is not in whole frames"),
    "unknown class": (region(5, 9, "UNKNOWN"), "'UNKNOWN' is not in vocabulary imigue-32 1"),
    "no class": (region(1, 2) | {"value": {"ranges": [{"start": 1, "end": 2}]}}, "has no class"),
    "range is no range": (region(1, 2) | {"value": {"ranges": [7], "timelinelabels": ["Folding arms"]}}, "None-None"),
    "no value": ({"id": "a", "from_name": "nfbl"}, "without from_name or value"),
    "no from_name": ({"id": "a", "value": {}}, "without from_name or value"),
    "a number": (5, "without from_name or value"),
    "region is gone": (
        choice("certainty", "sure", value={"ranges": [], "choices": ["sure"]}),
        "belongs to a region that is not there",
    ),
    "unknown emotion": (choice("emotion", "hangry"), "'hangry' is not one of vocabulary emotions-12 1"),
    "two emotions": (choice("emotion", "happy", value={"choices": ["happy", "sad"]}), "is not one of vocabulary"),
    "empty text": (text_answer("clue_audio", " "), "clue_audio says nothing"),
    "other control": ({"id": "b", "from_name": "brush", "type": "brushlabels", "value": {"rle": []}}, "brush says nothing"),
    "sound past the end": (
        {"id": "s", "from_name": "a", "type": "labels", "value": {"start": 1, "end": 99, "labels": ["x"]}},
        "99 s in",
    ),
}


@pytest.mark.parametrize(("odd", "told"), ODD.values(), ids=ODD)
def test_what_is_odd_is_told_in_one_line_and_costs_nothing_else(tmp_path: Path, odd: Any, told: str) -> None:
    pulled = pull(tmp_path, annotation(region(3, 8, id_="good"), odd, choice("sentiment", "neutral")))
    assert len(pulled.problems) == 1
    assert told in pulled.problems[0]
    assert "\n" not in pulled.problems[0]
    assert pulled.problems[0].startswith("task 7")
    assert kinds(tmp_path) == ["nfbl", "seen", "sentiment"]


def test_a_label_that_cannot_be_read_any_more_stays_in_force(tmp_path: Path) -> None:
    pull(tmp_path, annotation(region(3, 8)))
    assert pull(tmp_path, annotation(region(8, 3))).change.deleted == 0
    assert kinds(tmp_path) == ["nfbl", "seen"]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (annotation() | {"result": {"a": 1}}, "its result is not a list"),
        ("not an annotation", "its result is not a list"),
        (annotation(who=None), "does not say who made it"),
    ],
)
def test_odd_annotations(tmp_path: Path, bad: Any, told: str) -> None:
    pulled = pull(tmp_path, bad, annotation(region(3, 8), id_=9))
    assert [told in p for p in pulled.problems] == [True]
    assert "nfbl" in kinds(tmp_path)


def test_drafts_and_the_adjudicators_copies_are_left_out(tmp_path: Path) -> None:
    pulled = pull(tmp_path, annotation(region(3, 8), region(1, 5, name="ann_a", id_="c")), drafts=[{"result": [region(9, 9)]}])
    assert pulled.problems == ("task 7 (c-300.mp4): 1 draft(s) never handed in, left out",)
    assert kinds(tmp_path) == ["nfbl", "seen"]


def test_several_ranges_and_an_empty_annotation(tmp_path: Path) -> None:
    twice = region(5, 9)
    twice["value"]["ranges"].append({"start": 20, "end": 30})
    pull(tmp_path, annotation(twice), annotation(id_=2, who=4))
    found = read_labels(tmp_path / "labels")
    assert [(p.start_frame, p.end_frame) for p in place_events(found, CLIP)] == [(4, 9), (19, 30)]
    assert [lb.value for lb in found if lb.kind == "seen"] == ["nfbl", "nfbl"], "who looked and saw nothing also looked"


def test_sound_in_seconds(tmp_path: Path) -> None:
    pull(
        tmp_path,
        annotation({"id": "s", "from_name": "speech", "type": "labels", "value": {"start": 1.5, "end": 3.25, "labels": ["a"]}}),
    )
    (sound,) = [lb for lb in read_labels(tmp_path / "labels") if lb.kind == "sound"]
    assert (sound.start_ms - CLIP.start_ms, sound.end_ms - CLIP.start_ms) == (1500, 3250)


def test_nobodys_name_is_kept(tmp_path: Path) -> None:
    who = {"id": 3, "email": "ann@example.com", "first_name": "Ann"}
    pull(tmp_path, annotation(region(3, 8), who=who, updated_by=3, created_username="ann@example.com, 3"))
    text = (tmp_path / "labels/project-2.jsonl").read_text()
    assert "ann" not in text.replace("annotat", "").lower()
    raw = next(lb.raw for lb in read_labels(tmp_path / "labels") if lb.kind == "nfbl")
    assert raw["results"] == [region(3, 8)], "the rest is as Label Studio gave it"
    assert raw["vocabulary"] == "imigue-32 1"


def test_another_rate_than_was_pushed_is_not_mapped(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="not about this project's clips"):
        pull(tmp_path, annotation(region(3, 8)), data={"fps": 24})


def test_another_number_of_frames_than_was_pushed_is_not_mapped(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="not about this project's clips"):
        pull(tmp_path, annotation(region(3, 8)), data={"num_frames": 149})


def test_what_an_adjudicator_says_is_marked(tmp_path: Path) -> None:
    pull(tmp_path, annotation(region(3, 8), region(1, 5, name="ann_b", id_="c")), template="adjudicate")
    found = {lb.kind: lb.value for lb in read_labels(tmp_path / "labels")}
    assert found == {"seen": "adjudicated", "nfbl": {"label": "Folding arms", "certainty": None, "adjudicated": True}}


def test_an_adjudicator_who_leaves_nothing_has_adjudicated(tmp_path: Path) -> None:
    pull(tmp_path, annotation(region(1, 5, name="ann_a", id_="c")), template="adjudicate")
    assert [(lb.kind, lb.value) for lb in read_labels(tmp_path / "labels")] == [("seen", "adjudicated")]


def test_an_empty_page_about_the_whole_clip_is_no_look_at_body_language(tmp_path: Path) -> None:
    pull(tmp_path, annotation(choice("emotion", "happy")), template="mer_clues")
    assert {lb.kind: lb.value for lb in read_labels(tmp_path / "labels")} == {"seen": "clip", "emotion": "happy"}


def test_a_clip_pushed_again_at_another_rate_maps_by_the_rate_it_was_shown_at(tmp_path: Path) -> None:
    clip25 = replace(clip_at(250, 375, grid=GRID25), id=CLIP.id)
    push(tmp_path, clip25)
    pull(tmp_path, annotation(region(26, 50)), data={"fps": 25, "num_frames": 50})
    (event,) = [lb for lb in read_labels(tmp_path / "labels") if lb.kind == "nfbl"]
    assert (event.start_ms, event.end_ms) == (GRID25.ms_at(275), GRID25.ms_at(300))


def test_an_export_of_another_project_is_refused_by_name(tmp_path: Path, media: Path) -> None:
    with pytest.raises(LabelError) as e:
        read_export(media / "label_studio/export_edge_cases.json", tmp_path, secret=SECRET, vocabulary=load_nfbl("nfbl"),
                    emotions=load_emotions("emotions"))  # fmt: skip
    assert "task 12 (clip_1.mp4)" in e.value.what
    assert "--match M.csv --vocabulary V" in e.value.advice
    assert not list(tmp_path.iterdir())


def foreign(path: Path, tmp_path: Path, rows: str, vocabulary: Nfbl | None = None) -> PullResult:
    (tmp_path / "match.csv").write_text(rows)
    if vocabulary is None:
        (tmp_path / "v.toml").write_text(
            SMALL.replace('id = 1, name = "head_shake"', 'id = 1, name = "head_shake", aliases = ["mouth_open"]')
        )
        vocabulary = load_nfbl(tmp_path / "v.toml")
    return read_export(path, tmp_path / "labels", secret=SECRET, vocabulary=vocabulary, emotions=load_emotions("emotions"),
                       sources=[SOURCE], match=tmp_path / "match.csv")  # fmt: skip


def test_the_real_exports(tmp_path: Path, media: Path) -> None:
    pulled = foreign(
        media / "label_studio/export_JSON_with_browser_annotation.json", tmp_path, "name,source\nclip_1.mp4,clip_1.mp4\n"
    )
    assert (pulled.tasks, pulled.annotations) == (2, 2), "task 2 is clip_2.mp4, which the table does not name"
    assert [p for p in pulled.problems if "task 2 (clip_2.mp4)" in p]
    found = read_labels(tmp_path / "labels")
    events = sorted((lb.start_ms, lb.end_ms, lb.value["label"]) for lb in found if lb.kind == "nfbl")
    assert events == [
        (360, 2400, "brow raise"),
        (520, 2640, "brow raise"),
        (3880, 5960, "head_shake"),
        (3960, 6000, "head_shake"),
    ]
    assert {lb.source for lb in found} == {derive_public_id(SECRET, "v", "abc123")}
    assert len({lb.annotator for lb in found}) == 2
    assert {lb.kind for lb in found} == {"nfbl", "seen", "choice", "text", "rating", "sound"}


def test_the_real_odd_export(tmp_path: Path, media: Path) -> None:
    pulled = foreign(media / "label_studio/export_edge_cases.json", tmp_path, "name,source\nclip_1.mp4,abc123\n")
    told = "\n".join(pulled.problems)
    for wrong in (
        "0-10 begins before frame 1",
        "10-9999 goes past frame 300",
        "50-20 ends before",
        "'UNKNOWN' is not in",
        "1 draft(s)",
    ):
        assert told.count(wrong) == 1
    assert (pulled.tasks, pulled.annotations, len(pulled.problems)) == (9, 9, 5)
    assert sum(lb.kind == "nfbl" for lb in read_labels(tmp_path / "labels")) == 1 + 2 + 2 + 1
    assert foreign(media / "label_studio/export_edge_cases.json", tmp_path, "name,source\nclip_1.mp4,abc123\n").change.added == 0


def test_a_match_table_may_say_rate_and_place(tmp_path: Path, media: Path) -> None:
    rows = "name,source,fps,start_ms,end_ms\n1,/footage/clip_1.mp4,12.5,2000,11000\n"
    path = media / "label_studio/export_two_annotators.json"
    foreign(path, tmp_path, rows)
    spans = sorted(
        (lb.start_ms, lb.end_ms)
        for lb in read_labels(tmp_path / "labels")
        if lb.kind == "nfbl" and lb.value["label"] == "brow raise"
    )
    assert spans == [(2000 + 720, 2000 + 4800), (2000 + 1040, 2000 + 5280)]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("name,video\na,b\n", "no column source (it has name, video)"),
        ("", "no column name (it has none)"),
        ("name,source\nclip_1.mp4,nowhere.mp4\n", "line 2: there is no source 'nowhere.mp4'"),
        ("name,source,fps\nclip_1.mp4,abc123,fast\n", "line 2"),
        ("name,source,start_ms\nclip_1.mp4,abc123,13000\n", "does not fit"),
        ("name,source,start_ms\nclip_1.mp4,abc123,0:02\n", "line 2: '0:02' is a time of day; write milliseconds"),
        ("name,source,start_ms\nclip_1.mp4,abc123,1.500\n", "line 2: '1.500' is either thousands or a fraction"),
        ("name,source,clip\nclip_1.mp4,abc123,7\n", "column 'clip' that is not known"),
        ("name,source\nclip_1.mp4,abc123\nclip_1.mp4,\n", "line 3"),
        ("name,source,start_ms\n1,abc123,0\n1,abc123,2000\n", "line 3: '1' stands for another video in a line before"),
        ("name,source\nclip_9.mp4,abc123\n", "is not about this project's clips"),
    ],
)
def test_a_wrong_match_table(tmp_path: Path, media: Path, rows: str, told: str) -> None:
    with pytest.raises(LabelError) as e:
        foreign(media / "label_studio/export_two_annotators.json", tmp_path, rows)
    assert told in e.value.what
    assert e.value.advice


@pytest.mark.parametrize(
    ("data", "notices"),
    [
        (
            "sep=;\r\nName;Source;fps;start_ms;end_ms\r\n1;/footage/clip_1.mp4;12,5;2000,0;11000\r\n;;;;\r\n".encode("utf-8-sig"),
            2,
        ),
        ("name\tsource\tfps\tstart_ms\tend_ms\n1\t/footage/clip_1.mp4\t25/2\t2000\t11000\n".encode("utf-16"), 2),
        (b",name,source,fps,start_ms,end_ms\n0,1.0,/footage/clip_1.mp4,12.5,2000.0,11000.0\n", 1),
    ],
)
def test_a_match_table_as_spreadsheets_write_it(data: bytes, notices: int, tmp_path: Path, media: Path) -> None:
    path = media / "label_studio/export_two_annotators.json"
    (tmp_path / "plain").mkdir()
    foreign(path, tmp_path / "plain", "name,source,fps,start_ms,end_ms\n1,/footage/clip_1.mp4,12.5,2000,11000\n")
    (tmp_path / "m.csv").write_bytes(data)
    (tmp_path / "v.toml").write_text(
        SMALL.replace('id = 1, name = "head_shake"', 'id = 1, name = "head_shake", aliases = ["mouth_open"]')
    )
    pulled = read_export(path, tmp_path / "labels", secret=SECRET, vocabulary=load_nfbl(tmp_path / "v.toml"),
                         emotions=load_emotions("emotions"), sources=[SOURCE], match=tmp_path / "m.csv")  # fmt: skip
    assert len(pulled.notices) == notices
    spans = {(lb.start_ms, lb.end_ms) for lb in read_labels(tmp_path / "labels")}
    assert spans == {(lb.start_ms, lb.end_ms) for lb in read_labels(tmp_path / "plain" / "labels")}


@pytest.mark.parametrize(
    ("text", "told"),
    [("[", "is not JSON"), ("{}", "is not a Label Studio"), ('[{"id": 1}]', "is not a Label Studio"), ("[]", "is empty")],
)
def test_what_is_no_export(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(LabelError, match=told):
        foreign(tmp_path / "e.json", tmp_path, "name,source\na,abc123\n")
    with pytest.raises(LabelError, match=r"gone\.json"):
        foreign(tmp_path / "gone.json", tmp_path, "name,source\na,abc123\n")
