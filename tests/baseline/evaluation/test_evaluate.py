"""A whole evaluation of datasets that the exporter wrote: what it writes, what it says of little data, and what it finds."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.baseline import answers, data
from deemo_data.baseline.answers import Answer
from deemo_data.baseline.checks import run as checks_run
from deemo_data.baseline.evaluation import evaluate
from deemo_data.baseline.evaluation.plan import INSTALL_COMMAND, plan_evaluation
from deemo_data.baseline.evaluation.settings import Settings
from deemo_data.baseline.scoring import judge
from deemo_data.errors import ConfigError, DatasetError, ModelError
from deemo_data.pipeline.run import Watcher
from deemo_data.reports import evaluation
from tests.makers.planted import write_planted_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted_dataset(
        tmp_path_factory.mktemp("small"), subjects=6, clips_per_subject=4, seed=1, validation=0.17, test=0.34
    )


@pytest.fixture
def without_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_run, "run_checks", lambda material, done: [])


@pytest.fixture(scope="module")
def result(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, list[str]]:
    out, seen = tmp_path_factory.mktemp("out"), []
    watcher = Watcher(on_stage=lambda stage, clips, done: seen.append(stage))
    return evaluate.evaluate(dataset, out, Settings(), watcher), out, seen


def test_everything_is_written(result: tuple[dict[str, Any], Path, list[str]], dataset: Path) -> None:
    measured, out, stages = result
    assert {p.name for p in out.iterdir()} == {"evaluation.json", "evaluation.html"}
    text = (out / "evaluation.json").read_text("utf-8")
    assert json.loads(text) == json.loads(json.dumps(measured))
    assert str(dataset) not in text
    assert str(out) not in text
    assert stages == ["Read clips", "Baselines", "Checks"]
    assert measured["dataset"]["digest"] == hashlib.sha256((dataset / "deemo.json").read_bytes()).hexdigest()
    assert measured["dataset"]["version"] == "1.0.0"
    assert measured["dataset"]["clips"] == sum(s["clips"] for s in measured["dataset"]["splits"].values()) == 24
    assert measured["scored"] == {"clips": 8, "subjects": 2, "split": "test"}
    assert measured["versions"]["numpy"] == np.__version__
    assert [c["name"] for c in measured["checks"]] == list(checks_run.CHECKS)
    assert (out / "evaluation.html").read_text("utf-8") == evaluation.render_page(measured)


def test_baselines_stand_beside(result: tuple[dict[str, Any], Path, list[str]]) -> None:
    lines = {r["name"]: r for r in result[0]["models"]}
    assert list(lines) == ["majority", "transcript only", "plain probe", "label-shuffled", "oracle"]
    assert lines["oracle"]["recognition"]["accuracy"]["value"] == 1
    assert lines["oracle"]["reasoning"]["clue_words"]["all"]["value"] == 1
    assert lines["majority"]["above_majority"]["value"] == 0
    assert all(r["recognition"]["seeds"] == 3 for r in lines.values())


@pytest.mark.slow
def test_the_same_again_says_the_same(result: tuple[dict[str, Any], Path, list[str]], dataset: Path, tmp_path: Path) -> None:
    def lasting(measured: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in measured.items() if k not in ("seconds", "date")}

    assert lasting(evaluate.evaluate(dataset, tmp_path)) == lasting(result[0])


def test_little_data_is_said_to_be_little(tmp_path: Path) -> None:
    """Two clips, as in the demo."""
    folder = write_planted_dataset(tmp_path / "two", subjects=2, clips_per_subject=1, seed=0)
    measured = evaluate.evaluate(folder, tmp_path / "out")
    assert {c["verdict"] for c in measured["checks"] if c["name"] != "duplicates"} == {"inconclusive"}
    assert any("The dataset is too small: 2 clips of 2 people" in w for w in evaluation.list_warnings(measured))
    assert all("2 subjects" in c["words"][0] for c in measured["checks"] if c["name"] in ("learnable", "shortcuts", "curve"))
    lines = evaluation.summarise(measured)
    assert lines[0] == "2 clips with an emotion, 2 subjects; 1 of split test scored"


def test_one_person_leaves_nothing_to_score(tmp_path: Path) -> None:
    folder = write_planted_dataset(tmp_path / "one", subjects=1, clips_per_subject=3, seed=0)
    measured = evaluate.evaluate(folder, tmp_path / "out")
    assert measured["models"] == []
    assert measured["scored"] == {"clips": 0, "subjects": 0, "split": None}
    assert any("no clip with an emotion to score" in w for w in evaluation.list_warnings(measured))
    with pytest.raises(DatasetError, match="no clip of split test"):
        evaluate.evaluate(folder, tmp_path / "out", Settings(split="test"))


@pytest.mark.usefixtures("without_checks")
def test_predictions_are_scored_by_the_same_code(dataset: Path, tmp_path: Path) -> None:
    test = data.load_dataset(dataset).in_split("test")
    answers.write_answers(
        tmp_path / "mine.jsonl",
        [*(Answer(e.clip_id, e.emotion) for e in test[:-2]), Answer(test[-1].clip_id), Answer("c-0", "sad")],
    )
    measured = evaluate.evaluate(dataset, tmp_path / "out", Settings(predictions=tmp_path / "mine.jsonl", seeds=1))
    line = measured["models"][-1]
    assert (line["name"], line["note"]) == ("predictions", "mine.jsonl")
    assert line["recognition"]["accuracy"]["value"] == pytest.approx((len(test) - 2) / len(test))
    assert line["answers"]["missing"]["clips"] == [test[-2].clip_id]
    assert line["answers"]["refused"]["clips"] == [test[-1].clip_id]
    assert line["answers"]["unknown"]["clips"] == ["c-0"]
    assert measured["settings"]["predictions"] == "mine.jsonl"
    assert "about clips that the dataset does not have" in (tmp_path / "out" / "evaluation.html").read_text("utf-8")


def test_a_wrong_line_is_known_of_before_anything_is_computed(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"clip_id": "c-1", "emotion": "sad"}\n{"clip": 2}\n')
    stages: list[str] = []
    with pytest.raises(DatasetError, match="line 2"):
        evaluate.evaluate(
            dataset, tmp_path, Settings(predictions=tmp_path / "bad.jsonl"), Watcher(on_stage=lambda s, n, d: stages.append(s))
        )
    assert stages == []
    assert not (tmp_path / "evaluation.json").exists()


@pytest.mark.usefixtures("without_checks")
def test_reasons_are_judged_when_there_is_a_judge(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test, asked = data.load_dataset(dataset).in_split("test"), []
    figure = {"value": 6.2, "low": None, "high": None, "by_repeat": [6.2]}

    def judged(examples: Any, run: Any, who: Any, ledger: Path, **more: Any) -> dict[str, Any]:
        asked.append((len(examples), [a.reasoning for a in run], who.model.address, who.repeats, ledger))
        return {"judge": {}, "questions": {"asked": 8, "kept": 0, "unusable": 0}, "clue_overlap": figure, "label_overlap": figure}

    monkeypatch.setattr(judge, "score_by_judge", judged)
    answers.write_answers(tmp_path / "mine.jsonl", [Answer(e.clip_id, e.emotion, reasoning="arms folded") for e in test])
    wanted = Settings(predictions=tmp_path / "mine.jsonl", judge="http://127.0.0.1:1/v1", judge_model="m", repeats=2, seeds=1)
    measured = evaluate.evaluate(dataset, tmp_path / "out", wanted)
    assert asked == [(8, ["arms folded"] * 8, "http://127.0.0.1:1/v1", 2, tmp_path / "out" / "judged.jsonl")]
    assert measured["models"][-1]["judged"]["clue_overlap"]["value"] == 6.2
    assert "6.20" in (tmp_path / "out" / "evaluation.html").read_text("utf-8")


@pytest.mark.usefixtures("without_checks")
def test_without_torch_one_line_says_what_to_type(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else real(name, *more))
    for ask in (lambda: evaluate.evaluate(dataset, tmp_path, Settings(model=True, seeds=1)),
                lambda: plan_evaluation(dataset, Settings(model=True))):  # fmt: skip
        with pytest.raises(ModelError, match="a model needs torch") as caught:
            ask()
        assert INSTALL_COMMAND in caught.value.advice
    assert list(tmp_path.iterdir()) == [], "it is known before anything is measured"
    assert "torch" not in evaluate.evaluate(dataset, tmp_path, Settings(seeds=1))["versions"]


def test_torch_is_not_imported_for_baselines_and_checks() -> None:
    code = (
        "import sys; from deemo_data.baseline.checks import run, identity, learning, shortcuts; "
        "from deemo_data.baseline.evaluation import evaluate; "
        "print(sorted({'torch', 'sklearn', 'numpy', 'av', 'transformers'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": 0},
        {"rounds": 10},
        {"split": "exam"},
        {"judge": "http://127.0.0.1:1/v1", "judge_model": "m"},
        {"judge": "http://127.0.0.1:1/v1", "judge_model": "m", "model": True, "repeats": 0},
    ],
)
def test_what_cannot_be_asked_for(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Settings(**wrong)


def test_a_plan_counts_and_does_nothing(dataset: Path) -> None:
    lines = plan_evaluation(dataset, Settings())
    assert lines == ["24 clips with an emotion, 6 subjects; 8 of split test would be scored"]
    pytest.importorskip("torch")
    more = plan_evaluation(dataset, Settings(model=True, seeds=2, retrain=1))
    assert more[0] == lines[0]
    assert more[1].startswith("tiny: ")
    assert "6 times" in more[2], "two seeds, and once without each of four modalities"


@pytest.mark.slow
def test_with_the_model(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from deemo_data.baseline.llama import presets

    monkeypatch.setitem(presets.PRESETS, "tiny", replace(presets.TINY, epochs=1))
    measured = evaluate.evaluate(dataset, tmp_path, Settings(model=True, seeds=2, retrain=1))
    lines = {r["name"]: r for r in measured["models"]}
    assert {r["kind"] for r in lines.values()} == {"baseline", "model", "ablation"}
    assert lines["DEEMO-LLaMA (tiny)"]["recognition"]["seeds"] == 2
    assert [r["lost"]["modality"] for r in lines.values() if r["kind"] == "ablation"] == list(presets.MODALITIES)
    assert (tmp_path / "baseline" / "tiny-1" / "answers.jsonl").is_file()
    identity = next(c for c in measured["checks"] if c["name"] == "identity")
    assert identity["verdict"] in ("ok", "problem", "inconclusive")
    text = (tmp_path / "evaluation.html").read_text("utf-8")
    assert "trained anew without a modality" in text


PLANTED = [
    ("clean", {}, {"shortcuts": False, "identity": False}),
    ("limbs", {"leak": "limbs"}, {"shortcuts": False, "identity": True}),
    ("posture", {"leak": "posture"}, {"shortcuts": False, "identity": True}),
    ("length", {"shortcut": "length"}, {"shortcuts": True, "identity": False}),
    ("u-length", {"shortcut": "u-length"}, {"shortcuts": True, "identity": False}),
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "more", "wanted"), PLANTED, ids=[p[0] for p in PLANTED])
def test_what_was_planted_is_found_and_nothing_else(
    name: str, more: dict[str, Any], wanted: dict[str, bool], tmp_path: Path
) -> None:
    folder = write_planted_dataset(tmp_path / name, subjects=24, clips_per_subject=12, seed=11, **more)
    material = checks_run.gather_material(data.load_dataset(folder))
    found = {c.name: c for c in checks_run.run_checks(material)}
    assert {n: found[n].verdict for n in wanted} == {n: "problem" if there else "ok" for n, there in wanted.items()}
    assert found["learnable"].verdict == "ok"
    assert found["duplicates"].verdict == "ok"
    if name == "clean":
        order = np.random.default_rng(0).permutation(len(material.examples))
        shuffled = tuple(replace(e, emotion=material.examples[k].emotion) for e, k in zip(material.examples, order, strict=True))
        again = {c.name: c for c in checks_run.run_checks(replace(material, examples=shuffled))}
        assert again["learnable"].verdict == "problem"
        assert "Not learnable" in again["learnable"].sentences[0]
        assert again["shortcuts"].verdict == again["identity"].verdict == "ok"
