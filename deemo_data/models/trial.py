"""Tries every base model once on made-up input, so that `deemo models pull` fails at once if one of them cannot run here."""

from __future__ import annotations

import time
from collections.abc import Callable


def try_all_models(on_line: Callable[[str], None] = lambda line: None) -> list[tuple[str, float]]:
    """Run one inference with each base model on a made-up picture or sound: (model, milliseconds including loading).

    Raises ModelError with the name of the weights or the system library that is missing.
    """
    import numpy as np

    from deemo_data.media.sound import SAMPLE_RATE_HZ
    from deemo_data.models import mediapipe
    from deemo_data.models.faces import blazeface, centerface, facemesh
    from deemo_data.models.speech import ge2e, silero, whisper
    from deemo_data.models.text import names, ocr

    picture = np.full((256, 320, 3), 128, np.uint8)
    picture[64:192, 96:224] = (200, 160, 140)
    box = np.array([[96, 64, 224, 192]], np.float32)
    tone = np.sin(np.arange(SAMPLE_RATE_HZ, dtype=np.float32) / 20)

    def detect_pose() -> None:
        with mediapipe.open_pose_landmarker() as detect:
            detect(picture, 0)

    def detect_hands() -> None:
        with mediapipe.open_hand_landmarker() as detect:
            detect(picture, 0)

    trials: dict[str, Callable[[], object]] = {
        "CenterFace": lambda: centerface.detect(centerface.load(), picture, 0.5),
        "BlazePose": detect_pose,
        "MediaPipe Hands": detect_hands,
        "BlazeFace short range": lambda: blazeface.detect(blazeface.load(blazeface.SHORT_RANGE), picture, 0.5),
        "BlazeFace full range": lambda: blazeface.detect(blazeface.load(blazeface.FULL_RANGE), picture, 0.5),
        "face mesh": lambda: facemesh.estimate_presence(facemesh.load(), picture, box),
        "Silero VAD": lambda: silero.detect_speech(tone),
        "GE2E": lambda: ge2e.embed_utterance(ge2e.load(), tone),
        "Whisper tiny": lambda: whisper.transcribe_spans(whisper.load(), tone, [(0, 1000)], "en"),
        "Whisper base": lambda: whisper.estimate_languages(whisper.load(whisper.MULTILINGUAL_WEIGHTS), tone),
        "spaCy and Presidio": lambda: names.find_names(["This", "is", "Diane."], [], names.load()),
        "PP-OCR": lambda: ocr.detect(ocr.load(), picture, 0.5),
    }
    times = []
    for model, trial in trials.items():
        start = time.perf_counter()
        trial()
        times.append((model, (time.perf_counter() - start) * 1000))
        on_line(f"{model}  {times[-1][1]:.0f} ms")
    return times
