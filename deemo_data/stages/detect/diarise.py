"""Who speaks when in a whole source: by our own diariser, by pyannote.audio, or one speaker; a person has the last word."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.media.sound import Sound, read_sound
from deemo_data.tracks import turns
from deemo_data.tracks.turns import Turn

if TYPE_CHECKING:
    from pyannote.core import Annotation


@dataclass(frozen=True)
class Diarise:
    """Makes `turns` of a clip that spans its whole source: {"turns": [{start_ms, end_ms, speaker}], "by"}.

    Times are ms on the source's clock. Turns are sorted and apart: where two speak at once, one of them is told.
    """

    method: Literal["embedded", "pyannote", "one"] = "embedded"
    vad: Literal["silero-vad-1a153a"] = "silero-vad-1a153a"
    encoder: Literal["ge2e-39373b"] = "ge2e-39373b"
    model: str = ""  # pyannote only: a folder with config.yaml (its whole path), or the hub's owner/name
    model_sha256: str = ""  # pyannote from a folder only: the digest over its files
    max_speakers: Annotated[int, Field(ge=1, le=20)] = 8  # where a person did not say how many

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound", "speakers_said")
    makes: ClassVar[dict[str, str]] = {"turns": "turns.json"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        said = clip.facts["speakers_said"]
        heard = turns_of(self._heard(Sound(clip), said.get("count")), clip) if clip.facts["has_sound"] else []
        rows = [t._asdict() for t in turns.corrected(heard, said)]
        (out / self.makes["turns"]).write_text(json.dumps({"turns": rows, "by": self._by()}))
        return {}

    def _heard(self, sound: Sound, count: int | None) -> Annotation:
        match self.method:
            case "embedded":
                from deemo_data.models.speech import diarisation

                return diarisation.embedded(sound, speakers=count, most=self.max_speakers, vad=self.vad, encoder=self.encoder)
            case "pyannote":
                from deemo_data.models.speech import pyannote

                return pyannote.diarise(
                    read_sound(sound.clip), self.model, self.model_sha256, speakers=count, most=self.max_speakers
                )
            case "one":
                from deemo_data.models.speech import diarisation

                return diarisation.one(sound, vad=self.vad)

    def _by(self) -> str:
        match self.method:
            case "embedded":
                return f"embedded {self.vad} {self.encoder}"
            case "pyannote":
                return f"pyannote {self.model_sha256 or self.model}"
            case "one":
                return f"one {self.vad}"


def turns_of(heard: Annotation, clip: Clip) -> list[Turn]:
    """An annotation in seconds after the clip's start as turns on the source's clock, within the clip, apart.

    Where turns overlap the shorter is laid over the longer: a word thrown in is somebody else's.
    """
    rows = []
    for segment, _, speaker in heard.itertracks(yield_label=True):
        start, end = (clip.start_ms + round(second * 1000) for second in segment)
        rows.append(Turn(max(start, clip.start_ms), min(end, clip.end_ms), str(speaker)))
    rows = sorted(t for t in rows if t.start_ms < t.end_ms)
    if all(a.end_ms <= b.start_ms for a, b in pairwise(rows)):
        return rows
    return turns.painted([], sorted(rows, key=lambda t: (t.start_ms - t.end_ms, t)))
