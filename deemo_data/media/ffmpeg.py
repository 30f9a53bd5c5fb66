"""Starts programs: the ffmpeg binary, and the command that a data owner may configure for voices.

This is the only module that starts a program for media.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from deemo_data.errors import MediaError


@cache
def find_ffmpeg() -> str:
    """Path of ffmpeg: the one on PATH, otherwise the one of the package imageio-ffmpeg."""
    import shutil

    import imageio_ffmpeg

    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


@cache
def read_ffmpeg_version() -> str:
    """The version that the binary reports, for example "7.0.2-static"; "unknown" when it reports none."""
    words = subprocess.run([find_ffmpeg(), "-version"], capture_output=True, text=True).stdout.split()
    return words[2] if len(words) > 2 else "unknown"


def join_video_and_sound(video: Path, voice: Path, out: Path) -> None:
    """Write the picture of one file and the sound of another into one mp4, without tags, chapters or other streams.

    The streams must be equally long. The picture is copied, the sound is encoded as AAC with 64 kbit/s.
    """
    import ffmpeg

    picture, sound = ffmpeg.input(str(video)), ffmpeg.input(str(voice))
    clean = {"map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact"}
    command = ffmpeg.output(
        picture.video, sound.audio, str(out), vcodec="copy", acodec="aac", audio_bitrate="64k", threads=1,
        movflags="+faststart", **{"bsf:v": "filter_units=remove_types=6"}, **clean,  # type 6: x264's message about itself
    )  # fmt: skip
    run_ffmpeg(command.compile(cmd=find_ffmpeg(), overwrite_output=True))


def run_ffmpeg(command: list[str]) -> None:
    """Run an ffmpeg command that ends in its output file and -y. Raises MediaError with the last line that ffmpeg printed."""
    done = subprocess.run([command[0], "-v", "error", "-nostdin", *command[1:]], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        advice = "Free some space and run again" if "No space left" in done.stderr else ""
        raise MediaError(f"ffmpeg could not make {Path(command[-2]).name}: {lines[-1].split('] ')[-1]}", advice)


def run_command(command: list[str]) -> int:
    """Run a program of the user and return its exit status. Its output is discarded, because it may name people.

    Raises OSError when the program does not exist.
    """
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode
