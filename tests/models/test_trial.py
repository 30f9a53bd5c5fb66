"""Every base model runs once, and what is missing for that is named."""

from __future__ import annotations

import pytest

from deemo_data.errors import ModelError
from deemo_data.models import trial


@pytest.mark.usefixtures("weights")
def test_every_base_model_runs_once() -> None:
    took = trial.try_all_models()
    assert len(took) == 12
    assert all(milliseconds > 0 for _, milliseconds in took)


@pytest.mark.usefixtures("weights")
def test_a_missing_system_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from mediapipe.tasks.python import vision

    def missing(_: object) -> None:
        raise OSError("libEGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(vision.PoseLandmarker, "create_from_options", missing)
    with pytest.raises(ModelError, match=r"libEGL\.so\.1") as caught:
        trial.try_all_models()
    assert caught.value.advice == "Type: apt-get install libegl1 libgles2"
