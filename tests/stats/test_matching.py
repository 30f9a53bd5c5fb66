"""Overlap of events in time, exact at its border, also where many pairs are compared at once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip
from deemo_data.labels.consensus import MIN_IOU, group_events
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.stats.figures import IOU_THRESHOLDS
from deemo_data.stats.matching import match_events, temporal_iou, temporal_ious
from tests.makers.labels import clip_at, event

SPANS = st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)).map(lambda s: (s[0], s[0] + s[1]))


def test_iou_of_two_events() -> None:
    assert temporal_iou((0, 10), (0, 10)) == 1
    assert temporal_iou((0, 10), (5, 15)) == Fraction(1, 3)
    assert temporal_iou((0, 10), (10, 20)) == temporal_iou((0, 10), (30, 40)) == 0
    assert temporal_iou((0, 10), (2, 4)) == Fraction(1, 5)


@given(a=SPANS, b=SPANS)
def test_many_pairs_give_what_one_gives(a: tuple[int, int], b: tuple[int, int]) -> None:
    exact, many = temporal_iou(a, b), temporal_ious(np.array([a]), np.array([b]))
    assert exact == temporal_iou(b, a)
    assert many.shape == (1, 1)
    assert many[0, 0] == float(exact)


@pytest.mark.parametrize("threshold", [*IOU_THRESHOLDS, 0.9])
@given(scale=st.integers(1, 10**8), more=st.sampled_from([-1, 0, 1]))
def test_a_threshold_decides_exactly_at_its_border(threshold: float, scale: int, more: int) -> None:
    """An event of 10 n + m frames, of which another covers exactly a share, or one frame less or more."""
    share = Fraction(str(threshold))
    whole, part = 10 * scale, int(share * 10 * scale) + more
    exact = temporal_iou((0, whole), (0, part))
    assert (exact >= share) == (more >= 0)
    assert (temporal_ious(np.array([[0, whole]]), np.array([[0, part]]))[0, 0] >= threshold) == (more >= 0)


@pytest.mark.parametrize(("end", "heaps"), [(10, 1), (9, 2), (20, 1), (40, 1), (41, 2)])
def test_an_iou_of_exactly_a_half_makes_one_event(end: int, heaps: int) -> None:
    clip: Clip = clip_at(0, 100)
    grid, nfbl = clip.grid, load_nfbl("nfbl")
    labels = [event(grid.ms_at(0), grid.ms_at(20), who="a"), event(grid.ms_at(0), grid.ms_at(end), who="b")]
    assert Fraction(1, 2) == MIN_IOU
    assert len(group_events(clip, labels, nfbl)) == heaps


def test_as_many_pairs_as_possible_and_of_those_the_closest() -> None:
    one, other = np.array([[0, 10], [10, 20]]), np.array([[0, 20], [1, 9]])
    ious = temporal_ious(one, other)
    rows, columns = match_events(ious, np.ones(ious.shape, bool), 0.5)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])
    rows, columns = match_events(ious, np.ones(ious.shape, bool), 0.8)
    assert (rows.tolist(), columns.tolist()) == ([0], [1])
    rows, columns = match_events(ious, np.zeros(ious.shape, bool), 0.5)
    assert len(rows) == len(columns) == 0
