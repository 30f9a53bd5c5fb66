"""Transcribe: the words of a clip, each with its time on the source's clock.

In:  the sound of the clip, with some context, and the names known for the source. Out: words. redact.py takes the names out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.media import sound

if TYPE_CHECKING:
    from deemo_data.models.speech.whisper import Word


@dataclass(frozen=True)
class Transcribe:
    """Makes `words`: {"language", "words", "before", "after", "hinted"}; a word is {start_ms, end_ms, text, probability}.

        before |            words            | after
    -----------[========== the clip ========)-----------  `context_ms` more is transcribed on both sides, so that a
               |                             |            word at the clip's edge is complete, and is in `words`

    `hinted` has one list of words for each of the source's known names: a further transcription, prompted with that name.
    (If it is prompted with several names at once, Whisper tiny may repeat one of them again and again.)
    All of this is private: `redact` makes the transcript that may be read.
    """

    model: str = "whisper-tiny-en-2a4410"  # or a folder made by ct2-transformers-converter (its whole path)
    model_sha256: str = ""  # of that folder's model.bin
    language: Literal["en", "auto"] = "en"  # auto: detected, with a model for several languages
    context_ms: Annotated[int, Field(ge=0, le=10_000)] = 2000

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound", "known_names")
    makes: ClassVar[dict[str, str]] = {"words": "words.json"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        payload: dict[str, Any] = {"language": "en", "words": [], "before": [], "after": [], "hinted": []}
        if clip.facts["has_sound"]:
            from deemo_data.models.speech import whisper

            net = whisper.load_folder(self.model, self.model_sha256) if "/" in self.model else whisper.load(self.model)
            widened = widen_clip(clip, self.context_ms)
            wave, zero_ms = sound.read_sound(widened), clip.grid.ms_at(widened.first_frame)
            payload["language"] = "en" if self.language == "en" else whisper.detect_language(net, wave)
            for word in rows_of_words(whisper.transcribe(net, wave, payload["language"]), zero_ms):
                after, before = word["start_ms"] >= clip.end_ms, word["end_ms"] <= clip.start_ms
                payload["after" if after else "before" if before else "words"].append(word)
            for name in dict.fromkeys(n for n in clip.facts["known_names"] if n.strip()):
                hinted = rows_of_words(whisper.transcribe(net, wave, payload["language"], hint=name), zero_ms)
                payload["hinted"].append([w for w in hinted if w["end_ms"] > clip.start_ms and w["start_ms"] < clip.end_ms])
        (out / self.makes["words"]).write_text(json.dumps(payload, ensure_ascii=False))
        return {}


def widen_clip(clip: Clip, by_ms: int) -> Clip:
    """The clip with `by_ms` more of its source on both sides, as far as the source goes."""
    end = clip.grid.ms_at(clip.grid.frames)
    return replace(clip, start_ms=max(0, clip.start_ms - by_ms), end_ms=min(max(end, clip.end_ms), clip.end_ms + by_ms))


def rows_of_words(words: list[Word], zero_ms: int) -> list[dict[str, Any]]:
    """Words of a wave that begins at `zero_ms` of the source, with times on the source's clock."""
    return [
        {
            "start_ms": zero_ms + round(w.start_s * 1000),
            "end_ms": zero_ms + round(w.end_s * 1000),
            "text": w.text,
            "probability": round(w.probability, 3),
        }
        for w in words
    ]
