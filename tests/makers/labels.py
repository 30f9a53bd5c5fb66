"""Makers that tests of several packages share; taken from labels/test_store."""

from __future__ import annotations

from fractions import Fraction

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.labels.label import Label

NTSC = Grid(Fraction(30000, 1001), False, Fraction(0), 3000, 64, 36)


def clip_at(first: int, end: int, source: str = "v-1", grid: Grid = NTSC) -> Clip:
    """A released clip over frames [first, end) of its source's grid."""
    files = {"video": File(f"/somewhere/c-{first}.mp4", "0" * 64)}
    return Clip(f"c-{first}-{end}", source, grid.ms_at(first), grid.ms_at(end), files, {"grid": grid.to_fact(), "subject": "s-1"})


def event(start_ms: int, end_ms: int, label: str = "Folding arms", who: str = "a-1", kind: str = "nfbl") -> Label:
    return Label("c-x", "v-1", start_ms, end_ms, kind, {"label": label, "certainty": None}, who)


def said(kind: str, value: object, clip: Clip, who: str = "a-1") -> Label:
    return Label(clip.id, clip.source, clip.start_ms, clip.end_ms, kind, value, who)
