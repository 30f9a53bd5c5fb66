"""What a file says beside picture and sound is found, and so is a secret wherever it hides; our own files say nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deemo_data.audit.attacks.metadata import tags_of
from deemo_data.clip import Clip, Grid
from deemo_data.errors import MediaError
from deemo_data.files import File
from deemo_data.media import encode, ffmpeg, frames, probe, sound
from deemo_data.media.ffmpeg import find_ffmpeg
from deemo_data.project import search
from deemo_data.project.project import Project
from deemo_data.project.search import SecretHit, find_secrets
from deemo_data.stages.deidentify.assemble import Assemble
from deemo_data.workflow import export, ingest, run, segment

PLACE = "+40.7248-073.9883+044.000/"  # where the phone's clip says that it was taken
SECRET = "Zoë Quixote-Müller"


def ours(folder: Path) -> Path:
    """A file as every released one is made."""
    grid = Grid(Fraction(25), False, Fraction(0), 10, 64, 48)
    encode.write_video(folder / "v.mp4", (np.full((72, 64), 9 * i, np.uint8) for i in range(10)), grid, 21, "veryfast")
    sound.write_wav(folder / "v.wav", np.zeros(6400, np.float32))
    ffmpeg.join_video_and_sound(folder / "v.mp4", folder / "v.wav", folder / "safe.mp4")
    return folder / "safe.mp4"


def remuxed(source: Path, out: Path, *options: str) -> Path:
    command = [find_ffmpeg(), "-v", "error", "-nostdin", "-i", str(source), *options, "-c", "copy", "-y", str(out)]
    subprocess.run(command, check=True)
    return out


# ── one video ────────────────────────────────────────────────────────────────────────────────────────────────


def test_our_files_say_nothing(tmp_path: Path) -> None:
    assert tags_of(ours(tmp_path)) == []


def test_a_signature_of_the_encoder_is_seen(tmp_path: Path) -> None:
    """The picture before it is joined: x264 signs the first frame."""
    ours(tmp_path)
    found = {(t.where, t.name) for t in tags_of(tmp_path / "v.mp4")}
    assert ("pictures", "SEI units") in found
    assert ("bytes", "x264 - core") in found


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_tags_are_seen_in_every_container(tmp_path: Path, ending: str) -> None:
    told = remuxed(ours(tmp_path), tmp_path / f"told.{ending}", "-metadata", f"title={SECRET}", "-metadata", "comment=at home")
    values = {t.value for t in tags_of(told)}
    assert {SECRET, "at home"} <= values


def test_chapters_subtitles_and_cover_art_are_seen(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(f";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=200\ntitle={SECRET}\n")
    (tmp_path / "s.srt").write_text(f"1\n00:00:00,000 --> 00:00:00,300\n{SECRET}\n")
    cover = tmp_path / "cover.png"
    subprocess.run(
        [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1", str(cover)], check=True
    )
    with_chapters = remuxed(ours(tmp_path), tmp_path / "chapters.mkv", "-i", str(tmp_path / "c.txt"), "-map_chapters", "1")
    assert SECRET in {t.value for t in tags_of(with_chapters)}
    with_words = remuxed(ours(tmp_path), tmp_path / "words.mkv", "-i", str(tmp_path / "s.srt"), "-map", "0", "-map", "1")
    assert ("kind", "subtitle") in {(t.name, t.value) for t in tags_of(with_words)}
    art = ("-i", str(cover), "-map", "0", "-map", "1", "-disposition:v:1", "attached_pic")
    assert ("kind", "cover art") in {(t.name, t.value) for t in tags_of(remuxed(ours(tmp_path), tmp_path / "art.mp4", *art))}


def test_a_box_that_no_player_reads_is_seen(tmp_path: Path) -> None:
    safe = ours(tmp_path)
    note = SECRET.encode()
    told = tmp_path / "told.mp4"
    told.write_bytes(safe.read_bytes() + (8 + 16 + len(note)).to_bytes(4, "big") + b"uuid" + bytes(16) + note)
    assert [(t.where, t.name) for t in tags_of(told)] == [("boxes", "uuid")]


def test_a_phone_says_where_it_was(media: Path) -> None:
    found = {t.name: t.value for t in tags_of(media / "video" / "iphone4s_rotated_gps_noface.mov")}
    assert found["location"] == PLACE
    assert (found["make"], found["model"]) == ("Apple", "iPhone 4S")
    assert "\xa9xyz" in found


def test_nothing_of_a_phones_clip_is_left_when_it_is_assembled(media: Path, tmp_path: Path) -> None:
    phone = media / "video" / "iphone4s_rotated_gps_noface.mov"
    fact = probe.probe_video(phone)["grid"]
    clip = Clip("a", "a", 0, 1000, {"source": File(str(phone), "")}, {"grid": fact})
    encode.write_video(tmp_path / "masked.mp4", (f.yuv() for f in frames.read_frames(clip)), clip.grid, 21, "veryfast")
    sound.write_wav(tmp_path / "voice.wav", sound.read_sound(clip))
    made = {n: File(str(tmp_path / f), "") for n, f in (("masked", "masked.mp4"), ("voice", "voice.wav"))}
    (tmp_path / "out").mkdir()
    Assemble()(clip.with_results(made, {}), tmp_path / "out")
    assert tags_of(tmp_path / "out" / "safe.mp4") == []
    secrets = [PLACE, "40.7248", "iPhone 4S", "Apple", phone.stem, str(phone.parent)]
    assert find_secrets(tmp_path / "out", secrets) == []
    shutil.copy(phone, tmp_path / "out")
    assert {h.secret for h in find_secrets(tmp_path / "out", secrets)} == {0, 1, 2, 3, 4}


def test_what_is_no_media(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing of the kind")
    with pytest.raises(MediaError):
        tags_of(tmp_path / "a.mp4")


# ── a folder ─────────────────────────────────────────────────────────────────────────────────────────────────

WAYS = {
    "plain": SECRET.encode(),
    "large": SECRET.upper().encode(),
    "latin-1": SECRET.encode("latin-1"),
    "utf-16": SECRET.encode("utf-16"),
    "utf-16 from the other end": SECRET.encode("utf-16-be"),
    "json": json.dumps({"a": SECRET}).encode(),
    "address": b"https://example.org/Zo%C3%AB%20Quixote-M%C3%BCller.mp4",
    "file name": "zoë_quixote-müller".encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_found_however_it_is_written(tmp_path: Path, way: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(b"\0" * 99 + WAYS[way] + b"\0")
    assert find_secrets(tmp_path, ["not there", SECRET]) == [SecretHit("a/b.bin", "bytes", 1)]


def test_a_secret_in_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / f"{SECRET}.txt").write_bytes(b"")
    assert [(h.where, h.secret) for h in find_secrets(tmp_path, [SECRET])] == [("name", 0)]


def test_a_secret_across_two_parts_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHUNK_BYTES", 64)
    (tmp_path / "a").write_bytes(b"x" * 57 + SECRET.encode() + b"x" * 300)
    assert find_secrets(tmp_path, [SECRET]) == [SecretHit("a", "bytes", 0)]


@given(st.binary(min_size=3, max_size=40), st.integers(0, 200))
def test_bytes_are_found_too(tmp_path_factory: pytest.TempPathFactory, secret: bytes, at: int) -> None:
    folder = tmp_path_factory.mktemp("p")
    (folder / "a").write_bytes(b"\x01" * at + secret + b"\x02" * 5)
    assert SecretHit("a", "bytes", 0) in find_secrets(folder, [secret])


def test_a_secret_in_a_compressed_table_is_found_in_its_column(tmp_path: Path) -> None:
    words = [f"word {i}" for i in range(200)]
    deep = [[{"name": w, "raw": w.encode()}] for w in words] + [[{"name": None, "raw": SECRET.upper().encode()}], None]
    columns = {
        "text": pa.array([*words, f"and {SECRET} too", None]),
        "numbers": pa.array(range(202), pa.int32()),
        "deep": pa.array(deep),
        "class": pa.array([*words, SECRET, None]).dictionary_encode(),
    }
    table = pa.table(columns).replace_schema_metadata({"made of": SECRET})
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd")
    found = {h.where for h in find_secrets(tmp_path, [SECRET])}
    assert {"column text", "column deep", "column class", "schema"} <= found
    assert "column numbers" not in found
    assert find_secrets(tmp_path, ["nobody"]) == []


def test_a_hit_does_not_tell_the_secret(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(SECRET.encode())
    assert SECRET not in repr(find_secrets(tmp_path, [SECRET]))


def test_what_is_everywhere_is_not_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too short"):
        find_secrets(tmp_path, ["ok so", "a"])


# ── the whole line ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_nothing_of_a_phones_clip_is_left_in_what_is_released(media: Path, weights: Path, tmp_path: Path) -> None:
    phone = media / "video" / "iphone4s_rotated_gps_noface.mov"
    said = {t.value for t in tags_of(phone) if t.where == "container" and t.name != "compatible_brands" and len(t.value) > 6}
    assert PLACE in said
    (tmp_path / "s.csv").write_text(f"uri,subject,consent\n{phone},{SECRET},yes\n")
    project = Project.make(tmp_path / "project", "hardened")
    ingest.ingest_sources(project, str(tmp_path / "s.csv"), None)
    segment.segment_sources(project)
    run.run_project(project, workers=0)
    export.export_project(project)
    clips = list(project.released_dir.glob("*.mp4"))
    assert clips
    assert [tags_of(p) for p in clips] == [[]] * len(clips)
    family = SECRET.split()[1]  # three letters, as the first name has, are in any video by chance
    secrets = [*sorted(said), "40.7248", SECRET, family, phone.name, phone.stem, str(phone.parent), str(tmp_path)]
    for released in (project.released_dir, project.dataset_dir):
        assert find_secrets(released, secrets) == []
