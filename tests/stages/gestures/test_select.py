"""The rules of proposals on made-up bodies: each with what it must see and a near miss, at any size, place and frame rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.errors import ConfigError
from deemo_data.labels import vocabulary
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.stages.detect.propose import Propose
from deemo_data.stages.gestures import signals
from deemo_data.stages.gestures.scene import build_scene, split_at_jumps
from deemo_data.stages.gestures.select import select_proposals
from deemo_data.stages.gestures.signals import (
    RULES,
    TRUNK_RULES,
    Interval,
    Proposal,
    Signal,
    find_intervals,
    find_runs,
    resolve_conflicts,
)
from tests.makers.gestures import FACE, FPS, PERSON, SHOULDER_PX, Acting, face_at, flat_hand, touching

HOW = Propose()


def folded(wrists: float) -> Acting:
    a = Acting()
    when = a.during(1, 3)
    a.body[when, 13], a.body[when, 14] = (0.55, 0.65), (-0.55, 0.65)
    a.body[when, 15], a.body[when, 16] = (-wrists, 0.6), (wrists, 0.6)
    return a


def on_hips(elbows: float) -> Acting:
    a = Acting()
    when = a.during(1, 3)
    a.body[when, 13], a.body[when, 14] = (elbows, 0.75), (-elbows, 0.75)
    a.body[when, 15], a.body[when, 16] = (0.4, 1.2), (-0.4, 1.2)
    return a


def behind(confidence: float) -> Acting:
    a = Acting()
    when = a.during(1, 3)
    a.body[when, 15], a.body[when, 16] = (0.2, 1.2), (-0.2, 1.2)
    a.sure[when, 15:17] = confidence
    return a


def holding(gap: float, tips_up: bool = False) -> Acting:
    """Both hands before the chest; `gap` is how far the tips stop short of the other hand's knuckles (or, upwards, tips)."""
    a = Acting()
    if tips_up:
        return a.hand(0, 1, 3, (gap / 2, 0.15), (0.45, 0.9)).hand(1, 1, 3, (-gap / 2, 0.15), (-0.45, 0.9))
    return a.hand(0, 1, 3, (-0.11 + gap, 0.6), (0.6, 0.64)).hand(1, 1, 3, (0.11 - gap, 0.64), (-0.6, 0.6))


def interlaced(shift: float) -> Acting:
    """Fingers of both hands side by side, one of the other hand between each two, or (shifted) one hand's below the other's."""
    a = Acting()
    left, right = flat_hand((0.3, 0.6), (-1, 0)), flat_hand((-0.3, 0.6), (1, 0))
    for finger, y in enumerate((0.5, 0.56, 0.62, 0.68)):
        left[5 + 4 * finger : 9 + 4 * finger, 1], right[5 + 4 * finger : 9 + 4 * finger, 1] = y, y + shift
        left[5 + 4 * finger : 9 + 4 * finger, 0] = (0.1, 0.04, -0.02, -0.08)
        right[5 + 4 * finger : 9 + 4 * finger, 0] = (-0.1, -0.04, 0.02, 0.08)
    when = a.during(1, 3)
    a.hands[when, 0], a.hands[when, 1] = left, right
    a.body[when, 15], a.body[when, 16] = left[0], right[0]
    return a


def pinching(open_by: float) -> Acting:
    a = Acting().hand(1, 0.5, 3.5, (-0.1, 0.8), (-0.8, 0.9))
    when = a.during(0.5, 3.5)
    a.hands[when, 1, 4] = a.hands[when, 1, 8] + (0, open_by)
    return a


def waving(reach: float, y: float = 0.4) -> Acting:
    a = Acting()
    times = np.arange(a.count) / a.fps
    a.body[:, 16] = np.stack([-0.6 + reach * np.sin(2 * np.pi * 1.2 * times), np.full(a.count, y)], axis=1)
    return a


def seated(rise: float) -> Acting:
    a = Acting(8)
    a.body[:, 25], a.body[:, 26] = (0.4, 1.45), (-0.4, 1.45)
    upper = tuple(n for n in range(23))
    return a.move(upper, 4, 6, (0, -rise))


HEAD, UPPER = tuple(range(11)), tuple(range(23))
ACTED: dict[str, tuple[Acting, Acting]] = {
    "hand_on_eyes": (touching(0.25, 0.0), touching(1.0, 0.0)),
    "hand_on_ear": (touching(0.54, -0.12), touching(1.0, -0.12)),
    "hand_on_forehead": (touching(0.1, 0.42), touching(0.1, 0.42, seconds=0.2)),
    "hand_on_jaw": (touching(0.3, -0.84), touching(0.3, -0.84, size=0.45)),
    "hand_on_face": (touching(0.2, -0.38), touching(0.2, -0.38, size=0.45)),
    "hand_in_hair": (touching(0.66, -0.75), touching(1.1, -0.75)),
    "hand_on_head": (touching(0.2, 0.95), touching(1.3, 1.2)),
    "hand_on_neck": (touching(0.1, -1.15), touching(0.9, -1.25)),
    "hand_on_notch": (Acting().hand(0, 1.5, 2.5, (0.0, -0.04), (0.8, 0.4)), Acting().hand(0, 1.5, 2.5, (0.0, 0.4), (0.8, 0.6))),
    "hand_over_face": (Acting().hand(0, 1.5, 2.5, face_at(-0.1, 0.35), face_at(0.1, -3), 0.26), touching(0.3, 0.0)),
    "arms_folded": (folded(0.35), folded(0.05)),
    "arms_akimbo": (on_hips(0.95), on_hips(0.45)),
    "arms_behind": (behind(0.1), behind(0.7)),
    "hands_held": (holding(0.0), holding(0.3)),
    "minaret": (holding(0.04, tips_up=True), holding(0.3, tips_up=True)),
    "fingers_crossed": (interlaced(0.03), interlaced(0.26)),
    "hand_busy": (pinching(0.05), pinching(0.3)),
    "hand_gesture": (waving(0.2), waving(0.2, y=1.4)),
    "shoulders_raised": (Acting(8).move((11, 12), 4, 5, (0, -0.14)), Acting(8).move(UPPER, 4, 5, (0, -0.14))),
    "torso_moved": (Acting(8).move(UPPER, 5, 6, (0.35, 0.0)), Acting(8).move(tuple(range(33)), 5, 6, (0.35, 0.0))),
    "sits_up": (seated(0.2), seated(0.05)),
    "head_up": (Acting(8).move((0, 9, 10), 4, 5, (0, -0.08)), Acting(8).move(HEAD, 4, 5, (0, -0.08))),
}  # fmt: skip


def found(acting: Acting, how: Propose = HOW) -> dict[str, list[Proposal]]:
    rules: dict[str, list[Proposal]] = {}
    for one in select_proposals(acting.scene(), how):
        rules.setdefault(one.rule, []).append(one)
    return rules


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_sees_what_it_is_for_and_not_what_is_near_it(rule: str) -> None:
    there, near = ACTED[rule]
    assert rule in found(there), found(there)
    assert rule not in found(near), found(near)


def test_the_stretch_the_score_and_the_sentence() -> None:
    (one,) = found(touching(0.1, 0.42))["hand_on_forehead"]
    assert (abs(one.start - 37), abs(one.end - 62)) <= (2, 2)
    assert 0.7 < one.score <= 0.9
    assert one.threshold == HOW.touch
    assert one.why.startswith("Left hand 0.0")
    assert one.why.endswith(" s.")
    assert "forehead" in one.why


def test_nobody_moves_and_nothing_is_proposed() -> None:
    assert select_proposals(Acting(8).scene(), HOW) == []


def test_every_rule_is_named_in_the_vocabulary_and_every_name_is_a_rule() -> None:
    named = [c.rule for c in load_nfbl("nfbl").classes if c.rule]
    assert sorted(named) == sorted(RULES)
    assert set(ACTED) == set(RULES)
    assert set(TRUNK_RULES) < set(RULES)


@pytest.mark.parametrize("wrong", ["hand_on_moon", "hand_on_head"])
def test_a_vocabulary_with_a_rule_that_is_not_there_or_twice(tmp_path: Path, wrong: str) -> None:
    ours = (Path(vocabulary.__file__).parents[1] / "vocabularies" / "nfbl.toml").read_text()
    path = tmp_path / "v.toml"
    path.write_text(ours.replace('rule = "hand_on_jaw"', f'rule = "{wrong}"'))
    with pytest.raises(ConfigError, match=rf"class 'Touching jaw' has the rule '{wrong}'") as e:
        load_nfbl(path)
    assert "hand_on_jaw" in e.value.advice


KINDS = st.sampled_from(["hand_on_forehead", "arms_folded", "hands_held", "hand_gesture", "shoulders_raised", "torso_moved"])


@settings(max_examples=15)
@given(KINDS, st.floats(0.2, 5), st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_size_and_place_change_nothing(rule: str, size: float, x: float, y: float) -> None:
    acting = ACTED[rule][0]
    here, there = (select_proposals(s, HOW) for s in (acting.scene(), acting.scene(SHOULDER_PX * size, (x, y))))
    assert [p.rule for p in here] == [p.rule for p in there]
    for a, b in zip(here, there, strict=True):
        assert max(abs(a.start - b.start), abs(a.end - b.end)) <= 1
        assert abs(a.score - b.score) < 0.05


@settings(max_examples=15)
@given(
    st.sampled_from([("hand_on_forehead", touching), ("arms_folded", folded)]),
    st.sampled_from([12.5, 24000 / 1001, 25, 30, 50, 60]),
)
def test_the_frame_rate_changes_nothing(kind: tuple[str, Callable[..., Acting]], fps: float) -> None:
    rule, make = kind
    acting = Acting(fps=fps)
    model = make(0.1, 0.42) if rule == "hand_on_forehead" else make(0.35)
    nearest = np.minimum(np.round(np.arange(acting.count) / fps * FPS).astype(int), model.count - 1)
    acting.body, acting.hands = model.body[nearest], model.hands[nearest]
    (one,) = found(model)[rule]
    (other,) = found(acting)[rule]
    assert abs(one.start / FPS - other.start / fps) < 0.1
    assert abs(one.end / FPS - other.end / fps) < 0.1
    assert abs(one.score - other.score) < 0.1


@settings(max_examples=15)
@given(st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_gaps_and_jitter_leave_one_proposal(gap: int, seed: int) -> None:
    acting = touching(0.1, 0.42, seconds=1.6)
    rng = np.random.default_rng(seed)
    acting.body = acting.body + rng.normal(0, 0.005, acting.body.shape)
    acting.hands = acting.hands + rng.normal(0, 0.005, acting.hands.shape)
    acting.hands[50 : 50 + gap] = np.nan
    acting.sure[50 : 50 + gap, 17:23] = 0
    assert len(found(acting)["hand_on_forehead"]) == 1


def test_a_body_that_is_not_there() -> None:
    nothing = Acting()
    nothing.body[:], nothing.sure[:] = np.nan, 0
    assert select_proposals(nothing.scene(), HOW) == []
    lost = touching(0.1, 0.42)
    lost.body[:30], lost.sure[:30] = np.nan, 0
    assert [p.rule for p in select_proposals(lost.scene(), HOW)] == ["hand_on_forehead"]
    empty = np.zeros((0, 75, 3), np.float32)
    assert select_proposals(build_scene(empty, empty[..., 0], np.zeros((0, 2), np.float32), FPS), HOW) == []


def test_a_body_too_small_to_be_measured() -> None:
    scene = touching(0.1, 0.42).scene()
    points = np.concatenate([scene.points, scene.hands.reshape(len(scene), 42, 3)], axis=1).astype(np.float32)
    faces = np.full((len(scene), 2), FACE * SHOULDER_PX, np.float32)
    sure = np.ones((len(scene), 75), np.float32)
    assert select_proposals(build_scene(points, sure, faces, FPS, min_shoulder_px=SHOULDER_PX - 1), HOW)
    assert select_proposals(build_scene(points, sure, faces, FPS, min_shoulder_px=SHOULDER_PX + 1), HOW) == []


def test_a_hand_of_somebody_else_is_left_out() -> None:
    acting = touching(0.1, 0.42)
    when = acting.during(1.5, 2.5)
    acting.body[when, 15::2][:, :4] = np.array([PERSON[n] for n in (15, 17, 19, 21)])  # the arm hangs, a hand is at the head
    assert "hand_on_forehead" not in found(acting)


def test_a_cut_is_no_movement() -> None:
    acting = Acting(8).move(tuple(range(33)), 4, 8, (1.5, 0.4))
    assert split_at_jumps(acting.scene()) == [(0, 100), (100, 200)]
    assert select_proposals(acting.scene(), HOW) == []


def test_hands_of_the_pose_count_where_the_hand_is_not_seen() -> None:
    acting = touching(0.1, 0.42)
    acting.body[acting.during(1.5, 2.5), 17:22:2] = face_at(0.1, 0.42)
    acting.hands[:] = np.nan
    assert "hand_on_forehead" in found(acting)


def test_of_two_rules_for_one_stretch_the_more_specific_wins_and_the_other_keeps_the_rest() -> None:
    def stretch(rule: str, start: int, end: int) -> Interval:
        return Interval(Signal(rule, np.full(200, 2.0), 1.0, "{amount}, {seconds}"), start, end)

    kept = resolve_conflicts(
        [stretch("hand_gesture", 0, 100), stretch("hand_on_jaw", 40, 60), stretch("torso_moved", 30, 70)], 10
    )
    assert sorted((k.signal.rule, k.start, k.end) for k in kept) == [
        ("hand_gesture", 0, 40), ("hand_gesture", 60, 100), ("hand_on_jaw", 40, 60), ("torso_moved", 30, 70)
    ]  # fmt: skip
    assert [k.start for k in resolve_conflicts([stretch("hand_gesture", 0, 65), stretch("hand_on_jaw", 0, 60)], 10)] == [0]


def test_hysteresis_bridges_and_least() -> None:
    amount = np.array([0.0, 0.8, 1.2, 0.8, 0.8, 1.2, 0.0, 0.0, 0.8, 0.8, 0.0, 1.5, 0.0])
    signal = Signal("head_up", amount, 1.0, "")
    assert [(s.start, s.end) for s in find_intervals(signal, 1, 0, 0.3)] == [
        (1, 6),
        (11, 12),
    ]  # 8 and 9 never reach the threshold
    assert [(s.start, s.end) for s in find_intervals(signal, 1, 5, 0.3)] == [(1, 12)]
    assert [(s.start, s.end) for s in find_intervals(signal, 3, 0, 0.3)] == [(1, 6)]
    assert find_runs(np.zeros(4, bool), 2) == []


def test_no_more_than_were_asked_for_and_the_best_of_them() -> None:
    acting = Acting(12)
    for start in (1, 3, 5, 7, 9):
        acting.hand(0, start, start + 1, face_at(0.1, 0.42), (0.9, 0.2))
    every = select_proposals(acting.scene(), HOW)
    some = select_proposals(acting.scene(), replace(HOW, most=2))
    assert len(every) == 5
    assert len(some) == 2
    assert min(p.score for p in some) >= sorted(p.score for p in every)[-2] - 1e-9
    assert some == sorted(some, key=lambda p: p.start)


def test_a_proposal_says_nothing_but_this() -> None:
    fact = select_proposals(touching(0.1, 0.42).scene(), HOW)[0].to_fact()
    assert list(fact) == ["rule", "start_frame", "end_frame", "score", "threshold", "why"]
    assert len(fact["why"]) < 120
    assert signals.RULES.index(fact["rule"]) >= 0
