"""The versions that may change the bytes of a result: libraries, ffmpeg, our own code, Python and the machine.

They are recorded with each result and shown by `deemo status`. A cluster's nodes must have the same ones.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

# their versions are recorded in each entry; they are not part of its key
RECORDED_PACKAGES = (
    "av", "mediapipe", "insightface", "opencv-contrib-python", "scenedetect-headless", "onnx", "numpy", "scipy",
    "faster-whisper", "ctranslate2", "spacy", "presidio-analyzer",
)  # fmt: skip
ONNXRUNTIME_PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-rocm",
)  # builds of one Python module


@cache
def library_versions() -> dict[str, str]:
    """{library: version}, for the libraries whose version may change a result. Computed once per process."""
    from deemo_data.media.ffmpeg import read_ffmpeg_version

    recorded = {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES}
    return recorded | onnxruntime_versions() | {"ffmpeg": read_ffmpeg_version()}


def onnxruntime_versions() -> dict[str, str]:
    """{package: version} of the installed builds of onnxruntime."""
    installed: dict[str, str] = {}
    for name in ONNXRUNTIME_PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            installed[name] = importlib.metadata.version(name)
    return installed


def describe_environment() -> dict[str, str]:
    """{name: version} of all that may change a result besides weights and settings: code, libraries, Python, machine."""
    package = Path(__file__).parents[1]
    code = hashlib.sha256()
    for path in sorted(p for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        code.update(f"{path.relative_to(package).as_posix()} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    ours = {"deemo-data": importlib.metadata.version("deemo-data"), "the code of deemo_data": code.hexdigest()[:12]}
    return library_versions() | ours | {"python": platform.python_version(), "machine": platform.machine()}
