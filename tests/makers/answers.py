"""An example of a dataset that is not on disk, for tests of scoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deemo_data.baseline.data import Example


def make_example(clip_id: str, subject_id: str, emotion: str, **fields: Any) -> Example:
    """An example of the test split. fields: replace the defaults."""
    defaults: dict[str, Any] = {
        "clip_id": clip_id, "subject_id": subject_id, "split": "test", "emotion": emotion, "sentiment": "neutral",
        "transcript": "", "emotion_words": (), "clues": {"video": "", "audio": "", "text": ""}, "instruction": "?",
        "reasoning": "", "reasoning_instruction": "", "events": (), "events_annotated": True, "fps": 25.0,
        "num_frames": 50, "duration_ms": 2000, "width": 64, "height": 64, "video_bytes": 1000,
        "source_facts": {}, "video": Path("x.mp4"), "table": Path("x.parquet"), "row": 0,
    }  # fmt: skip
    return Example(**defaults | fields)
