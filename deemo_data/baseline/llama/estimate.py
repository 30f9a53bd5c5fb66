"""Estimates what training a preset takes: parameters, memory and time.

Parameters are counted on torch's meta device, which needs neither weights nor memory nor a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deemo_data.baseline.llama.presets import MODALITIES, Preset
from deemo_data.errors import ModelError

GIB = 2**30
CUDA_CONTEXT_BYTES = 1.3 * GIB  # CUDA and its libraries
LOGIT_PLACES = 128  # positions whose logits are computed: those of the answer
LAYER_BYTES_PER_TOKEN = 393_000  # of a recomputed layer of the 8B shape (8 hidden + 4 inner sizes); scaled for other shapes
GPU_MACS_PER_SECOND = 1.5e14  # multiply-adds of a large GPU in bfloat16, at about 40 % of its peak
CORE_MACS_PER_SECOND = 9e10  # multiply-adds of one CPU core in float32; measured with tiny and about 80 tokens per question
GPU_TOKENS, CPU_TOKENS = 2048, 128  # of a question, where none are given


@dataclass(frozen=True)
class Estimate:
    """What training a preset takes.

    parameters  of the whole model
    trainable   parameters that are not frozen
    lora        parameters of the adapters
    bytes       memory on one device; parts: what they are used for
    seconds     per clip and epoch
    """

    preset: Preset
    parameters: int
    trainable: int
    lora: int
    bytes: int
    seconds: float
    parts: Mapping[str, int]

    def describe(self, clips: int = 0) -> str:
        """The estimate in words, as --dry-run prints it; with the training time for that many clips, unless it is 0."""
        device = "a GPU" if self.preset.gpu else "memory"
        parts = ", ".join(f"{name} {size / GIB:.1f}" for name, size in self.parts.items() if size)
        adapters = f" ({self.lora:,} of LoRA)" if self.lora else ""
        hours = self.seconds * clips * self.preset.epochs / 3600
        time = f"{hours:.1f} hours for {clips} clips" if hours >= 1 else f"{60 * hours:.1f} minutes for {clips} clips"
        return (
            f"{self.preset.name}: {self.parameters:,} parameters, {self.trainable:,} of them trained{adapters}; "
            f"about {self.bytes / GIB:.1f} GiB of {device} ({parts})"
            + (
                f"; about {time} and {self.preset.epochs} epochs on {'one GPU' if self.preset.gpu else 'one core'}"
                if clips
                else ""
            )
            + ". Counted, not measured"
        )


def estimate_training(preset: Preset, tokens: int = 0) -> Estimate:
    """What training takes on one device. Needs no weights and no GPU. tokens: of a question; 0: GPU_TOKENS or CPU_TOKENS.

    Memory: 2 bytes per frozen parameter (4 in float32); 16 per trainable one (weight, gradient, two moments); the inputs of all
    layers; the activations of one layer with checkpointing, otherwise of all; and 10 bytes per logit.
    """
    tokens = tokens or (GPU_TOKENS if preset.gpu else CPU_TOKENS)
    model = build_on_meta(preset)
    config = model.language.config
    sizes = {name: (p.numel(), p.requires_grad) for name, p in model.named_parameters()}
    trainable = sum(size for size, requires_grad in sizes.values() if requires_grad)
    frozen = sum(size for size, _ in sizes.values()) - trainable
    layers, hidden, inner = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    layer_bytes = LAYER_BYTES_PER_TOKEN * (8 * hidden + 4 * inner) / (8 * 4096 + 4 * 14336)
    parts = {
        "frozen": frozen * (2 if preset.precision == "bfloat16" else 4),
        "trained": 16 * trainable,
        "layers": round(preset.at_once * tokens * (2 * layers * hidden + layer_bytes * (1 if preset.checkpointing else layers))),
        "logits": 10 * preset.at_once * min(LOGIT_PLACES, tokens) * config.vocab_size,
        "context": round(CUDA_CONTEXT_BYTES) if preset.gpu else 0,
    }
    # The forward pass, and twice as much: the backward pass, or for a frozen base its gradient and the recomputation.
    work = 6 * (frozen + trainable) * tokens
    lora = sum(size for name, (size, _) in sizes.items() if "lora_" in name)
    seconds = work / (GPU_MACS_PER_SECOND if preset.gpu else CORE_MACS_PER_SECOND)
    return Estimate(preset, frozen + trainable, trainable, lora, sum(parts.values()), seconds, parts)


def build_on_meta(preset: Preset, modalities: tuple[str, ...] = MODALITIES, classes: int = 32) -> Any:
    """The model on torch's meta device: shapes without values, and which parameters are trainable."""
    import torch

    from deemo_data.baseline.llama.model import DeemoLlama, add_lora

    with torch.device("meta"):
        from_scratch = replace(preset, base="", vision="", sound="")
        model = DeemoLlama(from_scratch, modalities, 0, classes)
        for encoder, part, where in (("video", "eye", preset.vision), ("audio", "ear", preset.sound)):
            if where and encoder in modalities:
                getattr(model.encoders[encoder], part).requires_grad_(False)
        if preset.base:
            model.language = add_lora(model.language, preset)
    return model


def require_gpu(preset: Preset) -> None:
    """Raises ModelError when the preset needs a GPU and there is none, or none with enough memory."""
    import torch

    if not preset.gpu:
        return
    needed_bytes = estimate_training(preset).bytes
    advice = "Give --preset tiny, or --dry-run to see what it takes"
    if not torch.cuda.is_available():
        raise ModelError(
            f"preset {preset.name} needs a GPU with about {needed_bytes / GIB:.0f} GiB, and there is none here", advice
        )
    gpu_bytes = torch.cuda.get_device_properties(0).total_memory
    if gpu_bytes < needed_bytes:
        what = f"preset {preset.name} needs about {needed_bytes / GIB:.0f} GiB, and this GPU has {gpu_bytes / GIB:.0f}"
        raise ModelError(what, advice)
