"""Every model on real footage and sound: it finds what is there, and not what is not."""

from __future__ import annotations

import hashlib
import itertools
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime
import pytest

from deemo_data.errors import ModelError
from deemo_data.models import mediapipe
from deemo_data.models.faces import blazeface, centerface, facemesh, insightface
from deemo_data.models.runtime import boxes, sessions, tflite
from deemo_data.models.speech import silero

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACE = np.array([525, 84, 703, 295], np.float32)  # the talker's face in frame 45, by eye
pytestmark = pytest.mark.usefixtures("weights")


def pictures(path: Path, first: int, count: int) -> list[NDArray[np.uint8]]:
    import av

    with av.open(str(path)) as container:
        frames = itertools.islice(container.decode(video=0), first, first + count)
        return [frame.to_ndarray(format="rgb24") for frame in frames]


@pytest.fixture(scope="module")
def talker(media: Path) -> NDArray[np.uint8]:
    return pictures(media / "video" / "talker_hands_speech_wim.mp4", 45, 1)[0]


def masked(rgb: NDArray[np.uint8], box: NDArray[np.float32] = FACE) -> NDArray[np.uint8]:
    x0, y0, x1, y1 = (int(v) for v in box)
    centre, axes = ((x0 + x1) // 2, (y0 + y1) // 2), (int((x1 - x0) * 0.65), int((y1 - y0) * 0.65))
    return cv2.ellipse(rgb.copy(), centre, axes, 0, 0, 360, (90, 90, 90), -1)


def overlap(found: NDArray[np.float32], expected: NDArray[np.float32] = FACE) -> float:
    return float(boxes.overlaps(expected, found).max()) if len(found) else 0.0


def test_suppression_keeps_the_strongest_of_each_pile() -> None:
    pile = np.array([[0, 0, 10, 10, 0.5], [1, 0, 11, 10, 0.9], [40, 40, 50, 50, 0.2], [0, 1, 10, 11, 0.6]], np.float32)
    assert boxes.strongest(pile).tolist() == [1, 2]
    assert boxes.strongest(boxes.none()).tolist() == []
    assert boxes.overlaps(pile[0], pile) == pytest.approx([1.0, 9 / 11, 0.0, 9 / 11])


def test_a_cut_outside_the_picture_is_black() -> None:
    picture = np.full((20, 30, 3), 200, np.uint8)
    window = boxes.cut(picture, -10, -10, 20, 20)
    assert window.shape == (20, 20, 3)
    assert not window[:10].any()
    assert not window[:, :10].any()
    assert (window[10:, 10:] == 200).all()
    assert not boxes.cut(picture, 100, 100, 8, 4).any()
    assert not boxes.cut(picture, -50, -50, 8, 4).any()


@pytest.mark.parametrize(
    ("width", "height", "longest", "expected"),
    [(1280, 720, 640, (640, 352)), (1280, 720, 320, (320, 192)), (360, 640, 640, (384, 640)), (1280, 720, 4000, (1280, 736)),
     (10, 10, 320, (32, 32)), (4000, 40, 320, (320, 32))],
)  # fmt: skip
def test_working_size(width: int, height: int, longest: int, expected: tuple[int, int]) -> None:
    assert centerface.working_size(width, height, longest) == expected


def test_centerface_finds_the_face_at_every_size(talker: NDArray[np.uint8]) -> None:
    net = centerface.load()
    for longest in (320, 640, 1280):
        size = centerface.working_size(1280, 720, longest)
        found = centerface.detect(net, cv2.resize(talker[..., ::-1], size), 0.5)
        assert found.dtype == np.float32
        assert found.shape == (1, 5)
        scale = np.array([1280 / size[0], 720 / size[1]] * 2, np.float32)
        assert overlap(found[:, :4] * scale) > 0.8
    wall = np.full((192, 320, 3), 128, np.uint8)
    assert centerface.detect(net, wall, 0.3).shape == (0, 5)
    with pytest.raises(ValueError, match="multiples of 32, not 320x180"):
        centerface.detect(net, wall[:180], 0.5)


def test_scrfd_through_insightface_agrees(media: Path, talker: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]) -> None:
    path = media / "models" / "scrfd_500m_kps.onnx"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    net = insightface.load(path, digest)
    bgr = np.ascontiguousarray(talker[..., ::-1])
    found, points = insightface.detect_points(net, bgr, 0.5)
    assert found.shape == (1, 5)
    assert overlap(found) > 0.7
    assert points.shape == (1, 5, 2)
    assert (points[0] > FACE[:2]).all()
    assert (points[0] < FACE[2:]).all()
    assert insightface.detect(net, np.full((200, 300, 3), 128, np.uint8), 0.5).shape == (0, 5)
    recogniser = media / "models" / "mobilefacenet_vface.onnx"
    faces = insightface.load(recogniser, hashlib.sha256(recogniser.read_bytes()).hexdigest())
    vector = insightface.embed(faces, bgr, points[0])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ insightface.embed(faces, bgr, points[0] + 2) > 0.8
    assert vector @ insightface.embed(faces, bgr[:, ::-1], points[0]) < 0.5
    with pytest.raises(ModelError, match="not a face detector"):
        insightface.detect(faces, bgr, 0.5)
    assert capfd.readouterr().out == ""


def test_insightface_refuses_another_file(media: Path) -> None:
    path = media / "models" / "scrfd_500m_kps.onnx"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=digest) as caught:
        insightface.load(path, "0" * 64)
    assert f'sha256 = "{digest}"' in caught.value.advice
    with pytest.raises(ModelError, match="is missing"):
        insightface.load(media / "models" / "nothing.onnx", digest)


def test_pose_and_hands_follow_the_talker(media: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frames = pictures(media / "video" / "talker_hands_speech_wim.mp4", 40, 6)
    small = [cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA) for frame in frames]
    with mediapipe.pose() as look:
        people = [look(frame, 40 * i) for i, frame in enumerate(small)]
    with mediapipe.hands() as watch:
        hands = [watch(frame, 40 * i) for i, frame in enumerate(small)]
    assert [len(found) for found in people] == [1] * 6
    person = people[-1][0]
    assert person.shape == (33, 4)
    assert person.dtype == np.float32
    nose = person[0, :2] * (1280, 720)
    assert (FACE[:2] < nose).all()
    assert (nose < FACE[2:]).all()
    assert person[11, 0] > person[12, 0]  # he faces us: his left shoulder is on the right
    assert (person[:, 3] >= 0).all()
    assert (person[:, 3] <= 1).all()
    assert [len(found) for found in hands] == [2] * 6
    for hand in hands[-1]:
        assert hand.points.shape == hand.world.shape == (21, 3)
        assert 0.05 < np.ptp(hand.world, axis=0).max() < 0.25  # metres
        assert 0.5 < hand.score <= 1
        wrists = {"left": person[15, :2], "right": person[16, :2]}
        near = min(wrists, key=lambda side: float(np.linalg.norm(wrists[side] - hand.points[0, :2])))
        assert hand.side == near
    assert capfd.readouterr() == ("", "")


def test_task_bundles_have_the_same_bytes_every_time() -> None:
    first = mediapipe.pose_bundle()
    mediapipe.pose_bundle.cache_clear()
    assert mediapipe.pose_bundle() == first


def test_a_failing_landmarker_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediapipe, "pose_bundle", lambda *_: b"not a bundle")
    with pytest.raises(ModelError, match="PoseLandmarker"), mediapipe.pose():
        pass


@pytest.mark.parametrize(
    ("name", "longest"), [(blazeface.SHORT, 128), (blazeface.SHORT, 640), (blazeface.FULL, 256), (blazeface.FULL, 512)]
)
def test_blazeface_finds_the_face_and_not_the_mask(talker: NDArray[np.uint8], name: str, longest: int) -> None:
    net = blazeface.load(name)
    found = blazeface.detect_one_range(net, talker, 0.5, longest)
    assert found.dtype == np.float32
    assert overlap(found) > 0.6
    assert overlap(blazeface.detect_one_range(net, masked(talker), 0.5, longest)) < 0.1
    upright = np.ascontiguousarray(np.pad(talker, ((0, 1500), (0, 0), (0, 0))))  # taller than wide
    assert overlap(blazeface.detect_one_range(net, upright, 0.5, longest * 2220 // 1280)) > 0.6
    wall = np.full((100, 37, 3), 128, np.uint8)
    assert blazeface.detect_one_range(net, wall, 0.5, longest).shape == (0, 5)


@pytest.mark.parametrize(("name", "side"), [(blazeface.SHORT, 128), (blazeface.FULL, 192)])
def test_blazeface_at_any_size_is_the_network_as_it_was_made(talker: NDArray[np.uint8], name: str, side: int) -> None:
    from deemo_data.models.runtime.sessions import session
    from deemo_data.models.runtime.weights import path_of

    fixed, free = session(tflite.to_onnx(path_of(name).read_bytes())), blazeface.load(name).run
    name_in = fixed.get_inputs()[0].name
    assert fixed.get_inputs()[0].shape == ["n", 3, side, side]
    assert free.get_inputs()[0].shape == ["n", 3, "h", "w"]
    picture = cv2.resize(talker, (2 * side, side), interpolation=cv2.INTER_AREA).astype(np.float32).transpose(2, 0, 1)
    picture = picture[None] / 127.5 - 1
    square = np.ascontiguousarray(picture[..., :side])
    for ours, theirs in zip(free.run(None, {name_in: square}), fixed.run(None, {name_in: square}), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)
    for ours, theirs in zip(free.run(None, {name_in: picture}), fixed.run(None, {name_in: square}), strict=True):
        assert ours.shape == (1, 2 * theirs.shape[1], theirs.shape[2])


@pytest.mark.parametrize(("name", "side"), [(blazeface.SHORT, 128), (blazeface.FULL, 192)])
def test_a_wider_look_finds_the_same_box(talker: NDArray[np.uint8], name: str, side: int) -> None:
    net = blazeface.load(name)
    window = np.ascontiguousarray(talker[:, 280:1000])  # a square that the network knows, against the whole at that scale
    alone = blazeface.detect_one_range(net, window, 0.5, side)
    whole = blazeface.detect_one_range(net, talker, 0.5, round(side * 1280 / 720))
    assert len(alone)
    assert overlap(whole[:, :4], alone[0, :4] + np.array([280, 0, 280, 0], np.float32)) > 0.8
    assert whole[0, 4] == pytest.approx(alone[0, 4], abs=0.2)


def test_what_is_no_blazeface_is_refused() -> None:
    with pytest.raises(ModelError, match="facemesh-1055cb is not a BlazeFace"):
        blazeface.load(facemesh.WEIGHTS)


@pytest.mark.parametrize("name", [blazeface.SHORT, blazeface.FULL])
def test_blazeface_as_onnx_finds_what_mediapipe_finds(talker: NDArray[np.uint8], name: str) -> None:
    import mediapipe as theirs
    from mediapipe.tasks.python import BaseOptions, vision

    from deemo_data.models.runtime.weights import path_of

    model = tflite.with_normalisation(path_of(name).read_bytes(), 127.5, 127.5)
    options = vision.FaceDetectorOptions(base_options=BaseOptions(model_asset_buffer=model), min_detection_confidence=0.5)
    image = theirs.Image(image_format=theirs.ImageFormat.SRGB, data=np.ascontiguousarray(talker))
    with vision.FaceDetector.create_from_options(options) as detector:
        face = detector.detect(image).detections[0]
    box = face.bounding_box
    expected = np.array([box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height], np.float32)
    square = np.pad(talker, ((280, 280), (0, 0), (0, 0)))  # MediaPipe puts the picture in the middle of a black square
    found = blazeface.detect(blazeface.load(name), square, 0.5)
    assert overlap(found, expected + np.array([0, 280, 0, 280], np.float32)) > 0.9
    assert found[0, 4] == pytest.approx(face.categories[0].score, abs=0.05)


def test_two_looks_find_small_faces_and_large_ones(media: Path, talker: NDArray[np.uint8]) -> None:
    picture = pictures(media / "video" / "event_6people_small_faces_cc.mp4", 20, 1)[0]
    size = centerface.working_size(640, 480, 640)
    faces = centerface.detect(centerface.load(), cv2.resize(picture[..., ::-1], size), 0.6)
    assert len(faces) >= 4
    short, full = blazeface.load(blazeface.SHORT), blazeface.load(blazeface.FULL)
    coarse, fine = blazeface.detect_one_range(short, picture, 0.5, 128), blazeface.detect_one_range(short, picture, 0.5, 640)
    assert sum(overlap(fine, face) > 0.25 for face in faces) == len(faces)
    assert sum(overlap(coarse, face) > 0.25 for face in faces) < len(faces)
    close = cv2.resize(talker[40:340, 350:880], (1280, 720))  # the face is three quarters of the picture's height
    expected = (FACE - np.array([350, 40, 350, 40], np.float32)) * np.array([1280 / 530, 720 / 300] * 2, np.float32)
    assert overlap(blazeface.detect_one_range(full, close, 0.5, 256), expected) > 0.6


def test_presence_tells_faces_from_masks_hands_and_walls(media: Path, talker: NDArray[np.uint8]) -> None:
    net = facemesh.load()
    assert facemesh.presence(net, talker, boxes.none()).shape == (0,)
    assert facemesh.presence(net, talker, FACE[None])[0] > 0.95
    assert facemesh.presence(net, masked(talker), FACE[None])[0] < 0.05
    corners = np.array([[0, 0, 150, 150], [1100, 0, 1300, 200], [-40, 600, 100, 760]], np.float32)
    assert (facemesh.presence(net, talker, corners) < 0.05).all()
    detector = blazeface.load(blazeface.SHORT)
    fooled = 0
    for picture in pictures(media / "video" / "talker_hands_speech_wim.mp4", 20, 60)[::12]:
        hidden = masked(picture, np.array([500, 60, 730, 320], np.float32))
        hits = np.concatenate([blazeface.detect_one_range(detector, hidden, 0.5, longest) for longest in (192, 640)])
        fooled += len(hits)
        assert (facemesh.presence(net, hidden, hits) < 0.5).all()
    assert fooled > 5  # the detector alone did take hands for faces


def test_what_cannot_be_turned_into_onnx_is_named() -> None:
    from deemo_data.models.runtime.weights import path_of

    with pytest.raises(ModelError, match=r"TFLite (operator [A-Z_]+|activation \d+) is not one"):
        tflite.to_onnx(path_of(mediapipe.HAND_LANDMARKS).read_bytes())


def sample(media: Path) -> NDArray[np.float32]:
    with wave.open(str(media / "audio" / "diar" / "sample.wav")) as file:
        assert file.getframerate() == 16_000
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


def test_speech_is_found_in_speech_and_not_in_silence(media: Path) -> None:
    heard = sample(media)
    spans = silero.speech(heard)
    assert sum(end - start for start, end in spans) == pytest.approx(22_500, abs=1000)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert spans[0][0] > 5000  # the first words come at 6.7 s
    assert spans[-1][1] <= 30_000
    merged = silero.speech(heard, min_silence_ms=1000, pad_ms=200)
    assert 0 < len(merged) < len(spans)
    assert silero.speech(np.zeros(16_000, np.float32)) == []
    assert silero.speech(np.zeros(0, np.float32)) == []
    with pytest.raises(ValueError, match="one channel"):
        silero.speech(np.zeros((2, 100), np.float32))


@pytest.mark.parametrize(
    ("built_with", "works", "first"),
    [
        (["AzureExecutionProvider", "CPUExecutionProvider"], [], "CPUExecutionProvider"),
        (["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"], ["CUDA"], "CUDAExecutionProvider"),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], [], "CPUExecutionProvider"),
        (["MIGraphXExecutionProvider", "CPUExecutionProvider"], ["MIGraphX"], "MIGraphXExecutionProvider"),
    ],
)
def test_a_gpu_comes_first_where_there_is_one_that_works(
    monkeypatch: pytest.MonkeyPatch, built_with: list[str], works: list[str], first: str
) -> None:
    class Session:
        def __init__(self, model: bytes, providers: list[str]) -> None:
            onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])  # the network can be loaded
            self.providers = [p for p in providers if p.startswith("CPU") or p.removesuffix("ExecutionProvider") in works]

        def get_providers(self) -> list[str]:
            return self.providers

    runs = SimpleNamespace(get_available_providers=lambda: built_with, InferenceSession=Session)
    monkeypatch.setattr(sessions, "onnxruntime", runs)
    sessions.providers.cache_clear()
    try:
        assert sessions.providers()[0] == first
        assert sessions.providers()[-1] == "CPUExecutionProvider", "nothing is needed to run without"
    finally:
        sessions.providers.cache_clear()
