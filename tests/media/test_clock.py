"""Recordings that lie end to end in one file follow each other, pictures and sound together, or the file is refused."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deemo_data.errors import MediaError
from deemo_data.media import probe
from deemo_data.media.clock import ClockError, Stamp, join_recordings, split_by_clock
from deemo_data.media.streams import TrackWish
from tests.makers.numbered_films import part, whole
from tests.makers.toned_films import heard_tones, join_files, shown_runs, toned_film

TICK = Fraction(1, 90_000)
PICTURES, SOUND = 0, 1
SLOW_ENDINGS = [pytest.param(ending, marks=pytest.mark.slow) for ending in ("m2ts", "mpg")]
SLOW_CLOCKS = [pytest.param(*c, marks=pytest.mark.slow) for c in [(40, 39), (70, 40), (3640, 40), (40, 95_040)]]


@dataclass(frozen=True)
class Recording:
    """`begin` of the clock in ticks, frames at `rate`, and sound that begins and ends so many ticks beside the pictures."""

    begin: int
    frames: int
    rate: int
    sound_early: int
    sound_late: int

    @property
    def step(self) -> int:
        return 90_000 // self.rate

    def pictures(self) -> list[int]:
        return [self.begin + n * self.step for n in range(self.frames)]

    def sounds(self) -> list[int]:
        return list(range(self.begin - self.sound_early, self.begin + self.frames * self.step + self.sound_late, 1920))


recordings = st.builds(
    Recording, st.integers(90_000, 90_000 * 90_000), st.integers(20, 60), st.sampled_from([10, 25, 30, 50]),
    st.integers(-9_000, 20_000), st.integers(-9_000, 30_000),
)  # fmt: skip


def lay_out(films: list[Recording]) -> tuple[list[tuple[int, Stamp]], list[tuple[int, int]]]:
    """The packets of films one after the other, as (stream, stamp), and which film and time each comes from."""
    packets, origins, position = [], [], 0
    for number, one in enumerate(films):
        both = [(t, PICTURES, one.step) for t in one.pictures()] + [(t, SOUND, 1920) for t in one.sounds()]
        for time, stream, duration in sorted(both):
            position += 188
            packets.append((stream, Stamp(position, time, time, duration)))
            origins.append((number, time))
    return packets, origins


def joined(packets: list[tuple[int, Stamp]], gaps_are_joins: bool = True):
    tracks = {s: split_by_clock((stamp for n, stamp in packets if n == s), TICK) for s in (PICTURES, SOUND)}
    return join_recordings((PICTURES, tracks[PICTURES]), {SOUND: tracks[SOUND]}, gaps_are_joins)


@given(st.lists(recordings, min_size=1, max_size=4))
def test_recordings_follow_each_other_with_their_own_sound(films: list[Recording]) -> None:
    for before, after in pairwise(films):
        jumps = [after.pictures()[0] - before.pictures()[-1], after.sounds()[0] - before.sounds()[-1]]
        assume(all(j < -45_000 for j in jumps) or all(j > 900_000 for j in jumps))
    packets, origins = lay_out(films)
    found = joined(packets)
    assert len(found.times) == len(films) - 1
    times: dict[int, list[tuple[int, int, Fraction]]] = {PICTURES: [], SOUND: []}  # per stream: film, time in it, joined time
    for (stream, _), (number, time) in zip(packets, origins, strict=True):
        own = [j.shift for j in found.joins if j.stream == stream and j.packet <= len(times[stream])]
        times[stream].append((number, time, time * TICK + (own[-1] if own else 0)))
    shown = [t for _, _, t in times[PICTURES]]
    assert shown == sorted(set(shown)), "every picture has a time of its own, in the order of the file"
    shifts = {
        number: {t - time * TICK for s in times.values() for n, time, t in s if n == number} for number in range(len(films))
    }
    assert all(len(s) == 1 for s in shifts.values()), "sound and pictures of one recording are moved together"
    for number, after in enumerate(films[1:], 1):
        last = max(t for n, _, t in times[PICTURES] if n == number - 1)
        gap = min(t for n, _, t in times[PICTURES] if n == number) - last
        assert gap >= Fraction(1, films[number - 1].rate)
        sound_end = max(t for n, _, t in times[SOUND] if n == number - 1)
        assert min(t for n, _, t in times[SOUND] if n == number) >= sound_end - Fraction(1, 2) - 1920 * TICK, after


@given(st.lists(recordings, min_size=1, max_size=1), st.data())
def test_one_damaged_stamp_is_no_join(films: list[Recording], data: st.DataObject) -> None:
    packets, _ = lay_out(films)
    at = data.draw(st.integers(1, len(packets) - 2))
    stream, stamp = packets[at]
    wrong = data.draw(st.integers(0, 2**33))
    packets[at] = stream, stamp._replace(clock=wrong, time=wrong)
    assert joined(packets).joins == ()


def recorded(*spans: tuple[float, float], stream: int = PICTURES, after: int = 0) -> list[tuple[int, Stamp]]:
    """Packets of 0.04 s from one second to another, for each span."""
    times = [round(s * 90_000) + n * 3600 for s, e in spans for n in range(round((e - s) * 25))]
    return [(stream, Stamp(after + 1000 * n, t, t, 3600)) for n, t in enumerate(times, 1)]


def test_a_clock_that_only_the_pictures_have_is_refused() -> None:
    both = recorded((5, 9), (1, 5)) + recorded((5, 13), stream=SOUND, after=1)
    with pytest.raises(ClockError, match=r"pictures goes back by 8\.0 s and that of the sound does not"):
        joined(both)


def test_a_clock_that_only_the_sound_has_is_refused() -> None:
    both = recorded((5, 13)) + recorded((5, 9), (1, 5), stream=SOUND, after=1)
    with pytest.raises(ClockError, match=r"sound goes back by 8\.0 s and that of the pictures does not"):
        joined(both)


@pytest.mark.parametrize("gaps_are_joins", [True, False])
def test_a_picture_that_stands_while_the_sound_goes_on_is_no_join(gaps_are_joins: bool) -> None:
    both = recorded((0, 4), (30, 34)) + recorded((0, 34), stream=SOUND, after=1)
    assert joined(both, gaps_are_joins).joins == ()


def test_a_gap_in_all_streams_is_a_join_where_clocks_may_jump() -> None:
    both = recorded((0, 4), (30, 34)) + recorded((0, 4), (30, 34), stream=SOUND, after=1)
    assert [j.shift for j in joined(both).joins] == [-26, -26]
    assert joined(both, gaps_are_joins=False).joins == ()


def test_recordings_of_equal_length_are_told_apart() -> None:
    films = [Recording(126_000, 50, 25, 1_800, 1_800)] * 4
    found = joined(lay_out(films)[0])
    assert [j.shift for j in found.joins if j.stream == PICTURES] == [2, 4, 6]
    assert [j.shift for j in found.joins if j.stream == SOUND] == [2, 4, 6]


# ── in files ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["mkv", pytest.param("webm", marks=pytest.mark.slow)])
def test_a_file_of_two_recordings_with_a_format_that_holds_no_more(tmp_path: Path, ending: str) -> None:
    parts = [toned_film(tmp_path / f"a.{ending}", 0, 50, 440), toned_film(tmp_path / f"b.{ending}", 1000, 75, 880)]
    source = whole(join_files(tmp_path / f"film.{ending}", *parts))
    assert shown_runs(source) == [(0, 0, 49), (50, 1000, 1074)]
    assert heard_tones(source) == [(0, 440), (2, 880)]
    with pytest.raises(MediaError, match="holds another recording"):
        probe.probe_video(join_files(tmp_path / f"more.{ending}", *parts, parts[0]))


@pytest.mark.parametrize("ending", ["ts", "vob", *SLOW_ENDINGS])
def test_a_file_of_three_recordings_shows_and_sounds_them_in_turn(tmp_path: Path, ending: str) -> None:
    parts = [
        toned_film(tmp_path / f"a.{ending}", 0, 50, 440),
        toned_film(tmp_path / f"b.{ending}", 1000, 75, 880),
        toned_film(tmp_path / f"c.{ending}", 2000, 30, 1320),
    ]
    source = whole(join_files(tmp_path / f"film.{ending}", *parts))
    assert (source.grid.fps, source.grid.vfr, source.grid.frames) == (25, False, 155)
    assert shown_runs(source) == [(0, 0, 49), (50, 1000, 1074), (125, 2000, 2029)]
    assert heard_tones(source) == [(0, 440), (2, 880), (5, 1320)]
    assert [n["kind"] for n in source.facts["notices"]] == ["recordings_joined"]
    clip = part(source, 40, 130)
    assert shown_runs(clip) == [(0, 40, 49), (10, 1000, 1074), (85, 2000, 2004)]
    assert [hz for _, hz in heard_tones(clip)] == [440, 880, 1320]


@pytest.mark.parametrize(("begin", "after"), [(40, 70), (95_040, 40), *SLOW_CLOCKS])
def test_any_jump_of_the_clock_of_a_transport_stream(tmp_path: Path, begin: float, after: float) -> None:
    """Also one that looks like the end of the 33 bits of its clock, after 26.5 hours."""
    a = toned_film(tmp_path / "a.ts", 0, 25, 440, 25, "-output_ts_offset", str(begin))
    b = toned_film(tmp_path / "b.ts", 1000, 25, 880, 25, "-output_ts_offset", str(after))
    source = whole(join_files(tmp_path / "film.ts", a, b))
    assert shown_runs(source) == [(0, 0, 24), (25, 1000, 1024)]
    assert heard_tones(source) == [(0, 440), (1, 880)]


def test_recordings_on_tracks_of_their_own_are_refused(tmp_path: Path) -> None:
    """Two cameras that number their streams differently: the file then has two picture tracks, one after the other."""
    a = toned_film(tmp_path / "a.ts", 0, 25, 440)
    b = toned_film(tmp_path / "b.ts", 1000, 25, 880, 25, "-mpegts_start_pid", "0x200")
    path = join_files(tmp_path / "film.ts", a, b)
    with pytest.raises(MediaError, match="holds 2 recordings one after the other, each on a track of its own"):
        probe.probe_video(path)
    chosen = probe.probe_video(path, wish=TrackWish(video_track=2, audio_track=2))
    assert (chosen["grid"]["video_track"], chosen["sound"]["tracks"]) == (1, [1])


@pytest.mark.parametrize("more", [(), ("-mpegts_service_id", "7"), ("-output_ts_offset", "1")])
def test_a_recording_on_tracks_that_nobody_announced_is_told(more: tuple[str, ...], tmp_path: Path) -> None:
    """Where the second recording has its own table of programs, its tracks are not seen when the file is opened."""
    a = toned_film(tmp_path / "a.ts", 0, 25, 440)
    b = toned_film(tmp_path / "b.ts", 1000, 25, 880, 25, "-mpegts_start_pid", "0x200", "-mpegts_pmt_start_pid", "0x1100", *more)
    facts = probe.probe_video(join_files(tmp_path / "film.ts", a, b))
    assert [n["kind"] for n in facts["notices"]] == ["late_track_left_out"]
    assert probe.probe_video(a)["notices"] == []


def test_sound_that_starts_too_late_to_be_seen_is_told(tmp_path: Path) -> None:
    picture = toned_film(tmp_path / "a.flv", 0, 25, 440)
    flv = picture.read_bytes()
    at, tags = 13, []
    while at < len(flv):  # a tag: kind, three bytes of length, seven more, the data, four bytes of length
        end = at + 15 + int.from_bytes(flv[at + 1 : at + 4], "big")
        tags.append(flv[at:end])
        at = end
    pictures, sounds = ([t for t in tags if (t[0] == 8) == heard] for heard in (False, True))
    filler = b"\x12" + (200_000).to_bytes(3, "big") + bytes(7) + bytes(200_000) + (200_011).to_bytes(4, "big")
    (tmp_path / "b.flv").write_bytes(flv[:4] + b"\x01" + flv[5:13] + b"".join([*pictures, *[filler] * 40, *sounds]))
    facts = probe.probe_video(tmp_path / "b.flv")
    assert not facts["has_sound"]
    assert "late_track_left_out" in [n["kind"] for n in facts["notices"]]


def test_the_end_of_33_bits_is_no_join(tmp_path: Path) -> None:
    source = whole(toned_film(tmp_path / "a.ts", 0, 100, 440, 25, "-output_ts_offset", str(2**33 / 90_000 - 3)))
    assert source.grid.joins == ()
    assert shown_runs(source) == [(0, 0, 99)]
    assert heard_tones(source) == [(0, 440)]


def test_sound_that_outlasts_its_pictures_is_kept_at_a_join(tmp_path: Path) -> None:
    parts = [toned_film(tmp_path / "a.ts", 0, 50, 440, seconds=3), toned_film(tmp_path / "b.ts", 1000, 50, 880)]
    source = whole(join_files(tmp_path / "film.ts", *parts))
    assert heard_tones(source) == [(0, 440), (3, 880)]
    assert shown_runs(source)[1][0] == pytest.approx(3 * source.grid.fps, abs=1)


@pytest.mark.parametrize(
    "ending", ["mp4", "flv", pytest.param("mov", marks=pytest.mark.slow), pytest.param("wmv", marks=pytest.mark.slow)]
)
def test_a_second_recording_that_cannot_be_read_is_told(tmp_path: Path, ending: str) -> None:
    parts = [toned_film(tmp_path / f"a.{ending}", 0, 50, 440), toned_film(tmp_path / f"b.{ending}", 1000, 50, 880)]
    assert probe.probe_video(parts[0])["grid"]["frames"] == 50
    with pytest.raises(MediaError, match="holds another recording"):
        probe.probe_video(join_files(tmp_path / f"film.{ending}", *parts))
