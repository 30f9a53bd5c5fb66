"""Small models and a small planted dataset for tests of DEEMO-LLaMA. Needs torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deemo_data.baseline.data import Dataset, load_dataset
from deemo_data.baseline.llama import tokenizer as words
from deemo_data.baseline.llama.presets import LLAMA_7B, TINY, Preset
from tests.makers.planted import write_planted_dataset

torch = pytest.importorskip("torch")

SMALL = replace(
    TINY,
    base_shape=dict(TINY.base_shape) | {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
                                        "num_attention_heads": 4, "num_key_value_heads": 2},
    vision_shape=dict(TINY.vision_shape) | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1},
    pictures=2, width=32, queries=2, vocabulary=600, batch=8, at_once=8, epochs=2, others=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_planted_dataset(tmp_path_factory.mktemp("planted"), 6, 4, seed=3, validation=1 / 6, test=2 / 6))


def save_pretrained_parts(folder: Path, dataset: Dataset, checkpointing: bool = False) -> Preset:
    """A preset whose base, vision and sound are pretrained models in `folder`: small ones of the types LLaMA, CLIP and HuBERT."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    torch.manual_seed(1)
    language = words.train_tokenizer(dataset.examples, SMALL, dataset.emotions)
    language.hf_tokenizer.save_pretrained(folder / "base")
    shape = dict(SMALL.base_shape) | {"vocab_size": len(language)}
    AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape)).save_pretrained(folder / "base")
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    clip = AutoConfig.for_model("clip", text_config=tower | {"vocab_size": 40},
                                vision_config=tower | {"image_size": 24, "patch_size": 8}, projection_dim=16)  # fmt: skip
    AutoModel.from_config(clip).save_pretrained(folder / "clip")
    (folder / "clip/preprocessor_config.json").write_text('{"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}')
    hubert = AutoConfig.for_model("hubert", **tower, conv_dim=[16] * 3, conv_kernel=[10, 8, 8], conv_stride=[8, 8, 5],
                                  num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4,
                                  feat_extract_norm="layer")  # fmt: skip
    AutoModel.from_config(hubert).save_pretrained(folder / "hubert")
    return replace(
        LLAMA_7B, base=str(folder / "base"), vision=str(folder / "clip"), sound=str(folder / "hubert"), gpu=False,
        precision="float32", pictures=2, width=32, queries=2, lora_rank=4, lora_alpha=8, batch=4, at_once=2, reasons=1.0,
        others=4, checkpointing=checkpointing, epochs=1,
    )  # fmt: skip
