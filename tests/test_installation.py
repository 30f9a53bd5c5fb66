"""One environment for everything: the packages that fight over cv2, and each model once, side by side in one process."""

import subprocess
import sys
from pathlib import Path

TRY = """
import cv2, mediapipe, insightface, label_studio_sdk, datasets, ffmpeg, pandas, pydantic, av, scenedetect, pyannote.core
from deemo_data.models import trial
for name, ms in trial.try_all_models():
    print(name)
"""


def test_all_packages_and_all_models_in_one_process(weights: Path) -> None:
    done = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    names = {
        "CenterFace",
        "BlazePose",
        "MediaPipe Hands",
        "BlazeFace short range",
        "BlazeFace full range",
        "face mesh",
        "Silero VAD",
        "GE2E",
        "Whisper tiny",
        "Whisper base",
        "spaCy and Presidio",
        "PP-OCR",
    }
    assert set(done.stdout.splitlines()) == names


def test_there_is_one_cv2_and_it_needs_no_screen() -> None:
    import cv2

    assert cv2.__version__.startswith("4.12.")
    libraries = subprocess.run(["ldd", cv2.__file__.replace("__init__.py", "cv2.abi3.so")], capture_output=True, text=True)
    assert libraries.returncode == 0
    assert "libGL.so" not in libraries.stdout
