"""Records and the frame grid: nothing is lost on the way to milliseconds and back, or to a file and back."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data import files
from deemo_data.clip import Clip, Grid, read_clips, round_half_up, write_clips
from deemo_data.errors import ProjectError, StageError
from deemo_data.files import File, parse_json

RATES = ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "120", "240", "15/2"]
rates = st.sampled_from([Fraction(r) for r in RATES])
facts = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def grid(fps: Fraction = Fraction(25), frames: int = 1000, vfr: bool = False, zero: Fraction = Fraction(0)) -> Grid:
    return Grid(fps, vfr, zero, frames, 640, 480)


def source(of: Grid) -> Clip:
    return Clip("0123456789ab", "0123456789ab", 0, of.ms_at(of.frames), {}, {"grid": of.to_fact()})


@pytest.mark.parametrize(
    ("x", "whole"), [("1/2", 1), ("-1/2", 0), ("3/2", 2), ("-3/2", -1), ("1/3", 0), ("2/3", 1), ("-2/3", -1), ("7", 7), ("0", 0)]
)
def test_halves_go_up(x: str, whole: int) -> None:
    assert round_half_up(Fraction(x)) == whole


@given(rates, st.integers(0, 24 * 3600 * 240))
def test_a_frame_boundary_survives_milliseconds(fps: Fraction, frame: int) -> None:
    assert grid(fps).frame_at(grid(fps).ms_at(frame)) == frame


@given(rates, st.integers(0, 24 * 3_600_000))
def test_a_time_moves_at_most_half_a_frame(fps: Fraction, ms: int) -> None:
    of = grid(fps)
    assert abs(of.ms_at(of.frame_at(ms)) - ms) <= 500 / fps + Fraction(1, 2)
    assert of.frame_at(of.ms_at(of.frame_at(ms))) == of.frame_at(ms), "snapping twice is snapping once"


@given(rates, st.integers(0, 10**7), st.integers(0, 10**7))
def test_time_does_not_run_backwards(fps: Fraction, a: int, b: int) -> None:
    of = grid(fps)
    assert of.frame_at(min(a, b)) <= of.frame_at(max(a, b))
    assert of.ms_at(min(a, b)) <= of.ms_at(max(a, b))


def test_ntsc_does_not_drift() -> None:
    of = grid(Fraction(30000, 1001))
    assert of.ms_at(30) == 1001
    assert of.ms_at(107892) == 3_599_996  # one hour by the clock is not 108000 frames
    assert of.frame_at(3_600_000) == 107892


@given(rates, st.booleans(), st.fractions(0, 100), st.integers(1, 10**6))
def test_a_grid_survives_json(fps: Fraction, vfr: bool, zero: Fraction, frames: int) -> None:
    of = grid(fps, frames, vfr, zero)
    assert Grid.of(json.loads(json.dumps(of.to_fact()))) == of


@given(rates, st.integers(1, 100_000), st.data())
def test_neighbouring_clips_share_no_frame_and_lose_none(fps: Fraction, frames: int, data: st.DataObject) -> None:
    whole = source(grid(fps, frames))
    cut = whole.grid.ms_at(data.draw(st.integers(0, frames)))
    left, right = Clip.of_span(whole, 0, cut), Clip.of_span(whole, cut, whole.end_ms)
    assert left.first_frame == 0
    assert left.num_frames == right.first_frame
    assert left.num_frames + right.num_frames == whole.num_frames == frames


def test_a_clip_is_named_by_content_and_span() -> None:
    clip = Clip.of_span(source(grid()), 1000, 2000)
    assert (clip.id, clip.source, clip.first_frame, clip.num_frames) == ("0123456789ab-1000-2000", "0123456789ab", 25, 25)


def test_a_clip_that_ends_beyond_its_source_has_only_frames_that_exist() -> None:
    assert Clip.of_span(source(grid(frames=10)), 200, 9000).num_frames == 5


@given(st.dictionaries(st.text(min_size=1), facts, max_size=4), st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_a_clip_survives_its_row(told: dict[str, object], paths: dict[str, str]) -> None:
    clip = Clip("a-0-10", "a", 0, 10, {n: File(p, "00" * 32) for n, p in paths.items()}, told)
    assert Clip.of_row(json.loads(json.dumps(clip.to_row()))) == clip


def test_a_stage_sees_what_it_declared_and_nothing_else() -> None:
    clip = Clip("a", "a", 0, 10, {"source": File("s", "1"), "faces": File("f", "2")}, {"grid": {}, "subject": "s-1"})
    seen = clip.restrict_to(("source", "grid"))
    assert (seen.files, seen.facts) == ({"source": File("s", "1")}, {"grid": {}})
    with pytest.raises(StageError, match="clip a: body, words was never made"):
        clip.restrict_to(("source", "body", "words"))


def test_knowing_more_leaves_the_old_clip_alone() -> None:
    old = Clip("a", "a", 0, 10, {}, {"x": 1})
    new = old.with_results({"f": File("p", "d")}, {"x": 2})
    assert (old.files, old.facts) == ({}, {"x": 1})
    assert (new.files, new.facts) == ({"f": File("p", "d")}, {"x": 2})


def test_lists_are_sorted_and_come_back(tmp_path: Path) -> None:
    clips = [Clip(f"{s}-{a}-{a + 5}", s, a, a + 5, {}, {"note": "é\n"}) for s, a in [("b", 0), ("a", 10), ("a", 2)]]
    path = tmp_path / "clips.jsonl"
    write_clips(clips, path)
    assert read_clips(path) == sorted(clips, key=lambda c: c.id.split("-")[0] + f"{c.start_ms:09}")
    before = path.read_bytes()
    write_clips(reversed(clips), path)
    assert path.read_bytes() == before


def test_a_list_that_is_not_there_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="deemo ingest"):
        read_clips(tmp_path / "sources.jsonl")
    with pytest.raises(ProjectError, match="deemo segment"):
        read_clips(tmp_path / "clips.jsonl")


def test_a_damaged_list_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    write_clips([Clip("a-0-1", "a", 0, 1), Clip("a-1-2", "a", 1, 2)], path)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ProjectError, match=r"clips\.jsonl, line 2"):
        read_clips(path)


def test_what_says_the_same_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert files.write_if_changed(path, "one")
    os.utime(path, ns=(1, 1))
    inode = path.stat().st_ino
    assert not files.write_if_changed(path, b"one")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (1, inode)
    assert files.write_if_changed(path, "two")
    assert path.read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["x"], "nothing is left aside"


def test_a_full_disk_leaves_the_old_file_and_nothing_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_if_changed(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert File.of(tmp_path / "f").sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a": 1, "a": [2.5, -0.0, 1e-7]}',
        "123456789012345678901234567890",
        '"\\ud83d\\ude00 \\ud800"',
        "\ufeff[1]",
        "NaN",
        "[" * 300 + "]" * 300,
    ],
)
def test_what_is_parsed_is_what_python_reads(text: str) -> None:
    data = text.encode()
    assert repr(parse_json(data)) == repr(json.loads(data))


@pytest.mark.parametrize("text", ["", "{", '{"a": 1,}', "01", '"\x01"', "[1] x", "[" * 100_000, "9" * 5000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
