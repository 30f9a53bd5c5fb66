"""Bones that are no wider than a hand, looks that agree or do not, and a drawing that knows nothing of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.tracks import hand_drawing, hands
from deemo_data.tracks.hands import DetectedHand as Seen
from deemo_data.tracks.hands import Hand

H, W = 240, 320
# an open left hand from the front, in metres from its wrist: thumb, index, middle, ring, little finger
OPEN = np.array(
    [(0, 0), (0.03, -0.02), (0.05, -0.04), (0.065, -0.055), (0.08, -0.065), (0.025, -0.09), (0.03, -0.125), (0.032, -0.145),
     (0.034, -0.165), (0.003, -0.09), (0.004, -0.135), (0.004, -0.16), (0.004, -0.18), (-0.017, -0.085), (-0.02, -0.125),
     (-0.022, -0.148), (-0.023, -0.165), (-0.035, -0.075), (-0.045, -0.105), (-0.05, -0.122), (-0.055, -0.138)], np.float32
)  # fmt: skip


def hand(x: float = 160, y: float = 200, scale: float = 800, turn: float = 0) -> Hand:
    """A hand whose wrist lies at (x, y); `scale` in pixels a metre, `turn` in radians."""
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    return Hand(np.asarray(OPEN @ spin.T * scale + [x, y], np.float32), np.zeros(21, np.float32), scale)


@given(st.floats(50, 3000), st.floats(0, 6.3), st.floats(-500, 500))
def test_scale_is_pixels_a_metre_however_it_is_turned(scale: float, turn: float, x: float) -> None:
    made = hand(x=x, scale=scale, turn=turn)
    world = np.concatenate([(made.points - made.points[0]) / np.float32(scale), np.zeros((21, 1), np.float32)], axis=1)
    assert hands.measure_pixels_per_metre(made.points, world) == pytest.approx(scale, rel=1e-3)


def test_apart_is_in_millimetres() -> None:
    assert hands.measure_distance_mm(hand(), hand(x=168)) == pytest.approx(10, rel=1e-4)
    assert hands.measure_distance_mm(hand(), hand()) == 0


def test_looks_come_back_as_they_were_written(tmp_path: Path) -> None:
    points = np.concatenate([hand().points / [W, H], np.zeros((21, 1))], axis=1).astype(np.float32)
    world = np.concatenate([OPEN, np.full((21, 1), 0.01)], axis=1).astype(np.float32)
    seen = Seen(points, world, "left", 0.9)
    hands.write_hands([(3, 0, [seen]), (3, 1, [seen, seen]), (4, 0, [])], tmp_path / "looks.parquet")
    first, second = hands.read_hands(tmp_path / "looks.parquet", W, H)
    assert {f: len(h) for f, h in first.items()} == {3: 1}
    assert {f: len(h) for f, h in second.items()} == {3: 2}
    np.testing.assert_allclose(first[3][0].points, hand().points, atol=1e-3)
    assert first[3][0].scale == pytest.approx(800, rel=1e-3)
    hands.write_hands([], tmp_path / "none.parquet")
    assert hands.read_hands(tmp_path / "none.parquet", W, H) == ({}, {})


@pytest.mark.parametrize(("gap", "whole"), [(4, True), (5, False)])
def test_a_gap_of_four_frames_is_filled_and_no_longer_one(gap: int, whole: bool) -> None:
    after = [3 + gap + n for n in range(3)]
    found = hands.follow_hands({f: [hand(x=100 + 4 * f)] for f in (0, 1, 2, *after)})
    assert sorted(found) == (list(range(after[-1] + 1)) if whole else [0, 1, 2, *after])
    if whole:
        assert [f for f, (h,) in found.items() if h.filled] == list(range(3, 3 + gap))
        assert found[4][0].points[0, 0] == pytest.approx(116, abs=0.1)


def test_two_hands_keep_apart_and_a_leap_is_another_hand() -> None:
    found = hands.follow_hands({f: [hand(x=60 + f), hand(x=250 - f)][:: 1 if f % 2 else -1] for f in range(6)})
    assert all(h.motion < 2 for both in found.values() for h in both)
    leapt = hands.follow_hands({f: [hand(x=20 if f < 3 else 300)] for f in range(6)})
    assert max(h.motion for both in leapt.values() for h in both) == 0


def test_what_is_seen_for_a_moment_is_no_hand() -> None:
    assert hands.follow_hands({5: [hand()], 6: [hand()]}) == {}
    assert sorted(hands.follow_hands({5: [hand()], 6: [hand()], 8: [hand()]})) == [5, 6, 7, 8]


def test_slow_points_are_smoothed_and_fast_ones_are_not() -> None:
    shaking = hands.follow_hands({f: [hand(x=100 + 4 * (f % 2))] for f in range(5)})
    assert shaking[2][0].points[0, 0] == pytest.approx(102)
    assert shaking[2][0].motion == pytest.approx(5)
    fast = hands.follow_hands({f: [hand(x=100 + 40 * (f % 2))] for f in range(5)})
    assert fast[2][0].points[0, 0] == pytest.approx(100)


def test_looks_agree_or_they_do_not() -> None:
    ((a, b),) = hands.pair_hands([hand()], [hand(x=168)], 15)
    assert b is not None
    ((a, b),) = hands.pair_hands([hand()], [hand(x=176)], 15)
    assert (a.points[0, 0], b) == (160, None)
    assert [b for _, b in hands.pair_hands([hand(x=20)], [hand(x=300)], 15)] == [None, None], "each has a hand of its own"
    assert hands.pair_hands([], [hand()], 15)[0][1] is None


def test_the_bones_are_thinner_than_the_drawing_and_leave_the_gaps_between_fingers() -> None:
    bare, (_, there) = hand_drawing.mask_bones(hand(), H, W), hand_drawing.draw_hand(hand(), H, W)
    assert bare.any()
    assert not (bare & ~there).any()
    assert bare.sum() < 0.8 * there.sum()
    index, middle = hand().points[8], hand().points[12]
    x, y = (index * 0.4 + middle * 0.6).astype(int)
    assert not bare[y, x], "what lies between spread fingers is no hand"


def test_the_nearer_finger_is_drawn_over_the_farther_one() -> None:
    crossed = hand().points.copy()
    crossed[6:9], crossed[10:13] = [(100, 40), (160, 40), (220, 40)], [(160, 80), (160, 40), (160, 10)]
    depth = np.zeros(21, np.float32)
    depth[9:13] = -0.05
    luma, _ = hand_drawing.draw_hand(Hand(crossed, depth, 800), H, W)
    assert hand_drawing.OUTLINE_LUMA in luma[40, 140:158], "the edge of the middle finger runs across the index finger"
    depth[9:13] = 0.05
    below, _ = hand_drawing.draw_hand(Hand(crossed, depth, 800), H, W)
    assert hand_drawing.OUTLINE_LUMA not in below[40, 140:158]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(1, 5000))
def test_a_hand_may_lie_anywhere(x: float, y: float, scale: float) -> None:
    made = hand(x=x, y=y, scale=scale)
    assert hand_drawing.mask_bones(made, 32, 48).shape == hand_drawing.draw_hand(made, 32, 48)[1].shape == (32, 48)
