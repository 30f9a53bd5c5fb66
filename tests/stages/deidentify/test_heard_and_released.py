"""Names in quiet sound: whatever the voice change makes audible, Whisper has heard before, and it is muted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deemo_data.clip import Clip
from deemo_data.files import File
from deemo_data.media import sound
from deemo_data.pipeline.stage import Stage
from deemo_data.stages.deidentify.anonymise_voice import AnonymiseVoice, measure_unheard_turns
from deemo_data.stages.deidentify.redact import Redact
from deemo_data.stages.detect.detect_language import DetectLanguage
from deemo_data.stages.detect.diarise import Diarise
from deemo_data.stages.detect.transcribe import Transcribe
from tests.makers.sounds import babble, level_db, say, whole_source, write_sound_film

KEY = "5a" * 32
SPOKEN = "Hello, my name is Walter Schneider and I live in Hamburg. My sister Patricia Reynolds works in Boston."
NAMES = ("walter", "schneider", "hamburg", "patricia", "reynolds", "boston")


def put_through(path: Path, folder: Path) -> Clip:
    """The film as a clip, through all stages of sound; everybody is the subject."""
    clip = whole_source(path, known_names=[], speakers_said={}, subject="s-1", secret=KEY)

    def run(stage: Stage, clip: Clip) -> Clip:
        out = folder / type(stage).__name__
        out.mkdir()
        facts = stage(clip.restrict_to(stage.needs), out)
        return clip.with_results({name: File.of(out / file) for name, file in stage.makes.items()}, facts)

    clip = run(DetectLanguage(language="en"), run(Diarise(), clip))
    speakers = {t["speaker"]: "subject" for t in json.loads(clip.path("turns").read_text())["turns"]}
    (folder / "roles.json").write_text(json.dumps({"speakers": speakers, "faces": {}, "body": "subject"}))
    clip = clip.with_results({"roles": File.of(folder / "roles.json")}, {})
    return run(AnonymiseVoice(), run(Redact(), run(Transcribe(), clip)))


def listen_again(clip: Clip) -> str:
    """What Whisper hears in the released voice."""
    from deemo_data.models.speech import whisper

    wave = sound.read_wav(clip.path("voice"))
    return " ".join(w.text for w in whisper.transcribe(whisper.load(), wave, "en")).lower()


def test_names_in_quiet_speech_are_muted(media: Path, weights: Path, tmp_path: Path) -> None:
    """Speech at -42 dB in the centre of 5.1 sound: once Whisper missed half of it, and the release said 'I live in Hamburg'."""
    clip = put_through(media.parent / "cases" / "quiet_speech" / "quiet42.mkv", tmp_path)
    assert clip.facts["sound"]["mix"] == "3"
    heard = " ".join(w["text"] for w in json.loads(clip.path("words").read_text())["words"])
    assert "Hamburg" in heard
    assert "Hamburg" not in clip.facts["transcript"]
    assert level_db(sound.read_wav(clip.path("voice"))) > -35, "it is released loud enough to be understood"
    released = listen_again(clip)
    assert "name" in released
    assert not any(name in released for name in ("hamburg", "wolfgang", "schneider", "reynolds"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "level", "gains", "codec", "rate", "layout", "direct"),
    [
        ("a.mp4", -40, (1, 1), "aac", 44_100, "", 0),
        ("b.mov", -60, (1,), "pcm_s16le", 16_000, "", 0),
        ("c.mp4", -73, (1,), "aac", 48_000, "", 0),
        ("d.mkv", -79, (1,), "pcm_s16le", 48_000, "", 0),
        ("e.mkv", -79, (1, 1), "flac", 32_000, "", 0),
        ("f.mkv", -42, (0, 0, 1, 0, 0, 0), "ac3", 48_000, "5.1", 0),
        ("g.mov", -50, (1, -1), "pcm_s16le", 48_000, "", 0),
        ("h.avi", -45, (0, 1), "mp3", 44_100, "", 0),
        ("i.mov", -70, (1,), "pcm_s24le", 48_000, "", 0.1),
    ],
)
def test_names_at_any_level_in_any_channel(
    tmp_path: Path,
    weights: Path,
    name: str,
    level: int,
    gains: tuple[float, ...],
    codec: str,
    rate: int,
    layout: str,
    direct: float,
) -> None:
    speech = np.concatenate([say(SPOKEN, tmp_path), np.zeros(8000)]) * 10 ** ((level + 20) / 20)
    film = write_sound_film(tmp_path / name, np.stack([g * speech for g in gains], axis=1) + direct, codec, rate, layout)
    clip = put_through(film, tmp_path)
    heard = " ".join(w["text"] for w in json.loads(clip.path("words").read_text())["words"]).lower()
    assert sum(name in heard for name in NAMES) >= 5
    released = listen_again(clip)
    assert not any(name in released for name in NAMES), released


@pytest.mark.slow
@pytest.mark.parametrize("level", [-40, -55, -70, -85])
def test_names_of_a_quiet_speaker_beside_a_loud_one(tmp_path: Path, weights: Path, level: int) -> None:
    """The microphone is on one person, and the other one asks from far away."""
    told = [
        say(t, tmp_path, "en-us+m3") for t in ("Well, that is a long story, and it began by the sea.", "Yes, we swam every day.")
    ]
    asked = say("Did you grow up in Liverpool with Margaret Thornton?", tmp_path, "en-gb+f2") * 10 ** ((level + 20) / 20)
    pause = np.zeros(4800)
    film = write_sound_film(tmp_path / "a.mkv", np.concatenate([told[0], pause, asked, pause, told[1]]), "flac", 48_000)
    clip = put_through(film, tmp_path)
    released = listen_again(clip)
    assert "story" in released
    assert not any(name in released for name in ("liverpool", "margaret", "thornton")), released


def test_speech_that_is_too_quiet_to_listen_to_is_counted() -> None:
    wave = np.concatenate([babble(4), babble(4, 2, -95), babble(4)])
    turns = [{"start_ms": 1000, "end_ms": 13_000, "speaker": "A"}]
    assert measure_unheard_turns(wave, turns, 1000) == pytest.approx(2.4, abs=0.6)
    assert measure_unheard_turns(wave, [], 1000) == 0
    assert measure_unheard_turns(wave * 1.0, [{"start_ms": 0, "end_ms": 4000, "speaker": "A"}], 0) == 0
    assert measure_unheard_turns(np.zeros(len(wave)), turns, 1000) == 0, "there is nothing in digital silence"
