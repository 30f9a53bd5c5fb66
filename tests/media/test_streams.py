"""Of several picture and sound tracks the right one is used, it is told, and a table of sources may name another."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip
from deemo_data.errors import MediaError
from deemo_data.files import File
from deemo_data.media import probe
from deemo_data.media.streams import PictureTrack, SoundTrack, TrackWish, pick_picture_track, pick_sound_track
from tests.makers.numbered_films import even, ffmpeg, film, numbers, part
from tests.makers.toned_films import heard_tones

STILL = ("-f", "lavfi", "-i", "color=white:s=320x240:r=25:d=4")


def taken(path: Path, wish: TrackWish = TrackWish()) -> Clip:  # noqa: B008
    facts = probe.probe_video(path, wish=wish)
    return Clip("a", "a", 0, facts["duration_ms"], {"source": File(str(path), "")}, facts)


def kinds(source: Clip) -> list[str]:
    return [n["kind"] for n in source.facts["notices"]]


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "camera.mkv", even(Fraction(25), 100), (160, 128))


# ── the rule ─────────────────────────────────────────────────────────────────────────────────────────────────

pictures = st.lists(
    st.builds(PictureTrack, st.just(0), st.tuples(st.integers(16, 4000), st.integers(16, 4000)), st.booleans(),
              st.none() | st.floats(0, 1), st.booleans()), min_size=1, max_size=5,
).map(lambda tracks: [replace(t, number=n, alive=t.alive or bool(t.motion)) for n, t in enumerate(tracks, 1)])  # fmt: skip
sounds = st.lists(
    st.builds(SoundTrack, st.just(0), st.booleans(), st.none() | st.just(-120.0) | st.floats(-90, 0),
              st.sampled_from(["", "eng", "ger"]), st.booleans()), min_size=1, max_size=5,
).map(lambda tracks: [replace(t, number=n) for n, t in enumerate(tracks, 1)])  # fmt: skip


@given(pictures)
def test_a_living_picture_goes_before_a_dead_one(tracks: list[PictureTrack]) -> None:
    chosen, usable = pick_picture_track(tracks), [t for t in tracks if t.motion is not None]
    assert (chosen is None) == (not usable)
    if chosen is not None:
        assert chosen in usable
        assert chosen.alive or not any(t.alive for t in usable)
        flagged = [t for t in tracks if t.flagged]
        if len(flagged) == 1 and flagged[0].number > 1 and flagged[0] in usable and flagged[0].alive:
            assert chosen is flagged[0], "somebody chose it"
        same = [replace(t, size=(64, 48), flagged=True, motion=1.0, alive=True) for t in tracks]
        assert pick_picture_track(same) is same[0], "else the first"


@given(sounds)
def test_a_track_that_is_heard_goes_before_a_silent_one(tracks: list[SoundTrack]) -> None:
    chosen, usable = pick_sound_track(tracks), [t for t in tracks if t.level_db is not None]
    assert (chosen is None) == (not usable)
    if chosen is not None and chosen.level_db is not None:
        heard = [t for t in usable if t.level_db is not None and t.level_db > -100]
        assert chosen in usable
        assert chosen in heard or not heard
        assert not chosen.aside or all(t.aside for t in heard or usable)
        plain = [replace(t, flagged=False, language="", aside=False) for t in tracks]
        loudest = max(t.level_db for t in usable if t.level_db is not None)
        assert (pick_sound_track(plain) or chosen).level_db >= loudest - 3, "without any other sign, the loudest"


def test_a_dub_is_not_taken_because_it_is_louder() -> None:
    tracks = [SoundTrack(1, True, -30, "eng"), SoundTrack(2, False, -20, "ger"), SoundTrack(3, False, -24, "eng")]
    assert pick_sound_track(tracks) is tracks[2]


@pytest.mark.parametrize(("second", "used"), [(-41, 2), (-59, 2), (-61, 1)])
def test_a_flag_on_a_later_track_counts_for_20_db(second: float, used: int) -> None:
    chosen = pick_sound_track([SoundTrack(1, False, -40), SoundTrack(2, True, second)])
    assert chosen is not None
    assert chosen.number == used


# ── picture tracks ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ending", "flags"), [
    ("mkv", ("-disposition:v:0", "0", "-disposition:v:1", "default")),
    ("mkv", ("-disposition:v:0", "default", "-disposition:v:1", "0")),
    ("mp4", ()), *(pytest.param(e, (), marks=pytest.mark.slow) for e in ("mov", "ts", "avi")),
])  # fmt: skip
def test_the_camera_is_used_and_not_the_white_screen(tmp_path: Path, camera: Path, ending: str, flags: tuple[str, ...]) -> None:
    path = tmp_path / f"film.{ending}"
    codec = ("mpeg4", "-q:v", "2") if ending == "avi" else ("libx264", "-preset", "ultrafast")
    ffmpeg(*STILL, "-r", "25", "-i", camera, "-map", "0:v", "-map", "1:v", "-c:v", *codec, "-bf", "0", "-r", "25", *flags, path)
    source = taken(path)
    assert (source.grid.video_track, source.grid.width, kinds(source)) == (1, 160, ["picture_track_chosen"])
    assert source.facts["notices"][0]["text"].startswith("picture track 2 of 2 is used (1: 320x240, never changes")
    assert numbers(part(source, 40, 44)) == [40, 41, 42, 43]
    screen = taken(path, TrackWish(video_track=1))
    assert (screen.grid.video_track, screen.grid.width, kinds(screen)) == (0, 320, [])


def test_of_two_cameras_the_flagged_one_is_used_else_the_larger(tmp_path: Path, camera: Path) -> None:
    large = film(tmp_path / "large.mkv", even(Fraction(25), 100), (320, 240))
    both = ("-i", camera, "-i", large, "-map", "0:v", "-map", "1:v", "-c", "copy")
    ffmpeg(*both, "-disposition:v:0", "default", "-disposition:v:1", "0", tmp_path / "a.mkv")
    assert taken(tmp_path / "a.mkv").grid.video_track == 0
    ffmpeg(*both, "-disposition:v:0", "default", "-disposition:v:1", "default", tmp_path / "b.mkv")
    assert taken(tmp_path / "b.mkv").grid.video_track == 1


def test_cover_art_is_no_picture_track(tmp_path: Path, camera: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=red:s=600x600", "-frames:v", "1", tmp_path / "cover.jpg")
    how = ("-map", "1:v", "-map", "0:v", "-c:v:0", "copy", "-c:v:1", "libx264", "-disposition:v:0", "attached_pic")
    ffmpeg("-i", camera, "-i", tmp_path / "cover.jpg", *how, tmp_path / "film.mp4")
    source = taken(tmp_path / "film.mp4")
    assert (source.grid.video_track, source.grid.width, kinds(source)) == (0, 160, [])
    with pytest.raises(MediaError, match=r"film\.mp4 has 1 picture track, and video_track is 2"):
        taken(tmp_path / "film.mp4", TrackWish(video_track=2))


# ── sound tracks ─────────────────────────────────────────────────────────────────────────────────────────────

SILENT, QUIET, LOUD = "anullsrc=r=48000:cl=mono", "sine=f=440:r=48000,volume=0.02", "sine=f=880:r=48000"


def two_sounds(path: Path, camera: Path, first: str, second: str, *how: str) -> Path:
    tracks = [word for tone in (first, second) for word in ("-f", "lavfi", "-t", "4", "-i", tone)]
    codec = (
        ("-c:v", "mpeg2video", "-q:v", "2") if path.suffix in (".mpg", ".vob") else ("-c:v", "libx264", "-preset", "ultrafast")
    )
    ffmpeg("-i", camera, *tracks, "-map", "0:v", "-map", "1:a", "-map", "2:a", *codec, *how, path)
    return path


@pytest.mark.parametrize(
    "ending", ["mp4", "mpg", *(pytest.param(e, marks=pytest.mark.slow) for e in ("mkv", "mov", "ts", "avi"))]
)
@pytest.mark.parametrize("first", [SILENT, QUIET])
def test_the_microphone_that_hears_something_is_used(tmp_path: Path, camera: Path, ending: str, first: str) -> None:
    path = two_sounds(tmp_path / f"film.{ending}", camera, first, LOUD)
    source = taken(path)
    assert source.facts["sound"]["tracks"] == [1]
    assert heard_tones(part(source, 0, 90)) == [(0, 880)]
    assert kinds(source) == ["sound_track_chosen"]
    assert source.facts["notices"][0]["text"].startswith("sound track 2 of 2 is used (1: ")
    if first is QUIET:
        wished = taken(path, TrackWish(audio_track=1))
        assert (wished.facts["sound"]["tracks"], heard_tones(part(wished, 0, 90))) == ([0], [(0, 440)])


def test_a_default_microphone_is_used_although_another_is_louder(tmp_path: Path, camera: Path) -> None:
    flags = ("-disposition:a:0", "0", "-disposition:a:1", "default")
    quieter = LOUD + ",volume=0.3"
    source = taken(two_sounds(tmp_path / "film.mkv", camera, "sine=f=440:r=48000", quieter, *flags))
    assert (source.facts["sound"]["tracks"], kinds(source)) == ([1], ["sound_track_chosen"])
    silent = taken(two_sounds(tmp_path / "silent.mkv", camera, "sine=f=440:r=48000", SILENT, *flags))
    assert silent.facts["sound"]["tracks"] == [0]


def test_a_commentary_is_left_out(tmp_path: Path, camera: Path) -> None:
    source = taken(two_sounds(tmp_path / "film.mkv", camera, LOUD, QUIET, "-disposition:a:0", "comment"))
    assert source.facts["sound"]["tracks"] == [1]
    assert "commentary" in source.facts["notices"][0]["text"]


def test_a_track_without_a_decoder_is_left_out(tmp_path: Path, camera: Path) -> None:
    """The code that names the sound format is one that nobody knows."""
    path = two_sounds(tmp_path / "film.mov", camera, LOUD, "sine=f=440:r=48000", "-c:a:0", "pcm_s16le", "-c:a:1", "aac")
    path.write_bytes(path.read_bytes().replace(b"sowt", b"zzzz"))
    source = taken(path)
    assert (source.facts["sound"]["tracks"], heard_tones(part(source, 0, 90))) == ([1], [(0, 440)])
    assert "1: no decoder" in source.facts["notices"][0]["text"]
    with pytest.raises(MediaError, match="its sound track 1 has no decoder here"):
        taken(path, TrackWish(audio_track=1))


def test_a_source_whose_only_sound_cannot_be_decoded_is_told(tmp_path: Path, camera: Path) -> None:
    ffmpeg("-i", camera, "-f", "lavfi", "-i", LOUD, "-t", "4", "-c:v", "copy", "-c:a", "pcm_s16le", tmp_path / "film.mov")
    path = tmp_path / "film.mov"
    path.write_bytes(path.read_bytes().replace(b"sowt", b"zzzz"))
    source = taken(path)
    assert (source.facts["has_sound"], source.facts["sound"]["tracks"], kinds(source)) == (False, [], ["sound_not_decodable"])
    assert heard_tones(part(source, 0, 50)) == [(0, 0)]


@pytest.mark.parametrize("number", [0, 2, 9])
def test_a_sound_track_that_is_not_there_is_refused(camera: Path, number: int) -> None:
    with pytest.raises(MediaError, match=rf"camera\.mkv has 0 sound tracks, and audio_track is {number}"):
        taken(camera, TrackWish(audio_track=number))
