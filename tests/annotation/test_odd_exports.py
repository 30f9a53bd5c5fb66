"""Exports as other projects make them: at another rate, drawn on the sound, with boxes. All is placed, or counted and told."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.annotation.export_file import read_export
from deemo_data.annotation.pull_result import PullResult
from deemo_data.annotation.reading import tally
from deemo_data.annotation.reading.state import Reading
from deemo_data.annotation.results import find_shown_video, read_pushed_by_clip, read_task
from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.labels.store import read_labels
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from tests.conftest import REPO
from tests.makers.results import CLIP, SECRET, annotation, choice, pull, push, region, text_answer

NFBL, EMOTIONS = load_nfbl("nfbl"), load_emotions("emotions")
CASES = REPO.parent / "shared" / "cases"


def source(fps: Fraction | int = 25, seconds: int = 12, name: str = "interview.mp4") -> Clip:
    grid = Grid(Fraction(fps), False, Fraction(0), int(seconds * Fraction(fps)), 64, 36)
    files = {"source": File(f"/footage/{name}", "0" * 64)}
    return Clip("abc123", "abc123", 0, grid.ms_at(grid.frames), files, {"grid": grid.to_fact()})


def foreign(tmp_path: Path, *annotations: Any, footage: Clip | None = None, match: str = "", **task: Any) -> PullResult:
    """Read an export of one task about interview.mp4, which a match table names."""
    export = [{"id": 1, "data": {"video": "/upload/0123abcd-interview.mp4"}, "annotations": list(annotations)} | task]
    (tmp_path / "e.json").write_text(json.dumps(export))
    return read(tmp_path / "e.json", tmp_path, footage or source(), match or "name,source\ninterview.mp4,abc123\n")


def read(path: Path, tmp_path: Path, footage: Clip, match: str) -> PullResult:
    (tmp_path / "m.csv").write_text(match)
    return read_export(
        path, tmp_path / "labels", secret=SECRET, vocabulary=NFBL, emotions=EMOTIONS, sources=[footage], match=tmp_path / "m.csv"
    )


def events(tmp_path: Path) -> list[tuple[str, int, int]]:
    return sorted((lb.value["label"], lb.start_ms, lb.end_ms) for lb in read_labels(tmp_path / "labels") if lb.kind == "nfbl")


def counted(start: int, end: int, frames: int, seconds: float, label: str = "Folding arms") -> dict[str, Any]:
    found = region(start, end, label)
    found["value"] |= {"framesCount": frames, "duration": seconds}
    return found


def mark(start: object, end: object, *labels: str, id_: str = "s1", **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "channel": 0, "labels": list(labels)} | more
    return {"id": id_, "from_name": "tricks", "to_name": "audio", "type": "labels", "original_length": 12.0, "value": value}


# ── rates ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("fps", "seconds"), [(25, 12), (30, 20), (Fraction(30000, 1001), 12), (50, 8)])
def test_frames_counted_at_24_lie_where_the_annotator_saw_them(tmp_path: Path, fps: Fraction, seconds: int) -> None:
    footage = source(fps, seconds)
    length = footage.end_ms / 1000
    pulled = foreign(tmp_path, annotation(counted(121, 144, round(24 * length), length)), footage=footage)
    assert events(tmp_path) == [("Folding arms", 5000, 6000)]
    assert pulled.problems == ()
    assert "count frames at 24 a second, as their file says, where the footage has" in "\n".join(pulled.tally.lines())


def test_footage_that_is_not_the_one_that_was_labelled_is_refused(tmp_path: Path) -> None:
    pulled = foreign(tmp_path, annotation(counted(121, 144, 480, 20.0)))
    assert events(tmp_path) == []
    assert len(pulled.problems) == 1
    assert "its footage lasts 12 s, left out. Name the right source" in pulled.problems[0]
    assert pulled.tally.annotations == {tally.UNCLEAR_RATE: 1}


def test_a_rate_that_the_match_table_states_is_asked_about(tmp_path: Path) -> None:
    match = "name,source,fps\ninterview.mp4,abc123,25\n"
    pulled = foreign(tmp_path, annotation(counted(121, 144, 288, 12.0)), match=match)
    assert "the match table says 25 a second" in pulled.problems[0]
    foreign(tmp_path, annotation(counted(121, 144, 288, 12.0)), match=match.replace(",25", ",24"))
    assert events(tmp_path) == [("Folding arms", 5000, 6000)]


def test_labels_that_are_there_stay_while_the_rate_is_unclear(tmp_path: Path) -> None:
    foreign(tmp_path, annotation(counted(121, 144, 288, 12.0)))
    assert foreign(tmp_path, annotation(counted(121, 144, 288, 13.0))).change.deleted == 0
    assert events(tmp_path) == [("Folding arms", 5000, 6000)]


def test_a_rate_that_nobody_says_is_told_as_a_guess(tmp_path: Path) -> None:
    pulled = foreign(tmp_path, annotation(region(26, 50)))
    assert events(tmp_path) == [("Folding arms", 1000, 2000)]
    assert pulled.problems == ()
    assert "taken as the footage's 25 (a page without frameRate counts 24" in pulled.tally.lines()[0]
    stated = foreign(tmp_path, annotation(region(26, 50)), match="name,source,fps\ninterview.mp4,abc123,25\n")
    assert stated.tally.lines() == []


def test_a_silent_task_among_others_at_another_rate_is_asked_about(tmp_path: Path) -> None:
    tasks = [
        {"id": n, "data": {"video": "a-interview.mp4"}, "annotations": [annotation(r)]}
        for n, r in enumerate([counted(121, 144, 288, 12.0), region(121, 144)])
    ]
    (tmp_path / "e.json").write_text(json.dumps(tasks))
    pulled = read(tmp_path / "e.json", tmp_path, source(), "name,source\n0,abc123\n1,abc123\n")
    assert events(tmp_path) == [("Folding arms", 5000, 6000)]
    assert "others of this file count 24 a second" in pulled.problems[0]


def test_a_rate_in_the_data_that_is_not_the_footages_is_asked_about(tmp_path: Path) -> None:
    pulled = foreign(tmp_path, annotation(region(26, 50)), data={"video": "interview.mp4", "fps": 30})
    assert "its data says 30 frames a second, and the footage has 25" in pulled.problems[0]


def test_a_page_of_ours_without_a_rate_counts_24_too(tmp_path: Path) -> None:
    length = (CLIP.end_ms - CLIP.start_ms) / 1000
    pull(tmp_path, annotation(counted(25, 48, round(24 * length), length)))
    (event,) = [lb for lb in read_labels(tmp_path / "labels") if lb.kind == "nfbl"]
    assert (event.start_ms - CLIP.start_ms, event.end_ms - CLIP.start_ms) == (1000, 2000)


# ── sound ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_classes_on_the_sound_are_events(tmp_path: Path) -> None:
    sure = {"id": "s1", "from_name": "certainty", "type": "choices", "value": {"choices": ["unsure"], "start": 0.5, "end": 1.2}}
    pulled = foreign(tmp_path, annotation(mark(0.5, 1.2, "Turtle neck"), sure, mark(2, 3.0005, "speech", id_="s2")))
    assert events(tmp_path) == [("Turtle neck", 500, 1200)]
    labels = read_labels(tmp_path / "labels")
    assert sorted(lb.kind for lb in labels) == ["nfbl", "seen", "sound"]
    assert [lb.value for lb in labels if lb.kind == "seen"] == ["nfbl"]
    assert [lb.value["certainty"] for lb in labels if lb.kind == "nfbl"] == ["unsure"]
    told = "\n".join(pulled.tally.lines())
    assert "events marked on the sound, placed where its seconds say: 1" in told
    assert "kept in labels/ and in no table: 1" in told


@pytest.mark.parametrize(("start_ms", "end_ms"), [(2000, 11000), (0, 5000)])
def test_seconds_count_from_the_beginning_of_what_was_shown(tmp_path: Path, start_ms: int, end_ms: int) -> None:
    match = f"name,source,start_ms,end_ms\ninterview.mp4,abc123,{start_ms},{end_ms}\n"
    foreign(tmp_path, annotation(mark(1.25, 2.5, "Folding arms", "Turtle neck")), match=match)
    span = (start_ms + 1250, start_ms + 2500)
    assert events(tmp_path) == [("Folding arms", *span), ("Turtle neck", *span)]


@pytest.mark.parametrize("span", [(1, 1), (3, 2), (-1, 2), (11, 99), ("1", 2), (None, 2), (0.0001, 0.0002)])
def test_a_mark_of_no_length_is_no_event(tmp_path: Path, span: tuple[Any, Any]) -> None:
    pulled = foreign(tmp_path, annotation(mark(*span, "Turtle neck")))
    assert events(tmp_path) == []
    assert "s of sound, left out" in pulled.problems[0]
    assert pulled.tally.results == {tally.MALFORMED: 1}


def test_marks_in_a_text_are_no_sound(tmp_path: Path) -> None:
    pulled = foreign(tmp_path, annotation(mark(3, 10, "Turtle neck", text="arms up")))
    assert (events(tmp_path), pulled.problems) == ([], ())
    assert pulled.tally.results == {tally.TEXT_MARK: 1}


# ── boxes ────────────────────────────────────────────────────────────────────────────────────────────────────


def box(id_: str = "r1", **more: Any) -> dict[str, Any]:
    keys = [{"frame": 10, "x": 1, "y": 2, "width": 3, "height": 4, "enabled": True, "rotation": 0, "time": 0.4}]
    return {"id": id_, "from_name": "bbox", "to_name": "video", "type": "videorectangle", "value": {"sequence": keys} | more}


def phantom(id_: str = "r1", **more: Any) -> dict[str, Any]:
    return box(id_) | {"from_name": "nfbl", "type": "timelinelabels", "value": {"timelinelabels": ["Turtle neck"]} | more}


@pytest.mark.parametrize(
    "others",
    [
        [box(), phantom(sequence=[{"frame": 1, "time": 0.04}])],
        [phantom(), box()],
        [phantom(framesCount=300, duration=12), box(framesCount=300, duration=12)],
        [phantom("r9", sequence=[])],
        [box(labels=["Folding arms"])],
        [box(), choice("certainty", "sure", id="r1", value={"choices": ["sure"], "ranges": []})],
    ],
)
def test_boxes_and_their_phantoms_are_counted_and_no_fault(tmp_path: Path, others: list[dict[str, Any]]) -> None:
    pulled = foreign(tmp_path, annotation(region(26, 50, id_="e1"), *others))
    assert events(tmp_path) == [("Folding arms", 1000, 2000)]
    assert pulled.problems == ()
    assert pulled.tally.results[tally.LABEL] == 1
    assert pulled.tally.results[tally.BOX] + pulled.tally.results[tally.PHANTOM] == len(others)


def test_a_region_without_ranges_is_a_fault_where_there_is_no_box(tmp_path: Path) -> None:
    assert "has no ranges" in foreign(tmp_path, annotation(phantom())).problems[0]


# ── twice ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_event_twice_is_one(tmp_path: Path) -> None:
    pulled = foreign(
        tmp_path, annotation(region(26, 50), region(26, 50, id_="r2"), region(26, 50, "Turtle neck", id_="r3")),
        annotation(region(26, 50), id_=2, who=4),
    )  # fmt: skip
    assert events(tmp_path) == [("Folding arms", 1000, 2000)] * 2 + [("Turtle neck", 1000, 2000)], "another person's counts"
    assert pulled.tally.results == {tally.LABEL: 3, tally.REPEATED: 1}
    assert pulled.problems == ()
    assert any("one of each kept: 1" in line for line in pulled.tally.lines())


# ── sums ─────────────────────────────────────────────────────────────────────────────────────────────────────

RESULTS = [
    region(26, 50), region(26, 50, id_="r2"), region(9, 3, id_="r3"), region(1, 2, "UNKNOWN", id_="r4"), box(), phantom(),
    phantom("r8"), mark(1, 2, "Turtle neck"), mark(2, 3, "speech", id_="s2"), mark(2, 1, "speech", id_="s3"),
    choice("emotion", "happy"),
    choice("emotion", "hangry", id="q"), choice("certainty", "sure", id="r2"), choice("certainty", "sure", id="r3"),
    text_answer("clue_video", "Hands move."), text_answer("clue_audio", " "), region(1, 5, name="ann_a", id_="c"), 7,
    {"id": "z", "from_name": "brush", "type": "brushlabels", "value": {"rle": []}}, mark(3, 10, "x", text="y", id_="t"),
    choice("certainty", "sure", id="gone", value={"choices": ["sure"], "ranges": []}),
]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(RESULTS), max_size=8), st.booleans(), st.booleans()),
        max_size=4,
    ),
    st.integers(0, 2),
)
def test_everything_that_was_found_is_counted_once(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[list[Any], bool, bool]], drafts: int
) -> None:
    folder = tmp_path_factory.mktemp("sums")
    data = push(folder, CLIP)
    reading = Reading(SECRET, NFBL, EMOTIONS, read_pushed_by_clip(folder / "labels"))
    annotations: list[Any] = [annotation(*r, id_=n, was_cancelled=gone) for n, (r, gone, _) in enumerate(made)]
    annotations = [a | {"result": None} if odd else a for a, (*_, odd) in zip(annotations, made, strict=True)]
    task = {"id": 7, "annotations": annotations, "data": data, "drafts": [{}] * drafts}
    video = find_shown_video(task, reading)
    assert video is not None
    read_count = read_task(task, video, reading)
    counts = reading.tally
    assert sum(counts.annotations.values()) == len(annotations) + drafts
    assert counts.annotations[tally.READ] == read_count
    assert sum(counts.results.values()) == sum(len(r) for r, _, odd in made if not odd)
    assert all(count > 0 for count in counts.results.values())


def test_the_account_says_what_was_not_read(tmp_path: Path) -> None:
    pulled = pull(
        tmp_path, annotation(region(3, 8), region(5, 9, "UNKNOWN", id_="r2")), annotation(id_=2, was_cancelled=True), "odd",
        drafts=[{}, {}],
    )  # fmt: skip
    assert pulled.tally.lines() == [
        "annotations: 5 found, 1 read, 4 left out (2 drafts never handed in, 1 skipped by their annotator, 1 unreadable)",
        "regions and answers: 2 found, 1 kept, 1 left out (1 with a class that the vocabulary lacks)",
    ]
    assert PullResult.of_problems("x").tally.lines() == []
    assert (pulled + pulled).tally.annotations.total() == 10


def test_proposals_that_were_left_are_told(tmp_path: Path) -> None:
    shown = [region(3, 8), region(20, 30, id_="r2")]
    pulled = pull(tmp_path, annotation(region(3, 8), region(20, 31, id_="r2"), prediction={"result": shown}))
    assert pulled.tally.lines() == ["proposed events handed in as they were: 1"]


# ── drafts ───────────────────────────────────────────────────────────────────────────────────────────────────


def origins(tmp_path: Path) -> dict[str, str]:
    return {lb.kind: lb.raw["origin"] for lb in read_labels(tmp_path / "labels") if "origin" in lb.raw}


def test_texts_say_whether_they_are_drafts(tmp_path: Path) -> None:
    data = {"draft_clue_video": "Folded arms.", "draft_clue_audio": "Long pauses.", "draft_reasoning": "Most likely …"}
    pulled = pull(
        tmp_path,
        annotation(
            text_answer("clue_video", "folded  ARMS"), text_answer("clue_audio", "Short pauses."),
            text_answer("clue_text", "Mine."),
            text_answer("reasoning", "Most likely happy."),
        ),
        template="mer_clues", data=data,
    )  # fmt: skip
    assert origins(tmp_path) == {
        "clue_video": "untouched", "clue_audio": "edited", "clue_text": "written", "reasoning": "completed",
    }  # fmt: skip
    assert pulled.tally.lines() == ["drafts of texts handed in as they were, not exported as people's words: 1"]
    assert pulled.tally.results == {tally.LABEL: 4}


def test_a_predicted_text_is_a_draft_too(tmp_path: Path) -> None:
    shown = {"result": [text_answer("clue_video", "Folded arms.")]}
    pull(tmp_path, annotation(text_answer("clue_video", "Folded arms"), prediction=shown))
    assert origins(tmp_path) == {"clue_video": "untouched"}


# ── the cases that came out wrong ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("case", "file", "found", "reason"),
    [
        ("ls_audio_sync", "audio_sync3860.json", [("Turtle neck", 500, 1200)], ""),
        ("ls_phantom_9744", "phantom9744.json", [("Turtle neck", 300, 1000)], tally.PHANTOM),
    ],
)
def test_cases_that_came_out_wrong(tmp_path: Path, case: str, file: str, found: list[Any], reason: str) -> None:
    if not (CASES / case).is_dir():
        pytest.skip("no cases: put them into ../shared/cases")
    match = (CASES / case / "match.csv").read_text()
    pulled = read(CASES / case / file, tmp_path, source(30, 3), match)
    assert events(tmp_path) == found
    assert pulled.problems == ()
    assert pulled.tally.results[reason] == bool(reason)
