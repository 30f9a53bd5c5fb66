"""DEEMO-LLaMA."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from deemo_data.baseline.llama.batch import BODY_CHANNELS, HALVINGS, IGNORED, VOICE_CHANNELS
from deemo_data.baseline.llama.presets import Preset
from deemo_data.baseline.llama.tokenizer import missing

if TYPE_CHECKING:
    from deemo_data.baseline.llama.batch import Batch

CLUES = {"video": "video", "audio": "audio", "body": "video", "text": "text"}  # modality -> whose clue it is aligned with


class Queries(nn.Module):
    """A few learned tokens that gather what they need from a sequence of any length."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(count, width) * 0.5)
        self.attend = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, sequence: Tensor, there: Tensor | None = None) -> Tensor:
        """(clips, steps, width), True where a step is there -> (clips, count, width)."""
        asked = self.tokens.expand(len(sequence), -1, -1)
        absent = None if there is None else ~there
        found, _ = self.attend(asked, sequence, sequence, key_padding_mask=absent, need_weights=False)
        return cast(Tensor, self.norm(asked + found))


class CurveEncoder(nn.Module):
    """Curves over time -> tokens: three stride-2 convolutions, one transformer layer, queries.

    With `classes` it also says, every 8 steps, which body language it sees (the event head), and what it sees goes back
    into the sequence: its tokens are then the NFBL tokens.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, channels: int, width: int, queries: int, classes: int = 0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))
        sizes = [channels, *[width] * HALVINGS]
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, 5, 2, 2) for a, b in pairwise(sizes))
        self.norm = nn.LayerNorm(width)
        self.layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.events = nn.Linear(width, classes) if classes else None
        self.seen = nn.Linear(classes, width) if classes else None
        self.queries = Queries(width, queries)

    def forward(self, curves: Tensor, there: Tensor) -> tuple[Tensor, Tensor | None]:
        """(clips, steps, channels), True where a step is -> tokens (clips, queries, width), events (clips, steps / 8, classes).

        What lies beyond a clip's end is held at 0, so that a clip's tokens do not depend on the others in the batch.
        """
        x = ((curves - self.mean) / self.spread * there[..., None]).transpose(1, 2)
        for convolution in self.convolutions:
            there = there[:, ::2]
            x = functional.gelu(convolution(x)) * there[:, None]
        x = self.norm(x.transpose(1, 2))
        x = x + waves(x.shape[1], x.shape[2], x)
        x = self.layer(x, src_key_padding_mask=~there)
        events = None
        if self.events is not None and self.seen is not None:
            events = self.events(x)
            x = x + self.seen(events.sigmoid())
        return self.queries(x, there), events


def waves(steps: int, width: int, like: Tensor) -> Tensor:
    """(steps, width): sines and cosines that tell where in a sequence a step lies (Vaswani et al., 2017)."""
    place = torch.arange(steps, device=like.device)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=like.device) * (-9.2103 / width))
    return torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=2).reshape(steps, -1)[:, :width].to(like.dtype)


class FrameEncoder(nn.Module):
    """Pictures of the masked clip -> tokens: a vision transformer looks at each, queries look at all of their patches."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.eye = pretrained(preset.vision, preset.vision_shape, "vision_config", preset.precision)
        width = self.eye.config.hidden_size
        self.when = nn.Parameter(torch.zeros(preset.pictures, 1, width))
        self.queries = Queries(width, preset.queries)
        self.width = width

    def forward(self, frames: Tensor) -> Tensor:
        """(clips, pictures, 3, size, size) float -> (clips, queries, width)."""
        clips, pictures = frames.shape[:2]
        with torch.set_grad_enabled(torch.is_grad_enabled() and trains(self.eye)):
            patches = self.eye(pixel_values=frames.flatten(0, 1).to(self.eye.dtype)).last_hidden_state
        patches = patches.reshape(clips, pictures, -1, self.width).float() + self.when
        return cast(Tensor, self.queries(patches.flatten(1, 2)))


class SoundEncoder(nn.Module):
    """The sound of the altered voice -> tokens, by a pretrained HuBERT, WavLM or Whisper."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        ear = pretrained(preset.sound, preset.sound_shape, "", preset.precision)
        self.ear = ear.get_encoder() if ear.config.is_encoder_decoder else ear
        self.width = ear.config.hidden_size
        self.queries = Queries(self.width, preset.queries)

    def forward(self, sound: Tensor, there: Tensor) -> Tensor:
        """(clips, samples), or (clips, bands, steps) of a log-mel; True where a sample is -> (clips, queries, width)."""
        waves = sound.dim() == 2
        with torch.set_grad_enabled(torch.is_grad_enabled() and trains(self.ear)):
            found = self.ear(sound.to(self.ear.dtype), attention_mask=there.long() if waves else None).last_hidden_state
        steps = self.ear._get_feature_vector_attention_mask(found.shape[1], there.long()) if waves else None
        return cast(Tensor, self.queries(found.float(), steps))


class DeemoLlama(nn.Module):
    """Encoders, projectors and a language model. `modalities`: those it is given; a model without one is trained without it.

    tokens   of the tokenizer that is trained with it; 0: of the pretrained base
    classes  of body language that the event head knows
    """

    def __init__(self, preset: Preset, modalities: tuple[str, ...], tokens: int, classes: int) -> None:
        super().__init__()
        self.preset, self.modalities = preset, modalities
        self.language = language_model(preset, tokens)
        hidden = self.language.config.hidden_size
        encoders: dict[str, nn.Module] = {}
        if "video" in modalities:
            encoders["video"] = FrameEncoder(preset)
        if "audio" in modalities:
            by_sound = preset.sound or preset.sound_shape
            encoders["audio"] = SoundEncoder(preset) if by_sound else CurveEncoder(VOICE_CHANNELS, preset.width, preset.queries)
        if "body" in modalities:
            encoders["body"] = CurveEncoder(BODY_CHANNELS, preset.width, preset.queries, classes)
        self.encoders = nn.ModuleDict(encoders)
        widths = {m: getattr(e, "width", preset.width) for m, e in encoders.items()}
        self.projectors = nn.ModuleDict({
            m: nn.Sequential(nn.Linear(w, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.LayerNorm(hidden))
            for m, w in widths.items()
        })  # fmt: skip
        small = min(hidden, 256)
        self.heads = nn.ModuleDict({m: nn.Linear(hidden, small) for m in modalities})
        self.clue_head = nn.Linear(hidden, small)
        self.sharpness = nn.Parameter(torch.tensor(2.0))

    def train(self, mode: bool = True) -> DeemoLlama:
        """What is frozen stays as in use: no dropout and no masking in it."""
        super().train(mode)
        for encoder in self.encoders.values():
            for part in (getattr(encoder, "eye", None), getattr(encoder, "ear", None)):
                if part is not None and not trains(part):
                    part.eval()
        return self

    def encode(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
        """Modality -> tokens (clips, queries, hidden) as the language model reads them; what the event head says."""
        found: dict[str, Tensor] = {}
        events = None
        for modality, encoder in self.encoders.items():
            if modality == "video":
                tokens = encoder(batch.frames)
            elif modality == "audio" and isinstance(encoder, SoundEncoder):
                tokens = encoder(batch.sound, batch.sound_there)
            elif modality == "audio":
                tokens, _ = encoder(batch.voice, batch.voice_there)
            else:
                tokens, events = encoder(batch.body, batch.body_there)
            found[modality] = self.projectors[modality](tokens)
        return found, events

    def embed(self, ids: Tensor) -> Tensor:
        return cast(Tensor, self.language.get_input_embeddings()(ids))

    def before(self, batch: Batch, tokens: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What stands before the text of each question: (questions, 1 + tokens, hidden), and where there is something.

        A blank question has nothing of the clip before it.
        """
        start = self.embed(batch.begin)[:, None]
        seen = [t[batch.clip].to(start.dtype) for t in tokens.values()]
        parts = torch.cat([start, *seen], dim=1)
        there = torch.ones(parts.shape[:2], dtype=torch.bool, device=parts.device)
        there[:, 1:] &= ~batch.blank[:, None]
        return parts, there

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch: "answer" (tokens, the mean over questions), "align", "event", and "all", their weighted sum."""
        tokens, events = self.encode(batch)
        first, there = self.before(batch, tokens)
        inputs = torch.cat([first, self.embed(batch.ids)], dim=1)
        there = torch.cat([there, batch.ids_there], dim=1)
        keep = batch.labels.shape[1]
        logits = self.read(inputs, there, keep + 1)[:, :-1]
        flat = functional.cross_entropy(logits.flatten(0, 1).float(), batch.labels.flatten(), reduction="none")
        counted = batch.labels != IGNORED
        answer = (flat.view_as(batch.labels) * counted).sum(1) / counted.sum(1)
        losses = {"answer": answer.mean(), "align": self.align(batch, tokens), "event": self.recognise(batch, events)}
        losses["all"] = losses["answer"] + self.preset.align * losses["align"] + self.preset.event * losses["event"]
        return losses

    def read(self, inputs: Tensor, there: Tensor, keep: int) -> Tensor:
        """Logits of the last `keep` places. `there`: False where nothing stands, in the middle too."""
        places = (there.long().cumsum(1) - 1).clamp(min=0)
        read = self.language(
            inputs_embeds=inputs, attention_mask=there.long(), position_ids=places, logits_to_keep=keep, use_cache=False
        )
        return cast(Tensor, read.logits)

    def align(self, batch: Batch, tokens: Mapping[str, Tensor]) -> Tensor:
        """Contrastive loss: a modality's tokens, in the mean, are nearer to the text of their own clue than to other clues."""
        texts = functional.normalize(self.clue_head(self.gist(batch.clues, batch.clues_there)), dim=-1)
        pooled = {m: t.mean(dim=1) for m, t in tokens.items()}
        if "text" in self.modalities:
            pooled["text"] = self.gist(batch.said, batch.said_there)
        total = texts.sum() * 0
        for modality, mean in pooled.items():
            own = batch.clue_of[CLUES[modality]]
            near = functional.normalize(self.heads[modality](mean.float()), dim=-1) @ texts.T * self.sharpness.exp()
            losses = functional.cross_entropy(near, own.clamp(min=0), reduction="none") * (own >= 0)
            total = total + losses.sum() / (own >= 0).sum().clamp(min=1) / len(pooled)
        return total

    def gist(self, ids: Tensor, there: Tensor) -> Tensor:
        """(texts, hidden): the mean of the embeddings of a text's tokens; 0 of an empty one."""
        words = self.embed(ids).float() * there[..., None]
        return words.sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)

    def recognise(self, batch: Batch, events: Tensor | None) -> Tensor:
        """Loss of the event head, over clips that somebody looked at."""
        if events is None:
            return self.sharpness * 0
        losses = functional.binary_cross_entropy_with_logits(events, batch.events, reduction="none").sum(dim=2)
        return (losses * batch.events_there).sum() / batch.events_there.sum().clamp(min=1)


def trains(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


def pretrained(where: str, shape: Mapping[str, Any], inner: str, precision: str) -> Any:
    """A transformers model that is on this machine, frozen; or one from scratch, of that shape.

    inner  the part of the config that is asked for, where it has several ("vision_config" of CLIP)
    """
    from transformers import AutoModel

    config = config_of(where, shape, inner)
    if not where:
        model = AutoModel.from_config(config)
        if hasattr(model, "pooler"):
            model.pooler = None  # its output is not used: it would never learn
        return model
    try:
        with quiet():
            model = AutoModel.from_pretrained(
                where, config=config, local_files_only=True, use_safetensors=True, dtype=getattr(torch, precision)
            )
    except (OSError, ValueError) as e:
        raise missing(where) from e
    return model.requires_grad_(False).eval()


def config_of(where: str, shape: Mapping[str, Any], inner: str = "") -> Any:
    """The transformers config of weights that are on this machine, or one of that shape."""
    from transformers import AutoConfig

    if not where:
        return AutoConfig.for_model(**shape)
    try:
        config = AutoConfig.from_pretrained(where, local_files_only=True)
    except (OSError, ValueError) as e:
        raise missing(where) from e
    return getattr(config, inner, config) if inner else config


def language_model(preset: Preset, tokens: int) -> Any:
    """The pretrained base, frozen, with LoRA on all its linear layers but the last; or one from scratch, all of which trains."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if not preset.base:
        config = AutoConfig.for_model(**{**preset.base_shape, "vocab_size": tokens or preset.base_shape["vocab_size"]})
        return AutoModelForCausalLM.from_config(config)
    fast = {"attn_implementation": "flash_attention_2"} if preset.gpu and flash_attention() else {}
    try:
        with quiet():
            base = AutoModelForCausalLM.from_pretrained(
                preset.base, local_files_only=True, use_safetensors=True, dtype=getattr(torch, preset.precision), **fast
            )
    except (OSError, ValueError) as e:
        raise missing(preset.base, "--base") from e
    return with_lora(base, preset)


def with_lora(base: Any, preset: Preset) -> Any:
    from peft import LoraConfig, get_peft_model

    if preset.checkpointing:
        base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    how = LoraConfig(r=preset.lora_rank, lora_alpha=preset.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that goes
        return get_peft_model(base, how)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars and tables that transformers shows when it loads weights."""
    from transformers.utils import logging

    before, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bar:
            logging.enable_progress_bar()


def flash_attention() -> bool:
    from importlib.util import find_spec

    return find_spec("flash_attn") is not None
