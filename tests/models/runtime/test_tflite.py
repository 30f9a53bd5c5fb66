"""TFLite networks that cannot be converted are named."""

from __future__ import annotations

import pytest

from deemo_data.errors import ModelError
from deemo_data.models import mediapipe
from deemo_data.models.runtime import tflite

pytestmark = pytest.mark.usefixtures("weights")


def test_what_cannot_be_turned_into_onnx_is_named() -> None:
    from deemo_data.models.runtime.weights import path_of

    with pytest.raises(ModelError, match=r"TFLite (operator [A-Z_]+|activation \d+) is not one"):
        tflite.to_onnx(path_of(mediapipe.HAND_LANDMARKS).read_bytes())
