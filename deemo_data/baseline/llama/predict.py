"""Makes, opens and asks a DEEMO-LLaMA.

`open_model` reads a trained model from its folder, `make_model` makes a new one. A model answers in two ways: `score_emotions`
ranks the labels by their likelihood, and `generate_answers` lets it write. `encode_clips` returns what its encoders compute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.data import Dataset, Example
from deemo_data.baseline.llama.batch import Batch, ClipInputs, PictureFormat, Question
from deemo_data.baseline.llama.model import DeemoLlama, load_config
from deemo_data.baseline.llama.presets import MODALITIES, Preset
from deemo_data.baseline.llama.reader import Reader, set_normalisation
from deemo_data.baseline.llama.tokenizer import (
    TextTokenizer,
    load_pretrained_tokenizer,
    load_tokenizer,
    missing_weights_error,
    train_tokenizer,
)
from deemo_data.baseline.wording import EmotionLexicon
from deemo_data.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


WEIGHTS_FILE, MODEL_FILE = "model.safetensors", "model.json"
MODEL_FORMAT = 1
MAX_LABEL_TOKENS = 32  # of a written answer that should name one emotion


@dataclass(frozen=True)
class ModelBundle:
    """A model and everything that is needed to use it.

    labels  the emotions of its training split, the only ones that it can have learned
    """

    model: DeemoLlama
    reader: Reader
    labels: tuple[str, ...]

    @property
    def device(self) -> torch.device:
        """The device of the model's weights."""
        return next(self.model.parameters()).device


def make_untrained_model(dataset: Dataset, preset: Preset, seed: int, modalities: tuple[str, ...] = MODALITIES) -> ModelBundle:
    """The model that training begins with: pretrained parts, and the rest random by `seed`. Does not change torch's own seed."""
    bundle = make_model(dataset, preset, seed, modalities)
    set_normalisation(bundle.model, list(bundle.reader.read_clips(dataset.in_split("train")).values()))
    return bundle


def make_model(dataset: Dataset, preset: Preset, seed: int, modalities: tuple[str, ...]) -> ModelBundle:
    """Like `make_untrained_model`, but without the normalisation of the curves, which needs the clips of the training split."""
    train = dataset.in_split("train")
    tokenizer = load_pretrained_tokenizer(preset) if preset.base else train_tokenizer(train, preset, dataset.emotions)
    reader = make_reader(preset, modalities, tokenizer, dataset.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DeemoLlama(preset, modalities, 0 if preset.base else len(tokenizer), len(dataset.classes))
    train_emotions = {e.emotion for e in train}
    return ModelBundle(model, reader, tuple(e for e in dataset.emotions if e in train_emotions))


def open_model(folder: Path) -> ModelBundle:
    """Read the model that `train_model` wrote into a folder. Raises ModelError when there is none, or one of another format."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        facts = json.loads((folder / MODEL_FILE).read_text("utf-8"))
        if facts["format"] != MODEL_FORMAT:
            raise ModelError(f"{folder} holds a model of format {facts['format']}, not {MODEL_FORMAT}", "Train it again")
        preset, own_tokenizer = Preset(**facts["preset"]), facts["tokenizer"]
        tokenizer = load_tokenizer(own_tokenizer, preset) if own_tokenizer else load_pretrained_tokenizer(preset)
        reader = make_reader(preset, tuple(facts["modalities"]), tokenizer, tuple(facts["classes"]))
        model = DeemoLlama(preset, reader.modalities, 0 if preset.base else len(tokenizer), len(reader.classes))
        restore_tensors(model, load_file(folder / WEIGHTS_FILE))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as e:
        raise ModelError(f"{folder} holds no trained model that can be read: {e}", "Train it again") from e
    model.to("cuda" if preset.gpu and torch.cuda.is_available() else "cpu")
    return ModelBundle(model.eval(), reader, tuple(facts["labels"]))


def collect_trainable_tensors(model: DeemoLlama) -> dict[str, Tensor]:
    """Everything that training changes: the parameters that are not frozen, and the normalisation of the curve encoders."""
    tensors = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    return tensors | {n: b for n, b in model.named_buffers() if n.endswith((".mean", ".spread")) and n.startswith("encoders.")}


def restore_tensors(model: DeemoLlama, tensors: dict[str, Tensor]) -> None:
    """Load the tensors of `collect_trainable_tensors`. Raises ModelError when names or shapes do not fit the model."""
    own = collect_trainable_tensors(model)
    wrong = sorted(n for n in own.keys() | tensors.keys() if n not in own or n not in tensors or own[n].shape != tensors[n].shape)
    if wrong:
        raise ModelError(f"the weights are of another model: {wrong[0]}", "Train it again")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def make_reader(preset: Preset, modalities: tuple[str, ...], tokenizer: TextTokenizer, classes: tuple[str, ...]) -> Reader:
    """The reader whose pictures and sound have the form that the pretrained parts of the preset were trained with."""
    from transformers import ImageProcessingMixin

    picture_format = PictureFormat(load_config(preset.vision, preset.vision_shape, "vision_config").image_size)
    sound_type = load_config(preset.sound, preset.sound_shape).model_type if preset.sound or preset.sound_shape else ""
    if preset.vision:
        try:
            processor, _ = ImageProcessingMixin.get_image_processor_dict(preset.vision, local_files_only=True)
        except (OSError, ValueError) as e:
            raise missing_weights_error(preset.vision) from e
        mean, std = processor.get("image_mean", picture_format.mean), processor.get("image_std", picture_format.std)
        picture_format = replace(picture_format, mean=mean, std=std)
    return Reader(preset, modalities, tokenizer, classes, picture_format, sound_type == "whisper")


@contextmanager
def limit_threads(preset: Preset) -> Iterator[None]:
    """Let torch use as many threads as the preset says; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(preset.threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def score_emotions(bundle: ModelBundle, examples: Sequence[Example], inputs: dict[str, ClipInputs] | None = None) -> list[Answer]:
    """The most probable emotion of each clip, with the probabilities of all labels of the model. It never refuses.

    inputs  the content of the clips from `Reader.read_clips`; None: they are read here
    """
    probabilities = emotion_probabilities(bundle, examples, inputs or bundle.reader.read_clips(examples))
    best = probabilities.argmax(axis=1)
    return [
        Answer(e.clip_id, bundle.labels[k], {label: float(p) for label, p in zip(bundle.labels, row, strict=True)})
        for e, k, row in zip(examples, best, probabilities, strict=True)
    ]


def generate_answers(
    bundle: ModelBundle, examples: Sequence[Example], reasons: bool = True, inputs: dict[str, ClipInputs] | None = None
) -> list[Answer]:
    """Answers that the model writes: an emotion (None when the text names none, or several), and its reasoning.

    reasons  whether to ask for the reasoning, with the instruction of the clip's record, or of another clip if it has none
    inputs   see `score_emotions`
    """
    inputs = inputs or bundle.reader.read_clips(examples)
    lexicon = EmotionLexicon.of(bundle.labels)
    default_instruction = next((e.reasoning_instruction for e in examples if e.reasoning_instruction), "")
    texts = _generate_texts(bundle, examples, inputs, [e.instruction for e in examples], MAX_LABEL_TOKENS)
    reasonings = [""] * len(texts)
    if reasons and default_instruction:
        instructions = [e.reasoning_instruction or default_instruction for e in examples]
        reasonings = _generate_texts(bundle, examples, inputs, instructions, bundle.reader.preset.longest)
    return [
        Answer(e.clip_id, lexicon.find_label(text), None, text, None, reasoning)
        for e, text, reasoning in zip(examples, texts, reasonings, strict=True)
    ]


def encode_clips(bundle: ModelBundle, examples: Sequence[Example]) -> NDArray[np.float32]:
    """(clips, n) float32: for each modality the mean of its tokens, as the language model gets them, one after the other."""
    import numpy as np

    inputs = bundle.reader.read_clips(examples)
    rows = [np.zeros((0, 0), np.float32)] if not examples else []
    with limit_threads(bundle.reader.preset), torch.inference_mode():
        for part in _split_examples(bundle, examples):
            questions = [Question(k, [bundle.reader.tokenizer.pad_id], []) for k in range(len(part))]
            tokens, _ = bundle.model.eval().encode(_make_batch(bundle, part, inputs, questions))
            rows.append(torch.cat([t.mean(dim=1).float() for t in tokens.values()], dim=1).cpu().numpy())
    return np.concatenate(rows)


def emotion_probabilities(bundle: ModelBundle, examples: Sequence[Example], inputs: dict[str, ClipInputs]) -> NDArray[np.float64]:
    """(clips, labels): the probability of each label, from its likelihood as the answer relative to that without a clip.

    Dividing by the likelihood without a clip (a blank question) removes the model's preference for frequent labels. Both are the
    mean log-likelihoods of `label_log_likelihoods`.
    """
    import numpy as np

    bundle.model.eval()
    blank_likelihoods: dict[str, Tensor] = {}  # instruction -> (labels,)
    rows = []
    with limit_threads(bundle.reader.preset), torch.inference_mode():
        for part in _split_examples(bundle, examples):
            if new := [e for e in {e.instruction: e for e in part}.values() if e.instruction not in blank_likelihoods]:
                blank = [Question(k, bundle.reader.encode_prompt(e, e.instruction, True), [], True) for k, e in enumerate(new)]
                likelihoods = label_log_likelihoods(bundle, _make_batch(bundle, new, inputs, blank))
                blank_likelihoods |= {e.instruction: row for e, row in zip(new, likelihoods, strict=True)}
            questions = [Question(k, bundle.reader.encode_prompt(e, e.instruction), []) for k, e in enumerate(part)]
            likelihoods = label_log_likelihoods(bundle, _make_batch(bundle, part, inputs, questions))
            without_clip = torch.stack([blank_likelihoods[e.instruction] for e in part])
            rows.append((likelihoods - without_clip).double().softmax(dim=1).cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, len(bundle.labels)))


def label_log_likelihoods(bundle: ModelBundle, batch: Batch) -> Tensor:
    """(questions, labels): the log-likelihood of each label (and the end after it) as the answer, per token of the label.

    The language model reads the question once; each label continues from its cache.
    """
    model = bundle.model
    inputs, mask = _embed_prompt(model, batch)
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    output = model.language(
        inputs_embeds=inputs, attention_mask=mask.long(), position_ids=positions, use_cache=True, logits_to_keep=1
    )
    cache = output.past_key_values
    first_token = output.logits[:, -1].float().log_softmax(dim=-1)
    columns = []
    for label in bundle.labels:
        ids = torch.tensor(bundle.reader.tokenizer.encode_answer(label), device=inputs.device)
        label_ids = ids[:-1].expand(len(inputs), -1)
        label_mask = torch.cat([mask, torch.ones_like(label_ids, dtype=torch.bool)], dim=1).long()
        label_positions = positions[:, -1:] + 1 + torch.arange(len(ids) - 1, device=ids.device)
        output = model.language(
            inputs_embeds=model.embed(label_ids),
            attention_mask=label_mask,
            position_ids=label_positions,
            past_key_values=cache,
            use_cache=True,
        )
        next_tokens = output.logits.float().log_softmax(dim=-1).gather(2, ids[1:].expand(len(inputs), -1)[..., None])[..., 0]
        columns.append((first_token[:, ids[0]] + next_tokens.sum(dim=1)) / (len(ids) - 1))
        cache.crop(-label_ids.shape[1])
    return torch.stack(columns, dim=1)


def _generate_texts(
    bundle: ModelBundle, examples: Sequence[Example], inputs: dict[str, ClipInputs], instructions: Sequence[str], max_tokens: int
) -> list[str]:
    """The text that the model writes for each question: the most probable token at each step, at most `max_tokens`."""
    from transformers import GenerationConfig

    tokenizer, model = bundle.reader.tokenizer, bundle.model.eval()
    config = GenerationConfig(
        max_new_tokens=max_tokens, do_sample=False, pad_token_id=tokenizer.pad_id, eos_token_id=tokenizer.end_id,
        bos_token_id=tokenizer.begin_id,
    )  # fmt: skip
    texts: list[str] = []
    with limit_threads(bundle.reader.preset), torch.inference_mode():
        for part in _split_examples(bundle, examples):
            part_instructions = instructions[len(texts) : len(texts) + len(part)]
            prompts = [bundle.reader.encode_prompt(e, i) for e, i in zip(part, part_instructions, strict=True)]
            questions = [Question(k, prompt, []) for k, prompt in enumerate(prompts)]
            embeddings, mask = _embed_prompt(model, _make_batch(bundle, part, inputs, questions))
            written = model.language.generate(inputs_embeds=embeddings, attention_mask=mask.long(), generation_config=config)
            texts += [tokenizer.decode(row.tolist()) for row in written]
    return texts


def _embed_prompt(model: DeemoLlama, batch: Batch) -> tuple[Tensor, Tensor]:
    """The language model's input for each question, with the tokens of the clip: embeddings, and their mask."""
    tokens, _ = model.encode(batch)
    prefix, mask = model.embed_prefix(batch, tokens)
    return torch.cat([prefix, model.embed(batch.ids)], dim=1), torch.cat([mask, batch.ids_mask], dim=1)


def _split_examples(bundle: ModelBundle, examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    """Parts of the examples that the device can process at a time: twice as many as in training."""
    size = 2 * bundle.reader.preset.at_once
    return (examples[k : k + size] for k in range(0, len(examples), size))


def _make_batch(
    bundle: ModelBundle, examples: Sequence[Example], inputs: dict[str, ClipInputs], questions: Sequence[Question]
) -> Any:
    """The batch of some examples, on the device of the model."""
    return bundle.reader.make_batch(examples, [inputs[e.clip_id] for e in examples], questions).to(bundle.device)
