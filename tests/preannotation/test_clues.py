"""Clues by rules: what people marked and what was measured, in careful words with figures, and nothing about the face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deemo_data.clip import SafeClip
from deemo_data.labels import screening
from deemo_data.labels.vocabulary import load_emotions
from deemo_data.preannotation import clues, measures
from deemo_data.preannotation.clues import Clues, draft_clues
from deemo_data.preannotation.moments import Moments
from tests.makers.measures import NFBL, event, looked, made_up

EMOTIONS = load_emotions("emotions")
FEW = Moments(own=5)


def others(folder: Path, count: int = 6, **more: object) -> list[SafeClip]:
    return [made_up(folder, f"c-{n}", rate=4 + 0.1 * (n % 2), **({"swing": 0.2} | more)) for n in range(count)]  # type: ignore[arg-type]


def supported(drafted: Clues) -> None:
    for text in (drafted.video, drafted.audio, drafted.text):
        assert screening.find_claims(text, allowed=screening.visible_class_names(NFBL)) == [], text


def test_the_video_clue_says_which_when_how_long_and_how_often(tmp_path: Path) -> None:
    clip, rest = made_up(tmp_path, "c-x"), others(tmp_path)
    labels = [looked(c) for c in (clip, *rest)] + [event(rest[2], 0, 900)]
    labels += [event(clip, 1000, 2500), event(clip, 8000, 10_000), event(clip, 3000, 4000, "Rubbing or holding hands")]
    got = draft_clues(clip, labels, NFBL, EMOTIONS, rest, FEW)
    assert got.by == "rules"
    assert got.video.startswith(
        "Folding arms is seen from 1.0 to 2.5 s and from 8.0 s to the end "
        "(3.5 s in all, and in 1 of 6 other clips of this person); "
        "Rubbing or holding hands is seen from 3.0 to 4.0 s (1.0 s, and in 0 of 6 other clips of this person)."
    )
    assert "suggests" in got.video
    supported(got)


def test_proposals_are_no_clue_and_hidden_classes_neither(tmp_path: Path) -> None:
    rule = next(c.rule for c in NFBL.classes if c.rule)
    proposal = {"rule": rule, "start_frame": 0, "end_frame": 30, "score": 0.9, "why": ""}
    assert "is seen" not in draft_clues(made_up(tmp_path, "c-p", proposals=[proposal]), [], NFBL, EMOTIONS, []).video
    clip = made_up(tmp_path, "c-l")
    hidden = [looked(clip), event(clip, 0, 1000, "Pressing lips")]
    assert draft_clues(clip, hidden, NFBL, EMOTIONS, []).video.startswith("No body language was marked.")


def test_movement_is_compared_and_its_stretch_is_found(tmp_path: Path) -> None:
    """The right wrist swings through the whole clip, far more than in the other clips."""
    got = draft_clues(made_up(tmp_path, "c-x", swing=1.0), [], NFBL, EMOTIONS, others(tmp_path), FEW).video
    assert got.startswith(
        "The body moves more than usual (0.6 against 0.1 shoulder widths a second, the median of this person's 7"
    )
    assert "less than usual" in draft_clues(made_up(tmp_path, "c-y"), [], NFBL, EMOTIONS, others(tmp_path, swing=1.0), FEW).video
    alone = draft_clues(made_up(tmp_path, "c-z"), [], NFBL, EMOTIONS, []).video
    assert alone.startswith("Shoulders, elbows and wrists move 0.0")
    assert "usual" not in alone, "there is nothing to compare it with"


def test_when_the_hands_move_most(tmp_path: Path) -> None:
    clip = made_up(tmp_path, "c-x", swing=0.02)
    from deemo_data.tracks.body import Body, read_body, write_body

    body = read_body(clip.path("body"))
    points = body.points.copy()
    points[100:150, 0, 5, 1] += 2 * np.abs(np.sin(np.arange(50) / 4))  # the right wrist, from 4 to 6 s
    write_body(Body(points, body.confidence), clip.path("body"))
    got = draft_clues(clip, [], NFBL, EMOTIONS, []).video
    found = got.split("The hands move most from ")[1]
    start, end = (float(x) for x in found.split(" s")[0].split(" to "))
    assert abs(start - 4) < 0.5
    assert abs(end - 6) < 0.5
    assert "mostly the right one" in found
    assert "The trunk" not in got


def test_the_audio_clue_compares_with_the_persons_other_clips(tmp_path: Path) -> None:
    clip = made_up(tmp_path, "c-x", rate=6, tones=np.linspace(-6, 6, 1000))
    got = draft_clues(clip, [], NFBL, EMOTIONS, others(tmp_path), FEW)
    assert got.audio.startswith(
        "They speak faster than usual (6.0 against 4.1 onsets a second, the median of this person's 7 clips)"
    )
    assert "pauses take up about as much as usual (0 against 0 % of the speech)" in got.audio
    assert "suggests agitation or eagerness" in got.audio
    assert "melody" not in got.audio, "a voice that was normalised has one pitch range: it is told where it has a weight"
    told = draft_clues(clip, [], NFBL, EMOTIONS, others(tmp_path), Moments(own=5, pitch=1, loudness=1)).audio
    assert "the melody is livelier (6.0 against 0.0" in told.replace("0.00", "0.0")
    assert "it is about as loud as usual (-25.0 against -25.0 dB)" in told
    supported(got)


@pytest.mark.parametrize(
    ("step", "says"), [(4, "The voice rises at the end (by 4 semitones)"), (-4, "The voice falls at the end"), (1, "")]
)
def test_the_end_of_the_melody(tmp_path: Path, step: float, says: str) -> None:
    tones = np.zeros(1000)
    tones[-30:] = step
    got = draft_clues(made_up(tmp_path, "c-x", tones=tones), [], NFBL, EMOTIONS, []).audio
    assert says in got
    assert ("at the end" in got) == bool(says)


def test_a_long_pause_is_told_with_its_place(tmp_path: Path) -> None:
    voice = np.ones(1000, bool)
    voice[400:550] = False
    got = draft_clues(made_up(tmp_path, "c-x", voice=voice), [], NFBL, EMOTIONS, []).audio
    assert "there is a pause of 1.5 s at 4.0 s" in got


def test_the_text_clue_quotes_and_names_words_of_feeling(tmp_path: Path) -> None:
    clip = made_up(tmp_path, "c-x", transcript='I was not happy, "just" worried about [NAME].')
    got = draft_clues(clip, [], NFBL, EMOTIONS, [])
    assert got.text.startswith("The person says: “I was not happy, ’just’ worried about [NAME].” Words of feeling: ")
    assert "“not happy” (negative)" in got.text
    assert "“worried” (negative, a word for anxious)" in got.text
    assert "the words suggest a rather negative mood (-0." in got.text
    supported(got)
    plain = draft_clues(made_up(tmp_path, "c-y", transcript="We went home"), [], NFBL, EMOTIONS, []).text
    assert plain == "The person says: “We went home”. No word of feeling is among them; the wording is matter-of-fact."


def test_a_long_transcript_is_quoted_in_part(tmp_path: Path) -> None:
    got = draft_clues(made_up(tmp_path, "c-x", transcript="we went on and on " * 100), [], NFBL, EMOTIONS, []).text
    assert len(got) < clues.MAX_QUOTE_CHARS + 120
    assert " …”" in got


def test_where_nothing_can_be_said_a_clue_is_empty(tmp_path: Path) -> None:
    got = draft_clues(made_up(tmp_path, "c-x", voice=[False] * 1000, seen=False), [], NFBL, EMOTIONS, [])
    assert (got.video, got.audio, got.text) == ("", "", "")


def test_measures_that_are_known_are_not_taken_again(tmp_path: Path) -> None:
    clip, rest = made_up(tmp_path, "c-x", rate=6), others(tmp_path)
    known = {c.id: measures.measure_clip(c, [], NFBL) for c in (clip, *rest)}
    asked = draft_clues(clip, [], NFBL, EMOTIONS, rest, FEW)
    for c in rest:
        c.path("prosody").unlink()
    assert draft_clues(clip, [], NFBL, EMOTIONS, rest, FEW, measures_by_clip=known) == asked
