"""What a shown hand costs: real hands, whose matte is known, laid over real faces of other people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd
import pytest

from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.media import container, encode, probe
from deemo_data.media.frames import read_frames
from deemo_data.models import mediapipe
from deemo_data.models.faces import centerface, insightface
from deemo_data.stages.deidentify.mask_video import MaskVideo
from deemo_data.stages.detect.track_body import TrackBody
from deemo_data.stages.detect.track_hands import TrackHands
from deemo_data.tracks import body, faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

TALKER = "talker_hands_speech_wim.mp4"
FACES = ("grid_bbaf2n.mpg", "grid_brbk7n.mpg", "grid_lbax4n.mpg", "grid_lbbc2a.mpg", "grid_lrwp9a.mpg", "grid_id2_vcd_swwp2s.mpg")
MOMENTS = (1080, 2000, 4900, 6900, 9000, 13000)  # ms of the talker: one hand well apart from his face
SPOTS = ((0.5, 0.8), (0.2, 0.6), (0.8, 0.5), (0.5, 0.2), (0.4, 0.5), (0.65, 0.75))  # of the face box: where a hand goes
LASTING = 14  # frames


Film = tuple[Clip, list["NDArray[np.bool_]"], "NDArray[np.float32]"]  # a composed clip, its mattes, its face box


@dataclass(frozen=True)
class Cut:
    """A hand cut out of a frame: the picture around it, which of its pixels are hand, and the width of its owner's face."""

    bgr: NDArray[np.uint8]
    matte: NDArray[np.bool_]
    middle: NDArray[np.float32]
    face: float


def clip_of(path: Path, start_ms: int = 0, end_ms: int | None = None) -> Clip:
    facts = probe.probe_video(path)
    return Clip("c", "c", start_ms, end_ms or facts["duration_ms"], {"source": File.of(path)}, facts | {"drawn": []})


def face_in(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The surest face (x0, y0, x1, y1, score)."""
    width, height = centerface.choose_input_size(bgr.shape[1], bgr.shape[0], 640)
    found = centerface.detect(centerface.load(), cv2.resize(bgr, (width, height)), 0.3)[0]
    return found * np.array([bgr.shape[1] / width, bgr.shape[0] / height] * 2 + [1], np.float32)


def cuts(talker: Path, start_ms: int) -> list[Cut]:
    """His nearest hand in each frame of a moment: what has the colour of skin, and hangs together, around its points."""
    clip = clip_of(talker, start_ms, start_ms + LASTING * 40)
    made: list[Cut] = []
    size = np.array([clip.grid.width, clip.grid.height], np.float32)
    with mediapipe.open_hand_landmarker() as look:
        for frame in read_frames(clip):
            bgr = frame.bgr()
            face = face_in(bgr)
            found = [hand.points[:, :2] * size for hand in look(frame.rgb(640, 360), frame.index * 33)]
            if not found:
                continue
            last = made[-1].middle if made else np.array([0.0, 0.0], np.float32)
            points = min(found, key=lambda p: float(np.hypot(*(p.mean(0) - last)))) if made else found[0]
            long = float((points.max(0) - points.min(0)).max())
            hull = np.zeros(bgr.shape[:2], np.uint8)
            cv2.fillConvexPoly(hull, cv2.convexHull(points.astype(np.int32)), 1)
            around = cv2.dilate(hull, np.ones((3, 3), np.uint8), iterations=int(long * 0.12))
            y, cr, _ = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
            rough = ((cr > 136) & (y > 40) & (around > 0)).astype(np.uint8)
            skin = cv2.morphologyEx(rough, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
            _, parts = cv2.connectedComponents(skin)
            matte = parts == np.bincount(parts[(hull > 0) & (skin > 0)]).argmax()
            made.append(Cut(bgr, matte & (skin > 0), points.mean(0), float(face[2] - face[0])))
    return made


def laid_over(
    clip: Clip, hand: list[Cut], spot: tuple[float, float]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]]:
    """(picture, where the hand is, the face box) frame by frame: the hand as large as it would be for that face."""
    first: NDArray[np.float32] | None = None
    for frame, cut in zip(read_frames(clip), hand, strict=False):
        bgr = frame.bgr()
        box = face_in(bgr) if first is None else first
        first = box
        scale = float(box[2] - box[0]) / cut.face
        target = np.array([box[0] + spot[0] * (box[2] - box[0]), box[1] + spot[1] * (box[3] - box[1])])
        shift = target - hand[0].middle * scale
        turn = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        size = (bgr.shape[1], bgr.shape[0])
        alpha = cv2.warpAffine(cut.matte.astype(np.float32), turn, size, flags=cv2.INTER_AREA)
        picture = cv2.warpAffine(cut.bgr, turn, size, flags=cv2.INTER_LINEAR)
        mixed = picture * alpha[..., None] + bgr * (1 - alpha[..., None])
        yield np.asarray(mixed, np.uint8), alpha > 0.1, box


def planar(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import av

    return av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format="yuv420p").to_ndarray()


def composed(clip: Clip, hand: list[Cut], spot: tuple[float, float], out: Path) -> Film:
    """The composed film with its faces and the looks at its hands; the true matte of each frame; the face box."""
    frames = list(laid_over(clip, hand, spot))
    grid = replace(clip.grid, frames=len(frames), zero=container.Fraction(0))
    encode.write_video(out / "film.mp4", (planar(p) for p, _, _ in frames), grid, 8, "veryfast")
    box = frames[0][2]
    rows = [(f, 0, *(float(v) for v in box), "detected") for f in range(len(frames))]
    faces.write_faces(pd.DataFrame(rows, columns=list(faces.FACE_COLUMNS)).astype({"frame": "int32"}), out / "faces.parquet")
    points = np.full((len(frames), 1, 75, 3), np.nan, np.float32)
    points[:, 0, 33:54, :2] = (box[:2] + box[2:4]) / 2 / [grid.width, grid.height]  # a hand is there: look
    body.write_body(body.Body(points, np.ones(points.shape[:3], np.float32)), out / "body.parquet")
    files = {"source": File.of(out / "film.mp4"), "faces": File.of(out / "faces.parquet")}
    made = Clip("m", "m", 0, grid.ms_at(len(frames)), files, {"grid": grid.to_fact(), "drawn": []})
    (out / "seen").mkdir()
    TrackBody()(made, out / "seen")
    made = made.with_results({"body": File.of(out / "body.parquet"), "hands": File.of(out / "seen" / "hands.parquet")}, {})
    TrackHands()(made, out)
    return made.with_results({"hand_looks": File.of(out / "hand_looks.parquet")}, {}), [m for _, m, _ in frames], box


@dataclass(frozen=True)
class Cost:
    """One frame: shares of the face ellipse that the hand hides, that show though they are face, and of the hand that shows."""

    hidden: float
    face_shown: float
    hand_shown: float


def costs(stage: MaskVideo, clip: Clip, mattes: list[NDArray[np.bool_]], box: NDArray[np.float32]) -> list[Cost]:
    face = np.zeros(mattes[0].shape, np.uint8)
    middle, axes = (box[:2] + box[2:4]) / 2, (box[2:4] - box[:2]) * 0.45
    cv2.ellipse(face, [int(v) for v in middle], [int(v) for v in axes], 0, 0, 360, 1, -1)
    ellipse = face > 0
    pairs, made = stage.pair_hands(clip), []
    for frame, matte in zip(read_frames(clip), mattes, strict=True):
        source = frame.yuv()
        yuv = source.copy()
        stage.cover_face(yuv, box)
        bare = stage.restore_hands(yuv, source, box[None], pairs.get(frame.index, []))
        hidden = (ellipse & matte).sum() / ellipse.sum()
        if hidden > 0.05:
            face_shown = (bare & ellipse & ~matte).sum() / ellipse.sum()
            hand_shown = (bare & matte & ellipse).sum() / (matte & ellipse).sum()
            made.append(Cost(float(hidden), float(face_shown), float(hand_shown)))
    return made


@pytest.fixture(scope="module")
def films(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    made = []
    for n, (name, moment, spot) in enumerate(zip(FACES, MOMENTS, SPOTS, strict=True)):
        hand = cuts(media / "video" / TALKER, moment)
        made.append(composed(clip_of(media / "video" / name), hand, spot, tmp_path_factory.mktemp(f"film{n}")))
    return made


@pytest.mark.slow
def test_next_to_nothing_of_the_face_is_shown_with_a_hand(films: list[Film]) -> None:
    found = [cost for film in films for cost in costs(MaskVideo(), *film)]
    shown = np.array([c.face_shown for c in found])
    assert len(shown) > 50
    assert np.mean([c.hand_shown > 0.2 for c in found]) > 0.3, "hands are shown at all"
    assert np.median(shown) <= 0.01
    assert shown.max() <= 0.08


@pytest.mark.slow
def test_a_drawn_hand_shows_nothing_of_the_face(films: list[Film]) -> None:
    found = [cost for film in films for cost in costs(MaskVideo(hands="drawn"), *film)]
    assert len(found) > 50
    assert {(c.face_shown, c.hand_shown) for c in found} == {(0.0, 0.0)}


def network(folder: Path, name: str) -> Any:
    path = folder / "models" / name
    if not path.is_file():
        pytest.skip(f"no {name}: put it into ../shared/media/models")
    return insightface.load(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.slow
def test_a_recogniser_does_no_better_with_the_hand_than_with_the_mask_alone(films: list[Film], media: Path) -> None:
    """Each composed frame against a later, hand-free frame of the same person, and against those of the others."""
    scrfd, mobile = network(media, "scrfd_500m_kps.onnx"), network(media, "mobilefacenet_vface.onnx")
    gallery, aligned = [], []
    for name in FACES:
        clip = clip_of(media / "video" / name)
        frames = [f.bgr() for f in read_frames(clip) if f.index in (0, 60)]
        points = [insightface.detect_points(scrfd, bgr, 0.5)[1][0] for bgr in frames]
        gallery.append(insightface.embed(mobile, frames[1], points[1]))
        aligned.append(points[0])
    known = np.stack(gallery)

    def named(stage: MaskVideo | None) -> tuple[float, float]:
        """Rank-1 share, and the mean likeness to the right person less that to the others."""
        right, ahead = [], []
        for person, (clip, _, box) in enumerate(films):
            pairs = stage.pair_hands(clip) if stage else {}
            for frame in read_frames(clip):
                source = frame.yuv()
                yuv = source.copy()
                if stage:
                    stage.cover_face(yuv, box)
                    stage.restore_hands(yuv, source, box[None], pairs.get(frame.index, []))
                alike = known @ insightface.embed(mobile, cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR_I420), aligned[person])
                right.append(int(alike.argmax()) == person)
                ahead.append(float(alike[person] - np.delete(alike, person).mean()))
        return float(np.mean(right)), float(np.mean(ahead))

    bare, covered, shown = named(None), named(MaskVideo(hands="hidden")), named(MaskVideo())
    assert bare[0] > 0.6, "without a mask it knows them, hand or no hand"
    assert shown[0] <= covered[0] + 0.15
    assert shown[1] <= covered[1] + 0.05
