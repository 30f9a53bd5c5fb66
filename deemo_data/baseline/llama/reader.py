"""Turns examples into the model's input: reads clips (ClipInputs), writes questions, and puts both into a Batch.

`Reader.read_clip` reads one clip from disk, `Reader.draw_questions` chooses the questions for training, and `Reader.make_batch`
builds the tensors. `set_normalisation` measures the training split once, before training.
"""

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
    CURVE_RATE_HZ,
    HALVING_COUNT,
    IGNORED_LABEL,
    VOICE_CHANNELS,
    VOICE_ROWS_PER_STEP,
    Batch,
    ClipInputs,
    PictureFormat,
    Question,
    pad_tokens,
    stack_curves,
)
from deemo_data.baseline.llama.model import DeemoLlama
from deemo_data.baseline.llama.presets import Preset
from deemo_data.baseline.llama.tokenizer import TextTokenizer, missing_weights_error
from deemo_data.errors import DatasetError
from deemo_data.media.sound import SAMPLE_RATE_HZ
from deemo_data.pipeline.run import SILENT_WATCHER, Watcher

EVENT_STRIDE = 2**HALVING_COUNT  # steps of a curve for each step of the event head


@dataclass(frozen=True)
class Reader:
    """Reads clips and makes batches, for a model with these modalities.

    classes         body-language classes, in the order of the event head
    picture_format  the pictures that the vision model expects
    uses_log_mel    whether the sound model expects a log-mel spectrogram (Whisper)
    """

    preset: Preset
    modalities: tuple[str, ...]
    tokenizer: TextTokenizer
    classes: tuple[str, ...]
    picture_format: PictureFormat
    uses_log_mel: bool = False

    def read_clips(self, examples: Sequence[Example], watcher: Watcher = SILENT_WATCHER) -> dict[str, ClipInputs]:
        """Clip id -> its content. Modalities that the model does not have are not read."""
        watcher.on_stage("Read", len(examples), 0)
        inputs = {}
        for e in examples:
            inputs[e.clip_id] = self.read_clip(e)
            watcher.on_clip("Read")
        return inputs

    def read_clip(self, e: Example) -> ClipInputs:
        """The content of one clip. Raises DatasetError when its body track has another number of points."""
        body, voice = np.zeros((1, BODY_CHANNELS), np.float32), np.zeros((1, VOICE_CHANNELS), np.float32)
        steps = max(1, round(e.num_frames * CURVE_RATE_HZ / e.fps))
        if "body" in self.modalities:
            points = e.read_body().reshape(e.num_frames, -1)
            if points.shape[1] != BODY_CHANNELS:
                raise DatasetError(f"clip {e.clip_id}: its body has {points.shape[1]} values a frame, not {BODY_CHANNELS}")
            body = points[np.minimum(((np.arange(steps) + 0.5) * e.fps / CURVE_RATE_HZ).astype(int), e.num_frames - 1)]
        has_sound_model = self.preset.sound or self.preset.sound_shape
        if "audio" in self.modalities and not has_sound_model:
            rows = e.read_voice()
            voice = np.stack([part.mean(axis=0) for part in np.array_split(rows, max(1, round(len(rows) / VOICE_ROWS_PER_STEP)))])
        frames: NDArray[np.uint8] = np.zeros((0, 1, 1, 3), np.uint8)
        sound: NDArray[np.float32] = np.zeros(1, np.float32)
        if "video" in self.modalities:
            frames = e.read_frames(self.preset.pictures, self.picture_format.size)
        if "audio" in self.modalities and has_sound_model:
            sound = e.read_sound()
        events = np.zeros((-(-len(body) // EVENT_STRIDE), len(self.classes)), np.float32)
        for start, end, label in e.events:
            first, last = (round(frame * CURVE_RATE_HZ / e.fps) for frame in (start, end))
            first_step, end_step = first // EVENT_STRIDE, -(-last // EVENT_STRIDE)
            events[first_step : max(end_step, first_step + 1), self.classes.index(label)] = 1
        return ClipInputs(body, voice.astype(np.float32), frames, sound, events)

    def draw_questions(self, e: Example, index: int, rng: np.random.Generator) -> list[Question]:
        """The questions about a clip in training: its emotion, sometimes blank; and sometimes its reasoning, if there is one.

        index  of the clip in the batch
        """
        blank = bool(rng.random() < self.preset.blank)
        why = bool(rng.random() < self.preset.reasons)
        questions = [Question(index, self.encode_prompt(e, e.instruction, blank), self.tokenizer.encode_answer(e.emotion), blank)]
        if e.reasoning and why:
            prompt = self.encode_prompt(e, e.reasoning_instruction)
            questions.append(Question(index, prompt, self.tokenizer.encode_answer(e.reasoning)))
        return questions

    def encode_prompt(self, e: Example, instruction: str, blank: bool = False) -> list[int]:
        """Token ids of an instruction, after the transcript unless the question is blank or the model has no text."""
        return self.tokenizer.encode_question(instruction, "" if blank or "text" not in self.modalities else e.transcript)

    def make_batch(
        self,
        examples: Sequence[Example],
        inputs: Sequence[ClipInputs],
        questions: Sequence[Question],
        others: Sequence[Example] = (),
    ) -> Batch:
        """The tensors of a batch. others: clips whose clues are the negative examples of the alignment loss."""
        pad = self.tokenizer.pad_id
        body, body_mask = stack_curves([i.body for i in inputs])
        voice, voice_mask = stack_curves([i.voice for i in inputs])
        events, events_mask = stack_curves([i.events for i in inputs])
        sound, sound_mask = self._stack_sounds(inputs)
        events_annotated = np.array([e.events_annotated for e in examples])
        texts, clue_of = self._collect_clues(examples, others)
        clues, clues_mask = pad_tokens([self.tokenizer.encode(t) for t in texts] or [[pad]], pad)
        transcripts, transcripts_mask = pad_tokens(
            [self.tokenizer.encode(e.transcript) if "text" in self.modalities else [] for e in examples], pad
        )
        ids, ids_mask = pad_tokens([q.prompt + q.answer for q in questions], pad, left=True)
        labels, _ = pad_tokens([q.answer for q in questions], IGNORED_LABEL, left=True)
        return Batch(
            frames=self._stack_frames(inputs), sound=sound, sound_mask=sound_mask, voice=voice, voice_mask=voice_mask, body=body,
            body_mask=body_mask, events=events, events_mask=events_mask & torch.from_numpy(events_annotated)[:, None],
            first_ids=torch.full((len(questions),), self.tokenizer.begin_id),
            clip_of_question=torch.tensor([q.clip for q in questions]), blank=torch.tensor([q.blank for q in questions]),
            ids=ids, ids_mask=ids_mask, labels=labels, clues=clues, clues_mask=clues_mask, clue_of=clue_of,
            transcripts=transcripts, transcripts_mask=transcripts_mask,
        )  # fmt: skip

    def _collect_clues(self, examples: Sequence[Example], others: Sequence[Example]) -> tuple[list[str], dict[str, Tensor]]:
        """All clue texts, each once; and per modality the index of each clip's own clue (clips,), -1 where it has none."""
        texts = list(dict.fromkeys(t for e in (*examples, *others) for t in e.clues.values() if t))
        index = {t: n for n, t in enumerate(texts)}
        return texts, {m: torch.tensor([index.get(e.clues[m], -1) for e in examples]) for m in ("video", "audio", "text")}

    def _stack_frames(self, inputs: Sequence[ClipInputs]) -> Tensor:
        """(clips, pictures, 3, size, size) float32, with the colours normalised as the vision model expects."""
        mean, std = (
            torch.tensor(c, dtype=torch.float32)[:, None, None] for c in (self.picture_format.mean, self.picture_format.std)
        )
        frames = torch.from_numpy(np.stack([i.frames for i in inputs])).permute(0, 1, 4, 2, 3)
        return (frames.float() / 255 - mean) / std

    def _stack_sounds(self, inputs: Sequence[ClipInputs]) -> tuple[Tensor, Tensor]:
        """(clips, samples) with mean 0 and standard deviation 1, or (clips, bands, steps) of a log-mel; and the sample mask."""
        waves, mask = stack_curves([((i.sound - i.sound.mean()) / (i.sound.std() + 1e-7))[:, None] for i in inputs])
        if self.uses_log_mel:
            from transformers import AutoFeatureExtractor

            try:
                extractor = AutoFeatureExtractor.from_pretrained(self.preset.sound, local_files_only=True)
            except (OSError, ValueError) as e:
                raise missing_weights_error(self.preset.sound) from e
            log_mel = extractor([i.sound for i in inputs], sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
            return log_mel.input_features, mask
        return waves[..., 0], mask


def set_normalisation(model: DeemoLlama, inputs: Sequence[ClipInputs]) -> None:
    """Give the curve encoders the mean and standard deviation of each channel over the training split.

    A constant channel gets the standard deviation 1.
    """
    for modality, rows in (("audio", [i.voice for i in inputs]), ("body", [i.body for i in inputs])):
        encoder: Any = model.encoders[modality] if modality in model.modalities else None
        if not hasattr(encoder, "spread"):
            continue
        steps = np.concatenate(rows).astype(np.float64)
        std = steps.std(axis=0)
        encoder.mean.copy_(torch.from_numpy(steps.mean(axis=0)))
        encoder.spread.copy_(torch.from_numpy(np.where(std > 1e-6, std, 1.0)))
