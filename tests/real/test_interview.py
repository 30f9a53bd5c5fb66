"""An interview as it comes: a name banner, spoken names, tags that say where and who. Nothing of that is in what leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deemo_data.audit.attacks import metadata, screen, text
from deemo_data.files import File
from deemo_data.media.ffmpeg import ffmpeg_binary
from deemo_data.media.sound import read_wav
from deemo_data.project import search
from deemo_data.project.project import Project
from deemo_data.pseudonyms import public_id
from deemo_data.workflow import export, ingest, run, segment
from tests.makers.burnt_text import NAME, burnt, clip_of, fades

SPOKEN = ["Diane", "Sheila"]
EVERY = 10  # frames between those that are read


@pytest.fixture(scope="module")
def project(media: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Eight seconds of the talker, with a banner that fades in and out and a telephone call for sound, through the whole line."""
    folder = tmp_path_factory.mktemp("planted") / "Falkenberg_private_address"
    folder.mkdir()
    picture, told = folder / "picture.mp4", folder / "interview_Falkenberg.mp4"
    burnt(clip_of(media / "video" / "talker_hands_speech_wim.mp4", 8000), fades(1, 7), picture)
    sound = ["-ss", "12.5", "-t", "8", "-i", str(media / "audio/diar/sample.wav")]
    tags = ["title=Johanna Falkenberg", "artist=Gustav Quellnhofer", "location=+60.1699+024.9384/", "comment=12 Kirchgasse"]
    said = [o for tag in tags for o in ("-metadata", tag)]
    command = [ffmpeg_binary(), "-v", "error", "-i", str(picture), *sound, "-map", "0:v", "-map", "1:a", "-c:v", "copy",
               "-movflags", "use_metadata_tags", *said, str(told)]  # fmt: skip
    subprocess.run(command, check=True)
    (folder / "s.csv").write_text(
        f"uri,subject,known_names,consent,start_ms,end_ms\n{told.name},Johanna Falkenberg,Sheila,signed,0,8000\n"
    )
    project = Project.make(folder.parent / "project", "hardened")
    (project.private / "secret.key").write_text("17" * 32)  # another secret is another voice, which Whisper hears otherwise
    _, refused = ingest.ingest(project, str(folder / "s.csv"), None)
    _, uncut = segment.segment(project)
    done, missing = run.run(project, workers=0)
    made, kept = export.export(project)
    assert (refused, uncut, missing, kept, len(done), made.clips) == ([], [], [], [], 1, 1)
    return project


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_banner_cannot_be_read(project: Project) -> None:
    (clip,) = project.clips()
    assert screen.names_seen([NAME], screen.read_clip(clip, EVERY)).share == 1, "there was something to hide"
    released = project.released / f"{public_id(project.secret, 'c', clip.id)}.mp4"
    assert screen.names_seen([NAME], screen.read_frames(released, EVERY)).share == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_names_cannot_be_heard(project: Project) -> None:
    from deemo_data.media.sound import read_sound

    (clip,) = project.clips()
    assert text.names_recalled(SPOKEN, text.heard(read_sound(clip))).share == 1, "there was something to hide"
    heard = text.heard(read_wav(clip.path("voice")))
    assert text.names_recalled(SPOKEN, heard).share == 0
    assert text.names_recalled(SPOKEN, clip.facts["transcript"]).share == 0
    assert "[NAME]" in clip.facts["transcript"]
    assert len(text.plain_words(heard)) > 8, "and the rest is still said"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_byte_that_leaves_knows_who_or_where(project: Project) -> None:
    (clip,) = project.clips()
    secrets = [
        "Falkenberg", "Johanna", "Quellnhofer", "60.1699", "Kirchgasse", "private_address", clip.source, clip.id,
        clip.files["source"].sha256, File.of(clip.path("masked")).sha256, str(project.store), project.secret.hex(),
    ]  # fmt: skip
    for folder in (project.released, project.dataset):
        assert search.find_secrets(folder, secrets) == []
        for video in folder.rglob("*.mp4"):
            assert metadata.tags_of(video) == []
    assert search.find_secrets(clip.path("source").parent, secrets[:1]), "the search finds what is there"
