"""What is measured on a released clip, on tracks made up so that the right answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deemo_data.preannotation import measures
from tests.makers.measures import NFBL, event, looked, made_up

RULED = next(c for c in NFBL.classes if c.rule)


def test_rate_and_pauses(tmp_path: Path) -> None:
    voice = np.ones(1000, bool)
    voice[200:400] = False  # 2 s of silence: a pause
    voice[500:510] = False  # 0.1 s: a consonant
    got = measures.measure_voice(made_up(tmp_path, "a", voice=voice, rate=4))
    assert got["pauses"] == pytest.approx(0.2, abs=0.01)
    assert got["rate"] == pytest.approx(4, abs=0.2), "pauses do not make speech slow"
    assert measures.measure_voice(made_up(tmp_path, "b", voice=np.arange(1000) < 90)) == {}, "less than a second of voice"


def test_pitch_and_loudness(tmp_path: Path) -> None:
    got = measures.measure_voice(made_up(tmp_path, "a", tones=np.linspace(-5, 5, 1000), energy=-31))
    assert got["pitch"] == pytest.approx(5, abs=0.1)  # from the lower to the upper quartile
    assert got["loudness"] == pytest.approx(-31)


@pytest.mark.parametrize("unit", ["shoulders", "picture"])
def test_movement_is_in_shoulder_widths_whatever_the_unit(tmp_path: Path, unit: str) -> None:
    """A wrist that swings by sin: its mean speed is 4 × swing × hz; one point of six moves."""
    got = measures.measure_clip(made_up(tmp_path, "a", swing=0.5, hz=0.5, unit=unit), [], NFBL).values["movement"]
    assert got == pytest.approx(4 * 0.5 * 0.5 / 6, rel=0.05)
    still = measures.measure_clip(made_up(tmp_path, "b", unit=unit), [], NFBL).values["movement"]
    assert still < 0.02


def test_who_is_not_seen_does_not_move(tmp_path: Path) -> None:
    assert measures.measure_body_speed(made_up(tmp_path, "a", swing=1, seen=False)) is None
    assert "movement" not in measures.measure_clip(made_up(tmp_path, "b", swing=1, seen=False), [], NFBL).values


def test_events_by_people_or_else_by_rules(tmp_path: Path) -> None:
    proposal = {"rule": RULED.rule, "start_frame": 0, "end_frame": 30, "score": 0.9, "why": ""}
    clip = made_up(tmp_path, "a", proposals=[proposal])
    by_rules = measures.measure_clip(clip, [], NFBL)
    people = [looked(clip), event(clip, 0, 1000), event(clip, 2000, 3000), event(clip, 4000, 5000, "Illustrative hand gestures")]
    by_people = measures.measure_clip(clip, people, NFBL)
    counted = 0 if RULED.group == measures.ILLUSTRATIVE_GROUP else 1
    assert (by_rules.basis, by_rules.values["body_language"]) == ("proposals", counted)
    assert (by_people.basis, by_people.values["body_language"]) == ("people", 2), "illustrative gestures are no sign"
    none = measures.measure_clip(made_up(tmp_path, "b"), [], NFBL)
    assert (none.basis, "body_language" in none.values) == ("", False)
    nothing = measures.measure_clip(made_up(tmp_path, "c", proposals=[]), [], NFBL)
    assert (nothing.basis, nothing.values["body_language"]) == ("proposals", 0), "the rules looked and found nothing"


def test_what_is_usual_is_a_persons_own_and_else_everybodys() -> None:
    def some(subject: str, *rates: float) -> list[measures.ClipMeasures]:
        return [measures.ClipMeasures(subject, {"rate": r}) for r in rates]

    pools = measures.compute_baselines([*some("s-1", 4, 4.5, 5, 5.5, 6), *some("s-2", 1)], min_clips=5)
    one = measures.find_baseline("rate", measures.ClipMeasures("s-1", {}), pools)
    other = measures.find_baseline("rate", measures.ClipMeasures("s-2", {}), pools)
    assert one
    assert (one.median, one.clips, one.whose) == (5, 5, "this person's")
    assert one.deviation == pytest.approx(1.4826 * 0.5)
    assert other
    assert (other.median, other.clips, other.whose) == (4.75, 6, "everybody's")
    few = measures.compute_baselines(some("s-1", 4, 5), min_clips=3)
    assert measures.find_baseline("rate", measures.ClipMeasures("s-1", {}), few) is None


def test_a_difference_that_nobody_notices_is_none() -> None:
    pools = measures.compute_baselines([measures.ClipMeasures("s", {"rate": 4.0}) for _ in range(6)], min_clips=6)
    assert pools[("rate", "s", "")].deviation == measures.MEASURES["rate"].min_deviation


def test_events_by_rules_are_not_compared_with_events_by_people() -> None:
    people = [measures.ClipMeasures("s", {"body_language": 4.0}, "people") for _ in range(6)]
    pools = measures.compute_baselines([*people, measures.ClipMeasures("s", {"body_language": 0.0}, "proposals")], min_clips=6)
    assert measures.find_baseline("body_language", measures.ClipMeasures("s", {}, "proposals"), pools) is None
    assert measures.find_baseline("body_language", people[0], pools)
