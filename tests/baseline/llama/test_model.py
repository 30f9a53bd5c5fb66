"""The parts of DEEMO-LLaMA: what trains and what is frozen, what a batch-mate must not change, sizes on the meta device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from deemo_data.baseline.data import Dataset, Example  # noqa: E402
from deemo_data.baseline.llama import tokenizer as words  # noqa: E402
from deemo_data.baseline.llama.batch import IGNORED_LABEL, Batch, pad_tokens, stack_curves  # noqa: E402
from deemo_data.baseline.llama.estimate import GIB, build_on_meta, estimate_training, require_gpu  # noqa: E402
from deemo_data.baseline.llama.model import DeemoLlama, load_pretrained  # noqa: E402
from deemo_data.baseline.llama.predict import ModelBundle, make_model  # noqa: E402
from deemo_data.baseline.llama.presets import LLAMA_7B, LLAMA_8B, MODALITIES, PRESETS, TINY, Preset, find_preset  # noqa: E402
from deemo_data.baseline.llama.reader import set_normalisation  # noqa: E402
from deemo_data.errors import ConfigError, ModelError  # noqa: E402
from tests.makers.tiny_model import (  # noqa: E402
    SMALL,
    dataset,  # noqa: F401
    save_pretrained_parts,
)

torch.set_num_threads(1)  # of such small matrices a second thread is only waited for


def ready(dataset: Dataset, preset: Preset, modalities: tuple[str, ...] = MODALITIES) -> ModelBundle:
    """An untrained model whose curves are measured."""
    bundle = make_model(dataset, preset, 0, modalities)
    set_normalisation(bundle.model, list(bundle.reader.read_clips(dataset.in_split("train")).values()))
    return bundle


def batch_of(bundle: ModelBundle, examples: Sequence[Example], others: Sequence[Example] = ()) -> Batch:
    """What training would ask about them; with noise for sound, of which the planted clips have none."""
    import numpy as np

    rng = np.random.default_rng(0)
    questions = [q for k, e in enumerate(examples) for q in bundle.reader.draw_questions(e, k, rng)]
    noise = [np.random.default_rng(int(e.clip_id[2:], 16)).normal(size=640 * e.num_frames).astype(np.float32) for e in examples]
    inputs = [replace(i, sound=n) for i, n in zip(bundle.reader.read_clips(examples).values(), noise, strict=True)]
    return bundle.reader.make_batch(examples, inputs, questions, others)


def loss(bundle: ModelBundle, batch: Batch, which: str = "answer") -> float:
    with torch.no_grad():
        return float(bundle.model(batch)[which])


def learns(bundle: ModelBundle, batch: Batch, steps: int, rate: float) -> float:
    """The answer-token loss after so many steps on one batch."""
    optimizer = torch.optim.AdamW([p for p in bundle.model.parameters() if p.requires_grad], lr=rate)
    bundle.model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        losses = bundle.model(batch)
        losses["all"].backward()
        optimizer.step()
    return loss(bundle, batch)


def test_one_batch_is_learnt_by_heart(dataset: Dataset) -> None:
    bundle = ready(dataset, replace(SMALL, blank=0.0, reasons=1.0))
    batch = batch_of(bundle, dataset.in_split("train")[:4], dataset.examples)
    assert loss(bundle, batch) > 5
    assert learns(bundle, batch, 80, 5e-3) < 0.05


def test_gradients_reach_everything_that_is_from_scratch(dataset: Dataset) -> None:
    bundle = ready(dataset, replace(SMALL, reasons=1.0))
    bundle.model(batch_of(bundle, dataset.in_split("train"), dataset.examples))["all"].backward()
    lacking = [n for n, p in bundle.model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert lacking == [], "no gradient"


def test_of_a_pretrained_base_only_the_adapters_train(dataset: Dataset, tmp_path: Path) -> None:
    bundle = ready(dataset, save_pretrained_parts(tmp_path, dataset, checkpointing=True))
    assert (bundle.reader.picture_format.size, list(bundle.reader.picture_format.mean)) == (24, [0.4, 0.5, 0.6])
    batch = batch_of(bundle, dataset.in_split("train")[:4], dataset.examples)
    learns(bundle, batch, 1, 1e-3)  # the second factors of LoRA begin at 0 and hold back the first ones' gradient
    bundle.model.zero_grad()
    bundle.model(batch)["all"].backward()
    parameters = dict(bundle.model.named_parameters())
    trains = {n for n, p in parameters.items() if p.requires_grad}
    frozen = parameters.keys() - trains
    assert {n for n in trains if n.startswith("language.")} == {n for n in parameters if "lora_" in n}
    assert all("lora_" in n or not n.startswith("language.") for n in trains)
    assert any(n.startswith("encoders.video.eye.") for n in frozen)
    assert any(n.startswith("encoders.audio.ear.") for n in frozen)
    assert not any(part in n for n in trains for part in (".eye.", ".ear."))
    assert [n for n in trains if parameters[n].grad is None or not parameters[n].grad.abs().sum() > 0] == []
    assert [n for n in frozen if parameters[n].grad is not None] == []
    linears = {n.split(".lora_")[0].rsplit(".", 1)[1] for n in trains if "lora_" in n}
    assert linears == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_what_is_frozen_stays_as_in_use(dataset: Dataset, tmp_path: Path) -> None:
    bundle = ready(dataset, save_pretrained_parts(tmp_path, dataset))
    bundle.model.train()
    assert not bundle.model.encoders["video"].eye.training
    assert not bundle.model.encoders["audio"].ear.training
    assert bundle.model.language.training


def test_a_whisper_encoder_hears_a_log_mel(dataset: Dataset, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModel, WhisperFeatureExtractor

    shape = {"model_type": "whisper", "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
             "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_mel_bins": 80, "vocab_size": 64,
             "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}  # fmt: skip
    AutoModel.from_config(AutoConfig.for_model(**shape)).save_pretrained(tmp_path)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(tmp_path)
    bundle = ready(dataset, replace(SMALL, sound=str(tmp_path), sound_shape={}), ("audio",))
    batch = batch_of(bundle, dataset.in_split("train")[:2])
    assert batch.sound.shape == (2, 80, 3000)
    assert bundle.model.encode(batch)[0]["audio"].shape == (2, 2, 48)


def test_a_clip_does_not_depend_on_its_neighbours(dataset: Dataset, tmp_path: Path) -> None:
    """Shorter clips and questions are filled up: the loss of one alone is its loss among others."""
    for bundle in (
        ready(dataset, replace(SMALL, blank=0.0, reasons=0.0)),
        ready(dataset, save_pretrained_parts(tmp_path, dataset)),
    ):
        bundle.model.eval()
        clips = sorted(dataset.in_split("train"), key=lambda e: e.num_frames)
        short, long = clips[0], clips[-1]
        assert short.num_frames + 10 < long.num_frames
        with torch.inference_mode():
            alone, _ = bundle.model.encode(batch_of(bundle, [short]))
            among, _ = bundle.model.encode(batch_of(bundle, [long, short]))
            for modality in alone:
                assert torch.allclose(alone[modality][0], among[modality][1], atol=1e-4), modality


def test_the_loss_of_questions_of_different_length_is_their_mean(dataset: Dataset) -> None:
    bundle = ready(dataset, replace(SMALL, blank=0.0, reasons=0.0))
    bundle.model.eval()
    pair = [replace(dataset.in_split("train")[0], transcript="Yes."), dataset.in_split("train")[1]]
    with torch.inference_mode():
        together = bundle.model(batch_of(bundle, pair))["answer"]
        apart = torch.stack([bundle.model(batch_of(bundle, [e]))["answer"] for e in pair]).mean()
    assert torch.allclose(together, apart, atol=1e-4)


def test_a_blank_question_sees_nothing_of_the_clip(dataset: Dataset) -> None:
    bundle = ready(dataset, replace(SMALL, blank=1.0, reasons=0.0))
    bundle.model.eval()
    one, other = dataset.in_split("train")[0], dataset.in_split("train")[1]
    other = replace(other, instruction=one.instruction, emotion=one.emotion)
    with torch.inference_mode():
        losses = [loss(bundle, batch_of(bundle, [e])) for e in (one, other)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert batch_of(bundle, [one]).blank.all()


def test_a_modality_that_is_left_out_is_nowhere(dataset: Dataset) -> None:
    bundle = ready(dataset, replace(SMALL, blank=0.0, reasons=0.0), ("video", "audio"))
    assert set(bundle.model.encoders) == {"video", "audio"}
    assert not any("body" in n for n, _ in bundle.model.named_parameters())
    one = dataset.in_split("train")[0]
    changed = replace(one, transcript="Something else was said.")
    assert torch.equal(batch_of(bundle, [one]).ids, batch_of(bundle, [changed]).ids)
    assert not batch_of(bundle, [one]).transcripts_mask.any()
    only_text = ready(dataset, SMALL, ("text",))
    assert loss(only_text, batch_of(only_text, dataset.in_split("train"))) > 0


def test_a_clip_without_a_clue_is_not_aligned(dataset: Dataset) -> None:
    bundle = ready(dataset, SMALL)
    silent = [replace(e, clues={"video": "", "audio": "", "text": ""}) for e in dataset.in_split("train")[:4]]
    losses = bundle.model(batch_of(bundle, silent))
    assert losses["align"].item() == 0
    losses["all"].backward()


def test_events_count_only_where_somebody_looked(dataset: Dataset) -> None:
    bundle = ready(dataset, SMALL)
    unseen = [replace(e, events_annotated=False) for e in dataset.in_split("train")[:4]]
    assert loss(bundle, batch_of(bundle, unseen), "event") == 0
    assert loss(bundle, batch_of(bundle, dataset.in_split("train")[:4]), "event") > 0


def test_events_lie_where_they_were_marked(dataset: Dataset) -> None:
    bundle = ready(dataset, SMALL)
    e = replace(
        dataset.in_split("train")[0], events=((16, 33, "Folding arms"),), num_frames=dataset.in_split("train")[0].num_frames
    )
    marked = bundle.reader.read_clip(e).events
    place = dataset.classes.index("Folding arms")
    assert marked[:, place].nonzero()[0].tolist() == [2, 3, 4], "steps of 8 frames at 25 a second"
    assert marked.sum() == 3


def test_rows_are_filled_up() -> None:
    import numpy as np

    out, there = stack_curves([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)])
    assert (out.shape, out[0].sum(), there.sum(dim=1).tolist()) == ((2, 4, 3), 6, [2, 4])
    ids, _ = pad_tokens([[1, 2], [3]], IGNORED_LABEL, left=True)
    assert ids.tolist() == [[1, 2], [IGNORED_LABEL, 3]]


@pytest.mark.parametrize(
    ("preset", "base", "lora", "least", "most"),
    [(LLAMA_7B, 6_738_415_616, 159_907_840, 17, 21), (LLAMA_8B, 8_030_261_248, 167_772_160, 20, 24)],
    ids=["7b", "8b"],
)
def test_large_presets_on_the_meta_device(preset: Preset, base: int, lora: int, least: int, most: int) -> None:
    model = build_on_meta(preset)
    named = dict(model.named_parameters())
    here = [n for n, p in named.items() if p.device.type != "meta"]
    assert sum(named[n].numel() for n in here) <= 1024, "transformers makes HuBERT's mask in its own way"
    in_base = {n: p for n, p in named.items() if n.startswith("language.")}
    assert sum(p.numel() for n, p in in_base.items() if "lora_" not in n) == base
    assert sum(p.numel() for p in in_base.values() if p.requires_grad) == lora
    layer = "language.base_model.model.model.layers.31.mlp.down_proj.lora_A.default.weight"
    assert named[layer].shape == (64, preset.base_shape["intermediate_size"])
    assert model.projectors["body"][2].weight.shape == (4096, 4096)
    found = estimate_training(preset)
    assert found.lora == lora
    assert lora < found.trainable < 1.6 * lora
    assert least < found.bytes / GIB < most
    assert estimate_training(preset, 4096).bytes > found.bytes
    assert f"{lora:,} of LoRA" in found.describe(1000)
    assert "hours for 1000 clips" in found.describe(100_000).replace("100000", "1000")


def test_tiny_is_tiny() -> None:
    found = estimate_training(TINY)
    assert 1_000_000 < found.parameters == found.trainable < 5_000_000
    assert (found.lora, found.bytes < GIB) == (0, True)
    assert "one core" in found.describe(500)


def test_a_large_preset_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"llama-8b needs a GPU with about 2\d GiB, and there is none here. Give --preset tiny"):
        require_gpu(LLAMA_8B)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: type("Card", (), {"total_memory": 8 * GIB}))
    with pytest.raises(ModelError, match=r"llama-7b needs about \d+ GiB, and this GPU has 8"):
        require_gpu(LLAMA_7B)
    require_gpu(TINY)


def test_weights_in_a_pickle_are_not_read(tmp_path: Path) -> None:
    """A pickle runs what is in it: a folder without safetensors is as if it held no weights."""
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel

    shape = {"model_type": "vit", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    AutoModel.from_config(AutoConfig.for_model(**shape)).save_pretrained(tmp_path)
    load_pretrained(str(tmp_path), shape, "", "float32")
    state = load_file(tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="are not on this machine"):
        load_pretrained(str(tmp_path), shape, "", "float32")


def test_missing_weights(dataset: Dataset, tmp_path: Path) -> None:
    here = save_pretrained_parts(tmp_path, dataset)
    for change, name in (({"base": "someone/llama"}, "someone/llama"), ({"vision": str(tmp_path / "no")}, str(tmp_path / "no")),
                         ({"sound": "no/ear"}, "no/ear")):  # fmt: skip
        with pytest.raises(ModelError) as caught:
            make_model(dataset, replace(here, **change), 0, MODALITIES)
        assert caught.value.what == f"the weights of {name} are not on this machine"
        assert "\n" not in str(caught.value)


def test_a_preset_by_name() -> None:
    assert [find_preset(name).name for name in PRESETS] == ["tiny", "llama-7b", "llama-8b"]
    with pytest.raises(ConfigError, match=r"there is no preset 'huge'. Give one of: tiny, llama-7b, llama-8b"):
        find_preset("huge")


def test_adapters_of_a_half_precise_base_are_whole(dataset: Dataset, tmp_path: Path) -> None:
    bundle = ready(dataset, replace(save_pretrained_parts(tmp_path, dataset, checkpointing=True), precision="bfloat16"))
    kinds = {p.requires_grad: p.dtype for p in bundle.model.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    bundle.model.train()
    losses = bundle.model(batch_of(bundle, dataset.in_split("train")[:2]))
    losses["all"].backward()
    assert torch.isfinite(losses["all"])


def test_the_projector_is_cast_to_the_base(dataset: Dataset) -> None:
    bundle = ready(dataset, replace(SMALL, blank=0.0))
    bundle.model.language.to(torch.bfloat16)
    losses = bundle.model(batch_of(bundle, dataset.in_split("train")[:4]))
    losses["all"].backward()
    assert torch.isfinite(losses["all"])


def test_the_tokenizer_knows_every_text(dataset: Dataset) -> None:
    language = words.train_tokenizer(dataset.in_split("train"), SMALL, dataset.emotions)
    for text in ("Ünïcode, 中文 and 😀.", "disappointed", "The voice rises."):
        assert language.decode(language.encode_answer(text)) == text
        assert language.encode_answer(text)[-1] == language.end_id
    assert len(language.encode_answer("happy")) == 2, "a label of the training split is one token, and the end"
    again = words.load_tokenizer(words.tokenizer_to_json(language), SMALL)
    assert again.encode_question("What?", "I did.") == language.encode_question("What?", "I did.")
    assert isinstance(DeemoLlama(SMALL, ("text",), len(language), 0), torch.nn.Module)
