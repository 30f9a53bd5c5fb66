"""What lies under a box is gone, and what lies elsewhere is as it was."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.errors import StageError
from deemo_data.files import File
from deemo_data.media import encode
from deemo_data.media import frames as media_frames
from deemo_data.media.frames import read_frames
from deemo_data.stages.deidentify.mask_video import FILL_YUV, MaskVideo, owner_boxes_by_frame
from deemo_data.tracks import hand_drawing, hands
from deemo_data.tracks.faces import FACE_COLUMNS, write_faces
from deemo_data.tracks.hands import DetectedHand as Seen
from deemo_data.tracks.hands import Hand

W, H = 96, 64
BOXES = st.tuples(*(st.floats(-60, 150) for _ in range(2)), *(st.floats(0.5, 120) for _ in range(2)))


def noise(seed: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (H * 3 // 2, W), np.uint8)


def planes(yuv: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    u, v = yuv[H:].reshape(2, H // 2, W // 2)
    return yuv[:H], u, v


def ellipse(box: np.ndarray, grow: float) -> np.ndarray:
    """(H, W) bool, said plainly: pixels whose middle lies in the ellipse."""
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    rx, ry = (box[2] - box[0]) / 2 * grow, (box[3] - box[1]) / 2 * grow
    ys, xs = np.mgrid[:H, :W] + 0.5
    return ((xs - cx) / rx) ** 2 + ((ys - cy) / ry) ** 2 <= 1


def bounds(box: np.ndarray, grow: float) -> np.ndarray:
    """(H, W) bool: the box, grown, and two pixels more (chroma lies on every second pixel)."""
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    rx, ry = (box[2] - box[0]) / 2 * grow, (box[3] - box[1]) / 2 * grow
    ys, xs = np.mgrid[:H, :W] + 0.5
    return (abs(xs - cx) <= rx + 2) & (abs(ys - cy) <= ry + 2)


def halved(mask: np.ndarray) -> np.ndarray:
    return mask.reshape(H // 2, 2, W // 2, 2).any((1, 3))


@given(BOXES, st.sampled_from(["ellipse", "box"]), st.sampled_from([1.0, 1.35, 2.0]))
@example((10.0, 10.0, 31.0, 17.0), "ellipse", 1.35)
@example((-20.0, -20.0, 200.0, 200.0), "box", 1.0)
@example((95.5, 63.5, 0.5, 0.5), "ellipse", 1.0)
def test_opaque_leaves_no_trace(at: tuple[float, float, float, float], shape: str, grow: float) -> None:
    box = np.array([at[0], at[1], at[0] + at[2], at[1] + at[3]])
    stage = MaskVideo(mode="fill", shape=shape, grow=grow)  # type: ignore[arg-type]
    one, other = noise(1), noise(2)
    before = one.copy()
    stage.cover_face(one, box)
    stage.cover_face(other, box)
    under = ellipse(box, grow)
    for name, a, b, was, mask in zip(
        "yuv", planes(one), planes(other), planes(before), [under] + [halved(under)] * 2, strict=True
    ):
        assert (a[mask] == FILL_YUV[name]).all(), "a pixel of the shape shows the source"
        np.testing.assert_array_equal(a[mask], b[mask])
        outside = ~(bounds(box, grow) if name == "y" else halved(bounds(box, grow)))
        np.testing.assert_array_equal(a[outside], was[outside], "something else was changed")


@settings(max_examples=60)
@given(BOXES, st.sampled_from(["ellipse", "box"]), st.sampled_from(["mosaic", "blur"]))
def test_disguises_stay_within_their_shape(at: tuple[float, float, float, float], shape: str, mode: str) -> None:
    box = np.array([at[0], at[1], at[0] + at[2], at[1] + at[3]])
    yuv = noise(3)
    before = yuv.copy()
    MaskVideo(mode=mode, shape=shape).cover_face(yuv, box)  # type: ignore[arg-type]
    for k, (now, was) in enumerate(zip(planes(yuv), planes(before), strict=True)):
        outside = ~(halved(bounds(box, 1.35)) if k else bounds(box, 1.35))
        np.testing.assert_array_equal(now[outside], was[outside])


@pytest.mark.parametrize("mode", ["mosaic", "blur"])
def test_disguises_take_the_detail_away(mode: str) -> None:
    yuv = np.full((H * 3 // 2, W), 128, np.uint8)
    yuv[:H, ::2], yuv[:H, 1::2] = 40, 220  # stripes, one pixel wide
    box = np.array([20.0, 10.0, 76.0, 54.0])
    MaskVideo(mode=mode).cover_face(yuv, box)  # type: ignore[arg-type]
    inside = yuv[:H][ellipse(box, 1.2)]
    assert inside.min() > 100
    assert inside.max() < 160, "the stripes can still be seen"


def test_a_mosaic_has_at_most_64_tiles_however_large() -> None:
    yuv = noise(4)
    MaskVideo(mode="mosaic", shape="box", grow=1).cover_face(yuv, np.array([0.0, 0.0, 80.0, 64.0]))
    assert len(np.unique(yuv[:64, :80])) <= 64


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (200, 10, 240, 30), (10, 100, 30, 130), (-100, 10, -90, 30)])
@pytest.mark.parametrize("mode", ["fill", "mosaic", "blur"])
def test_a_box_outside_the_picture_changes_nothing(box: tuple[int, ...], mode: str) -> None:
    yuv = noise(5)
    before = yuv.copy()
    MaskVideo(mode=mode).cover_face(yuv, np.array(box, float))  # type: ignore[arg-type]
    np.testing.assert_array_equal(yuv, before)


@pytest.mark.parametrize("mode", ["fill", "mosaic", "blur"])
def test_a_box_of_no_size_is_no_box(mode: str) -> None:
    for box in [(10.5, 10.5, 10.5, 10.5), (10, 10, 20, 10), (20.5, 10, 20.5, 30)]:
        MaskVideo(mode=mode).cover_face(noise(6), np.array(box, float))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["fill", "mosaic", "blur"])
def test_a_box_of_a_pixel_or_two(mode: str) -> None:
    for corner in (0.0, 0.4, 1.0, 1.7, 61.9):
        yuv = noise(6)
        MaskVideo(mode=mode).cover_face(yuv, np.array([corner, corner, corner + 2, corner + 2]))  # type: ignore[arg-type]


def test_cover_is_in_place_and_boxes_add_up() -> None:
    yuv = np.full((H * 3 // 2, W), 10, np.uint8)
    stage = MaskVideo(grow=1, shape="box")
    stage.cover_face(yuv, np.array([10.0, 10, 30, 30]))
    stage.cover_face(yuv, np.array([50.0, 10, 70, 30]))
    assert (yuv[12:28, 12:28] == FILL_YUV["y"]).all()
    assert (yuv[12:28, 52:68] == FILL_YUV["y"]).all()
    assert (yuv[12:28, 34:46] == 10).all()


# ── the whole stage ──────────────────────────────────────────────────────────────────────────────────────────


def clip(tmp_path: Path, count: int = 30, boxes: dict[int, tuple[float, ...]] | None = None, expected: int | None = None) -> Clip:
    grid = Grid(Fraction(25), False, Fraction(0), count, W, H)
    pictures = [np.full((H * 3 // 2, W), 128, np.uint8) for _ in range(count)]
    for n, p in enumerate(pictures):
        p[:H] = 200 - n
    encode.write_video(tmp_path / "film.mp4", pictures, grid, 10, "ultrafast")
    rows = [(f, 0, *b, 0.9, "detected") for f, b in (boxes or {}).items()]
    faces = pd.DataFrame(rows, columns=list(FACE_COLUMNS))
    write_faces(faces.astype({"frame": "int32", "track": "int32"}), tmp_path / "faces.parquet")
    none = pd.DataFrame([], columns=list(FACE_COLUMNS)).astype({"frame": "int32", "track": "int32"})
    write_faces(none, tmp_path / "text_boxes.parquet")
    hands.write_hands([], tmp_path / "hand_looks.parquet")
    names = ("faces", "hand_looks", "text_boxes")
    files = {"source": File.of(tmp_path / "film.mp4")} | {n: File.of(tmp_path / f"{n}.parquet") for n in names}
    return Clip("c", "c", 0, grid.ms_at(expected or count), files, {"grid": grid.to_fact(), "drawn": []})


def shown(path: Path, count: int) -> list[np.ndarray]:
    grid = Grid(Fraction(25), False, Fraction(0), count, W, H)
    made = Clip("m", "m", 0, grid.ms_at(count), {"source": File(str(path), "")}, {"grid": grid.to_fact()})
    return [f.yuv() for f in read_frames(made)]


def test_each_frame_is_covered_by_its_own_boxes(tmp_path: Path) -> None:
    boxes = {f: (10.0 + f, 10.0, 40.0 + f, 50.0) for f in range(5, 25)}
    assert MaskVideo(shape="box", grow=1, crf=5)(clip(tmp_path, boxes=boxes), tmp_path) == {}
    frames = shown(tmp_path / "masked.mp4", 30)
    assert len(frames) == 30
    for f, yuv in enumerate(frames):
        wall = 200 - f
        if f in boxes:
            x = 10 + f
            assert abs(yuv[14:46, x + 4 : x + 26].astype(int) - FILL_YUV["y"]).max() < 12, f
            assert abs(yuv[:6, :].astype(int) - wall).max() < 12
        else:
            assert abs(yuv[:H].astype(int) - wall).max() < 12, f


def test_no_faces_is_a_plain_copy(tmp_path: Path) -> None:
    MaskVideo()(clip(tmp_path), tmp_path)
    assert len(shown(tmp_path / "masked.mp4", 30)) == 30


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    made = clip(tmp_path, boxes={3: (10, 10, 40, 40)})
    outs = [tmp_path / "a", tmp_path / "b"]
    for out in outs:
        out.mkdir()
        MaskVideo()(made, out)
    assert (outs[0] / "masked.mp4").read_bytes() == (outs[1] / "masked.mp4").read_bytes()


def test_frames_that_do_not_come_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, whole = clip(tmp_path), read_frames
    monkeypatch.setattr(media_frames, "read_frames", lambda c: list(whole(c))[:-1])
    with pytest.raises(StageError, match="30 frames expected, 29 decoded"):
        MaskVideo()(made, tmp_path)


# ── hands over a face ────────────────────────────────────────────────────────────────────────────────────────

FACE = np.array([[18.0, 4.0, 78.0, 60.0]], np.float32)


def hand(x: float = 0.0, scale: float = 280, **more: float) -> Hand:
    """An open hand in the middle of the face, as large as a hand before that face is."""
    spread = [(0.0, 0.09)]
    for finger in range(5):
        spread += [(0.03 * (finger - 2) * (0.6 + 0.2 * n), 0.02 - 0.03 * n) for n in range(4)]
    points = np.asarray(np.array(spread) * scale + [48 + x, 32], np.float32)
    return Hand(points, np.zeros(21, np.float32), scale, **more)  # type: ignore[arg-type]


def laid(stage: MaskVideo, source: np.ndarray, pairs: list[tuple[Hand, Hand | None]]) -> tuple[np.ndarray, np.ndarray]:
    """(picture, where the source shows) of a face with hands over it."""
    yuv = source.copy()
    for box in FACE:
        stage.cover_face(yuv, box)
    return yuv, stage.restore_hands(yuv, source, FACE, pairs)


@pytest.mark.parametrize(
    ("stage", "pair"),
    [
        (MaskVideo(hands="drawn"), (hand(), hand())),
        (MaskVideo(), (hand(), None)),
        (MaskVideo(), (hand(motion=30.0), hand())),
        (MaskVideo(), (hand(filled=True), hand(filled=True))),
        (MaskVideo(), (hand(scale=100), hand(scale=100))),
    ],
    ids=["drawn", "one look only", "fast", "seen by neither", "far too small"],
)
def test_a_drawn_hand_shows_no_pixel_of_the_source(stage: MaskVideo, pair: tuple[Hand, Hand | None]) -> None:
    one, other = noise(1), noise(2)
    (a, bare), (b, _) = laid(stage, one, [pair]), laid(stage, other, [pair])
    assert not bare.any()
    under = ellipse(FACE[0], 1.35)
    for name, x, y, mask in zip("yuv", planes(a), planes(b), [under] + [halved(under)] * 2, strict=True):
        np.testing.assert_array_equal(x[mask], y[mask])
        assert len(np.unique(x[mask])) >= 2, f"a hand is drawn in {name}"


def test_a_shown_hand_shows_where_both_looks_have_bones_and_nowhere_else() -> None:
    one, first, second = noise(1), hand(), hand(x=2.0)
    yuv, bare = laid(MaskVideo(), one, [(first, second)])
    both = hand_drawing.mask_bones(first, H, W) & hand_drawing.mask_bones(second, H, W) & ellipse(FACE[0], 1.35)
    np.testing.assert_array_equal(bare, both)
    assert bare.any()
    np.testing.assert_array_equal(planes(yuv)[0][bare], planes(one)[0][bare])
    other, _ = laid(MaskVideo(), noise(2), [(first, second)])
    hidden = ellipse(FACE[0], 1.35) & ~bare
    np.testing.assert_array_equal(planes(yuv)[0][hidden], planes(other)[0][hidden])
    whole = ~halved(~bare)
    for now, then in zip(planes(yuv)[1:], planes(other)[1:], strict=True):
        mask = halved(ellipse(FACE[0], 1.35)) & ~whole
        np.testing.assert_array_equal(now[mask], then[mask])


def test_a_drawn_hand_before_a_shown_one_hides_it() -> None:
    _, alone = laid(MaskVideo(), noise(1), [(hand(), hand())])
    _, behind = laid(MaskVideo(), noise(1), [(hand(), hand()), (hand(x=4), None)])
    assert behind.sum() < alone.sum()


def test_hands_beside_the_face_are_left_alone() -> None:
    source = noise(1)
    yuv, bare = laid(MaskVideo(), source, [(hand(x=500), hand(x=500))])
    covered = source.copy()
    MaskVideo().cover_face(covered, FACE[0])
    np.testing.assert_array_equal(yuv, covered)
    assert not bare.any()


def with_hands(made: Clip, tmp_path: Path) -> Clip:
    """The clip, with a hand over the middle of the picture in every frame, in both looks."""
    flat = hand()
    points = np.concatenate([flat.points / [W, H], np.zeros((21, 1))], axis=1).astype(np.float32)
    world = np.concatenate([(flat.points - [48, 32]) / flat.scale, np.zeros((21, 1))], axis=1).astype(np.float32)
    seen = Seen(points, world, "left", 0.9)
    hands.write_hands([(f, look, [seen]) for f in range(made.num_frames) for look in (0, 1)], tmp_path / "hand_looks.parquet")
    return made.with_results({"hand_looks": File.of(tmp_path / "hand_looks.parquet")}, {})


def test_hands_are_shown_drawn_or_hidden(tmp_path: Path) -> None:
    made = with_hands(clip(tmp_path, boxes=dict.fromkeys(range(30), (18, 4, 78, 60))), tmp_path)
    luma = {}
    for kind in ("shown", "drawn", "hidden"):
        MaskVideo(hands=kind, crf=0)(made, tmp_path)  # type: ignore[arg-type]
        luma[kind] = shown(tmp_path / "masked.mp4", 30)[10][:H][hand_drawing.mask_bones(hand(), H, W)].astype(int)
    assert np.mean(np.abs(luma["shown"] - 190) < 8) > 0.9, "the wall behind, where the hand would be"
    assert np.mean(np.abs(luma["drawn"] - 190) < 8) < 0.2
    assert (np.abs(luma["hidden"] - FILL_YUV["y"]) < 8).all()


def test_text_and_owners_boxes_lie_over_all(tmp_path: Path) -> None:
    made = with_hands(clip(tmp_path, boxes=dict.fromkeys(range(30), (18, 4, 78, 60))), tmp_path)
    text = pd.DataFrame([(5, 0, 30.0, 10.0, 60.0, 50.0, 1.0, "detected")], columns=list(FACE_COLUMNS))
    write_faces(text.astype({"frame": "int32", "track": "int32"}), tmp_path / "text_boxes.parquet")
    owner = {"start_ms": 400, "end_ms": 480, "box": [0.0, 0.0, 0.25, 1.0]}
    made = made.with_results({"text_boxes": File.of(tmp_path / "text_boxes.parquet")}, {"drawn": [owner]})
    MaskVideo(crf=0)(made, tmp_path)
    frames = shown(tmp_path / "masked.mp4", 30)
    assert (np.abs(frames[5][10:50, 30:60].astype(int) - FILL_YUV["y"]) < 8).all(), "no hand is put back over text"
    for f in (9, 10, 11, 12):
        plain = (np.abs(frames[f][:H, :24].astype(int) - FILL_YUV["y"]) < 8).all()
        assert plain == (f in (10, 11)), f


@given(st.integers(0, 1200), st.integers(1, 500), st.sampled_from([Fraction(25), Fraction(30000, 1001)]), st.integers(0, 700))
def test_an_owners_box_is_on_each_frame_that_is_seen_within_its_time(start: int, lasts: int, fps: Fraction, begin: int) -> None:
    grid = Grid(fps, False, Fraction(0), 40, W, H)
    drawn = {"start_ms": start, "end_ms": start + lasts, "box": [0.0, 0.0, 0.5, 0.5]}
    made = Clip("c", "c", begin, grid.ms_at(40), {}, {"grid": grid.to_fact(), "drawn": [drawn]})
    on = owner_boxes_by_frame(made)
    for ms in range(start, start + lasts):
        f = int((Fraction(ms, 1000) + Fraction(1, 2000)) * fps) - made.first_frame
        if 0 <= f < made.num_frames:
            assert f in on
    assert len(on) <= Fraction(lasts, 1000) * fps + 2
