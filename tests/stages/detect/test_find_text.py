"""A name that is burnt into real footage is covered in every frame in which it can be read, and little else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.errors import ModelError
from deemo_data.files import File
from deemo_data.media import encode, frames
from deemo_data.models.text import ocr
from deemo_data.stages.deidentify.mask_video import MaskVideo
from deemo_data.stages.detect.find_text import FindText, refine_between
from deemo_data.tracks import faces
from deemo_data.tracks.linking import detections_differ
from tests.makers.burnt_text import NAME, Place, banner, burnt, clip_of, fades


def slides(begin: float, end: float, over: float = 0.4) -> Place:
    """In from the left, and out again."""

    def place(t: float, size: tuple[int, int]) -> tuple[float, float, float]:
        shown = np.clip(min((t - begin) / over, (end - t) / over), 0, 1)
        return -size[0] + float(shown) * (size[0] + 30), 30, 1.0

    return place


def runs(speed: float) -> Place:
    """A ticker: from the right to the left, pixels a second."""
    return lambda t, size: (600 - speed * t, 12, 1.0)


def covered(clip: Clip, out: Path, every: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """{frame: what it looked like, what is left of it} (red first), with the cover that the mask uses."""
    FindText()(clip, out)
    boxes = faces.boxes_by_frame(faces.read_faces(out / "text_boxes.parquet"))
    plain = MaskVideo(shape="box", grow=1)
    pairs = {}
    for frame in frames.read_frames(clip, every):
        yuv = frame.yuv().copy()
        for box in boxes.get(frame.index, ()):
            plain.cover_face(yuv, box)
        pairs[frame.index] = frame.rgb(), cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB_I420)
    return pairs


def readable(pairs: dict[int, tuple[np.ndarray, np.ndarray]]) -> tuple[list[int], list[int]]:
    """Frames in which a part of the name can be read, before and after."""
    from deemo_data.audit.attacks import screen
    from deemo_data.models.runtime.weights import path_of
    from deemo_data.models.text import ocr

    try:
        path_of(ocr.READER)
    except ModelError as e:
        pytest.skip(f"{e.what}: type `deemo models pull --group audit`")
    said = [
        [f for f, pair in pairs.items() if screen.recall_names_in_lines([NAME], screen.read_text(pair[k])).share] for k in (0, 1)
    ]
    return said[0], said[1]


def shares_covered(path: Path, clip: Clip) -> list[float]:
    """Of each frame, the share of the picture under boxes."""
    boxes = faces.boxes_by_frame(faces.read_faces(path))
    shares = []
    for f in range(clip.num_frames):
        mask = np.zeros((clip.grid.height, clip.grid.width), bool)
        for x0, y0, x1, y1 in boxes.get(f, ()):
            mask[int(y0) : int(y1), int(x0) : int(x1)] = True
        shares.append(float(mask.mean()))
    return shares


# ── when it looks ────────────────────────────────────────────────────────────────────────────────────────────


def box(x: float, y: float = 100, wide: float = 80, high: float = 20) -> np.ndarray:
    return np.array([[x, y, x + wide, y + high, 0.9]], np.float32)


NONE = np.zeros((0, 5), np.float32)


@given(since=st.integers(1, 30))
def test_it_finds_the_very_frame_in_which_a_line_appears(since: int) -> None:
    asked: list[int] = []

    def look(frame: int) -> np.ndarray:
        asked.append(frame)
        return box(50) if frame >= since else NONE

    looks = {0: NONE, 30: box(50)}
    refine_between(looks, 0, 30, {f: f for f in range(31)}, look)  # type: ignore[arg-type]
    assert len(looks[since]) == 1
    assert since - 1 in looks
    assert len(looks[since - 1]) == 0
    assert len(asked) <= 5


def test_it_follows_what_moves_and_leaves_alone_what_stands() -> None:
    asked: list[int] = []

    def look(frame: int) -> np.ndarray:
        asked.append(frame)
        return box(50 + 30 * frame)

    looks = {0: box(50), 8: box(290)}
    refine_between(looks, 0, 8, {f: f for f in range(9)}, look)  # type: ignore[arg-type]
    assert sorted(asked) == list(range(1, 8))
    asked.clear()
    refine_between({0: box(50), 30: box(52)}, 0, 30, {}, look)
    assert asked == []
    assert not detections_differ(box(50), box(52))


def test_none_looks_at_nothing(tmp_path: Path) -> None:
    grid = Grid.of({"fps": "25", "vfr": False, "zero": "0", "frames": 10, "width": 64, "height": 48}).to_fact()
    FindText(detector="none")(Clip("a", "a", 0, 400, {"source": File("not there", "")}, {"grid": grid}), tmp_path)
    found = faces.read_faces(tmp_path / "text_boxes.parquet")
    assert list(found.columns) == list(faces.FACE_COLUMNS)
    assert len(found) == 0


def test_a_picture_that_stands_still_is_looked_at_once(
    weights: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = replace(clip_of(media / "video" / "asl_book.mkv"), end_ms=1000)
    first = next(frames.read_frames(clip)).bgr().copy()
    tile = banner(0.8)
    first[400 : 400 + tile.shape[0], 30 : 30 + tile.shape[1]] = tile
    yuv = cv2.cvtColor(first, cv2.COLOR_BGR2YUV_I420)
    encode.write_video(tmp_path / "still.mp4", (yuv for _ in range(60)), clip.grid, 18, "veryfast")
    looks = []
    really = ocr.detect
    monkeypatch.setattr(ocr, "detect", lambda *args: looks.append(1) or really(*args))
    still = clip_of(tmp_path / "still.mp4")
    FindText()(still, tmp_path)
    assert len(looks) <= 4, "two sizes, once or (the encoder settles) twice"
    found = faces.read_faces(tmp_path / "text_boxes.parquet")
    assert sorted(found["frame"].unique()) == list(range(60))
    assert len(found) == 60


# ── real footage ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_banner_that_fades_in_and_out_cannot_be_read(weights: Path, media: Path, tmp_path: Path) -> None:
    clip = burnt(clip_of(media / "video" / "asl_book.mkv", end_ms=2400), fades(0.6, 1.9), tmp_path / "fade.mp4")
    before, after = readable(covered(clip, tmp_path, every=6))
    assert len(before) > 4
    assert after == []
    assert max(shares_covered(tmp_path / "text_boxes.parquet", clip)) < 0.12


def test_nothing_is_covered_where_there_is_no_text(weights: Path, media: Path, tmp_path: Path) -> None:
    """A checked shirt, moving hands, a screen, blue boards."""
    clip = clip_of(media / "video" / "asl_hungry.mkv")
    FindText()(clip, tmp_path)
    assert max(shares_covered(tmp_path / "text_boxes.parquet", clip)) == 0


def test_leaves_over_the_whole_picture_are_no_line(weights: Path, media: Path, tmp_path: Path) -> None:
    """PP-OCR's small look takes these woods for one line, 450 px high: the whole picture would be covered for a second."""
    hikers = clip_of(media / "video" / "hikers_walking_audio_cc.mp4")
    clip = replace(hikers, start_ms=12379, end_ms=15000)
    FindText(highest=1, doubtful=1, least_left=0)(clip, tmp_path)
    assert max(shares_covered(tmp_path / "text_boxes.parquet", clip)) > 0.9
    FindText()(clip, tmp_path)
    assert max(shares_covered(tmp_path / "text_boxes.parquet", clip)) < 0.05


def test_boxes_stay_in_the_picture_and_say_where_they_come_from(weights: Path, media: Path, tmp_path: Path) -> None:
    clip = burnt(clip_of(media / "video" / "asl_eat.mkv", end_ms=1200), slides(0.2, 1.2), tmp_path / "slide.mp4")
    FindText(every_ms=300, hold_ms=200)(clip, tmp_path)
    found = faces.read_faces(tmp_path / "text_boxes.parquet")
    assert found[["x0", "y0"]].to_numpy().min() >= 0
    assert found["x1"].max() <= 640
    assert found["y1"].max() <= 480
    assert set(found["origin"]) <= {"detected", "linked", "held"}
    assert {"detected", "held"} <= set(found["origin"])


@pytest.mark.slow
@pytest.mark.parametrize("place", [fades(1, 4, 0.5), slides(1, 4), runs(330)], ids=["fades", "slides", "runs"])
def test_a_name_over_five_seconds_of_talk_cannot_be_read(weights: Path, media: Path, tmp_path: Path, place: Place) -> None:
    talker = clip_of(media / "video" / "talker_hands_speech_wim.mp4", end_ms=5000)
    clip = burnt(talker, place, tmp_path / "banner.mp4", scale=1.2)
    before, after = readable(covered(clip, tmp_path, every=5))
    assert len(before) > 10
    assert after == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("talker_hands_speech_wim.mp4", 0.0),
        ("hikers_walking_audio_cc.mp4", 0.005),
        ("asl_again.mkv", 0.05),  # a name is printed on the shirt, and it is covered
        ("asl_eat.mkv", 0.01),
        ("signer_selfie_slp.mp4", 0.01),
    ],
)
def test_how_much_of_real_footage_is_covered(weights: Path, media: Path, tmp_path: Path, name: str, most: float) -> None:
    clip = clip_of(media / "video" / name)
    FindText()(clip, tmp_path)
    assert np.mean(shares_covered(tmp_path / "text_boxes.parquet", clip)) <= most
