"""The face mesh tells faces from masks, hands and walls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deemo_data.models.faces import blazeface, facemesh
from deemo_data.models.runtime import boxes
from tests.makers.talker import FACE, masked, pictures, talker  # noqa: F401

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("weights")


def test_presence_tells_faces_from_masks_hands_and_walls(media: Path, talker: NDArray[np.uint8]) -> None:
    net = facemesh.load()
    assert facemesh.estimate_presence(net, talker, boxes.make_empty_boxes()).shape == (0,)
    assert facemesh.estimate_presence(net, talker, FACE[None])[0] > 0.95
    assert facemesh.estimate_presence(net, masked(talker), FACE[None])[0] < 0.05
    corners = np.array([[0, 0, 150, 150], [1100, 0, 1300, 200], [-40, 600, 100, 760]], np.float32)
    assert (facemesh.estimate_presence(net, talker, corners) < 0.05).all()
    detector = blazeface.load(blazeface.SHORT_RANGE)
    fooled = 0
    for picture in pictures(media / "video" / "talker_hands_speech_wim.mp4", 20, 60)[::12]:
        hidden = masked(picture, np.array([500, 60, 730, 320], np.float32))
        hits = np.concatenate([blazeface.detect_at_size(detector, hidden, 0.5, longest) for longest in (192, 640)])
        fooled += len(hits)
        assert (facemesh.estimate_presence(net, hidden, hits) < 0.5).all()
    assert fooled > 5  # the detector alone did take hands for faces
