"""A face that is there for a while is covered all the while: linked, bridged, held, and never carried across a cut."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.media import encode
from deemo_data.stages.detect import find_faces
from deemo_data.stages.detect.find_faces import FindFaces, find_uncovered_heads, head_box_of_pose
from deemo_data.tracks import linking
from deemo_data.tracks.body import Body, write_body
from deemo_data.tracks.faces import FACE_COLUMNS, read_faces
from deemo_data.tracks.linking import Row, box_iou, detections_differ, fill_gaps, link_detections


def box(x: float, y: float = 100, size: float = 40, score: float = 0.9) -> np.ndarray:
    return np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2, score], np.float32)


def looks(said: dict[int, list[np.ndarray]]) -> dict[int, np.ndarray]:
    return {f: np.stack(b) if b else np.zeros((0, 5), np.float32) for f, b in said.items()}


def frames(rows: list[Row], track: int | None = None) -> list[int]:
    return [r[0] for r in rows if track is None or r[1] == track]


# ── linking ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_faces_keep_to_their_own_tracks() -> None:
    found = link_detections(looks({f: [box(100 + f), box(300 - f)] for f in range(0, 50, 5)}), [], bridge=50)
    assert [sorted(t.boxes) for t in found] == [list(range(0, 50, 5))] * 2
    assert [float(t.boxes[45][0]) for t in found] == [125.0, 235.0]


def test_order_of_detection_does_not_matter() -> None:
    said = {f: [box(100 + f), box(300 - f)][:: 1 if f % 2 else -1] for f in range(0, 50, 5)}
    found = link_detections(looks(said), [], bridge=50)
    assert len(found) == 2
    for track in found:
        x = [float(b[0]) for b in track.boxes.values()]
        assert max(np.abs(np.diff(x))) == 5.0


@pytest.mark.parametrize(("gap", "tracks_found"), [(49, 1), (50, 1), (51, 2)])
def test_a_gap_is_bridged_up_to_its_limit(gap: int, tracks_found: int) -> None:
    said: dict[int, list[np.ndarray]] = {0: [box(100)]} | {f: [] for f in range(5, gap, 5)} | {gap: [box(104)]}
    assert len(link_detections(looks(said), [], bridge=50)) == tracks_found


def test_no_link_across_a_cut() -> None:
    found = link_detections(looks({0: [box(100)], 5: [box(100)], 7: [box(100)], 10: [box(100)]}), [7], bridge=50)
    assert [sorted(t.boxes) for t in found] == [[0, 5], [7, 10]]


def test_another_size_or_place_is_another_face() -> None:
    assert len(link_detections(looks({0: [box(100)], 5: [box(100, size=100)]}), [], 50)) == 2
    assert len(link_detections(looks({0: [box(100)], 5: [box(160)]}), [], 50)) == 2
    assert len(link_detections(looks({0: [box(100)], 5: [box(120)]}), [], 50)) == 1


def test_looks_that_differ() -> None:
    one = np.stack([box(100)])
    assert not detections_differ(one, np.stack([box(102)]))
    assert detections_differ(one, np.stack([box(140)]))
    assert detections_differ(one, np.stack([box(100), box(300)]))
    assert detections_differ(one, np.zeros((0, 5), np.float32))
    assert not detections_differ(np.zeros((0, 5), np.float32), np.zeros((0, 5), np.float32))


def test_overlap() -> None:
    a = box(100)
    assert box_iou(a, a) == 1
    assert box_iou(a, box(120)) == pytest.approx(1 / 3)
    assert box_iou(a, box(140)) == box_iou(a, box(500)) == 0
    assert box_iou(a, box(100, size=20)) == pytest.approx(0.25)


# ── filling ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_frame_between_and_around_is_covered() -> None:
    found = link_detections(looks({20: [box(100)], 25: [box(110)], 40: [box(120)]}), [], bridge=50)
    rows = fill_gaps(found, num_frames=100, hold=12, cuts=[])
    assert frames(rows) == list(range(8, 53))
    origin = {r[0]: r[7] for r in rows}
    assert (origin[8], origin[20], origin[23], origin[30], origin[52]) == ("held", "detected", "linked", "linked", "held")
    middle = {r[0]: (r[2] + r[4]) / 2 for r in rows}
    assert middle[23] == pytest.approx(106, abs=0.01)
    assert middle[8] == pytest.approx(100)


def test_held_up_to_the_ends_and_to_the_cuts_and_not_beyond() -> None:
    found = link_detections(looks({3: [box(100)], 30: [box(100)]}), [15, 32], bridge=50)
    rows = fill_gaps(found, num_frames=40, hold=20, cuts=[15, 32])
    assert [frames(rows, 0), frames(rows, 1)] == [list(range(15)), list(range(15, 32))]


def test_a_look_on_the_first_frame_of_a_shot_is_not_carried_back() -> None:
    rows = fill_gaps(link_detections(looks({10: [box(100)]}), [10], 50), num_frames=30, hold=5, cuts=[10])
    assert frames(rows) == list(range(10, 16))


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=12, unique=True),
    st.integers(0, 40),
    st.lists(st.integers(1, 199), max_size=4),
)
def test_whatever_was_detected_is_within_its_box(seen: list[int], hold: int, cuts: list[int]) -> None:
    cuts = sorted(set(cuts))
    said = looks({f: [box(100 + 2 * f, 90 + f)] for f in sorted(seen)})
    rows = fill_gaps(link_detections(said, cuts, bridge=60), 201, hold, cuts)
    at: dict[int, list[Row]] = {}
    for row in rows:
        assert 0 <= row[0] <= 200
        at.setdefault(row[0], []).append(row)
    for f, (b,) in said.items():
        assert any(r[2] <= b[0] + 0.01 and r[3] <= b[1] + 0.01 and r[4] >= b[2] - 0.01 and r[5] >= b[3] - 0.01 for r in at[f])
        shot = max([c for c in cuts if c <= f], default=0), min([c for c in cuts if c > f], default=201)
        for near in range(max(shot[0], f - hold), min(shot[1], f + hold + 1)):
            assert near in at, "not held"
    for number in {r[1] for r in rows}:
        there = frames(rows, number)
        assert there == list(range(there[0], there[-1] + 1)), "a hole in a track"
        assert not [c for c in cuts if there[0] < c <= there[-1]], "across a cut"


def test_the_margin_grows_with_speed() -> None:
    def width(step: float) -> float:
        rows = fill_gaps(link_detections(looks({f: [box(100 + step * f)] for f in range(0, 25, 5)}), [], 50), 25, 0, [])
        row = rows[12]
        return row[4] - row[2]

    widths = [width(s) for s in (0, 1, 2, 4)]
    assert widths[0] == pytest.approx(40)
    assert widths == sorted(widths)
    assert widths[2] == pytest.approx(40 + 2 * 3 * 2, abs=0.1), "as far as it moves in three frames, on both sides"
    assert widths[3] <= 80.1, "and no more than twice as wide"


def test_no_face_is_an_empty_table() -> None:
    empty = linking.rows_to_table(fill_gaps(link_detections(looks({0: [], 5: []}), [], 50), 10, 5, []))
    assert len(empty) == 0
    assert list(empty.columns) == list(FACE_COLUMNS)


# ── two detectors ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_second_detector_adds_and_never_takes_away() -> None:
    first = np.stack([box(100), box(300, score=0.12)])
    second = np.stack([box(104, score=0.9), box(300, score=0.75), box(500, score=0.75), box(700, score=0.9)])
    found = find_faces.merge_detectors(first, second, 0.3)
    assert [float(b[0] + b[2]) / 2 for b in found] == [100, 300, 700], "seen already, seen a trace of, not, very sure"
    assert [round(float(b[4]), 2) for b in found] == [0.9, 0.6, 0.6], "what it adds may still be a hand"
    np.testing.assert_array_equal(find_faces.merge_detectors(first, second[:0], 0.3), first[:1])
    assert find_faces.merge_detectors(first[:0], second[:0], 0.3).shape == (0, 5)


def test_a_square_from_brow_to_chin_becomes_a_face() -> None:
    (made,) = find_faces.face_boxes(np.stack([box(100, 100, 50)]))
    assert [round(float(v), 2) for v in made] == [75, 64, 125, 125, 0.9]
    assert find_faces.face_boxes(np.zeros((0, 5), np.float32)).shape == (0, 5)


# ── heads from the pose ──────────────────────────────────────────────────────────────────────────────────────


def person(x: float = 0.5, y: float = 0.3, turned: bool = False) -> np.ndarray:
    """(75, 3) a person of a 640 x 480 picture, seen from the front or from the side; shoulders 160 px apart."""
    p = np.zeros((75, 3), np.float32)
    p[:, :2] = x, y
    ear = 6 if turned else 32
    p[[2, 5], 0] += np.array([-12, 12]) / 640
    p[[2, 5], 1] -= 8 / 480
    p[[7, 8], 0] += (np.array([-ear, ear]) - (30 if turned else 0)) / 640
    p[[9, 10], 1] += 20 / 480
    p[[11, 12], 0] += np.array([-80, 80]) / 640
    p[[11, 12], 1] += 90 / 480
    return p


def body(points: np.ndarray, sure: float = 0.9) -> Body:
    stack = np.repeat(points[None, None], 3, axis=0)
    return Body(stack.astype(np.float32), np.full(stack.shape[:3], sure, np.float32))


@pytest.mark.parametrize("turned", [False, True])
def test_a_head_is_covered_from_the_pose(turned: bool) -> None:
    added = find_uncovered_heads(body(person(turned=turned)), 640, 480, [])
    assert [(r[0], r[1], r[7]) for r in added] == [(f, -1, "pose") for f in range(3)]
    x0, y0, x1, y1 = added[0][2:6]
    face = person(turned=turned)[:11, :2] * (640, 480)
    assert x0 <= face[:, 0].min()
    assert face[:, 0].max() <= x1
    assert y0 < face[:, 1].min() - 5
    assert y1 > face[:, 1].max() + 5
    assert 50 < x1 - x0 < 160
    assert 60 < y1 - y0 < 180


def test_no_head_where_a_box_lies_already_and_none_is_taken_away() -> None:
    x, y = 320.0, 140.0
    rows: list[Row] = [(1, 0, x - 50, y - 50, x + 50, y + 50, 0.9, "detected")]
    added = find_uncovered_heads(body(person()), 640, 480, rows)
    assert frames(added) == [0, 2]
    beside: list[Row] = [(1, 0, 10.0, 10.0, 60.0, 60.0, 0.9, "detected")]
    assert frames(find_uncovered_heads(body(person()), 640, 480, beside)) == [0, 1, 2]


def test_a_pose_that_is_not_sure_or_not_there_adds_nothing() -> None:
    assert find_uncovered_heads(body(person(), sure=0.2), 640, 480, []) == []
    nobody = body(np.full((75, 3), np.nan, np.float32), sure=0)
    assert find_uncovered_heads(nobody, 640, 480, []) == []


def test_a_head_grows_with_the_person() -> None:
    def high(scale: float) -> float:
        points = person()[:13, :2] * (640, 480) * scale
        made = head_box_of_pose(points.astype(np.float32))
        return float(made[3] - made[1])

    assert high(2) == pytest.approx(2 * high(1), rel=1e-3)


# ── the whole stage, with a detector that sees bright squares ────────────────────────────────────────────────


SIZE = (160, 120)


def scene(frame: int) -> np.ndarray:
    """A bright square that moves right; at frame 30 a cut to another place and a darker wall; gone in 50..59."""
    wall, x, y = (60, 20 + 2 * frame, 30) if frame < 30 else (110, 100, 60)
    picture = np.full((*SIZE[::-1], 3), wall, np.uint8)
    if not 50 <= frame < 60:
        picture[y : y + 24, x : x + 24] = 230
    return picture


def bright(width: int, height: int) -> Callable[[np.ndarray], np.ndarray]:
    def detect(bgr: np.ndarray) -> np.ndarray:
        assert bgr.shape == (height, width, 3)
        ys, xs = np.nonzero(bgr.mean(axis=2) > 170)
        if not len(ys):
            return np.zeros((0, 5), np.float32)
        return np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, 0.9]], np.float32)

    return detect


def clip_of(pictures: list[np.ndarray], fps: int, folder: Path) -> Clip:
    """A clip of these pictures (h, w, 3), in which no body was found."""
    import av

    count, (height, width) = len(pictures), pictures[0].shape[:2]
    grid = Grid(Fraction(fps), False, Fraction(0), count, width, height)
    frames = (av.VideoFrame.from_ndarray(p, format="rgb24").reformat(format="yuv420p") for p in pictures)
    planar = (np.asarray(frame.to_ndarray(), np.uint8) for frame in frames)
    encode.write_video(folder / "film.mp4", planar, grid, 10, "ultrafast")
    write_body(Body(np.full((count, 1, 75, 3), np.nan, np.float32), np.zeros((count, 1, 75), np.float32)), folder / "body")
    files = {"source": File.of(folder / "film.mp4"), "body": File.of(folder / "body")}
    return Clip("c", "c", 0, grid.ms_at(count), files, {"grid": grid.to_fact()})


@pytest.mark.parametrize("every", [1, 5, 10])
def test_the_stage_covers_a_face_in_every_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    count = 80
    clip = clip_of([scene(f) for f in range(count)], 25, tmp_path)
    monkeypatch.setattr(FindFaces, "_detector", lambda self, clip: (bright(80, 60), 80, 60))
    stage = FindFaces(every=every, hold_ms=200, bridge_ms=1000)
    assert stage(clip, tmp_path) == {}
    faces = read_faces(tmp_path / stage.makes["faces"])
    for f in range(count):
        here = faces[faces["frame"] == f]
        if 50 <= f < 60:  # hidden for less than a second: taken to have been there
            assert len(here) >= 1, f
            continue
        ys, xs = np.nonzero(scene(f)[:, :, 0] == 230)
        true = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        assert any(
            r.x0 <= true[0] + 2.5 and r.y0 <= true[1] + 2.5 and r.x1 >= true[2] - 2.5 and r.y1 >= true[3] - 2.5
            for r in here.itertuples()
        ), f
    before, after = faces[faces["frame"] < 30], faces[faces["frame"] >= 30]
    assert not set(before["track"]) & set(after["track"]), "no track goes on behind the cut"
    assert (after["y0"] > 40).all(), "no box of the first shot is left hanging in the second"


def shot(wall: int, x: int | None, frame: int) -> np.ndarray:
    """A frame of a shot: a wall with a stripe, and a face (a bright square) at x, which moves a little; None for no face."""
    picture = np.full((*SIZE[::-1], 3), wall, np.uint8)
    picture[:, (wall * 7) % 120 :][:, :30] = wall // 2
    if x is not None:
        picture[40:64, x + frame % 2 : x + frame % 2 + 24] = 230
    return picture


@pytest.mark.parametrize("fps", [12, 25, 60])
@pytest.mark.parametrize(
    "shots",  # (frames, where the face is)
    [
        [(1, 20), (30, None)],
        [(3, 20), (30, None)],
        [(30, None), (2, 100)],
        [(17, None), (1, 60), (17, None)],
        [(18, None), (2, 60), (14, None)],
        [(20, None), (3, 60), (21, None)],
        [(9, None), (3, 20), (2, 100), (1, 60), (16, None)],
        [(13, 20), (2, None), (13, 100)],
    ],
)
def test_no_box_is_held_into_another_shot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fps: int, shots: list[tuple[int, int | None]]
) -> None:
    """A mask is where the face is: not in the shot after a face of one to three frames, and not in the shot before it."""
    walls = (60, 130, 90, 150, 40)
    frames_of = [(walls[k], x) for k, (length, x) in enumerate(shots) for _ in range(length)]
    clip = clip_of([shot(wall, x, f) for f, (wall, x) in enumerate(frames_of)], fps, tmp_path)
    monkeypatch.setattr(FindFaces, "_detector", lambda self, clip: (bright(160, 128), 160, 128))
    FindFaces()(clip, tmp_path)
    faces = read_faces(tmp_path / "faces.parquet")
    for f, (_, x) in enumerate(frames_of):
        here = faces[faces["frame"] == f]
        if x is None:
            assert len(here) == 0, f
        else:
            assert len(here) == 1, f
            assert (here["x0"].iloc[0], here["x1"].iloc[0]) == pytest.approx((x, x + 25), abs=3)


def test_a_small_face_that_another_look_has_too_is_one_face() -> None:
    first: list[Row] = [(f, 0, 100.0, 100.0, 140.0, 150.0, 0.9, "detected") for f in range(5)]
    same: list[Row] = [(f, 1, 102.0, 101.0, 141.0, 152.0, 0.4, "detected") for f in range(5)]
    longer: list[Row] = [(f, 2, 102.0, 101.0, 141.0, 152.0, 0.4, "detected") for f in range(6)]
    other: list[Row] = [(f, 3, 300.0, 101.0, 320.0, 130.0, 0.4, "detected") for f in range(5)]
    assert find_faces.drop_covered_tracks(same + longer + other, first) == longer + other
    assert find_faces.drop_covered_tracks(same, []) == same
    assert find_faces.drop_covered_tracks([], first) == []
