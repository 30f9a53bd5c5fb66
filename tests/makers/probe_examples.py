"""An example of a dataset that is not on disk, for tests of probes and baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deemo_data.baseline.data import Example


def make_example(clip: str, subject: str, emotion: str, split: str, transcript: str = "", **fields: Any) -> Example:
    """An example with clues and reasons that name its emotion. fields: replace the defaults."""
    facts = {"consent": "on paper", "asserted": False, "licence": "", "fps": "25/1", "width": 640, "height": 360,
             "annotation": "reviewed"}  # fmt: skip
    defaults = {
        "emotion_words": (), "clues": {"video": f"looks {emotion}", "audio": "", "text": ""}, "instruction": "Which emotion?",
        "reasoning": f"So the person is {emotion}.", "reasoning_instruction": "Why?", "events": (), "events_annotated": True,
        "fps": 25.0, "num_frames": 125, "duration_ms": 5000, "width": 640, "height": 360, "video_bytes": 300_000,
        "source_facts": facts, "video": Path("nowhere.mp4"), "table": Path("nowhere.parquet"), "row": 0,
    }  # fmt: skip
    return Example(clip, subject, split, emotion, "neutral", transcript, **{**defaults, **fields})
