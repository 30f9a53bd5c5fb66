"""The model's part of an evaluation: trained for each seed, asked in both ways, and trained again without each modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.answers import write
from deemo_data.baseline.llama.presets import MODALITIES, Preset, preset
from deemo_data.baseline.scoring import metrics

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.evaluation.settings import Scoring, Settings


@dataclass(frozen=True)
class Made:
    """Lines of the table, and what the encoders make of all clips of the dataset before and after training."""

    lines: list[dict[str, Any]]
    untrained: Mapping[str, np.ndarray]
    trained: Mapping[str, np.ndarray]


def chosen(settings: Settings) -> Preset:
    """The preset, with another base where one is named. Raises ConfigError for a name that there is not."""
    found = preset(settings.preset)
    return replace(found, base=settings.base) if settings.base else found


def train_and_ask(scoring: Scoring) -> Made:
    """Models and their answers lie in `out`/baseline/. Raises ModelError where weights or a GPU are missing."""
    from deemo_data.baseline.llama import predict
    from deemo_data.baseline.llama.train import train

    settings, dataset, scored = scoring.settings, scoring.dataset, scoring.scored
    plan, out = chosen(settings), scoring.out / "baseline"
    likely, free, trained = [], [], {}
    for seed in range(settings.seeds):
        name = f"{plan.name}-{seed}"
        fitted = predict.opened(train(dataset, plan, seed, out / name, resume=settings.resume, watcher=scoring.watcher))
        if scored:
            inputs = fitted.reader.read(scored)
            likely.append(predict.score(fitted, scored, inputs))
            free.append(predict.answer(fitted, scored, inputs=inputs))
            write(out / name / "answers.jsonl", likely[-1])
            write(out / name / "written.jsonl", free[-1])
        if not seed:
            trained = {"trained encoders": predict.features(fitted, dataset.examples)}
    untrained = {"untrained encoders": predict.features(predict.untrained(dataset, plan, 0), dataset.examples)}
    if not scored:
        return Made([], untrained, trained)
    title = f"DEEMO-LLaMA ({plan.name})"
    lines = [
        scoring.of(title, "model", likely, "each emotion scored by the likelihood of its words"),
        scoring.of(f"{title}, free", "model", free, "what it writes; an answer that names no emotion is wrong"),
    ]
    for absent in MODALITIES if settings.retrain else ():
        kept = tuple(m for m in MODALITIES if m != absent)
        runs = []
        for seed in range(settings.retrain):
            where = out / f"{plan.name}-{seed}-without-{absent}"
            fitted = predict.opened(train(dataset, plan, seed, where, kept, settings.resume, scoring.watcher))
            runs.append(predict.score(fitted, scored))
        line = scoring.of(f"{title} without {absent}", "ablation", runs, "trained anew without it")
        lost = metrics.difference(scored, likely[: settings.retrain], runs, dataset.emotions, measure="uar")
        lines.append(line | {"lost": {"modality": absent, **lost}})
    return Made(lines, untrained, trained)
