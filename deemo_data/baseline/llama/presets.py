"""The presets of DEEMO-LLaMA, which fix its size and its training: tiny for two CPU cores, llama-7b and llama-8b for GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deemo_data.errors import ConfigError

MODALITIES = ("video", "audio", "body", "text")


@dataclass(frozen=True)
class Preset:
    """All choices about a model and its training. model.json of a trained model holds these fields, so they keep their names.

    base, vision, sound    folder or name of pretrained weights on this machine: the language model, the picture encoder and the
                           sound encoder; "": trained from scratch
    base_shape, vision_shape, sound_shape  a transformers config with its `model_type`: the shape of a model from scratch; also
                           used by the estimate when weights are missing
    sound                  "" without a sound_shape: the audio encoder reads the prosody curves instead of the sound
    pictures               frames per clip that the picture encoder sees
    width                  of the curve encoders
    queries                tokens that each modality contributes
    vocabulary             size of the tokenizer that is trained when there is no base
    lora_rank, lora_alpha  of the adapters on all linear layers of a pretrained base; the base itself is frozen
    batch, at_once         clips per optimiser step; clips that one device processes at a time
    epochs                 passes over the training split
    rate, decay, warm      highest learning rate, weight decay, and the share of the steps in which the rate rises
    reasons                share of the clips that are also asked for their reasoning, if they have one
    blank                  share of the questions asked without clip and transcript, which teaches the frequency of the labels
    align, event           weights of the alignment loss and the event loss, relative to the loss of the answer
    others                 clues of other clips that serve as negative examples for the alignment
    every                  optimiser steps between checkpoints; there is also one after each epoch
    longest                tokens of a transcript, and of an answer
    threads                CPU threads of torch when there is no GPU, 0: torch's default. Results depend on it in their last bits,
                           and small matrices gain nothing from a second thread
    gpu                    whether a GPU is needed
    precision              of frozen weights: "float32" or "bfloat16"
    checkpointing          recompute activations in the backward pass, to save memory
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
LARGE_SETTINGS: dict[str, Any] = {
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
    **LARGE_SETTINGS,
)  # fmt: skip

LLAMA_8B = Preset(
    name="llama-8b",
    base="meta-llama/Llama-3.1-8B",
    base_shape={
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
    },
    **LARGE_SETTINGS,
)  # fmt: skip

PRESETS = {p.name: p for p in (TINY, LLAMA_7B, LLAMA_8B)}


def find_preset(name: str) -> Preset:
    """The preset with this name. Raises ConfigError, which lists the presets, when there is none."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}", f"Give one of: {', '.join(PRESETS)}")
    return PRESETS[name]
