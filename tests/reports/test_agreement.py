"""The agreement page: self-contained, escaped, of use at every stage of a project, and what it says is what was measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deemo_data.agreement import measure
from deemo_data.labels.vocabulary import Nfbl
from deemo_data.reports import agreement, svg
from deemo_data.reports.agreement import describe_effect, list_findings, render_page, suggest_next_steps, summarise
from tests.makers.pages import (
    Tags,
    browser,  # noqa: F401
    holds_together,
    words,
)
from tests.makers.studies import ANN, BEN, EMOTIONS, NFBL, A, Study, adjudicates, answer, clip_of, line_of, says

NASTY = "<img src=x onerror=\"alert(1)\"> & 'co'"


def whole(seed: int = 3, **more: Any) -> dict[str, Any]:
    """A study in which everything occurs: proposals, adjudicated versions, answers."""
    study = Study(24, 3, classes=8, each=5, proposed=0.6, seed=seed, **more)
    for n, clip in enumerate(study.clips):
        study.labels += adjudicates(clip, "a-judge", (10, 60, A)) if n < 6 else []
        study.labels += [answer(clip, who, "emotion", "happy" if (n + k) % 3 else "sad") for k, who in enumerate(study.people)]
    return study.measured(rounds=100)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return whole()


def test_the_page_stands_alone(measured: dict[str, Any]) -> None:
    text = render_page(measured)
    said = Tags(text)
    assert said.open == []
    assert {tag for tag, _ in said.tags}.isdisjoint({"script", "link", "iframe", "img", "a", "object", "form"})
    assert not re.search(r"https?://|//[a-z]|url\(|@import|javascript:", text)
    assert all(not name.startswith("on") and name not in ("src", "href") for _, attrs in said.tags for name in attrs)
    assert "NaN" not in text
    assert "None" not in words(text)


def test_every_part_is_there(measured: dict[str, Any]) -> None:
    text = render_page(measured)
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "Class by class", "Where edges lie", "What the other one called it", "Between people", "Proposals", "About whole clips",
        "Clips with most disagreement", "What this does not show", "How it was measured",
    ]  # fmt: skip
    for picture in re.findall(r'<svg[^>]*aria-label="([^"]*)"', text):
        assert picture.strip()
    assert text.count("<svg") == 6 + len(measured["disputed"])
    for person in measured["annotators"]:
        assert person["name"] in text
    assert "0.667" in text
    assert "Krippendorff" in text


def test_the_figures_are_those_that_were_measured(measured: dict[str, Any]) -> None:
    text = words(render_page(measured))
    overall = measured["overall"]
    for figure in (overall["f1"]["0.5"], overall["alpha"]):
        assert f"{figure['value']:.2f} {figure['low']:.2f} to {figure['high']:.2f}" in text
    tally = measured["proposals"]["overall"]
    assert f"Of {tally['corrected']} corrections, {tally['class_changed']} changed the class" in text
    circles = re.findall(r"<circle[^>]*><title>(.*?)</title>", render_page(measured))
    known = [c for c in measured["classes"] if c["alpha"]["value"] is not None]
    assert all(any(c["name"] in t and f"{c['alpha']['value']:.2f}" in t for t in circles) for c in known)


def test_names_are_escaped() -> None:
    first = replace(NFBL.classes[0], name=NASTY, aliases=())
    nasty = Nfbl(NASTY, "1", "", {k: NASTY + k for k in NFBL.groups}, (first, *NFBL.classes[1:3]))
    study = Study(12, 3, proposed=0.5, nfbl=nasty)
    for clip in study.clips:
        for who in study.people:
            study.labels.append(answer(clip, who, "choice", {"name": NASTY, "choices": [NASTY]}))
    study.labels = [replace(lb, annotator=NASTY) if lb.annotator == study.people[0] else lb for lb in study.labels]
    study.clips[0] = replace(study.clips[0], id=NASTY)
    measured = study.measured(rounds=20)
    assert NASTY in {c["name"] for c in measured["classes"] if c["events"]}
    assert any(clip["clip"] == NASTY for clip in measured["disputed"])
    text = render_page(measured)
    assert "<img" not in text
    assert "&lt;img src=x onerror=" in text
    assert Tags(text).open == []


@pytest.mark.parametrize("people", [0, 1, 2])
@pytest.mark.parametrize("clips", [0, 1, 3])
def test_it_works_with_next_to_nothing_and_says_what_to_do(clips: int, people: int) -> None:
    measured = Study(clips, people).measured(rounds=10)
    text = render_page(measured)
    assert Tags(text).open == []
    steps = suggest_next_steps(measured)
    assert steps
    assert all(s.split(":")[0].split(".")[0] in words(text) for s in steps)
    wanted = "no clips" if not clips else ("Nobody has labelled", "One person has labelled", "that is little")[people]
    assert wanted in steps[0]
    if clips and people < 2:
        assert "deemo" in steps[0]
        assert "<svg" not in text
        assert summarise(measured)[1:] == steps


def test_two_people_who_saw_different_clips() -> None:
    clips = [clip_of(0), clip_of(1)]
    measured = measure.measure_agreement([*says(clips[0], ANN), *says(clips[1], BEN)], clips, NFBL, EMOTIONS, [], rounds=5)
    assert "no clip was seen by two" in suggest_next_steps(measured)[0]


def test_two_people_who_marked_nothing() -> None:
    clips = [clip_of(n) for n in range(8)]
    labels = [lb for c in clips for who in (ANN, BEN) for lb in says(c, who)]
    text = render_page(measure.measure_agreement(labels, clips, NFBL, EMOTIONS, [], rounds=5))
    assert "No two people marked the same event" in text
    assert Tags(text).open == []


def test_forty_classes_five_hundred_clips() -> None:
    extra = tuple(
        replace(NFBL.classes[0], id=32 + k, name=f"Class {k} with a rather long name for what it is", aliases=())
        for k in range(8)
    )
    study = Study(500, 3, each=3, nfbl=replace(NFBL, classes=NFBL.classes + extra), classes=40, per_subject=5)
    measured = study.measured(rounds=50)
    assert measured["resampled"] == {"by": "subjects", "n": 100}
    text = render_page(measured)
    assert len(measured["disputed"]) == text.count("stand alone, F1") == 12
    assert len(text) < 1_000_000


def test_the_worst_clips_come_first(measured: dict[str, Any]) -> None:
    alone = [clip["alone"] for clip in measured["disputed"]]
    assert alone == sorted(alone, reverse=True)
    assert alone[-1] > 0


def test_a_timeline_draws_events_where_they_are() -> None:
    event = {"start_ms": 2500, "end_ms": 5000, "label": A, "group": "self-protective", "certainty": "sure"}
    clip = {"clip": "c-1", "duration_ms": 10_000, "versions": [{"name": ANN, "events": [event]}, {"name": BEN, "events": []}],
            "adjudicated": [event], "proposals": []}  # fmt: skip
    drawn = svg.draw_timeline(clip, list(NFBL.groups))
    x, width = (float(v) for v in re.findall(r'<rect class="g2" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)[0])
    left, right = 130, 894
    assert x == pytest.approx(left + 0.25 * (right - left), abs=0.1)
    assert width == pytest.approx(0.25 * (right - left) - 0.5, abs=0.1)
    assert "2.50 to 5.00 s, sure" in drawn
    assert drawn.count(">nothing<") == 2
    assert [m for m in re.findall(r"<text[^>]*>([^<]*)</text>", drawn) if m in (ANN, BEN, "adjudicated", "proposals")] == [
        ANN, BEN, "adjudicated", "proposals"
    ]  # fmt: skip


def test_events_at_one_time_get_lanes_of_their_own() -> None:
    spans = [(0, 10), (5, 15), (10, 20), (15, 30), (16, 18)]
    events = [{"start_ms": s, "end_ms": e} for s, e in spans]
    lanes = svg.assign_lanes(events)
    assert lanes == [0, 1, 0, 1, 2]
    assert svg.assign_lanes(events[::-1])[::-1] == lanes


def test_the_bands_of_alpha() -> None:
    said = [agreement.describe_alpha({"value": v, "why": None}) for v in (0.9, 0.8, 0.7, 0.5, -0.1)]
    assert said == [
        "reliable",
        "reliable",
        "enough for tentative conclusions",
        "too low to rest conclusions on",
        "no better than chance",
    ]
    assert "3 events: too few" in agreement.describe_alpha({"value": None, "why": "3 events: too few"})


def test_what_is_good_and_what_is_not() -> None:
    clips = [clip_of(n) for n in range(24)]
    alike = [lb for c in clips for who in (ANN, BEN) for lb in says(c, who, (50, 100, A))]
    fine = list_findings(measure.measure_agreement(alike, clips, NFBL, EMOTIONS, [], rounds=50))
    assert fine["bad"] == []
    assert any("reliable" in words for words in fine["good"])
    apart = [lb for c in clips for who, at in ((ANN, 0), (BEN, 150)) for lb in says(c, who, (at, at + 50, A))]
    poor = list_findings(measure.measure_agreement(apart, clips, NFBL, EMOTIONS, [], rounds=50))
    assert poor["good"] == []
    assert any("no better than chance" in words for words in poor["bad"])


def test_anchoring_is_said_in_words() -> None:
    labels, pushed, clips = [], [], [clip_of(n) for n in range(24)]
    for n, clip in enumerate(clips):
        pushed.append(line_of(clip, (0, 100, A), shown=n % 2 == 0))
        labels += says(clip, ANN, (0, 100, A)) + says(clip, BEN, (0, 100, A) if n % 2 == 0 else (150, 250, A))
    measured = measure.measure_agreement(labels, clips, NFBL, EMOTIONS, pushed, rounds=50)
    assert "1.00 higher (+1.00 to +1.00)" in describe_effect(measured)
    assert "anchoring" in describe_effect(measured)
    assert any("shown proposals" in words for words in list_findings(measured)["bad"])
    none = measure.measure_agreement(labels, clips, NFBL, EMOTIONS, [], rounds=50)
    assert "cannot be said" in describe_effect(none)


def test_the_terminal_gets_a_few_lines(measured: dict[str, Any]) -> None:
    lines = summarise(measured)
    assert 5 <= len(lines) <= 8
    assert all(line and len(line) < 260 for line in lines)
    assert f"{measured['overall']['f1']['0.5']['value']:.2f} at IoU 0.5" in lines[1]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 600])
def test_in_a_browser(browser: Any, measured: dict[str, Any], tmp_path: Path, scheme: str, width: int) -> None:
    (tmp_path / "agreement.html").write_text(render_page(measured), encoding="utf-8")
    holds_together(browser, tmp_path / "agreement.html", scheme, width)
