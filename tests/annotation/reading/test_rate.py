"""The rate at which a page counted frames comes from what its results say; contradictions are refused in one line."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.annotation.reading.rate import CountedFrames, settle_rate
from deemo_data.annotation.reading.shown import ShownVideo
from deemo_data.clip import round_half_up
from deemo_data.errors import LabelError

NTSC = Fraction(30000, 1001)


def shown(seconds: Fraction | float, fps: Fraction | int, **more: Any) -> ShownVideo:
    end = round(seconds * 1000)
    return ShownVideo("v-1", "v-1", 0, end, 0, 0, round_half_up(Fraction(seconds) * fps), Fraction(fps), **more)


def annotation(*counted: tuple[int, float], **value: Any) -> dict[str, Any]:
    """An annotation whose regions say how many frames were counted in how many seconds."""
    said = [{"framesCount": frames, "duration": seconds} for frames, seconds in counted] or [{}]
    ranges = {"ranges": [{"start": 1, "end": 2}], "timelinelabels": ["x"]}
    return {"result": [{"from_name": "t", "type": "timelinelabels", "value": ranges | s | value} for s in said]}


@pytest.mark.parametrize(
    ("seconds", "fps", "counted", "rate"),
    [
        (12, 25, (288, 12.0), 24), (12.012, NTSC, (289, 12.012), 24), (3, 30, (72, 3), 24), (20, 50, (480, 20.02), 24),
        (12, 25, (300, 12.0), 25), (12.012, NTSC, (360, 12.012), NTSC), (3, 30, (90, 3), 30), (7.5, 60, (188, 7.5), 25),
        (10, Fraction(24000, 1001), (240, 10.01), Fraction(24000, 1001)), (300, NTSC, (7200, 300), 24), (9, 30, (63, 9), 7),
    ],
)  # fmt: skip
def test_the_file_says_the_rate(seconds: float, fps: Fraction, counted: tuple[int, float], rate: Fraction) -> None:
    said = annotation(counted)
    assert settle_rate({"annotations": [said]}, said, shown(seconds, fps)).fps == rate


@given(
    st.sampled_from([24, 25, NTSC, 30, 50, 60]),
    st.sampled_from([24, 25, NTSC, 30, 50]),
    st.integers(3_000, 600_000),
    st.booleans(),
)
def test_every_page_is_told_from_the_footage(fps: Fraction, page: Fraction, ms: int, up: bool) -> None:
    """A page counts frames up to the whole or to the nearest; its rate comes out, or one that differs by less than a frame."""
    seconds = Fraction(ms, 1000)
    frames = -(-seconds * page // 1) if up else round_half_up(seconds * page)
    said = annotation((int(frames), float(seconds)))
    found = settle_rate({}, said, shown(seconds, Fraction(fps))).fps
    assert abs(found - page) * seconds <= 3 + seconds * page / 1000


def test_a_frame_of_another_rate_lies_at_its_own_time() -> None:
    said = annotation((288, 12.0))
    video = settle_rate({}, said, shown(12, 25))
    assert (video.ms_at(240), video.num_frames) == (10_000, 288), "at 25 it would be 9600"


def test_key_frames_tell_where_nothing_else_does() -> None:
    keys = {"sequence": [{"frame": 1, "time": 0.0417}, {"frame": 240, "time": 10.0}]}
    boxes = annotation() | {"result": [{"from_name": "b", "type": "videorectangle", "value": keys}]}
    assert settle_rate({}, boxes, shown(12, 25)).fps == 24
    both = annotation((300, 12.0)) | {"result": [*annotation((300, 12.0))["result"], *boxes["result"]]}
    assert settle_rate({}, both, shown(12, 25)).fps == 25, "the whole video goes before a key frame"


def test_another_annotation_of_the_task_may_say_it() -> None:
    silent, said = annotation(), annotation((288, 12.0))
    assert settle_rate({"annotations": [silent, said]}, silent, shown(12, 25)).fps == 24
    assert settle_rate({"annotations": [silent]}, silent, shown(12, 25)).fps == 25


@pytest.mark.parametrize(
    ("said", "video", "told", "advice"),
    [
        (annotation((288, 12.0)), shown(20, 25), "counts 288 frames in 12 s, and its footage lasts 20 s", "source"),
        (annotation((288, 12.0)), shown(11, 25), "its footage lasts 11 s", "start_ms"),
        (annotation((288, 12.0)), shown(12, 25, fps_stated=True), "and the match table says 25 a second", "column fps"),
        (annotation((288, 12.0), (360, 12.0)), shown(12, 25), "and elsewhere 288 frames", "column fps"),
    ],
)
def test_what_does_not_fit_is_asked(said: dict[str, Any], video: ShownVideo, told: str, advice: str) -> None:
    with pytest.raises(LabelError) as e:
        settle_rate({}, said, video)
    assert told in e.value.what
    assert advice in e.value.advice


@pytest.mark.parametrize(
    "odd", [(0, 3.0), (72, 0), (72, -3.0), ("72", 3), (True, 3), (72.5, 3), (72, float("nan")), (None, None)]
)
def test_what_is_no_count_says_nothing(odd: Any) -> None:
    video = shown(3, 30)
    assert settle_rate({}, annotation(odd), video) is video


def test_a_page_rounds_to_a_frame() -> None:
    assert CountedFrames(72, Fraction(3), True).fits(Fraction(24))
    assert CountedFrames(73, Fraction("3.004"), True).fits(Fraction(24))
    assert not CountedFrames(75, Fraction(3), True).fits(Fraction(24))
