"""Reasoning drafts: careful templates that end in the emotion, and a language model that is told nothing private."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deemo_data.clip import SafeClip
from deemo_data.errors import ModelError, NotReleasable
from deemo_data.labels import screening
from deemo_data.labels.vocabulary import load_emotions
from deemo_data.models.language_model import UNANSWERED
from deemo_data.preannotation import clues, reasoning
from deemo_data.preannotation.clues import Clues
from deemo_data.preannotation.reasoning import draft_fields, draft_reasoning, draft_reasonings
from deemo_data.project.project import Project
from tests.makers.interviews import PLANTED, interview, model  # noqa: F401
from tests.makers.language_model import StandIn, always, completion
from tests.makers.measures import NFBL, event, looked, made_up

EMOTIONS = load_emotions("emotions")
SAD, HAPPY = (e for n in ("sad", "happy") if (e := EMOTIONS.find(n)))
CLUES = Clues(
    "Folding arms is seen throughout (9.0 s).", "They speak at 4.0 onsets a second.", "The person says: “It was a sad day.”"
)
WRITTEN = "The person folds the arms and speaks slowly, which suggests low spirits. Their words say so too. Most likely: sad."


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


def test_the_template_uses_every_clue_and_ends_in_the_emotion(tmp_path: Path) -> None:
    wordings = set()
    for n in range(40):
        clip = made_up(tmp_path, f"c-{n}", transcript="It was a sad day.")
        got = draft_reasoning(clip, CLUES, SAD, NFBL)
        assert got.by == "rules"
        assert all(clue in got.text for clue in (CLUES.video, CLUES.audio, CLUES.text))
        assert got.text.endswith(" sad.")
        assert "suggest" in got.text or "seems" in got.text or "As far as" in got.text
        assert screening.find_claims(got.text, allowed=screening.visible_class_names(NFBL)) == [], got.text
        assert draft_reasoning(clip, CLUES, SAD, NFBL) == got, "the same clip has the same wording"
        wordings.add(got.text)
    assert len(wordings) > 8


def test_words_that_point_the_other_way_are_owned_up_to(tmp_path: Path) -> None:
    clip = made_up(tmp_path, "c-1", transcript="It was a wonderful, great day, I love it.")
    against, along = draft_reasoning(clip, CLUES, SAD, NFBL).text, draft_reasoning(clip, CLUES, HAPPY, NFBL).text
    assert any(said in against for said in reasoning.CONTRADICTION_PHRASES)
    assert not any(said in along for said in reasoning.CONTRADICTION_PHRASES)


def test_where_nobody_chose_an_emotion_none_is_suggested(stand_in: StandIn, tmp_path: Path) -> None:
    got = draft_reasoning(
        made_up(tmp_path, "c-1", transcript="It was great."), CLUES, None, NFBL, model=model(stand_in), cache=tmp_path
    )
    assert got.text.endswith(" …")
    assert got.by == "rules"
    assert stand_in.got == []


def test_without_clues_it_says_that_there_are_none(tmp_path: Path) -> None:
    assert draft_reasoning(made_up(tmp_path, "c-1"), Clues("", "", ""), SAD, NFBL).text.startswith(
        "The clip shows and tells little. "
    )


def test_a_language_model_writes_from_the_clues(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [always(200, completion({"reasoning": WRITTEN}))]
    got = draft_reasoning(made_up(tmp_path, "c-1"), CLUES, SAD, NFBL, model=model(stand_in), cache=tmp_path / "kept")
    assert (got.text, got.by) == (WRITTEN, "stub-1")
    assert json.loads(stand_in.bodies[0]["messages"][1]["content"]) == {
        "clues": {"video": CLUES.video, "audio": CLUES.audio, "text": CLUES.text}, "emotion": "sad", "sentiment": "negative",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("The person frowns, and the mood is most likely sad.", "what the clip cannot show: “frowns” (face)"),
        ("The woman folds the arms, and the mood is most likely sad.", "“woman” (identity)"),
        ("The person says that Rafael is away, and the mood is most likely sad.", "“Rafael” (name)"),
        ("The person folds the arms, which suggests that they are happy.", "does not end in 'sad'"),
        ("sad", "reasoning: String should have at least 20 characters"),
    ],
)
def test_what_a_model_must_not_say_is_nonsense(stand_in: StandIn, tmp_path: Path, text: str, says: str) -> None:
    stand_in.answers = [always(200, completion({"reasoning": text}))]
    clip = made_up(tmp_path, "c-1")
    with pytest.raises(ModelError, match=re.escape(says)):
        draft_reasoning(clip, CLUES, SAD, NFBL, model=model(stand_in), cache=tmp_path / "kept")
    lines = list[str]()
    got = draft_reasoning(
        clip, CLUES, SAD, NFBL, model=model(stand_in, fallback=True), cache=tmp_path / "kept", on_fallback=lines.append
    )
    assert got.by == UNANSWERED
    assert got.text == draft_reasoning(clip, CLUES, SAD, NFBL).text
    assert len(lines) == 1


def test_a_dead_model_is_not_asked_about_every_clip(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers = [always(500, b"")]
    given = [(made_up(tmp_path, f"c-{n}"), Clues(f"{n} s.", "", ""), SAD) for n in range(9)]
    made = list(draft_reasonings(given, NFBL, model=model(stand_in, fallback=True), cache=tmp_path / "kept"))
    assert [m.by for m in made] == [UNANSWERED] * 9
    assert len(stand_in.got) == 3
    assert [m.by for m in draft_reasonings(given, NFBL)] == ["rules"] * 9


def test_clues_that_people_wrote_are_not_sent(stand_in: StandIn, tmp_path: Path) -> None:
    theirs = Clues("Rafael folds the arms.", "", "", by="people")
    stand_in.answers = [always(200, completion({"reasoning": WRITTEN}))]
    with pytest.raises(NotReleasable, match="do not go to a language model"):
        draft_reasoning(made_up(tmp_path, "c-1"), theirs, SAD, NFBL, model=model(stand_in), cache=tmp_path / "kept")
    assert stand_in.got == []


def test_nothing_private_leaves(stand_in: StandIn, interview: tuple[Project, list[SafeClip]]) -> None:
    project, safe = interview
    stand_in.answers = [always(200, completion({"reasoning": WRITTEN}))]
    for clip in safe:
        labels = [looked(clip), event(clip, 1000, 2000)]
        drafted = clues.draft_clues(clip, labels, NFBL, EMOTIONS, safe)
        draft_reasoning(clip, drafted, SAD, NFBL, model=model(stand_in), cache=project.private_dir / "language_model")
    sent = b"\n".join(stand_in.got).decode()
    assert "so happy for [NAME]" in sent
    assert "Folding arms" in sent
    for word in PLANTED:
        assert word.casefold() not in sent.casefold(), word
    for clip in safe:
        for word in (
            clip.id,
            clip.source,
            clip.facts["subject"],
            "0123456789ab",
            clip.path("video").name,
            project.secret.hex(),
            "a-1",
        ):
            assert word not in sent, word


def test_drafts_are_data_of_the_page(tmp_path: Path) -> None:
    got = draft_fields(CLUES, draft_reasoning(made_up(tmp_path, "c-1"), CLUES, None, NFBL))
    assert list(got) == ["draft_clue_video", "draft_clue_audio", "draft_clue_text", "draft_reasoning"]
    assert got["draft_clue_audio"] == CLUES.audio
    assert got["draft_reasoning"].endswith(" …")
    assert draft_fields(Clues("", "", "")) == dict.fromkeys(got, ""), "a text box without a draft is empty"
