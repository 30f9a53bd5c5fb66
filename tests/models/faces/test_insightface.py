"""A model of InsightFace that the user brings."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deemo_data.errors import ModelError
from deemo_data.models.faces import insightface
from tests.makers.talker import FACE, overlap, talker  # noqa: F401

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("weights")


def test_scrfd_through_insightface_agrees(media: Path, talker: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]) -> None:
    path = media / "models" / "scrfd_500m_kps.onnx"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    net = insightface.load(path, digest)
    bgr = np.ascontiguousarray(talker[..., ::-1])
    found, points = insightface.detect_points(net, bgr, 0.5)
    assert found.shape == (1, 5)
    assert overlap(found) > 0.7
    assert points.shape == (1, 5, 2)
    assert (points[0] > FACE[:2]).all()
    assert (points[0] < FACE[2:]).all()
    assert insightface.detect(net, np.full((200, 300, 3), 128, np.uint8), 0.5).shape == (0, 5)
    recogniser = media / "models" / "mobilefacenet_vface.onnx"
    faces = insightface.load(recogniser, hashlib.sha256(recogniser.read_bytes()).hexdigest())
    vector = insightface.embed(faces, bgr, points[0])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ insightface.embed(faces, bgr, points[0] + 2) > 0.8
    assert vector @ insightface.embed(faces, bgr[:, ::-1], points[0]) < 0.5
    with pytest.raises(ModelError, match="not a face detector"):
        insightface.detect(faces, bgr, 0.5)
    assert capfd.readouterr().out == ""


def test_insightface_refuses_another_file(media: Path) -> None:
    path = media / "models" / "scrfd_500m_kps.onnx"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=digest) as caught:
        insightface.load(path, "0" * 64)
    assert f'sha256 = "{digest}"' in caught.value.advice
    with pytest.raises(ModelError, match="is missing"):
        insightface.load(media / "models" / "nothing.onnx", digest)
