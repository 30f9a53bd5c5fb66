"""Silero voice activity detection, by onnxruntime alone (weights MIT)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.models.runtime import session
from deemo_data.models.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS = "silero-vad-1a153a"
RATE = 16_000
WINDOW = 512  # samples that are new in each call
CONTEXT = 64  # samples of the call before, without which the network hears nothing and says nothing about it
HYSTERESIS = 0.15  # speech ends this far below the threshold it starts at


@cache
def load(name: str = WEIGHTS) -> Any:
    return session(path_of(name).read_bytes())


def probabilities(net: Any, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """How likely each 32 ms window of a mono 16 kHz wave holds speech: (ceil(samples / 512),)."""
    windows = -(-len(wave) // WINDOW)
    padded = np.zeros(CONTEXT + windows * WINDOW, np.float32)
    padded[CONTEXT : CONTEXT + len(wave)] = wave
    state = np.zeros((2, 1, 128), np.float32)
    rate = np.array(RATE, np.int64)
    heard = np.zeros(windows, np.float32)
    for i in range(windows):
        piece = padded[None, i * WINDOW : (i + 1) * WINDOW + CONTEXT]
        out, state = net.run(None, {"input": piece, "state": state, "sr": rate})
        heard[i] = out[0, 0]
    return heard


def speech(
    wave: NDArray[np.float32],
    *,
    threshold: float = 0.5,
    min_silence_ms: int = 100,
    min_speech_ms: int = 250,
    pad_ms: int = 30,
    name: str = WEIGHTS,
) -> list[tuple[int, int]]:
    """Stretches of speech in a mono float32 wave at 16 kHz: half-open (start_ms, end_ms), in order, apart.

    Speech starts where the probability reaches `threshold` and ends where it stays under threshold - 0.15 for
    `min_silence_ms`; shorter speech is dropped; `pad_ms` is added at both ends, halved where two stretches would meet.
    """
    if wave.ndim != 1:
        raise ValueError(f"speech() wants one channel, not an array of shape {wave.shape}")
    heard = probabilities(load(name), wave.astype(np.float32, copy=False))
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
