"""Material of checks: a sample consists of whole subjects."""

from __future__ import annotations

from collections import Counter

import numpy as np

from deemo_data.baseline.checks.check import limit_clips
from tests.makers.check_material import make_material


def test_of_many_clips_whole_subjects_are_drawn() -> None:
    whole = make_material(subjects=20, each=10)
    some = limit_clips(whole, 60)
    assert len(some.examples) == 60
    assert set(Counter(some.subjects).values()) == {10}
    kept = [k for k, e in enumerate(whole.examples) if e.subject_id in set(some.subjects)]
    assert np.array_equal(some.features.body, whole.features.body[kept])
    assert limit_clips(whole) is whole
    assert len(limit_clips(make_material(subjects=2, each=100), 60).examples) == 60
