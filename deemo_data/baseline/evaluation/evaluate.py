"""Deemo evaluate."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data import __version__
from deemo_data.baseline import answers, data
from deemo_data.baseline.checks import run
from deemo_data.baseline.checks.check import MOST, Material, thinned
from deemo_data.baseline.checks.statistics import ALPHA, NEGLIGIBLE, WORTH
from deemo_data.baseline.evaluation import probes
from deemo_data.baseline.evaluation.settings import HTML, JSON, SCHEMA, Scoring, Settings
from deemo_data.baseline.wording import EmotionLexicon
from deemo_data.dataset.layout import MANIFEST, SPLITS
from deemo_data.errors import DatasetError, ModelError
from deemo_data.files import write_if_changed
from deemo_data.labels.vocabulary import Emotions, Nfbl, load_emotions, load_nfbl
from deemo_data.pipeline.run import Watcher
from deemo_data.reports.evaluation import page

if TYPE_CHECKING:
    from deemo_data.baseline.data import Dataset, Example

NEEDS = ("torch", "transformers", "peft", "accelerate", "safetensors")
INSTALL = "pip install 'deemo-data[baseline]'"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "av", "pyarrow", *NEEDS)


def evaluate(folder: Path, out: Path, settings: Settings = Settings(), watcher: Watcher = Watcher()) -> dict[str, Any]:  # noqa: B008
    """Measure a dataset folder (or that of a project); what is found is returned, and lies in `out` as evaluation.json and .html.

    Raises DatasetError for a dataset or predictions that cannot be used, ModelError when the model or judge cannot be had.
    """
    began = time.monotonic()
    dataset = data.load(folder)
    scoring = Scoring(dataset, _scored(dataset, settings), settings, *_vocabularies(dataset), out, watcher)
    predicted = _predicted(scoring)  # first: a file that is wrong should be known of at once
    if settings.model:
        _need()
        from deemo_data.baseline.evaluation import train_and_ask
        from deemo_data.baseline.llama import estimate

        estimate.demand(train_and_ask.chosen(settings))
    watcher.stage("Read clips", len(dataset.examples), 0)
    material = run.gather(dataset, settings.rounds, done=lambda clip: watcher.clip("Read clips"))
    lines = _baselines(scoring, material) if scoring.scored else []
    notes = list(dataset.warnings)
    if predicted is not None:
        line = scoring.of("predictions", "predictions", [predicted.answers], settings.told()["predictions"])
        lines.append(line | {"answers": predicted.summary()})
    if settings.model:
        made = train_and_ask.train_and_ask(scoring)
        lines += made.lines
        material = replace(material, untrained=made.untrained, trained=made.trained)
    watcher.stage("Checks", len(run.ORDER), 0)
    found = run.run(thinned(material), lambda name: watcher.clip("Checks"))
    measured = {
        "schema": SCHEMA,
        "deemo_data": __version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "dataset": _about(dataset),
        "settings": settings.told(),
        "versions": _versions(),
        "scored": _counts(scoring.scored) | {"split": scoring.scored[0].split if scoring.scored else None},
        "models": lines,
        "checks": [check.told() for check in found],
        "thresholds": {"alpha": ALPHA, "negligible": NEGLIGIBLE, "worth": WORTH, "rounds": settings.rounds, "most": MOST},
        "notes": notes,
        "seconds": round(time.monotonic() - began, 1),
    }
    write(measured, out)
    return measured


def plan(folder: Path, settings: Settings = Settings()) -> list[str]:  # noqa: B008
    """What would be done, in a few lines; nothing is trained or written. Raises DatasetError as `evaluate` does."""
    dataset = data.load(folder)
    whole, scored = _counts(dataset.examples), _scored(dataset, settings)
    asked = f"{len(scored)} of split {scored[0].split} would be scored" if scored else "there is none to score"
    told = [f"{whole['clips']} clips with an emotion, {whole['subjects']} subjects; {asked}"]
    if not settings.model:
        return told
    _need()
    from deemo_data.baseline.evaluation import train_and_ask
    from deemo_data.baseline.llama import estimate, presets

    trained = settings.seeds + settings.retrain * len(presets.MODALITIES)
    counted = estimate.estimate(train_and_ask.chosen(settings)).text(len(dataset.of("train")))
    return [
        *told,
        counted,
        f"It would be trained {trained} times: {settings.seeds} for seeds, {settings.retrain} without each modality",
    ]


def _need() -> None:
    """Raises ModelError where a library of the model is missing."""
    missing = next((name for name in NEEDS if importlib.util.find_spec(name) is None), "")
    if missing:
        raise ModelError(f"a model needs {missing}, which is not installed", f"Type: {INSTALL}, or leave out --preset")


def beside(folder: Path) -> Path:
    """Where results go when nobody says: out/ of a project, also for its dataset; else a folder beside the dataset."""
    if (folder / "deemo.toml").is_file():
        return folder / "out"
    folder = folder.resolve()
    ours = folder.name == "dataset" and (folder.parents[1] / "deemo.toml").is_file()
    return folder.parent if ours else folder.with_name(f"{folder.name}-evaluation")


def write(measured: dict[str, Any], out: Path) -> None:
    """Nothing from any but the first of several processes (torchrun)."""
    if os.environ.get("RANK", "0") != "0":
        return
    out.mkdir(parents=True, exist_ok=True)
    write_if_changed(out / JSON, json.dumps(measured, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_if_changed(out / HTML, page(measured))


def _scored(dataset: Dataset, settings: Settings) -> tuple[Example, ...]:
    """The clips that are scored; none where all are of the train split, unless that was asked for."""
    if settings.split:
        if not (found := dataset.of(settings.split)):
            raise DatasetError(f"no clip of split {settings.split} has an emotion", "Give another --split")
        return found
    return dataset.of("test") or dataset.of("validation")


def _predicted(scoring: Scoring) -> answers.Answers | None:
    if scoring.settings.predictions is None:
        return None
    wording = EmotionLexicon.of(scoring.dataset.emotions, scoring.emotions)
    known = [e.clip_id for e in scoring.dataset.examples]
    return answers.read(scoring.settings.predictions, wording, [e.clip_id for e in scoring.scored], known)


def _baselines(scoring: Scoring, material: Material) -> list[dict[str, Any]]:
    import numpy as np
    from threadpoolctl import threadpool_limits

    places = {e.clip_id: k for k, e in enumerate(material.examples)}
    learn = np.array([k for k, e in enumerate(material.examples) if e.split == "train"], int)
    ask = np.array([places[e.clip_id] for e in scoring.scored], int)
    known = probes.Known(material.examples, material.summaries, material.emotions, learn, ask)
    scoring.watcher.stage("Baselines", len(probes.BASELINES), 0)
    lines = []
    for name in probes.BASELINES:
        if not len(learn) and name != "oracle":
            continue
        with threadpool_limits(limits=1):
            runs = [probes.answers(name, known, seed) for seed in range(scoring.settings.seeds)]
        scoring.majority = scoring.majority or runs
        lines.append(scoring.of(name, "baseline", runs))
        scoring.watcher.clip("Baselines")
    return lines


def _vocabularies(dataset: Dataset) -> tuple[Emotions | None, Nfbl | None]:
    """Those of this package, where the dataset was labelled by them: they know more words for the same."""
    emotions, nfbl = load_emotions("emotions"), load_nfbl("nfbl")
    return (
        emotions if emotions.said in dataset.vocabularies else None,
        nfbl if set(dataset.classes) <= set(nfbl.labels) else None,
    )


def _about(dataset: Dataset) -> dict[str, Any]:
    path = dataset.folder / MANIFEST
    told = path.read_bytes() if path.is_file() else b"{}"
    return {
        **_counts(dataset.examples),
        "name": dataset.folder.name,
        "version": json.loads(told).get("version"),
        "digest": hashlib.sha256(told).hexdigest(),
        "splits": {s: _counts(dataset.of(s)) for s in SPLITS},
        "emotions": dict(Counter(e.emotion for e in dataset.examples).most_common()),
        "vocabularies": list(dataset.vocabularies),
    }


def _counts(examples: Sequence[Example]) -> dict[str, int]:
    return {"clips": len(examples), "subjects": len({e.subject_id for e in examples})}


def _versions() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        if importlib.util.find_spec({"scikit-learn": "sklearn"}.get(name, name)) is not None:
            found[name] = metadata.version(name)
    return found
