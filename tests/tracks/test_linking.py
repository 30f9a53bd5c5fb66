"""IoU of boxes: the one formula behind tracks, leaks and suppression."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deemo_data.models.runtime.boxes import suppress_overlaps
from deemo_data.tracks.linking import box_iou, box_ious, pair_boxes

CORNERS = hnp.arrays(np.float32, (6, 4), elements=st.integers(0, 2**22).map(lambda n: n / 4096))


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    """In so many words."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = float(wide * high)
    return both / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@given(corners=CORNERS)
def test_many_boxes_give_what_one_gives_to_the_last_bit(corners: np.ndarray) -> None:
    boxes = np.hstack([np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])])
    each = [plain_iou(boxes[0], other) for other in boxes]
    assert [box_iou(boxes[0], other) for other in boxes] == each
    assert box_ious(boxes[0], boxes).tolist() == each


def test_with_no_others_there_is_nothing() -> None:
    assert box_ious(np.array([0, 0, 1, 1], np.float32), np.zeros((0, 5), np.float32)).shape == (0,)


def test_boxes_that_overlap_by_exactly_the_limit_are_suppressed() -> None:
    pair = np.array([[0, 0, 10, 1, 0.9], [0, 0, 3, 1, 0.8]], np.float32)
    assert box_iou(pair[0], pair[1]) == 0.3
    assert suppress_overlaps(pair, 0.3).tolist() == [0]
    assert suppress_overlaps(pair, 0.31).tolist() == [0, 1]


@given(CORNERS, CORNERS)
def test_pairs_are_those_that_a_plain_loop_finds(one: np.ndarray, other: np.ndarray) -> None:
    old, new = (
        (np.hstack([np.minimum(c[:, :2], c[:, 2:]), np.maximum(c[:, :2], c[:, 2:]) + 1]) / 4).astype(np.float64)
        for c in (one, other)
    )
    candidates = []
    for t, a in enumerate(old):
        for b, box in enumerate(new):
            size = max(float(np.sqrt((a[2] - a[0]) * (a[3] - a[1]))), 1.0)
            far = float(np.hypot(*((a[:2] + a[2:4] - box[:2] - box[2:4]) / 2))) / size
            if 0.5 < (box[2] - box[0]) / max(a[2] - a[0], 1.0) < 2 and (plain_iou(a, box) > 0.2 or far < 0.6):
                candidates.append((far, t, b))
    pairs = pair_boxes(old, new)  # type: ignore[arg-type]
    assert len({t for t, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    assert set(pairs) <= {(t, b) for _, t, b in candidates}
    for _, t, b in candidates:
        assert t in {p for p, _ in pairs} or b in {p for _, p in pairs}, "both are free, and yet no pair"
    if candidates:
        assert min(candidates)[1:] in pairs


def test_no_boxes_make_no_pairs() -> None:
    some, none = np.array([[0, 0, 1, 1, 0.9]], np.float32), np.zeros((0, 5), np.float32)
    assert pair_boxes(some, none) == pair_boxes(none, some) == []
    assert pair_boxes(some, some) == [(0, 0)]
