"""Makers that tests of several packages share; taken from baseline/evaluation/test_probes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deemo_data.baseline.data import Example


def example(clip: str, subject: str, emotion: str, split: str, transcript: str = "", **more: Any) -> Example:
    facts = {"consent": "on paper", "asserted": False, "licence": "", "fps": "25/1", "width": 640, "height": 360,
             "annotation": "reviewed"}  # fmt: skip
    given = {
        "words": (), "clues": {"video": f"looks {emotion}", "audio": "", "text": ""}, "instruction": "Which emotion?",
        "reasoning": f"So the person is {emotion}.", "asked": "Why?", "events": (), "looked_at": True, "fps": 25.0,
        "num_frames": 125, "duration_ms": 5000, "width": 640, "height": 360, "bytes": 300_000, "source_facts": facts,
        "video": Path("nowhere.mp4"), "table": Path("nowhere.parquet"), "row": 0,
    }  # fmt: skip
    return Example(clip, subject, split, emotion, "neutral", transcript, **{**given, **more})
