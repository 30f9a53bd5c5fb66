"""Baselines: each says what it should where the answer is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from deemo_data.baseline.checks.features import FeatureTables
from deemo_data.baseline.evaluation import baselines
from tests.makers.probe_examples import make_example

EMOTIONS = ("happy", "sad", "angry")


def known(signal: float = 2.0, words: bool = True, people: int = 12, each: int = 8, seed: int = 0) -> baselines.BaselineTask:
    """Two thirds of the people are learned from; body and words tell the emotion, as far as asked for."""
    rng = np.random.default_rng(seed)
    means, rows, body = rng.standard_normal((3, 10)), [], []
    for s in range(people):
        for n in range(each):
            e = (s + n) % 3
            text = ["a fine day", "a grey day", "an awful day"][e] if words else "one day"
            rows.append(make_example(f"c-{s}-{n}", f"s-{s}", EMOTIONS[e], "train" if s < people * 2 // 3 else "test", text))
            body.append(rng.standard_normal(10) + signal * means[e])
    summaries = FeatureTables(np.array(body), rng.standard_normal((len(rows), 6)), {}, tuple(e.transcript for e in rows))
    learn = np.array([k for k, e in enumerate(rows) if e.split == "train"])
    return baselines.BaselineTask(rows, summaries, EMOTIONS, learn, np.setdiff1d(np.arange(len(rows)), learn))


def accuracy(made: baselines.BaselineTask, name: str, seed: int = 0) -> float:
    found = baselines.answer_by_baseline(name, made, seed)
    assert [a.clip_id for a in found] == [made.examples[k].clip_id for k in made.scored]
    for a in found:
        assert a.probabilities is not None
        assert list(a.probabilities) == list(EMOTIONS)
        assert sum(a.probabilities.values()) == pytest.approx(1)
        assert a.emotion == max(a.probabilities, key=a.probabilities.__getitem__)
    truth = [made.examples[k].emotion for k in made.scored]
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
    rows = [make_example(e.clip_id, e.subject_id, "sad" if e.split == "train" else "angry", e.split) for e in made.examples]
    one = baselines.BaselineTask(rows, made.features, EMOTIONS, made.train, made.scored)
    for name in ("majority", "plain probe", "transcript only", "label-shuffled"):
        found = baselines.answer_by_baseline(name, one, 0)
        assert {a.emotion for a in found} == {"sad"}, name
        assert found[0].probabilities == {"happy": 0.0, "sad": 1.0, "angry": 0.0}


def test_the_oracle_has_the_reasons_of_annotators() -> None:
    found = baselines.answer_by_baseline("oracle", known(), 0)[0]
    assert found.clues == {"video": f"looks {found.emotion}", "audio": "", "text": ""}
    assert found.reasoning == f"So the person is {found.emotion}."


def test_labels_are_shuffled_among_those_learned_from() -> None:
    made = known()
    once, again, other = (baselines.shuffle_labels(made, seed) for seed in (1, 1, 2))
    assert once == again != other
    assert Counter(once) == Counter(made.labels)
    assert once != made.labels


def test_transcripts_without_words_fall_back_to_the_majority() -> None:
    made = known()
    mute = FeatureTables(made.features.body, made.features.voice, {}, ("",) * len(made.examples))
    silent = baselines.BaselineTask(made.examples, mute, EMOTIONS, made.train, made.scored)
    assert baselines.answer_by_baseline("transcript only", silent, 0) == baselines.answer_by_baseline("majority", silent, 0)


def test_scored_clips_do_not_change_what_is_learned() -> None:
    """Other test clips beside it: a clip's answer stays the same."""
    made = known()
    fewer = baselines.BaselineTask(made.examples, made.features, EMOTIONS, made.train, made.scored[:3])
    for name in ("plain probe", "transcript only"):
        assert baselines.answer_by_baseline(name, fewer, 0) == baselines.answer_by_baseline(name, made, 0)[:3]


@pytest.mark.parametrize("people", [1, 2])
def test_one_or_two_people_are_enough_to_run(people: int) -> None:
    made = known(people=people + 1)
    learn = np.array([k for k, e in enumerate(made.examples) if e.subject_id != f"s-{people}"])
    few = baselines.BaselineTask(
        made.examples, made.features, EMOTIONS, learn, np.setdiff1d(np.arange(len(made.examples)), learn)
    )
    for name in baselines.BASELINES:
        assert len(baselines.answer_by_baseline(name, few, 0)) == 8


def test_a_baseline_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="none of"):
        baselines.answer_by_baseline("clever", known(), 0)
