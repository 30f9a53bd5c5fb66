"""Makes a dataset with all its documents, and the agreement and privacy reports that they quote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deemo_data.agreement.measure import measure_agreement
from deemo_data.dataset.export.export import export_dataset
from deemo_data.dataset.export.plan import DocumentInputs
from deemo_data.dataset.export.settings import ExportSettings
from tests.makers.datasets import EMOTIONS, NFBL, make_clip, make_event_label
from tests.makers.labels import said

DAY = "2026-11-24"


def make_figure(
    value: float | None, low: float | None, high: float | None, chance: float | None, within: bool = False
) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "chance": chance, "n": 8, "unit": "clips", "within_chance": within}


def make_attack(name: str, measure: str, safer: str, hardened: dict[str, Any] | None) -> dict[str, Any]:
    cells = {"before": None, "hardened": hardened}
    return {"attack": name, "attacker": "dlib", "measure": measure, "cells": cells, "safer": safer, "weights": "", "note": ""}


PRIVACY: dict[str, Any] = {
    "schema": "deemo-privacy-1", "date": "2026-11-20", "profile": "hardened",
    "clips": {"in_project": 9, "attacked": 8, "subjects": 4},
    "channels": {
        "face": {"lines": [make_attack("knows originals", "rank-1", "low", make_figure(0.375, 0.2, 0.6, 0.25, True)),
                           make_attack("parrot", "rank-1", "low", make_figure(0.75, 0.6, 0.9, 0.25))], "use": []},
        "voice": {"lines": [make_attack("lazy", "EER", "high", make_figure(0.42, 0.35, 0.5, 0.5, True))], "use": []},
        "screen": {"lines": [make_attack("reads the picture", "words read", "low", None)], "use": []},
    },
}  # fmt: skip


def build_dataset(root: Path, inputs: dict[str, Any] | None = None, **settings: Any) -> Path:
    """A dataset of six clips of five subjects, labelled by two annotators, with its documents.

    inputs  fields of DocumentInputs; None: agreement and privacy were measured
    """
    root.mkdir(exist_ok=True)
    clips = [make_clip(root / "released", n, subject="s-00000004" if n == 5 else "") for n in range(6)]
    labels = []
    for n, clip in enumerate(clips[:5]):
        for who in ("a-1", "a-2")[: 2 if n else 1]:
            labels += [said("seen", "nfbl", clip, who), said("emotion", ("happy", "sad")[n == 3], clip, who)]
            labels.append(make_event_label(clip, 2, 8, who=who))
            labels += [make_event_label(clip, 11, 14, "Head up", who)] if who == "a-1" else []
    if inputs is None:
        inputs = {"agreement": measure_agreement(labels, clips, NFBL, EMOTIONS, [], rounds=20), "privacy": PRIVACY}
    export_dataset(
        clips, labels, root / "dataset", nfbl=NFBL, emotions=EMOTIONS, settings=ExportSettings(**settings),
        inputs=DocumentInputs(date=DAY, **inputs),
    )  # fmt: skip
    return root / "dataset"
