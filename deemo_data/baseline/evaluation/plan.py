"""Says what an evaluation would do and take (`deemo evaluate --dry-run`), and whether a model can be trained on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.baseline.data import load_dataset
from deemo_data.baseline.evaluation.report import count_clips
from deemo_data.baseline.evaluation.scorer import select_scored_clips
from deemo_data.baseline.evaluation.settings import DEFAULT_SETTINGS
from deemo_data.baseline.evaluation.train_and_ask import choose_preset
from deemo_data.baseline.llama.estimate import estimate_training, require_gpu
from deemo_data.baseline.llama.presets import MODALITIES
from deemo_data.errors import ModelError

if TYPE_CHECKING:
    from deemo_data.baseline.evaluation.settings import Settings

MODEL_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "safetensors")
INSTALL_COMMAND = "pip install 'deemo-data[baseline]'"


def plan_evaluation(folder: Path, settings: Settings = DEFAULT_SETTINGS) -> list[str]:
    """What would be done, in a few lines. Nothing is trained or written.

    Raises DatasetError like `evaluate`, and ModelError when a library of the model is missing.
    """
    dataset = load_dataset(folder)
    counts, clips = count_clips(dataset.examples), select_scored_clips(dataset, settings)
    scored = f"{len(clips)} of split {clips[0].split} would be scored" if clips else "there is none to score"
    lines = [f"{counts['clips']} clips with an emotion, {counts['subjects']} subjects; {scored}"]
    if not settings.model:
        return lines
    _require_libraries()
    trainings = settings.seeds + settings.retrain * len(MODALITIES)
    return [
        *lines,
        estimate_training(choose_preset(settings)).describe(len(dataset.in_split("train"))),
        f"It would be trained {trainings} times: {settings.seeds} for seeds, {settings.retrain} without each modality",
    ]


def require_model(settings: Settings) -> None:
    """Raises ModelError when the model of these settings cannot be trained here: a library is missing, or a large enough GPU."""
    _require_libraries()
    require_gpu(choose_preset(settings))


def _require_libraries() -> None:
    """Raises ModelError when a library of the model is missing."""
    missing = next((name for name in MODEL_LIBRARIES if importlib.util.find_spec(name) is None), "")
    if missing:
        raise ModelError(f"a model needs {missing}, which is not installed", f"Type: {INSTALL_COMMAND}, or leave out --preset")
