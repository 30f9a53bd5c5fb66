"""BlazeFace on real footage: it finds the face and not the mask, at every size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from deemo_data.errors import ModelError
from deemo_data.models.faces import blazeface, centerface, facemesh
from deemo_data.models.runtime import tflite
from tests.makers.talker import FACE, masked, overlap, pictures, talker  # noqa: F401

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("weights")


@pytest.mark.parametrize(
    ("name", "longest"),
    [(blazeface.SHORT_RANGE, 128), (blazeface.SHORT_RANGE, 640), (blazeface.FULL_RANGE, 256), (blazeface.FULL_RANGE, 512)],
)
def test_blazeface_finds_the_face_and_not_the_mask(talker: NDArray[np.uint8], name: str, longest: int) -> None:
    net = blazeface.load(name)
    found = blazeface.detect_at_size(net, talker, 0.5, longest)
    assert found.dtype == np.float32
    assert overlap(found) > 0.6
    assert overlap(blazeface.detect_at_size(net, masked(talker), 0.5, longest)) < 0.1
    upright = np.ascontiguousarray(np.pad(talker, ((0, 1500), (0, 0), (0, 0))))  # taller than wide
    assert overlap(blazeface.detect_at_size(net, upright, 0.5, longest * 2220 // 1280)) > 0.6
    wall = np.full((100, 37, 3), 128, np.uint8)
    assert blazeface.detect_at_size(net, wall, 0.5, longest).shape == (0, 5)


@pytest.mark.parametrize(("name", "side"), [(blazeface.SHORT_RANGE, 128), (blazeface.FULL_RANGE, 192)])
def test_blazeface_at_any_size_is_the_network_as_it_was_made(talker: NDArray[np.uint8], name: str, side: int) -> None:
    from deemo_data.models.runtime.sessions import open_session
    from deemo_data.models.runtime.weights import path_of

    fixed, free = open_session(tflite.to_onnx(path_of(name).read_bytes())), blazeface.load(name).run
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


@pytest.mark.parametrize(("name", "side"), [(blazeface.SHORT_RANGE, 128), (blazeface.FULL_RANGE, 192)])
def test_a_wider_look_finds_the_same_box(talker: NDArray[np.uint8], name: str, side: int) -> None:
    net = blazeface.load(name)
    window = np.ascontiguousarray(talker[:, 280:1000])  # a square that the network knows, against the whole at that scale
    alone = blazeface.detect_at_size(net, window, 0.5, side)
    whole = blazeface.detect_at_size(net, talker, 0.5, round(side * 1280 / 720))
    assert len(alone)
    assert overlap(whole[:, :4], alone[0, :4] + np.array([280, 0, 280, 0], np.float32)) > 0.8
    assert whole[0, 4] == pytest.approx(alone[0, 4], abs=0.2)


def test_what_is_no_blazeface_is_refused() -> None:
    with pytest.raises(ModelError, match="facemesh-1055cb is not a BlazeFace"):
        blazeface.load(facemesh.WEIGHTS)


@pytest.mark.parametrize("name", [blazeface.SHORT_RANGE, blazeface.FULL_RANGE])
def test_blazeface_as_onnx_finds_what_mediapipe_finds(talker: NDArray[np.uint8], name: str) -> None:
    import mediapipe as theirs
    from mediapipe.tasks.python import BaseOptions, vision

    from deemo_data.models.runtime.weights import path_of

    model = tflite.add_normalisation(path_of(name).read_bytes(), 127.5, 127.5)
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
    size = centerface.choose_input_size(640, 480, 640)
    faces = centerface.detect(centerface.load(), cv2.resize(picture[..., ::-1], size), 0.6)
    assert len(faces) >= 4
    short, full = blazeface.load(blazeface.SHORT_RANGE), blazeface.load(blazeface.FULL_RANGE)
    coarse, fine = blazeface.detect_at_size(short, picture, 0.5, 128), blazeface.detect_at_size(short, picture, 0.5, 640)
    assert sum(overlap(fine, face) > 0.25 for face in faces) == len(faces)
    assert sum(overlap(coarse, face) > 0.25 for face in faces) < len(faces)
    close = cv2.resize(talker[40:340, 350:880], (1280, 720))  # the face is three quarters of the picture's height
    expected = (FACE - np.array([350, 40, 350, 40], np.float32)) * np.array([1280 / 530, 720 / 300] * 2, np.float32)
    assert overlap(blazeface.detect_at_size(full, close, 0.5, 256), expected) > 0.6
