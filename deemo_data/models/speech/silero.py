"""Silero voice activity detection (weights MIT), run by onnxruntime: where in a recording somebody speaks.

Input is mono float32 sound at 16 kHz, whole or in blocks, so that a recording of hours does not have to fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deemo_data.media.sound import SAMPLE_RATE_HZ
from deemo_data.models.runtime.sessions import open_session
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deemo_data.media.sound import SoundBlocks


WEIGHTS = "silero-vad-1a153a"
WINDOW_SAMPLES = 512  # new samples per call
CONTEXT_SAMPLES = 64  # samples of the call before; without them the network detects nothing, and gives no error
HYSTERESIS = 0.15  # speech ends when the probability is this far below the threshold at which it starts


@cache
def load(name: str = WEIGHTS) -> Any:
    """Load the network, once per process."""
    return open_session(path_of(name).read_bytes())


def compute_probabilities(net: Any, wave: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The probability of speech in each window of 32 ms of a wave, given in blocks: (ceil(samples / 512),)."""
    state = np.zeros((2, 1, 128), np.float32)
    rate = np.array(SAMPLE_RATE_HZ, np.int64)
    result: list[np.float32] = []

    def process(padded: NDArray[np.float32]) -> None:
        nonlocal state
        for i in range((len(padded) - CONTEXT_SAMPLES) // WINDOW_SAMPLES):
            piece = padded[None, i * WINDOW_SAMPLES : (i + 1) * WINDOW_SAMPLES + CONTEXT_SAMPLES]
            out, state = net.run(None, {"input": piece, "state": state, "sr": rate})
            result.append(out[0, 0])

    buffer: NDArray[np.float32] = np.zeros(CONTEXT_SAMPLES, np.float32)  # context, then samples that do not fill a window yet
    for block in wave:
        buffer = np.concatenate([buffer, block.astype(np.float32, copy=False)])
        complete = (len(buffer) - CONTEXT_SAMPLES) // WINDOW_SAMPLES * WINDOW_SAMPLES
        process(buffer[: CONTEXT_SAMPLES + complete])
        buffer = buffer[complete:]
    if missing := -(len(buffer) - CONTEXT_SAMPLES) % WINDOW_SAMPLES:
        process(np.concatenate([buffer, np.zeros(missing, np.float32)]))
    return np.array(result, np.float32)


def detect_speech(
    wave: NDArray[np.float32] | SoundBlocks,
    *,
    threshold: float = 0.5,
    min_silence_ms: int = 100,
    min_speech_ms: int = 250,
    pad_ms: int = 30,
    name: str = WEIGHTS,
) -> list[tuple[int, int]]:
    """The stretches of speech in a wave: [start_ms, end_ms), in order, without overlap.

    Speech starts where the probability reaches `threshold` and ends where it stays under threshold - 0.15 for
    `min_silence_ms`. Speech shorter than `min_speech_ms` is dropped. `pad_ms` is added at both ends, less where two stretches
    would meet. Raises ValueError for more than one channel.
    """
    if isinstance(wave, np.ndarray) and wave.ndim != 1:
        raise ValueError(f"speech() wants one channel, not an array of shape {wave.shape}")
    windows = compute_probabilities(load(name), [wave] if isinstance(wave, np.ndarray) else wave)
    stretches: list[tuple[int, int]] = []
    start = quiet = -1
    for i, probability in enumerate(windows):
        at = i * WINDOW_SAMPLES
        if probability >= threshold:
            quiet = -1
            start = at if start < 0 else start
        elif start >= 0 and probability < threshold - HYSTERESIS:
            quiet = at if quiet < 0 else quiet
            if at - quiet >= min_silence_ms * SAMPLE_RATE_HZ // 1000:
                stretches.append((start, quiet))
                start = quiet = -1
    if start >= 0:
        stretches.append((start, len(wave)))
    long_enough = [(s, e) for s, e in stretches if e - s >= min_speech_ms * SAMPLE_RATE_HZ // 1000]
    return _pad_spans(long_enough, pad_ms * SAMPLE_RATE_HZ // 1000, len(wave))


def _pad_spans(spans: list[tuple[int, int]], pad: int, length: int) -> list[tuple[int, int]]:
    """Spans of samples, widened by `pad` samples on each side, at most half-way to the next span; in ms."""
    padded = []
    for i, (start, end) in enumerate(spans):
        before = start - (spans[i - 1][1] if i else -2 * pad)
        after = (spans[i + 1][0] if i + 1 < len(spans) else end + 2 * pad) - end
        first = max(0, start - min(pad, before // 2))
        last = min(length, end + min(pad, after // 2))
        padded.append((first * 1000 // SAMPLE_RATE_HZ, last * 1000 // SAMPLE_RATE_HZ))
    return padded
