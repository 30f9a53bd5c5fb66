"""The data that flows into DEEMO-LLaMA: one clip (ClipInputs), one question (Question), and tensors of several (Batch).

reader.py fills these; model.py consumes them. The constants below are the shapes that both rely on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deemo_data.tracks.skeleton import PUBLIC_DIMS, PUBLIC_POINTS

CURVE_RATE_HZ = 25  # steps per second of the curves of body and voice
VOICE_ROWS_PER_STEP = 4  # rows of 10 ms that one step of a voice curve averages
BODY_CHANNELS = PUBLIC_POINTS * (PUBLIC_DIMS + 1)  # x, y, z and confidence of each point
VOICE_CHANNELS = 4
HALVING_COUNT = 3  # stride-2 convolutions of a curve encoder: each halves the number of steps
IGNORED_LABEL = -100  # in place of a token that does not count in the loss


@dataclass(frozen=True)
class PictureFormat:
    """The pictures that a vision model expects: side in pixels, mean and standard deviation of each colour (0 to 1)."""

    size: int
    mean: Sequence[float] = (0.5, 0.5, 0.5)
    std: Sequence[float] = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class ClipInputs:
    """The content of one clip, as read from disk. A modality that the model does not use has a placeholder of zeros.

    body    (steps, BODY_CHANNELS) at CURVE_RATE_HZ
    voice   (steps, VOICE_CHANNELS) at the same rate
    frames  (pictures, size, size, 3) uint8, RGB
    sound   (samples,) at 16 kHz
    events  (steps / 8 rounded up, classes) float32: 1 where a class of body language is annotated
    """

    body: NDArray[np.float32]
    voice: NDArray[np.float32]
    frames: NDArray[np.uint8]
    sound: NDArray[np.float32]
    events: NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    """A question about a clip of a batch.

    clip    index of the clip in the batch
    prompt  token ids of the question
    answer  token ids of the answer; empty when the model is to answer
    blank   the question is asked without the clip and without its transcript
    """

    clip: int
    prompt: list[int]
    answer: list[int]
    blank: bool = False


@dataclass(frozen=True)
class Batch:
    """Tensors of some clips and of questions about them. A mask is False where a shorter row is padded.

    frames                       (clips, pictures, 3, size, size) float32, normalised
    sound                        (clips, samples), or (clips, bands, steps) of a log-mel; its mask is (clips, samples)
    voice, body, events          (clips, steps, channels); their masks are (clips, steps)
    first_ids                    (questions,) the token that begins a text
    clip_of_question, blank      (questions,) index of the clip, and whether nothing of the clip is shown
    ids, ids_mask                (questions, tokens) question and answer, padded on the left
    labels                       (questions, longest answer) the answer, padded on the left with IGNORED_LABEL
    clues, clues_mask            (texts, tokens) the clues of these clips and of some others, each text once
    clue_of                      "video", "audio", "text" -> (clips,) index of the clip's own clue in `clues`; -1: it has none
    transcripts, transcripts_mask  (clips, tokens)
    """

    frames: Tensor
    sound: Tensor
    sound_mask: Tensor
    voice: Tensor
    voice_mask: Tensor
    body: Tensor
    body_mask: Tensor
    events: Tensor
    events_mask: Tensor
    first_ids: Tensor
    clip_of_question: Tensor
    blank: Tensor
    ids: Tensor
    ids_mask: Tensor
    labels: Tensor
    clues: Tensor
    clues_mask: Tensor
    clue_of: dict[str, Tensor]
    transcripts: Tensor
    transcripts_mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same tensors on another device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "clue_of"}
        return replace(self, **moved, clue_of={m: t.to(device) for m, t in self.clue_of.items()})


def stack_curves(rows: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Pad curves (steps, n) of different lengths with zeros: (rows, longest, n), and the mask (rows, longest)."""
    longest = max(len(r) for r in rows)
    out = torch.zeros(len(rows), longest, rows[0].shape[1])
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for k, row in enumerate(rows):
        out[k, : len(row)], mask[k, : len(row)] = torch.from_numpy(np.ascontiguousarray(row)), True
    return out, mask


def pad_tokens(rows: Sequence[Sequence[int]], fill: int, left: bool = False) -> tuple[Tensor, Tensor]:
    """Pad rows of token ids on the right, or on the left, with `fill`: (rows, longest), and the mask of the same shape."""
    longest = max(1, *(len(r) for r in rows), 1)
    out = torch.full((len(rows), longest), fill)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for k, row in enumerate(rows):
        columns = slice(longest - len(row), longest) if left else slice(0, len(row))
        out[k, columns], mask[k, columns] = torch.tensor(list(row), dtype=torch.long), True
    return out, mask
