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
from tests.makers.gestures import ACTED, FACE, FPS, PERSON, SHOULDER_PX, Acting, face_at, folded, touching

HOW = Propose()


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
        return Interval(Signal(rule, (), np.full(200, 2.0), 1.0, "{amount}, {seconds}"), start, end)

    kept = resolve_conflicts(
        [stretch("hand_gesture", 0, 100), stretch("hand_on_jaw", 40, 60), stretch("torso_moved", 30, 70)], 10
    )
    assert sorted((k.signal.rule, k.start, k.end) for k in kept) == [
        ("hand_gesture", 0, 40), ("hand_gesture", 60, 100), ("hand_on_jaw", 40, 60), ("torso_moved", 30, 70)
    ]  # fmt: skip
    assert [k.start for k in resolve_conflicts([stretch("hand_gesture", 0, 65), stretch("hand_on_jaw", 0, 60)], 10)] == [0]


def test_hysteresis_bridges_and_least() -> None:
    amount = np.array([0.0, 0.8, 1.2, 0.8, 0.8, 1.2, 0.0, 0.0, 0.8, 0.8, 0.0, 1.5, 0.0])
    signal = Signal("head_up", (), amount, 1.0, "")
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
