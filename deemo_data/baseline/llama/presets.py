"""The sizes that DEEMO-LLaMA comes in: tiny for two CPU cores, llama-7b and llama-8b for GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deemo_data.errors import ConfigError

MODALITIES = ("video", "audio", "body", "text")


@dataclass(frozen=True)
class Preset:
    """Everything that is chosen about a model and its training; written into model.json of what was trained.

    base, vision, sound        folder or name of pretrained weights that are on this machine; "": from scratch, in the shape of
    ..._shape                  a transformers config with its `model_type`; also what the estimate counts where no weights are
    sound                      "" and no sound_shape: the prosody curves are listened to, not the sound
    pictures                   frames of a clip that are looked at
    width, queries             of the encoders of curves; tokens that a modality gives
    vocabulary                 of the tokenizer that is trained where there is no base
    lora_rank, lora_alpha      of all linear layers of a pretrained base, which is frozen otherwise
    batch, at_once             clips a step; those that one device takes at once
    reasons                    share of the clips that are also asked why, where somebody wrote that
    blank                      share of the questions asked without clip and words, which teaches what labels are usual
    align, event               weights of the two losses beside that of the answer's tokens
    others                     clue texts of other clips that a clip's own is told from
    every                      optimiser steps between checkpoints, beside one after each epoch
    longest                    tokens of a transcript, and of an answer
    threads                    of torch, where there is no GPU: results to the last bit depend on it, and small matrices gain
                               nothing from a second; 0: as torch has it
    gpu, precision             whether it needs one; "float32" or "bfloat16", of what is frozen
    """

    name: str
    base: str
    base_shape: Mapping[str, Any]
    vision: str
    vision_shape: Mapping[str, Any]
    sound: str = ""
    sound_shape: Mapping[str, Any] = field(default_factory=dict)
    pictures: int = 4
    width: int = 96
    queries: int = 4
    vocabulary: int = 2000
    lora_rank: int = 64
    lora_alpha: int = 128
    batch: int = 16
    at_once: int = 16
    epochs: int = 8
    rate: float = 1e-3
    decay: float = 0.01
    warm: float = 0.3
    reasons: float = 0.25
    blank: float = 0.05
    align: float = 1.0
    event: float = 1.0
    others: int = 32
    every: int = 200
    longest: int = 256
    threads: int = 1
    gpu: bool = False
    precision: str = "float32"
    checkpointing: bool = False


TINY = Preset(
    name="tiny",
    base="",
    base_shape={
        "model_type": "llama", "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 6,
        "num_key_value_heads": 6, "vocab_size": 2000, "max_position_embeddings": 2048,
    },
    vision="",
    vision_shape={
        "model_type": "vit", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "image_size": 32, "patch_size": 8, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    },
)  # fmt: skip

CLIP_LARGE = {
    "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "image_size": 224, "patch_size": 14,
}  # fmt: skip
HUBERT_LARGE = {
    "model_type": "hubert", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True,
}  # fmt: skip
LARGE: dict[str, Any] = {
    "vision": "openai/clip-vit-large-patch14", "vision_shape": CLIP_LARGE, "sound": "facebook/hubert-large-ll60k",
    "sound_shape": HUBERT_LARGE, "pictures": 8, "width": 512, "queries": 32, "at_once": 1, "epochs": 3, "rate": 1e-4, "warm": 0.1,
    "longest": 512, "every": 50, "threads": 0, "gpu": True, "precision": "bfloat16", "checkpointing": True,
}  # fmt: skip

LLAMA_7B = Preset(
    name="llama-7b",
    base="meta-llama/Llama-2-7b-hf",
    base_shape={
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096,
    },
    **LARGE,
)  # fmt: skip

LLAMA_8B = Preset(
    name="llama-8b",
    base="meta-llama/Llama-3.1-8B",
    base_shape={
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
    },
    **LARGE,
)  # fmt: skip

PRESETS = {p.name: p for p in (TINY, LLAMA_7B, LLAMA_8B)}


def preset(name: str) -> Preset:
    """Raises ConfigError, naming those there are, for a name that is none of them."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}", f"Give one of: {', '.join(PRESETS)}")
    return PRESETS[name]
