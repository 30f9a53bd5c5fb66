"""Candidates for strong moments: ranked by shown parts, against what is usual, and of redacted words nothing else leaves."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from deemo_data.clip import SafeClip
from deemo_data.errors import ModelError
from deemo_data.models.language_model import RULES, UNANSWERED
from deemo_data.preannotation.moments import Moment, Moments, build_prompt, rank_candidates
from deemo_data.project.project import Project
from tests.makers.interviews import PLANTED, interview, model, stand_in  # noqa: F401
from tests.makers.language_model import (
    StandIn,
    always,
    completion,
    stand_in,  # noqa: F401
)
from tests.makers.measures import NFBL, event, looked, made_up

FLAT = "We played the ball and then we went home."
STRONG = "It was terrible, I was so angry and sad, I hate this, it was the worst day."


def usual(folder: Path, count: int = 8, subject: str = "s-1", **more: Any) -> list[SafeClip]:
    """Clips of one person that differ a little."""
    made = {"transcript": FLAT, "swing": 0.2} | more
    return [made_up(folder, f"c-{subject}-{n}", subject=subject, rate=4 + 0.1 * (n % 3), **made) for n in range(count)]


def of(found: list[Moment], clip: str) -> Moment:
    return next(m for m in found if m.clip == clip)


def test_the_strong_clip_comes_first_and_says_why_with_figures(tmp_path: Path) -> None:
    strong = made_up(tmp_path, "c-strong", rate=7.5, swing=1.5, transcript=STRONG)
    found = rank_candidates([*usual(tmp_path), strong], [], NFBL)
    first = found[0]
    assert (first.clip, first.rank, first.candidate, first.by) == ("c-strong", 1, True, RULES)
    assert not any(m.candidate for m in found[1:])
    assert "“" in first.why
    assert "speech is faster than usual (7.5 against 4.1 onsets a second, the median of this person's 9 clips)" in first.why
    assert "more movement than usual" in first.why.casefold()
    assert first.why.count("\n") == 0
    assert first.why.endswith(".")


def test_the_score_is_the_mean_of_the_parts_by_their_weights(tmp_path: Path) -> None:
    settings = Moments(words=2, rate=1, pauses=0, movement=1, body_language=0)
    strong = made_up(tmp_path, "c-strong", rate=5, swing=0.4, transcript=STRONG)
    first = of(rank_candidates([*usual(tmp_path), strong], [], NFBL, settings), "c-strong")
    assert set(first.parts) == {"words", "rate", "movement"}, "what has no weight is not shown"
    known = [(p.value, p.weight) for p in first.parts.values() if p.value is not None]
    assert len(known) == 3
    assert first.score == pytest.approx(sum(v * w for v, w in known) / sum(w for _, w in known), abs=1e-3)
    assert json.loads(json.dumps(asdict(first)))["parts"]["rate"]["weight"] == 1


def test_one_sign_alone_makes_no_candidate(tmp_path: Path) -> None:
    clips = [*usual(tmp_path, transcript="", voice=[False] * 1000), made_up(tmp_path, "c-x", swing=3, voice=[False] * 1000)]
    moved = of(rank_candidates(clips, [], NFBL), "c-x")
    assert moved.parts["movement"].value == 1
    assert not moved.candidate
    assert moved.score == pytest.approx(1.5 / 4, abs=0.01), "1.5 of half the weight of all"


def test_a_person_is_compared_with_themselves(tmp_path: Path) -> None:
    quick = [made_up(tmp_path, f"c-q{n}", subject="s-2", rate=7 + 0.1 * (n % 3), transcript=FLAT) for n in range(8)]
    found = rank_candidates([*usual(tmp_path, 20), *quick], [], NFBL)
    assert all((of(found, c.id).parts["rate"].value or 0) < 0.2 for c in quick), "seven onsets a second are usual for this person"
    alone = made_up(tmp_path, "c-alone", subject="s-3", rate=7, transcript=FLAT)
    part = of(rank_candidates([*usual(tmp_path, 20), alone], [], NFBL), "c-alone").parts["rate"]
    assert part.value == 1
    assert "everybody's 21 clips" in part.note


def test_slower_and_flatter_count_as_well(tmp_path: Path) -> None:
    found = rank_candidates([*usual(tmp_path), made_up(tmp_path, "c-slow", rate=2, swing=0.2, transcript=FLAT)], [], NFBL)
    assert of(found, "c-slow").parts["rate"].value == 1
    assert "slower" in of(found, "c-slow").why
    still = of(rank_candidates([*usual(tmp_path, swing=1), made_up(tmp_path, "c-still")], [], NFBL), "c-still")
    assert still.parts["movement"].value == 0, "who moves less is no candidate for that"


def test_too_little_says_so(tmp_path: Path) -> None:
    mute = made_up(tmp_path, "c-mute", voice=[False] * 1000, seen=False)
    (moment,) = rank_candidates([mute], [], NFBL)
    assert moment.score == 0
    assert moment.why.startswith("Too little to judge by (words, speech, pauses, movement, body language could not be judged)")
    assert "less" in moment.parts["rate"].note or "too little" in moment.parts["rate"].note
    (few,) = rank_candidates([made_up(tmp_path, "c-one", transcript=STRONG)], [], NFBL)
    assert few.parts["rate"].value is None
    assert few.parts["rate"].measured == 4
    assert few.parts["rate"].note == "not compared: fewer than 6 clips have it"


def test_body_language_counts_by_what_people_marked(tmp_path: Path) -> None:
    clips = usual(tmp_path)
    labels = [looked(c) for c in clips]
    labels += [event(clips[3], 1000 * n, 1000 * n + 800) for n in range(6)]
    found = rank_candidates(clips, labels, NFBL, Moments(words=0, rate=0, pauses=0, movement=0, body_language=1))
    assert found[0].clip == clips[3].id
    assert (found[0].parts["body_language"].measured, found[0].parts["body_language"].note) == (
        6, "the median of this person's 8 clips, by people",
    )  # fmt: skip


def test_ties_are_stable_and_the_order_of_the_clips_says_nothing(tmp_path: Path) -> None:
    clips = [made_up(tmp_path, f"c-{n}", transcript=FLAT) for n in range(12)]
    first = rank_candidates(clips, [], NFBL)
    assert [m.clip for m in first] == sorted(c.id for c in clips)
    assert [m.rank for m in first] == list(range(1, 13))
    mixed = clips.copy()
    random.Random(3).shuffle(mixed)
    assert rank_candidates(mixed, [], NFBL) == first


def test_only_what_release_lets_out_is_read(tmp_path: Path) -> None:
    """Everything else may be missing."""
    clip = made_up(tmp_path, "c-1", transcript=STRONG)
    assert set(clip.files) == {"body", "prosody"}
    assert rank_candidates([clip], [], NFBL)


def test_the_table_has_bounds() -> None:
    table = TypeAdapter(Moments)
    assert table.validate_python({}) == Moments()
    for wrong in ({"words": -1}, {"own": 2}, {"threshold": 1.5}, {"full": 0}):
        with pytest.raises(ValidationError):
            table.validate_python(wrong)


def judging(intensity: int = 7) -> Any:
    """A model that answers for each number it is shown."""

    def script(body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        shown = [json.loads(line) for line in body["messages"][1]["content"].splitlines()]
        said = [{"number": s["number"], "intensity": intensity, "reason": "The words are strong."} for s in shown]
        return 200, {}, completion({"clips": said})

    return script


def test_a_language_model_judges_the_words_and_the_rest_stays(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [judging()]
    clips = [made_up(tmp_path, f"c-{n}", transcript=f"We won {n} games.") for n in range(45)] + [made_up(tmp_path, "c-mute")]
    found = rank_candidates(clips, [], NFBL, model=model(stand_in), cache=tmp_path / "kept")
    assert {m.by for m in found} == {"rules and stub-1"}
    assert of(found, clips[0].id).parts["words"].value == 0.7
    assert of(found, clips[0].id).parts["words"].note == "The words are strong."
    assert of(found, "c-mute").parts["words"].value is None, "where nothing is said nothing is asked"
    assert len(stand_in.got) == 3, "twenty at a time"
    assert rank_candidates(clips, [], NFBL, model=model(stand_in), cache=tmp_path / "kept") == found
    assert len(stand_in.got) == 3, "answers are kept"


def test_an_answer_that_leaves_a_clip_out_is_nonsense(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [always(200, completion({"clips": [{"number": 1, "intensity": 3, "reason": "x"}]}))]
    with pytest.raises(ModelError, match="does not answer for each number once"):
        rank_candidates(usual(tmp_path, 2), [], NFBL, model=model(stand_in), cache=tmp_path / "kept")


def test_the_rules_answer_only_where_that_is_allowed(stand_in: StandIn, tmp_path: Path) -> None:
    clips = usual(tmp_path, 25)
    stand_in.answers = [judging(), always(500, b"")]  # the second batch fails
    with pytest.raises(ModelError, match="fallback = true"):
        rank_candidates(clips, [], NFBL, model=model(stand_in), cache=tmp_path / "a")
    stand_in.answers, lines = [always(500, b"broken")], list[str]()
    found = rank_candidates(clips, [], NFBL, model=model(stand_in, fallback=True), cache=tmp_path / "b", on_fallback=lines.append)
    assert {m.by for m in found} == {UNANSWERED} == {"rules (the language model did not answer)"}
    plain = rank_candidates(clips, [], NFBL)
    assert [replace(m, by=RULES) for m in found] == plain, "not some by one and some by the other"
    assert len(lines) == 1
    assert "status 500" in lines[0]


def test_of_all_that_is_known_only_redacted_words_leave(stand_in: StandIn, interview: tuple[Project, list[SafeClip]]) -> None:
    project, safe = interview
    stand_in.answers = [judging()]
    rank_candidates(safe, [], NFBL, model=model(stand_in), cache=project.private_dir / "language_model")
    sent = b"\n".join(stand_in.got).decode()
    assert sent.count("so happy for [NAME]") == 3, "the redacted words did leave"
    for word in PLANTED:
        assert word.casefold() not in sent.casefold(), word
    for clip in safe:
        for word in (clip.id, clip.source, clip.facts["subject"], "0123456789ab", clip.path("video").name, project.secret.hex()):
            assert word not in sent, word
    asked = json.loads((next((project.private_dir / "language_model").iterdir())).read_text())["asked"]
    assert [json.loads(line)["number"] for line in asked[1]["content"].splitlines()] == [1, 2, 3]


def test_a_name_that_redaction_left_would_be_seen_by_that_test(interview: tuple[Project, list[SafeClip]]) -> None:
    """The test above can fail: a prompt does hold what the transcript holds."""
    _, safe = interview
    facts = safe[0].facts | {"transcript": "I was happy for Rafael."}
    assert "Rafael" in build_prompt([SafeClip(replace(safe[0], facts=facts))]).user
