"""A GPU comes first if there is one that works."""

from __future__ import annotations

from types import SimpleNamespace

import onnxruntime
import pytest

from deemo_data.models.runtime import sessions

pytestmark = pytest.mark.usefixtures("weights")


@pytest.mark.parametrize(
    ("built_with", "works", "first"),
    [
        (["AzureExecutionProvider", "CPUExecutionProvider"], [], "CPUExecutionProvider"),
        (["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"], ["CUDA"], "CUDAExecutionProvider"),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], [], "CPUExecutionProvider"),
        (["MIGraphXExecutionProvider", "CPUExecutionProvider"], ["MIGraphX"], "MIGraphXExecutionProvider"),
    ],
)
def test_a_gpu_comes_first_where_there_is_one_that_works(
    monkeypatch: pytest.MonkeyPatch, built_with: list[str], works: list[str], first: str
) -> None:
    class Session:
        def __init__(self, model: bytes, providers: list[str]) -> None:
            onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])  # the network can be loaded
            self.providers = [p for p in providers if p.startswith("CPU") or p.removesuffix("ExecutionProvider") in works]

        def get_providers(self) -> list[str]:
            return self.providers

    runs = SimpleNamespace(get_available_providers=lambda: built_with, InferenceSession=Session)
    monkeypatch.setattr(sessions, "onnxruntime", runs)
    sessions.choose_providers.cache_clear()
    try:
        assert sessions.choose_providers()[0] == first
        assert sessions.choose_providers()[-1] == "CPUExecutionProvider", "nothing is needed to run without"
    finally:
        sessions.choose_providers.cache_clear()
