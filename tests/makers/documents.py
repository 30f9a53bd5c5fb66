"""Makers that tests of several packages share; taken from dataset/documents/test_card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deemo_data.agreement.measure import measure
from deemo_data.dataset.export.export import Export, Known, export
from tests.makers.datasets import EMOTIONS, NFBL, make_clip, marked
from tests.makers.labels import said

DAY = "2026-11-24"


def figure(
    value: float | None, low: float | None, high: float | None, chance: float | None, within: bool = False
) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "chance": chance, "n": 8, "unit": "clips", "within_chance": within}


def attack(name: str, measure: str, safer: str, hardened: dict[str, Any] | None) -> dict[str, Any]:
    cells = {"before": None, "hardened": hardened}
    return {"attack": name, "attacker": "dlib", "measure": measure, "cells": cells, "safer": safer, "weights": "", "note": ""}


PRIVACY: dict[str, Any] = {
    "schema": "deemo-privacy-1", "date": "2026-11-20", "profile": "hardened",
    "clips": {"in_project": 9, "attacked": 8, "subjects": 4},
    "channels": {
        "face": {"lines": [attack("knows originals", "rank-1", "low", figure(0.375, 0.2, 0.6, 0.25, True)),
                           attack("parrot", "rank-1", "low", figure(0.75, 0.6, 0.9, 0.25))], "use": []},
        "voice": {"lines": [attack("lazy", "EER", "high", figure(0.42, 0.35, 0.5, 0.5, True))], "use": []},
        "screen": {"lines": [attack("reads the picture", "words read", "low", None)], "use": []},
    },
}  # fmt: skip


def build(root: Path, known: dict[str, Any] | None = None, **settings: Any) -> Path:
    """A dataset of six clips of five subjects, which two people labelled, with its documents."""
    root.mkdir(exist_ok=True)
    clips = [make_clip(root / "released", n, subject="s-00000004" if n == 5 else "") for n in range(6)]
    labels = []
    for n, clip in enumerate(clips[:5]):
        for who in ("a-1", "a-2")[: 2 if n else 1]:
            labels += [said("seen", "nfbl", clip, who), said("emotion", ("happy", "sad")[n == 3], clip, who)]
            labels += [marked(clip, 2, 8, who=who), *([marked(clip, 11, 14, "Head up", who)] if who == "a-1" else [])]
    agreed = measure(labels, clips, NFBL, EMOTIONS, [], rounds=20)
    told = Known(date=DAY, agreement=agreed, privacy=PRIVACY) if known is None else Known(date=DAY, **known)
    export(clips, labels, root / "dataset", nfbl=NFBL, emotions=EMOTIONS, settings=Export(**settings), known=told)
    return root / "dataset"
