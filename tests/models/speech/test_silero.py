"""Speech is found in speech and not in silence."""

from __future__ import annotations

import itertools
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deemo_data.models.speech import silero

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("weights")


def sample(media: Path) -> NDArray[np.float32]:
    with wave.open(str(media / "audio" / "diar" / "sample.wav")) as file:
        assert file.getframerate() == 16_000
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


def test_speech_is_found_in_speech_and_not_in_silence(media: Path) -> None:
    heard = sample(media)
    spans = silero.detect_speech(heard)
    assert sum(end - start for start, end in spans) == pytest.approx(22_500, abs=1000)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert spans[0][0] > 5000  # the first words come at 6.7 s
    assert spans[-1][1] <= 30_000
    merged = silero.detect_speech(heard, min_silence_ms=1000, pad_ms=200)
    assert 0 < len(merged) < len(spans)
    assert silero.detect_speech(np.zeros(16_000, np.float32)) == []
    assert silero.detect_speech(np.zeros(0, np.float32)) == []
    with pytest.raises(ValueError, match="one channel"):
        silero.detect_speech(np.zeros((2, 100), np.float32))
