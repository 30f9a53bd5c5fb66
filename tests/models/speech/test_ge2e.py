"""The speaker encoder: the file is read without running it, the numbers are right, and voices are told apart."""

from __future__ import annotations

import io
import itertools
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.errors import ModelError
from deemo_data.models.runtime import weights
from deemo_data.models.speech import ge2e

SECOND = ge2e.SAMPLE_RATE_HZ


@pytest.fixture(scope="module")
def net() -> Any:
    try:
        return ge2e.load()
    except ModelError as e:
        pytest.skip(f"{e.what}: {e.advice}")


@pytest.fixture(scope="module")
def state(net: Any) -> dict[str, np.ndarray]:
    return ge2e.read_weights(weights.path_of(ge2e.WEIGHTS).read_bytes())


@pytest.fixture(scope="module")
def readers(media: Path) -> dict[str, list[np.ndarray]]:
    """{reader: their first three utterances, 6 s at most}, of five readers of LibriSpeech."""
    soundfile = pytest.importorskip("soundfile")
    found = {}
    for folder in sorted((media / "audio" / "speakers_librispeech").iterdir())[:5]:
        files = sorted(folder.glob("*.flac"))[:3]
        found[folder.name] = [soundfile.read(f, frames=6 * SECOND, dtype="float32")[0] for f in files]
    return found


def babble(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise with a pitch, so that the network has something to hear."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SECOND)) / SECOND
    tone = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    return (0.05 * tone * (1 + np.sin(2 * np.pi * 4 * t)) + 0.01 * rng.standard_normal(len(t))).astype(np.float32)


# ── mel ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("samples", [1, 159, 160, 399, 16_000, 16_001])
def test_a_frame_every_ten_milliseconds(samples: int) -> None:
    frames = ge2e.compute_mel(np.ones(samples, np.float32))
    assert frames.shape == (1 + samples // 160, 40)
    assert frames.dtype == np.float32


def test_power_goes_with_the_square_of_the_sound() -> None:
    wave = babble(1)
    assert np.allclose(ge2e.compute_mel(3 * wave), 9 * ge2e.compute_mel(wave), rtol=1e-4)
    assert not ge2e.compute_mel(np.zeros(1600, np.float32)).any()


def test_a_tone_is_heard_in_the_band_it_lies_in() -> None:
    """Slaney's scale: 66.7 Hz a mel up to 1 kHz, where mel is 15; 42 points from 0 to 45.2 mel."""
    t = np.arange(SECOND) / SECOND
    middles = {300: 300 / (200 / 3), 700: 700 / (200 / 3), 2000: 15 + np.log(2) / (np.log(6.4) / 27)}
    top = 15 + np.log(8) / (np.log(6.4) / 27)
    for hertz, mels in middles.items():
        heard = ge2e.compute_mel(np.sin(2 * np.pi * hertz * t).astype(np.float32))[20:80].mean(axis=0)
        assert abs(int(heard.argmax()) - (mels / top * 41 - 1)) < 1, hertz


def test_mel_against_the_definition_in_double_precision() -> None:
    wave = babble(0.3)
    whole = np.pad(wave.astype(np.float64), 200)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = ge2e.compute_mel(wave)
    for k in (0, 7, len(frames) - 1):
        power = np.abs(np.fft.rfft(whole[160 * k : 160 * k + 400] * window)) ** 2
        assert np.allclose(frames[k], power @ ge2e._mel_filters(), rtol=1e-3, atol=1e-7)


def test_mel_is_librosas() -> None:
    librosa = pytest.importorskip("librosa", reason="librosa is not installed (it is not a dependency)")
    wave = babble(2)
    theirs = librosa.feature.melspectrogram(y=wave, sr=SECOND, n_fft=400, hop_length=160, n_mels=40).T
    assert np.abs(ge2e.compute_mel(wave) - theirs).max() <= 1e-5 * theirs.max()


def test_blocks_leave_no_seam() -> None:
    wave = np.random.default_rng(0).standard_normal(160 * 4200).astype(np.float32)
    around = ge2e.compute_mel(wave[160 * 4080 : 160 * 4110])
    assert np.allclose(ge2e.compute_mel(wave)[4082:4108], around[2:28], rtol=1e-4)


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_tensors_of_the_file(state: dict[str, np.ndarray]) -> None:
    assert {name: value.shape for name, value in state.items()} == {
        "lstm.weight_ih_l0": (1024, 40), "lstm.weight_hh_l0": (1024, 256), "lstm.bias_ih_l0": (1024,),
        "lstm.bias_hh_l0": (1024,), "lstm.weight_ih_l1": (1024, 256), "lstm.weight_hh_l1": (1024, 256),
        "lstm.bias_ih_l1": (1024,), "lstm.bias_hh_l1": (1024,), "lstm.weight_ih_l2": (1024, 256),
        "lstm.weight_hh_l2": (1024, 256), "lstm.bias_ih_l2": (1024,), "lstm.bias_hh_l2": (1024,),
        "linear.weight": (256, 256), "linear.bias": (256,),
    }  # fmt: skip
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in state.values())


def test_torch_reads_the_same(net: Any, state: dict[str, np.ndarray]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (it is not a dependency)")
    theirs = torch.load(weights.path_of(ge2e.WEIGHTS), map_location="cpu", weights_only=True)["model_state"]
    for name, value in state.items():
        assert np.array_equal(value, theirs[name].numpy()), name


def old_file(payload: object, keys: list[str] | None = None, magic: int = ge2e.TORCH_MAGIC) -> bytes:
    parts = [magic, ge2e.TORCH_PROTOCOL, {}, payload, keys or []]
    return b"".join(pickle.dumps(p, protocol=2) for p in parts)


class Bad:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("exit 3",)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"PK\x03\x04 a zip", old_file({"model_state": OrderedDict()}, magic=5), old_file({"something": 1}), old_file([1]),
        old_file({"model_state": OrderedDict(), "more": Bad()}), old_file({"model_state": {}}, keys=["0"]),
    ],
    ids=["empty", "zip", "magic", "no state", "a list", "code", "cut off"],
)  # fmt: skip
def test_another_file_is_refused_and_nothing_of_it_is_run(data: bytes) -> None:
    with pytest.raises(ModelError, match="cannot be read") as caught:
        ge2e.read_weights(data)
    assert "--group voices" in caught.value.advice


def test_a_class_that_is_no_tensor_is_named() -> None:
    with pytest.raises(ModelError, match=r"(posix|nt)\.system is not part of a tensor"):
        ge2e.read_weights(old_file({"model_state": OrderedDict(x=Bad())}))
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.eval"):
        ge2e._Reader(io.BytesIO(b"cbuiltins\neval\n(S'1'\ntR.")).load()


def test_no_tensor_reaches_out_of_its_storage() -> None:
    storage = np.arange(12, dtype=np.float32)
    assert ge2e._build_tensor(storage, 1, (2, 3), (3, 1)).tolist() == [[1, 2, 3], [4, 5, 6]]
    for offset, size, stride in ((0, (13,), (1,)), (7, (2, 3), (3, 1)), (-1, (2,), (1,)), (4, (2,), (-1,))):
        with pytest.raises(ValueError, match="reaches out"):
            ge2e._build_tensor(storage, offset, size, stride)


# ── the network ──────────────────────────────────────────────────────────────────────────────────────────────


def by_hand(state: dict[str, np.ndarray], frames: np.ndarray) -> np.ndarray:
    """The same network in plain numpy and double precision, one window."""

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    rows = frames.astype(np.float64)
    for i in range(3):
        w, r, b, c = (state[f"lstm.{k}_l{i}"].astype(np.float64) for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        hidden, cell, out = np.zeros(256), np.zeros(256), []
        for row in rows:
            a, f, g, o = np.split(w @ row + b + r @ hidden + c, 4)
            cell = sigmoid(f) * cell + sigmoid(a) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            out.append(hidden)
        rows = np.stack(out)
    raw = np.maximum(state["linear.weight"] @ rows[-1] + state["linear.bias"], 0)
    return raw / np.linalg.norm(raw)


def test_onnx_is_the_network(net: Any, state: dict[str, np.ndarray]) -> None:
    frames = ge2e.compute_mel(ge2e.normalise_level(babble(3)))
    starts = [0, 40, 101]
    found = ge2e.embed_windows(net, frames, starts, 120)
    assert found.dtype == np.float32
    for row, start in zip(found, starts, strict=True):
        assert np.abs(row - by_hand(state, frames[start : start + 120])).max() < 5e-6


def test_windows_come_out_the_same_alone_in_company_and_as_prefixes(net: Any) -> None:
    frames = ge2e.compute_mel(ge2e.normalise_level(babble(4)))
    starts = list(range(0, 200, 5))
    assert len(starts) > ge2e.WINDOWS_PER_BATCH
    together = ge2e.embed_windows(net, frames, starts, 80)
    alone = np.concatenate([ge2e.embed_windows(net, frames, [s], 80) for s in starts[:3] + starts[-3:]])
    assert np.abs(together[[0, 1, 2, -3, -2, -1]] - alone).max() < 1e-5
    longer, shorter = ge2e.embed_prefixes(net, frames, starts, (120, 80))
    assert np.abs(shorter - together).max() < 1e-5
    assert np.abs(longer - ge2e.embed_windows(net, frames, starts, 120)).max() < 1e-5
    assert np.allclose(np.linalg.norm(longer, axis=1), 1, atol=1e-5)
    assert ge2e.embed_windows(net, frames, [], 80).shape == (0, 256)


def test_past_the_end_is_silence(net: Any) -> None:
    frames = ge2e.compute_mel(ge2e.normalise_level(babble(2)))
    longer = np.concatenate([frames, np.zeros((100, 40), np.float32)])
    at = [len(frames) - 60]
    assert np.allclose(ge2e.embed_windows(net, frames, at, 160), ge2e.embed_windows(net, longer, at, 160), atol=1e-6)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 1.6, 2.9, 3.3])
def test_an_utterance_is_one_voice_whatever_its_length_and_loudness(net: Any, seconds: float) -> None:
    voice = ge2e.embed_utterance(net, babble(seconds))
    assert voice.shape == (256,)
    assert voice.dtype == np.float32
    assert np.linalg.norm(voice) == pytest.approx(1, abs=1e-5)
    assert ge2e.embed_utterance(net, 0.01 * babble(seconds)) @ voice > 0.9999


def test_silence_is_a_vector_too(net: Any) -> None:
    assert np.isfinite(ge2e.embed_utterance(net, np.zeros(SECOND, np.float32))).all()


def test_voices_are_told_apart(net: Any, readers: dict[str, list[np.ndarray]]) -> None:
    voices = {who: [ge2e.embed_utterance(net, w) for w in waves] for who, waves in readers.items()}
    same = [a @ b for v in voices.values() for a, b in itertools.combinations(v, 2)]
    other = [a @ b for v, w in itertools.combinations(voices.values(), 2) for a in v for b in w]
    assert len(same) == 15
    assert len(other) == 90
    assert min(same) > max(other) + 0.03, (min(same), max(other))
    assert np.mean(same) - np.mean(other) > 0.25


def test_another_pitch_is_another_voice(net: Any, readers: dict[str, list[np.ndarray]]) -> None:
    wave = next(iter(readers.values()))[0]
    faster = np.interp(np.arange(0, len(wave), 1.25), np.arange(len(wave)), wave).astype(np.float32)
    ours = ge2e.embed_utterance(net, wave)
    assert ge2e.embed_utterance(net, wave[: len(wave) // 2]) @ ours > 0.85
    assert ge2e.embed_utterance(net, faster) @ ours < 0.8
