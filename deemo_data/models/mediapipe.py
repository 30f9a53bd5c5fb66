"""BlazePose and the hand landmarker, run by MediaPipe Tasks on the frames of a video.

Both are context managers that yield a function: `detect(rgb, ms)` for one frame. Frames must come in order, with growing times in
ms, because MediaPipe tracks from frame to frame. The TFLite files are packed into the .task bundles that MediaPipe loads.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deemo_data.errors import ModelError
from deemo_data.models.runtime.tflite import add_normalisation
from deemo_data.models.runtime.weights import PULL_ADVICE, path_of
from deemo_data.tracks.hands import DetectedHand

if TYPE_CHECKING:
    from numpy.typing import NDArray


POSE_DETECTOR = "blazepose-detector-9ba9dd"
POSE_LANDMARKS = "blazepose-landmarks-e9a5c5"
HAND_DETECTOR = "palm-detector-1b14e9"
HAND_LANDMARKS = "hand-landmarks-11c272"
STDERR_LOCK = threading.Lock()


@cache
def build_pose_bundle(detector: str = POSE_DETECTOR, landmarks: str = POSE_LANDMARKS) -> bytes:
    """The .task bundle of the PoseLandmarker; the same bytes every time."""
    return _zip_models(
        {
            "pose_detector.tflite": add_normalisation(path_of(detector).read_bytes(), 127.5, 127.5),
            "pose_landmarks_detector.tflite": add_normalisation(path_of(landmarks).read_bytes(), 0.0, 255.0),
        }
    )


@cache
def build_hand_bundle(detector: str = HAND_DETECTOR, landmarks: str = HAND_LANDMARKS) -> bytes:
    """The .task bundle of the HandLandmarker; the same bytes every time."""
    return _zip_models(
        {
            "hand_detector.tflite": add_normalisation(path_of(detector).read_bytes(), 0.0, 255.0),
            "hand_landmarks_detector.tflite": add_normalisation(path_of(landmarks).read_bytes(), 0.0, 255.0),
        }
    )


@contextmanager
def open_pose_landmarker(
    detector: str = POSE_DETECTOR,
    landmarks: str = POSE_LANDMARKS,
    *,
    people: int = 1,
    threshold: float = 0.5,
) -> Iterator[Callable[[NDArray[np.uint8], int], list[NDArray[np.float32]]]]:
    """Yields detect(rgb (h, w, 3) uint8, ms) -> one array (33, 4) float32 per person, at most `people`.

    Columns: x and y as shares of width and height, z in the unit of x (smaller is nearer), visibility 0 to 1.
    Raises ModelError when MediaPipe or a system library cannot be loaded.
    """
    bundle = build_pose_bundle(detector, landmarks)
    with _open_landmarker("Pose", bundle, threshold, num_poses=people) as detect_landmarks:

        def detect(rgb: NDArray[np.uint8], ms: int) -> list[NDArray[np.float32]]:
            poses = detect_landmarks(rgb, ms).pose_landmarks
            return [np.array([(p.x, p.y, p.z, p.visibility) for p in pose], np.float32) for pose in poses]

        yield detect


@contextmanager
def open_hand_landmarker(
    detector: str = HAND_DETECTOR,
    landmarks: str = HAND_LANDMARKS,
    *,
    count: int = 2,
    threshold: float = 0.5,
) -> Iterator[Callable[[NDArray[np.uint8], int], list[DetectedHand]]]:
    """Yields detect(rgb (h, w, 3) uint8, ms) -> the detected hands, at most `count`.

    Raises ModelError when MediaPipe or a system library cannot be loaded.
    """
    bundle = build_hand_bundle(detector, landmarks)
    with _open_landmarker("Hand", bundle, threshold, num_hands=count) as detect_landmarks:

        def detect(rgb: NDArray[np.uint8], ms: int) -> list[DetectedHand]:
            result = detect_landmarks(rgb, ms)
            return [
                DetectedHand(
                    np.array([(p.x, p.y, p.z) for p in points], np.float32),
                    np.array([(p.x, p.y, p.z) for p in world], np.float32),
                    side[0].category_name.lower(),
                    float(side[0].score),
                )
                for points, world, side in zip(result.hand_landmarks, result.hand_world_landmarks, result.handedness, strict=True)
            ]

        yield detect


def _zip_models(parts: dict[str, bytes]) -> bytes:
    """An uncompressed zip file of {name: content}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in parts.items():
            bundle.writestr(zipfile.ZipInfo(name), data)  # ZipInfo's own date: no clock in the bytes
    return out.getvalue()


@contextmanager
def _open_landmarker(
    kind: Literal["Pose", "Hand"], bundle: bytes, threshold: float, **limit: int
) -> Iterator[Callable[[NDArray[np.uint8], int], Any]]:
    """Yields detect(rgb, ms) -> MediaPipe's own result.

    threshold  of detection, presence and tracking alike; limit: num_poses or num_hands
    """
    import mediapipe
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    name = f"{kind}Landmarker"
    confidences = (
        f"min_{kind.lower()}_detection_confidence",
        f"min_{kind.lower()}_presence_confidence",
        "min_tracking_confidence",
    )
    options = getattr(vision, f"{name}Options")(
        base_options=tasks.BaseOptions(model_asset_buffer=bundle), running_mode=vision.RunningMode.VIDEO,
        **dict.fromkeys(confidences, threshold), **limit,
    )  # fmt: skip
    with _silence_stderr():
        try:
            landmarker = getattr(vision, name).create_from_options(options)
        except OSError as problem:
            raise ModelError(
                f"MediaPipe cannot load a system library: {problem}", "Type: apt-get install libegl1 libgles2"
            ) from problem
        except (RuntimeError, ValueError) as problem:
            raise ModelError(f"MediaPipe refuses its {name}: {problem}", PULL_ADVICE) from problem
    first = True

    def detect(rgb: NDArray[np.uint8], ms: int) -> Any:
        nonlocal first
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
        if not first:
            return landmarker.detect_for_video(image, ms)
        first = False
        with _silence_stderr():
            return landmarker.detect_for_video(image, ms)

    try:
        yield detect
    finally:
        landmarker.close()  # without this, the garbage collector makes it raise at exit


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Hold back what MediaPipe's C++ code writes to stderr while it starts; show it if an error is raised.

    One thread at a time, because a process has only one stderr and each thread puts back the one that it found.
    """
    with STDERR_LOCK, tempfile.TemporaryFile() as output:
        stderr = os.dup(2)
        try:
            os.dup2(output.fileno(), 2)
            try:
                yield
            except BaseException:
                output.seek(0)
                os.write(stderr, output.read())
                raise
            finally:
                os.dup2(stderr, 2)
        finally:
            os.close(stderr)
