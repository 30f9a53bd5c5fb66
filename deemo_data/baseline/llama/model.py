"""DEEMO-LLaMA, the network: encoders of the modalities, projectors into the language model, and the losses.

Each encoder turns its modality into a few tokens (Queries). A projector maps them to the width of the language model, which
reads them before the question. Three losses train it: that of the answer's tokens, the alignment of each modality with its clue,
and that of the event head, which recognises body language.

Attribute names of the modules are the names of the weights in model.safetensors: they must not change.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from deemo_data.baseline.llama.batch import BODY_CHANNELS, HALVING_COUNT, IGNORED_LABEL, VOICE_CHANNELS
from deemo_data.baseline.llama.presets import Preset
from deemo_data.baseline.llama.tokenizer import missing_weights_error

if TYPE_CHECKING:
    from deemo_data.baseline.llama.batch import Batch

CLUE_OF_MODALITY = {
    "video": "video",
    "audio": "audio",
    "body": "video",
    "text": "text",
}  # modality -> the clue that it is aligned with
ATTENTION_HEADS = 4  # of queries and of curve encoders
MAX_HEAD_WIDTH = 256  # of the space in which modalities and clues are compared


class Queries(nn.Module):
    """Learned query tokens that summarise a sequence of any length by attention."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(count, width) * 0.5)
        self.attend = nn.MultiheadAttention(width, ATTENTION_HEADS, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, sequence: Tensor, mask: Tensor | None = None) -> Tensor:
        """(clips, steps, width) -> (clips, count, width). mask (clips, steps): False where a step is padding."""
        queries = self.tokens.expand(len(sequence), -1, -1)
        padding = None if mask is None else ~mask
        attended, _ = self.attend(queries, sequence, sequence, key_padding_mask=padding, need_weights=False)
        return cast(Tensor, self.norm(queries + attended))


class CurveEncoder(nn.Module):
    """Curves over time -> tokens: three stride-2 convolutions, one transformer layer, then queries.

    With `classes` it has an event head, which predicts body language every 8 steps. The predictions are added to the sequence, so
    that its tokens carry them: they are the NFBL tokens of the paper.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, channels: int, width: int, queries: int, classes: int = 0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))
        sizes = [channels, *[width] * HALVING_COUNT]
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, 5, 2, 2) for a, b in pairwise(sizes))
        self.norm = nn.LayerNorm(width)
        self.layer = nn.TransformerEncoderLayer(width, ATTENTION_HEADS, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.events = nn.Linear(width, classes) if classes else None
        self.seen = nn.Linear(classes, width) if classes else None
        self.queries = Queries(width, queries)

    def forward(self, curves: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """(clips, steps, channels) -> tokens (clips, queries, width), and logits of events (clips, steps / 8, classes).

        mask (clips, steps): False where a step is padding. Padding is held at 0, so that the tokens of a clip do not depend on
        the other clips of the batch.
        """
        x = ((curves - self.mean) / self.spread * mask[..., None]).transpose(1, 2)
        for convolution in self.convolutions:
            mask = mask[:, ::2]
            x = functional.gelu(convolution(x)) * mask[:, None]
        x = self.norm(x.transpose(1, 2))
        x = x + encode_positions(x.shape[1], x.shape[2], x)
        x = self.layer(x, src_key_padding_mask=~mask)
        events = None
        if self.events is not None and self.seen is not None:
            events = self.events(x)
            x = x + self.seen(events.sigmoid())
        return self.queries(x, mask), events


def encode_positions(steps: int, width: int, like: Tensor) -> Tensor:
    """(steps, width): sine and cosine encoding of positions in a sequence (Vaswani et al., 2017), in the dtype of `like`."""
    place = torch.arange(steps, device=like.device)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=like.device) * (-9.2103 / width))
    return torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=2).reshape(steps, -1)[:, :width].to(like.dtype)


class FrameEncoder(nn.Module):
    """Frames of the masked clip -> tokens: a vision transformer encodes each frame, queries attend to the patches of all."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.eye = load_pretrained(preset.vision, preset.vision_shape, "vision_config", preset.precision)
        width = self.eye.config.hidden_size
        self.when = nn.Parameter(torch.zeros(preset.pictures, 1, width))
        self.queries = Queries(width, preset.queries)
        self.width = width

    def forward(self, frames: Tensor) -> Tensor:
        """(clips, pictures, 3, size, size) float32 -> (clips, queries, width)."""
        clips, pictures = frames.shape[:2]
        with torch.set_grad_enabled(torch.is_grad_enabled() and is_trainable(self.eye)):
            patches = self.eye(pixel_values=frames.flatten(0, 1).to(self.eye.dtype)).last_hidden_state
        patches = patches.reshape(clips, pictures, -1, self.width).float() + self.when
        return cast(Tensor, self.queries(patches.flatten(1, 2)))


class SoundEncoder(nn.Module):
    """The sound of the altered voice -> tokens, by a pretrained HuBERT, WavLM or Whisper encoder."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        ear = load_pretrained(preset.sound, preset.sound_shape, "", preset.precision)
        self.ear = ear.get_encoder() if ear.config.is_encoder_decoder else ear
        self.width = ear.config.hidden_size
        self.queries = Queries(self.width, preset.queries)

    def forward(self, sound: Tensor, mask: Tensor) -> Tensor:
        """(clips, samples), or (clips, bands, steps) of a log-mel -> (clips, queries, width). mask (clips, samples)."""
        is_waveform = sound.dim() == 2
        with torch.set_grad_enabled(torch.is_grad_enabled() and is_trainable(self.ear)):
            sample_mask = mask.long() if is_waveform else None
            features = self.ear(sound.to(self.ear.dtype), attention_mask=sample_mask).last_hidden_state
        step_mask = self.ear._get_feature_vector_attention_mask(features.shape[1], mask.long()) if is_waveform else None
        return cast(Tensor, self.queries(features.float(), step_mask))


class DeemoLlama(nn.Module):
    """Encoders, projectors and a language model.

    modalities  the modalities that it gets; one that is missing has no encoder
    tokens      size of its own tokenizer; 0: the pretrained base has one
    classes     number of body-language classes of the event head
    """

    def __init__(self, preset: Preset, modalities: tuple[str, ...], tokens: int, classes: int) -> None:
        super().__init__()
        self.preset, self.modalities = preset, modalities
        self.language = build_language_model(preset, tokens)
        hidden = self.language.config.hidden_size
        encoders: dict[str, nn.Module] = {}
        if "video" in modalities:
            encoders["video"] = FrameEncoder(preset)
        if "audio" in modalities:
            has_sound_model = preset.sound or preset.sound_shape
            encoders["audio"] = (
                SoundEncoder(preset) if has_sound_model else CurveEncoder(VOICE_CHANNELS, preset.width, preset.queries)
            )
        if "body" in modalities:
            encoders["body"] = CurveEncoder(BODY_CHANNELS, preset.width, preset.queries, classes)
        self.encoders = nn.ModuleDict(encoders)
        widths = {m: getattr(e, "width", preset.width) for m, e in encoders.items()}
        self.projectors = nn.ModuleDict({
            m: nn.Sequential(nn.Linear(w, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.LayerNorm(hidden))
            for m, w in widths.items()
        })  # fmt: skip
        head_width = min(hidden, MAX_HEAD_WIDTH)
        self.heads = nn.ModuleDict({m: nn.Linear(hidden, head_width) for m in modalities})
        self.clue_head = nn.Linear(hidden, head_width)
        self.sharpness = nn.Parameter(torch.tensor(2.0))

    def train(self, mode: bool = True) -> DeemoLlama:
        """Set the training mode. Frozen encoders stay in evaluation mode: no dropout and no masking in them."""
        super().train(mode)
        for encoder in self.encoders.values():
            for part in (getattr(encoder, "eye", None), getattr(encoder, "ear", None)):
                if part is not None and not is_trainable(part):
                    part.eval()
        return self

    def encode(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
        """Modality -> tokens (clips, queries, hidden) for the language model; and the logits of the event head, or None."""
        projected: dict[str, Tensor] = {}
        events = None
        for modality, encoder in self.encoders.items():
            if modality == "video":
                tokens = encoder(batch.frames)
            elif modality == "audio" and isinstance(encoder, SoundEncoder):
                tokens = encoder(batch.sound, batch.sound_mask)
            elif modality == "audio":
                tokens, _ = encoder(batch.voice, batch.voice_mask)
            else:
                tokens, events = encoder(batch.body, batch.body_mask)
            projected[modality] = self.projectors[modality](tokens)
        return projected, events

    def embed(self, ids: Tensor) -> Tensor:
        """The language model's embeddings of token ids: (..., hidden)."""
        return cast(Tensor, self.language.get_input_embeddings()(ids))

    def embed_prefix(self, batch: Batch, tokens: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The input before the text of each question: embeddings (questions, 1 + tokens, hidden), and their mask.

        It is the first token and the tokens of the clip. For a blank question, the mask hides the tokens of the clip.
        """
        start = self.embed(batch.first_ids)[:, None]
        clip_tokens = [t[batch.clip_of_question].to(start.dtype) for t in tokens.values()]
        prefix = torch.cat([start, *clip_tokens], dim=1)
        mask = torch.ones(prefix.shape[:2], dtype=torch.bool, device=prefix.device)
        mask[:, 1:] &= ~batch.blank[:, None]
        return prefix, mask

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch: "answer" (mean over questions of the mean over tokens), "align", "event", and "all", the sum."""
        tokens, events = self.encode(batch)
        prefix, mask = self.embed_prefix(batch, tokens)
        inputs = torch.cat([prefix, self.embed(batch.ids)], dim=1)
        mask = torch.cat([mask, batch.ids_mask], dim=1)
        answer_length = batch.labels.shape[1]
        logits = self.compute_logits(inputs, mask, answer_length + 1)[:, :-1]
        token_losses = functional.cross_entropy(logits.flatten(0, 1).float(), batch.labels.flatten(), reduction="none")
        counts = batch.labels != IGNORED_LABEL
        answer = (token_losses.view_as(batch.labels) * counts).sum(1) / counts.sum(1)
        losses = {"answer": answer.mean(), "align": self.alignment_loss(batch, tokens), "event": self.event_loss(batch, events)}
        losses["all"] = losses["answer"] + self.preset.align * losses["align"] + self.preset.event * losses["event"]
        return losses

    def compute_logits(self, inputs: Tensor, mask: Tensor, keep: int) -> Tensor:
        """Logits of the last `keep` positions: (questions, keep, tokens).

        inputs  (questions, positions, hidden) embeddings
        mask    (questions, positions): False for padding, which may also lie in the middle
        """
        positions = (mask.long().cumsum(1) - 1).clamp(min=0)
        output = self.language(
            inputs_embeds=inputs, attention_mask=mask.long(), position_ids=positions, logits_to_keep=keep, use_cache=False
        )
        return cast(Tensor, output.logits)

    def alignment_loss(self, batch: Batch, tokens: Mapping[str, Tensor]) -> Tensor:
        """Contrastive loss: the mean token of a modality shall be more similar to the clip's own clue than to other clues."""
        texts = functional.normalize(self.clue_head(self.mean_embedding(batch.clues, batch.clues_mask)), dim=-1)
        pooled = {m: t.mean(dim=1) for m, t in tokens.items()}
        if "text" in self.modalities:
            pooled["text"] = self.mean_embedding(batch.transcripts, batch.transcripts_mask)
        total = texts.sum() * 0
        for modality, mean in pooled.items():
            own_clue = batch.clue_of[CLUE_OF_MODALITY[modality]]
            similarity = functional.normalize(self.heads[modality](mean.float()), dim=-1) @ texts.T * self.sharpness.exp()
            losses = functional.cross_entropy(similarity, own_clue.clamp(min=0), reduction="none") * (own_clue >= 0)
            total = total + losses.sum() / (own_clue >= 0).sum().clamp(min=1) / len(pooled)
        return total

    def mean_embedding(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(texts, hidden): the mean embedding of each text's tokens; 0 for an empty text."""
        embeddings = self.embed(ids).float() * mask[..., None]
        return embeddings.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def event_loss(self, batch: Batch, events: Tensor | None) -> Tensor:
        """Loss of the event head, over clips whose body language was annotated; 0 without an event head."""
        if events is None:
            return self.sharpness * 0
        losses = functional.binary_cross_entropy_with_logits(events, batch.events, reduction="none").sum(dim=2)
        return (losses * batch.events_mask).sum() / batch.events_mask.sum().clamp(min=1)


def is_trainable(module: nn.Module) -> bool:
    """Whether any parameter of a module trains."""
    return any(p.requires_grad for p in module.parameters())


def load_pretrained(source: str, shape: Mapping[str, Any], inner: str, precision: str) -> Any:
    """A pretrained transformers model, frozen; without a source, an untrained model of that shape.

    source     folder or name of weights on this machine
    inner      the part of the config that describes the model, if it has several ("vision_config" of CLIP)
    precision  dtype of the frozen weights
    Raises ModelError when the weights are not on this machine.
    """
    from transformers import AutoModel

    config = load_config(source, shape, inner)
    if not source:
        model = AutoModel.from_config(config)
        if hasattr(model, "pooler"):
            model.pooler = None  # its output is not used, so it would never train
        return model
    try:
        with silence_transformers():
            model = AutoModel.from_pretrained(
                source, config=config, local_files_only=True, use_safetensors=True, dtype=getattr(torch, precision)
            )
    except (OSError, ValueError) as e:
        raise missing_weights_error(source) from e
    return model.requires_grad_(False).eval()


def load_config(source: str, shape: Mapping[str, Any], inner: str = "") -> Any:
    """The transformers config of weights on this machine; without a source, one of that shape (see `load_pretrained`)."""
    from transformers import AutoConfig

    if not source:
        return AutoConfig.for_model(**shape)
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError) as e:
        raise missing_weights_error(source) from e
    return getattr(config, inner, config) if inner else config


def build_language_model(preset: Preset, tokens: int) -> Any:
    """The pretrained base, frozen, with LoRA on all its linear layers but the last; without a base, an untrained model."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if not preset.base:
        config = AutoConfig.for_model(**{**preset.base_shape, "vocab_size": tokens or preset.base_shape["vocab_size"]})
        return AutoModelForCausalLM.from_config(config)
    attention = {"attn_implementation": "flash_attention_2"} if preset.gpu and has_flash_attention() else {}
    try:
        with silence_transformers():
            base = AutoModelForCausalLM.from_pretrained(
                preset.base, local_files_only=True, use_safetensors=True, dtype=getattr(torch, preset.precision), **attention
            )
    except (OSError, ValueError) as e:
        raise missing_weights_error(preset.base, "--base") from e
    return add_lora(base, preset)


def add_lora(base: Any, preset: Preset) -> Any:
    """A language model with LoRA adapters, of which only the adapters train."""
    from peft import LoraConfig, get_peft_model

    if preset.checkpointing:
        base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    config = LoraConfig(r=preset.lora_rank, lora_alpha=preset.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a name that transformers deprecates
        return get_peft_model(base, config)


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Hide the progress bars and tables that transformers prints when it loads weights."""
    from transformers.utils import logging

    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def has_flash_attention() -> bool:
    """Whether the package flash_attn is installed."""
    from importlib.util import find_spec

    return find_spec("flash_attn") is not None
