"""Corrections are state: what was said is not lost, the same boxes are the same fact, and what cannot be read is said."""

from __future__ import annotations

import json
import multiprocessing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.clip import Clip
from deemo_data.errors import LabelError, ProjectError
from deemo_data.project import corrections

BOX = (0.1, 0.2, 0.3, 0.4)


def clip(start_ms: int = 1000, end_ms: int = 2000, source: str = "a") -> Clip:
    return Clip(f"{source}-{start_ms}-{end_ms}", source, start_ms, end_ms)


def lines(root: Path, name: str = "boxes.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "corrections" / name).read_text().splitlines()]


# ── boxes ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_said_yet(tmp_path: Path) -> None:
    assert corrections.read_boxes(tmp_path) == []
    assert corrections.boxes_by_source(tmp_path) == {}
    assert corrections.sources_with_boxes(tmp_path) == set()
    assert not corrections.is_withheld(tmp_path, clip())


def test_a_box_is_a_line_and_its_removal_another(tmp_path: Path) -> None:
    made = corrections.add_box(tmp_path, "a", 500, 900, [0.123456789, 0.2, 1, 1])
    other = corrections.add_box(tmp_path, "a", 0, 1, BOX)
    (first, second) = lines(tmp_path)
    assert first == {"id": made.id, "source": "a", "start_ms": 500, "end_ms": 900, "box": [0.12346, 0.2, 1.0, 1.0], "at": made.at}
    assert datetime.fromisoformat(first["at"]).utcoffset() is not None
    assert second["id"] == other.id != made.id
    assert corrections.read_boxes(tmp_path) == [made, other]
    corrections.remove_box(tmp_path, made.id)
    assert lines(tmp_path)[:2] == [first, second], "what was said stays"
    assert lines(tmp_path)[2]["removes"] == made.id
    assert corrections.read_boxes(tmp_path) == [other]
    assert corrections.sources_with_boxes(tmp_path) == {"a"}
    with pytest.raises(LabelError, match="there is no"):
        corrections.remove_box(tmp_path, made.id)
    assert len(lines(tmp_path)) == 3


@pytest.mark.parametrize(
    ("span", "box", "says"),
    [
        ((5, 5), BOX, "holds no time"),
        ((9, 5), BOX, "holds no time"),
        ((-1, 5), BOX, "holds no time"),
        ((0.5, 5), BOX, "not a span"),
        ((True, 5), BOX, "not a span"),
        (("0", "5"), BOX, "not a span"),
        ((0, 5), (0.1, 0.2, 0.3), "not a box"),
        ((0, 5), "abcd", "not a box"),
        ((0, 5), None, "not a box"),
        ((0, 5), (0.1, 0.2, "0.3", 0.4), "not a box"),
        ((0, 5), (0.1, 0.2, True, 0.4), "not a box"),
        ((0, 5), (0.3, 0.2, 0.1, 0.4), "covers nothing"),
        ((0, 5), (0.1, 0.2, 0.1000001, 0.4), "covers nothing"),
        ((0, 5), (-0.1, 0.2, 0.3, 0.4), "leaves the picture"),
        ((0, 5), (0.1, 0.2, 0.3, 1.01), "leaves the picture"),
        ((0, 5), (0.1, 0.2, float("nan"), 0.4), "leaves the picture"),
        ((0, 5), (0.1, 0.2, float("inf"), 0.4), "leaves the picture"),
        ((0, 5), (0.1, 0.2, 10**400, 0.4), "leaves the picture"),
    ],
)
def test_what_makes_no_sense_is_not_written(tmp_path: Path, span: Any, box: Any, says: str) -> None:
    with pytest.raises(LabelError, match=says) as e:
        corrections.add_box(tmp_path, "a", *span, box)
    assert e.value.advice
    assert not (tmp_path / "corrections").exists()


share = st.floats(0, 1).map(lambda v: round(v, 4))
drawn_boxes = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 3000), st.integers(1, 3000), share, share).filter(
        lambda b: b[3] < 1 and b[4] < 1
    ),
    max_size=8,
)


@settings(max_examples=25)  # each writes files, and waits for the disk
@given(said=drawn_boxes, data=st.data())
def test_the_order_in_which_boxes_were_drawn_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, said: list[Any], data: st.DataObject
) -> None:
    one, other = (tmp_path_factory.mktemp("c") for _ in range(2))
    for root, order in ((one, said), (other, data.draw(st.permutations([*said, *said])))):
        for source, start, length, x, y in order:
            corrections.add_box(root, source, start, start + length, (x, y, 1, 1))
    for source, start, length, x, y in said:  # drawn by mistake and taken back: as if it had never been
        mistake = corrections.add_box(other, source, start, start + length + 1, (x, y, 1, 1))
        corrections.remove_box(other, mistake.id)
    both = [json.dumps(corrections.boxes_by_source(root), sort_keys=False) for root in (one, other)]
    assert both[0] == both[1]
    for c in (clip(), clip(source="b"), clip(0, 10_000)):
        facts = [corrections.boxes_on_clip(c, corrections.boxes_by_source(root)) for root in (one, other)]
        assert json.dumps(facts[0]) == json.dumps(facts[1])


@settings(max_examples=50)
@given(said=drawn_boxes, start=st.integers(0, 3000), length=st.integers(1, 3000))
def test_a_clip_has_just_the_boxes_of_its_time(
    tmp_path_factory: pytest.TempPathFactory, said: list[Any], start: int, length: int
) -> None:
    root, mine = tmp_path_factory.mktemp("c"), clip(start, start + length)
    for source, first, duration, x, y in said:
        corrections.add_box(root, source, first, first + duration, (x, y, 1, 1))
    found = corrections.boxes_on_clip(mine, corrections.boxes_by_source(root))
    for ms in {start, start + length - 1, start + length // 2}:
        meant = {(x, y) for source, a, d, x, y in said if source == "a" and a <= ms < a + d}
        assert {(b["box"][0], b["box"][1]) for b in found if b["start_ms"] <= ms < b["end_ms"]} == meant
    assert all(mine.start_ms <= b["start_ms"] < b["end_ms"] <= mine.end_ms for b in found)


def test_a_box_beside_the_clip_changes_nothing_of_it(tmp_path: Path) -> None:
    corrections.add_box(tmp_path, "a", 0, 1000, BOX)
    corrections.add_box(tmp_path, "a", 2000, 2001, BOX)
    corrections.add_box(tmp_path, "b", 1000, 2000, BOX)
    assert corrections.boxes_on_clip(clip(), corrections.boxes_by_source(tmp_path)) == []
    (box,) = [corrections.add_box(tmp_path, "a", 1999, 9000, BOX)]
    assert corrections.boxes_on_clip(clip(), corrections.boxes_by_source(tmp_path)) == [
        {"start_ms": 1999, "end_ms": 2000, "box": list(BOX)}
    ]
    clips = [clip(), clip(2000, 3000), clip(9000, 9500), clip(source="b")]
    assert corrections.clips_under_correction(box, clips) == clips[:2]


# ── withholding ──────────────────────────────────────────────────────────────────────────────────────────────


def test_withheld_whatever_it_is_called_later(tmp_path: Path) -> None:
    held = corrections.withhold_clip(tmp_path, clip())
    assert corrections.is_withheld(tmp_path, clip())
    for again in (clip(0, 1001), clip(1999, 4000), clip(1200, 1300), clip(0, 9000)):
        assert corrections.is_withheld(tmp_path, again), "cut anew, it shows a part of it"
    for other in (clip(0, 1000), clip(2000, 3000), clip(source="b")):
        assert not corrections.is_withheld(tmp_path, other)
    assert set(lines(tmp_path, "withheld.jsonl")[0]) == {"id", "source", "start_ms", "end_ms", "at"}
    corrections.allow_span(tmp_path, held.id)
    assert not corrections.is_withheld(tmp_path, clip())
    assert len(lines(tmp_path, "withheld.jsonl")) == 2
    with pytest.raises(LabelError):
        corrections.allow_span(tmp_path, held.id)


def test_twice_withheld_is_taken_back_twice(tmp_path: Path) -> None:
    first, second = corrections.withhold_clip(tmp_path, clip()), corrections.withhold_clip(tmp_path, clip(1500, 2500))
    corrections.allow_span(tmp_path, first.id)
    assert corrections.is_withheld(tmp_path, clip())
    corrections.allow_span(tmp_path, second.id)
    assert not corrections.is_withheld(tmp_path, clip())


# ── the files ────────────────────────────────────────────────────────────────────────────────────────────────


def test_half_a_line_of_a_killed_process_is_none(tmp_path: Path) -> None:
    made = corrections.add_box(tmp_path, "a", 0, 5, BOX)
    path = tmp_path / "corrections" / "boxes.jsonl"
    whole = path.read_bytes()
    for end in range(1, len(whole) - 1):
        path.write_bytes(whole + whole[:end])
        assert corrections.read_boxes(tmp_path) == [made]
    path.write_bytes(whole + whole[:20])
    other = corrections.add_box(tmp_path, "a", 5, 9, BOX)
    assert corrections.read_boxes(tmp_path) == [made, other]


def test_a_line_that_an_editor_left_without_an_end_counts(tmp_path: Path) -> None:
    made = corrections.add_box(tmp_path, "a", 0, 5, BOX)
    path = tmp_path / "corrections" / "boxes.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert corrections.read_boxes(tmp_path) == [made]
    other = corrections.add_box(tmp_path, "a", 5, 9, BOX)
    assert corrections.read_boxes(tmp_path) == [made, other]


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", "5", '"text"', "null", "{}", '{"id": "x", "source": "a", "start_ms": 0, "end_ms": 5}', '{"removes": ["x"]}',
        '{"id": "x", "source": "a", "start_ms": 0, "end_ms": 5, "box": [0, 0, 2, 2]}',
        '{"id": "x", "source": "a", "start_ms": 5, "end_ms": 5, "box": [0, 0, 1, 1]}',
        '{"id": ["x"], "source": "a", "start_ms": 0, "end_ms": 5, "box": [0, 0, 1, 1]}',
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_stops_everything(tmp_path: Path, line: str) -> None:
    """It may be a box over a face: to go on without it would show that face."""
    corrections.add_box(tmp_path, "a", 0, 5, BOX)
    path = tmp_path / "corrections" / "boxes.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ProjectError, match=r"corrections/boxes.jsonl, line 2") as e:
        corrections.boxes_by_source(tmp_path)
    assert "backup" in e.value.advice


def test_blank_lines_are_nothing(tmp_path: Path) -> None:
    made = corrections.add_box(tmp_path, "a", 0, 5, BOX)
    path = tmp_path / "corrections" / "boxes.jsonl"
    path.write_text("\n" + path.read_text() + "\n\n")
    assert corrections.read_boxes(tmp_path) == [made]


def many(root: Path, source: str) -> None:
    for n in range(20):
        corrections.add_box(root, source, n, n + 1, BOX)


def test_two_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=many, args=(tmp_path, s)) for s in "ab"]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert {s: len(b) for s, b in corrections.boxes_by_source(tmp_path).items()} == {"a": 20, "b": 20}
