"""Trains a DEEMO-LLaMA on a dataset, keeps the epoch that does best on the validation subjects, and goes on where it was stopped.

What a step does depends on the seed, the number of the step and the weights alone: its clips, what is asked about them, its
learning rate and its random numbers. So a run that goes on from a checkpoint is, bit for bit, the run that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deemo_data.baseline.data import Dataset, Example
from deemo_data.baseline.llama import tokenizer as words
from deemo_data.baseline.llama.batch import Inputs
from deemo_data.baseline.llama.estimate import demand
from deemo_data.baseline.llama.predict import FORMAT, SAID, WEIGHTS, Fitted, cores, give, made, probabilities, taken
from deemo_data.baseline.llama.presets import MODALITIES, Preset
from deemo_data.baseline.llama.reader import measure
from deemo_data.errors import DatasetError, ModelError
from deemo_data.files import File, write_if_changed
from deemo_data.pipeline.run import Watcher

CHECKPOINT = "training.safetensors"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW remembers of a weight
LONGEST_STEP = 1.0  # norm of a gradient; a longer one is cut to it
FIRST, LAST = 1 / 25, 1e-4  # share of the learning rate at the first step and after the last


@dataclass
class State:
    """How far a training has come: steps taken, their losses, and an entry for each epoch that is over."""

    step: int = 0
    losses: list[dict[str, float]] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = -1


def train(
    dataset: Dataset, preset: Preset, seed: int, out: Path, modalities: tuple[str, ...] = MODALITIES, resume: bool = True,
    watcher: Watcher = Watcher(),  # noqa: B008
) -> Path:  # fmt: skip
    """Train, and write model.safetensors and model.json into the folder `out`, which is returned.

    modalities  what the model is given: one that is left out is not there in training either
    resume      False: start anew, whatever lies in `out`. True: what was trained in the same way is done, or goes on
    Raises DatasetError where there is nothing to train on; ModelError where weights or a large enough GPU are missing.
    """
    from accelerate import Accelerator

    if strange := [m for m in modalities if m not in MODALITIES]:
        raise ModelError(f"there is no modality {strange[0]!r}", f"Modalities: {', '.join(MODALITIES)}")
    examples = dataset.of("train")
    if not examples:
        raise DatasetError(
            f"{dataset.folder} has no training clip with an emotion", "Label more clips, or export with another seed"
        )
    modalities = tuple(m for m in MODALITIES if m in modalities)
    plan = fingerprint(dataset, preset, seed, modalities)
    if resume and _done(out, plan):
        return out
    demand(preset)
    fitted = made(dataset, preset, seed, modalities)
    validation = dataset.of("validation")
    inputs = fitted.reader.read([*examples, *validation], watcher)
    measure(fitted.model, [inputs[e.clip_id] for e in examples])
    helper = Accelerator(cpu=not preset.gpu)
    fitted.model.to(helper.device)
    optimizer = _optimizer(fitted, preset)
    state = _restored(out / CHECKPOINT, plan, fitted, optimizer) if resume else State()
    model, optimizer = helper.prepare(fitted.model, optimizer)
    per_epoch = math.ceil(len(examples) / preset.batch)
    steps = per_epoch * preset.epochs
    out.mkdir(parents=True, exist_ok=True)
    (out / SAID).unlink(missing_ok=True)
    name = f"Train {preset.name} {seed}" + "".join(f" -{m}" for m in MODALITIES if m not in modalities)
    watcher.stage(name, steps, state.step)
    course = Course(fitted, examples, inputs, seed, helper)
    with cores(preset):
        while state.step < steps:
            epoch, place = divmod(state.step, per_epoch)
            chosen = np.random.default_rng((seed, epoch)).permutation(len(examples))[place * preset.batch :][: preset.batch]
            losses = course.step(model, optimizer, state.step, rate(preset, state.step / steps), chosen.tolist())
            state.step += 1
            state.losses.append(losses)
            if state.step % per_epoch == 0:
                mean = {k: float(np.mean([s[k] for s in state.losses[-per_epoch:]])) for k in losses}
                state.epochs.append(mean | _validated(fitted, validation, inputs))
                if _best(state.epochs) == len(state.epochs) - 1:
                    state.best = len(state.epochs) - 1
                    if helper.is_main_process:
                        _write(out / WEIGHTS, taken(fitted.model))
            if helper.is_main_process and (state.step % per_epoch == 0 or state.step % preset.every == 0):
                _checkpoint(out / CHECKPOINT, plan, fitted, optimizer, state)
            watcher.clip(name)
    if helper.is_main_process:
        said = _said(fitted, dataset, plan, seed, state)
        write_if_changed(out / SAID, json.dumps(said, indent=1, ensure_ascii=False) + "\n")
        (out / CHECKPOINT).unlink(missing_ok=True)
    helper.wait_for_everyone()
    return out


@dataclass(frozen=True)
class Course:
    """What stays the same from step to step."""

    fitted: Fitted
    examples: Sequence[Example]
    inputs: Mapping[str, Inputs]
    seed: int
    helper: Any  # an accelerate.Accelerator

    def step(self, model: Any, optimizer: Any, number: int, rate: float, chosen: list[int]) -> dict[str, float]:
        """One step of the optimiser over the clips `chosen`, shared out to the processes; the losses of this one's share."""
        preset, helper = self.fitted.reader.preset, self.helper
        mine = chosen[helper.process_index :: helper.num_processes] or chosen[:1]
        torch.manual_seed(number + self.seed * 1_000_003)
        rng = np.random.default_rng((self.seed, number, 1))
        others = [self.examples[k] for k in rng.integers(0, len(self.examples), preset.others)]
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        optimizer.zero_grad(set_to_none=True)
        total: dict[str, float] = {}
        for first in range(0, len(mine), preset.at_once):
            part = [self.examples[k] for k in mine[first : first + preset.at_once]]
            asked = [q for place, e in enumerate(part) for q in self.fitted.reader.questions(e, place, rng)]
            batch = self.fitted.reader.batch(part, [self.inputs[e.clip_id] for e in part], asked, others)
            share = len(part) / len(mine)
            with nullcontext() if first + preset.at_once >= len(mine) else helper.no_sync(model):
                losses = model(batch.to(helper.device))
                helper.backward(losses["all"] * share)
            for name, loss in losses.items():
                total[name] = total.get(name, 0.0) + float(loss.detach()) * share
        helper.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], LONGEST_STEP)
        optimizer.step()
        return total


def rate(preset: Preset, progress: float) -> float:
    """The learning rate: up along a cosine over the share `warm` of the steps, then down to nearly nothing (one cycle)."""
    if progress < preset.warm:
        low, share = preset.rate * FIRST, progress / preset.warm
    else:
        low, share = preset.rate * LAST, (1 - progress) / (1 - preset.warm)
    return low + (preset.rate - low) * (1 - math.cos(math.pi * share)) / 2


def fingerprint(dataset: Dataset, preset: Preset, seed: int, modalities: Sequence[str]) -> str:
    """A digest of all that decides what comes out: what is learnt from, the preset, the seed and the modalities."""
    told = hashlib.sha256()
    for e in dataset.examples:
        told.update(repr(astuple(replace(e, video=Path(e.video.name), table=Path(e.table.name)))).encode())
    tables = {t: File.of(t).sha256 for t in sorted({e.table for e in dataset.examples})}
    told.update(repr([*tables.values(), dataset.emotions, dataset.classes, astuple(preset), seed, list(modalities)]).encode())
    return told.hexdigest()


def _optimizer(fitted: Fitted, preset: Preset) -> torch.optim.AdamW:
    """Weights of matrices decay, all others do not."""
    mine = [p for p in fitted.model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in mine if p.dim() > 1], "weight_decay": preset.decay},
        {"params": [p for p in mine if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=preset.rate, betas=(0.9, 0.99))


def _validated(fitted: Fitted, validation: Sequence[Example], inputs: Mapping[str, Inputs]) -> dict[str, float]:
    """Accuracy and log-loss on the validation subjects; nothing where there are none."""
    if not validation:
        return {}
    shares = probabilities(fitted, validation, dict(inputs))
    places = [fitted.labels.index(e.emotion) if e.emotion in fitted.labels else -1 for e in validation]
    right = [row[k] if k >= 0 else 0.0 for row, k in zip(shares, places, strict=True)]
    return {
        "accuracy": float(np.mean(shares.argmax(axis=1) == places)),
        "log_loss": float(-np.mean(np.log(np.maximum(right, 1e-12)))),
    }


def _best(epochs: Sequence[Mapping[str, float]]) -> int:
    """The epoch of the highest accuracy, of those alike that of the lowest log-loss; the last, where nothing was validated."""
    if "accuracy" not in epochs[0]:
        return len(epochs) - 1
    return max(range(len(epochs)), key=lambda k: (epochs[k]["accuracy"], -epochs[k]["log_loss"]))


def _done(out: Path, plan: str) -> bool:
    try:
        return bool(json.loads((out / SAID).read_text("utf-8"))["plan"] == plan and (out / WEIGHTS).is_file())
    except (OSError, ValueError, KeyError):
        return False


def _said(fitted: Fitted, dataset: Dataset, plan: str, seed: int, state: State) -> dict[str, Any]:
    """model.json: everything about the model that is not a weight."""
    import accelerate
    import peft
    import transformers

    reader, model = fitted.reader, fitted.model
    return {
        "format": FORMAT,
        "preset": asdict(reader.preset),
        "modalities": list(reader.modalities),
        "seed": seed,
        "labels": list(fitted.labels),
        "classes": list(reader.classes),
        "tokenizer": "" if reader.preset.base else words.written(reader.language),
        "best_epoch": state.best,
        "chosen_by": "accuracy on the validation subjects"
        if dataset.of("validation")
        else "nothing: there are none, so the last",
        "epochs": state.epochs,
        "losses": [s["all"] for s in state.losses],
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "plan": plan,
        "threads": reader.preset.threads or torch.get_num_threads(),
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft, accelerate)},
    }


def _checkpoint(path: Path, plan: str, fitted: Fitted, optimizer: Any, state: State) -> None:
    """Weights and moments, and in the same file how far it has come: both or neither are there after a crash."""
    tensors = {f"model.{n}": t for n, t in taken(fitted.model).items()}
    for name, p in fitted.model.named_parameters():
        for key, value in optimizer.state.get(p, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    _write(path, tensors, {"plan": plan, "state": json.dumps(asdict(state))})


def _restored(path: Path, plan: str, fitted: Fitted, optimizer: torch.optim.Optimizer) -> State:
    """How far a training of this plan had come, its weights and moments put back; the beginning where there is none."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return State()
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            if said.get("plan") != plan:
                return State()
            tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    except SafetensorError as e:
        raise ModelError(f"the checkpoint {path} is damaged: {e}", "Remove it: training begins anew") from e
    give(fitted.model, {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    for name, p in fitted.model.named_parameters():
        moments = {k: t for k in MOMENTS if (t := tensors.get(f"optimizer.{k}.{name}")) is not None}
        if moments:
            optimizer.state[p] = {k: t if k == "step" else t.to(p.device) for k, t in moments.items()}
    return State(**json.loads(said["state"]))


def _write(path: Path, tensors: Mapping[str, Tensor], said: dict[str, str] | None = None) -> None:
    """As safetensors, written beside its place first."""
    from safetensors.torch import save_file

    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file({n: t.contiguous().cpu() for n, t in tensors.items()}, aside, said)
        with open(aside, "rb") as f:
            os.fsync(f.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
