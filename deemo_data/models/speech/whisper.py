"""Whisper (Radford et al. 2022), run by CTranslate2 and faster-whisper: the words of a recording with their times.

Networks are loaded from files only, never from a hub. Input is mono float32 sound at 16 kHz. Silero decides where there is
speech, because Whisper makes up words for silence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
MULTILINGUAL_WEIGHTS = "whisper-base-753752"
REQUIRED_FILES = ("model.bin", "config.json", "tokenizer.json")  # without the tokenizer, faster-whisper would download one
BEAM_SIZE = 5
SPEECH_THRESHOLD = 0.3  # of Silero; low, so that soft speech is transcribed too
MIN_WORD_S = 0.06  # nobody speaks 16 words per second
PAUSE_MS, PAD_MS = 2000, 400  # silence that is left out, and how much of it stays around speech
MIN_FEATURE_FRAMES, MAX_FEATURE_FRAMES = 200, 3000  # of 10 ms: a shorter sound is padded, a longer one is cut


class Word(NamedTuple):
    """One word and its times in the wave. The text keeps its punctuation."""

    start_s: float
    end_s: float
    text: str
    probability: float


class Passage(NamedTuple):
    """Words that Whisper said in one piece, and what it says about them itself.

    log_probability  mean natural logarithm of the probabilities of the tokens; 0 is certain
    repetition       how many times smaller the text becomes when it is compressed; a phrase said over and over is far above 2
    no_speech        probability that nobody speaks
    """

    words: tuple[Word, ...]
    log_probability: float
    repetition: float
    no_speech: float


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


def transcribe(net: Any, wave: NDArray[np.float32], language: str = "en", hint: str = "") -> list[Word]:
    """The words of a wave (n,), in order; none for silence. The same wave gives the same words.

    language  a code ("en")
    hint      a name that may be spoken: the network prefers it for a similar sound. With a hint it may leave out the first words,
              so the result is a second transcript and does not replace the first
    Beam search at temperature 0 without a second try. No text is carried from one window of 30 s into the next.
    Raises ValueError for more than one channel.
    """
    return transcribe_spans(net, wave, find_speech(wave), language, hint)


def transcribe_spans(
    net: Any, wave: NDArray[np.float32], stretches: list[tuple[int, int]], language: str, hint: str = ""
) -> list[Word]:
    """The words in these stretches (start_ms, end_ms) of a wave, whether there is speech or not."""
    passages = hear_passages(net, wave, stretches, language, hint)
    return [word for passage in passages if is_slow_enough(passage.words) for word in passage.words]


def hear_passages(
    net: Any, wave: NDArray[np.float32], stretches: list[tuple[int, int]], language: str, hint: str = ""
) -> list[Passage]:
    """All that Whisper says for these stretches (start_ms, end_ms) of a wave, also what it makes up (see invented.py)."""
    if not stretches:
        return []
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
    passages = []
    for segment in segments:
        spoken = [w for w in segment.words or [] if w.word.strip()]
        words = tuple(Word(float(w.start), float(w.end), w.word.strip(), float(w.probability)) for w in spoken)
        if words:
            ratings = (segment.avg_logprob, segment.compression_ratio, segment.no_speech_prob)
            passages.append(Passage(words, *map(float, ratings)))
    return passages


def is_slow_enough(words: Sequence[Word]) -> bool:
    """Whether a passage lasts long enough for its words. Passages that Whisper makes up, such as thanks at the end, do not."""
    return len(words) < 3 or words[-1].end_s - words[0].start_s >= MIN_WORD_S * len(words)


def estimate_languages(net: Any, wave: NDArray[np.float32]) -> dict[str, float]:
    """How likely each language is for a wave of at most 30 s: {code: probability}. Needs a multilingual network.

    The network sees the wave and no silence after it: 5 s cost a sixth of the 30 s that Whisper is usually given.
    Raises ValueError for a network that knows one language.
    """
    if not net.model.is_multilingual:
        raise ValueError("this Whisper network knows one language only")
    from faster_whisper.audio import pad_or_trim

    features = net.feature_extractor(wave.astype(np.float32, copy=False))
    frames = min(max(features.shape[-1], MIN_FEATURE_FRAMES), MAX_FEATURE_FRAMES)
    [rows] = net.model.detect_language(net.encode(pad_or_trim(features, frames)))
    return {token.strip("<|>"): float(probability) for token, probability in rows}


def rate_understanding(net: Any, wave: NDArray[np.float32], language: str = "en") -> Passage | None:
    """What Whisper says for a wave of at most 30 s at first thought (no beam search, no times). None when it says nothing."""
    segments, _ = net.transcribe(
        wave.astype(np.float32, copy=False),
        language=language,
        beam_size=1,
        temperature=0.0,
        condition_on_previous_text=False,
        no_speech_threshold=None,
        without_timestamps=True,
    )
    for segment in segments:
        ratings = (segment.avg_logprob, segment.compression_ratio, segment.no_speech_prob)
        seconds = len(wave) / SAMPLE_RATE_HZ
        return Passage((Word(0.0, seconds, segment.text.strip(), 1.0),), *map(float, ratings))
    return None


def find_speech(wave: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The stretches (start_ms, end_ms) of a wave (n,) that are transcribed. Raises ValueError for more than one channel."""
    if wave.ndim != 1:
        raise ValueError(f"find_speech() wants one channel, not an array of shape {wave.shape}")
    return silero.detect_speech(wave, threshold=SPEECH_THRESHOLD, min_silence_ms=PAUSE_MS, min_speech_ms=0, pad_ms=PAD_MS)
