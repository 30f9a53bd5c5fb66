"""The evaluation page: self-contained, escaped, of use for two clips as for many, and what it says is what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.checks import run
from deemo_data.baseline.checks.check import Material
from deemo_data.baseline.scoring import metrics
from deemo_data.reports import evaluation, evaluation_plots
from deemo_data.reports.evaluation import format_difference, format_figure, format_number, list_warnings, render_page, summarise
from tests.makers.check_material import EMOTIONS, make_material, put_on_disk
from tests.makers.pages import Tags, browser, holds_together, words

__all__ = ["browser"]  # a fixture
NASTY = "<img src=x onerror=\"alert(1)\"> & 'co'"


def answers_of(material: Material, right: float, seed: int, sure: float = 0.7) -> list[Answer]:
    rng, found = np.random.default_rng(seed), []
    for e in material.examples:
        said = e.emotion if rng.random() < right else EMOTIONS[int(rng.integers(3))]
        shares = {name: sure if name == said else (1 - sure) / 2 for name in EMOTIONS}
        found.append(Answer(e.clip_id, said if rng.random() > 0.05 else None, shares))
    return found


def line(material: Material, name: str, kind: str, right: float, **more: Any) -> dict[str, Any]:
    runs = [answers_of(material, right, seed) for seed in range(2)]
    told = metrics.score_recognition(material.examples, runs, EMOTIONS, rounds=200)
    return {
        "name": name,
        "kind": kind,
        "note": "",
        "recognition": told,
        "reasoning": None,
        "above_majority": told["accuracy"],
    } | more


def whole(folder: Path, material: Material, found: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """As evaluate.evaluate says it, of answers made here."""
    overlap = {"value": 0.41, "low": 0.3, "high": 0.5, "chance": 0.2, "why": None}
    without = {"value": None, "low": None, "high": None, "chance": None, "why": "no answer parts its clues by modality"}
    reasoning = {
        "emotion_words": {"groups": overlap, "sentiments": overlap},
        "clue_words": dict.fromkeys(("all", "video", "audio", "text"), without),
        "events": {"named": overlap, "placed": without},
    }  # fmt: skip
    judged = {"clue_overlap": overlap, "label_overlap": overlap, "questions": {"asked": 5, "kept": 1, "unusable": 2}}
    lost = {"modality": "audio", "value": 0.2, "low": 0.1, "high": 0.3}
    lines = [
        line(material, "majority", "baseline", 0.1), line(material, "plain probe", "baseline", 0.6),
        line(material, "DEEMO-LLaMA (tiny)", "model", 0.8, reasoning=reasoning, judged=judged),
        line(material, "DEEMO-LLaMA (tiny) without audio", "ablation", 0.5, lost=lost),
    ]  # fmt: skip
    count = {"clips": len(material.examples), "subjects": len(set(material.subjects))}
    return {
        "schema": 1, "deemo_data": "0.1.0", "date": "2026-11-24", "seconds": 12.0, "notes": [], "settings": {"seeds": 2},
        "dataset": {**count, "version": "1.0.0", "digest": "ab" * 32, "vocabularies": [], "emotions": {"sad": 3},
                    "splits": {"train": count, "test": count}},
        "versions": {"numpy": "2.2"}, "scored": {**count, "split": "test"}, "models": lines,
        "checks": found or [c.to_json() for c in run.run_checks(put_on_disk(material, folder))],
        "thresholds": {"alpha": 0.01, "negligible": 0.05, "worth": 0.2, "rounds": 200, "most": 1500},
    }  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A study in which everything occurs: a short cut, somebody who is recognised, a model, reasons, a judge."""
    return whole(tmp_path_factory.mktemp("clips"), make_material(subjects=12, each=6, signal=0.6, who=2.0, lengths="straight"))


def test_the_page_stands_alone(measured: dict[str, Any]) -> None:
    text = render_page(measured)
    said = Tags(text)
    assert said.open == []
    assert {tag for tag, _ in said.tags}.isdisjoint({"script", "link", "iframe", "img", "a", "object", "form"})
    assert not re.search(r"https?://|//[a-z]|url\(|@import|javascript:", text)
    assert all(not name.startswith("on") and name not in ("src", "href") for _, attrs in said.tags for name in attrs)
    assert "nan" not in words(text).lower().split()
    assert "None" not in words(text)
    assert len(text) < 1_000_000


def test_every_part_is_there(measured: dict[str, Any]) -> None:
    text = render_page(measured)
    headings = [words(h).strip() for h in re.findall(r"<h2>(.*?)</h2>", text)]
    tag = {c["title"]: evaluation.VERDICTS[c["verdict"]][0] for c in measured["checks"]}
    sections = [f"{c['title']} {tag[c['title']]}" for c in measured["checks"]]
    wanted = ["In short", "Recognition", "Reasoning", *sections, "What this does not show", "How it was measured"]
    assert [h.replace("  ", " ") for h in headings] == wanted
    for picture in re.findall(r'<svg[^>]*aria-label="([^"]*)"', text):
        assert picture.strip()
    verdicts = {c["name"]: c["verdict"] for c in measured["checks"]}
    assert verdicts["shortcuts"] == verdicts["identity"] == "problem"
    assert "trained anew without a modality" in text
    assert "6, 2 of them without a usable answer" in words(text)
    assert "anonymous" not in text


def test_the_figures_are_those_that_were_measured(measured: dict[str, Any]) -> None:
    text = words(render_page(measured))
    for row in measured["models"]:
        assert format_figure(row["recognition"]["accuracy"]) in text
    for check in measured["checks"]:
        assert check["words"][0] in text.replace("&#39;", "'")
        for f in check["findings"]:
            assert (
                f"{f['name']} {format_figure(f)} {format_number(f['chance'])} {format_number(f['effect'], '+')} {f['p']:.3f}"
                in text.replace("&#39;", "'")
            )


def test_what_people_wrote_is_escaped(measured: dict[str, Any]) -> None:
    def nasty(value: Any) -> Any:
        match value:
            case dict():
                return {k: nasty(v) for k, v in value.items()}
            case list() | tuple():
                return [nasty(v) for v in value]
            case str():
                return value if value in KEPT else NASTY + value
        return value

    KEPT = {*run.CHECKS, *evaluation.VERDICTS, *evaluation_plots.STYLE_OF_KIND, "majority"}
    text = render_page(nasty(measured) | {"thresholds": measured["thresholds"]})
    assert "<img" not in text
    assert "&lt;img src=x onerror=" in text
    assert Tags(text).open == []


def test_two_clips_are_too_few_and_that_comes_first(tmp_path: Path) -> None:
    told = whole(tmp_path, make_material(subjects=2, each=1))
    text = words(render_page(told))
    assert text.index("The dataset is too small: 2 clips of 2 people.") < text.index("In short")
    assert "It cannot show that emotions can be learned, that no short cut is there, or that nobody can be recognised." in text
    assert Tags(render_page(told)).open == []
    assert all("problem" not in line for line in summarise(told))


def test_nothing_scored(measured: dict[str, Any]) -> None:
    told = measured | {"models": [], "scored": {"clips": 0, "subjects": 0, "split": None}}
    assert "Nothing was scored." in render_page(told)
    assert "deemo export DIR" in list_warnings(told)[0]
    assert "none scored" in summarise(told)[0]


def test_a_large_study_is_not_called_small(measured: dict[str, Any]) -> None:
    fine = [{**c, "verdict": "ok"} for c in measured["checks"]]
    many = {"clips": 900, "subjects": 60}
    assert list_warnings(measured | {"checks": fine, "scored": {**many, "split": "test"}}) == []
    one = [*fine[:-1], {**fine[-1], "verdict": "inconclusive"}]
    assert list_warnings(measured | {"checks": one, "scored": {**many, "split": "test"}}) == [
        f"Too little to say anything of: {one[-1]['title']}. That is no all-clear."
    ]
    noted = list_warnings(
        measured | {"checks": fine, "scored": {**many, "split": "test"}, "notes": ["no clip of split test is here"]}
    )
    assert noted == ["No clip of split test is here."]


def test_the_terminal_gets_a_line_a_check(measured: dict[str, Any]) -> None:
    lines = summarise(measured)
    assert len(lines) == 1 + 3 + len(run.CHECKS)
    assert [x for x in lines if x.startswith("Short cuts: problem. ")]
    assert not [x for x in lines if "without audio" in x]


def test_figures_in_words() -> None:
    full = {"value": 0.614, "low": 0.5, "high": 0.7}
    assert format_figure(full) == "0.61 (0.50 to 0.70)"
    assert format_figure({"value": None, "low": None}) == format_figure(None) == format_difference(None) == "–"
    assert format_difference({"value": -0.001, "low": -0.2, "high": 0.1}) == "+0.00 (-0.20 to +0.10)"
    assert format_number(-0.0004) == "0.00"


def test_points_are_drawn_where_they_are() -> None:
    row = {"name": "x", "value": 0.75, "low": 0.5, "high": 1.0, "null": [0.25, 0.3, 0.5, 0.6], "chance": 0.3, "effect": 0.64,
           "p": 0.005, "seen": True}  # fmt: skip
    drawn = evaluation_plots.draw_findings([row], [], "words", True)
    left, right = 270, 700
    circle = re.search(r'<circle class="g1" cx="([\d.]+)"', drawn)
    assert circle
    assert float(circle[1]) == pytest.approx(left + 0.75 * (right - left))
    band = re.search(r'<rect class="null" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    assert band
    assert [float(v) for v in band.groups()] == pytest.approx([left + 0.25 * (right - left), 0.25 * (right - left)])
    assert 'class="g3"' in evaluation_plots.draw_findings([row], [], "words", False), (
        "what one hopes to see is not drawn as a fault"
    )
    assert 'class="s0"' in evaluation_plots.draw_findings([row | {"seen": False}], [], "words", True)


def test_a_confusion_leaves_out_what_does_not_occur() -> None:
    told = {
        "rows": ["a", "b", "c"],
        "columns": ["a", "b", "c", "no answer"],
        "counts": [[3, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    }
    drawn = evaluation_plots.draw_confusion(told, "words")
    assert re.findall(r"<title>(.*?)</title>", drawn) == ["a / a: 3 of 4", "a / b: 1 of 4"]
    assert ">c<" not in drawn
    assert "no answer" not in drawn


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 600])
def test_in_a_browser(browser: Any, measured: dict[str, Any], tmp_path: Path, scheme: str, width: int) -> None:
    (tmp_path / "evaluation.html").write_text(render_page(measured), encoding="utf-8")
    holds_together(browser, tmp_path / "evaluation.html", scheme, width)
