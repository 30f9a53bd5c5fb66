"""The model's part of an evaluation: trains DEEMO-LLaMA and scores its answers.

It is trained once per seed and answers in two ways (by likelihood, and freely written), then trained again without each modality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.answers import write_answers
from deemo_data.baseline.llama.presets import MODALITIES, Preset, find_preset
from deemo_data.baseline.scoring import metrics

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.answers import Answer
    from deemo_data.baseline.evaluation.scorer import Scorer
    from deemo_data.baseline.evaluation.settings import Settings


@dataclass(frozen=True)
class ModelRuns:
    """The results of the trained models.

    lines                                 lines of the report's table
    untrained_features, trained_features  what the encoders compute from all clips of the dataset before and after training, by
                                          name: (clips, n)
    """

    lines: list[dict[str, Any]]
    untrained_features: Mapping[str, np.ndarray]
    trained_features: Mapping[str, np.ndarray]


def choose_preset(settings: Settings) -> Preset:
    """The preset of the settings, with their base if they name one. Raises ConfigError for an unknown preset."""
    preset = find_preset(settings.preset)
    return replace(preset, base=settings.base) if settings.base else preset


def train_and_ask(scorer: Scorer) -> ModelRuns:
    """Train all models and score their answers. Models and answers are written below `out`/baseline/.

    Raises ModelError when weights or a large enough GPU are missing.
    """
    from deemo_data.baseline.llama import predict
    from deemo_data.baseline.llama.train import train_model

    settings, dataset, clips, watcher = scorer.settings, scorer.dataset, scorer.clips, scorer.watcher
    preset, out = choose_preset(settings), scorer.out / "baseline"
    scored_runs: list[list[Answer]] = []
    written_runs: list[list[Answer]] = []
    trained_features = {}
    for seed in range(settings.seeds):
        folder = out / f"{preset.name}-{seed}"
        bundle = predict.open_model(train_model(dataset, preset, seed, folder, resume=settings.resume, watcher=watcher))
        if clips:
            inputs = bundle.reader.read_clips(clips)
            scored_runs.append(predict.score_emotions(bundle, clips, inputs))
            written_runs.append(predict.generate_answers(bundle, clips, inputs=inputs))
            write_answers(folder / "answers.jsonl", scored_runs[-1])
            write_answers(folder / "written.jsonl", written_runs[-1])
        if seed == 0:
            trained_features = {"trained encoders": predict.encode_clips(bundle, dataset.examples)}
    untrained_model = predict.make_untrained_model(dataset, preset, 0)
    untrained_features = {"untrained encoders": predict.encode_clips(untrained_model, dataset.examples)}
    if not clips:
        return ModelRuns([], untrained_features, trained_features)
    title = f"DEEMO-LLaMA ({preset.name})"
    lines = [
        scorer.score_model(title, "model", scored_runs, "each emotion scored by the likelihood of its words"),
        scorer.score_model(f"{title}, free", "model", written_runs, "what it writes; an answer that names no emotion is wrong"),
    ]
    for absent in MODALITIES if settings.retrain else ():
        modalities = tuple(m for m in MODALITIES if m != absent)
        runs = []
        for seed in range(settings.retrain):
            folder = out / f"{preset.name}-{seed}-without-{absent}"
            bundle = predict.open_model(train_model(dataset, preset, seed, folder, modalities, settings.resume, watcher))
            runs.append(predict.score_emotions(bundle, clips))
        line = scorer.score_model(f"{title} without {absent}", "ablation", runs, "trained anew without it")
        loss = metrics.score_difference(clips, scored_runs[: settings.retrain], runs, dataset.emotions, measure="uar")
        lines.append(line | {"lost": {"modality": absent, **loss}})
    return ModelRuns(lines, untrained_features, trained_features)
