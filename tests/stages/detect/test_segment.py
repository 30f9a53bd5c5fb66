"""Clips lie within shots, keep speech, are neither too short nor too long, and are the same every time."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.errors import ConfigError
from deemo_data.files import File
from deemo_data.media import encode, probe
from deemo_data.stages.detect.segment import Segment, find_shot_cuts, plan_spans
from deemo_data.workflow.segment import cut_source_into_clips

SECRET = b"0123456789abcdef0123456789abcdef"


def source_of(path: Path, spans: list[list[int]] | None = None) -> Clip:
    facts = probe.probe_video(path)
    file = File.of(path)
    number = file.sha256[:12]
    return Clip(number, number, 0, facts.pop("duration_ms"), {"source": file}, facts | {"spans": spans or []})


def paint(path: Path, grid: Grid, luma: Callable[[int], int]) -> Path:
    import numpy as np

    size = grid.width * grid.height
    flat = (np.full((grid.height * 3 // 2, grid.width), 128, np.uint8) for _ in range(grid.frames))

    def pictures():  # type: ignore[no-untyped-def]
        for k, picture in enumerate(flat):
            picture.ravel()[:size] = luma(k)
            yield picture

    encode.write_video(path, pictures(), grid, 18, "ultrafast")
    return path


# ── arrange ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_source_shorter_than_the_minimum_is_one_whole_clip() -> None:
    assert plan_spans(40, [(3, 9)], [20], min_frames=50, max_frames=500, max_pause=10, pad=5) == [(0, 40)]


def test_turns_are_joined_over_short_pauses_and_given_room() -> None:
    turns = [(100, 200), (210, 300), (400, 500)]
    assert plan_spans(600, turns, [], min_frames=50, max_frames=500, max_pause=20, pad=5) == [(95, 305), (395, 505)]


def test_room_before_and_after_never_makes_two_clips_overlap() -> None:
    assert plan_spans(600, [(100, 200), (222, 300)], [], min_frames=50, max_frames=500, max_pause=20, pad=50) == [
        (50, 211),
        (211, 350),
    ]


def test_speech_is_cut_at_shots_and_what_nobody_says_is_left_out() -> None:
    assert plan_spans(600, [(100, 400)], [250, 500], min_frames=50, max_frames=500, max_pause=20, pad=0) == [
        (100, 250),
        (250, 400),
    ]


def test_without_speech_shots_and_length_alone_decide() -> None:
    assert plan_spans(600, [], [250], min_frames=50, max_frames=200, max_pause=20, pad=5) == [
        (0, 125),
        (125, 250),
        (250, 425),
        (425, 600),
    ]


def test_a_short_turn_takes_in_what_is_around_it_as_far_as_its_shot_goes() -> None:
    assert plan_spans(600, [(300, 310)], [], min_frames=50, max_frames=500, max_pause=20, pad=0) == [(280, 330)]
    assert plan_spans(600, [(300, 310)], [305], min_frames=50, max_frames=500, max_pause=20, pad=0) == [(255, 305), (305, 355)]
    assert plan_spans(600, [(0, 10), (590, 600)], [], min_frames=50, max_frames=500, max_pause=20, pad=0) == [(0, 50), (550, 600)]


def test_short_turns_that_cannot_grow_are_joined() -> None:
    assert plan_spans(
        600, [(100, 110), (140, 150), (170, 260)], [90, 260], min_frames=50, max_frames=500, max_pause=9, pad=0
    ) == [
        (90, 150),
        (170, 260),
    ]


def test_a_shot_shorter_than_the_minimum_is_left_out_but_not_all_of_them() -> None:
    assert plan_spans(600, [], [30, 300], min_frames=50, max_frames=500, max_pause=20, pad=0) == [(30, 300), (300, 600)]
    assert plan_spans(100, [], [30, 65], min_frames=50, max_frames=500, max_pause=20, pad=0) == [(30, 65)]


@given(
    frames=st.integers(1, 2000),
    marks=st.lists(st.integers(0, 2000), max_size=24),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
    least=st.integers(1, 120),
    more=st.integers(0, 400),
    pause=st.integers(0, 60),
    pad=st.integers(0, 40),
)
def test_spans_are_in_order_apart_within_shots_and_of_the_right_length(
    frames: int, marks: list[int], cuts: list[int], least: int, more: int, pause: int, pad: int
) -> None:
    marks = sorted({m for m in marks if m <= frames})
    turns = list(zip(marks[::2], marks[1::2], strict=False))
    most = 2 * least - 1 + more
    found = plan_spans(frames, turns, cuts, min_frames=least, max_frames=most, max_pause=pause, pad=pad)
    assert found
    assert all(0 <= a < b <= frames for a, b in found)
    assert all(b - a <= most for a, b in found) or frames <= least
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    if frames > least:
        assert not any(a < cut < b for a, b in found for cut in cuts)
        assert len(found) == 1 or all(b - a >= least for a, b in found)
        edges = [0, *sorted({c for c in cuts if 0 < c < frames}), frames]
        kept = [(a, b) for a, b in pairwise(edges) if b - a >= least]
        covered = {f for a, b in found for f in range(a, b)}
        assert all(f in covered for s, e in turns for a, b in kept for f in range(max(s, a), min(e, b)))


# ── segment ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_lengths_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least twice min_ms"):
        Segment(min_ms=2000, max_ms=3000)


def test_spans_of_the_csv_are_taken_as_given_on_frame_boundaries(tmp_path: Path) -> None:
    grid = Grid(Fraction(30000, 1001), False, Fraction(0), 60, 64, 48)
    source = source_of(paint(tmp_path / "a.mp4", grid, lambda k: 100), [[0, 500], [510, 2002]])
    clips = cut_source_into_clips(source, Segment(), tmp_path / "store", SECRET)
    assert [(c.start_ms, c.end_ms, c.num_frames) for c in clips] == [(0, 501, 15), (501, 2002, 45)]
    assert [c.id for c in clips] == [f"{source.id}-0-501", f"{source.id}-501-2002"]
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(50)])
def test_a_cut_is_found_at_its_frame_and_the_clips_meet_there(fps: Fraction, tmp_path: Path) -> None:
    grid = Grid(fps, False, Fraction(0), 160, 64, 48)
    source = source_of(paint(tmp_path / "a.mp4", grid, lambda k: 40 if k < 77 else 200))
    assert find_shot_cuts(source, 3.0) == [77]
    first, second = cut_source_into_clips(source, Segment(min_ms=1000, max_ms=9000), tmp_path / "store", SECRET)
    assert first.num_frames == second.first_frame == 77
    assert second.num_frames == 83
    assert first.end_ms == second.start_ms == grid.ms_at(77)


def test_a_source_that_starts_late_is_cut_at_the_same_frames(tmp_path: Path) -> None:
    import av

    grid = Grid(Fraction(25), False, Fraction(0), 100, 64, 48)
    plain = paint(tmp_path / "a.mp4", grid, lambda k: 40 if k < 33 else 200)
    late = tmp_path / "late.mkv"
    with av.open(str(plain)) as read, av.open(str(late), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.pts += int(5 / packet.time_base)
                packet.dts += int(5 / packet.time_base)
                packet.stream = stream
                write.mux(packet)
    source = source_of(late)
    assert source.grid.zero == 5
    assert find_shot_cuts(source, 3.0) == [33]


def test_what_was_found_is_kept_and_another_parameter_looks_again(tmp_path: Path) -> None:
    grid = Grid(Fraction(25), False, Fraction(0), 100, 64, 48)
    source = source_of(paint(tmp_path / "a.mp4", grid, lambda k: 100))
    how = Segment(min_ms=500, max_ms=2000)
    first = cut_source_into_clips(source, how, tmp_path / "store", SECRET)
    [entry] = tmp_path.glob("store/Segment/*/spans.json")
    written = entry.stat().st_mtime_ns
    assert cut_source_into_clips(source, how, tmp_path / "store", SECRET) == first
    assert entry.stat().st_mtime_ns == written
    assert [(c.start_ms, c.end_ms) for c in first] == [(0, 2000), (2000, 4000)]
    assert len(cut_source_into_clips(source, Segment(min_ms=500, max_ms=1000), tmp_path / "store", SECRET)) == 4


def test_a_talking_man_is_cut_where_the_picture_is_and_not_where_he_breathes(media: Path, weights: Path, tmp_path: Path) -> None:
    source = source_of(media / "video" / "talker_hands_speech_wim.mp4")
    assert find_shot_cuts(source, 3.0) == [348, 509]
    clips = cut_source_into_clips(source, Segment(), tmp_path, SECRET)
    assert [(c.first_frame, c.first_frame + c.num_frames) for c in clips] == [(7, 348), (348, 509)]
    assert all(c.start_ms == c.grid.ms_at(c.first_frame) for c in clips)


def test_a_shaken_camera_is_no_cut(media: Path) -> None:
    assert find_shot_cuts(source_of(media / "video" / "selfie_rotated90_2people_cc.mp4"), 3.0) == []


def test_a_silent_source_is_cut_by_length_alone(media: Path, tmp_path: Path) -> None:
    source = source_of(media / "video" / "asl_book.mkv")
    assert source.facts["has_sound"] is False
    [clip] = cut_source_into_clips(source, Segment(), tmp_path, SECRET)
    assert (clip.start_ms, clip.end_ms) == (source.start_ms, source.end_ms)
