"""The label store, the ledger, and the join of labels to clips."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data import pseudonyms
from deemo_data.clip import SafeClip
from deemo_data.errors import LabelError
from deemo_data.labels import store
from deemo_data.labels.label import Label, PushRecord
from deemo_data.labels.placing import annotators_who_viewed, find_stale_labels, matches_clip, place_events, select_clip_labels
from deemo_data.labels.store import read_labels, update_labels
from deemo_data.labels.vocabulary import load_nfbl
from tests.makers.labels import NTSC, clip_at, event, said


def test_what_is_said_twice_adds_nothing(tmp_path: Path) -> None:
    first = update_labels(tmp_path, "p", {"k1": event(0, 10), "k2": event(10, 20)})
    before = (tmp_path / "p.jsonl").read_bytes()
    again = update_labels(tmp_path, "p", {"k1": event(0, 10), "k2": event(10, 20)})
    assert (first.added, again.added, again.same) == (2, 0, 2)
    assert (tmp_path / "p.jsonl").read_bytes() == before


def test_edits_and_deletions_are_new_lines(tmp_path: Path) -> None:
    update_labels(tmp_path, "p", {"k1": event(0, 10), "k2": event(10, 20)})
    before = (tmp_path / "p.jsonl").read_text()
    change = update_labels(tmp_path, "p", {"k1": event(0, 12)}, deleted=["k1", "k2", "never-there"])
    after = (tmp_path / "p.jsonl").read_text()
    assert after.startswith(before)
    assert (change.changed, change.deleted, change.added) == (1, 1, 0)
    assert read_labels(tmp_path) == [event(0, 12)]
    update_labels(tmp_path, "p", {"k2": event(10, 20)})
    assert len(read_labels(tmp_path)) == 2, "what was deleted may be said again"


def test_half_a_line_of_a_killed_process_is_no_label(tmp_path: Path) -> None:
    update_labels(tmp_path, "p", {"k1": event(0, 10)})
    with open(tmp_path / "p.jsonl", "a") as f:
        f.write('{"key": "k2", "cli')
    assert read_labels(tmp_path) == [event(0, 10)]
    update_labels(tmp_path, "p", {"k3": event(30, 40)})
    assert read_labels(tmp_path) == [event(0, 10), event(30, 40)]


def test_a_last_label_that_an_editor_left_without_a_newline_is_kept(tmp_path: Path) -> None:
    update_labels(tmp_path, "p", {"k1": event(0, 10), "k2": event(10, 20)})
    path = tmp_path / "p.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read_labels(tmp_path) == [event(0, 10), event(10, 20)]
    update_labels(tmp_path, "p", {"k3": event(30, 40)})
    assert read_labels(tmp_path) == [event(0, 10), event(10, 20), event(30, 40)]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"key": "a"\n{"key": "b"}\n')
    with pytest.raises(LabelError, match=r"p\.jsonl line 1"):
        read_labels(tmp_path)


def test_the_ledger_knows_what_was_pushed_once(tmp_path: Path) -> None:
    clip, nfbl = SafeClip(clip_at(300, 450)), load_nfbl("nfbl")
    shown = [{"id": "r1", "label": "Folding arms", "start_frame": 3, "end_frame": 9, "score": 0.5, "why": "..."}]
    lines = [PushRecord.of(clip, nfbl, "nfbl_timeline", shown), PushRecord.of(clip, nfbl, "adjudicate", None)]
    store.record_pushed(tmp_path, lines)
    before = (tmp_path / "pushed.jsonl").read_bytes()
    store.record_pushed(tmp_path, lines)
    assert (tmp_path / "pushed.jsonl").read_bytes() == before
    assert store.read_ledger(tmp_path) == lines
    line = lines[0]
    assert (line.fps, line.first_frame, line.num_frames, line.vocabulary) == ("30000/1001", 300, 150, "imigue-32 1")
    assert read_labels(tmp_path) == [], "the ledger holds no labels"


def test_a_line_of_an_older_ledger_is_read(tmp_path: Path) -> None:
    old = {
        "clip": "c",
        "source": "v",
        "start_ms": 0,
        "end_ms": 9,
        "fps": "25",
        "num_frames": 3,
        "first_frame": 0,
        "vocabulary": "x 1",
    }
    (tmp_path / "pushed.jsonl").write_text(json.dumps(old) + "\n")
    (line,) = store.read_ledger(tmp_path)
    assert (line.template, line.proposals) == ("nfbl_timeline", None)


def test_pseudonyms() -> None:
    secret = b"s" * 32
    assert pseudonyms.derive_pseudonym(secret, 3) == pseudonyms.derive_pseudonym(secret, {"id": 3, "email": "ann@example.com"})
    assert pseudonyms.derive_pseudonym(secret, 3) != pseudonyms.derive_pseudonym(secret, 4)
    assert pseudonyms.derive_pseudonym(secret, 3) != pseudonyms.derive_pseudonym(b"t" * 32, 3)
    assert "ann" not in pseudonyms.derive_pseudonym(secret, {"email": "ann@example.com"})


@given(first=st.integers(0, 2000), size=st.integers(2, 900), start=st.integers(0, 899), length=st.integers(1, 900),
       fps=st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60), Fraction(10)]))  # fmt: skip
def test_an_event_comes_back_to_the_frames_it_was_drawn_on(first: int, size: int, start: int, length: int, fps: Fraction) -> None:
    start = min(start, size - 1)
    end = min(start + length, size)
    grid = replace(NTSC, fps=fps)
    clip = clip_at(first, first + size, grid=grid)
    (placed,) = place_events([event(grid.ms_at(first + start), grid.ms_at(first + end))], clip)
    assert (placed.start_frame, placed.end_frame, placed.truncated) == (start, end, False)


def test_an_event_goes_to_every_clip_that_holds_half_of_it() -> None:
    grid = replace(NTSC, fps=Fraction(25))
    left, right = clip_at(0, 100, grid=grid), clip_at(100, 200, grid=grid)
    across = event(3900, 4100)
    for clip, frames in ((left, (98, 100)), (right, (0, 3))):
        (placed,) = place_events([across], clip)
        assert (placed.start_frame, placed.end_frame, placed.truncated) == (*frames, True)
    assert not place_events([event(3899, 4100)], right), "just less than half"
    assert not place_events([event(3800, 4100)], right), "a third"
    assert not place_events([event(4000, 4100)], left), "it only touches"
    assert not place_events([across], clip_at(0, 100, source="v-2", grid=grid))


def test_labels_survive_another_segmentation() -> None:
    grid = replace(NTSC, fps=Fraction(25))
    whole, shifted, half = clip_at(0, 250, grid=grid), clip_at(10, 250, grid=grid), clip_at(0, 125, grid=grid)
    emotion, wave = said("emotion", "happy", whole), event(4000, 4400)
    assert matches_clip(emotion, shifted), "IoU 0.96"
    assert not matches_clip(emotion, half)
    assert select_clip_labels([emotion, wave], shifted) == [emotion]
    assert find_stale_labels([emotion, wave], [half]) == [emotion]
    assert find_stale_labels([emotion, wave], [shifted]) == []
    assert find_stale_labels([wave], [clip_at(150, 250, grid=grid)]) == [wave]


def test_iou_of_exactly_nine_tenths_fits() -> None:
    grid = replace(NTSC, fps=Fraction(25))
    clip = clip_at(0, 250, grid=grid)
    assert matches_clip(Label("c", "v-1", 0, 9000, "emotion", "happy", "a"), clip)
    assert not matches_clip(Label("c", "v-1", 0, 8999, "emotion", "happy", "a"), clip)


def test_who_looked() -> None:
    clip = clip_at(0, 100)
    seen = [said("seen", "nfbl", clip, "a-1"), said("seen", "clip", clip, "a-2"), said("seen", "nfbl", clip_at(0, 2000), "a-3")]
    assert annotators_who_viewed(seen, clip) == {"a-1", "a-3"}
    assert find_stale_labels(seen, []) == []
