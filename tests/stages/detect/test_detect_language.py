"""The languages of a source: heard once for all its clips, or set by its owner."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.clip import Clip, Grid
from deemo_data.errors import ConfigError
from deemo_data.files import File
from deemo_data.media import sound
from deemo_data.models.speech import languages, whisper
from deemo_data.models.speech.languages import Window
from deemo_data.project.config import read_config
from deemo_data.stages.detect.detect_language import DetectLanguage

GERMAN = (
    "Am Anfang war es nicht leicht, weil ich niemanden kannte. Meine Schwester kam später nach, und dann haben wir zusammen eine "
    "kleine Bäckerei eröffnet."
)
SPOKEN = {  # by espeak-ng
    "de": GERMAN,
    "it": "All'inizio non è stato facile, perché non conoscevo nessuno. Mia sorella è arrivata più tardi.",
    "pl": "Na początku nie było łatwo, bo nikogo nie znałam. Moja siostra przyjechała później.",
}


def source_of(file: Path, seconds: float, has_sound: bool = True) -> Clip:
    grid = Grid(Fraction(25), False, Fraction(0), round(seconds * 25), 64, 48)
    facts = {"grid": grid.to_fact(), "has_sound": has_sound, "sound": sound.SOUND_AS_IT_IS}
    return Clip("s", "s", 0, grid.ms_at(grid.frames), {"source": File.of(file)}, facts)


def heard(clip: Clip, out: Path, **how: Any) -> dict[str, Any]:
    stage = DetectLanguage(**how)
    assert stage(clip.restrict_to(stage.needs), out) == {}
    made: dict[str, Any] = json.loads((out / "languages.json").read_text())
    assert set(made) == {"stretches", "windows"}
    return made


def codes(made: dict[str, Any]) -> list[str]:
    return [s["language"] for s in made["stretches"]]


def test_what_the_owner_says_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "load", lambda name: pytest.fail("it was loaded"))
    (tmp_path / "film").write_bytes(b"")
    made = heard(source_of(tmp_path / "film", 60), tmp_path, language="de")
    assert made == {"stretches": [{"start_ms": 0, "end_ms": 60_000, "language": "de", "probability": 1.0}], "windows": []}
    assert heard(source_of(tmp_path / "film", 60, has_sound=False), tmp_path) == {"stretches": [], "windows": []}


def test_all_windows_of_a_source_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first half minute alone is English."""
    rows = [Window(5000 * i, 5000 * i + 5000, 0.98 if i < 6 else 0.01, {"fr": 0.95}) for i in range(20)]
    monkeypatch.setattr(languages, "listen_for_languages", lambda *_: rows)
    monkeypatch.setattr(whisper, "load", lambda name: name)
    (tmp_path / "film").write_bytes(b"")
    made = heard(source_of(tmp_path / "film", 100), tmp_path)
    assert [(s["start_ms"], s["end_ms"], s["language"]) for s in made["stretches"]] == [
        (0, 30_000, "en"),
        (30_000, 100_000, "fr"),
    ]
    assert len(made["windows"]) == 20


@pytest.mark.parametrize("value", ["German", "DE", "d", ""])
def test_a_language_is_a_code(tmp_path: Path, value: str) -> None:
    (tmp_path / "deemo.toml").write_text(f'[detect_language]\nlanguage = "{value}"\n')
    with pytest.raises(ConfigError, match="language"):
        read_config(tmp_path / "deemo.toml")


def say(text: str, voice: str, path: Path) -> np.ndarray[Any, Any]:
    """Speech made by espeak-ng: (n,) float32 at 16 kHz, also written to `path`."""
    import soundfile

    if not shutil.which("espeak-ng"):
        pytest.skip("no espeak-ng: type apt-get install espeak-ng")
    subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(path), text], check=True)
    grid = Grid(Fraction(25), False, Fraction(0), int(soundfile.info(path).duration * 25), 64, 48)
    facts = {"grid": grid.to_fact(), "sound": sound.SOUND_AS_IT_IS}
    wave = sound.read_sound(Clip("s", "s", 0, grid.ms_at(grid.frames), {"source": File.of(path)}, facts))
    sound.write_wav(path, wave)
    return wave


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("voice", [pytest.param(v, marks=[pytest.mark.slow] if v != "it" else []) for v in SPOKEN])
def test_another_language_is_not_taken_for_english(tmp_path: Path, voice: str) -> None:
    wave = say(SPOKEN[voice], voice, tmp_path / "said.wav")
    made = heard(source_of(tmp_path / "said.wav", len(wave) / 16_000), tmp_path)
    assert made["stretches"]
    assert "en" not in codes(made)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("name", ["de.mp4", "zh.mp4"])
def test_the_two_recordings_that_passed_as_english(media: Path, tmp_path: Path, name: str) -> None:
    file = media.parent / "cases" / "foreign_speech" / name
    if not file.exists():
        pytest.skip("no cases: put them into ../shared/cases")
    made = heard(source_of(file, 4), tmp_path)
    assert made["stretches"]
    assert "en" not in codes(made)


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_an_english_question_and_a_german_answer_are_told_apart(media: Path, tmp_path: Path) -> None:
    import soundfile

    english, _ = soundfile.read(media / "audio/speakers_librispeech/3005/3005-163389-0003.flac", dtype="float32")
    german = say(GERMAN, "de", tmp_path / "german.wav")
    pause = np.zeros(12_000, np.float32)
    wave = np.concatenate([english, pause, german, pause, english])
    sound.write_wav(tmp_path / "both.wav", wave)
    made = heard(source_of(tmp_path / "both.wav", len(wave) / 16_000), tmp_path)
    assert [code == "en" for code in codes(made)] == [True, False, True]
    start, end = len(english) / 16, (len(english) + 24_000 + len(german)) / 16
    assert abs(made["stretches"][1]["start_ms"] - start) < 700
    assert abs(made["stretches"][1]["end_ms"] - end) < 700


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_real_english_is_english(media: Path, tmp_path: Path) -> None:
    """Readers, a telephone call, a meeting, somebody who talks outdoors, and GRID's word lists of two seconds."""
    import soundfile

    wrong = []
    files = sorted((media / "audio/speakers_librispeech").glob("*/*.flac"))
    files += [media / "audio/diar/sample.wav", *sorted((media / "audio/diar_ami").glob("*.wav"))]
    for file in files:
        made = heard(source_of(file, soundfile.info(file).duration), tmp_path)
        wrong += [file.name] if set(codes(made)) != {"en"} else []
    for name in (
        "talker_hands_speech_wim.mp4",
        "hikers_walking_audio_cc.mp4",
        *(f.name for f in (media / "video").glob("grid*")),
    ):
        made = heard(source_of(media / "video" / name, 16), tmp_path)
        wrong += [name] if set(codes(made)) != {"en"} else []
    assert len(wrong) <= 2, wrong  # two readers of old tales with foreign names, four to seven seconds each
