"""The whole evaluation of a dataset (`deemo evaluate`): baselines, predictions, a trained model, and the checks.

scorer.py         loads the dataset and scores answers; every line of the report's table comes from it
baselines.py      answers of the reference baselines
train_and_ask.py  trains DEEMO-LLaMA and collects its answers
plan.py           what would be done, for --dry-run
report.py         writes evaluation.json and evaluation.html
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from deemo_data import __version__
from deemo_data.baseline.checks import run
from deemo_data.baseline.checks.check import MAX_CLIPS, limit_clips
from deemo_data.baseline.checks.statistics import ALPHA, MIN_EFFECT, TARGET_EFFECT
from deemo_data.baseline.evaluation.baselines import score_baselines
from deemo_data.baseline.evaluation.plan import require_model
from deemo_data.baseline.evaluation.report import SCHEMA_VERSION, count_clips, describe_dataset, find_versions, write_report
from deemo_data.baseline.evaluation.scorer import Scorer
from deemo_data.baseline.evaluation.settings import DEFAULT_SETTINGS, Settings
from deemo_data.baseline.evaluation.train_and_ask import train_and_ask
from deemo_data.pipeline.run import SILENT_WATCHER, Watcher


def evaluate(folder: Path, out: Path, settings: Settings = DEFAULT_SETTINGS, watcher: Watcher = SILENT_WATCHER) -> dict[str, Any]:
    """Evaluate a dataset folder, or the dataset of a project folder. Returns the report, and writes it into `out`.

    Raises DatasetError when the dataset or the predictions cannot be used, and ModelError when the model or the judge is not
    available.
    """
    began = time.monotonic()
    scorer = Scorer.open(folder, settings, out, watcher)
    dataset = scorer.dataset
    predictions = scorer.read_predictions()  # first, so that a wrong line is reported before anything is computed
    if settings.model:
        require_model(settings)
    watcher.on_stage("Read clips", len(dataset.examples), 0)
    material = run.gather_material(dataset, settings.rounds, on_clip=lambda clip_id: watcher.on_clip("Read clips"))
    lines = score_baselines(scorer, material) if scorer.clips else []
    if predictions is not None:
        line = scorer.score_model("predictions", "predictions", [predictions.answers], settings.to_json()["predictions"])
        lines.append(line | {"answers": predictions.to_json()})
    if settings.model:
        model_runs = train_and_ask(scorer)
        lines += model_runs.lines
        material = replace(
            material, untrained_features=model_runs.untrained_features, trained_features=model_runs.trained_features
        )
    watcher.on_stage("Checks", len(run.CHECKS), 0)
    checks = run.run_checks(limit_clips(material), lambda name: watcher.on_clip("Checks"))
    report = {
        "schema": SCHEMA_VERSION,
        "deemo_data": __version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "dataset": describe_dataset(dataset),
        "settings": settings.to_json(),
        "versions": find_versions(),
        "scored": count_clips(scorer.clips) | {"split": scorer.clips[0].split if scorer.clips else None},
        "models": lines,
        "checks": [check.to_json() for check in checks],
        "thresholds": {
            "alpha": ALPHA,
            "negligible": MIN_EFFECT,
            "worth": TARGET_EFFECT,
            "rounds": settings.rounds,
            "most": MAX_CLIPS,
        },
        "notes": list(dataset.warnings),
        "seconds": round(time.monotonic() - began, 1),
    }
    write_report(report, out)
    return report
