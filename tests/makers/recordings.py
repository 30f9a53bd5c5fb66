"""Makers that tests of several packages share; taken from test_scale."""

from __future__ import annotations

from pathlib import Path

from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.media import probe


def whole(path: Path) -> Clip:
    facts = probe.probe_video(path)
    return Clip("x", "x", 0, facts.pop("duration_ms"), {"source": File(str(path), "0" * 64)}, facts | {"speakers_said": {}})
