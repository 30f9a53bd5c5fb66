"""Rules count only what is seen: points that the pose guesses, or that lie outside of the picture, propose nothing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.stages.detect.propose import Propose
from deemo_data.stages.gestures.rules import measure_all, measure_signals
from deemo_data.stages.gestures.scene import Scene
from deemo_data.stages.gestures.select import select_proposals
from deemo_data.stages.gestures.signals import RULES
from deemo_data.tracks.skeleton import BODY_POINTS, EARS, NOSE, TRACKED
from tests.makers.gestures import ACTED, SHOULDER_PX, Acting, behind, folded, on_hips, seated

HOW = Propose()
HANDS_ONLY = {"minaret", "fingers_crossed", "hands_held"}  # the hands that they measure are seen, or there is no amount
NEEDS = {  # at least these
    "arms_folded": TRACKED.shoulders + TRACKED.elbows, "arms_akimbo": TRACKED.shoulders,
    "arms_behind": TRACKED.shoulders + TRACKED.elbows + TRACKED.hips, "hand_gesture": TRACKED.shoulders,
    "shoulders_raised": TRACKED.shoulders + EARS, "torso_moved": TRACKED.shoulders, "head_up": (*EARS, NOSE),
    "sits_up": TRACKED.shoulders + TRACKED.hips + TRACKED.knees, "hand_busy": TRACKED.shoulders,
    "hand_on_notch": TRACKED.shoulders,
}  # fmt: skip


def rules_of(scene: Scene) -> set[str]:
    return {p.rule for p in select_proposals(scene, HOW)}


def needs_of(acting: Acting) -> dict[str, set[int]]:
    needs: dict[str, set[int]] = {}
    for signal in measure_all(acting.scene(), HOW):
        needs.setdefault(signal.rule, set()).update(signal.needs)
    return needs


def needs_where_it_holds(acting: Acting, rule: str) -> set[int]:
    """The needs of the side, left or right, on which the rule holds."""
    holds = [s for s in measure_all(acting.scene(), HOW) if s.rule == rule and np.nanmax(s.margin(), initial=-1) >= 0]
    assert holds
    return {point for signal in holds for point in signal.needs}


def test_every_rule_says_which_points_it_needs() -> None:
    needs = needs_of(Acting())
    assert set(needs) == set(RULES)
    assert {rule for rule, points in needs.items() if not points} == HANDS_ONLY
    for rule, points in NEEDS.items():
        assert set(points) <= needs[rule], rule
    assert all(0 <= point < BODY_POINTS for points in needs.values() for point in points)


@pytest.mark.parametrize("rule", sorted(set(RULES) - HANDS_ONLY))
def test_a_point_that_a_rule_needs_and_that_is_a_guess_proposes_nothing(rule: str) -> None:
    there = ACTED[rule][0]
    for point in needs_where_it_holds(there, rule):
        guessed = copy.deepcopy(there)
        guessed.sure[:, point] = 0.4
        assert rule not in rules_of(guessed.scene()), point


@pytest.mark.parametrize("rule", sorted(set(RULES) - HANDS_ONLY))
def test_a_sure_point_outside_of_the_picture_proposes_nothing(rule: str) -> None:
    there = ACTED[rule][0]
    scene = there.scene()
    for point in needs_where_it_holds(there, rule):
        outside = copy.deepcopy(scene)
        outside.in_picture[:, point] = False
        assert rule not in rules_of(outside), point


@pytest.mark.parametrize("rule", RULES)
def test_in_a_picture_that_shows_all_of_them_the_rules_hold(rule: str) -> None:
    assert rule in rules_of(ACTED[rule][0].scene(picture=(640, 720)))


# ── hips below the picture: a desk, an interview from the chest up ──────────────────────────────────────────


# hips are at 382 px, the wrists on them at 368
@pytest.mark.parametrize(("height", "seen"), [(480, True), (384, True), (380, False), (330, False)])
def test_arms_akimbo_only_where_hips_are_in_the_picture(height: int, seen: bool) -> None:
    assert ("arms_akimbo" in rules_of(on_hips(0.95).scene(picture=(640, height)))) == seen


@settings(max_examples=6)
@given(scale=st.floats(100, 400), below=st.floats(0.02, 0.3))
def test_however_near_the_camera_hips_below_the_picture_are_no_akimbo(scale: float, below: float) -> None:
    at = (640.0, 300.0)
    height = int(at[1] + (1.3 - below) * scale)
    scene = on_hips(0.95).scene(scale, at, (1280, height))
    assert "arms_akimbo" not in rules_of(scene)
    assert "arms_akimbo" in rules_of(on_hips(0.95).scene(scale, at, (1280, int(at[1] + 1.4 * scale))))


@pytest.mark.parametrize("confidence", [0.0, 0.1, 0.49])
def test_hips_that_the_pose_only_guesses_are_no_akimbo(confidence: float) -> None:
    acting = on_hips(0.95)
    acting.sure[:, list(TRACKED.hips)] = confidence
    assert "arms_akimbo" not in rules_of(acting.scene())


@pytest.mark.parametrize("side", [0, 1])
def test_one_arm_akimbo_is_enough_and_only_its_points_count(side: int) -> None:
    acting = on_hips(0.95)
    for pair in (TRACKED.wrists, TRACKED.elbows, TRACKED.hips):
        acting.sure[:, pair[1 - side]] = 0.1
    assert "arms_akimbo" in rules_of(acting.scene())
    acting.sure[:, TRACKED.hips[side]] = 0.1
    assert "arms_akimbo" not in rules_of(acting.scene())


def test_the_other_hip_does_not_stand_in_for_one_that_is_not_seen() -> None:
    acting = on_hips(0.95)
    acting.sure[:, TRACKED.wrists[0]] = 0.1
    acting.sure[:, TRACKED.hips[1]] = 0.1
    assert "arms_akimbo" not in rules_of(acting.scene())


@pytest.mark.parametrize("acting", [behind(0.1), seated(0.2)], ids=["behind", "seated"])
def test_arms_behind_and_sitting_up_need_the_hips_in_the_picture(acting: Acting) -> None:
    below = int(200 + 1.2 * SHOULDER_PX)
    assert rules_of(acting.scene(picture=(640, below))).isdisjoint({"arms_behind", "sits_up"})


def test_wrists_outside_of_the_picture_are_not_behind_the_back_and_not_folded() -> None:
    for acting, rule in ((behind(0.1), "arms_behind"), (folded(0.35), "arms_folded")):
        scene = acting.scene()
        assert rule in rules_of(scene)
        scene.in_picture[:, TRACKED.wrists[0]] = False
        assert rule not in rules_of(scene)


def test_folded_arms_hide_one_wrist_but_not_both() -> None:
    acting = folded(0.35)
    acting.sure[:, TRACKED.wrists[0]] = 0.2
    assert "arms_folded" in rules_of(acting.scene())
    acting.sure[:, TRACKED.wrists[1]] = 0.2
    assert "arms_folded" not in rules_of(acting.scene())


def test_shoulders_outside_of_a_close_up_do_not_rise_or_move() -> None:
    for rule in ("shoulders_raised", "torso_moved"):
        assert rule not in rules_of(ACTED[rule][0].scene(picture=(640, 195)))


def test_an_amount_is_nan_exactly_where_a_point_is_missing() -> None:
    acting = on_hips(0.95)
    acting.sure[40:60, list(TRACKED.shoulders)] = 0
    scene = acting.scene()
    for masked, every in zip(measure_signals(scene, HOW), measure_all(scene, HOW), strict=True):
        hidden = np.zeros(len(scene), bool)
        hidden[40:60] = set(TRACKED.shoulders) & set(masked.needs) != set()
        assert np.array_equal(np.isnan(masked.amount), np.isnan(every.amount) | hidden), masked.rule
