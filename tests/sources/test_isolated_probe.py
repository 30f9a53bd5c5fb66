"""A table of sources says which tracks are used; the probe in its own process gets it, and a later table may leave it out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deemo_data.clip import Clip
from deemo_data.errors import ConfigError
from deemo_data.pipeline import workers
from deemo_data.sources import intake, isolated_probe, source_table
from deemo_data.sources.intake import Intake, IntakeOptions
from tests.makers.numbered_films import ffmpeg


@pytest.fixture(scope="module")
def pool() -> Iterator[workers.WorkerPool]:
    with workers.worker_pool() as made:
        yield made


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two picture tracks, two sound tracks: 64x48 and 96x64, 440 Hz and a louder 880 Hz in stereo."""
    path = tmp_path_factory.mktemp("footage") / "film.mkv"
    tracks = ["testsrc2=s=64x48:r=25:d=2", "testsrc2=s=96x64:r=25:d=2", "sine=f=440:d=2,volume=0.1", "sine=f=880:d=2"]
    given = [word for t in tracks for word in ("-f", "lavfi", "-i", t)]
    ffmpeg(*given, *[word for n in range(4) for word in ("-map", str(n))], "-c:v", "libx264", "-ac", "2", path)
    return path


def take(table: str, folder: Path, pool: workers.WorkerPool, earlier: tuple[Clip, ...] = ()) -> Intake:
    (folder / "sources.csv").write_text(table)
    options = IntakeOptions(b"x" * 32, folder, probe=partial(isolated_probe.probe_in_process, pool))
    return intake.take_in_sources(source_table.read_source_rows(str(folder / "sources.csv")), options, earlier)


def used(source: Clip) -> tuple[int, list[int], str]:
    return source.grid.video_track, source.facts["sound"]["tracks"], source.facts["sound"]["mix"]


def test_a_table_chooses_and_the_next_one_keeps_or_clears_it(footage: Path, tmp_path: Path, pool: workers.WorkerPool) -> None:
    [source] = take(f"uri\n{footage}\n", tmp_path, pool).sources
    assert used(source) == (1, [1], "mean")
    assert [n["kind"] for n in source.facts["notices"]][:2] == ["picture_track_chosen", "sound_track_chosen"]
    assert "tracks_said" not in source.facts

    asked = f"uri,audio_track,video_track,mix\n{footage},1,1,left\n"
    [source] = take(asked, tmp_path, pool).sources
    assert used(source) == (0, [0], "left")
    assert source.facts["tracks_said"] == {"video_track": 1, "audio_track": 1, "mix": "left"}

    [again] = take(f"uri,consent\n{footage},yes\n", tmp_path, pool, (source,)).sources
    assert used(again) == (0, [0], "left"), "what nobody states this time stays"
    [cleared] = take(f"uri,audio_track\n{footage},\n", tmp_path, pool, (source,)).sources
    assert used(cleared) == (0, [1], "left"), "an empty cell gives the choice back"


@pytest.mark.parametrize(("cells", "reason"), [
    ("3,,", "film.mkv has 2 sound tracks, and audio_track is 3"),
    (",3,", "film.mkv has 2 picture tracks, and video_track is 3"),
    (",,third", "'third' is no mix of channels"),
])  # fmt: skip
def test_a_track_that_is_not_there_is_one_line(
    footage: Path, tmp_path: Path, pool: workers.WorkerPool, cells: str, reason: str
) -> None:
    taken = take(f"uri,audio_track,video_track,mix\n{footage},{cells}\n", tmp_path, pool)
    [refusal] = taken.refusals
    assert not taken.sources
    assert reason in refusal.reason
    assert refusal.advice


@pytest.mark.parametrize("cell", ["0", "-1", "first", "1.5"])
def test_a_number_of_a_track_that_is_none_is_refused(footage: Path, tmp_path: Path, pool: workers.WorkerPool, cell: str) -> None:
    with pytest.raises(ConfigError, match=r"sources\.csv line 2: audio_track is .*, which counts from 1"):
        take(f"uri,audio_track\n{footage},{cell}\n", tmp_path, pool)


def test_two_rows_of_one_source_agree_on_its_tracks(footage: Path, tmp_path: Path, pool: workers.WorkerPool) -> None:
    with pytest.raises(ConfigError, match="two values of video_track"):
        take(f"uri,video_track\n{footage},1\n{footage},2\n", tmp_path, pool)
