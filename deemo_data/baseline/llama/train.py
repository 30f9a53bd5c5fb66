"""Trains a DEEMO-LLaMA on a dataset. Keeps the epoch that is best on the validation subjects, and resumes a stopped training.

A step depends only on the seed, the number of the step and the weights: they decide its clips, its questions, its learning rate
and its random numbers. A training that resumes from a checkpoint is therefore, bit for bit, the one that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deemo_data.baseline.data import Dataset, Example
from deemo_data.baseline.llama.batch import ClipInputs
from deemo_data.baseline.llama.estimate import require_gpu
from deemo_data.baseline.llama.predict import (
    MODEL_FILE,
    MODEL_FORMAT,
    WEIGHTS_FILE,
    ModelBundle,
    collect_trainable_tensors,
    emotion_probabilities,
    limit_threads,
    make_model,
    restore_tensors,
)
from deemo_data.baseline.llama.presets import MODALITIES, Preset
from deemo_data.baseline.llama.reader import set_normalisation
from deemo_data.baseline.llama.tokenizer import tokenizer_to_json
from deemo_data.errors import DatasetError, ModelError
from deemo_data.files import File, staged, write_if_changed
from deemo_data.pipeline.run import SILENT_WATCHER, Watcher

CHECKPOINT_FILE = "training.safetensors"
OPTIMIZER_STATE_KEYS = ("step", "exp_avg", "exp_avg_sq")  # the state that AdamW keeps of each weight
MAX_GRADIENT_NORM = 1.0  # a larger gradient is scaled down to it
ADAM_BETAS = (0.9, 0.99)
SEED_DISTANCE = 1_000_003  # between the random numbers of two seeds
FIRST_RATE_SHARE, LAST_RATE_SHARE = 1 / 25, 1e-4  # of the highest learning rate: at the first step, and after the last


@dataclass
class TrainingState:
    """The progress of a training. The checkpoint holds these fields as JSON, so they keep their names.

    step    steps taken
    losses  of each step
    epochs  mean losses and validation figures of each finished epoch
    best    the best epoch so far; -1 before the first is finished
    """

    step: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = -1


def train_model(
    dataset: Dataset, preset: Preset, seed: int, out: Path, modalities: tuple[str, ...] = MODALITIES, resume: bool = True,
    watcher: Watcher = SILENT_WATCHER,
) -> Path:  # fmt: skip
    """Train a model, and write model.safetensors and model.json into the folder `out`, which is returned.

    modalities  the modalities that the model gets, in training as well as in use
    resume      True: a finished training with the same plan (`fingerprint_training`) is kept, a stopped one continues.
                False: start again, whatever `out` contains
    Raises DatasetError when there is nothing to train on; ModelError when weights or a large enough GPU are missing.
    """
    from accelerate import Accelerator

    if unknown := [m for m in modalities if m not in MODALITIES]:
        raise ModelError(f"there is no modality {unknown[0]!r}", f"Modalities: {', '.join(MODALITIES)}")
    examples = dataset.in_split("train")
    if not examples:
        raise DatasetError(
            f"{dataset.folder} has no training clip with an emotion", "Label more clips, or export with another seed"
        )
    modalities = tuple(m for m in MODALITIES if m in modalities)
    plan = fingerprint_training(dataset, preset, seed, modalities)
    if resume and _is_done(out, plan):
        return out
    require_gpu(preset)
    bundle = make_model(dataset, preset, seed, modalities)
    validation = dataset.in_split("validation")
    inputs = bundle.reader.read_clips([*examples, *validation], watcher)
    set_normalisation(bundle.model, [inputs[e.clip_id] for e in examples])
    accelerator = Accelerator(cpu=not preset.gpu)
    bundle.model.to(accelerator.device)
    optimizer = _make_optimizer(bundle, preset)
    state = _restore_checkpoint(out / CHECKPOINT_FILE, plan, bundle, optimizer) if resume else TrainingState()
    model, optimizer = accelerator.prepare(bundle.model, optimizer)
    steps_per_epoch = math.ceil(len(examples) / preset.batch)
    steps = steps_per_epoch * preset.epochs
    out.mkdir(parents=True, exist_ok=True)
    (out / MODEL_FILE).unlink(missing_ok=True)
    title = f"Train {preset.name} {seed}" + "".join(f" -{m}" for m in MODALITIES if m not in modalities)
    watcher.on_stage(title, steps, state.step)
    trainer = Trainer(bundle, examples, inputs, seed, accelerator)
    with limit_threads(preset):
        while state.step < steps:
            epoch, step_of_epoch = divmod(state.step, steps_per_epoch)
            order = np.random.default_rng((seed, epoch)).permutation(len(examples))
            clips = order[step_of_epoch * preset.batch :][: preset.batch].tolist()
            rate = learning_rate_at(preset, state.step / steps)
            losses = trainer.take_step(model, optimizer, state.step, rate, clips)
            state.step += 1
            state.losses.append(losses)
            epoch_is_over = state.step % steps_per_epoch == 0
            if epoch_is_over:
                mean = {k: float(np.mean([s[k] for s in state.losses[-steps_per_epoch:]])) for k in losses}
                state.epochs.append(mean | _validate(bundle, validation, inputs))
                if _find_best_epoch(state.epochs) == len(state.epochs) - 1:
                    state.best = len(state.epochs) - 1
                    if accelerator.is_main_process:
                        _write_tensors(out / WEIGHTS_FILE, collect_trainable_tensors(bundle.model))
            if accelerator.is_main_process and (epoch_is_over or state.step % preset.every == 0):
                _write_checkpoint(out / CHECKPOINT_FILE, plan, bundle, optimizer, state)
            watcher.on_clip(title)
    if accelerator.is_main_process:
        facts = _describe_model(bundle, dataset, plan, seed, state)
        write_if_changed(out / MODEL_FILE, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        (out / CHECKPOINT_FILE).unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return out


@dataclass(frozen=True)
class Trainer:
    """Takes the steps of a training: everything that stays the same from step to step.

    inputs       clip id -> its content
    accelerator  an accelerate.Accelerator
    """

    bundle: ModelBundle
    examples: Sequence[Example]
    inputs: Mapping[str, ClipInputs]
    seed: int
    accelerator: Any

    def take_step(self, model: Any, optimizer: Any, number: int, rate: float, clips: list[int]) -> dict[str, float]:
        """Take one optimiser step over some clips, divided among the processes; returns the losses of this process's share.

        number  of the step
        rate    the learning rate
        clips   indices of the clips in `examples`
        """
        reader, accelerator = self.bundle.reader, self.accelerator
        batch_size = reader.preset.at_once
        own_clips = clips[accelerator.process_index :: accelerator.num_processes] or clips[:1]
        torch.manual_seed(number + self.seed * SEED_DISTANCE)
        rng = np.random.default_rng((self.seed, number, 1))
        others = [self.examples[k] for k in rng.integers(0, len(self.examples), reader.preset.others)]
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        optimizer.zero_grad(set_to_none=True)
        total: dict[str, float] = {}
        for first in range(0, len(own_clips), batch_size):
            part = [self.examples[k] for k in own_clips[first : first + batch_size]]
            questions = [q for index, e in enumerate(part) for q in reader.draw_questions(e, index, rng)]
            batch = reader.make_batch(part, [self.inputs[e.clip_id] for e in part], questions, others)
            share = len(part) / len(own_clips)
            is_last = first + batch_size >= len(own_clips)
            with nullcontext() if is_last else accelerator.no_sync(model):
                losses = model(batch.to(accelerator.device))
                accelerator.backward(losses["all"] * share)
            for name, loss in losses.items():
                total[name] = total.get(name, 0.0) + float(loss.detach()) * share
        accelerator.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], MAX_GRADIENT_NORM)
        optimizer.step()
        return total


def learning_rate_at(preset: Preset, progress: float) -> float:
    """The learning rate after a share `progress` of the steps: up along a cosine until `warm`, then down to almost 0."""
    if progress < preset.warm:
        low, share = preset.rate * FIRST_RATE_SHARE, progress / preset.warm
    else:
        low, share = preset.rate * LAST_RATE_SHARE, (1 - progress) / (1 - preset.warm)
    return low + (preset.rate - low) * (1 - math.cos(math.pi * share)) / 2


def fingerprint_training(dataset: Dataset, preset: Preset, seed: int, modalities: Sequence[str]) -> str:
    """A digest of everything that decides the result of a training: the dataset, the preset, the seed and the modalities."""
    digest = hashlib.sha256()
    for e in dataset.examples:
        digest.update(repr(astuple(replace(e, video=Path(e.video.name), table=Path(e.table.name)))).encode())
    tables = {t: File.of(t).sha256 for t in sorted({e.table for e in dataset.examples})}
    digest.update(repr([*tables.values(), dataset.emotions, dataset.classes, astuple(preset), seed, list(modalities)]).encode())
    return digest.hexdigest()


def _make_optimizer(bundle: ModelBundle, preset: Preset) -> torch.optim.AdamW:
    """AdamW over the trainable parameters. Only matrices get weight decay."""
    trainable = [p for p in bundle.model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.dim() > 1], "weight_decay": preset.decay},
        {"params": [p for p in trainable if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=preset.rate, betas=ADAM_BETAS)


def _validate(bundle: ModelBundle, validation: Sequence[Example], inputs: Mapping[str, ClipInputs]) -> dict[str, float]:
    """Accuracy and log-loss on the validation subjects; empty when there are none."""
    if not validation:
        return {}
    probabilities = emotion_probabilities(bundle, validation, dict(inputs))
    gold = [bundle.labels.index(e.emotion) if e.emotion in bundle.labels else -1 for e in validation]
    of_gold = [row[k] if k >= 0 else 0.0 for row, k in zip(probabilities, gold, strict=True)]
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == gold)),
        "log_loss": float(-np.mean(np.log(np.maximum(of_gold, 1e-12)))),
    }


def _find_best_epoch(epochs: Sequence[Mapping[str, float]]) -> int:
    """The epoch with the highest accuracy, in a tie the one with the lowest log-loss; without validation, the last epoch."""
    if "accuracy" not in epochs[0]:
        return len(epochs) - 1
    return max(range(len(epochs)), key=lambda k: (epochs[k]["accuracy"], -epochs[k]["log_loss"]))


def _is_done(out: Path, plan: str) -> bool:
    """Whether the folder holds a model that was trained with this plan."""
    try:
        return bool(json.loads((out / MODEL_FILE).read_text("utf-8"))["plan"] == plan and (out / WEIGHTS_FILE).is_file())
    except (OSError, ValueError, KeyError):
        return False


def _describe_model(bundle: ModelBundle, dataset: Dataset, plan: str, seed: int, state: TrainingState) -> dict[str, Any]:
    """The content of model.json: everything about the model except its weights."""
    import accelerate
    import peft
    import transformers

    reader, model = bundle.reader, bundle.model
    return {
        "format": MODEL_FORMAT,
        "preset": asdict(reader.preset),
        "modalities": list(reader.modalities),
        "seed": seed,
        "labels": list(bundle.labels),
        "classes": list(reader.classes),
        "tokenizer": "" if reader.preset.base else tokenizer_to_json(reader.tokenizer),
        "best_epoch": state.best,
        "chosen_by": "accuracy on the validation subjects"
        if dataset.in_split("validation")
        else "nothing: there are none, so the last",
        "epochs": state.epochs,
        "losses": [s["all"] for s in state.losses],
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "plan": plan,
        "threads": reader.preset.threads or torch.get_num_threads(),
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft, accelerate)},
    }


def _write_checkpoint(path: Path, plan: str, bundle: ModelBundle, optimizer: Any, state: TrainingState) -> None:
    """Write weights, optimiser state and progress into one file, so that a crash leaves all of them or none."""
    tensors = {f"model.{n}": t for n, t in collect_trainable_tensors(bundle.model).items()}
    for name, p in bundle.model.named_parameters():
        for key, value in optimizer.state.get(p, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    _write_tensors(path, tensors, {"plan": plan, "state": json.dumps(asdict(state))})


def _restore_checkpoint(path: Path, plan: str, bundle: ModelBundle, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Load weights and optimiser state of a stopped training with this plan, and return its progress; without one, the start."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return TrainingState()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("plan") != plan:
                return TrainingState()
            tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    except SafetensorError as e:
        raise ModelError(f"the checkpoint {path} is damaged: {e}", "Remove it: training begins anew") from e
    restore_tensors(bundle.model, {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    for name, p in bundle.model.named_parameters():
        saved = {k: t for k in OPTIMIZER_STATE_KEYS if (t := tensors.get(f"optimizer.{k}.{name}")) is not None}
        if saved:
            optimizer.state[p] = {k: t if k == "step" else t.to(p.device) for k, t in saved.items()}
    return TrainingState(**json.loads(metadata["state"]))


def _write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, with text as its metadata."""
    from safetensors.torch import save_file

    with staged(path) as staging:
        save_file({n: t.contiguous().cpu() for n, t in tensors.items()}, staging, metadata)
