"""Assemble: joins the masked picture and the changed voice in the one file that may be shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deemo_data.clip import Clip, Facts
from deemo_data.errors import StageError


@dataclass(frozen=True)
class Assemble:
    """Makes `safe`: H.264 and AAC of equal length, without tags.

    It always has a sound track, because the annotation page reports an error for a video without one.
    """

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("masked", "voice", "grid")
    makes: ClassVar[dict[str, str]] = {"safe": "safe.mp4"}
    tells: ClassVar[tuple[str, ...]] = ()

    def __call__(self, clip: Clip, out: Path) -> Facts:
        from deemo_data.media import ffmpeg, probe

        safe = out / self.makes["safe"]
        ffmpeg.join_video_and_sound(clip.path("masked"), clip.path("voice"), safe)
        grid = probe.probe_video(safe, vfr_fps=round(clip.grid.fps))["grid"]
        same_rate = grid["frames"] == 1 or (grid["fps"] == clip.facts["grid"]["fps"] and not grid["vfr"])
        if grid["frames"] != clip.num_frames or not same_rate:
            raise StageError(f"clip {clip.id}: {clip.num_frames} frames went in and {grid['frames']} came out")
        return {}
