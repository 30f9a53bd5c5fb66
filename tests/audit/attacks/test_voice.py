"""Attacks on voices: they find who is there to be found, guess where nobody is, and never look at their own answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deemo_data.audit.attacks import voice, voice_statistics
from deemo_data.audit.attacks.scores import is_within_chance
from deemo_data.audit.attacks.voice import Embeddings, Row, Utterance, attack_voices, word_error_rate
from deemo_data.errors import ModelError

Wave = NDArray[np.float64]
NAMES = [f"s{i}" for i in range(6)]


def heard(build: Sequence[NDArray], clips: int, noise: NDArray, seed: int) -> Embeddings:
    """`clips` of each speaker: `build` (speakers, d), plus noise of the deviations `noise` (d,); both attackers see that."""
    draw = np.random.default_rng(seed)
    speakers = np.repeat(NAMES[: len(build)], clips)
    vectors = np.repeat(np.array(build), clips, axis=0) + draw.normal(size=(len(speakers), len(noise))) * noise
    return Embeddings(
        speakers, np.array([f"{who}-{i % clips}" for i, who in enumerate(speakers)]), {"GE2E": vectors, "statistics": vectors}
    )


def found(rows: Sequence[Row]) -> dict[tuple[str, str, str], float]:
    return {(r.scenario, r.attacker, r.measure): r.score.value for r in rows if r.score}


@pytest.fixture
def apart() -> Embeddings:
    return heard(np.random.default_rng(1).normal(size=(6, 8)), 4, np.full(8, 0.05), 2)


@pytest.fixture
def noise() -> Embeddings:
    return heard(np.zeros((6, 8)), 4, np.ones(8), 3)


# ── tables and figures, without a network ────────────────────────────────────────────────────────────────────


def test_speakers_that_are_apart_are_all_found(apart: Embeddings) -> None:
    figures = found(attack_voices(apart, apart))
    assert figures.keys() > {
        ("adapted", "fusion x 3", "EER"),
        ("lazy", "GE2E", "singling out"),
        ("ignorant", "statistics", "linkability"),
    }
    for (scenario, attacker, measure), value in figures.items():
        if measure == "EER":
            assert value < 0.1, (scenario, attacker)
        elif scenario != "adapted":
            assert value == 1, (scenario, attacker, measure)


def test_where_nobody_is_to_be_found_attackers_guess(apart: Embeddings, noise: Embeddings) -> None:
    rows = attack_voices(apart, noise)
    for row in rows:
        if row.score and row.scenario not in ("original", "lowest"):
            assert is_within_chance(row.score), row
    values = [r.score.value for r in rows if r.score and r.measure == "EER" and r.scenario != "original"]
    assert np.mean(values) == pytest.approx(0.5, abs=0.08)
    chances = {r.measure: r.score.chance for r in rows if r.score}
    assert chances == {"EER": 0.5, "singling out": (5 / 6) ** 5, "linkability": 1 / 6}


def test_singling_out_by_guessing_is_as_often_as_said() -> None:
    rows = [r for seed in range(8) for r in voice.score_scenario("lazy", *table_of(heard(np.zeros((6, 8)), 4, np.ones(8), seed)))]
    for measure, chance in (("singling out", (5 / 6) ** 5), ("linkability", 1 / 6)):
        values = [r.score.value for r in rows if r.measure == measure and r.score]
        assert np.mean(values) == pytest.approx(chance, abs=0.1)


def table_of(side: Embeddings) -> tuple[dict[str, NDArray], Embeddings, Embeddings]:
    return voice.score_tables(side, side), side, side


def test_the_changed_sound_of_a_clip_is_not_matched_with_its_original() -> None:
    one = heard(np.zeros((6, 64)), 4, np.ones(64), 5)  # every clip has a mark of its own, and no speaker has one
    figures = found(attack_voices(one, one))
    assert all(value > 0.25 for (_, _, measure), value in figures.items() if measure == "EER"), figures


def test_three_enrolled_clips_are_stronger_than_one() -> None:
    weak = [heard(np.random.default_rng(seed).normal(size=(6, 8)), 5, np.full(8, 0.9), seed) for seed in range(5)]
    values = [found(voice.score_scenario("lazy", *table_of(side))) for side in weak]
    one, three = (np.mean([v["lazy", f"GE2E{more}", "EER"] for v in values]) for more in ("", " x 3"))
    assert three < one - 0.03


def test_an_adapted_back_end_learns_what_to_look_at() -> None:
    """What tells speakers apart is drowned by what changes from clip to clip."""
    build = np.zeros((6, 30))
    build[:, :3] = np.random.default_rng(4).normal(size=(6, 3)) * 2
    side = heard(build, 4, np.r_[np.full(3, 0.2), np.full(27, 3.0)], 5)
    figures = found(attack_voices(side, side))
    assert figures["lazy", "GE2E", "EER"] > 0.3
    assert figures["adapted", "GE2E", "EER"] < 0.15


def test_the_back_end_never_saw_the_speakers_it_compares(apart: Embeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[tuple[set[str], NDArray]] = []

    def spy(vectors: NDArray, speakers: NDArray) -> tuple[NDArray, NDArray]:
        taught.append((set(speakers), vectors))
        return np.zeros(vectors.shape[1]), np.full(vectors.shape[1], float(len(taught)))

    monkeypatch.setattr(voice, "fit_backend", spy)
    voice.adapted_score_tables(apart)
    left_out = [frozenset(set(NAMES) - seen) for seen, _ in taught]
    expected = {frozenset({a, b}) for a in NAMES for b in NAMES}
    assert set(left_out) == expected
    assert len(left_out) == 2 * len(expected)
    assert all(len(vectors) == 4 * len(seen) for seen, vectors in taught)


def copies_of(build: NDArray, spread: NDArray, seeds: Sequence[int]) -> Embeddings:
    made = [heard(build, 12, spread, seed) for seed in seeds]
    vectors = {name: np.concatenate([m.vectors[name] for m in made]) for name in made[0].vectors}
    return Embeddings(np.concatenate([m.speakers for m in made]), np.concatenate([m.clips for m in made]), vectors)


def test_more_changed_speech_teaches_more() -> None:
    spread, gains = np.r_[np.full(4, 0.8), np.full(36, 2.0)], []
    for seed in range(4):
        build = np.zeros((6, 40))
        build[:, :4] = np.random.default_rng(seed).normal(size=(6, 4)) * 1.5
        side, taught = heard(build, 3, spread, 10 + seed), copies_of(build, spread, [100 + seed, 200 + seed, 300 + seed])
        tables = voice.adapted_score_tables(side), voice.adapted_score_tables(side, taught)
        alone, helped = (found(voice.score_scenario("adapted", table, side, side))["adapted", "GE2E", "EER"] for table in tables)
        gains.append(alone - helped)
    assert np.mean(gains) > 0.03, gains


def test_of_the_two_compared_nothing_more_is_used(apart: Embeddings) -> None:
    two = Embeddings(apart.speakers[:8], apart.clips[:8], {name: v[:8] for name, v in apart.vectors.items()})
    known = copies_of(np.random.default_rng(1).normal(size=(6, 8)), np.ones(8), [7])
    for values in known.vectors.values():
        values[np.isin(known.speakers, two.speakers)] = np.nan  # were it used, no score would be left
    table = voice.adapted_score_tables(two, known)["GE2E"]
    assert np.isfinite(table[:4, 4:]).all()
    assert np.isnan(table[:4, :4]).all()  # two clips of one speaker: the other one may teach


@pytest.mark.parametrize(("speakers", "clips"), [(0, 0), (1, 1), (1, 4), (2, 1), (2, 2), (3, 3), (4, 1)])
def test_too_few_speakers_are_told_and_do_not_fail(speakers: int, clips: int) -> None:
    side = heard(np.random.default_rng(1).normal(size=(speakers, 8)), clips, np.full(8, 0.05), 2)
    rows = attack_voices(side, side)
    assert all(row.score is not None or row.note for row in rows)
    assert rows[-1].scenario == "lowest"
    json.dumps([row.to_row() for row in rows], allow_nan=False)
    assert (rows[-1].score is not None) == (speakers >= 2 and clips >= 2)
    assert any("4 speakers" in row.note for row in rows) == (speakers < 4)
    if clips < 3:
        assert not any(row.score for row in rows if row.measure != "EER")


def test_the_lowest_is_the_lowest_on_changed_voices(apart: Embeddings, noise: Embeddings) -> None:
    rows = attack_voices(apart, noise)
    tried = [r for r in rows[:-1] if r.score and r.measure == "EER" and r.scenario != "original"]
    assert rows[-1].score is not None
    assert rows[-1].score.value == min(r.score.value for r in tried if r.score)
    assert rows[-1].note == f"the lowest of {len(tried)}"
    assert attack_voices(apart, noise) == rows


# ── statistics of a voice ────────────────────────────────────────────────────────────────────────────────────


def buzz(hertz: float, seconds: float = 2.0, seed: int = 1) -> Wave:
    """Pulses through two resonances, and a little noise."""
    from scipy.signal import lfilter

    n = int(16_000 * seconds)
    phase = np.cumsum(np.full(n, hertz / 16_000))
    pulses = np.diff(np.floor(phase), prepend=0)
    poles = [r * np.exp(2j * np.pi * f / 16_000) for r, f in ((0.97, 500), (0.96, 1500))]
    taps = np.poly([*poles, *np.conj(poles)]).real
    return 0.02 * lfilter([1], taps, pulses) + np.random.default_rng(seed).normal(0, 1e-4, n)


@settings(max_examples=30)
@given(st.floats(70, 330))
def test_pitch_is_heard(hertz: float) -> None:
    heard_at, strength = voice_statistics.estimate_f0(buzz(hertz, 0.5))
    assert np.nanmedian(heard_at) == pytest.approx(hertz, rel=0.02)
    assert np.isfinite(heard_at).mean() > 0.9
    assert np.all((strength >= 0) & (strength <= 1))


def test_noise_and_silence_have_no_pitch() -> None:
    assert np.isnan(voice_statistics.estimate_f0(np.random.default_rng(1).normal(size=16_000))[0]).mean() > 0.9
    assert np.isnan(voice_statistics.estimate_f0(np.zeros(8000))[0]).all()


def test_muted_spans_are_no_speech() -> None:
    wave = buzz(120)
    wave[8000:16_000] = 0
    spoken = voice_statistics.find_speech_frames(wave)
    assert spoken.shape == (200,)
    assert not spoken[50:100].any()
    assert spoken[:50].all()
    assert not voice_statistics.find_speech_frames(np.zeros(1600)).any()
    assert voice_statistics.find_speech_frames(np.zeros(5)).shape == (0,)


@settings(max_examples=15)
@given(st.floats(0.01, 5))
def test_statistics_do_not_depend_on_loudness(gain: float) -> None:
    wave = np.concatenate([buzz(120, 1.0), np.random.default_rng(2).normal(0, 1e-5, 6000), buzz(180, 1.0)])
    one, other = voice_statistics.voice_vector(wave), voice_statistics.voice_vector(gain * wave)
    assert one.shape == (71,)
    assert np.isfinite(one).all()
    assert np.allclose(one, other, atol=1e-3)


def test_timing_counts_pauses() -> None:
    quiet = np.random.default_rng(2).normal(0, 1e-6, 8000)
    wave = np.concatenate([buzz(120, 1.0), quiet, buzz(120, 1.0), quiet, buzz(120, 1.0)])
    _, share, rate, mean, _ = voice_statistics.timing_features(wave, voice_statistics.find_speech_frames(wave))
    assert mean == pytest.approx(0.5 - 2 * 0.04, abs=0.02)  # 40 ms at either end still belong to the speech
    assert share == pytest.approx(2 * mean / 4, abs=0.01)
    assert rate == pytest.approx(2 / 4, abs=0.01)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_wer_counts_exchanged_lost_and_added_words() -> None:
    said = ["It's", "the", "well-known", "three:", "3,", "four!"]
    assert voice.normalise_transcript(said) == ["it's", "the", "well", "known", "three", "3", "four"]
    assert word_error_rate(said, ["it’s", "THE", "well", "known", "three", "3", "four"]) == 0
    assert word_error_rate(said, ["it's", "a", "well", "known", "three", "four", "oh"]) == pytest.approx(3 / 7)
    assert word_error_rate(["one"], ["one", "two", "three"]) == 2
    assert word_error_rate(said, []) == 1
    assert np.isnan(word_error_rate(["...", "-"], ["word"]))


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=8), st.lists(st.sampled_from(["a", "b", "c"]), max_size=8))
def test_wer_is_a_distance(one: list[str], other: list[str]) -> None:
    assert word_error_rate(one, one) == 0
    assert abs(len(one) - len(other)) <= word_error_rate(one, other) * len(one) + 1e-9 <= max(len(one), len(other)) + 1e-8


def test_asr_wer_is_over_all_words_and_a_clip_is_lost_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {0.0: "a b c d", 1.0: "a b c x", 2.0: "e f", 3.0: " ".join("no" for _ in range(50)), 4.0: ""}

    def words(net: str, wave: NDArray, language: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(text=word) for word in said[float(wave[0])].split()]

    monkeypatch.setitem(
        __import__("sys").modules, "deemo_data.models.speech.whisper", SimpleNamespace(load=lambda: "net", transcribe=words)
    )
    monkeypatch.setattr("deemo_data.models.speech.whisper", SimpleNamespace(load=lambda: "net", transcribe=words), raising=False)

    def spoken(*codes: int) -> list[Utterance]:
        return [Utterance(f"s{i}", f"c{i}", np.full(3, code, np.float32)) for i, code in enumerate(codes)]

    score = voice.asr_word_error_rate(spoken(1, 3, 0), spoken(0, 2, 4))
    assert score.value == pytest.approx((1 + 2) / 6)
    assert (score.n, score.unit, score.chance) == (2, "clips", None)
    assert voice.asr_word_error_rate(spoken(1, 3, 0), voice.transcribe_utterances(spoken(0, 2, 4))) == score
    assert np.isnan(voice.asr_word_error_rate(spoken(0), spoken(4)).value)


# ── real voices ──────────────────────────────────────────────────────────────────────────────────────────────


def readers(media: Path, speakers: int, clips: int, seconds: float) -> list[Utterance]:
    soundfile = pytest.importorskip("soundfile")
    said = []
    for folder in sorted((media / "audio" / "speakers_librispeech").iterdir())[:speakers]:
        for path in sorted(folder.glob("*.flac"))[:clips]:
            said.append(Utterance(folder.name, path.stem, soundfile.read(path, frames=int(16_000 * seconds), dtype="float32")[0]))
    return said


def changed(said: Sequence[Utterance], low: float, high: float) -> list[Utterance]:
    """With a McAdams coefficient drawn for each clip."""
    from deemo_data.stages.voices.mcadams import apply_mcadams

    draw = np.random.default_rng(5)
    return [Utterance(u.speaker, u.clip, apply_mcadams(u.wave, draw.uniform(low, high)).astype(np.float32)) for u in said]


@pytest.fixture(scope="module")
def encoder() -> None:
    from deemo_data.models.runtime import weights

    try:
        weights.path_of("ge2e-39373b")
    except ModelError as e:
        pytest.skip(e.what)


@pytest.mark.usefixtures("encoder")
def test_real_voices_are_told_apart_and_one_mcadams_for_all_hides_nobody(media: Path) -> None:
    said = readers(media, 4, 3, 4.0)
    before = voice.embed_utterances(said)
    assert before.vectors["GE2E"].shape == (12, 256)
    figures = found(attack_voices(before, changed(said, 0.8, 0.8)))
    for attacker in ("GE2E", "statistics", "fusion"):
        assert figures["original", attacker, "EER"] <= 0.06, attacker
    assert figures["original", "GE2E", "linkability"] == 1
    assert figures["lazy", "GE2E", "EER"] <= 0.06
    assert figures["ignorant", "GE2E", "EER"] >= figures["lazy", "GE2E", "EER"]
    assert min(value for (scenario, _, _), value in figures.items() if scenario == "lowest") <= 0.06


@pytest.mark.usefixtures("encoder")
def test_silence_is_left_out(media: Path) -> None:
    said = readers(media, 1, 2, 2.0)
    mute = [Utterance("m", "m-1", np.zeros(32_000, np.float32)), Utterance("m", "m-2", np.zeros(0, np.float32))]
    assert voice.embed_utterances([*said, *mute]).clips.tolist() == [u.clip for u in said]


def test_melody_of_an_unchanged_voice_is_kept(media: Path) -> None:
    said = readers(media, 3, 1, 3.0)
    same = voice.prosody_correlations(said, said)
    assert [score.value for score in same.values()] == pytest.approx([1, 1])
    other = voice.prosody_correlations([Utterance(u.speaker, u.clip, u.wave[::-1]) for u in said], said)
    assert all(score.value < 0.5 for score in other.values())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("encoder")
def test_the_figures_are_near_those_that_were_measured_before(media: Path) -> None:
    """Six readers, four clips of 6 s: McAdams 0.8 for all, U(.5, .9) per clip, and white noise."""
    said = readers(media, 6, 4, 6.0)
    before = voice.embed_utterances(said)
    same = found(attack_voices(before, changed(said, 0.8, 0.8)))
    assert same["lazy", "GE2E", "EER"] < 0.03
    assert same["ignorant", "GE2E", "EER"] == pytest.approx(0.15, abs=0.1)
    each = found(attack_voices(before, changed(said, 0.5, 0.9)))
    assert each["lazy", "GE2E", "EER"] == pytest.approx(0.316, abs=0.12)
    assert each["adapted", "statistics", "EER"] < each["lazy", "statistics", "EER"]
    assert min(v for (s, _, m), v in each.items() if s == "lowest") < 0.16
    draw = np.random.default_rng(5)
    rows = attack_voices(
        before, [Utterance(u.speaker, u.clip, draw.normal(0, 0.05, len(u.wave)).astype(np.float32)) for u in said]
    )
    values = [r.score.value for r in rows if r.score and r.measure == "EER" and r.scenario not in ("original", "lowest")]
    assert np.mean(values) == pytest.approx(0.5, abs=0.08)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whisper_loses_words_with_mcadams_and_none_without(media: Path) -> None:
    from deemo_data.models.speech import whisper

    try:
        whisper.load()
    except ModelError as e:
        pytest.skip(e.what)
    said = readers(media, 6, 2, 6.0)
    words = voice.transcribe_utterances(said)
    assert voice.asr_word_error_rate(said, words).value == 0
    assert 0.05 < voice.asr_word_error_rate(changed(said, 0.5, 0.9), words).value < 0.9
