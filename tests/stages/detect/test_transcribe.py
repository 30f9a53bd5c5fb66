"""Words of a clip: on the source's clock, whole at its edges, in its languages, and once more with the known names in mind."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.media import sound
from deemo_data.models.speech import silero, whisper
from deemo_data.models.speech.whisper import Passage, Word
from deemo_data.stages.detect import transcribe
from deemo_data.stages.detect.transcribe import Transcribe, widen_clip

HALE = "audio/speakers_librispeech/1688/1688-142285-0006.flac"  # "I don't think, Mr. Hale, you have done quite right ..."


def clip_of(source: Path, start_ms: int, end_ms: int, known: tuple[str, ...] = (), has_sound: bool = True) -> Clip:
    grid = Grid(Fraction(25), False, Fraction(0), 203, 64, 48)
    facts = {"grid": grid.to_fact(), "has_sound": has_sound, "known_names": list(known), "sound": sound.SOUND_AS_IT_IS}
    return Clip(f"s-{start_ms}-{end_ms}", "s", start_ms, end_ms, {"source": File.of(source)}, facts)


def languages_of(*stretches: tuple[int, int, str], windows: tuple[tuple[int, int], ...] = ()) -> dict[str, Any]:
    """What `detect_language` tells, with windows that nobody was in doubt about."""
    rows = [{"start_ms": s, "end_ms": e, "language": code, "probability": 0.9} for s, e, code in stretches]
    heard = [{"start_ms": s, "end_ms": e, "english": 0.99, "understanding": None} for s, e in windows]
    return {"stretches": rows, "windows": heard}


def transcribed(clip: Clip, out: Path, heard: dict[str, Any] | None = None, **how: Any) -> dict[str, Any]:
    """words.json; `facts` in it are those that the stage told."""
    out.mkdir(exist_ok=True)
    (out / "languages.json").write_text(json.dumps(heard or languages_of()))
    clip = clip.with_results({"languages": File.of(out / "languages.json")}, {})
    stage = Transcribe(**how)
    facts = stage(clip.restrict_to(stage.needs), out)
    assert set(facts) == {"language", "transcribe_notices"}
    said = json.loads((out / "words.json").read_text())
    assert set(said) == {"words", "before", "after", "dropped", "hinted", "others"}
    for word in [w for part in (said["before"], said["words"], said["after"], said["dropped"], *said["hinted"]) for w in part]:
        assert set(word) - {"doubtful"} == {"start_ms", "end_ms", "text", "probability"}
        assert type(word["start_ms"]) is type(word["end_ms"]) is int
    return said | {"facts": facts}


@pytest.mark.usefixtures("weights")
def test_times_are_the_sources_and_words_at_the_edges_are_whole(media: Path, tmp_path: Path) -> None:
    whole = transcribed(clip_of(media / HALE, 0, 8120), tmp_path / "whole")
    assert whole["before"] == whole["after"] == whole["hinted"] == whole["dropped"] == whole["others"] == []
    assert whole["facts"] == {"language": [], "transcribe_notices": []}
    long = next(w for w in whole["words"] if "introducing" in w["text"])
    middle = (long["start_ms"] + long["end_ms"]) // 2
    part = transcribed(clip_of(media / HALE, middle, 6000), tmp_path / "part")  # begins within the word
    first = part["words"][0]
    assert "introducing" in first["text"]
    assert abs(first["start_ms"] - long["start_ms"]) < 200
    assert part["before"]
    assert part["after"]
    assert part["before"][-1]["end_ms"] <= middle < part["words"][-1]["start_ms"] < 6000 <= part["after"][0]["start_ms"]
    deaf = transcribed(clip_of(media / HALE, middle, 6000), tmp_path / "deaf", context_ms=0)
    assert deaf["before"] == deaf["after"] == []
    assert "introducing" not in deaf["words"][0]["text"]


@pytest.mark.usefixtures("weights")
def test_known_names_are_listened_for(media: Path, tmp_path: Path) -> None:
    source = media / "audio/speakers_librispeech/2609/2609-156975-0002.flac"  # "... as we understand it. Lincoln"
    clip = clip_of(source, 6000, 8120, ("Lincoln", " ", "Lincoln"))
    wide = Clip(clip.id, clip.source, 6000, 10_700, clip.files, {**clip.facts, "grid": {**clip.facts["grid"], "frames": 268}})
    said = transcribed(wide, tmp_path)
    assert "Lincoln" not in " ".join(w["text"] for w in said["words"])  # Whisper tiny alone does not know him
    assert len(said["hinted"]) == 1
    assert "Lincoln" in " ".join(w["text"] for w in said["hinted"][0])


def test_a_silent_source_has_no_words_and_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEMO_MODELS", str(tmp_path / "none"))
    (tmp_path / "film").write_bytes(b"no sound is asked for")
    said = transcribed(clip_of(tmp_path / "film", 0, 1000, has_sound=False), tmp_path / "out")
    assert not any(said[name] for name in ("words", "before", "after", "dropped", "hinted", "others"))
    assert said["facts"] == {"language": [], "transcribe_notices": []}


@pytest.mark.parametrize(("start", "end", "wide"), [(0, 1000, (0, 3000)), (3000, 8000, (1000, 8120)), (0, 8120, (0, 8120))])
def test_more_is_listened_to_as_far_as_there_is_any(tmp_path: Path, start: int, end: int, wide: tuple[int, int]) -> None:
    (tmp_path / "film").write_bytes(b"")
    more = widen_clip(clip_of(tmp_path / "film", start, end), 2000)
    assert (more.start_ms, more.end_ms) == wide


def passage(text: str, start: float, log_probability: float = -0.3) -> Passage:
    """A passage of words of 400 ms, 500 ms apart."""
    words = tuple(Word(start + 0.5 * i, start + 0.5 * i + 0.4, w, 0.8) for i, w in enumerate(text.split()))
    return Passage(words, log_probability, 1.2, 0.05)


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, list[tuple[int, int]]]]:
    """Two networks that say made-up words; what they were asked is recorded: (network, language, spans)."""
    asked: list[tuple[str, str, list[tuple[int, int]]]] = []

    class Net:
        def __init__(self, name: str) -> None:
            self.name, self.model = name, type("M", (), {"is_multilingual": "base" in name})

    def hear(net: Net, wave: Any, spans: list[tuple[int, int]], language: str, hint: str = "") -> list[Passage]:
        asked.append((net.name, language, spans))
        if language != "en":
            return [passage("ich bin Wolfgang", spans[0][0] / 1000)]
        return [passage("so who are you", 0.1), passage("thanks for watching", 6.0, -1.3), passage("maybe this", 7.0, -0.9)]

    monkeypatch.setattr(whisper, "load", Net)
    monkeypatch.setattr(whisper, "hear_passages", hear)
    monkeypatch.setattr(whisper, "find_speech", lambda wave: [(0, 8000)])
    monkeypatch.setattr(sound, "read_levelled_sound", lambda clip: np.zeros(130_000, np.float32))
    return asked


def test_each_language_is_heard_by_its_network_and_what_was_made_up_is_told(
    tmp_path: Path, listeners: list[tuple[str, str, list[tuple[int, int]]]]
) -> None:
    (tmp_path / "film").write_bytes(b"")
    heard = languages_of((0, 2500, "en"), (2500, 5000, "de"), (5000, 8120, "en"), windows=((0, 2500), (2500, 5000), (5000, 7500)))
    said = transcribed(clip_of(tmp_path / "film", 0, 8120), tmp_path / "out", heard)
    assert listeners == [
        ("whisper-tiny-en-2a4410", "en", [(0, 2500), (5000, 8000)]),
        ("whisper-base-753752", "de", [(2500, 5000)]),
    ]
    assert " ".join(w["text"] for w in said["words"]) == "so who are you ich bin Wolfgang maybe this"
    assert [w["text"] for w in said["words"] if w.get("doubtful")] == ["maybe", "this"]
    assert [w["text"] for w in said["dropped"]] == ["thanks", "for", "watching"]
    assert [(s["start_ms"], s["end_ms"], s["language"]) for s in said["others"]] == [(2500, 5000, "de")]
    assert [(r["language"], r["share"]) for r in said["facts"]["language"]] == [("en", 0.667), ("de", 0.333)]
    told = {n["kind"]: n["text"] for n in said["facts"]["transcribe_notices"]}
    assert set(told) == {"invented_words", "doubtful_words", "other_language"}
    assert told["invented_words"].startswith("3 words in 1 passage (1.4 s)")
    assert told["doubtful_words"].startswith("2 words in 1 passage (0.9 s)")
    assert told["other_language"] == "33% of the speech is in another language than English (de)"
    assert not any("watching" in text or "Wolfgang" in text for text in told.values())


def test_a_window_in_doubt_is_told(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"")
    heard = languages_of((0, 3000, "en"), (3000, 8120, "de"), windows=((0, 3000), (3500, 6000), (7000, 8000)))
    for window in heard["windows"]:
        window["understanding"] = -0.9
    notices = transcribed(clip_of(tmp_path / "film", 0, 8120, has_sound=False), tmp_path / "out", heard)["facts"][
        "transcribe_notices"
    ]
    [unsure] = [n["text"] for n in notices if n["kind"] == "unsure_language"]  # the last window is too short to tell
    assert unsure == "for 5.5 s of its speech it was not clear whether it is English: 1 of 2 windows were taken for English"


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=4)


@given(SPANS, SPANS)
def test_all_speech_is_heard_once_and_no_english_network_hears_another_language(
    speech: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    def apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        made: list[tuple[int, int]] = []
        for start, size in sorted(spans):
            if not made or start * 1000 > made[-1][1]:
                made.append((start * 1000, (start + size) * 1000))
        return made

    speech, others = apart(speech), apart(others)
    rows = [{"start_ms": s + 500, "end_ms": e + 500, "language": "de"} for s, e in others]
    tasks = transcribe.plan_tasks(speech, rows, 500)  # the wave begins at 500 ms of the source
    heard = [(task.language, ms) for task in tasks for s, e in task.spans for ms in range(s, e, 100)]
    assert len(heard) == len(set(heard))
    assert sorted(ms for _, ms in heard) == sorted(ms for s, e in speech for ms in range(s, e, 100))
    assert all((language == "de") == any(s <= ms < e for s, e in others) for language, ms in heard)


@pytest.mark.usefixtures("weights")
def test_music_noise_and_hum_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sounds for which Whisper says "Thank you" when it is made to listen; Silero lets some of them through."""
    noise = np.random.default_rng(1).standard_normal(8 * 16_000)
    t = np.arange(8 * 16_000) / 16_000
    chords = sum(np.exp(-2 * (t % 1)) * np.sin(2 * np.pi * f * t) / 3 for f in (261, 329, 392))
    hum = sum(np.sin(2 * np.pi * 50 * h * t) / h for h in range(1, 8)) / 3
    (tmp_path / "film").write_bytes(b"")
    monkeypatch.setattr(whisper, "find_speech", lambda wave: [(0, 8000)])
    before = 0
    for number, wave in enumerate((noise / 10, chords / 3, hum / 3)):
        monkeypatch.setattr(sound, "read_levelled_sound", lambda clip, wave=wave: wave.astype(np.float32))
        said = transcribed(clip_of(tmp_path / "film", 0, 8000), tmp_path / str(number))
        before += len(said["dropped"])
        assert [w for w in said["words"] if not w.get("doubtful")] == []
        kinds = [n["kind"] for n in said["facts"]["transcribe_notices"]]
        assert ("invented_words" in kinds) == bool(said["dropped"])
    assert before > 0  # so there was something to drop
    assert silero.detect_speech((noise / 10).astype(np.float32)) == []
