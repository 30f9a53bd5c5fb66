"""Whisper: words with times, the same each time, from pinned files and never from a hub."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.errors import ModelError
from deemo_data.models.runtime.weights import path_of
from deemo_data.models.speech import whisper


@pytest.fixture(scope="module")
def speech(media: Path) -> np.ndarray:
    """Four and a half seconds: "Then Moses was afraid and said, surely the thing is known"."""
    import soundfile

    wave, rate = soundfile.read(media / "audio/speakers_librispeech/2609/2609-156975-0000.flac", dtype="float32")
    assert rate == whisper.SAMPLE_RATE_HZ
    return wave


@pytest.fixture(scope="module")
def said(weights: Path, speech: np.ndarray) -> list[whisper.Word]:
    return whisper.transcribe(whisper.load(), speech)


def test_words_are_heard_in_order_within_the_wave(said: list[whisper.Word], speech: np.ndarray) -> None:
    text = " ".join(w.text for w in said).lower()
    assert "moses was afraid" in text
    assert "thing is known" in text  # "the" or "that", by the processor
    times = [t for w in said for t in (w.start_s, w.end_s)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= len(speech) / whisper.SAMPLE_RATE_HZ + 0.1
    assert all(0 < w.probability <= 1 and w.text == w.text.strip() for w in said)


def test_the_same_wave_gives_the_same_words(said: list[whisper.Word], speech: np.ndarray) -> None:
    assert whisper.transcribe(whisper.load(), speech, "en") == said


def test_words_lie_where_they_are_spoken(said: list[whisper.Word], speech: np.ndarray) -> None:
    at = next(i for i, w in enumerate(said) if "afraid" in w.text)
    late = np.concatenate([np.zeros(whisper.SAMPLE_RATE_HZ, np.float32), speech])
    moved = whisper.transcribe(whisper.load(), late)
    again = next(w for w in moved if "afraid" in w.text)
    assert abs(again.start_s - said[at].start_s - 1) < 0.25


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(16_000), np.zeros(40 * 16_000), np.sin(np.arange(32_000) / 20) / 2])
def test_silence_and_a_hum_say_nothing(sound: np.ndarray) -> None:
    assert whisper.transcribe(whisper.load(), sound.astype(np.float32), "en") == []


@pytest.mark.usefixtures("weights")
def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="one channel"):
        whisper.transcribe(whisper.load(), np.zeros((2, 16_000), np.float32))


def test_a_rush_of_words_was_not_said() -> None:
    def spoken(*times: float) -> list[whisper.Word]:
        return [whisper.Word(s, s, "word", 0.9) for s in times]

    assert whisper.is_slow_enough(spoken(1.0, 1.0))
    assert whisper.is_slow_enough(spoken(1.0, 1.3, 1.6))
    assert not whisper.is_slow_enough(spoken(29.86, 29.9, 29.9, 29.98))


@pytest.mark.usefixtures("weights")
def test_english_is_heard_as_english_in_five_seconds(speech: np.ndarray) -> None:
    base = whisper.load(whisper.MULTILINGUAL_WEIGHTS)
    chances = whisper.estimate_languages(base, speech)
    assert len(chances) == 99
    assert abs(sum(chances.values()) - 1) < 0.01
    assert chances["en"] > 0.7
    assert chances == whisper.estimate_languages(base, speech)
    with pytest.raises(ValueError, match="one language"):
        whisper.estimate_languages(whisper.load(), speech)


@pytest.mark.usefixtures("weights")
def test_english_that_is_understood_is_rated_higher_than_noise(speech: np.ndarray) -> None:
    understood = whisper.rate_understanding(whisper.load(), speech)
    noise = np.random.default_rng(0).standard_normal(80_000).astype(np.float32) / 10
    guessed = whisper.rate_understanding(whisper.load(), noise)
    assert understood is not None
    assert understood.log_probability > -0.8
    assert guessed is None or guessed.log_probability < understood.log_probability - 0.2


def test_a_folder_of_ones_own_is_taken_by_its_digest(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Whisper asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    folder = path_of(whisper.WEIGHTS)
    digest = hashlib.sha256((folder / "model.bin").read_bytes()).hexdigest()
    net = whisper.load_folder(str(folder), digest)
    assert whisper.transcribe_spans(net, np.zeros(16_000, np.float32), [(0, 1000)], "en") == whisper.transcribe_spans(
        whisper.load(), np.zeros(16_000, np.float32), [(0, 1000)], "en"
    )
    with pytest.raises(ModelError, match=digest) as caught:
        whisper.load_folder(str(folder), "0" * 64)
    assert f'model_sha256 = "{digest}"' in caught.value.advice


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no model\.bin, config\.json, tokenizer\.json"):
        whisper.load_folder(tmp_path, "")
    for name in whisper.REQUIRED_FILES:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        whisper.load_folder(tmp_path, hashlib.sha256(b"{}").hexdigest())
