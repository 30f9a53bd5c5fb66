"""Programs that are started: the ffmpeg binary, and the one that a data owner may name for voices."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from deemo_data.errors import MediaError


@cache
def ffmpeg_binary() -> str:
    """The ffmpeg on the path, else the one that the imageio-ffmpeg package brings."""
    import shutil

    import imageio_ffmpeg

    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


@cache
def ffmpeg_version() -> str:
    """What the binary calls itself, e.g. "7.0.2-static"."""
    said = subprocess.run([ffmpeg_binary(), "-version"], capture_output=True, text=True).stdout.split()
    return said[2] if len(said) > 2 else "unknown"


def join(video: Path, voice: Path, out: Path) -> None:
    """Picture and sound into one mp4 whose streams are equally long: no tags, no chapters, no other streams."""
    import ffmpeg

    picture, heard = ffmpeg.input(str(video)), ffmpeg.input(str(voice))
    clean = {"map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact"}
    command = ffmpeg.output(
        picture.video, heard.audio, str(out), vcodec="copy", acodec="aac", audio_bitrate="64k", threads=1,
        movflags="+faststart", **{"bsf:v": "filter_units=remove_types=6"}, **clean,  # type 6: where x264 signs its work
    )  # fmt: skip
    run_ffmpeg(command.compile(cmd=ffmpeg_binary(), overwrite_output=True))


def run_ffmpeg(command: list[str]) -> None:
    done = subprocess.run([command[0], "-v", "error", "-nostdin", *command[1:]], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        advice = "Free some space and run again" if "No space left" in done.stderr else ""
        raise MediaError(f"ffmpeg could not make {Path(command[-2]).name}: {said[-1].split('] ')[-1]}", advice)


def run_command(command: list[str]) -> int:
    """The exit status of somebody's program. What it says is thrown away: it may name people. Raises OSError if there is none."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode
