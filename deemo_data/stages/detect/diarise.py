"""Diarise: who speaks when in a whole source, by our own diariser, by pyannote.audio, or as a single speaker.

In:  the sound of the source and the corrections that a person made. Out: speaker turns on the source's clock.
The diarisers are in models/speech; corrections always win.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.media.sound import SoundBlocks, read_levelled_sound
from deemo_data.tracks import turns
from deemo_data.tracks.turns import Turn

if TYPE_CHECKING:
    from pyannote.core import Annotation


@dataclass(frozen=True)
class Diarise:
    """Makes `turns` for a clip that spans its whole source: {"turns": [{start_ms, end_ms, speaker}], "by"}.

    Times are ms on the source's clock. Turns are sorted and do not overlap: where two people speak at once, one turn is kept.
    """

    method: Literal["embedded", "pyannote", "one"] = "embedded"
    vad: Literal["silero-vad-1a153a"] = "silero-vad-1a153a"
    encoder: Literal["ge2e-39373b"] = "ge2e-39373b"
    model: str = ""  # pyannote only: a folder with config.yaml (its whole path), or the hub's owner/name
    model_sha256: str = ""  # pyannote from a folder only: the digest over its files
    max_speakers: Annotated[int, Field(ge=1, le=20)] = 8  # unless a person gave the number

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound", "sound", "speakers_said")
    makes: ClassVar[dict[str, str]] = {"turns": "turns.json"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        corrections = clip.facts["speakers_said"]
        estimate: list[Turn] = []
        if clip.facts["has_sound"]:
            estimate = turns_of_annotation(self._diarise(SoundBlocks(clip, levelled=True), corrections.get("count")), clip)
        rows = [t._asdict() for t in turns.correct_turns(estimate, corrections)]
        (out / self.makes["turns"]).write_text(json.dumps({"turns": rows, "by": self._describe_method()}))
        return {}

    def _diarise(self, sound: SoundBlocks, count: int | None) -> Annotation:
        match self.method:
            case "embedded":
                from deemo_data.models.speech import diarisation

                return diarisation.diarise(
                    sound, speakers=count, max_speakers=self.max_speakers, vad=self.vad, encoder=self.encoder
                )
            case "pyannote":
                from deemo_data.models.speech import pyannote

                return pyannote.diarise(
                    read_levelled_sound(sound.clip), self.model, self.model_sha256, speakers=count, max_speakers=self.max_speakers
                )
            case "one":
                from deemo_data.models.speech import diarisation

                return diarisation.assign_one_speaker(sound, vad=self.vad)

    def _describe_method(self) -> str:
        match self.method:
            case "embedded":
                return f"embedded {self.vad} {self.encoder}"
            case "pyannote":
                return f"pyannote {self.model_sha256 or self.model}"
            case "one":
                return f"one {self.vad}"


def turns_of_annotation(annotation: Annotation, clip: Clip) -> list[Turn]:
    """The turns of an annotation (in seconds from the clip's start): on the source's clock, within the clip, without overlap.

    Where turns overlap, the shorter one replaces that part of the longer one: it is an interjection by another speaker.
    """
    rows = []
    for segment, _, speaker in annotation.itertracks(yield_label=True):
        start, end = (clip.start_ms + round(second * 1000) for second in segment)
        rows.append(Turn(max(start, clip.start_ms), min(end, clip.end_ms), str(speaker)))
    rows = sorted(t for t in rows if t.start_ms < t.end_ms)
    if all(a.end_ms <= b.start_ms for a, b in pairwise(rows)):
        return rows
    return turns.overlay_turns([], sorted(rows, key=lambda t: (t.start_ms - t.end_ms, t)))
