"""What is said in a clip: every word with its time on the source clock."""

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
    """Makes `words`: {"language", "words", "before", "after", "hinted"}, each word a {start_ms, end_ms, text, probability}.

        before |            words            | after
    -----------[========== the clip ========)-----------  `context_ms` more is listened to on both sides, so that a
               |                             |            word cut by the clip's edge is heard whole and lies in `words`

    For each of the source's known names the network listens once more with that name in mind: `hinted`, a list of words
    a name. (With several names in mind at once, Whisper tiny may say one of them over and over.)
    All of it is private: `redact` makes what may be read.
    """

    model: str = "whisper-tiny-en-2a4410"  # or a folder made by ct2-transformers-converter (its whole path)
    model_sha256: str = ""  # of that folder's model.bin
    language: Literal["en", "auto"] = "en"  # auto: as a model that knows several hears it
    context_ms: Annotated[int, Field(ge=0, le=10_000)] = 2000

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound", "known_names")
    makes: ClassVar[dict[str, str]] = {"words": "words.json"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        said: dict[str, Any] = {"language": "en", "words": [], "before": [], "after": [], "hinted": []}
        if clip.facts["has_sound"]:
            from deemo_data.models.speech import whisper

            net = whisper.load_folder(self.model, self.model_sha256) if "/" in self.model else whisper.load(self.model)
            wide = wider(clip, self.context_ms)
            wave, zero = sound.read_sound(wide), clip.grid.ms_at(wide.first_frame)
            said["language"] = "en" if self.language == "en" else whisper.language_of(net, wave)
            heard = rows(whisper.words(net, wave, said["language"]), zero)
            for word in heard:
                after, before = word["start_ms"] >= clip.end_ms, word["end_ms"] <= clip.start_ms
                said["after" if after else "before" if before else "words"].append(word)
            for name in dict.fromkeys(n for n in clip.facts["known_names"] if n.strip()):
                hinted = rows(whisper.words(net, wave, said["language"], hint=name), zero)
                said["hinted"].append([w for w in hinted if w["end_ms"] > clip.start_ms and w["start_ms"] < clip.end_ms])
        (out / self.makes["words"]).write_text(json.dumps(said, ensure_ascii=False))
        return {}


def wider(clip: Clip, by_ms: int) -> Clip:
    """The clip with so much more of its source on both sides, as far as there is any."""
    end = clip.grid.ms_at(clip.grid.frames)
    return replace(clip, start_ms=max(0, clip.start_ms - by_ms), end_ms=min(max(end, clip.end_ms), clip.end_ms + by_ms))


def rows(heard: list[Word], zero_ms: int) -> list[dict[str, Any]]:
    """Words of a wave that begins at `zero_ms` of the source, on the source clock."""
    return [
        {
            "start_ms": zero_ms + round(w.start_s * 1000),
            "end_ms": zero_ms + round(w.end_s * 1000),
            "text": w.text,
            "probability": round(w.probability, 3),
        }
        for w in heard
    ]
