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
    assert "the thing is known" in text
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
    def spoken(*times: float) -> list[Any]:
        return [type("W", (), {"start": s, "end": s}) for s in times]

    assert whisper._is_plausible(spoken(1.0, 1.0))
    assert whisper._is_plausible(spoken(1.0, 1.3, 1.6))
    assert not whisper._is_plausible(spoken(29.86, 29.9, 29.9, 29.98))


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
