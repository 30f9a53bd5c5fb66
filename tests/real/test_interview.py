"""An interview as it comes: a name banner, spoken names, tags that say where and who. Nothing of that is in what leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deemo_data.audit.attacks import metadata, screen, text
from deemo_data.files import File
from deemo_data.media.ffmpeg import find_ffmpeg
from deemo_data.media.sound import read_wav
from deemo_data.project import search
from deemo_data.project.clips import read_project_clips
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
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
    command = [find_ffmpeg(), "-v", "error", "-i", str(picture), *sound, "-map", "0:v", "-map", "1:a", "-c:v", "copy",
               "-movflags", "use_metadata_tags", *said, str(told)]  # fmt: skip
    subprocess.run(command, check=True)
    (folder / "s.csv").write_text(
        f"uri,subject,known_names,consent,start_ms,end_ms\n{told.name},Johanna Falkenberg,Sheila,signed,0,8000\n"
    )
    project = Project.make(folder.parent / "project", "hardened")
    (project.private_dir / "secret.key").write_text("17" * 32)  # another secret is another voice, which Whisper hears otherwise
    _, refused = ingest.ingest_sources(project, str(folder / "s.csv"), None)
    _, uncut = segment.segment_sources(project)
    done, missing = run.run_project(project, workers=0)
    made, kept = export.export_project(project)
    assert (refused, uncut, missing, kept, len(done), made.clips) == ([], [], [], [], 1, 1)
    return project


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_banner_cannot_be_read(project: Project) -> None:
    (clip,) = read_project_clips(project)
    assert screen.recall_names_in_lines([NAME], screen.read_text_of_clip(clip, EVERY)).share == 1, "there was something to hide"
    released = project.released_dir / f"{derive_public_id(project.secret, 'c', clip.id)}.mp4"
    assert screen.recall_names_in_lines([NAME], screen.read_text_of_file(released, EVERY)).share == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_names_cannot_be_heard(project: Project) -> None:
    from deemo_data.media.sound import read_sound

    (clip,) = read_project_clips(project)
    assert text.recall_names(SPOKEN, text.transcribe_wave(read_sound(clip))).share == 1, "there was something to hide"
    heard = text.transcribe_wave(read_wav(clip.path("voice")))
    assert text.recall_names(SPOKEN, heard).share == 0
    assert text.recall_names(SPOKEN, clip.facts["transcript"]).share == 0
    assert "[NAME]" in clip.facts["transcript"]
    assert len(text.extract_folded_words(heard)) > 8, "and the rest is still said"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_byte_that_leaves_knows_who_or_where(project: Project) -> None:
    (clip,) = read_project_clips(project)
    secrets = [
        "Falkenberg", "Johanna", "Quellnhofer", "60.1699", "Kirchgasse", "private_address", clip.source, clip.id,
        clip.files["source"].sha256, File.of(clip.path("masked")).sha256, str(project.store_dir), project.secret.hex(),
    ]  # fmt: skip
    for folder in (project.released_dir, project.dataset_dir):
        assert search.find_secrets(folder, secrets) == []
        for video in folder.rglob("*.mp4"):
            assert metadata.tags_of(video) == []
    assert search.find_secrets(clip.path("source").parent, secrets[:1]), "the search finds what is there"
