"""DetectLanguage: which language is spoken when in a whole source.

In:  the sound of the source. Out: stretches of it, one language each. transcribe.py listens in that language, and redact.py
decides what becomes of a language whose names nobody can find. How it is heard is in models/speech/languages.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.media.sound import SoundBlocks


@dataclass(frozen=True)
class DetectLanguage:
    """Makes `languages` for a clip that spans its whole source: {"stretches", "windows"}, times in ms on the source's clock.

        stretches  {start_ms, end_ms, language, probability}: they cover the source, or there are none where nobody speaks
        windows    {start_ms, end_ms, english, others, understanding}: what was heard in each window of speech

    language  auto, or the code of the one language of all sources ("en", "de"): then nobody listens
    """

    language: Annotated[str, Field(pattern=r"^(auto|[a-z]{2,3})$")] = "auto"
    model: Literal["whisper-base-753752"] = "whisper-base-753752"
    listener: Literal["whisper-tiny-en-2a4410"] = "whisper-tiny-en-2a4410"  # says where it understands English
    vad: Literal["silero-vad-1a153a"] = "silero-vad-1a153a"

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound", "sound")
    makes: ClassVar[dict[str, str]] = {"languages": "languages.json"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.models.speech import languages, whisper

        windows, stretches = [], []
        if clip.facts["has_sound"] and self.language != "auto":
            stretches = [languages.Stretch(clip.start_ms, clip.end_ms, self.language, 1.0)]
        elif clip.facts["has_sound"]:
            base, listener = whisper.load(self.model), whisper.load(self.listener)
            windows = languages.listen_for_languages(SoundBlocks(clip, levelled=True), base, listener, self.vad)
            stretches = languages.find_stretches(windows, clip.end_ms)
        made = {"stretches": [s._asdict() for s in stretches], "windows": [w._asdict() for w in windows]}
        (out / self.makes["languages"]).write_text(json.dumps(made))
        return {}
