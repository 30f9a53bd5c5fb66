"""Silero voice activity detection, by onnxruntime alone (weights MIT)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.models.runtime.sessions import session
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deemo_data.media.sound import Sound


WEIGHTS = "silero-vad-1a153a"
RATE = 16_000
WINDOW = 512  # samples that are new in each call
CONTEXT = 64  # samples of the call before, without which the network hears nothing and says nothing about it
HYSTERESIS = 0.15  # speech ends this far below the threshold it starts at


@cache
def load(name: str = WEIGHTS) -> Any:
    return session(path_of(name).read_bytes())


def probabilities(net: Any, wave: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """How likely each 32 ms window of a mono 16 kHz wave, given in blocks, holds speech: (ceil(samples / 512),)."""
    state = np.zeros((2, 1, 128), np.float32)
    rate = np.array(RATE, np.int64)
    heard: list[np.float32] = []

    def hear(padded: NDArray[np.float32]) -> None:
        nonlocal state
        for i in range((len(padded) - CONTEXT) // WINDOW):
            piece = padded[None, i * WINDOW : (i + 1) * WINDOW + CONTEXT]
            out, state = net.run(None, {"input": piece, "state": state, "sr": rate})
            heard.append(out[0, 0])

    left: NDArray[np.float32] = np.zeros(CONTEXT, np.float32)  # what was heard last, and what does not fill a window yet
    for block in wave:
        left = np.concatenate([left, block.astype(np.float32, copy=False)])
        whole = (len(left) - CONTEXT) // WINDOW * WINDOW
        hear(left[: CONTEXT + whole])
        left = left[whole:]
    if lacking := -(len(left) - CONTEXT) % WINDOW:
        hear(np.concatenate([left, np.zeros(lacking, np.float32)]))
    return np.array(heard, np.float32)


def speech(
    wave: NDArray[np.float32] | Sound,
    *,
    threshold: float = 0.5,
    min_silence_ms: int = 100,
    min_speech_ms: int = 250,
    pad_ms: int = 30,
    name: str = WEIGHTS,
) -> list[tuple[int, int]]:
    """Stretches of speech in mono float32 sound at 16 kHz: half-open (start_ms, end_ms), in order, apart.

    Speech starts where the probability reaches `threshold` and ends where it stays under threshold - 0.15 for
    `min_silence_ms`; shorter speech is dropped; `pad_ms` is added at both ends, halved where two stretches would meet.
    """
    if isinstance(wave, np.ndarray) and wave.ndim != 1:
        raise ValueError(f"speech() wants one channel, not an array of shape {wave.shape}")
    heard = probabilities(load(name), [wave] if isinstance(wave, np.ndarray) else wave)
    found: list[tuple[int, int]] = []
    start = quiet = -1
    for i, probability in enumerate(heard):
        at = i * WINDOW
        if probability >= threshold:
            quiet = -1
            start = at if start < 0 else start
        elif start >= 0 and probability < threshold - HYSTERESIS:
            quiet = at if quiet < 0 else quiet
            if at - quiet >= min_silence_ms * RATE // 1000:
                found.append((start, quiet))
                start = quiet = -1
    if start >= 0:
        found.append((start, len(wave)))
    long_enough = [(s, e) for s, e in found if e - s >= min_speech_ms * RATE // 1000]
    return _padded(long_enough, pad_ms * RATE // 1000, len(wave))


def _padded(spans: list[tuple[int, int]], pad: int, length: int) -> list[tuple[int, int]]:
    padded = []
    for i, (start, end) in enumerate(spans):
        before = start - (spans[i - 1][1] if i else -2 * pad)
        after = (spans[i + 1][0] if i + 1 < len(spans) else end + 2 * pad) - end
        first = max(0, start - min(pad, before // 2))
        last = min(length, end + min(pad, after // 2))
        padded.append((first * 1000 // RATE, last * 1000 // RATE))
    return padded
