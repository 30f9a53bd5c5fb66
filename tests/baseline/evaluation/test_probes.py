"""Baselines: each says what it should where the answer is known; and the figures that probes are shown are what they claim."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deemo_data.baseline.checks import features
from deemo_data.baseline.checks.features import Summaries
from deemo_data.baseline.evaluation import probes
from tests.makers.probe_examples import example

EMOTIONS = ("happy", "sad", "angry")


def known(signal: float = 2.0, words: bool = True, people: int = 12, each: int = 8, seed: int = 0) -> probes.Known:
    """Two thirds of the people are learned from; body and words tell the emotion, as far as asked for."""
    rng = np.random.default_rng(seed)
    means, rows, body = rng.standard_normal((3, 10)), [], []
    for s in range(people):
        for n in range(each):
            e = (s + n) % 3
            text = ["a fine day", "a grey day", "an awful day"][e] if words else "one day"
            rows.append(example(f"c-{s}-{n}", f"s-{s}", EMOTIONS[e], "train" if s < people * 2 // 3 else "test", text))
            body.append(rng.standard_normal(10) + signal * means[e])
    summaries = Summaries(np.array(body), rng.standard_normal((len(rows), 6)), {}, tuple(e.transcript for e in rows))
    learn = np.array([k for k, e in enumerate(rows) if e.split == "train"])
    return probes.Known(rows, summaries, EMOTIONS, learn, np.setdiff1d(np.arange(len(rows)), learn))


def accuracy(made: probes.Known, name: str, seed: int = 0) -> float:
    found = probes.answers(name, made, seed)
    assert [a.clip_id for a in found] == [made.examples[k].clip_id for k in made.ask]
    for a in found:
        assert a.probabilities is not None
        assert list(a.probabilities) == list(EMOTIONS)
        assert sum(a.probabilities.values()) == pytest.approx(1)
        assert a.emotion == max(a.probabilities, key=a.probabilities.__getitem__)
    truth = [made.examples[k].emotion for k in made.ask]
    return float(np.mean([a.emotion == t for a, t in zip(found, truth, strict=True)]))


def test_each_baseline_says_what_it_knows() -> None:
    made = known()
    assert accuracy(made, "majority") == pytest.approx(1 / 3, abs=0.05)
    assert accuracy(made, "plain probe") > 0.9
    assert accuracy(made, "transcript only") > 0.9
    assert accuracy(made, "oracle") == 1
    assert np.mean([accuracy(made, "label-shuffled", seed) for seed in range(5)]) < 0.6


def test_nothing_is_learned_where_there_is_nothing() -> None:
    made = known(signal=0.0, words=False, people=18, each=12)
    assert accuracy(made, "plain probe") < 0.55
    assert accuracy(made, "transcript only") < 0.55


def test_the_majority_is_that_of_the_train_split() -> None:
    made = known()
    rows = [example(e.clip_id, e.subject_id, "sad" if e.split == "train" else "angry", e.split) for e in made.examples]
    one = probes.Known(rows, made.summaries, EMOTIONS, made.learn, made.ask)
    for name in ("majority", "plain probe", "transcript only", "label-shuffled"):
        found = probes.answers(name, one, 0)
        assert {a.emotion for a in found} == {"sad"}, name
        assert found[0].probabilities == {"happy": 0.0, "sad": 1.0, "angry": 0.0}


def test_the_oracle_has_the_reasons_of_annotators() -> None:
    found = probes.answers("oracle", known(), 0)[0]
    assert found.clues == {"video": f"looks {found.emotion}", "audio": "", "text": ""}
    assert found.reasoning == f"So the person is {found.emotion}."


def test_labels_are_shuffled_among_those_learned_from() -> None:
    made = known()
    once, again, other = (probes.shuffled(made, seed) for seed in (1, 1, 2))
    assert once == again != other
    assert Counter(once) == Counter(made.labels)
    assert once != made.labels


def test_transcripts_without_words_fall_back_to_the_majority() -> None:
    made = known()
    mute = Summaries(made.summaries.body, made.summaries.voice, {}, ("",) * len(made.examples))
    silent = probes.Known(made.examples, mute, EMOTIONS, made.learn, made.ask)
    assert probes.answers("transcript only", silent, 0) == probes.answers("majority", silent, 0)


def test_scored_clips_do_not_change_what_is_learned() -> None:
    """Other test clips beside it: a clip's answer stays the same."""
    made = known()
    fewer = probes.Known(made.examples, made.summaries, EMOTIONS, made.learn, made.ask[:3])
    for name in ("plain probe", "transcript only"):
        assert probes.answers(name, fewer, 0) == probes.answers(name, made, 0)[:3]


@pytest.mark.parametrize("people", [1, 2])
def test_one_or_two_people_are_enough_to_run(people: int) -> None:
    made = known(people=people + 1)
    learn = np.array([k for k, e in enumerate(made.examples) if e.subject_id != f"s-{people}"])
    few = probes.Known(made.examples, made.summaries, EMOTIONS, learn, np.setdiff1d(np.arange(len(made.examples)), learn))
    for name in probes.BASELINES:
        assert len(probes.answers(name, few, 0)) == 8


def test_a_baseline_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="none of"):
        probes.answers("clever", known(), 0)


# What a clip is like


def body_of(frames: int = 60, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    """A person who stands: (frames, 64, 4), every point found."""
    rng = np.random.default_rng(7)
    rest = rng.standard_normal((64, 3))
    points = np.tile(rest * scale, (frames, 1, 1)) + 0.01 * np.random.default_rng(seed).standard_normal((frames, 64, 3))
    return np.concatenate([points, np.ones((frames, 64, 1))], axis=-1).astype(np.float32)


def test_limbs_are_the_distances_between_their_ends() -> None:
    body = body_of()
    found = features.limbs(body)
    pairs = len(features.BONES) + 2 * 20
    assert found.shape == (2 * pairs,)
    shoulders = np.median(np.linalg.norm(body[:, 0, :3] - body[:, 1, :3], axis=1))
    assert found[0] == pytest.approx(shoulders, rel=1e-5)
    flat = np.median(np.linalg.norm(body[:, 0, :2] - body[:, 1, :2], axis=1))
    assert found[pairs] == pytest.approx(flat, rel=1e-5)
    assert np.allclose(features.limbs(body_of(scale=2.0)), 2 * found, rtol=0.05)


def test_limbs_do_not_depend_on_where_somebody_is() -> None:
    body = body_of()
    moved = body.copy()
    moved[..., :3] += (3, -2, 1)
    assert np.allclose(features.limbs(moved), features.limbs(body), atol=1e-5)
    assert not np.allclose(features.postures(moved), features.postures(body))


def test_points_that_were_not_found_count_for_nothing() -> None:
    body = body_of()
    body[10:20, 4] = 0
    wanted = body[np.r_[0:10, 20:60], 4, :3].mean(axis=0)
    assert np.allclose(features.postures(body)[4 * 3 : 5 * 3], wanted, atol=1e-5)
    gone = body_of()
    gone[:, 22:] = 0
    assert np.isnan(features.postures(gone)[22 * 3 : 64 * 3]).all()
    assert features.postures(gone)[-2:].tolist() == [0, 0]
    assert np.isfinite(features.movement(gone, 25.0)).any()


@pytest.mark.parametrize(("hertz", "band"), [(0.4, 0), (1.0, 1), (2.0, 2), (4.0, 3)])
def test_what_sways_and_what_trembles_is_told_apart(hertz: float, band: int) -> None:
    t = np.arange(250) / 25
    power = features.bands(np.sin(2 * np.pi * hertz * t)[:, None], 25.0)
    assert power.argmax() == band
    assert np.allclose(features.bands(np.sin(2 * np.pi * hertz * np.arange(500) / 50)[:, None], 50.0), power, atol=1.0)


def test_a_voice_that_rises_is_told_from_one_that_falls() -> None:
    t = np.linspace(-1, 1, 300)
    rising = np.stack([4 * t, np.zeros(300), np.ones(300), np.full(300, 4.0)], axis=1)
    falling = rising * (-1, 1, 1, 1)
    up, down = features.courses(rising).reshape(features.WAVES, 4), features.courses(falling).reshape(features.WAVES, 4)
    assert up[0, 0] < -1
    assert np.allclose(up[:, 0], -down[:, 0])
    assert np.allclose(features.voice_statistics(rising)[0], features.voice_statistics(falling)[0])


def test_pauses_are_counted() -> None:
    voiced = np.ones(400)
    for at in (50, 150, 250):
        voiced[at : at + 20] = 0
    voice = np.stack([np.zeros(400), np.zeros(400), voiced, np.zeros(400)], axis=1)
    *_, share, _, breaks = features.voice_statistics(voice)
    assert share == pytest.approx(0.85)
    assert breaks == pytest.approx(3 / 4)


@given(st.integers(0, 40), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_short_and_empty_clips_have_rows_of_one_width(frames: int, seed: int) -> None:
    body, voice = body_of(max(frames, 1), seed=seed), np.random.default_rng(seed).standard_normal((frames, 4))
    usual = body_of(60)
    assert features.postures(body).shape == features.postures(usual).shape
    assert features.limbs(body).shape == features.limbs(usual).shape
    assert features.movement(body, 25.0).shape == features.movement(usual, 25.0).shape
    assert features.voice_statistics(voice).shape == features.voice_statistics(np.zeros((50, 4))).shape
    assert features.courses(voice).shape == features.courses(np.zeros((50, 4))).shape
    assert features.filtered(voice, features._filters()[1]).shape == (2 * features.FILTERS * len(features.STEPS),)


def test_untrained_filters_are_always_the_same_and_see_each_shift_alike() -> None:
    filters = features._filters()[1]
    assert all(np.array_equal(a, b) for a, b in zip(features._filters(), features._filters(), strict=True))
    curve = np.zeros((200, 4))
    curve[60:90, 0] = 3
    seen, shifted = features.filtered(curve, filters), features.filtered(np.roll(curve, 40, axis=0), filters)
    assert np.allclose(seen, shifted)
    assert not np.allclose(seen, features.filtered(-curve, filters))


def test_colours_of_cells() -> None:
    frames = np.zeros((2, 32, 32, 3), np.float32)
    frames[:, :8, :8, 0] = 1
    found = features.colours(frames)
    assert found[0] == pytest.approx(1)
    assert found[1:48].sum() == pytest.approx(0)
    assert found[48:96].sum() == pytest.approx(0)
    assert (found[96:] > 0).all()


def test_patches_are_cut_where_they_lie() -> None:
    frames = np.random.default_rng(0).random((2, 32, 32, 3))
    patches = features._patches(frames)
    assert patches.shape == (32, 192)
    assert np.array_equal(patches[5].reshape(8, 8, 3), frames[0, 8:16, 8:16])


def test_what_is_unknown_is_the_mean_of_the_others() -> None:
    table = features._filled(np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]]))
    assert table.tolist() == [[1, 0], [3, 0], [2, 0]]
