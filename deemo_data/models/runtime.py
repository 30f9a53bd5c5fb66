"""onnxruntime the way every model here runs it: on a GPU where its build can, else with few threads, none of them spinning."""

from __future__ import annotations

from typing import Any

import onnxruntime

THREADS = 2
GPUS = ("CUDAExecutionProvider", "MIGraphXExecutionProvider", "DmlExecutionProvider")  # NVIDIA; AMD; any on Windows


def providers() -> list[str]:
    """What runs the networks, best first: the GPU that the installed onnxruntime was built for, then the CPU.

    The plain onnxruntime knows none; onnxruntime-gpu in its place brings CUDA. CUDA_VISIBLE_DEVICES= hides the GPU.
    """
    there = onnxruntime.get_available_providers()
    return [*(p for p in GPUS if p in there), "CPUExecutionProvider"]


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
