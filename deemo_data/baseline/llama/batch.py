"""Tensors of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deemo_data.tracks.skeleton import PUBLIC_DIMS, PUBLIC_POINTS

RATE = 25  # steps a second of curves
VOICE_STEPS = 4  # rows of 10 ms in one of them


@dataclass(frozen=True)
class Picture:
    """How a vision model wants its pictures: pixels of a side, mean and spread of colours."""

    size: int
    mean: Sequence[float] = (0.5, 0.5, 0.5)
    spread: Sequence[float] = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Inputs:
    """What a clip shows, read once: body (steps, 256), voice (steps, 4), frames (pictures, size, size, 3) uint8, sound.

    events  (steps / 8 rounded up, classes) float32: 1 where a class of body language is marked
    """

    body: NDArray[np.float32]
    voice: NDArray[np.float32]
    frames: NDArray[np.uint8]
    sound: NDArray[np.float32]
    events: NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    """A question about the clip at place `clip` of a batch. `blank`: asked without the clip and what is said in it."""

    clip: int
    asked: list[int]
    answer: list[int]
    blank: bool = False


@dataclass(frozen=True)
class Batch:
    """`clips` clips and `questions` about them; `..._there` is False where a row is filled up.

    begin, clip, blank   (questions,): the first token, the place of the clip, whether nothing of it is shown
    ids, ids_there       (questions, tokens): question and answer, filled up on the left
    labels               (questions, longest answer): the answer, IGNORED before it
    clues, clues_there   (texts, tokens): the clues of these clips and of some others, each once
    clue_of              "video", "audio", "text" -> (clips,): which text is the clip's own; -1: it has none
    said, said_there     (clips, tokens): transcripts
    """

    frames: Tensor
    sound: Tensor
    sound_there: Tensor
    voice: Tensor
    voice_there: Tensor
    body: Tensor
    body_there: Tensor
    events: Tensor
    events_there: Tensor
    begin: Tensor
    clip: Tensor
    blank: Tensor
    ids: Tensor
    ids_there: Tensor
    labels: Tensor
    clues: Tensor
    clues_there: Tensor
    clue_of: dict[str, Tensor]
    said: Tensor
    said_there: Tensor

    def to(self, device: torch.device) -> Batch:
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "clue_of"}
        return replace(self, **moved, clue_of={m: t.to(device) for m, t in self.clue_of.items()})


def filled(rows: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Rows (steps, n) of different length -> (rows, longest, n), 0 behind the end, and True where something is there."""
    longest = max(len(r) for r in rows)
    out = torch.zeros(len(rows), longest, rows[0].shape[1])
    there = torch.zeros(len(rows), longest, dtype=torch.bool)
    for k, row in enumerate(rows):
        out[k, : len(row)], there[k, : len(row)] = torch.from_numpy(np.ascontiguousarray(row)), True
    return out, there


def padded(rows: Sequence[Sequence[int]], fill: int, left: bool = False) -> tuple[Tensor, Tensor]:
    """Rows of numbers of different length -> (rows, longest), filled up on the right or left, and True where something is."""
    longest = max(1, *(len(r) for r in rows), 1)
    out = torch.full((len(rows), longest), fill)
    there = torch.zeros(len(rows), longest, dtype=torch.bool)
    for k, row in enumerate(rows):
        where = slice(longest - len(row), longest) if left else slice(0, len(row))
        out[k, where], there[k, where] = torch.tensor(list(row), dtype=torch.long), True
    return out, there


BODY_CHANNELS = PUBLIC_POINTS * (PUBLIC_DIMS + 1)
VOICE_CHANNELS = 4
HALVINGS = 3  # stride-2 convolutions of an encoder of curves
IGNORED = -100  # a token that no loss is taken of
