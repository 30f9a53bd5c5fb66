"""Versions that may change bytes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

# versions of these are kept beside each entry, not in its key
RECORDED = (
    "av", "mediapipe", "insightface", "opencv-contrib-python", "scenedetect-headless", "onnx", "numpy", "scipy",
    "faster-whisper", "ctranslate2", "spacy", "presidio-analyzer",
)  # fmt: skip
ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-rocm")  # builds of one module


@cache
def versions() -> dict[str, str]:
    """The libraries whose version may change what comes out."""
    from deemo_data.media.ffmpeg import ffmpeg_version

    recorded = {name: importlib.metadata.version(name) for name in RECORDED}
    return recorded | onnxruntimes() | {"ffmpeg": ffmpeg_version()}


def onnxruntimes() -> dict[str, str]:
    """The builds of onnxruntime that are installed, with their versions."""
    found: dict[str, str] = {}
    for name in ONNXRUNTIMES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def describe_environment() -> dict[str, str]:
    """What else than weights and settings may change the bytes: our code, the libraries, the kind of machine."""
    package = Path(__file__).parents[1]
    code = hashlib.sha256()
    for path in sorted(p for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        code.update(f"{path.relative_to(package).as_posix()} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    ours = {"deemo-data": importlib.metadata.version("deemo-data"), "the code of deemo_data": code.hexdigest()[:12]}
    return versions() | ours | {"python": platform.python_version(), "machine": platform.machine()}
