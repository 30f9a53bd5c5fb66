"""Words of a clip: on the source's clock, whole at its edges, and a second time with the known names in mind."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.stages.detect.transcribe import Transcribe, widen_clip

HALE = "audio/speakers_librispeech/1688/1688-142285-0006.flac"  # "I don't think, Mr. Hale, you have done quite right ..."


def clip_of(source: Path, start_ms: int, end_ms: int, known: tuple[str, ...] = (), has_sound: bool = True) -> Clip:
    grid = Grid(Fraction(25), False, Fraction(0), 203, 64, 48)
    facts = {"grid": grid.to_fact(), "has_sound": has_sound, "known_names": list(known)}
    return Clip(f"s-{start_ms}-{end_ms}", "s", start_ms, end_ms, {"source": File.of(source)}, facts)


def transcribed(clip: Clip, out: Path, **how: Any) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    stage = Transcribe(**how)
    assert stage(clip.restrict_to(stage.needs), out) == {}
    said = json.loads((out / "words.json").read_text())
    assert set(said) == {"language", "words", "before", "after", "hinted"}
    for word in [w for part in (said["before"], said["words"], said["after"], *said["hinted"]) for w in part]:
        assert set(word) == {"start_ms", "end_ms", "text", "probability"}
        assert type(word["start_ms"]) is type(word["end_ms"]) is int
    return said


@pytest.mark.usefixtures("weights")
def test_times_are_the_sources_and_words_at_the_edges_are_whole(media: Path, tmp_path: Path) -> None:
    whole = transcribed(clip_of(media / HALE, 0, 8120), tmp_path / "whole")
    assert whole["before"] == whole["after"] == whole["hinted"] == []
    assert whole["language"] == "en"
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
    assert said == {"language": "en", "words": [], "before": [], "after": [], "hinted": []}


@pytest.mark.parametrize(("start", "end", "wide"), [(0, 1000, (0, 3000)), (3000, 8000, (1000, 8120)), (0, 8120, (0, 8120))])
def test_more_is_listened_to_as_far_as_there_is_any(tmp_path: Path, start: int, end: int, wide: tuple[int, int]) -> None:
    (tmp_path / "film").write_bytes(b"")
    more = widen_clip(clip_of(tmp_path / "film", start, end), 2000)
    assert (more.start_ms, more.end_ms) == wide
