"""What may be read and what may not be heard: marks, muted spans, and the proof by ear."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.audit.attacks import text as attack
from deemo_data.clip import Clip, Grid
from deemo_data.errors import ModelError
from deemo_data.files import File
from deemo_data.media import sound
from deemo_data.models.runtime import weights
from deemo_data.models.text.known_names import NameSpan
from deemo_data.stages.deidentify import redact
from deemo_data.stages.deidentify.redact import Redact
from deemo_data.stages.detect.transcribe import Transcribe


def word(text: str, start: int, end: int, probability: float = 0.9) -> dict[str, Any]:
    return {"start_ms": start, "end_ms": end, "text": text, "probability": probability}


def told(text: str, zero: int = 0) -> list[dict[str, Any]]:
    """Words of 500 ms, 100 ms apart."""
    return [word(w, zero + 600 * i, zero + 600 * i + 500) for i, w in enumerate(text.split())]


def redacted(tmp_path: Path, words: list[dict[str, Any]], known: tuple[str, ...] = (), **how: Any) -> tuple[str, list[list[int]]]:
    """The transcript and the muted spans of a clip from 0 to 10 s."""
    said = {"words": words, "before": [], "after": [], "dropped": [], "hinted": [], "others": []} | how.pop("around", {})
    (tmp_path / "words.json").write_text(json.dumps(said))
    clip = Clip("s-0-10000", "s", 0, 10_000, {"words": File.of(tmp_path / "words.json")}, {"known_names": list(known)})
    stage = Redact(**how)
    facts = stage(clip.restrict_to(stage.needs), tmp_path)
    assert list(facts) == ["transcript", "redact_notices"]
    return facts["transcript"], json.loads((tmp_path / "mute_spans.json").read_text())["spans"]


def test_one_name_has_one_mark_and_another_name_another(tmp_path: Path) -> None:
    words = told("So Rafael met Toni, and Nadel's coach saw Toni's car. Rafael Nadal? Yes. Nadal!")
    text, spans = redacted(tmp_path, words, ("Toni", "Rafael Nadal"), names="known")
    assert text == "So [NAME] met [NAME2], and [NAME]'s coach saw [NAME2]'s car. [NAME]? Yes. [NAME]!"
    assert spans[0] == [600 - 150, 1100 + 150]


@pytest.mark.usefixtures("weights")
def test_what_spacy_finds_is_marked_by_its_kind(tmp_path: Path) -> None:
    text, spans = redacted(tmp_path, told("This is Diane in New Jersey and I work for Harvard University, said Diane."))
    assert text == "This is [NAME] in [PLACE] and I work for [ORG], said [NAME]."
    assert len(spans) == 4
    assert all(any(s < 600 * i + 250 < e for s, e in spans) for i in (2, 4, 5, 10, 11, 13))
    assert not any(s < 600 * i + 250 < e for s, e in spans for i in (0, 1, 7, 8))


def test_without_redaction_the_words_stay_and_no_model_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEMO_MODELS", str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "deemo_data.models.text.names", None)
    assert redacted(tmp_path, told("This is Diane."), ("Diane",), names="none") == ("This is Diane.", [])
    assert redacted(tmp_path, [], names="none") == ("", [])


def test_where_nothing_is_said_no_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deemo_data.models.text import names

    monkeypatch.setattr(names, "load", lambda name: pytest.fail("it was loaded"))
    assert redacted(tmp_path, [], known=("Rafael",)) == ("", [])


def test_without_the_names_model_nothing_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deemo_data.models.text import names

    monkeypatch.setenv("DEEMO_MODELS", str(tmp_path / "none"))
    weights.path_of.cache_clear()
    names.load.cache_clear()
    with pytest.raises(ModelError, match="spacy-en-md-144b7c are missing") as caught:
        redacted(tmp_path, told("This is Diane."))
    assert caught.value.advice == "Type: deemo models pull"
    assert not (tmp_path / "mute_spans.json").exists()
    weights.path_of.cache_clear()


def in_other_languages(*stretches: tuple[int, int, str]) -> dict[str, Any]:
    """What `transcribe` tells about stretches of other languages."""
    return {"others": [{"start_ms": s, "end_ms": e, "language": code, "probability": 0.9} for s, e, code in stretches]}


def test_another_language_is_muted_as_a_whole_and_nothing_of_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deemo_data.models.text import names

    monkeypatch.setattr(names, "load", lambda name: pytest.fail("no English word is there to look at"))
    around = in_other_languages((-2000, 12_000, "de"))
    text, spans = redacted(tmp_path, told("Ich bin Jürgen Schmidt."), ("Jürgen",), around=around)
    assert (text, spans) == ("", [[0, 10_000]])
    assert redacted(tmp_path, [], around=around) == ("", [[0, 10_000]])  # also where Whisper heard no word in it


@pytest.mark.usefixtures("weights")
def test_a_stretch_of_another_language_is_muted_to_the_english_words_beside_it(tmp_path: Path) -> None:
    words = [*told("This is Diane."), *told("Ich bin Jürgen.", 4000), *told("And who are you?", 7000)]
    text, spans = redacted(tmp_path, words, around=in_other_languages((2000, 6500, "de")))
    assert text == "This is [NAME]. [MUTED] And who are you?"
    assert any(s <= 2000 and e == 6500 for s, e in spans)
    assert sum(e - s for s, e in spans) < 6500


@pytest.mark.usefixtures("weights")
def test_a_listed_name_is_muted_in_another_language_where_its_words_are_kept(tmp_path: Path) -> None:
    words = [*told("This is Diane."), *told("Ich bin Jürgen aus Hamburg.", 4000)]
    around = in_other_languages((2000, 10_000, "de"))
    text, spans = redacted(tmp_path, words, ("Jürgen",), around=around, other_languages="known")
    assert text == "This is [NAME]. Ich bin [NAME2] aus Hamburg."
    assert any(s <= 5200 and e >= 5700 for s, e in spans)
    assert spans[-1][1] < 6500
    text, spans = redacted(tmp_path, words, ("Jürgen",), around=around, names="known")
    assert text == "This is Diane. Ich bin [NAME] aus Hamburg."
    assert redacted(tmp_path, words, ("Jürgen",), around=around, names="none")[1] == []


def test_a_clip_in_another_language_is_withheld_where_that_was_chosen(tmp_path: Path) -> None:
    words, around = told("Ich bin Jürgen."), in_other_languages((0, 10_000, "de"))
    with pytest.raises(ModelError, match=r"clip s-0-10000 has speech in another language \(de\)") as caught:
        redacted(tmp_path, words, ("Jürgen",), around=around, other_languages="withhold")
    assert 'other_languages = "mute"' in caught.value.advice
    beside = in_other_languages((10_000, 12_000, "de"))  # in the seconds after the clip only
    assert redacted(tmp_path, [], around=beside, other_languages="withhold") == ("", [])


def test_what_was_muted_is_told_without_what_was_said(tmp_path: Path) -> None:
    said = {"words": told("Ich bin Jürgen."), "before": [], "after": [], "dropped": [], "hinted": []}
    (tmp_path / "words.json").write_text(json.dumps(said | in_other_languages((2500, 10_500, "de"))))
    clip = Clip("s-0-10000", "s", 0, 10_000, {"words": File.of(tmp_path / "words.json")}, {"known_names": ["Jürgen"]})
    [notice] = Redact()(clip, tmp_path)["redact_notices"]
    assert notice["kind"] == "other_language_muted"
    assert notice["text"].startswith("7.5 of 10.0 s are muted")
    assert "(de)" in notice["text"]
    assert "Jürgen" not in notice["text"]


def test_invented_words_are_in_no_transcript_and_their_names_are_muted_all_the_same(tmp_path: Path) -> None:
    invented = {"dropped": told("Thanks for watching, Rafael!", 5000)}
    text, spans = redacted(tmp_path, told("It was good."), ("Rafael",), names="known", around=invented)
    assert text == "It was good."
    assert len(spans) == 1
    assert spans[0][0] <= 6800
    assert spans[0][1] >= 7300
    assert redacted(tmp_path, [], ("Rafael",), names="known", around=invented)[0] == ""


def test_doubtful_words_become_one_mark(tmp_path: Path) -> None:
    unclear = [{**w, "doubtful": True} for w in told("thank you very much", 2000)]
    words = [*told("It was good."), *unclear, *told("Rafael said so.", 5000)]
    assert redacted(tmp_path, words, ("Rafael",), names="known")[0] == "It was good. [UNCLEAR] [NAME] said so."
    assert redacted(tmp_path, unclear, (), names="known") == ("", [])
    named = [{**w, "doubtful": True} for w in told("Then Rafael said so.")]
    assert redacted(tmp_path, named, ("Rafael",), names="known")[0] == "[UNCLEAR] [NAME] [UNCLEAR]"


TEXTS = st.sampled_from(["Rafael", "came", "home", "Toni", "and", "then"])
ROWS = st.lists(
    st.tuples(TEXTS, st.integers(0, 9), st.sampled_from(["said", "doubtful", "dropped"])), max_size=10, unique_by=lambda r: r[1]
)


@given(ROWS, st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), max_size=2))
def test_a_transcript_shows_only_what_was_said_and_is_no_name(
    rows: list[tuple[str, int, str]], foreign: list[tuple[int, int]]
) -> None:
    """Whatever is dropped, doubtful or muted: no such word is shown, all others are, and no listed name is readable."""
    words = [
        {**word(text, 1000 * at, 1000 * at + 900), **({} if how == "said" else {how: True})}
        for text, at, how in sorted(rows, key=lambda r: r[1])
    ]
    spans = redact.merge_spans([(1000 * s, 1000 * (s + n)) for s, n in foreign], 0, 10_000)
    heard = [w for w in words if not redact._lies_in(w, [(s, e) for s, e in spans])]
    names = [NameSpan(i, i + 1, "NAME", (w["text"].lower(),)) for i, w in enumerate(heard) if w["text"] in ("Rafael", "Toni")]
    shown, kept = redact.select_shown_words(heard, names, spans, Clip("s", "s", 0, 10_000))
    text = redact.mark_names(shown, kept, 0, len(shown))
    assert "Rafael" not in text
    assert "Toni" not in text
    plain = [w["text"] for w in heard if w["text"] not in ("Rafael", "Toni") and not w.get("dropped") and not w.get("doubtful")]
    assert [t for t in text.split() if not t.startswith("[")] == plain
    assert text.count("[MUTED]") == len(spans)
    assert text.count("[NAME") == sum(not heard[n.first].get("dropped") for n in names)


def test_errors_and_files_tell_no_name(tmp_path: Path) -> None:
    redacted(tmp_path, told("This is Diane."), ("Diane",), names="known")
    assert b"Diane" not in (tmp_path / "mute_spans.json").read_bytes()


def test_a_name_that_only_the_hinted_look_heard_is_marked_too(tmp_path: Path) -> None:
    words = told("the two strives was quite near")
    hinted = [word("Zarathustra", 0, 1700), *told("was quite near", 1800)]
    text, spans = redacted(tmp_path, words, ("Zarathustra",), names="known", around={"hinted": [hinted]})
    assert text == "[NAME] was quite near"
    assert spans == [[0, 1700 + 150]]
    lone = [word("Zarathustra", 5000, 5600)]
    text, spans = redacted(tmp_path, words, ("Zarathustra",), names="known", around={"hinted": [[], lone]})
    assert text == "the two strives was quite near"
    assert len(spans) == 1
    assert spans[0][0] < 5000
    assert spans[0][1] > 5600


def test_a_name_that_a_hint_made_whisper_say_over_and_over_is_not_believed(tmp_path: Path) -> None:
    words = told("when however the people came near to us")
    looped = [word("Zarathustra", 300 * i, 300 * i + 250) for i in range(20)]
    text, spans = redacted(tmp_path, words, ("Zarathustra",), names="known", around={"hinted": [looped]})
    assert (text, spans) == ("when however the people came near to us", [])


def test_a_word_beside_a_name_that_nobody_is_sure_of_goes_with_it(tmp_path: Path) -> None:
    words = [word("Rafael", 0, 300), word("noodle", 300, 600, 0.2), word("came", 700, 900)]
    assert redacted(tmp_path, words, ("Rafael",), names="known")[0] == "[NAME] came"
    words[1]["probability"] = 0.8
    assert redacted(tmp_path, words, ("Rafael",), names="known")[0] == "[NAME] noodle came"
    words[1] |= {"probability": 0.2, "text": "and"}
    assert redacted(tmp_path, words, ("Rafael",), names="known")[0] == "[NAME] and came"


def test_a_name_across_the_edge_is_muted_to_the_edge(tmp_path: Path) -> None:
    around = {"before": [word("Rafael", -900, -300)], "after": [word("Nadal", 10_100, 10_400)]}
    words = [word("Nadal", -200, 150), word("is", 300, 400), word("Rafael", 9800, 10_050)]
    text, spans = redacted(tmp_path, words, ("Rafael Nadal",), names="known", around=around)
    assert text == "[NAME] is [NAME]"
    assert spans[0][0] == 0
    assert spans[-1][1] == 10_000


TIMES = st.integers(-3000, 13_000)


@given(st.lists(st.tuples(TIMES, TIMES)))
def test_merged_spans_are_apart_within_the_clip_and_cover_what_they_covered(pairs: list[tuple[int, int]]) -> None:
    spans = [(min(p), max(p)) for p in pairs]
    made = redact.merge_spans(spans, 0, 10_000)
    assert all(0 <= s < e <= 10_000 for s, e in made)
    assert all(a[1] < b[0] for a, b in pairwise(made))
    for start, end in spans:
        for t in (max(start, 0), (start + end) // 2, min(end, 10_000) - 1):
            if start <= t < end and 0 <= t < 10_000:
                assert any(s <= t < e for s, e in made)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 400)), min_size=1, max_size=8), st.data())
def test_a_span_holds_the_name_and_the_time_its_letters_need(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    words, at = [], 0
    for gap, length in steps:
        words.append(word("Sheila", at + gap, at + gap + length))
        at += gap + length
    first = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(first + 1, len(words)))
    start_ms, end_ms = redact.span_of_name(words, NameSpan(first, end, "NAME", ()), 150)
    assert start_ms <= words[first]["start_ms"] - 150
    assert end_ms >= words[end - 1]["end_ms"] + 150
    assert end_ms - start_ms >= 300 + redact.MIN_LETTER_MS * 6 * (end - first)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("file", "known", "spoken", "stays"),
    [
        ("2609/2609-156975-0000", (), ("Moses",), "afraid and said surely the thing is known"),
        pytest.param(  # heard as Sherbourne
            "3005/3005-163389-0003", ("Sherburn",), ("Sherburn",), "the people tried a little", marks=pytest.mark.slow
        ),
    ],
)
def test_a_spoken_name_is_not_heard_any_more_and_what_is_around_it_is(
    media: Path, tmp_path: Path, file: str, known: tuple[str, ...], spoken: tuple[str, ...], stays: str
) -> None:
    clip, facts, spans = of_sound(media / "audio/speakers_librispeech" / f"{file}.flac", tmp_path, known)
    wave = sound.read_sound(clip)
    assert attack.recall_names(list(spoken), attack.transcribe_wave(wave)).share == 1  # so there was something to hide
    for start, end in spans:
        wave[start * 16 : end * 16] = 0
    heard = attack.transcribe_wave(wave)
    assert attack.recall_names(list(spoken), heard).share == 0
    assert attack.recall_names(list(spoken), facts["transcript"]).share == 0
    assert "[NAME]" in facts["transcript"]
    assert stays in heard.lower().replace(",", "")
    assert sum(e - s for s, e in spans) < 0.3 * (clip.end_ms - clip.start_ms)


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_a_telephone_call_loses_its_names_and_places_and_little_else(media: Path, tmp_path: Path) -> None:
    spoken = ["Diane", "Sheila", "New Jersey", "Texas", "Chicago"]
    clip, facts, spans = of_sound(media / "audio/diar/sample.wav", tmp_path, ())
    wave = sound.read_sound(clip)
    before = attack.transcribe_wave(wave)
    assert attack.recall_names(spoken, before).share == 1
    for start, end in spans:
        wave[start * 16 : end * 16] = 0
    after = attack.transcribe_wave(wave)
    assert attack.recall_names(["Diane", "Sheila", "Jersey", "Texas", "Chicago"], after).share == 0
    assert attack.recall_names(["Diane", "Sheila", "Jersey", "Texas", "Chicago"], facts["transcript"]).share == 0
    # Read off the transcript: what Whisper makes of sound with holes differs between processors, and is no fault of Redact.
    for stays in ("i didn't know you were there", "isn't that much difference", "call me a yankee down here"):
        assert stays in facts["transcript"].lower()
    assert sum(e - s for s, e in spans) < 0.3 * (clip.end_ms - clip.start_ms)
    assert facts["transcript"].count("[") == 8
    assert facts["transcript"].count("[PLACE3]") == 2  # Chicago, twice


def of_sound(source: Path, tmp_path: Path, known: tuple[str, ...]) -> tuple[Clip, dict[str, Any], list[list[int]]]:
    """A clip of all of a sound, its facts and its muted spans, by the two stages."""
    import soundfile

    frames = int(soundfile.info(source).duration * 25)
    grid = Grid(Fraction(25), False, Fraction(0), frames, 64, 48)
    facts = {"grid": grid.to_fact(), "has_sound": True, "known_names": list(known)}
    clip = Clip("s-0", "s", 0, grid.ms_at(frames), {"source": File.of(source)}, facts)
    (tmp_path / "languages.json").write_text(json.dumps({"stretches": [], "windows": []}))
    clip = clip.with_results({"languages": File.of(tmp_path / "languages.json")}, {"sound": sound.SOUND_AS_IT_IS})
    Transcribe()(clip.restrict_to(Transcribe.needs), tmp_path)
    clip = clip.with_results({"words": File.of(tmp_path / "words.json")}, {})
    made = Redact()(clip.restrict_to(Redact.needs), tmp_path)
    return clip, made, json.loads((tmp_path / "mute_spans.json").read_text())["spans"]
