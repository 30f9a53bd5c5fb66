"""onnxruntime the way every model here runs it: on a GPU where its build can, else with few threads, none of them spinning."""

from __future__ import annotations

from functools import cache
from typing import Any

import onnxruntime

THREADS = 2
CPU = "CPUExecutionProvider"
GPUS = ("CUDAExecutionProvider", "MIGraphXExecutionProvider", "DmlExecutionProvider")  # NVIDIA; AMD; any on Windows


@cache
def providers() -> list[str]:
    """What runs the networks, best first: the GPU that the installed onnxruntime was built for, where it works, then the CPU.

    The plain onnxruntime knows none; onnxruntime-gpu in its place brings CUDA. CUDA_VISIBLE_DEVICES= hides the GPU. A build may
    offer a GPU for which libraries or a driver are missing: it is asked to run something, and says on stderr what it lacks.
    """
    there = [p for p in GPUS if p in onnxruntime.get_available_providers()]
    if not there:
        return [CPU]
    from onnx import TensorProto, helper

    number = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "smallest", number[:1], number[1:])
    smallest = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    return list(onnxruntime.InferenceSession(smallest.SerializeToString(), providers=[*there, CPU]).get_providers())


def session(model: bytes | str, threads: int = THREADS) -> Any:
    """An InferenceSession over ONNX bytes or a path. Spinning off about halves a detector's CPU seconds.

    One thread is best for networks that are asked about several frames at a time.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=providers())
