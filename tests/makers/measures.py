"""Makers that tests of several packages share; taken from preannotation/test_measures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deemo_data.clip import Clip, Grid, SafeClip
from deemo_data.files import File
from deemo_data.labels.label import Label
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.tracks import body

NFBL = load_nfbl("nfbl")
FPS = 25


def made_up(
    folder: Path, name: str, *, seconds: float = 10, rate: float = 4, voice: Any = None, tones: Any = None, energy: float = -25,
    swing: float = 0.0, hz: float = 1.0, unit: str = "shoulders", subject: str = "s-1", transcript: str = "", seen: bool = True,
    **facts: Any,
) -> SafeClip:  # fmt: skip
    """A released clip. voice: bool a row of 10 ms (default: all); swing, hz: of the right wrist, in shoulder widths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, frames = round(seconds * 100), round(seconds * FPS)
    voiced = np.ones(rows, bool) if voice is None else np.asarray(voice, bool)
    f0 = np.zeros(rows) if tones is None else np.asarray(tones, float)
    curves = {"f0_semitones": np.where(voiced, f0, np.nan).astype(np.float32), "energy_db": np.full(rows, energy, np.float32),
              "voiced": voiced, "speech_rate": np.where(voiced, rate, 0).astype(np.float32)}  # fmt: skip
    pq.write_table(pa.table(curves), folder / f"{name}.prosody.parquet")
    points = np.full((frames, 1, 64, 3), np.nan, np.float32)
    at = {0: (0.5, 0), 1: (-0.5, 0), 2: (0.6, 0.7), 3: (-0.6, 0.7), 4: (0.5, 1.2), 5: (-0.5, 1.2)}
    for point, place in at.items():
        points[:, 0, point, :2] = place
        points[:, 0, point, 2] = 0
    points[:, 0, 5, 1] += swing * np.sin(2 * np.pi * hz * np.arange(frames) / FPS)
    if unit == "picture":  # 640 × 360: a shoulder width is 64 px
        points[..., 0] = 0.5 + points[..., 0] * 64 / 640
        points[..., 1] = 0.5 + points[..., 1] * 64 / 360
    sure = np.isfinite(points[..., 0]).astype(np.float32) * (1.0 if seen else 0.2)
    body.write_body(body.Body(points, sure), folder / f"{name}.body.parquet")
    files = {n: File.of(folder / f"{name}.{n}.parquet") for n in ("body", "prosody")}
    grid = Grid(Fraction(FPS), False, Fraction(0), 100 * frames, 640, 360).to_fact()
    said = {"grid": grid, "subject": subject, "body_unit": unit, "transcript": transcript, "proposals": None} | facts
    return SafeClip(Clip(name, f"v-{name}", 0, round(seconds * 1000), files, said))


def looked(clip: SafeClip, who: str = "a-1") -> Label:
    return Label(clip.id, clip.source, clip.start_ms, clip.end_ms, "seen", "nfbl", who)


def event(clip: SafeClip, start_ms: int, end_ms: int, label: str = "Folding arms", who: str = "a-1") -> Label:
    return Label(clip.id, clip.source, start_ms, end_ms, "nfbl", {"label": label, "certainty": "sure"}, who)
