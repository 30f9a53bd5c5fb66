"""Makers that tests of several packages share; taken from baseline/scoring/test_metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deemo_data.baseline.data import Example


def example(clip_id: str, subject_id: str, emotion: str, **more: Any) -> Example:
    made: dict[str, Any] = {
        "clip_id": clip_id, "subject_id": subject_id, "split": "test", "emotion": emotion, "sentiment": "neutral",
        "transcript": "", "words": (), "clues": {"video": "", "audio": "", "text": ""}, "instruction": "?", "reasoning": "",
        "asked": "", "events": (), "looked_at": True, "fps": 25.0, "num_frames": 50, "duration_ms": 2000,
        "width": 64, "height": 64, "bytes": 1000,
        "source_facts": {}, "video": Path("x.mp4"), "table": Path("x.parquet"), "row": 0,
    }  # fmt: skip
    return Example(**made | more)
