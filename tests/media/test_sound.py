"""Sound lies where it was heard: single clicks in made films, and real sound."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.clip import Clip
from deemo_data.errors import MediaError
from deemo_data.media import container, sound
from deemo_data.media.levels import find_loud_level, measure_hops
from tests.makers.numbered_films import (
    NTSC,
    even,
    ffmpeg,
    film,
    loud,
    part,
    whole,
)
from tests.makers.sounds import babble, level_db, whole_source, write_sound_film


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "pcm_s16le"), ("mov", "pcm_s16le"), ("mp4", "aac"), ("mkv", "aac")])
@pytest.mark.parametrize(("start", "sound_from"), [("0", "0"), ("1/2", "0"), ("0", "1/2"), ("8", "17/2"), ("17/2", "8")])
def test_a_click_lies_where_it_was_heard(tmp_path: Path, ending: str, codec: str, start: str, sound_from: str) -> None:
    """Within a millisecond: Matroska's clock, and that of an edit list, has no finer tick."""
    zero = Fraction(start)
    clicks = [zero + Fraction(c) for c in ("7/10", "3", "81/10", "113/10", "14")]
    times = even(30 * NTSC, 450, zero)
    rate = 48_000 if start == "0" else 44_100
    path = film(tmp_path / f"film.{ending}", times, clicks=clicks, sound_from=Fraction(sound_from), sound_codec=codec, rate=rate)
    source = whole(path)
    for first, end in [(0, 450), (30, 300), (200, 440), (390, 450)]:
        clip = part(source, first, end)
        wave = sound.read_sound(clip)
        assert len(wave) == sound.frames_to_samples(clip.num_frames, clip.grid.fps) == round((end - first) / (30 * NTSC) * 16_000)
        expected = [c - zero - first / (30 * NTSC) for c in clicks]
        expected = [e for e in expected if 0 <= e < (end - first) / (30 * NTSC)]
        heard = loud(wave)
        assert len(heard) == len(expected)
        for sample, second in zip(heard, expected, strict=True):
            assert abs(sample - second * 16_000) <= 16, f"{float(sample / 16 - second * 1000):.2f} ms off"


def test_no_sound_is_silence_of_the_right_length(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mp4", even(Fraction(25), 50)))
    assert source.facts["has_sound"] is False
    wave = sound.read_sound(part(source, 10, 35))
    assert (wave.dtype, wave.shape, float(np.abs(wave).max())) == (np.float32, (16_000,), 0.0)


def test_sound_that_ends_early_goes_on_as_silence(tmp_path: Path) -> None:
    source = whole(film(tmp_path / "film.mkv", even(Fraction(25), 100), clicks=[Fraction(1, 2)], seconds=1.0))
    wave = sound.read_sound(source)
    assert wave.shape == (64_000,)
    assert loud(wave)[0] == pytest.approx(8000, abs=3)
    assert not wave[16_100:].any()
    assert not sound.read_sound(part(source, 50, 100)).any()


@pytest.mark.parametrize(
    "name", ["hikers_walking_audio_cc.mp4", "talker_hands_speech_wim.mp4", "grid_bbaf2n.mpg", "event_1s_vp8_opus.webm"]
)
def test_real_sound_from_the_middle(media: Path, name: str) -> None:
    source = whole(media / "video" / name)
    frames, fps = source.grid.frames, source.grid.fps
    everything = sound.read_sound(source)
    for first, end in [(frames // 3, frames // 2), (frames * 3 // 4, frames)]:
        got = sound.read_sound(part(source, first, end))
        begin = round(first * 16_000 / fps)
        expected = everything[begin : begin + len(got)]
        n = min(len(expected), len(got)) - 200
        # a resampler begun elsewhere stands at another fraction of a sample: alike, not equal
        same = np.corrcoef(np.convolve(got[:n], np.ones(8)), np.convolve(expected[:n], np.ones(8)))[0, 1]
        assert same > 0.99


def test_wav_there_and_back(tmp_path: Path) -> None:
    wave = np.array([-2, -1, -0.5, 0, 1e-5, 0.25, 1, 3], np.float32)
    sound.write_wav(tmp_path / "a.wav", wave)
    np.testing.assert_allclose(sound.read_wav(tmp_path / "a.wav"), np.clip(wave, -1, 1), atol=1 / 65_000)


# ── brought to level, from any channel ───────────────────────────────────────────────────────────────────────

VOICE = babble(5)
NONE = np.zeros_like(VOICE)


def soft(db: float, *gains: float) -> np.ndarray:
    """The voice at a level (dB), in channels with these gains."""
    return np.stack([g * VOICE * 10 ** ((db + 20) / 20) for g in gains or (1.0,)], axis=1)


@pytest.mark.parametrize(
    ("name", "wave", "codec", "rate", "layout", "mix", "kinds"),
    [
        ("a.mkv", soft(-79), "pcm_s16le", 48_000, "", "mean", ["sound_raised"]),
        ("a.mp4", soft(-73, 1, 1), "aac", 44_100, "", "mean", ["sound_raised"]),
        ("b.mov", soft(-60), "pcm_s24le", 16_000, "", "mean", ["sound_raised"]),
        ("c.mkv", soft(-62, 0, 0, 1, 0, 0, 0), "flac", 32_000, "5.1", "3", ["channels_left_out", "sound_raised"]),
        ("c.mp4", soft(-45, 0, 0, 1, 0, 0, 0), "aac", 48_000, "5.1", "3", ["channels_left_out"]),
        ("d.mov", soft(-60, 1, -1), "pcm_s16le", 48_000, "", "difference", ["opposite_phase", "sound_raised"]),
        ("d.mp4", soft(-35, 1, -0.7), "aac", 44_100, "", "difference", ["opposite_phase"]),
        ("d.mkv", soft(-70, 0.5, -0.5), "libopus", 48_000, "", "difference", ["opposite_phase", "sound_raised"]),
        ("e.avi", soft(-40, 0, 1), "mp3", 44_100, "", "right", ["channels_left_out"]),
        ("e.mkv", soft(-28, 1, 0), "pcm_u8", 8_000, "", "left", ["channels_left_out"]),
        ("f.avi", soft(-45), "pcm_mulaw", 8_000, "", "mean", []),
        ("g.mov", soft(-79) + 0.1, "pcm_s16le", 44_100, "", "mean", ["sound_raised"]),  # direct current
        ("h.mkv", np.where(np.arange(80_000)[:, None] % 9000 == 0, np.nan, soft(-50)), "pcm_f32le", 48_000, "", "mean", None),
        ("i.mov", soft(-60, *[0.0] * 9, 1, *[0.0] * 6), "pcm_s24le", 48_000, "hexadecagonal", "10", None),
        ("j.mkv", soft(-10), "flac", 48_000, "", "mean", []),
    ],
)  # fmt: skip
def test_every_stage_hears_the_voice_at_one_level(
    tmp_path: Path, name: str, wave: np.ndarray, codec: str, rate: int, layout: str, mix: str, kinds: list[str] | None
) -> None:
    source = whole_source(write_sound_film(tmp_path / name, wave, codec, rate, layout))
    heard = sound.read_sound(source)
    assert source.facts["sound"]["mix"] == mix
    assert kinds is None or [n["kind"] for n in source.facts["notices"]] == kinds
    assert np.isfinite(heard).all()
    level = find_loud_level(np.convolve(measure_hops(heard.astype(np.float64)), np.ones(4) / 4, "valid")[::4])
    assert level > -12 if name == "j.mkv" else -30 < level < -24
    power, expected = (measure_hops(w.astype(np.float64)) for w in (heard[8000:72_000], VOICE[8000:72_000]))
    assert np.corrcoef(np.sqrt(power), np.sqrt(expected))[0, 1] > 0.9, "it is the voice, and not its noise"


def test_opposite_phase_in_parts_is_heard_from_one_channel(tmp_path: Path) -> None:
    partly = np.stack([VOICE, np.where(np.arange(len(VOICE)) < 30_000, VOICE, -VOICE)], axis=1)
    source = whole_source(write_sound_film(tmp_path / "a.mkv", partly, "flac", 48_000))
    assert source.facts["sound"] == {"tracks": [0], "mix": "left", "gain_db": 0.0}
    heard = sound.read_sound(source)
    assert level_db(heard[40_000:]) == pytest.approx(level_db(VOICE[40_000:]), abs=0.5)


def test_a_mix_that_was_asked_for_is_taken(tmp_path: Path) -> None:
    path = write_sound_film(tmp_path / "a.mkv", np.stack([VOICE, NONE], axis=1), "flac")
    assert sound.measure_track(path, 0, "mean").mix == "mean"
    assert sound.measure_track(path, 0, "right").level_db == -120
    with pytest.raises(MediaError, match="channel 3"):
        sound.measure_track(path, 0, "3")


def test_silence_is_told_and_not_raised(tmp_path: Path) -> None:
    source = whole_source(write_sound_film(tmp_path / "a.mp4", NONE, "aac"))
    assert source.facts["sound"]["gain_db"] == 0
    assert [n["kind"] for n in source.facts["notices"]] == ["sound_silent"]


def test_a_clip_without_the_fact_is_heard_as_it_is(tmp_path: Path) -> None:
    """A file that we made ourselves."""
    source = whole_source(write_sound_film(tmp_path / "a.mkv", soft(-60, 1, 0.5), "pcm_s24le"))
    assert source.facts["sound"]["gain_db"] > 20
    facts = {n: v for n, v in source.facts.items() if n != "sound"}
    as_it_is = sound.read_sound(Clip("a", "a", 0, source.end_ms, source.files, facts))
    assert level_db(as_it_is) == pytest.approx(-60 + 20 * np.log10(0.75), abs=0.3)


def test_a_track_whose_channels_change_midway_is_heard_to_the_end(tmp_path: Path) -> None:
    """Two recordings of a broadcast in one stream: first stereo, then mono."""
    parts = []
    for name, gains in (("a", (1.0, 1.0)), ("b", (1.0,))):
        path = write_sound_film(tmp_path / f"{name}.mkv", soft(-20, *gains), "mp2", 48_000)
        ffmpeg("-i", path, "-c", "copy", tmp_path / f"{name}.ts")
        parts.append((tmp_path / f"{name}.ts").read_bytes())
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    track = sound.measure_track(tmp_path / "both.ts", 0)
    assert (track.mix, track.level_db) == ("mean", pytest.approx(-17, abs=2))
    assert [n.kind for n in track.notices] == ["channels_change"]
    source = whole_source(tmp_path / "both.ts")
    heard = sound.read_sound(source)
    for begin in (0, len(heard) - 70_000):
        assert level_db(heard[begin : begin + 60_000]) == pytest.approx(-20, abs=2)


def test_damaged_sound_counts_as_far_as_it_could_be_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sound_film(tmp_path / "a.mkv", soft(-20, 1.0), "flac")
    whole = sound.measure_track(path, 0)
    decode = container.decode_packets

    def break_off(*args: Any, after: int, **more: Any) -> Iterator[Any]:
        yield from islice(decode(*args, **more), after)
        raise MediaError("a.mkv: its audio is damaged: Invalid data")

    monkeypatch.setattr(sound, "decode_packets", partial(break_off, after=30))
    damaged = sound.measure_track(path, 0)
    assert damaged.level_db == pytest.approx(whole.level_db, abs=6)
    [notice] = damaged.notices
    assert (notice.kind, damaged.is_unreadable) == ("sound_damaged", False)
    assert notice.text == "its sound counts as far as it could be decoded: its audio is damaged: Invalid data"
    monkeypatch.setattr(sound, "decode_packets", partial(break_off, after=0))
    assert sound.measure_track(path, 0).is_unreadable


def test_the_listeners_copy_is_the_same_in_blocks(tmp_path: Path) -> None:
    wave = np.concatenate([VOICE, VOICE * 0.003] * 7)
    source = whole_source(write_sound_film(tmp_path / "a.mkv", wave, "flac"))
    blocks = sound.SoundBlocks(source, levelled=True)
    heard = sound.read_levelled_sound(source)
    np.testing.assert_allclose(np.concatenate(list(blocks)), heard, atol=1e-5)
    assert len(blocks) == len(heard)
    quiet, loud_part = heard[5 * 16_000 + 16_000 : 10 * 16_000 - 16_000], heard[: 4 * 16_000]
    assert level_db(quiet) > level_db(loud_part) - 18, "50 dB softer before"
