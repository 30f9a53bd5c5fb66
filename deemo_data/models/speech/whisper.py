"""Whisper (Radford et al. 2022) by CTranslate2 and faster-whisper: which word was said when; from files, never a hub."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deemo_data.errors import ModelError
from deemo_data.models.runtime.sessions import THREADS
from deemo_data.models.runtime.weights import path_of
from deemo_data.models.speech import silero

if TYPE_CHECKING:
    from numpy.typing import NDArray


WEIGHTS = "whisper-tiny-en-2a4410"
RATE = 16_000
NEEDED = ("model.bin", "config.json", "tokenizer.json")  # without the tokenizer, faster-whisper would ask a hub for it
BEAM = 5
FAINT = 0.3  # Silero's threshold: what is softer is shown to the network too
RUSH_S = 0.06  # a word; nobody speaks 16 a second
PAUSE_MS, PAD_MS = 2000, 400  # silence that is not shown to the network, which makes up words for it


class Word(NamedTuple):
    """One word in seconds of the wave; punctuation stays on it, the blank before it does not."""

    start_s: float
    end_s: float
    text: str
    probability: float


@cache
def load(name: str = WEIGHTS) -> Any:
    """The pinned network, once per process."""
    return _network(path_of(name))


@cache
def load_folder(path: Path | str, sha256: str) -> Any:
    """The CTranslate2 network in a folder the user brings. Raises ModelError unless its model.bin has that digest."""
    path = Path(path)
    if lacking := [file for file in NEEDED if not (path / file).is_file()]:
        raise ModelError(
            f"the Whisper model {path} has no {', '.join(lacking)}",
            "In deemo.toml, set model to the whole path of a folder made by ct2-transformers-converter",
        )
    with (path / "model.bin").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ModelError(
            f"the Whisper model {path} has a model.bin with sha256 {found}, not {sha256 or '(none given)'}",
            f'If it is the model you mean, write model_sha256 = "{found}" in deemo.toml',
        )
    return _network(path)


def _network(path: Path) -> Any:
    from faster_whisper import WhisperModel

    try:
        return WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=THREADS, local_files_only=True)
    except (RuntimeError, ValueError, KeyError) as problem:
        raise ModelError(f"the Whisper model {path} cannot be loaded: {problem}", "Name another folder") from problem


def words(net: Any, wave: NDArray[np.float32], language: str | None = None, hint: str = "") -> list[Word]:
    """What is said in a mono float32 wave at 16 kHz, in order; nothing for silence. The same wave gives the same words.

    language   a code ("en"), or None: as `language_of` hears it
    hint       a name that may be said: the network writes it where it hears the like. It may then leave out the first
               words of all, so a hint makes a second transcript and does not replace the first

    Beam search at temperature 0 and no second try; no text is carried from one 30 s window into the next.
    """
    if wave.ndim != 1:
        raise ValueError(f"words() wants one channel, not an array of shape {wave.shape}")
    stretches = _spoken(wave)
    return listen(net, wave, stretches, language or language_of(net, wave), hint) if stretches else []


def listen(net: Any, wave: NDArray[np.float32], stretches: list[tuple[int, int]], language: str, hint: str = "") -> list[Word]:
    """Words in these stretches (start_ms, end_ms) of a wave, whether anybody speaks there or not."""
    segments, _ = net.transcribe(
        wave.astype(np.float32, copy=False),
        language=language,
        beam_size=BEAM,
        temperature=0.0,
        condition_on_previous_text=False,
        no_speech_threshold=None,  # Silero has decided that
        hotwords=hint or None,
        word_timestamps=True,
        clip_timestamps=[ms / 1000 for stretch in stretches for ms in stretch],
    )
    spoken = [segment.words or [] for segment in segments]
    heard = [w for segment in spoken if _is_said(segment) for w in segment if w.word.strip()]
    return [Word(float(w.start), float(w.end), w.word.strip(), float(w.probability)) for w in heard]


def _is_said(spoken: list[Any]) -> bool:
    """Whether a segment's words have the time that mouths need; the thanks it makes up for a last breath have none."""
    return len(spoken) < 3 or spoken[-1].end - spoken[0].start >= RUSH_S * len(spoken)


def language_of(net: Any, wave: NDArray[np.float32]) -> str:
    """The language of the first 30 s of speech in a mono 16 kHz wave, as a code; "en" of silence.

    Only a network that knows several can tell: the pinned one takes everything for English.
    """
    stretches = _spoken(wave)
    if not net.model.is_multilingual or not stretches:
        return "en"
    parts = [wave[start * RATE // 1000 : end * RATE // 1000] for start, end in stretches]
    return str(net.detect_language(np.concatenate(parts).astype(np.float32, copy=False))[0])


def _spoken(wave: NDArray[np.float32]) -> list[tuple[int, int]]:
    return silero.speech(wave, threshold=FAINT, min_silence_ms=PAUSE_MS, min_speech_ms=0, pad_ms=PAD_MS)
