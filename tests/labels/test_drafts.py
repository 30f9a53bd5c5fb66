"""A draft is found again however it was respaced, punctuated or typed; a changed word makes it a person's text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import SafeClip
from deemo_data.labels.drafts import TaskDrafts, collect_drafts, digest_drafts, digest_words, normalise_words
from deemo_data.labels.label import PushRecord
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from tests.makers.labels import clip_at

EMOTIONS = load_emotions("emotions").labels
VIDEO = "Folded arms are held for 1.5 s – “well”, says the person."
REASONING = "Seen: the arms are folded. Weighing these clues, the most likely emotion seems to be …"
DATA = {"draft_clue_video": VIDEO, "draft_clue_audio": "", "draft_reasoning": REASONING, "transcript": "I said so, didn't I?"}


def drafts_of(data: dict[str, str] = DATA, *earlier: dict[str, str]) -> TaskDrafts:
    nfbl, clip = load_nfbl("nfbl"), SafeClip(clip_at(300, 450))
    pushes = [PushRecord.of(clip, nfbl, "mer_clues", None, digest_drafts(e)) for e in earlier]
    return collect_drafts(data, pushes, {}, EMOTIONS)


@pytest.mark.parametrize(
    ("kind", "text", "origin"),
    [
        ("clue_video", VIDEO, "untouched"),
        ("clue_video", f"  {VIDEO.upper()}\n\n", "untouched"),
        ("clue_video", VIDEO.replace(" ", "\u00a0 ").replace("–", "-").replace("“", '"'), "untouched"),
        ("clue_video", "Foldedarms are held for 1,5s wellsays the\u200b person", "untouched"),
        ("clue_text", VIDEO, "untouched"),  # copied into another box
        ("clue_text", "I said so, didn’t I", "untouched"),  # what the page showed
        ("clue_video", VIDEO.replace("1.5", "15"), "edited"),
        ("clue_video", VIDEO.replace("folded", "raised").replace("Folded", "Raised"), "edited"),
        ("clue_video", f"{VIDEO} They lean back.", "edited"),
        ("clue_audio", "Long pauses.", "written"),
        ("reasoning", REASONING, "untouched"),
        ("reasoning", REASONING.rstrip(" …") + ".", "untouched"),
        ("reasoning", REASONING.replace("…", "sad."), "completed"),
        ("reasoning", REASONING.replace(" …", "\n**Sad**"), "completed"),
        ("reasoning", REASONING.replace("…", "tired"), "edited"),
        ("reasoning", "They fold their arms, so they seem sad.", "edited"),
    ],
)
def test_where_a_text_comes_from(kind: str, text: str, origin: str) -> None:
    assert drafts_of().find_origin(kind, text) == origin


def test_a_draft_of_an_earlier_push_is_one_too() -> None:
    later = {"draft_clue_video": "Two events by now."}
    assert drafts_of(later).find_origin("clue_video", VIDEO) == "edited"
    assert drafts_of(later, DATA).find_origin("clue_video", VIDEO.lower()) == "untouched"
    assert drafts_of({}, DATA).find_origin("clue_video", "Something else") == "edited", "a draft was in that box"


def test_the_ledger_holds_no_text() -> None:
    digests = digest_drafts(DATA)
    assert sorted(digests) == ["clue_video", "reasoning"]
    assert all(len(d) == 16 and not set(d) - set("0123456789abcdef") for d in digests.values())


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_form_and_spaces_do_not_count(text: str) -> None:
    words = normalise_words(text)
    assert normalise_words(f"\t{text}\n ") == words
    assert normalise_words(unicodedata.normalize("NFD", unicodedata.normalize("NFC", text))) == words


@given(st.lists(st.sampled_from(["hands", "move", "naïve", "ß", "12", "手", "नमस्ते", "+3"]), min_size=1, max_size=6), st.data())
def test_other_words_are_another_text(parts: list[str], data: st.DataObject) -> None:
    text = " ".join(parts)
    place = data.draw(st.integers(0, len(parts)))
    assert digest_words(" ".join([*parts[:place], "zither", *parts[place:]])) != digest_words(text)
    assert digest_words("!  ".join(parts)) == digest_words(text)
