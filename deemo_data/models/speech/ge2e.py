"""GE2E speaker embeddings: a voice as a unit vector of 256 numbers (weights Apache-2.0).

Wan et al., "Generalized end-to-end loss for speaker verification" (ICASSP 2018), trained by the authors of Resemblyzer. The
weights are a file of torch. It is read here without torch (`read_weights`), converted to ONNX (`to_onnx`) and run by onnxruntime.
Input is mono float32 sound at 16 kHz.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from deemo_data.errors import ModelError
from deemo_data.media.sound import SAMPLE_RATE_HZ
from deemo_data.models.runtime.sessions import open_session
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deemo_data.media.sound import SoundBlocks


WEIGHTS = "ge2e-39373b"
HOP_SAMPLES = 160  # 100 mel frames per second
MEL_BANDS = 40
WINDOW_FRAMES = 160  # mel frames per window in training: 1.6 s
STEP_FRAMES = 77  # from one window of an utterance to the next
TRAINED_RMS = 10 ** (-30 / 20)  # level of the utterances in training, as a share of full scale
UNITS, LAYERS = 256, 3
FFT_SAMPLES = 400
FRAMES_PER_BLOCK = 4096  # mel frames that are computed at once
WINDOWS_PER_BATCH = 32  # more are not faster
TORCH_MAGIC, TORCH_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # the start of files in torch's old format


@cache
def load(name: str = WEIGHTS) -> Any:
    """Load the network, once per process. `to_onnx` describes its inputs and output."""
    return open_session(to_onnx(read_weights(path_of(name).read_bytes())))


def compute_mel(wave: NDArray[np.float32] | SoundBlocks) -> NDArray[np.float32]:
    """The mel spectrogram of a wave: power in 40 bands (Slaney's scale) every 10 ms, (1 + samples // 160, 40), not logarithmic.

    The middle of frame k is at sample 160 k. Works in blocks, so that an hour needs no more memory than the result.
    """
    bank = _mel_filters()
    result = np.empty((1 + len(wave) // HOP_SAMPLES, MEL_BANDS), np.float32)
    done = 0
    buffer: NDArray[np.float32] = np.zeros(FFT_SAMPLES // 2, np.float32)  # the sound from the start of frame `done`
    for block in chain([wave] if isinstance(wave, np.ndarray) else wave, [None]):
        buffer = np.concatenate(
            [buffer, np.zeros(FFT_SAMPLES // 2, np.float32) if block is None else block.astype(np.float32, copy=False)]
        )
        frames = (
            np.lib.stride_tricks.sliding_window_view(buffer, FFT_SAMPLES)[::HOP_SAMPLES]
            if len(buffer) >= FFT_SAMPLES
            else buffer[:0]
        )
        complete = len(frames) if block is None else len(frames) // FRAMES_PER_BLOCK * FRAMES_PER_BLOCK
        for first in range(0, complete, FRAMES_PER_BLOCK):
            spectrum = np.fft.rfft(frames[first : first + FRAMES_PER_BLOCK] * _hann_window(), axis=1)
            rows = (spectrum.real**2 + spectrum.imag**2) @ bank
            result[done + first : done + first + len(rows)] = rows
        done, buffer = done + complete, buffer[complete * HOP_SAMPLES :]
    return result


def embed_windows(
    net: Any, frames: NDArray[np.float32], starts: Sequence[int], length: int = WINDOW_FRAMES
) -> NDArray[np.float32]:
    """The embeddings of windows of `length` mel frames from each start: (n, 256), unit vectors. Beyond the end is silence."""
    return embed_prefixes(net, frames, starts, (length,))[0]


def embed_prefixes(
    net: Any, frames: NDArray[np.float32], starts: Sequence[int], lengths: Sequence[int]
) -> list[NDArray[np.float32]]:
    """Like `embed_windows`, for several lengths from the same starts, one array per length. Costs no more than the longest."""
    longest = max(lengths)
    result: list[NDArray[np.float32]] = [np.zeros((len(starts), UNITS), np.float32) for _ in lengths]
    pick = np.array(lengths, np.int64) - 1
    for first in range(0, len(starts), WINDOWS_PER_BATCH):
        windows = np.zeros((len(starts[first : first + WINDOWS_PER_BATCH]), longest, MEL_BANDS), np.float32)
        for window, s in zip(windows, starts[first : first + WINDOWS_PER_BATCH], strict=True):
            window[: max(len(frames) - s, 0)] = frames[s : s + longest]
        (embeddings,) = net.run(None, {"mel": windows, "pick": pick})
        for i, rows in enumerate(result):
            rows[first : first + WINDOWS_PER_BATCH] = embeddings[i]
    return result


def embed_utterance(net: Any, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embedding of one utterance (n,), n > 0, of one voice: a unit vector (256,), independent of loudness.

    It is the mean over windows of 1.6 s that overlap by half. A shorter utterance is padded with silence. Pauses are not removed:
    remove long ones before, because they count as part of the voice.
    """
    frames = compute_mel(normalise_level(wave))
    starts = list(range(0, max(len(frames) - WINDOW_FRAMES, 0) + 1, STEP_FRAMES))
    if len(frames) - (starts[-1] + STEP_FRAMES) >= 0.75 * WINDOW_FRAMES:
        starts.append(starts[-1] + STEP_FRAMES)
    mean = embed_windows(net, frames, starts).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def normalise_level(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """The wave scaled to the RMS level of the training (-30 dB relative to full scale). Silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
    return np.asarray(wave * np.float32(TRAINED_RMS / rms), np.float32) if rms > 1e-9 else wave


@cache
def _hann_window() -> NDArray[np.float32]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SAMPLES) / FFT_SAMPLES), np.float32)


@cache
def _mel_filters() -> NDArray[np.float32]:
    """(201, 40) triangles on Slaney's mel scale (linear up to 1 kHz, then logarithmic), each of area one."""
    step, knee, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    mels = np.linspace(0, knee / step + np.log(SAMPLE_RATE_HZ / 2 / knee) / log_step, MEL_BANDS + 2)
    hertz = np.where(mels < knee / step, mels * step, knee * np.exp(log_step * (mels - knee / step)))
    at = np.linspace(0, SAMPLE_RATE_HZ / 2, FFT_SAMPLES // 2 + 1)[:, None]
    up = (at - hertz[:-2]) / (hertz[1:-1] - hertz[:-2])
    down = (hertz[2:] - at) / (hertz[2:] - hertz[1:-1])
    return np.asarray(np.maximum(0, np.minimum(up, down)) * 2 / (hertz[2:] - hertz[:-2]), np.float32)


# ── the weights: torch's old file format, read without torch ──────────────────────────────────────────────────────


class _Storage:
    """A placeholder for torch.FloatStorage and similar classes; only its name is used."""


class _Reader(pickle.Unpickler):
    """Unpickles dictionaries and descriptions of tensors. Any other class is an error, so no code of the file runs."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
                return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
            case "torch", "FloatStorage" | "LongStorage" | "IntStorage" | "DoubleStorage":
                return type(name, (_Storage,), {})
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a tensor")

    def persistent_load(self, pid: Any) -> str:
        kind, _, key, _, _, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return str(key)


def read_weights(data: bytes) -> dict[str, NDArray[np.float32]]:
    """The tensors of `model_state` in a file of torch.save's old format (before zip files), all float32.

    Raises ModelError for any other file. No code of the file is run.
    """
    file = io.BytesIO(data)
    try:
        magic, protocol = (_Reader(file).load() for _ in range(2))
        if (magic, protocol) != (TORCH_MAGIC, TORCH_PROTOCOL):
            raise pickle.UnpicklingError("not a file of torch's old format")
        _Reader(file).load()
        checkpoint = _Reader(file).load()
        storages = {}
        for key in _Reader(file).load():
            (count,) = np.frombuffer(file.read(8), "<i8")
            storages[key] = np.frombuffer(file.read(4 * int(count)), "<f4")
        state = {
            n: _build_tensor(storages[s], *rest)
            for n, (s, *rest) in checkpoint["model_state"].items()
            if not n.startswith("similarity")
        }
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError) as problem:
        raise ModelError(f"the speaker encoder cannot be read: {problem}", "Type: deemo models pull --group voices") from problem
    return state


def _build_tensor(storage: NDArray[np.float32], offset: int, size: Sequence[int], stride: Sequence[int]) -> NDArray[np.float32]:
    """A tensor out of its storage. Raises ValueError when it would reach outside."""
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if not 0 <= offset <= last < len(storage) or min(stride, default=0) < 0:
        raise ValueError("a tensor that reaches out of its storage")
    strides = [4 * s for s in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


def to_onnx(state: dict[str, NDArray[np.float32]]) -> bytes:
    """The network as ONNX. Inputs: mel (n, t, 40), pick (k,) indices of frames. Output (k, n, 256): embeddings up to them."""
    nodes, tensors = [helper.make_node("Transpose", ["mel"], ["x0"], perm=[1, 0, 2])], []

    def add_tensor(name: str, value: NDArray[Any]) -> str:
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    add_tensor("axis", np.array([1], np.int64))
    for i in range(LAYERS):
        w, r, b, c = (state[f"lstm.{kind}_l{i}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        names = [
            add_tensor(f"w{i}", _reorder_gates(w)[None]),
            add_tensor(f"r{i}", _reorder_gates(r)[None]),
            add_tensor(f"b{i}", np.concatenate([_reorder_gates(b), _reorder_gates(c)])[None]),
        ]
        nodes.append(helper.make_node("LSTM", [f"x{i}", *names], [f"y{i}"], hidden_size=UNITS))
        nodes.append(helper.make_node("Squeeze", [f"y{i}", "axis"], [f"x{i + 1}"]))
    add_tensor("linear", state["linear.weight"].T)
    add_tensor("bias", state["linear.bias"])
    nodes += [
        helper.make_node("Gather", [f"x{LAYERS}", "pick"], ["last"], axis=0),
        helper.make_node("MatMul", ["last", "linear"], ["raw"]),
        helper.make_node("Add", ["raw", "bias"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["positive"]),
        helper.make_node("LpNormalization", ["positive"], ["voice"], axis=-1, p=2),
    ]
    inputs = [
        helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["n", "t", MEL_BANDS]),
        helper.make_tensor_value_info("pick", TensorProto.INT64, ["k"]),
    ]
    output = helper.make_tensor_value_info("voice", TensorProto.FLOAT, ["k", "n", UNITS])
    graph = helper.make_graph(nodes, "ge2e", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _reorder_gates(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The gates of an LSTM in the order of ONNX (input, output, forget, cell); torch has input, forget, cell, output."""
    i, f, g, o = np.split(weights, 4)
    return np.concatenate([i, o, f, g])
