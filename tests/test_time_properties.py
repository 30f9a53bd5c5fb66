"""Time at every common rate, over up to a day: frames, milliseconds and samples there and back, without drift."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.annotation.results import Reading, ShownVideo, read_task
from deemo_data.clip import Clip, Grid, find_frame_rate, frame_to_ms, round_half_up
from deemo_data.labels.label import Label
from deemo_data.labels.placing import find_stale_labels, matches_clip, place_events
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from deemo_data.media.limits import MAX_FRAMES
from deemo_data.media.sound import SAMPLE_RATE_HZ, frames_to_samples
from deemo_data.stages.detect.segment import plan_spans
from tests.makers.results import SECRET

RATES = {
    "23.976": Fraction(24000, 1001), "24": Fraction(24), "25": Fraction(25), "29.97": Fraction(30000, 1001), "30": Fraction(30),
    "48": Fraction(48), "50": Fraction(50), "59.94": Fraction(60000, 1001), "60": Fraction(60), "100": Fraction(100),
    "119.88": Fraction(120000, 1001), "120": Fraction(120), "12.5": Fraction(25, 2), "15": Fraction(15), "1": Fraction(1),
    "240": Fraction(240),
}  # fmt: skip
DAY = 24 * 3600
rates = st.sampled_from(list(RATES.values()))
zeros = st.fractions(-10, 100_000, max_denominator=90_000)  # of containers' clocks: 90 kHz, and late starts
VOCABULARY, EMOTIONS = load_nfbl("nfbl"), load_emotions("emotions")
NAME = VOCABULARY.labels[0]


def source(fps: Fraction, frames: int, zero: Fraction = Fraction(0), vfr: bool = False) -> Clip:
    grid = Grid(fps, vfr, zero, frames, 64, 48)
    return Clip("0123456789ab", "0123456789ab", 0, grid.ms_at(frames), {}, {"grid": grid.to_fact()})


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Clip, Clip]:
    """A source of up to a day, and a clip of it that begins and ends anywhere, in milliseconds, and has a frame."""
    fps = draw(rates)
    whole = source(fps, draw(st.integers(2, int(DAY * fps))), draw(zeros), draw(st.booleans()))
    start = draw(st.integers(0, whole.end_ms - 1))
    clip = Clip.of_span(whole, start, draw(st.integers(start + 1, whole.end_ms + 50)))
    return whole, clip


# ── milliseconds and frames ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fps", RATES.values(), ids=list(RATES))
def test_no_frame_of_a_day_is_off(fps: Fraction) -> None:
    """Each frame boundary of the first and last seconds, and some between: there and back, never a whole ms off."""
    grid, last = source(fps, int(DAY * fps)).grid, int(DAY * fps)
    some = int(6 * fps) + 1
    wanted = {*range(some), *range(last - some, last + 1), *range(0, last, last // 200)}
    for frame in wanted:
        ms = grid.ms_at(frame)
        assert grid.frame_at(ms) == frame
        assert abs(ms - Fraction(frame) * 1000 / fps) <= Fraction(1, 2)
    assert all(grid.ms_at(f + 1) > grid.ms_at(f) for f in wanted), "no two frames at one time"


@pytest.mark.parametrize(
    ("fps", "frames"), [("29.97", 2_589_411), ("23.976", 2_071_528), ("59.94", 5_178_821), ("25", 2_160_000)]
)
def test_a_day_holds_that_many_frames(fps: str, frames: int) -> None:
    assert source(RATES[fps], 1).grid.frame_at(DAY * 1000) == frames


@settings(max_examples=50)
@given(cuts())
def test_frames_of_a_clip_lie_in_its_source(both: tuple[Clip, Clip]) -> None:
    whole, clip = both
    first, frames = clip.first_frame, clip.num_frames
    assert 0 <= first <= first + frames <= whole.num_frames or frames <= 0
    assert abs(clip.grid.ms_at(first) - clip.start_ms) <= 500 / clip.grid.fps + 1
    snapped = Clip.of_span(whole, clip.grid.ms_at(first), clip.grid.ms_at(first + max(frames, 0)))
    assert (snapped.first_frame, snapped.num_frames) == (first, max(frames, 0)), "a clip cut anew at its own frames is the same"


@settings(max_examples=50)
@given(rates, st.integers(1, DAY * 60), st.data())
def test_clips_in_a_row_share_no_frame_and_lose_none(fps: Fraction, frames: int, data: st.DataObject) -> None:
    whole = source(fps, frames)
    edges = sorted({0, whole.end_ms, *data.draw(st.lists(st.integers(0, whole.end_ms), max_size=8))})
    clips = [Clip.of_span(whole, a, b) for a, b in pairwise(edges)]
    assert sum(c.num_frames for c in clips) == frames
    assert all(a.first_frame + a.num_frames == b.first_frame for a, b in pairwise(clips))


@settings(max_examples=50)
@given(rates, st.integers(0, MAX_FRAMES - 1))
def test_a_row_of_the_dataset_says_the_same_time(fps: Fraction, frame: int) -> None:
    assert frame_to_ms(frame, fps) == source(fps, 1).grid.ms_at(frame)


# ── samples and frames ───────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=50)
@given(rates, st.integers(0, MAX_FRAMES), st.integers(0, MAX_FRAMES))
def test_sound_is_as_long_as_its_pictures(fps: Fraction, a: int, b: int) -> None:
    assert abs(frames_to_samples(a, fps) - Fraction(a) * SAMPLE_RATE_HZ / fps) <= Fraction(1, 2)
    assert abs(frames_to_samples(a, fps) + frames_to_samples(b, fps) - frames_to_samples(a + b, fps)) <= 1, (
        "cutting moves nothing"
    )
    assert round_half_up(Fraction(frames_to_samples(a, fps)) * fps / SAMPLE_RATE_HZ) == a
    assert a == b or (frames_to_samples(a, fps) < frames_to_samples(b, fps)) == (a < b)


# ── the rate that a file is given ────────────────────────────────────────────────────────────────────────────


@settings(max_examples=50)
@given(rates, zeros, st.sampled_from([1000, 90_000, 48_000, 10**6]), st.integers(2, 400))
def test_a_rate_is_known_whatever_the_clock_ticks(fps: Fraction, zero: Fraction, ticks: int, frames: int) -> None:
    """Matroska's milliseconds and MPEG's 90 kHz round each time stamp; the rate is found where the mean can tell it."""
    times = [Fraction(round_half_up((zero + k / fps) * ticks), ticks) for k in range(frames)]
    found, vfr = find_frame_rate(times)
    if (frames - 1) / fps > Fraction(2000, ticks) and fps != 1:  # two half ticks are less than a thousandth of it
        assert (found, vfr) == (fps, False)
    assert found > 0


@settings(max_examples=50)
@given(rates, zeros, st.integers(10, 300), st.data())
def test_a_lost_frame_moves_no_other(fps: Fraction, zero: Fraction, frames: int, data: st.DataObject) -> None:
    """Without some frames it is another rate or a grid of 30: never one whose frames lie elsewhere."""
    lost = data.draw(st.sets(st.integers(1, frames - 2), min_size=1, max_size=frames // 3))
    times = [zero + k / fps for k in range(frames) if k not in lost]
    found, vfr = find_frame_rate(times)
    if not vfr:
        assert all(abs((t - times[0]) * found - k) < Fraction(1, 2) for k, t in enumerate(times))
    else:
        assert found == 30


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────


def shown(clip: Clip) -> ShownVideo:
    return ShownVideo(
        clip.id, clip.source, clip.start_ms, clip.end_ms, 0, clip.first_frame, clip.num_frames, clip.grid.fps, "nfbl_timeline"
    )


def said_by(clip: Clip, start: int, end: int) -> list[Label]:
    """The labels that Label Studio's frames `start` to `end` (from 1, the last one too) become."""
    reading = Reading(SECRET, VOCABULARY, EMOTIONS, {})
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [NAME]}
    result = {"id": "r", "from_name": "nfbl", "type": "timelinelabels", "value": value}
    read_task({"id": 1, "data": {}, "annotations": [{"id": 2, "completed_by": 3, "result": [result]}]}, shown(clip), reading)
    return [lb for lb in reading.labels.values() if lb.kind == "nfbl"]


@settings(max_examples=50)
@given(cuts(), st.data())
def test_a_mark_comes_back_at_its_frames(both: tuple[Clip, Clip], data: st.DataObject) -> None:
    whole, clip = both
    if clip.num_frames < 1:
        return
    grid = whole.grid
    clip = Clip.of_span(whole, grid.ms_at(clip.first_frame), grid.ms_at(clip.first_frame + clip.num_frames))
    start = data.draw(st.integers(1, clip.num_frames))
    end = data.draw(st.integers(start, clip.num_frames))
    [label] = said_by(clip, start, end)
    assert clip.start_ms <= label.start_ms < label.end_ms <= clip.end_ms
    [placed] = place_events([label], clip)
    assert (placed.start_frame, placed.end_frame, placed.truncated) == (start - 1, end, False)
    other = Clip.of_span(whole, 0, whole.end_ms)  # the footage cut otherwise: the same pictures
    [again] = place_events([label], other)
    assert (again.start_frame, again.end_frame) == (clip.first_frame + start - 1, clip.first_frame + end)


@settings(max_examples=50)
@given(cuts(), st.data())
def test_cut_anew_an_event_is_with_whoever_holds_half_of_it(both: tuple[Clip, Clip], data: st.DataObject) -> None:
    whole, _ = both
    start = data.draw(st.integers(0, whole.end_ms - 1))
    label = Label("c", whole.source, start, data.draw(st.integers(start + 1, whole.end_ms)), "nfbl", {"label": NAME}, "a-1")
    edges = sorted({0, whole.end_ms, *data.draw(st.lists(st.integers(0, whole.end_ms), max_size=5))})
    clips = [c for a, b in pairwise(edges) if (c := Clip.of_span(whole, a, b)).num_frames > 0]
    for clip in clips:
        both_ms = min(label.end_ms, clip.end_ms) - max(label.start_ms, clip.start_ms)
        placed = place_events([label], clip)
        assert len(placed) == (2 * both_ms >= label.end_ms - label.start_ms and both_ms > 0)
        for p in placed:
            assert 0 <= p.start_frame < p.end_frame <= clip.num_frames
            assert p.truncated == (label.start_ms < clip.start_ms or label.end_ms > clip.end_ms)
    held = [clip for clip in clips if place_events([label], clip)]
    assert len(held) <= 2, "two at most, with a half each"
    assert bool(find_stale_labels([label], clips)) == (not held)


def test_an_event_of_which_two_clips_hold_a_half_each_goes_to_both() -> None:
    whole = source(Fraction(25), 100)
    label = Label("c", whole.source, 500, 1500, "nfbl", {"label": NAME}, "a-1")
    found = [place_events([label], Clip.of_span(whole, a, b)) for a, b in ((0, 1000), (1000, 4000))]
    assert [(p.start_frame, p.end_frame, p.truncated) for (p,) in found] == [(13, 25, True), (0, 13, True)]


@settings(max_examples=50)
@given(cuts(), st.integers(-3000, 3000), st.integers(-3000, 3000))
def test_what_is_said_of_a_clip_holds_for_one_nearly_the_same(both: tuple[Clip, Clip], a: int, b: int) -> None:
    _, clip = both
    label = Label("c", clip.source, clip.start_ms, clip.end_ms, "emotion", "happy", "a-1")
    other = replace(clip, start_ms=clip.start_ms + a, end_ms=clip.end_ms + b)
    length, low, high = clip.end_ms - clip.start_ms, max(a, 0), min(b, 0)
    inside, around = length - low + high, length - min(a, 0) + max(b, 0)
    if other.end_ms > other.start_ms:
        assert matches_clip(label, other) == (inside > 0 and 10 * inside >= 9 * around)


# ── spans ────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=50)
@given(rates, st.integers(1, 6 * 3600), st.lists(st.tuples(st.integers(0, 6 * 3600), st.integers(1, 60)), max_size=6))
def test_spans_found_in_a_long_source_are_clips_as_long_as_asked(
    fps: Fraction, seconds: int, turns: list[tuple[int, int]]
) -> None:
    whole = source(fps, max(1, int(seconds * fps)))
    grid, least = whole.grid, -int(-5000 * fps // 1000)
    most = max(2 * least - 1, int(20_000 * fps // 1000))
    spoken = [(grid.frame_at(a * 1000), grid.frame_at((a + n) * 1000)) for a, n in turns if (a + n) < seconds]
    found = plan_spans(
        grid.frames, spoken, [], min_frames=least, max_frames=most, max_pause=grid.frame_at(700), pad=grid.frame_at(200)
    )
    clips = [Clip.of_span(whole, grid.ms_at(a), grid.ms_at(b)) for a, b in found]
    assert [(c.first_frame, c.num_frames) for c in clips] == [(a, b - a) for a, b in found], "no frame lost to milliseconds"
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(clips))
    if grid.frames > least:
        assert all(5000 - 500 / fps <= c.end_ms - c.start_ms for c in clips)
        assert all(c.num_frames <= most for c in clips)
