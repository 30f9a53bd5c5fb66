"""What a trained DEEMO-LLaMA says: how likely each emotion is, answers in its own words, and what its encoders make of a clip."""

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
from deemo_data.baseline.llama import tokenizer as words
from deemo_data.baseline.llama.batch import Batch, Inputs, Picture, Question
from deemo_data.baseline.llama.model import DeemoLlama, config_of
from deemo_data.baseline.llama.presets import MODALITIES, Preset
from deemo_data.baseline.llama.reader import Reader, measure
from deemo_data.baseline.wording import EmotionLexicon
from deemo_data.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


WEIGHTS, SAID = "model.safetensors", "model.json"
FORMAT = 1
LABEL = 32  # tokens of an answer that should name one emotion, at most


@dataclass(frozen=True)
class Fitted:
    """A model, what reads for it, and the emotions of its training split: of no other does it know what they look like."""

    model: DeemoLlama
    reader: Reader
    labels: tuple[str, ...]

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def untrained(dataset: Dataset, preset: Preset, seed: int, modalities: tuple[str, ...] = MODALITIES) -> Fitted:
    """A model as training begins with it: what was pretrained is, all else is random by `seed`. Torch's own seed stays."""
    fitted = made(dataset, preset, seed, modalities)
    measure(fitted.model, list(fitted.reader.read(dataset.of("train")).values()))
    return fitted


def made(dataset: Dataset, preset: Preset, seed: int, modalities: tuple[str, ...]) -> Fitted:
    """The same before the mean and spread of the training split's curves are in it."""
    train = dataset.of("train")
    language = words.pretrained(preset) if preset.base else words.learn(train, preset, dataset.emotions)
    reader = reader_of(preset, modalities, language, dataset.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DeemoLlama(preset, modalities, 0 if preset.base else len(language), len(dataset.classes))
    here = {e.emotion for e in train}
    return Fitted(model, reader, tuple(e for e in dataset.emotions if e in here))


def opened(folder: Path) -> Fitted:
    """The model that `train` wrote into a folder. Raises ModelError where there is none or it is another format."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        said = json.loads((folder / SAID).read_text("utf-8"))
        if said["format"] != FORMAT:
            raise ModelError(f"{folder} holds a model of format {said['format']}, not {FORMAT}", "Train it again")
        preset = Preset(**said["preset"])
        language = words.kept(said["tokenizer"], preset) if said["tokenizer"] else words.pretrained(preset)
        reader = reader_of(preset, tuple(said["modalities"]), language, tuple(said["classes"]))
        model = DeemoLlama(preset, reader.modalities, 0 if preset.base else len(language), len(reader.classes))
        give(model, load_file(folder / WEIGHTS))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as e:
        raise ModelError(f"{folder} holds no trained model that can be read: {e}", "Train it again") from e
    model.to("cuda" if preset.gpu and torch.cuda.is_available() else "cpu")
    return Fitted(model.eval(), reader, tuple(said["labels"]))


def taken(model: DeemoLlama) -> dict[str, Tensor]:
    """What training changes: all parameters that are not frozen, each once, and the mean and spread of curves."""
    found = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    return found | {n: b for n, b in model.named_buffers() if n.endswith((".mean", ".spread")) and n.startswith("encoders.")}


def give(model: DeemoLlama, tensors: dict[str, Tensor]) -> None:
    """Put back what `taken` took. Raises ModelError where the names or shapes are not the model's."""
    mine = taken(model)
    if wrong := sorted(
        n for n in mine.keys() | tensors.keys() if n not in mine or n not in tensors or mine[n].shape != tensors[n].shape
    ):
        raise ModelError(f"the weights are of another model: {wrong[0]}", "Train it again")
    with torch.no_grad():
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])


def reader_of(preset: Preset, modalities: tuple[str, ...], language: words.Language, classes: tuple[str, ...]) -> Reader:
    """What reads clips in the way that the pretrained parts of a preset were trained with."""
    from transformers import ImageProcessingMixin

    sees = Picture(config_of(preset.vision, preset.vision_shape, "vision_config").image_size)
    hears = config_of(preset.sound, preset.sound_shape).model_type if preset.sound or preset.sound_shape else ""
    if preset.vision:
        try:
            said, _ = ImageProcessingMixin.get_image_processor_dict(preset.vision, local_files_only=True)
        except (OSError, ValueError) as e:
            raise words.missing(preset.vision) from e
        sees = replace(sees, mean=said.get("image_mean", sees.mean), spread=said.get("image_std", sees.spread))
    return Reader(preset, modalities, language, classes, sees, hears == "whisper")


@contextmanager
def cores(preset: Preset) -> Iterator[None]:
    """With as many threads as the preset says."""
    before = torch.get_num_threads()
    torch.set_num_threads(preset.threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def score(fitted: Fitted, examples: Sequence[Example], inputs: dict[str, Inputs] | None = None) -> list[Answer]:
    """The most likely emotion of each clip, with the probabilities of all those of the training split. It never refuses.

    inputs  what `fitted.reader.read` made of the clips, where somebody has read them already
    """
    shares = probabilities(fitted, examples, inputs or fitted.reader.read(examples))
    best = shares.argmax(axis=1)
    return [
        Answer(e.clip_id, fitted.labels[k], {label: float(p) for label, p in zip(fitted.labels, row, strict=True)})
        for e, k, row in zip(examples, best, shares, strict=True)
    ]


def answer(
    fitted: Fitted, examples: Sequence[Example], reasons: bool = True, inputs: dict[str, Inputs] | None = None
) -> list[Answer]:
    """What the model writes when it is free to write: the emotion, None where that names none or several, and its reasons.

    reasons  False: it is not asked why; else it is, with the wording of the record, or with that of another clip's
    inputs   as of `score`
    """
    inputs = inputs or fitted.reader.read(examples)
    wording = EmotionLexicon.of(fitted.labels)
    asked = next((e.asked for e in examples if e.asked), "")
    texts = _written(fitted, examples, inputs, [e.instruction for e in examples], LABEL)
    why = [""] * len(texts)
    if reasons and asked:
        why = _written(fitted, examples, inputs, [e.asked or asked for e in examples], fitted.reader.preset.longest)
    return [
        Answer(e.clip_id, wording.label(text), None, text, None, reason)
        for e, text, reason in zip(examples, texts, why, strict=True)
    ]


def features(fitted: Fitted, examples: Sequence[Example]) -> NDArray[np.float32]:
    """(clips, n) float32: the means of the tokens that each modality gives to the language model, one after the other."""
    import numpy as np

    inputs = fitted.reader.read(examples)
    found = [np.zeros((0, 0), np.float32)] if not examples else []
    with cores(fitted.reader.preset), torch.inference_mode():
        for part in _parts(fitted, examples):
            questions = [Question(k, [fitted.reader.language.pad], []) for k in range(len(part))]
            tokens, _ = fitted.model.eval().encode(_batch(fitted, part, inputs, questions))
            found.append(torch.cat([t.mean(dim=1).float() for t in tokens.values()], dim=1).cpu().numpy())
    return np.concatenate(found)


def probabilities(fitted: Fitted, examples: Sequence[Example], inputs: dict[str, Inputs]) -> NDArray[np.float64]:
    """(clips, labels): how likely each label is as the answer, against how likely it is where there is no clip.

    Of both, the log-likelihood of the label's tokens and of the end after it, over the number of its tokens.
    """
    import numpy as np

    fitted.model.eval()
    free: dict[str, Tensor] = {}
    rows = []
    with cores(fitted.reader.preset), torch.inference_mode():
        for part in _parts(fitted, examples):
            if new := [e for e in {e.instruction: e for e in part}.values() if e.instruction not in free]:
                blank = [Question(k, fitted.reader.asked(e, e.instruction, True), [], True) for k, e in enumerate(new)]
                likely = likelihoods(fitted, _batch(fitted, new, inputs, blank))
                free |= {e.instruction: row for e, row in zip(new, likely, strict=True)}
            questions = [Question(k, fitted.reader.asked(e, e.instruction), []) for k, e in enumerate(part)]
            likely = likelihoods(fitted, _batch(fitted, part, inputs, questions))
            against = torch.stack([free[e.instruction] for e in part])
            rows.append((likely - against).double().softmax(dim=1).cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, len(fitted.labels)))


def likelihoods(fitted: Fitted, batch: Batch) -> Tensor:
    """(questions, labels): log-likelihood of each label as the whole answer, over the number of its tokens.

    The question is read once; each label then goes on from there.
    """
    model = fitted.model
    inputs, there = _prompt(model, batch)
    places = (there.long().cumsum(1) - 1).clamp(min=0)
    read = model.language(
        inputs_embeds=inputs, attention_mask=there.long(), position_ids=places, use_cache=True, logits_to_keep=1
    )
    cache = read.past_key_values
    first = read.logits[:, -1].float().log_softmax(dim=-1)
    columns = []
    for label in fitted.labels:
        ids = torch.tensor(fitted.reader.language.answer(label), device=inputs.device)
        more = ids[:-1].expand(len(inputs), -1)
        on = torch.cat([there, torch.ones_like(more, dtype=torch.bool)], dim=1).long()
        after = places[:, -1:] + 1 + torch.arange(len(ids) - 1, device=ids.device)
        read = model.language(
            inputs_embeds=model.embed(more), attention_mask=on, position_ids=after, past_key_values=cache, use_cache=True
        )
        rest = read.logits.float().log_softmax(dim=-1).gather(2, ids[1:].expand(len(inputs), -1)[..., None])[..., 0]
        columns.append((first[:, ids[0]] + rest.sum(dim=1)) / (len(ids) - 1))
        cache.crop(-more.shape[1])
    return torch.stack(columns, dim=1)


def _written(
    fitted: Fitted, examples: Sequence[Example], inputs: dict[str, Inputs], instructions: Sequence[str], most: int
) -> list[str]:
    """The likeliest continuation, token by token, of each question; at most so many tokens."""
    from transformers import GenerationConfig

    language, model = fitted.reader.language, fitted.model.eval()
    how = GenerationConfig(
        max_new_tokens=most, do_sample=False, pad_token_id=language.pad, eos_token_id=language.end,
        bos_token_id=language.begin,
    )  # fmt: skip
    texts: list[str] = []
    with cores(fitted.reader.preset), torch.inference_mode():
        for part in _parts(fitted, examples):
            asked = instructions[len(texts) : len(texts) + len(part)]
            questions = [Question(k, fitted.reader.asked(e, asked[k]), []) for k, e in enumerate(part)]
            first, there = _prompt(model, _batch(fitted, part, inputs, questions))
            made = model.language.generate(inputs_embeds=first, attention_mask=there.long(), generation_config=how)
            texts += [language.text(row.tolist()) for row in made]
    return texts


def _prompt(model: DeemoLlama, batch: Batch) -> tuple[Tensor, Tensor]:
    tokens, _ = model.encode(batch)
    first, there = model.before(batch, tokens)
    return torch.cat([first, model.embed(batch.ids)], dim=1), torch.cat([there, batch.ids_there], dim=1)


def _parts(fitted: Fitted, examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    size = 2 * fitted.reader.preset.at_once
    return (examples[k : k + size] for k in range(0, len(examples), size))


def _batch(fitted: Fitted, examples: Sequence[Example], inputs: dict[str, Inputs], questions: Sequence[Question]) -> Any:
    return fitted.reader.batch(examples, [inputs[e.clip_id] for e in examples], questions).to(fitted.device)
