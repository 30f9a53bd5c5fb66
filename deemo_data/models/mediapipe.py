"""BlazePose and hand landmarkers (MediaPipe Tasks)."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.errors import ModelError
from deemo_data.models.runtime.tflite import with_normalisation
from deemo_data.models.runtime.weights import PULL, path_of
from deemo_data.tracks.hands import DetectedHand

if TYPE_CHECKING:
    from numpy.typing import NDArray


POSE_DETECTOR = "blazepose-detector-9ba9dd"
POSE_LANDMARKS = "blazepose-landmarks-e9a5c5"
HAND_DETECTOR = "palm-detector-1b14e9"
HAND_LANDMARKS = "hand-landmarks-11c272"
STDERR = threading.Lock()


@cache
def pose_bundle(detector: str = POSE_DETECTOR, landmarks: str = POSE_LANDMARKS) -> bytes:
    """The .task file PoseLandmarker takes; the same bytes every time."""
    return _bundle(
        {
            "pose_detector.tflite": with_normalisation(path_of(detector).read_bytes(), 127.5, 127.5),
            "pose_landmarks_detector.tflite": with_normalisation(path_of(landmarks).read_bytes(), 0.0, 255.0),
        }
    )


@cache
def hands_bundle(detector: str = HAND_DETECTOR, landmarks: str = HAND_LANDMARKS) -> bytes:
    """The .task file HandLandmarker takes; the same bytes every time."""
    return _bundle(
        {
            "hand_detector.tflite": with_normalisation(path_of(detector).read_bytes(), 0.0, 255.0),
            "hand_landmarks_detector.tflite": with_normalisation(path_of(landmarks).read_bytes(), 0.0, 255.0),
        }
    )


@contextmanager
def pose(
    detector: str = POSE_DETECTOR,
    landmarks: str = POSE_LANDMARKS,
    *,
    people: int = 1,
    threshold: float = 0.5,
) -> Iterator[Callable[[NDArray[np.uint8], int], list[NDArray[np.float32]]]]:
    """Yields look(rgb (h, w, 3) uint8, ms) -> one (33, 4) float32 a person found.

    Columns: x and y as shares of width and height, z in the unit of x (smaller is nearer), visibility 0 to 1.
    Frames must come in order, with growing ms. Raises ModelError when MediaPipe or a system library is missing.
    """
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    options = vision.PoseLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_buffer=pose_bundle(detector, landmarks)),
        running_mode=vision.RunningMode.VIDEO,
        num_poses=people,
        min_pose_detection_confidence=threshold,
        min_pose_presence_confidence=threshold,
        min_tracking_confidence=threshold,
    )
    with _opened(vision.PoseLandmarker, options) as watch:

        def look(rgb: NDArray[np.uint8], ms: int) -> list[NDArray[np.float32]]:
            found = watch(rgb, ms).pose_landmarks
            return [np.array([(p.x, p.y, p.z, p.visibility) for p in person], np.float32) for person in found]

        yield look


@contextmanager
def hands(
    detector: str = HAND_DETECTOR,
    landmarks: str = HAND_LANDMARKS,
    *,
    count: int = 2,
    threshold: float = 0.5,
) -> Iterator[Callable[[NDArray[np.uint8], int], list[DetectedHand]]]:
    """Yields look(rgb (h, w, 3) uint8, ms) -> the hands found, at most `count`. Frames in order, with growing ms."""
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    options = vision.HandLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_buffer=hands_bundle(detector, landmarks)),
        running_mode=vision.RunningMode.VIDEO,
        num_hands=count,
        min_hand_detection_confidence=threshold,
        min_hand_presence_confidence=threshold,
        min_tracking_confidence=threshold,
    )
    with _opened(vision.HandLandmarker, options) as watch:

        def look(rgb: NDArray[np.uint8], ms: int) -> list[DetectedHand]:
            found = watch(rgb, ms)
            return [
                DetectedHand(
                    np.array([(p.x, p.y, p.z) for p in points], np.float32),
                    np.array([(p.x, p.y, p.z) for p in world], np.float32),
                    side[0].category_name.lower(),
                    float(side[0].score),
                )
                for points, world, side in zip(found.hand_landmarks, found.hand_world_landmarks, found.handedness, strict=True)
            ]

        yield look


def _bundle(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in parts.items():
            bundle.writestr(zipfile.ZipInfo(name), data)  # ZipInfo's own date: no clock in the bytes
    return out.getvalue()


@contextmanager
def _opened(kind: Any, options: Any) -> Iterator[Callable[[NDArray[np.uint8], int], Any]]:
    import mediapipe

    with _quiet():
        try:
            landmarker = kind.create_from_options(options)
        except OSError as problem:
            raise ModelError(
                f"MediaPipe cannot load a system library: {problem}", "Type: apt-get install libegl1 libgles2"
            ) from problem
        except (RuntimeError, ValueError) as problem:
            raise ModelError(f"MediaPipe refuses its {kind.__name__}: {problem}", PULL) from problem
    first = True

    def watch(rgb: NDArray[np.uint8], ms: int) -> Any:
        nonlocal first
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        if not first:
            return landmarker.detect_for_video(image, ms)
        first = False
        with _quiet():
            return landmarker.detect_for_video(image, ms)

    try:
        yield watch
    finally:
        landmarker.close()  # left to the garbage collector it raises at exit


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what MediaPipe's C++ writes to stderr while it starts; when something is raised it is written after all.

    One thread at a time: there is one stderr, and each puts back the one that it found.
    """
    with STDERR, tempfile.TemporaryFile() as said:
        kept = os.dup(2)
        try:
            os.dup2(said.fileno(), 2)
            try:
                yield
            except BaseException:
                said.seek(0)
                os.write(kept, said.read())
                raise
            finally:
                os.dup2(kept, 2)
        finally:
            os.close(kept)
