"""GE2E: what a voice is like, as 256 numbers; read without torch, run by onnxruntime (weights Apache-2.0).

Wan et al., "Generalized end-to-end loss for speaker verification" (ICASSP 2018); trained by Resemblyzer's authors.
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
from deemo_data.models.runtime.sessions import session
from deemo_data.models.runtime.weights import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deemo_data.media.sound import Sound


WEIGHTS = "ge2e-39373b"
RATE = 16_000
HOP = 160  # samples: 100 mel frames a second
BANDS = 40
WINDOW = 160  # mel frames that the network was trained on: 1.6 s
STEP = 77  # mel frames from one window of an utterance to the next
LEVEL = 10 ** (-30 / 20)  # RMS of the utterances it was trained on
UNITS, LAYERS = 256, 3
FFT = 400
ROWS = 4096  # mel frames that are worked out at once
BATCH = 32  # windows at once: more are no faster
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # how torch's old files begin


@cache
def load(name: str = WEIGHTS) -> Any:
    """The network, once per process; its inputs and output are told at `to_onnx`."""
    return session(to_onnx(read(path_of(name).read_bytes())))


def mel(wave: NDArray[np.float32] | Sound) -> NDArray[np.float32]:
    """Power in 40 bands (Slaney's) every 10 ms of a mono 16 kHz wave: (1 + samples // 160, 40), not logarithmic.

    Frame k has its middle at sample 160 k. Blocks, so that an hour takes no more memory than its result.
    """
    bank = _bank()
    made = np.empty((1 + len(wave) // HOP, BANDS), np.float32)
    done = 0
    left: NDArray[np.float32] = np.zeros(FFT // 2, np.float32)  # `left` is the sound from the beginning of frame `done` on
    for block in chain([wave] if isinstance(wave, np.ndarray) else wave, [None]):
        left = np.concatenate([left, np.zeros(FFT // 2, np.float32) if block is None else block.astype(np.float32, copy=False)])
        frames = np.lib.stride_tricks.sliding_window_view(left, FFT)[::HOP] if len(left) >= FFT else left[:0]
        whole = len(frames) if block is None else len(frames) // ROWS * ROWS
        for first in range(0, whole, ROWS):
            spectrum = np.fft.rfft(frames[first : first + ROWS] * _hann(), axis=1)
            rows = (spectrum.real**2 + spectrum.imag**2) @ bank
            made[done + first : done + first + len(rows)] = rows
        done, left = done + whole, left[whole * HOP :]
    return made


def embed_windows(net: Any, frames: NDArray[np.float32], starts: Sequence[int], length: int = WINDOW) -> NDArray[np.float32]:
    """What is heard in `length` mel frames from each start on: (n, 256), each of length one. Past the end is silence."""
    return embed_prefixes(net, frames, starts, (length,))[0]


def embed_prefixes(
    net: Any, frames: NDArray[np.float32], starts: Sequence[int], lengths: Sequence[int]
) -> list[NDArray[np.float32]]:
    """As `embed_windows`, for windows of several lengths from the same starts: no more work than the longest alone."""
    longest = max(lengths)
    made: list[NDArray[np.float32]] = [np.zeros((len(starts), UNITS), np.float32) for _ in lengths]
    pick = np.array(lengths, np.int64) - 1
    for first in range(0, len(starts), BATCH):
        windows = np.zeros((len(starts[first : first + BATCH]), longest, BANDS), np.float32)
        for window, s in zip(windows, starts[first : first + BATCH], strict=True):
            window[: max(len(frames) - s, 0)] = frames[s : s + longest]
        (heard,) = net.run(None, {"mel": windows, "pick": pick})
        for i, rows in enumerate(made):
            rows[first : first + BATCH] = heard[i]
    return made


def embed_utterance(net: Any, wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """One voice, (n,) float32 at 16 kHz, n > 0 -> (256,) of length one, whatever its loudness.

    The mean over windows of 1.6 s, half of each new; a shorter utterance is followed by silence. Not trimmed: leave
    long pauses out before, they are heard as part of the voice.
    """
    frames = mel(levelled(wave))
    starts = list(range(0, max(len(frames) - WINDOW, 0) + 1, STEP))
    if len(frames) - (starts[-1] + STEP) >= 0.75 * WINDOW:
        starts.append(starts[-1] + STEP)
    mean = embed_windows(net, frames, starts).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def levelled(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """The wave at the RMS level (-30 dB of full scale) that the network knows; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
    return np.asarray(wave * np.float32(LEVEL / rms), np.float32) if rms > 1e-9 else wave


@cache
def _hann() -> NDArray[np.float32]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT), np.float32)


@cache
def _bank() -> NDArray[np.float32]:
    """(201, 40) triangles on Slaney's mel scale (linear up to 1 kHz, then logarithmic), each of area one."""
    step, knee, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    mels = np.linspace(0, knee / step + np.log(RATE / 2 / knee) / log_step, BANDS + 2)
    hertz = np.where(mels < knee / step, mels * step, knee * np.exp(log_step * (mels - knee / step)))
    at = np.linspace(0, RATE / 2, FFT // 2 + 1)[:, None]
    up = (at - hertz[:-2]) / (hertz[1:-1] - hertz[:-2])
    down = (hertz[2:] - at) / (hertz[2:] - hertz[1:-1])
    return np.asarray(np.maximum(0, np.minimum(up, down)) * 2 / (hertz[2:] - hertz[:-2]), np.float32)


# ── the weights: torch's old file format, read with nothing but what tensors need ────────────────────────────────


class _Storage:
    """Stands for torch.FloatStorage and its like; only its name is ever used."""


class _Reader(pickle.Unpickler):
    """Builds dictionaries and notes of tensors; any other class in the file is an error."""

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


def read(data: bytes) -> dict[str, NDArray[np.float32]]:
    """The tensors of `model_state` in a file that torch.save wrote before it wrote zips; all are float32.

    Raises ModelError for anything else. No code of the file is run.
    """
    file = io.BytesIO(data)
    try:
        magic, protocol = (_Reader(file).load() for _ in range(2))
        if (magic, protocol) != (MAGIC, PROTOCOL):
            raise pickle.UnpicklingError("not a file of torch's old format")
        _Reader(file).load()
        whole = _Reader(file).load()
        storages = {}
        for key in _Reader(file).load():
            (count,) = np.frombuffer(file.read(8), "<i8")
            storages[key] = np.frombuffer(file.read(4 * int(count)), "<f4")
        state = {
            n: _tensor(storages[s], *rest) for n, (s, *rest) in whole["model_state"].items() if not n.startswith("similarity")
        }
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, AttributeError) as problem:
        raise ModelError(f"the speaker encoder cannot be read: {problem}", "Type: deemo models pull --group voices") from problem
    return state


def _tensor(storage: NDArray[np.float32], offset: int, size: Sequence[int], stride: Sequence[int]) -> NDArray[np.float32]:
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if not 0 <= offset <= last < len(storage) or min(stride, default=0) < 0:
        raise ValueError("a tensor that reaches out of its storage")
    strides = [4 * s for s in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


def to_onnx(state: dict[str, NDArray[np.float32]]) -> bytes:
    """Inputs mel (n, t, 40) and pick (k,): steps counted from 0; output (k, n, 256): the embedding after these steps."""
    nodes, tensors = [helper.make_node("Transpose", ["mel"], ["x0"], perm=[1, 0, 2])], []

    def hold(name: str, value: NDArray[Any]) -> str:
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    hold("axis", np.array([1], np.int64))
    for i in range(LAYERS):
        w, r, b, c = (state[f"lstm.{kind}_l{i}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        names = [
            hold(f"w{i}", _gates(w)[None]),
            hold(f"r{i}", _gates(r)[None]),
            hold(f"b{i}", np.concatenate([_gates(b), _gates(c)])[None]),
        ]
        nodes.append(helper.make_node("LSTM", [f"x{i}", *names], [f"y{i}"], hidden_size=UNITS))
        nodes.append(helper.make_node("Squeeze", [f"y{i}", "axis"], [f"x{i + 1}"]))
    hold("linear", state["linear.weight"].T)
    hold("bias", state["linear.bias"])
    nodes += [
        helper.make_node("Gather", [f"x{LAYERS}", "pick"], ["last"], axis=0),
        helper.make_node("MatMul", ["last", "linear"], ["raw"]),
        helper.make_node("Add", ["raw", "bias"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["positive"]),
        helper.make_node("LpNormalization", ["positive"], ["voice"], axis=-1, p=2),
    ]
    inputs = [
        helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["n", "t", BANDS]),
        helper.make_tensor_value_info("pick", TensorProto.INT64, ["k"]),
    ]
    output = helper.make_tensor_value_info("voice", TensorProto.FLOAT, ["k", "n", UNITS])
    graph = helper.make_graph(nodes, "ge2e", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _gates(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """torch orders an LSTM's gates input, forget, cell, output; ONNX input, output, forget, cell."""
    i, f, g, o = np.split(weights, 4)
    return np.concatenate([i, o, f, g])
