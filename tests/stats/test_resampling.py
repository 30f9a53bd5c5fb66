"""The bootstrap over people: what is drawn, how wide its intervals are, and when there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deemo_data.audit.attacks import scores
from deemo_data.baseline.checks import statistics
from deemo_data.baseline.scoring.metrics import BootstrapDraws
from deemo_data.stats.resampling import (
    MIN_SUBJECTS,
    MIN_UNITS,
    Resampling,
    bootstrap_interval,
    draw_counts,
    weighted_quantiles,
)

VALUES = np.random.default_rng(0).normal(size=2000)


def test_as_many_are_drawn_as_there_are() -> None:
    counts = draw_counts(7, 100, np.random.default_rng(1))
    assert counts.shape == (100, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert len(np.unique(counts, axis=0)) > 90


def test_parts_of_the_rounds_are_the_same_draws() -> None:
    random = np.random.default_rng(1)
    parts = np.concatenate([draw_counts(7, rounds, random) for rounds in (1, 59, 40)])
    assert (parts == draw_counts(7, 100, np.random.default_rng(1))).all()


@pytest.mark.parametrize("people", [MIN_SUBJECTS - 1, MIN_SUBJECTS])
def test_all_clips_of_a_subject_are_drawn_together_when_there_are_enough_subjects(people: int) -> None:
    drawn = Resampling.of([f"s{n % people}" for n in range(4 * people)], 50, 0)
    by_clip = drawn.weights.reshape(51, 4, people)
    assert (drawn.weights[0] == 1).all()
    assert (by_clip == by_clip[:, :1]).all() == (drawn.by == "subjects") == (people >= MIN_SUBJECTS)
    assert drawn.count_units(np.ones(4 * people, bool)) == (people if drawn.by == "subjects" else 4 * people)


def test_fewer_people_make_wider_intervals() -> None:
    widths = [high - low for low, high in filter(None, (bootstrap_interval(VALUES, n) for n in (5, 10, 30, 1000)))]
    assert widths == sorted(widths, reverse=True)
    low, high = bootstrap_interval(VALUES, 10**6) or (0, 0)
    assert (low, high) == pytest.approx(np.quantile(VALUES, (0.025, 0.975)), abs=1e-3)


def test_what_is_refused() -> None:
    assert bootstrap_interval(VALUES, MIN_UNITS - 1) is None
    assert bootstrap_interval(VALUES, MIN_UNITS - 1, min_units=2) is not None
    some = VALUES.copy()
    some[:200] = math.nan
    assert bootstrap_interval(some, 20) is not None
    some[:201] = math.nan
    assert bootstrap_interval(some, 20) is None
    assert bootstrap_interval(some, 20, max_missing=1) is not None
    assert bootstrap_interval(np.full(10, math.nan), 20, max_missing=1) is None
    assert bootstrap_interval(np.zeros(0), 20) is None


def test_the_reports_draw_alike_and_give_one_interval() -> None:
    """A share of clips that are right, of 12 people, as the audit, the evaluation and the checks of a dataset compute it."""
    random = np.random.default_rng(3)
    people = [f"s{n % 12:02}" for n in range(60)]
    right = random.random(60) < 0.6
    drawn = Resampling.of(people, 1000, 0)
    agreement = bootstrap_interval((drawn.total(right * 1.0) / drawn.total(np.ones(60)))[1:], 12)
    check = statistics.recall_interval(right, np.zeros(60, int), people)
    assert check == pytest.approx(agreement, abs=1e-9)
    draws = BootstrapDraws.of(people, 1, 1000, 0)
    assert (draws.subjects[1:] == draw_counts(12, 1000, np.random.default_rng(0))).all()
    assert scores.mean_interval(right, people) == pytest.approx(agreement, abs=0.02), "of other rounds, 2000 of them"


def test_weighted_quantiles() -> None:
    values, counts = np.array([1, 2, 9]), np.array([[1, 1, 0], [0, 0, 3], [1, 2, 7], [0, 0, 0]])
    found = weighted_quantiles(values, counts, (0.5, 0.9))
    assert found[:3].tolist() == [[1, 2], [9, 9], [9, 9]]
    assert np.isnan(found[3]).all()
    assert weighted_quantiles(values[:0], counts[:, :0], (0.5,)).shape == (4, 1)
