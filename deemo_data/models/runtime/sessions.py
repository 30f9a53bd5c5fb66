"""Opens onnxruntime sessions: on the GPU if the installed build has one that works, otherwise on the CPU with few threads.

Every ONNX model of this toolkit runs through `open_session`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import onnxruntime

THREADS = 2
CPU_PROVIDER = "CPUExecutionProvider"
GPU_PROVIDERS = ("CUDAExecutionProvider", "MIGraphXExecutionProvider", "DmlExecutionProvider")  # NVIDIA; AMD; any on Windows


@cache
def choose_providers() -> list[str]:
    """The execution providers to use: the GPU that the installed onnxruntime was built for, if it works, then the CPU.

    The package onnxruntime knows no GPU; onnxruntime-gpu in its place brings CUDA. CUDA_VISIBLE_DEVICES= hides the GPU. A build
    may offer a GPU although libraries or a driver are missing, so it has to run a tiny network first. If it cannot, it says on
    stderr what is missing.
    """
    available = [p for p in GPU_PROVIDERS if p in onnxruntime.get_available_providers()]
    if not available:
        return [CPU_PROVIDER]
    from onnx import TensorProto, helper

    number = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "smallest", number[:1], number[1:])
    smallest = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    return list(onnxruntime.InferenceSession(smallest.SerializeToString(), providers=[*available, CPU_PROVIDER]).get_providers())


def open_session(model: bytes | str, threads: int = THREADS) -> Any:
    """An InferenceSession for ONNX bytes or a path.

    threads  within one operator; use 1 for networks that several threads call at the same time
    Its threads do not spin while they wait, which about halves the CPU time of a detector.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=choose_providers())
