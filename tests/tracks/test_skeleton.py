"""The tables of points, against the numbers that stood in five modules before there was one place for them."""

from __future__ import annotations

from deemo_data.audit.attacks import body as attack
from deemo_data.baseline.checks import features
from deemo_data.stages.gestures import touch_rules
from deemo_data.tracks import skeleton
from deemo_data.tracks.skeleton import PUBLIC, TRACKED


def test_both_layouts_count_their_points() -> None:
    assert (skeleton.TRACKED_POINTS, skeleton.PUBLIC_BODY_POINTS, skeleton.PUBLIC_POINTS) == (75, 22, 64)
    assert [*PUBLIC] == [*((i, i + 1) for i in (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)), (22, 43)]
    assert [(left + 11, right + 11) for left, right in PUBLIC] == [*TRACKED]
    assert (TRACKED.shoulders, TRACKED.wrists, TRACKED.hands) == ((11, 12), (15, 16), (33, 54))


def test_a_hand_is_made_of_its_fingers() -> None:
    assert tuple(finger[-1] for finger in skeleton.FINGERS) == skeleton.FINGERTIPS
    assert sorted([skeleton.WRIST, *(n for finger in skeleton.FINGERS for n in finger)]) == list(range(skeleton.HAND_POINTS))
    assert skeleton.PALM == (0, 5, 9, 13, 17)
    assert skeleton.PALM_OUTLINE == (0, 1, 2, 5, 9, 13, 17)


def test_tables_made_of_names_are_the_old_numbers_in_the_old_order() -> None:
    assert attack.BONES == ((0, 2), (1, 3), (2, 4), (3, 5), (0, 12), (1, 13), (12, 13), (0, 1))
    assert attack.POSTURE_POINTS == features.UPPER_BODY == (0, 1, 2, 3, 4, 5, 12, 13)
    assert features.BONES == (
        (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (0, 12), (1, 13), (12, 13), (12, 14), (13, 15), (14, 16), (15, 17),
    )  # fmt: skip
    assert features.REACH_PAIRS == ((4, 5), (4, 0), (4, 1), (5, 0), (5, 1), (4, 3), (5, 2), (4, 12), (5, 13))
    assert touch_rules.POSE_FINGERS == ((17, 19, 21), (18, 20, 22))
    assert touch_rules.FINGER_POINTS == (3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 19, 20, 21, 22, 23)
