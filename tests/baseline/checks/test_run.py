"""All checks together: small data is not given an all-clear, and the result is JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from deemo_data.baseline.checks import learning, run, shortcuts
from deemo_data.baseline.checks.statistics import (
    TARGET_EFFECT,
)
from tests.makers.check_material import make_material, put_on_disk


def test_few_people_give_no_verdict_and_the_reason(tmp_path: Path) -> None:
    for check in run.run_checks(put_on_disk(make_material(subjects=4, each=3, splits=False), tmp_path)):
        assert check.verdict == "inconclusive", check.name
        assert any(c.isdigit() for c in check.sentences[0]) or "one split" in check.sentences[0]
    few = learning.check_learnable(make_material(subjects=4, each=20))
    assert "4 subjects" in few.sentences[0]


def test_one_emotion_gives_no_verdict() -> None:
    whole = make_material()
    same = replace(whole, examples=tuple(replace(e, emotion="sad") for e in whole.examples))
    for check in (learning.check_learnable, learning.check_modalities, shortcuts.check_shortcuts, learning.check_learning_curve):
        found = check(same)
        assert found.verdict == "inconclusive"
        assert "sad" in found.sentences[0]


def test_little_data_is_no_all_clear(tmp_path: Path) -> None:
    """And what comes out can be written as JSON."""
    small = put_on_disk(make_material(subjects=6, each=4), tmp_path)
    found = {c.name: c for c in run.run_checks(small)}
    assert found["shortcuts"].verdict == found["identity"].verdict == "inconclusive"
    assert max(f.smallest for f in found["shortcuts"].findings) > TARGET_EFFECT
    assert found["duplicates"].verdict == "inconclusive", "no picture could be compared"
    written = [c.to_json() for c in found.values()]
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert list(found) == list(run.CHECKS)
