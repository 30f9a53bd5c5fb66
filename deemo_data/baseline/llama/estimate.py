"""What a preset takes, before it is begun: parameters, memory and time, counted on torch's meta device, without numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deemo_data.baseline.llama.presets import MODALITIES, Preset
from deemo_data.errors import ModelError

GIB = 2**30
CONTEXT = 1.3 * GIB  # of CUDA and its libraries
LOGITS = 128  # places whose logits are computed: those of the answer
LAYER = 393_000  # bytes a token of one recomputed layer of the 8B shape (8 hidden + 4 inner sizes); others in proportion
SPEED = 1.5e14  # multiplications and additions a second of a large GPU in bfloat16, at some 40 % of its peak
CORE = 9e10  # the same, of one CPU core in float32, with clips whose questions are of some 80 tokens: tiny was timed


@dataclass(frozen=True)
class Estimate:
    """parameters: of everything; trained: of what is not frozen; lora: of the adapters; bytes: on one device; seconds: a clip.

    parts  what the bytes are for
    """

    preset: Preset
    parameters: int
    trained: int
    lora: int
    bytes: int
    seconds: float
    parts: Mapping[str, int]

    def text(self, clips: int = 0) -> str:
        """In words, as --dry-run prints it; the time for so many training clips, if any."""
        device = "a GPU" if self.preset.gpu else "memory"
        parts = ", ".join(f"{name} {size / GIB:.1f}" for name, size in self.parts.items() if size)
        adapters = f" ({self.lora:,} of LoRA)" if self.lora else ""
        hours = self.seconds * clips * self.preset.epochs / 3600
        time = f"{hours:.1f} hours for {clips} clips" if hours >= 1 else f"{60 * hours:.1f} minutes for {clips} clips"
        return (
            f"{self.preset.name}: {self.parameters:,} parameters, {self.trained:,} of them trained{adapters}; "
            f"about {self.bytes / GIB:.1f} GiB of {device} ({parts})"
            + (
                f"; about {time} and {self.preset.epochs} epochs on {'one GPU' if self.preset.gpu else 'one core'}"
                if clips
                else ""
            )
            + ". Counted, not measured"
        )


def estimate(preset: Preset, tokens: int = 0) -> Estimate:
    """What training takes on one device, for questions of so many tokens (2048 on a GPU, else 128). Needs no weights and no GPU.

    2 bytes a frozen parameter (4 in float32), 16 a trained one (weight, gradient, two moments), the inputs of all layers and,
    with checkpointing, what one of them holds, else what all do, and 10 a logit.
    """
    tokens = tokens or (2048 if preset.gpu else 128)
    model = on_meta(preset)
    config = model.language.config
    every = {n: (p.numel(), p.requires_grad) for n, p in model.named_parameters()}
    trained = sum(n for n, trains in every.values() if trains)
    frozen = sum(n for n, _ in every.values()) - trained
    layers, hidden, inner = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    one = LAYER * (8 * hidden + 4 * inner) / (8 * 4096 + 4 * 14336)
    parts = {
        "frozen": frozen * (2 if preset.precision == "bfloat16" else 4),
        "trained": 16 * trained,
        "layers": round(preset.at_once * tokens * (2 * layers * hidden + one * (1 if preset.checkpointing else layers))),
        "logits": 10 * preset.at_once * min(LOGITS, tokens) * config.vocab_size,
        "context": round(CONTEXT) if preset.gpu else 0,
    }
    work = 6 * (frozen + trained) * tokens  # forward, and twice that: backward, or backward through what is frozen and once more
    lora = sum(n for name, (n, _) in every.items() if "lora_" in name)
    seconds = work / (SPEED if preset.gpu else CORE)
    return Estimate(preset, frozen + trained, trained, lora, sum(parts.values()), seconds, parts)


def on_meta(preset: Preset, modalities: tuple[str, ...] = MODALITIES, classes: int = 32) -> Any:
    """The model without numbers: its shapes, and which of its parameters train."""
    import torch

    from deemo_data.baseline.llama.model import DeemoLlama, with_lora

    with torch.device("meta"):
        bare = replace(preset, base="", vision="", sound="")
        made = DeemoLlama(bare, modalities, 0, classes)
        for encoder, part, where in (("video", "eye", preset.vision), ("audio", "ear", preset.sound)):
            if where and encoder in modalities:
                getattr(made.encoders[encoder], part).requires_grad_(False)
        if preset.base:
            made.language = with_lora(made.language, preset)
    return made


def demand(preset: Preset) -> None:
    """Raises ModelError where the preset needs a GPU and there is none, or none that is large enough."""
    import torch

    if not preset.gpu:
        return
    need = estimate(preset).bytes
    advice = "Give --preset tiny, or --dry-run to see what it takes"
    if not torch.cuda.is_available():
        raise ModelError(f"preset {preset.name} needs a GPU with about {need / GIB:.0f} GiB, and there is none here", advice)
    have = torch.cuda.get_device_properties(0).total_memory
    if have < need:
        raise ModelError(f"preset {preset.name} needs about {need / GIB:.0f} GiB, and this GPU has {have / GIB:.0f}", advice)
