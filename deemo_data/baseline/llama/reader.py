"""Examples -> batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deemo_data.baseline.data import Example
from deemo_data.baseline.llama.batch import (
    BODY_CHANNELS,
    HALVINGS,
    IGNORED,
    RATE,
    VOICE_CHANNELS,
    VOICE_STEPS,
    Batch,
    Inputs,
    Picture,
    Question,
    filled,
    padded,
)
from deemo_data.baseline.llama.model import DeemoLlama
from deemo_data.baseline.llama.presets import Preset
from deemo_data.baseline.llama.tokenizer import Language, missing
from deemo_data.errors import DatasetError
from deemo_data.pipeline.run import Watcher

STRIDE = 2**HALVINGS


@dataclass(frozen=True)
class Reader:
    """Reads what the clips show and makes batches of it, for a model of these modalities.

    classes  of body language, in the order of the event head
    sees     what the vision model wants
    whisper  whether the sound model wants a log-mel
    """

    preset: Preset
    modalities: tuple[str, ...]
    language: Language
    classes: tuple[str, ...]
    sees: Picture
    whisper: bool = False

    def read(self, examples: Sequence[Example], watcher: Watcher = Watcher()) -> dict[str, Inputs]:  # noqa: B008
        """Clip id -> what it shows; of modalities that the model is not given nothing is read."""
        watcher.stage("Read", len(examples), 0)
        found = {}
        for e in examples:
            found[e.clip_id] = self.inputs(e)
            watcher.clip("Read")
        return found

    def inputs(self, e: Example) -> Inputs:
        body, voice = np.zeros((1, BODY_CHANNELS), np.float32), np.zeros((1, VOICE_CHANNELS), np.float32)
        steps = max(1, round(e.num_frames * RATE / e.fps))
        if "body" in self.modalities:
            points = e.body().reshape(e.num_frames, -1)
            if points.shape[1] != BODY_CHANNELS:
                raise DatasetError(f"clip {e.clip_id}: its body has {points.shape[1]} values a frame, not {BODY_CHANNELS}")
            body = points[np.minimum(((np.arange(steps) + 0.5) * e.fps / RATE).astype(int), e.num_frames - 1)]
        hears = self.preset.sound or self.preset.sound_shape
        if "audio" in self.modalities and not hears:
            rows = e.voice()
            voice = np.stack([part.mean(axis=0) for part in np.array_split(rows, max(1, round(len(rows) / VOICE_STEPS)))])
        frames: NDArray[np.uint8] = np.zeros((0, 1, 1, 3), np.uint8)
        sound: NDArray[np.float32] = np.zeros(1, np.float32)
        if "video" in self.modalities:
            frames = e.frames(self.preset.pictures, self.sees.size)
        if "audio" in self.modalities and hears:
            sound = e.sound()
        events = np.zeros((-(-len(body) // STRIDE), len(self.classes)), np.float32)
        for start, end, label in e.events:
            first, last = (round(f * RATE / e.fps) for f in (start, end))
            events[first // STRIDE : max(-(-last // STRIDE), first // STRIDE + 1), self.classes.index(label)] = 1
        return Inputs(body, voice.astype(np.float32), frames, sound, events)

    def questions(self, e: Example, place: int, rng: np.random.Generator) -> list[Question]:
        """Of a clip in training: which emotion, at times blank; and at times why, where somebody wrote that."""
        blank = bool(rng.random() < self.preset.blank)
        why = bool(rng.random() < self.preset.reasons)
        found = [Question(place, self.asked(e, e.instruction, blank), self.language.answer(e.emotion), blank)]
        if e.reasoning and why:
            found.append(Question(place, self.asked(e, e.asked), self.language.answer(e.reasoning)))
        return found

    def asked(self, e: Example, instruction: str, blank: bool = False) -> list[int]:
        return self.language.question(instruction, "" if blank or "text" not in self.modalities else e.transcript)

    def batch(
        self, examples: Sequence[Example], inputs: Sequence[Inputs], questions: Sequence[Question], others: Sequence[Example] = ()
    ) -> Batch:
        """others: clips whose clues these clips' own are told from."""
        pad = self.language.pad
        body, body_there = filled([i.body for i in inputs])
        voice, voice_there = filled([i.voice for i in inputs])
        events, events_there = filled([i.events for i in inputs])
        sound, sound_there = self._sounds(inputs)
        looked = np.array([e.looked_at for e in examples])
        texts, clue_of = self._clues(examples, others)
        clues, clues_there = padded([self.language.numbers(t) for t in texts] or [[pad]], pad)
        said, said_there = padded(
            [self.language.numbers(e.transcript) if "text" in self.modalities else [] for e in examples], pad
        )
        ids, ids_there = padded([q.asked + q.answer for q in questions], pad, left=True)
        labels, _ = padded([q.answer for q in questions], IGNORED, left=True)
        return Batch(
            frames=self._pictures(inputs), sound=sound, sound_there=sound_there, voice=voice, voice_there=voice_there, body=body,
            body_there=body_there, events=events, events_there=events_there & torch.from_numpy(looked)[:, None],
            begin=torch.full((len(questions),), self.language.begin), clip=torch.tensor([q.clip for q in questions]),
            blank=torch.tensor([q.blank for q in questions]), ids=ids, ids_there=ids_there, labels=labels, clues=clues,
            clues_there=clues_there, clue_of=clue_of, said=said, said_there=said_there,
        )  # fmt: skip

    def _clues(self, examples: Sequence[Example], others: Sequence[Example]) -> tuple[list[str], dict[str, Tensor]]:
        """Each text once, and which of them is whose."""
        texts = list(dict.fromkeys(t for e in (*examples, *others) for t in e.clues.values() if t))
        place = {t: n for n, t in enumerate(texts)}
        return texts, {m: torch.tensor([place.get(e.clues[m], -1) for e in examples]) for m in ("video", "audio", "text")}

    def _pictures(self, inputs: Sequence[Inputs]) -> Tensor:
        """(clips, pictures, 3, size, size) float32, as the vision model wants its colours."""
        mean, spread = (torch.tensor(c, dtype=torch.float32)[:, None, None] for c in (self.sees.mean, self.sees.spread))
        frames = torch.from_numpy(np.stack([i.frames for i in inputs])).permute(0, 1, 4, 2, 3)
        return (frames.float() / 255 - mean) / spread

    def _sounds(self, inputs: Sequence[Inputs]) -> tuple[Tensor, Tensor]:
        """(clips, samples) at mean 0 and spread 1, and where there are any; of Whisper (clips, bands, steps) of its log-mel."""
        waves, there = filled([((i.sound - i.sound.mean()) / (i.sound.std() + 1e-7))[:, None] for i in inputs])
        if self.whisper:
            from transformers import AutoFeatureExtractor

            try:
                extractor = AutoFeatureExtractor.from_pretrained(self.preset.sound, local_files_only=True)
            except (OSError, ValueError) as e:
                raise missing(self.preset.sound) from e
            heard = extractor([i.sound for i in inputs], sampling_rate=16_000, return_tensors="pt")
            return heard.input_features, there
        return waves[..., 0], there


def measure(model: DeemoLlama, inputs: Sequence[Inputs]) -> None:
    """Give the encoders of curves the mean and spread of the training split, by channel; what never varies is left as it is."""
    for modality, rows in (("audio", [i.voice for i in inputs]), ("body", [i.body for i in inputs])):
        encoder: Any = model.encoders[modality] if modality in model.modalities else None
        if not hasattr(encoder, "spread"):
            continue
        every = np.concatenate(rows).astype(np.float64)
        spread = every.std(axis=0)
        encoder.mean.copy_(torch.from_numpy(every.mean(axis=0)))
        encoder.spread.copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1.0)))
