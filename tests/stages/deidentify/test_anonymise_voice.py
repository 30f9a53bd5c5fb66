"""The voice stage: who is heard in which voice, what is silent, and nothing of the secret in what is made."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.errors import ConfigError, MediaError
from deemo_data.files import File
from deemo_data.media import probe, sound
from deemo_data.stages.deidentify.anonymise_voice import (
    AnonymiseVoice,
    crossfade_gains,
    mask_speakers,
    mute_gain,
    run_converter,
    samples_between,
)
from deemo_data.stages.voices import mcadams

KEY = "5a" * 32
PAPER = AnonymiseVoice(method="mcadams")
TALKER = "talker_hands_speech_wim.mp4"
TWO = [[0, 3000, "A"], [3000, 6000, "B"]]


def seen(
    path: Path,
    folder: Path,
    *,
    subject: str = "s-00000001",
    start: int = 0,
    end: int | None = None,
    turns: Sequence[Sequence[Any]] = (),
    roles: dict[str, str] | None = None,
    muted: Sequence[tuple[int, int]] = (),
) -> Clip:
    facts = probe.probe_video(path)
    grid = Grid.of(facts["grid"])
    first, last = grid.frame_at(start), grid.frames if end is None else grid.frame_at(end)
    folder.mkdir(exist_ok=True)
    said = {
        "turns": {"turns": [{"start_ms": a, "end_ms": b, "speaker": who} for a, b, who in turns], "by": "a test"},
        "roles": {"speakers": roles or {}, "faces": {}, "body": "subject"},
        "mute_spans": {"spans": [list(span) for span in muted]},
    }
    files = {"source": File.of(path)}
    for name, content in said.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
        files[name] = File.of(folder / f"{name}.json")
    known = {n: facts[n] for n in ("grid", "has_sound", "sound")} | {"subject": subject, "secret": KEY}
    return Clip("aa-0-1", "aa", grid.ms_at(first), grid.ms_at(last), files, known).restrict_to(AnonymiseVoice.needs)


def made(clip: Clip, out: Path, stage: AnonymiseVoice = PAPER) -> np.ndarray:
    out.mkdir(exist_ok=True)
    assert stage(clip, out) == {"anonymise_voice_notices": []}
    assert sorted(p.name for p in out.iterdir()) == ["prosody.parquet", "voice.wav"]
    return sound.read_wav(out / "voice.wav")


@pytest.fixture
def talker(media: Path) -> Path:
    return media / "video" / TALKER


def level(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


# ── on real footage ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stage", [AnonymiseVoice(), PAPER], ids=["hardened", "deemo-paper"])
def test_another_voice_as_long_as_before_and_the_same_again(talker: Path, tmp_path: Path, stage: AnonymiseVoice) -> None:
    clip = seen(talker, tmp_path / "in", start=2000, end=6000)
    wave, voice = sound.read_sound(clip), made(clip, tmp_path / "a", stage)
    assert len(voice) == len(wave) == math.floor(Fraction(clip.num_frames * 16_000) / clip.grid.fps + Fraction(1, 2))
    assert abs(np.corrcoef(voice, wave)[0, 1]) < 0.9
    made(clip, tmp_path / "b", stage)
    for name in ("voice.wav", "prosody.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = pq.read_table(tmp_path / "a" / "prosody.parquet")
    assert rows.column_names == ["f0_semitones", "energy_db", "voiced", "speech_rate"]
    assert rows.num_rows == math.ceil(len(voice) / 160)


def test_mcadams_keeps_the_level_and_follows_the_subject(talker: Path, tmp_path: Path) -> None:
    clip = seen(talker, tmp_path / "in", start=2000, end=5000)
    first = made(clip, tmp_path / "a")
    wave = sound.read_sound(clip)
    assert level(first) == pytest.approx(level(wave), rel=0.02)
    expected = mcadams.match_level(wave, mcadams.apply_mcadams(wave, mcadams.draw_coefficient(KEY, "s-00000001")))
    assert np.abs(first - expected).max() < 1e-4
    other = made(seen(talker, tmp_path / "in", subject="s-00000002", start=2000, end=5000), tmp_path / "c")
    assert np.abs(first - other).max() > 0.01
    assert np.abs(first - made(clip, tmp_path / "d", AnonymiseVoice(method="mcadams", low=0.7, high=0.71))).max() > 0.01


@pytest.mark.parametrize(
    ("method", "per", "same"),
    [("mcadams", "speaker", True), ("mcadams", "utterance", False), ("normalise", "speaker", False)],
)
def test_another_clip_is_another_voice_unless_it_is_one_a_speaker(
    talker: Path, tmp_path: Path, method: Any, per: Any, same: bool
) -> None:
    stage = AnonymiseVoice(method=method, per=per)
    one = made(seen(talker, tmp_path / "in", start=2000, end=5000), tmp_path / "a", stage)
    two = made(seen(talker, tmp_path / "in", start=3000, end=6000), tmp_path / "b", stage)
    shared_one, shared_two = one[16_000 + 800 : -800], two[800 : -16_000 - 800]  # away from the edges
    alike = np.corrcoef(shared_one, shared_two)[0, 1]
    assert alike > 0.99 if same else alike < 0.9


def test_each_speaker_has_a_voice_and_the_interviewer_can_be_muted(talker: Path, tmp_path: Path) -> None:
    roles = {"A": "subject", "B": "interviewer"}
    alone = made(seen(talker, tmp_path / "in", end=6000), tmp_path / "a")
    clip = seen(talker, tmp_path / "in", end=6000, turns=TWO, roles=roles)
    both = made(clip, tmp_path / "b")
    half = 48_000
    loud = np.corrcoef(alone[1600 : half - 1600], both[1600 : half - 1600])[0, 1]
    assert loud > 0.999  # the subject's own half, but for the level
    assert np.corrcoef(alone[half + 1600 :], both[half + 1600 :])[0, 1] < 0.95
    for stage in (AnonymiseVoice(interviewer="mute"), AnonymiseVoice(method="mcadams", interviewer="mute")):
        muted = made(clip, tmp_path / stage.method, stage)
        assert not muted[half:].any()
        assert level(muted[: half - 1600]) > 0.01


def test_names_are_silent_and_nothing_else(talker: Path, tmp_path: Path) -> None:
    spans = [(2500, 2900), (4000, 4001)]
    for stage in (AnonymiseVoice(), PAPER):
        whole = made(seen(talker, tmp_path / "in", start=2000, end=5000), tmp_path / "a", stage)
        muted = made(seen(talker, tmp_path / "in", start=2000, end=5000, muted=spans), tmp_path / "b", stage)
        assert not muted[8000:14_400].any()
        assert not muted[32_000:32_016].any()
        apart = np.flatnonzero(np.abs(whole - muted) > 0)
        assert len(apart)
        assert np.all((apart >= 8000 - 160) & (apart < 14_400 + 160) | (apart >= 32_000 - 160) & (apart < 32_016 + 160))
        assert np.abs(np.diff(muted)).max() <= np.abs(np.diff(whole)).max() + 1e-3  # no click


def test_prosody_alone_leaves_no_sound(talker: Path, tmp_path: Path) -> None:
    clip = seen(talker, tmp_path / "in", start=2000, end=5000)
    voice = made(clip, tmp_path / "a", AnonymiseVoice(sound="prosody"))
    assert len(voice) == len(sound.read_sound(clip))
    assert not voice.any()
    made(clip, tmp_path / "b", AnonymiseVoice())
    assert (tmp_path / "a" / "prosody.parquet").read_bytes() == (tmp_path / "b" / "prosody.parquet").read_bytes()


def test_the_secret_is_in_nothing_that_is_made(talker: Path, tmp_path: Path) -> None:
    for stage in (AnonymiseVoice(), PAPER):
        made(seen(talker, tmp_path / "in", end=1000), tmp_path / stage.method, stage)
        drawn = mcadams.draw_coefficient(KEY, "s-00000001")
        for name in ("voice.wav", "prosody.parquet"):
            written = (tmp_path / stage.method / name).read_bytes()
            for told in (KEY.encode(), bytes.fromhex(KEY), repr(drawn).encode(), np.float64(drawn).tobytes(), b"s-00000001"):
                assert told not in written
        assert (tmp_path / stage.method / "voice.wav").stat().st_size == 44 + 2 * 16_000  # a plain header and the samples


def test_footage_without_sound_gets_silence(media: Path, tmp_path: Path) -> None:
    source = next(p for p in sorted((media / "video").glob("asl_*.mkv")) if not probe.probe_video(p)["has_sound"])
    for stage in (AnonymiseVoice(), PAPER):
        voice = made(seen(source, tmp_path / "in"), tmp_path / stage.method, stage)
        assert len(voice) > 0
        assert not voice.any()


def test_sound_that_is_not_numbers_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "deemo_data.stages.deidentify.anonymise_voice.read_sound", lambda clip: np.array([0.1, np.nan], np.float32)
    )
    with pytest.raises(MediaError, match="aa-0-1"):
        AnonymiseVoice()(Clip("aa-0-1", "aa", 0, 1, {}, {"subject": "s-1", "secret": KEY}), tmp_path)


# ── a converter of the user's ────────────────────────────────────────────────────────────────────────────────

HALVE = """
import sys, wave
with wave.open(sys.argv[1]) as f:
    form, n = f.getparams(), f.getnframes()
    data = f.readframes(n)
with wave.open(sys.argv[2], "wb") as f:
    f.setparams(form if len(sys.argv) < 6 else form._replace(framerate=8000))
    import array
    samples = array.array("h", data)
    f.writeframes(array.array("h", [s // 2 for s in samples][: n - int(sys.argv[4])]).tobytes())
sys.exit(int(sys.argv[3]))
"""


def command(tmp_path: Path, status: int = 0, short: int = 0, more: str = "") -> str:
    (tmp_path / "halve.py").write_text(HALVE)
    return f"{sys.executable} {tmp_path / 'halve.py'} {{input}} {{output}} {status} {short} {more}"


def test_a_converter_is_plugged_in(talker: Path, tmp_path: Path) -> None:
    stage = AnonymiseVoice(method="command", command=command(tmp_path, short=300))
    clip = seen(talker, tmp_path / "in", end=6000, turns=TWO, roles={"A": "subject", "B": "interviewer"})
    voice, wave = made(clip, tmp_path / "a", stage), sound.read_sound(clip)
    assert len(voice) == len(wave)
    assert np.abs(voice - wave / 2)[:-300].max() < 2e-4  # both parts, and their joint
    assert not voice[-300:].any()


def test_a_converter_sees_a_number_made_from_the_secret(tmp_path: Path) -> None:
    (tmp_path / "copy.py").write_text(
        "import sys, shutil; shutil.copy(sys.argv[1], sys.argv[2]); open(sys.argv[3] + '/seed', 'w').write(sys.argv[4])"
    )
    wave = np.linspace(-0.5, 0.5, 500)
    line = f"{sys.executable} {tmp_path / 'copy.py'} {{input}} {{output}} {tmp_path} {{seed}}"
    assert np.abs(run_converter(line, wave, 77, tmp_path) - wave).max() < 1e-4
    assert (tmp_path / "seed").read_text() == "77"


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"status": 3}, "status 3"), ({"short": 321}, "samples"), ({"more": "slow"}, "8000")],
)
def test_a_converter_that_did_not_do_it_is_refused(tmp_path: Path, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(MediaError, match=says):
        run_converter(command(tmp_path, **asked), np.zeros(2000), 1, tmp_path)


@pytest.mark.parametrize("line", ["no-such-program {input} {output}", "true {input} {output}", "touch {output} {input}"])
def test_a_converter_that_made_nothing_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(MediaError, match="made no sound"):
        run_converter(line, np.zeros(2000), 1, tmp_path)


# ── whose, when ──────────────────────────────────────────────────────────────────────────────────────────────


def test_speech_outside_any_turn_is_the_subjects() -> None:
    turns = [{"start_ms": 100, "end_ms": 200, "speaker": "B"}, {"start_ms": 150, "end_ms": 300, "speaker": "A"}]
    owners = mask_speakers(turns, {"A": "subject", "B": "bystander"}, 0, 16 * 400)
    assert set(owners) == {"subject", "B"}
    assert np.flatnonzero(owners["B"]).tolist() == list(range(1600, 2400))


milliseconds = st.integers(-500, 1500)


@given(st.lists(st.tuples(milliseconds, milliseconds, st.sampled_from("ABC")), max_size=6), milliseconds, st.integers(0, 3000))
def test_every_sample_is_somebodys_and_gains_add_up(turns: list[tuple[int, int, str]], zero: int, samples: int) -> None:
    said = [{"start_ms": min(a, b), "end_ms": max(a, b), "speaker": who} for a, b, who in turns]
    owners = mask_speakers(said, {"A": "subject", "B": "interviewer"}, zero, samples)
    assert sum((mask.astype(int) for mask in owners.values()), np.zeros(samples, int)).tolist() == [1] * samples
    gains = crossfade_gains(owners.values())
    assert np.allclose(sum(gains, np.zeros(samples)), 1)
    assert all(np.abs(np.diff(gain)).max(initial=0) <= 1 / 80 for gain in gains)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), max_size=5))
def test_what_is_muted_is_silent_and_comes_back_in_10_ms(spans: list[tuple[int, int]]) -> None:
    silent = np.zeros(1000, bool)
    for a, b in spans:
        silent[min(a, b) : max(a, b)] = True
    gain = mute_gain(silent)
    assert not gain[silent].any()
    near = np.convolve(silent, np.ones(2 * 160 + 1), mode="same") > 0.5 if silent.any() else silent
    assert np.all(gain[~near] == 1)
    assert np.abs(np.diff(gain)).max() <= 1 / 80


@given(milliseconds, milliseconds, milliseconds)
def test_samples_lie_where_the_source_clock_says(start: int, length: int, zero: int) -> None:
    span = samples_between(start, start + abs(length), zero)
    assert span.start == max(start - zero, 0) * 16
    assert span.stop == max(start + abs(length) - zero, 0) * 16


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.9), (0.9, 0.5), (0.5, 1.5), (-1.0, 0.5)])
def test_a_range_that_makes_no_sense_is_refused(low: float, high: float) -> None:
    with pytest.raises(ConfigError, match="range"):
        AnonymiseVoice(low=low, high=high)


@pytest.mark.parametrize("line", ["", "convert {input}", "convert {output}", "convert '{input} {output}"])
def test_a_command_that_cannot_be_run_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match="command"):
        AnonymiseVoice(method="command", command=line)
