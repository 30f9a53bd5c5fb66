"""A source is probed for what it is, and a file that is no video gets its true reason."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from deemo_data.clip import find_frame_rate
from deemo_data.errors import MediaError
from deemo_data.media import probe
from tests.makers.numbered_films import (
    EVEN,
    even,
    film,
    numbers,
    whole,
)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("edge_audio_only.mp4", "has no video stream"),
        ("edge_subtitles_only.mkv", "has no video stream"),
        ("edge_corrupt_no_moov.mp4", "cannot be read"),
    ],
)
def test_real_files_that_hold_no_video(media: Path, name: str, reason: str) -> None:
    with pytest.raises(MediaError, match=f"{name}.*{reason}"):
        probe.probe_video(media / "video" / name)


def test_files_that_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "words.mp4").write_text("hello " * 1000)
    for name, reason in [("empty.mp4", "is empty"), ("words.mp4", "cannot be read"), ("none.mp4", "is not there")]:
        with pytest.raises(MediaError, match=reason):
            probe.probe_video(tmp_path / name)


def test_one_frame_is_a_film(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mkv", [Fraction(0)]))
    assert (source.grid.frames, source.num_frames) == (1, 1)
    assert numbers(source) == [0]


@pytest.mark.parametrize("fps", EVEN, ids=str)
def test_a_rate_is_known_from_milliseconds(fps: Fraction) -> None:
    """Matroska rounds times to milliseconds: a minute of them still tells 23.976 from 24."""
    times = [Fraction(round(n * 1000 / fps), 1000) for n in range(round(60 * fps))]
    assert find_frame_rate(times) == (fps, False)


def test_a_lost_frame_makes_a_rate_variable() -> None:
    times = even(Fraction(25), 2000)
    del times[1000]
    assert find_frame_rate(times, 24) == (24, True)
