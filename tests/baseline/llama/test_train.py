"""Training and its answers: exact resume, likelihoods, free answers; slowly, whether planted cues are learnt, and only they."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.makers.planted import half_of, write_planted_dataset

torch = pytest.importorskip("torch")

from deemo_data.baseline.answers import Answer  # noqa: E402
from deemo_data.baseline.data import Dataset, Example, load_dataset  # noqa: E402
from deemo_data.baseline.llama.batch import Question  # noqa: E402
from deemo_data.baseline.llama.predict import (  # noqa: E402
    ModelBundle,
    collect_trainable_tensors,
    emotion_probabilities,
    encode_clips,
    generate_answers,
    label_log_likelihoods,
    make_untrained_model,
    open_model,
    score_emotions,
)
from deemo_data.baseline.llama.presets import LLAMA_8B, MODALITIES, TINY  # noqa: E402
from deemo_data.baseline.llama.train import CHECKPOINT_FILE, learning_rate_at, train_model  # noqa: E402
from deemo_data.errors import DatasetError, ModelError  # noqa: E402
from deemo_data.pipeline.run import Watcher  # noqa: E402
from tests.makers.tiny_model import SMALL, save_pretrained_parts  # noqa: E402

QUICK = replace(SMALL, batch=4, at_once=2, every=2, epochs=2)  # 12 clips: 3 steps an epoch, each of two halves


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_planted_dataset(tmp_path_factory.mktemp("planted"), 6, 4, seed=3, validation=1 / 6, test=2 / 6))


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_model(dataset, QUICK, 7, tmp_path_factory.mktemp("trained") / "model")


def stopping(after: int) -> Watcher:
    """One that stops the run after so many steps, as Ctrl-C would."""
    seen = []

    def clip(stage: str) -> None:
        if stage.startswith("Train"):
            seen.append(stage)
        if len(seen) == after:
            raise KeyboardInterrupt

    return Watcher(on_clip=clip)


@pytest.mark.parametrize("stops", [(1,), (2, 3), (3,), (5,)], ids=str)
def test_a_run_that_goes_on_is_the_run_that_never_stopped(
    dataset: Dataset, trained: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    """Stopped before a checkpoint, in an epoch, at its end, and twice."""
    out = tmp_path / "model"
    for after in stops:
        with pytest.raises(KeyboardInterrupt):
            train_model(dataset, QUICK, 7, out, watcher=stopping(after))
        assert not (out / "model.json").exists()
    torch.manual_seed(99)  # what others drew meanwhile
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    try:
        train_model(dataset, QUICK, 7, out)
    finally:
        torch.set_num_threads(threads)
    assert (out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert (out / "model.json").read_bytes() == (trained / "model.json").read_bytes()
    assert sorted(p.name for p in out.iterdir()) == ["model.json", "model.safetensors"]


def test_resuming_really_begins_where_it_was_stopped(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_model(dataset, QUICK, 7, tmp_path, watcher=stopping(4))
    begun: list[tuple[str, int, int]] = []
    train_model(dataset, QUICK, 7, tmp_path, watcher=Watcher(on_stage=lambda *told: begun.append(told)))
    assert begun[-1] == ("Train tiny 7", 6, 4)


def test_what_is_trained_is_not_trained_again(dataset: Dataset, trained: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in trained.iterdir()}
    assert train_model(dataset, QUICK, 7, trained, watcher=stopping(1)) == trained
    assert {p: p.stat().st_mtime_ns for p in trained.iterdir()} == before


@pytest.mark.parametrize("what", ["seed", "preset", "labels", "modalities"])
def test_another_plan_begins_anew(dataset: Dataset, tmp_path: Path, what: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_model(dataset, QUICK, 7, tmp_path, watcher=stopping(2))
    swapped = [replace(e, emotion="sad" if e.emotion == "happy" else "happy") for e in dataset.examples]
    args: dict[str, Any] = {"dataset": dataset, "preset": QUICK, "seed": 7, "out": tmp_path} | {
        "seed": {"seed": 8}, "preset": {"preset": replace(QUICK, rate=1e-4)}, "modalities": {"modalities": ("body", "text")},
        "labels": {"dataset": replace(dataset, examples=tuple(swapped))},
    }[what]  # fmt: skip
    begun: list[tuple[str, int, int]] = []

    def stage(*told: Any) -> None:
        begun.append(told)
        if told[0].startswith("Train"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(**args, watcher=Watcher(on_stage=stage))
    assert begun[-1][2] == 0


def test_a_model_of_another_plan_does_not_stay(dataset: Dataset, tmp_path: Path) -> None:
    """Old words beside new weights would be a model that nobody trained."""
    train_model(dataset, replace(QUICK, epochs=1), 7, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train_model(dataset, QUICK, 7, tmp_path, watcher=stopping(1))
    with pytest.raises(ModelError, match="no trained model"):
        open_model(tmp_path)


def test_a_damaged_checkpoint_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00 nothing")
    with pytest.raises(ModelError, match=r"the checkpoint .*training.safetensors is damaged"):
        train_model(dataset, QUICK, 7, tmp_path)


def test_what_is_written_about_a_model(trained: Path, dataset: Dataset) -> None:
    said = json.loads((trained / "model.json").read_text())
    assert (said["seed"], said["preset"]["name"], said["modalities"]) == (7, "tiny", list(MODALITIES))
    assert said["labels"] == ["happy", "sad", "angry", "anxious"]
    assert len(said["losses"]) == 6
    assert len(said["epochs"]) == 2
    assert said["chosen_by"] == "accuracy on the validation subjects"
    best = max(range(2), key=lambda k: (said["epochs"][k]["accuracy"], -said["epochs"][k]["log_loss"]))
    assert said["best_epoch"] == best
    assert set(said["versions"]) == {"torch", "transformers", "peft", "accelerate"}
    assert said["parameters"] == said["trained_parameters"]


def test_a_model_comes_back_as_it_was(dataset: Dataset, trained: Path, tmp_path: Path) -> None:
    one, other = open_model(trained), open_model(trained)
    assert collect_trainable_tensors(one.model).keys() == collect_trainable_tensors(other.model).keys()
    clips = dataset.in_split("validation")
    said = json.loads((trained / "model.json").read_text())
    shares = emotion_probabilities(one, clips, one.reader.read_clips(clips))
    right = np.mean([one.labels[k] == e.emotion for k, e in zip(shares.argmax(axis=1), clips, strict=True)])
    assert right == said["epochs"][said["best_epoch"]]["accuracy"], "the best epoch is what was kept"
    with pytest.raises(ModelError, match="holds no trained model that can be read"):
        open_model(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(said | {"format": 99}))
    with pytest.raises(ModelError, match="of format 99"):
        open_model(tmp_path)


def test_without_validation_the_last_epoch_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    bare = replace(dataset, examples=tuple(e for e in dataset.examples if e.split != "validation"))
    said = json.loads((train_model(bare, QUICK, 0, tmp_path) / "model.json").read_text())
    assert (said["best_epoch"], said["chosen_by"][:7]) == (1, "nothing")


def test_nothing_to_train_on(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no training clip with an emotion"):
        train_model(replace(dataset, examples=dataset.in_split("test")), QUICK, 0, tmp_path)
    with pytest.raises(ModelError, match=r"there is no modality 'smell'. Modalities: video, audio, body, text"):
        train_model(dataset, QUICK, 0, tmp_path, ("smell",))


def test_a_large_preset_begins_nothing_without_a_gpu(dataset: Dataset, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelError, match="llama-8b needs a GPU"):
        train_model(dataset, LLAMA_8B, 0, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_adapters_are_trained_saved_and_resumed(dataset: Dataset, tmp_path: Path) -> None:
    """Of a pretrained base nothing is in the model's folder, and it stays as it was."""
    preset = save_pretrained_parts(tmp_path, dataset, checkpointing=True)
    before = {p: p.read_bytes() for p in (tmp_path / "base").iterdir()}
    whole = train_model(dataset, preset, 0, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_model(dataset, replace(preset, every=1), 0, tmp_path / "stopped", watcher=stopping(2))
    train_model(dataset, replace(preset, every=1), 0, tmp_path / "stopped")
    assert (tmp_path / "stopped/model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert {p: p.read_bytes() for p in (tmp_path / "base").iterdir()} == before
    said = json.loads((whole / "model.json").read_text())
    assert said["trained_parameters"] < said["parameters"]
    bundle = open_model(whole)
    assert not any("embed_tokens" in n for n in collect_trainable_tensors(bundle.model))
    assert len(score_emotions(bundle, dataset.in_split("test")[:3])) == 3
    assert len(generate_answers(bundle, dataset.in_split("test")[:1])) == 1


def test_probabilities_of_labels(dataset: Dataset, trained: Path) -> None:
    found = score_emotions(open_model(trained), dataset.in_split("test"))
    for a, e in zip(found, dataset.in_split("test"), strict=True):
        assert isinstance(a, Answer)
        assert a.clip_id == e.clip_id
        assert a.probabilities is not None
        assert sum(a.probabilities.values()) == pytest.approx(1)
        assert a.emotion == max(a.probabilities, key=a.probabilities.__getitem__)


def whole(bundle: ModelBundle, e: Example, label: str, blank: bool) -> float:
    """The log-likelihood of a label, by reading question and answer at once, over the number of its tokens."""
    ids = bundle.reader.tokenizer.encode_answer(label)
    batch = bundle.reader.make_batch(
        [e], [bundle.reader.read_clip(e)], [Question(0, bundle.reader.encode_prompt(e, e.instruction, blank), ids, blank)]
    )
    with torch.inference_mode():
        tokens, _ = bundle.model.encode(batch)
        first, there = bundle.model.embed_prefix(batch, tokens)
        inputs = torch.cat([first, bundle.model.embed(batch.ids)], dim=1)
        logits = bundle.model.compute_logits(inputs, torch.cat([there, batch.ids_mask], dim=1), len(ids) + 1)[0, :-1]
        chosen = logits.log_softmax(dim=-1).gather(1, torch.tensor(ids)[:, None])
    return float(chosen.sum()) / (len(ids) - 1)


def test_likelihoods_are_those_of_the_whole_answer(dataset: Dataset, trained: Path) -> None:
    """Labels of one and of several tokens, clips together and alone, against a question without a clip."""
    bundle = replace(open_model(trained), labels=("happy", "disappointed", "let down and tired"))
    lengths = [len(bundle.reader.tokenizer.encode_answer(x)) - 1 for x in bundle.labels]
    assert lengths[0] == 1 < lengths[2]
    clips = dataset.in_split("test")[:5]
    inputs = bundle.reader.read_clips(clips)
    questions = [Question(k, bundle.reader.encode_prompt(e, e.instruction), []) for k, e in enumerate(clips)]
    with torch.inference_mode():
        rows = label_log_likelihoods(bundle, bundle.reader.make_batch(clips, list(inputs.values()), questions))
    wanted = np.array([[whole(bundle, e, label, False) for label in bundle.labels] for e in clips])
    assert np.allclose(rows.numpy(), wanted, atol=1e-4)
    free = np.array([[whole(bundle, e, label, True) for label in bundle.labels] for e in clips])
    shares = np.exp(wanted - free)
    assert np.allclose(emotion_probabilities(bundle, clips, inputs), shares / shares.sum(axis=1, keepdims=True), atol=1e-4)


def test_free_answers_are_the_likeliest_tokens(dataset: Dataset, trained: Path) -> None:
    bundle = open_model(trained)
    clips = dataset.in_split("test")[:3]
    found = generate_answers(bundle, clips)
    e = clips[1]
    batch = bundle.reader.make_batch(
        [e], [bundle.reader.read_clip(e)], [Question(0, bundle.reader.encode_prompt(e, e.reasoning_instruction), [])]
    )
    written: list[int] = []
    with torch.inference_mode():
        tokens, _ = bundle.model.encode(batch)
        first, there = bundle.model.embed_prefix(batch, tokens)
        inputs = torch.cat([first, bundle.model.embed(batch.ids)], dim=1)
        there = torch.cat([there, batch.ids_mask], dim=1)
        while len(written) < 20:
            written.append(int(bundle.model.compute_logits(inputs, there, 1)[0, -1].argmax()))
            inputs = torch.cat([inputs, bundle.model.embed(torch.tensor([written[-1:]]))], dim=1)
            there = torch.cat([there, torch.ones(1, 1, dtype=torch.bool)], dim=1)
    if bundle.reader.tokenizer.end_id in written:
        written = written[: written.index(bundle.reader.tokenizer.end_id)]
    assert found[1].reasoning.startswith(bundle.reader.tokenizer.decode(written))
    assert [a.clip_id for a in found] == [e.clip_id for e in clips]


def test_features_of_trained_and_untrained_encoders(dataset: Dataset, trained: Path) -> None:
    clips = dataset.in_split("test")
    one = encode_clips(make_untrained_model(dataset, QUICK, 1), clips)
    assert one.shape == (len(clips), 3 * 48)
    assert np.array_equal(one, encode_clips(make_untrained_model(dataset, QUICK, 1), clips))
    assert not np.allclose(one, encode_clips(make_untrained_model(dataset, QUICK, 2), clips))
    assert np.isfinite(encode_clips(open_model(trained), clips)).all()
    assert encode_clips(make_untrained_model(dataset, QUICK, 1, ("body",)), clips[:1]).shape == (1, 48)


@given(st.floats(0, 1))
def test_the_learning_rate_goes_up_and_down_once(progress: float) -> None:
    assert 0 < learning_rate_at(TINY, progress) <= TINY.rate
    assert learning_rate_at(TINY, TINY.warm) == pytest.approx(TINY.rate)
    if progress + 0.01 < TINY.warm:
        assert learning_rate_at(TINY, progress) < learning_rate_at(TINY, progress + 0.01)
    if TINY.warm < progress < 0.99:
        assert learning_rate_at(TINY, progress) > learning_rate_at(TINY, progress + 0.01)


# ClipPlan cues, with the frame encoder: minutes each.

CHANCE = 1 / 4


@pytest.fixture(scope="module")
def cues(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """30 test subjects whom nobody has seen before, 8 for validation, 34 for training; 14 clips each, 4 emotions."""
    return load_dataset(write_planted_dataset(tmp_path_factory.mktemp("cues")))


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    """What was said about clips, given to other clips of the split: label, answers, clues and events together."""
    rng, found = np.random.default_rng(seed), []
    said = ("emotion", "sentiment", "emotion_words", "clues", "reasoning", "reasoning_instruction", "events", "events_annotated")
    for split in ("train", "validation", "test"):
        clips = dataset.in_split(split)
        for e, k in zip(clips, rng.permutation(len(clips)), strict=True):
            found.append(replace(e, **{name: getattr(clips[k], name) for name in said}))
    return replace(dataset, examples=tuple(found))


def outcome(dataset: Dataset, out: Path, seed: int, modalities: tuple[str, ...] = MODALITIES) -> dict[str, list[Any]]:
    """Half -> (subject, right) of each test clip, by likelihood. At most 8 minutes of CPU time, on whatever cores."""
    before = time.process_time()
    bundle = open_model(train_model(dataset, TINY, seed, out, modalities))
    assert time.process_time() - before < 480
    clips = dataset.in_split("test")
    found: dict[str, list[Any]] = {"body": [], "voice": []}
    for a, e in zip(score_emotions(bundle, clips), clips, strict=True):
        found[half_of(e.clip_id, dataset.folder)].append((e.subject_id, a.emotion == e.emotion))
    return found


def accuracy(rows: Sequence[tuple[str, bool]]) -> float:
    return float(np.mean([right for _, right in rows]))


def interval(rows: Sequence[tuple[str, bool]]) -> tuple[float, float]:
    """95 % of the accuracy, subjects drawn again and again."""
    people = sorted({s for s, _ in rows})
    right = {p: [r for s, r in rows if s == p] for p in people}
    rng = np.random.default_rng(0)
    drawn = [np.concatenate([right[people[k]] for k in rng.integers(0, len(people), len(people))]).mean() for _ in range(2000)]
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_planted_cues_are_learnt(cues: Dataset, tmp_path: Path) -> None:
    assert len({e.subject_id for e in cues.in_split("test")}) == 30
    for seed in range(3):
        rows = [r for half in outcome(cues, tmp_path / str(seed), seed).values() for r in half]
        assert accuracy(rows) >= 0.9, seed
        assert interval(rows)[0] > 0.85, seed


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("without", "half", "other"), [("body", "body", "voice"), ("audio", "voice", "body")])
def test_without_a_modality_its_half_is_chance(cues: Dataset, tmp_path: Path, without: str, half: str, other: str) -> None:
    found = outcome(cues, tmp_path, 0, tuple(m for m in MODALITIES if m != without))
    low, high = interval(found[half])
    assert low <= CHANCE <= high
    assert accuracy(found[other]) >= 0.9


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_of_what_is_shuffled_nothing_is_learnt(cues: Dataset, tmp_path: Path) -> None:
    found = outcome(shuffled(cues, 1), tmp_path, 0)
    low, high = interval([r for half in found.values() for r in half])
    assert low <= CHANCE <= high
