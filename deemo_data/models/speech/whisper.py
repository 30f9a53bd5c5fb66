"""Whisper (Radford et al. 2022), run by CTranslate2 and faster-whisper: the words of a recording with their times.

Networks are loaded from files only, never from a hub. Input is mono float32 sound at 16 kHz. Silero decides where there is
speech, because Whisper makes up words for silence.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deemo_data.errors import ModelError
from deemo_data.media.sound import SAMPLE_RATE_HZ
from deemo_data.models.runtime.sessions import THREADS
from deemo_data.models.runtime.weights import path_of
from deemo_data.models.speech import silero

if TYPE_CHECKING:
    from numpy.typing import NDArray


WEIGHTS = "whisper-tiny-en-2a4410"
REQUIRED_FILES = ("model.bin", "config.json", "tokenizer.json")  # without the tokenizer, faster-whisper would download one
BEAM_SIZE = 5
SPEECH_THRESHOLD = 0.3  # of Silero; low, so that soft speech is transcribed too
MIN_WORD_S = 0.06  # nobody speaks 16 words per second
PAUSE_MS, PAD_MS = 2000, 400  # silence that is left out, and how much of it stays around speech


class Word(NamedTuple):
    """One word and its times in the wave. The text keeps its punctuation."""

    start_s: float
    end_s: float
    text: str
    probability: float


@cache
def load(name: str = WEIGHTS) -> Any:
    """Load a pinned network, once per process."""
    return _open_network(path_of(name))


@cache
def load_folder(path: Path | str, sha256: str) -> Any:
    """Load a CTranslate2 network from a folder of the user, once per process.

    Raises ModelError when a file is missing or model.bin has another digest.
    """
    path = Path(path)
    if missing := [file for file in REQUIRED_FILES if not (path / file).is_file()]:
        raise ModelError(
            f"the Whisper model {path} has no {', '.join(missing)}",
            "In deemo.toml, set model to the whole path of a folder made by ct2-transformers-converter",
        )
    with (path / "model.bin").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise ModelError(
            f"the Whisper model {path} has a model.bin with sha256 {digest}, not {sha256 or '(none given)'}",
            f'If it is the model you mean, write model_sha256 = "{digest}" in deemo.toml',
        )
    return _open_network(path)


def _open_network(path: Path) -> Any:
    from faster_whisper import WhisperModel

    try:
        return WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=THREADS, local_files_only=True)
    except (RuntimeError, ValueError, KeyError) as problem:
        raise ModelError(f"the Whisper model {path} cannot be loaded: {problem}", "Name another folder") from problem


def transcribe(net: Any, wave: NDArray[np.float32], language: str | None = None, hint: str = "") -> list[Word]:
    """The words of a wave (n,), in order; none for silence. The same wave gives the same words.

    language  a code ("en"); None: the language that `detect_language` finds
    hint      a name that may be spoken: the network prefers it for a similar sound. With a hint it may leave out the first words,
              so the result is a second transcript and does not replace the first
    Beam search at temperature 0 without a second try. No text is carried from one window of 30 s into the next.
    Raises ValueError for more than one channel.
    """
    if wave.ndim != 1:
        raise ValueError(f"words() wants one channel, not an array of shape {wave.shape}")
    stretches = _detect_spans(wave)
    return transcribe_spans(net, wave, stretches, language or detect_language(net, wave), hint) if stretches else []


def transcribe_spans(
    net: Any, wave: NDArray[np.float32], stretches: list[tuple[int, int]], language: str, hint: str = ""
) -> list[Word]:
    """The words in these stretches (start_ms, end_ms) of a wave, whether there is speech or not."""
    segments, _ = net.transcribe(
        wave.astype(np.float32, copy=False),
        language=language,
        beam_size=BEAM_SIZE,
        temperature=0.0,
        condition_on_previous_text=False,
        no_speech_threshold=None,  # Silero decides about speech
        hotwords=hint or None,
        word_timestamps=True,
        clip_timestamps=[ms / 1000 for stretch in stretches for ms in stretch],
    )
    spoken = [segment.words or [] for segment in segments]
    words = [w for segment in spoken if _is_plausible(segment) for w in segment if w.word.strip()]
    return [Word(float(w.start), float(w.end), w.word.strip(), float(w.probability)) for w in words]


def _is_plausible(spoken: list[Any]) -> bool:
    """Whether a segment lasts long enough for its words. Segments that Whisper makes up, such as thanks at the end, do not."""
    return len(spoken) < 3 or spoken[-1].end - spoken[0].start >= MIN_WORD_S * len(spoken)


def detect_language(net: Any, wave: NDArray[np.float32]) -> str:
    """The language code of the first 30 s of speech in a wave; "en" for silence.

    Only a multilingual network can tell. The pinned one knows English only, so the result is "en".
    """
    stretches = _detect_spans(wave)
    if not net.model.is_multilingual or not stretches:
        return "en"
    parts = [wave[start * SAMPLE_RATE_HZ // 1000 : end * SAMPLE_RATE_HZ // 1000] for start, end in stretches]
    return str(net.detect_language(np.concatenate(parts).astype(np.float32, copy=False))[0])


def _detect_spans(wave: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The stretches (start_ms, end_ms) that are transcribed."""
    return silero.detect_speech(wave, threshold=SPEECH_THRESHOLD, min_silence_ms=PAUSE_MS, min_speech_ms=0, pad_ms=PAD_MS)
