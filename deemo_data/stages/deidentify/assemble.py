"""Masked picture and changed voice into the one file that may be shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deemo_data.clip import Clip, Facts
from deemo_data.errors import StageError


@dataclass(frozen=True)
class Assemble:
    """Makes `safe`: H.264 and AAC of equal length, no tags. It always has a sound track: a page without one complains."""

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("masked", "voice", "grid")
    makes: ClassVar[dict[str, str]] = {"safe": "safe.mp4"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.media import ffmpeg, probe

        safe = out / self.makes["safe"]
        ffmpeg.join(clip.path("masked"), clip.path("voice"), safe)
        made = probe.probe_video(safe, vfr_fps=round(clip.grid.fps))["grid"]
        same_rate = made["frames"] == 1 or (made["fps"] == clip.facts["grid"]["fps"] and not made["vfr"])
        if made["frames"] != clip.num_frames or not same_rate:
            raise StageError(f"clip {clip.id}: {clip.num_frames} frames went in and {made['frames']} came out")
        return {}
