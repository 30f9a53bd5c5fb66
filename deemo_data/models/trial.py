"""One inference with every model (deemo models pull)."""

from __future__ import annotations

import time
from collections.abc import Callable


def try_all(say: Callable[[str], None] = lambda line: None) -> list[tuple[str, float]]:
    """One inference with each base model on a made-up picture or sound: (model, milliseconds, loading included).

    Raises ModelError naming the weights or the system library that is missing.
    """
    import numpy as np

    from deemo_data.models import mediapipe
    from deemo_data.models.faces import blazeface, centerface, facemesh
    from deemo_data.models.speech import ge2e, silero, whisper
    from deemo_data.models.text import names, ocr

    picture = np.full((256, 320, 3), 128, np.uint8)
    picture[64:192, 96:224] = (200, 160, 140)
    box = np.array([[96, 64, 224, 192]], np.float32)
    hum = np.sin(np.arange(16_000, dtype=np.float32) / 20)

    def body() -> None:
        with mediapipe.pose() as look:
            look(picture, 0)

    def fingers() -> None:
        with mediapipe.hands() as look:
            look(picture, 0)

    trials: dict[str, Callable[[], object]] = {
        "CenterFace": lambda: centerface.detect(centerface.load(), picture, 0.5),
        "BlazePose": body,
        "MediaPipe Hands": fingers,
        "BlazeFace short range": lambda: blazeface.detect(blazeface.load(blazeface.SHORT), picture, 0.5),
        "BlazeFace full range": lambda: blazeface.detect(blazeface.load(blazeface.FULL), picture, 0.5),
        "face mesh": lambda: facemesh.presence(facemesh.load(), picture, box),
        "Silero VAD": lambda: silero.speech(hum),
        "GE2E": lambda: ge2e.embed_utterance(ge2e.load(), hum),
        "Whisper tiny": lambda: whisper.listen(whisper.load(), hum, [(0, 1000)], "en"),
        "spaCy and Presidio": lambda: names.find(["This", "is", "Diane."], [], names.load()),
        "PP-OCR": lambda: ocr.detect(ocr.load(), picture, 0.5),
    }
    took = []
    for model, trial in trials.items():
        start = time.perf_counter()
        trial()
        took.append((model, (time.perf_counter() - start) * 1000))
        say(f"{model}  {took[-1][1]:.0f} ms")
    return took
