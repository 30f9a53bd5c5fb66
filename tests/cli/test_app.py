"""What the person at the keyboard sees: exit statuses, and one line for everything that can be wrong with the input."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deemo_data import files
from deemo_data.cli import app
from deemo_data.sources import isolated_probe
from deemo_data.stages.detect.track_body import TrackBody
from tests.makers.commands import Said, only_line, process

CONSENT = ("--consent", "they said yes")


Deemo = Callable[..., Said]


@pytest.fixture
def deemo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Deemo:
    """`deemo ARGUMENTS` through its real entry point, in this process. Anything but our own errors comes through."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["deemo", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            app.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        code = end.value.code
        return Said(code if isinstance(code, int) else 1 if code else 0, said.out, said.err)

    return call


@pytest.fixture
def eat(media: Path) -> Path:
    """A person of 1.6 s without sound, so that nothing but the shot detector is needed to segment it."""
    return media / "video" / "asl_eat.mkv"


@pytest.fixture
def project(tmp_path: Path, deemo: Deemo) -> Path:
    assert deemo("init", tmp_path / "project").status == 0
    return tmp_path / "project"


@pytest.fixture
def cut(project: Path, eat: Path, deemo: Deemo) -> Path:
    """A project of one clip that no stage has seen."""
    assert deemo("ingest", project, eat, *CONSENT).status == 0
    assert deemo("segment", project).status == 0
    return project


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ── exit status, help ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [(), *((n,) for n in sorted(app.cli.commands)), ("models", "pull"), ("models", "list")])
def test_every_command_has_help(deemo: Deemo, name: Sequence[str]) -> None:
    said = deemo(*name, "--help")
    assert said.status == 0
    assert said.out.startswith("Usage: deemo")
    assert not said.err


def test_all_done_is_0_some_refused_is_1_cannot_is_2(project: Path, eat: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "footage").mkdir()
    shutil.copyfile(eat, tmp_path / "footage" / "a.mkv")
    assert deemo("ingest", project, tmp_path / "footage").status == 0
    (tmp_path / "footage" / "b.mkv").touch()
    assert deemo("ingest", project, tmp_path / "footage").status == 1
    assert deemo("ingest", project, tmp_path / "elsewhere").status == 2
    assert process("ingest", project, tmp_path / "elsewhere").status == 2


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("run",), ("run", "x", "--workers", "-1"), ("run", "x", "--nonsense"), ("push",)]
)
def test_what_click_does_not_understand_is_2(deemo: Deemo, arguments: Sequence[str]) -> None:
    said = deemo(*arguments)
    assert said.status == 2
    assert "Usage: deemo" in said.err


def test_a_profile_that_is_not_there_lists_those_that_are(tmp_path: Path, deemo: Deemo) -> None:
    said = deemo("init", tmp_path / "p", "--profile", "soft")
    assert said.status == 2
    line = only_line(said)
    assert "soft" in line
    assert "hardened, deemo-paper" in line
    assert not (tmp_path / "p").exists()


def test_init_again_keeps_everything(project: Path, deemo: Deemo) -> None:
    (project / "deemo.toml").write_text((project / "deemo.toml").read_text() + "\n# mine\n")
    before = contents(project)
    assert deemo("init", project).status == 0
    assert deemo("init", project, "--profile", "hardened").status == 0
    assert contents(project) == before
    said = deemo("init", project, "--profile", "deemo-paper")
    assert said.status == 2, "a profile is chosen once; to be silent about it would be worse"
    assert "was made from the profile hardened" in only_line(said)
    assert contents(project) == before


# ── a folder that is no project, or a project not far enough ─────────────────────────────────────────────────

IN_A_PROJECT = [
    ("ingest", "P", "S"), ("segment", "P"), ("run", "P"), ("status", "P"), ("push", "P", "--to-file", "F"),
    ("pull", "P", "--from-file", "E"), ("export", "P"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", IN_A_PROJECT, ids=lambda a: a[0])
def test_not_a_project_says_what_to_type(tmp_path: Path, deemo: Deemo, arguments: Sequence[str]) -> None:
    (tmp_path / "no").mkdir()
    (tmp_path / "export.json").write_text("[]")
    there = {"P": tmp_path / "no", "S": tmp_path, "F": tmp_path / "to.json", "E": tmp_path / "export.json"}
    said = deemo(*(there.get(a, a) for a in arguments))
    assert said.status == 2
    line = only_line(said)
    assert str(tmp_path / "no") in line
    assert "is not a project" in line
    assert "deemo init" in line
    assert contents(tmp_path / "no") == {}


@pytest.mark.parametrize("command", [("segment",), ("run",), ("status",), ("export",)], ids=lambda a: a[0])
def test_a_project_without_sources_says_ingest(project: Path, deemo: Deemo, command: Sequence[str]) -> None:
    said = deemo(*command, project)
    assert said.status == 2
    line = only_line(said)
    assert "sources.jsonl" in line or "clips.jsonl" in line
    assert "Type: deemo ingest" in line or "Type: deemo segment" in line


@pytest.mark.parametrize("command", [("run",), ("status",), ("export",)], ids=lambda a: a[0])
def test_a_project_without_clips_says_segment(project: Path, eat: Path, deemo: Deemo, command: Sequence[str]) -> None:
    deemo("ingest", project, eat, *CONSENT)
    said = deemo(*command, project)
    assert said.status == 2
    assert "deemo segment" in only_line(said)


def test_a_project_path_that_is_a_file(tmp_path: Path, eat: Path, deemo: Deemo) -> None:
    (tmp_path / "file").write_text("x")
    for arguments in (("init", tmp_path / "file"), ("status", tmp_path / "file"), ("build", tmp_path / "file", eat)):
        said = deemo(*arguments)
        assert said.status == 2
        assert "file" in only_line(said)


def test_validate_of_no_dataset(tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "nowhere", tmp_path / "empty"):
        said = deemo("validate", folder)
        assert said.status == 2
        assert folder.name in only_line(said)


# ── footage ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_source(project: Path, tmp_path: Path, deemo: Deemo) -> None:
    said = deemo("ingest", project, tmp_path / "gone.mp4")
    assert said.status == 2
    line = only_line(said)
    assert "gone.mp4" in line
    assert "Give a folder" in line


def test_a_missing_source_named_by_a_csv(project: Path, eat: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "s.csv").write_text(f"uri\n{eat}\ngone.mp4\n")
    said = deemo("ingest", project, tmp_path / "s.csv", *CONSENT)
    assert said.status == 1
    line = said.line_with("gone.mp4")
    assert "is not there" in line
    assert "take its row out" in line
    assert "1 sources taken in, 1 refused" in said.out


BAD_VIDEOS = {
    "edge_audio_only.mp4": "no video stream",
    "edge_subtitles_only.mkv": "no video stream",
    "edge_corrupt_no_moov.mp4": "cannot be read",
}


@pytest.mark.parametrize("name", BAD_VIDEOS)
def test_a_file_that_is_no_video_we_can_read(project: Path, media: Path, deemo: Deemo, name: str) -> None:
    said = deemo("ingest", project, media / "video" / name)
    assert said.status == 2
    line = said.line_with(name, BAD_VIDEOS[name])
    assert "Leave it out" in line


def test_a_bad_file_among_good_ones_is_listed_and_not_fatal(project: Path, media: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "footage").mkdir()
    for name in (*BAD_VIDEOS, "asl_eat.mkv"):
        shutil.copyfile(media / "video" / name, tmp_path / "footage" / name)
    (tmp_path / "footage" / "zero.mp4").touch()
    said = deemo("ingest", project, tmp_path / "footage", *CONSENT)
    assert said.status == 1
    for name, reason in (BAD_VIDEOS | {"zero.mp4": "0 bytes"}).items():
        line = said.line_with(name, reason)
        assert line.rstrip().endswith(("a video", "again")), "it ends with what to do"
    assert len(said.lines) == 4
    listed = json.loads((project / "out" / "ingest.json").read_text())
    assert {Path(m["what"]).name for m in listed["problems"]} == {*BAD_VIDEOS, "zero.mp4"}
    assert listed["files"] == listed["taken_in"] + listed["refused"] == len(BAD_VIDEOS) + 2
    assert len((project / "sources.jsonl").read_text().splitlines()) == 1


def test_a_file_of_zero_bytes(project: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "zero.mp4").touch()
    said = deemo("ingest", project, tmp_path / "zero.mp4")
    assert said.status == 2
    line = said.line_with("zero.mp4", "0 bytes")
    assert "Copy it again" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything: run the tests as a user")
def test_a_source_without_permission(project: Path, eat: Path, tmp_path: Path, deemo: Deemo) -> None:
    shutil.copyfile(eat, tmp_path / "locked.mkv")
    (tmp_path / "locked.mkv").chmod(0)
    said = deemo("ingest", project, tmp_path / "locked.mkv")
    assert said.status == 2
    assert "Make it readable" in said.line_with("locked.mkv")


def test_a_source_that_cannot_be_read(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deemo: Deemo) -> None:
    (tmp_path / "locked.mkv").write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "locked.mkv"))

    monkeypatch.setattr(isolated_probe, "probe_in_process", refuse)  # root, who runs these tests in a container, may read all
    said = deemo("ingest", project, tmp_path / "locked.mkv")
    assert said.status == 2
    line = said.line_with("locked.mkv", "Permission denied")
    assert "Make it readable" in line


def test_a_folder_without_videos(project: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("x")
    said = deemo("ingest", project, tmp_path / "texts")
    assert said.status == 2
    assert "texts holds no video" in only_line(said)


@pytest.mark.parametrize(
    ("address", "word"),
    [("ftp://example.org/a.mp4", "http"), ("http://127.0.0.1:9/a.mp4", "127.0.0.1"), ("http://[::1]/a.mp4", "::1")],
)
def test_an_address_that_is_not_allowed(project: Path, deemo: Deemo, address: str, word: str) -> None:
    said = deemo("ingest", project, address)
    assert said.status == 2
    assert word in said.line_with(address.split("/a.mp4")[0])


def test_footage_that_went_away_after_ingest(cut: Path, tmp_path: Path, eat: Path, weights: Path, deemo: Deemo) -> None:
    """It moved, or the drive is off: the run says which file, and goes on with the others."""
    moving = tmp_path / "moving.mkv"
    moving.write_bytes(eat.read_bytes() + b"\0")  # other bytes, so another source
    assert deemo("ingest", cut, moving, *CONSENT).status == 0
    assert deemo("segment", cut).status == 0
    moving.unlink()
    before = (cut / "sources.jsonl").read_bytes()
    said = deemo("run", cut, "--workers", "0", "--until", "track_body")
    assert said.status == 1
    line = said.line_with("moving.mkv")
    assert "not there" in line or "No such file" in line
    assert "1 clips done, 1 not" in said.out
    assert (cut / "sources.jsonl").read_bytes() == before
    assert len((cut / "clips.jsonl").read_text().splitlines()) == 2


def test_footage_that_changed_after_ingest(
    project: Path, tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch, deemo: Deemo
) -> None:
    def look(_: object, __: object, out: Path) -> dict[str, object]:
        (out / "body.parquet").write_bytes(b"seen")
        return {}

    footage = tmp_path / "changing.mkv"
    shutil.copyfile(media / "video" / "asl_eat.mkv", footage)
    deemo("ingest", project, footage, *CONSENT)
    deemo("segment", project)
    shutil.copyfile(media / "video" / "asl_want.mkv", footage)
    monkeypatch.setattr(TrackBody, "__call__", look)
    said = deemo("run", project, "--workers", "0", "--until", "track_body")
    assert said.status == 1
    line = said.line_with("changing.mkv", "changed since it was taken in")
    assert "deemo ingest" in line
    assert not [p for p in (project / "private" / "store").glob("TrackBody/*") if p.is_dir()]


# ── the CSV ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_csv_without_uri(project: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "s.csv").write_text("path,subject\na.mp4,Ada\n")
    said = deemo("ingest", project, tmp_path / "s.csv")
    assert said.status == 2
    line = only_line(said)
    assert "s.csv has no column uri" in line
    assert "uri, subject, known_names, consent, licence, start_ms, end_ms" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("s.csv", "no column uri")),
        ("uri\n", ("s.csv has no rows",)),
        ("uri,colour\na.mp4,red\n", ("colour", "Known columns")),
        ("uri,start_ms\na.mp4,soon\n", ("s.csv line 2", "start_ms", "soon")),
        ("uri,subject\na.mp4,Ada,Bob\n", ("s.csv line 2", "more values")),
        ("uri,subject\n,Ada\n", ("s.csv line 2", "no uri")),
        ("uri,subject\na.mp4,Ada\na.mp4,Bob\n", ("a.mp4", "two values of subject")),
    ],
)
def test_a_csv_that_says_something_odd(project: Path, tmp_path: Path, deemo: Deemo, text: str, words: Sequence[str]) -> None:
    (tmp_path / "s.csv").write_text(text)
    said = deemo("ingest", project, tmp_path / "s.csv")
    assert said.status == 2
    assert all(w in only_line(said) for w in words)
    assert not (project / "sources.jsonl").exists()


def test_a_span_outside_the_source(project: Path, eat: Path, media: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "s.csv").write_text(
        f"uri,start_ms,end_ms\n{eat},1000,60000\n{eat},0,1000\n{media / 'video' / 'asl_want.mkv'},-500,1000\n"
    )
    said = deemo("ingest", project, tmp_path / "s.csv", *CONSENT)
    assert said.status == 1
    assert "ends at 1567 ms" in said.line_with("asl_eat.mkv", "1000-60000")
    assert "Mend that row" in said.line_with("asl_want.mkv", "-500-1000")
    assert deemo("segment", project).out.startswith("1 clips, 1.0 s")


# ── deemo.toml ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[mask_video]\ngrwo = 2.0\n",
            ("deemo.toml", "[mask_video]", "'grwo'", "mode, shape, grow, hands, agree_mm, fast_mm, crf, preset"),
        ),
        ("[mask]\ngrow = 2.0\n", ("deemo.toml", "[mask]", "Known tables", "mask_video")),
        ("[mask_video]\ngrow = 0.1\n", ("deemo.toml", "grow", "0.1")),
        ("[mask_video]\nmode = 'glitter'\n", ("deemo.toml", "mode", "glitter", "fill")),
        ("[export]\nseed = 'x'\n", ("deemo.toml", "seed", "x")),
        ("[segment]\nmin_ms = 9000\nmax_ms = 9001\n", ("max_ms", "twice")),
        ("[[attempt]]\nmask = {grow = 2.0}\n", ("deemo.toml", "attempt", "mask is not a stage", "mask_video")),
        ("[[attempt]]\nmask_video = {grwo = 2.0}\n", ("deemo.toml", "attempt", "grwo", "grow")),
        ("attempt = 3\n", ("deemo.toml", "attempt")),
        ("[anonymise_voice]\nlow = 0.9\nhigh = 0.5\n", ("0.9", "0.5", "deemo.toml")),
        ("mask_video = 3\n", ("deemo.toml", "mask_video", "table")),
        ("[mask_video\n", ("deemo.toml", "line 1")),
    ],
    ids=[
        "key",
        "table",
        "range",
        "choice",
        "type",
        "lengths",
        "attempt",
        "attempt-key",
        "attempt-type",
        "voice",
        "no-table",
        "toml",
    ],
)
def test_a_config_that_says_something_odd(cut: Path, deemo: Deemo, text: str, words: Sequence[str]) -> None:
    (cut / "deemo.toml").write_text(text)
    before = contents(cut)
    for command in ("segment", "run", "status", "export"):
        said = deemo(command, cut)
        assert said.status == 2, command
        line = only_line(said)
        assert all(w in line for w in words), line
    assert contents(cut) == before


def test_a_config_that_is_not_text(cut: Path, deemo: Deemo) -> None:
    (cut / "deemo.toml").write_bytes(b"\xff\xfe[\x00")
    said = deemo("status", cut)
    assert said.status == 2
    assert "deemo.toml" in only_line(said)


def test_a_vocabulary_that_is_not_there(cut: Path, tmp_path: Path, deemo: Deemo) -> None:
    (cut / "deemo.toml").write_text('[project]\nnfbl = "mine.toml"\n')
    said = deemo("push", cut, "--to-file", tmp_path / "f.json")
    assert said.status == 2
    assert "mine.toml" in only_line(said)


def test_stages_that_are_not_there(cut: Path, deemo: Deemo) -> None:
    for option in ("--until", "--only"):
        said = deemo("run", cut, option, "blur")
        assert said.status == 2
        line = only_line(said)
        assert "'blur'" in line
        assert "find_faces" in line


@pytest.mark.parametrize("damage", ["", "short", "not hexadecimal at all, though it is long enough"])
def test_a_secret_that_is_damaged(cut: Path, deemo: Deemo, damage: str) -> None:
    (cut / "private" / "secret.key").write_text(damage)
    said = deemo("run", cut, "--workers", "0")
    assert said.status == 2
    line = only_line(said)
    assert "secret.key" in line
    assert "backup" in line


def test_a_secret_that_is_gone(cut: Path, deemo: Deemo) -> None:
    (cut / "private" / "secret.key").unlink()
    said = deemo("run", cut, "--workers", "0")
    assert said.status == 2
    assert "backup" in only_line(said)


@pytest.mark.parametrize("name", ["sources.jsonl", "clips.jsonl"])
def test_a_list_that_somebody_broke(cut: Path, deemo: Deemo, name: str) -> None:
    with open(cut / name, "a") as f:
        f.write("{not json\n")
    said = deemo("run", cut, "--workers", "0")
    assert said.status == 2
    assert f"{name}, line 2" in only_line(said)


# ── weights ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_missing_weights_say_models_pull(cut: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    said = process("run", cut, "--workers", "1", DEEMO_MODELS=str(tmp_path / "models"))
    assert said.status == 1
    name = json.loads((cut / "clips.jsonl").read_text())["id"]
    line = said.line_with(name, "weights", "missing")
    assert "deemo models pull" in line
    (told,) = json.loads((cut / "out" / "run.json").read_text())["did_not"]
    assert (told["what"], told["step"]) == (name, "track_body")
    assert "deemo models pull" in told["advice"]
    assert said.out == "0 clips done, 1 not\n"


def test_missing_weights_are_the_reason_that_build_gives(tmp_path: Path, eat: Path, media: Path) -> None:
    """Not that there is nothing to export, which is only what follows from it."""
    (tmp_path / "models").mkdir()
    for name, source in (("silent", eat), ("speech", media / "video" / "grid_bbaf2n.mpg")):
        said = process(
            "build", tmp_path / name, source, *CONSENT, "--workers", "1", DEEMO_MODELS=str(tmp_path / "models")
        )  # fmt: skip
        assert said.status in (1, 2)
        assert "deemo models pull" in said.err, (name, said.err)


def test_weights_that_are_not_ours(cut: Path, tmp_path: Path) -> None:
    from deemo_data.models.runtime.weights import read_pinned

    for row in read_pinned().values():
        (tmp_path / "models" / row.file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / row.file).write_bytes(b"not a network")
    said = process("run", cut, "--workers", "1", DEEMO_MODELS=str(tmp_path / "models"))
    assert said.status == 1
    assert "deemo models pull" in said.line_with("is not what we pinned")


def test_models_list_needs_none(tmp_path: Path) -> None:
    said = process("models", "list", DEEMO_MODELS=str(tmp_path), COLUMNS="200")
    assert said.status == 0
    assert "centerface-09189d" in said.out
    assert " yes " not in said.out


# ── space ────────────────────────────────────────────────────────────────────────────────────────────────────


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device", "somewhere")


def test_no_space_left_in_a_stage(cut: Path, monkeypatch: pytest.MonkeyPatch, deemo: Deemo) -> None:
    monkeypatch.setattr(TrackBody, "__call__", full)
    said = deemo("run", cut, "--workers", "0")
    assert said.status == 1
    line = said.line_with("No space left")
    assert json.loads((cut / "clips.jsonl").read_text())["id"] in line
    assert "Free some space and run again" in line


def test_no_space_left_outside_a_stage(cut: Path, eat: Path, monkeypatch: pytest.MonkeyPatch, deemo: Deemo) -> None:
    """When a list of ours cannot be written: one line all the same, and the list is as it was."""
    other = eat.with_name("asl_want.mkv")
    before = {n: (cut / n).read_bytes() for n in ("sources.jsonl", "clips.jsonl")}
    with monkeypatch.context() as m:
        m.setattr(files.os, "fsync", full)
        said = deemo("ingest", cut, other, *CONSENT)
    assert said.status == 2
    line = only_line(said)
    assert "No space left" in line
    assert "Free some space" in line
    assert {n: (cut / n).read_bytes() for n in before} == before
    assert deemo("ingest", cut, other, *CONSENT).status == 0


def test_files_that_may_not_grow_lose_nothing(cut: Path, weights: Path) -> None:
    """A real limit of the system, which ffmpeg hits too. What was made before stays, and the next run mends it."""
    said = process("run", cut, "--workers", "1", "--until", "mask_video", limit=60_000)
    assert said.status == 1
    name = json.loads((cut / "clips.jsonl").read_text())["id"]
    assert said.line_with(name)
    store = cut / "private" / "store"
    kept = {p for p in store.glob("*/*/entry.json") if not p.parent.name.startswith(".")}
    made = {p: p.read_bytes() for p in kept}
    assert kept
    assert not [p for p in store.glob("MaskVideo/*") if not p.name.startswith(".")]
    assert process("run", cut, "--workers", "1", "--until", "mask_video").status == 0
    assert {p: p.read_bytes() for p in kept} == made


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["export_JSON.json", "export_edge_cases.json", "export_two_annotators.json"])
def test_an_export_of_another_project(cut: Path, media: Path, deemo: Deemo, name: str) -> None:
    before = contents(cut / "labels")
    said = deemo("pull", cut, "--from-file", media / "label_studio" / name)
    assert said.status == 2
    line = only_line(said)
    assert f"{name} is not about this project's clips" in line
    assert "--match" in line
    assert "--vocabulary" in line
    assert contents(cut / "labels") == before


def test_a_match_without_a_vocabulary(cut: Path, media: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "m.csv").write_text("name,source\nclip_1.mp4,asl_eat.mkv\n")
    said = deemo("pull", cut, "--from-file", media / "label_studio" / "export_JSON.json", "--match", tmp_path / "m.csv")
    assert said.status == 2
    assert "--vocabulary" in only_line(said)


@pytest.mark.parametrize(("more", "word"), [((), "--vocabulary"), (("--vocabulary", "klingon"), "klingon")])
def test_build_refuses_labels_without_a_vocabulary_before_any_work(
    media: Path, eat: Path, tmp_path: Path, deemo: Deemo, more: Sequence[str], word: str
) -> None:
    (tmp_path / "m.csv").write_text("name,source\n1,asl_eat.mkv\n")
    export = media / "label_studio" / "export_JSON.json"
    said = deemo("build", tmp_path / "p", eat, *CONSENT, "--labels", export, "--match", tmp_path / "m.csv", *more)
    assert said.status == 2
    assert word in only_line(said)
    assert not (tmp_path / "p").exists()


def test_a_vocabulary_that_nobody_knows(cut: Path, media: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "m.csv").write_text("name,source\n1,asl_eat.mkv\n")
    export = media / "label_studio" / "export_JSON.json"
    said = deemo("pull", cut, "--from-file", export, "--match", tmp_path / "m.csv", "--vocabulary", "klingon")
    assert said.status == 2
    assert "klingon" in only_line(said)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", "not json", '[{"id": 1}]', '{"tasks": []}'])
def test_a_file_that_is_no_export(cut: Path, tmp_path: Path, deemo: Deemo, text: str) -> None:
    (tmp_path / "e.json").write_text(text)
    said = deemo("pull", cut, "--from-file", tmp_path / "e.json")
    assert said.status == 2
    line = only_line(said)
    assert "e.json" in line
    assert "JSON" in line


def test_a_match_to_a_source_that_is_not_there(cut: Path, media: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "m.csv").write_text("name,source\n1,else.mp4\n")
    export = media / "label_studio" / "export_JSON.json"
    said = deemo("pull", cut, "--from-file", export, "--match", tmp_path / "m.csv", "--vocabulary", "nfbl")
    assert said.status == 2
    assert all(w in only_line(said) for w in ("m.csv line 2", "else.mp4"))


# ── the door ─────────────────────────────────────────────────────────────────────────────────────────────────


def passed(project: Path, made: bytes = b"masked") -> None:
    """As if the stages had been run and the leak check had passed: what the door looks at."""
    import hashlib

    row = json.loads((project / "clips.jsonl").read_text())
    for name in ("safe", "public_body", "leaks"):
        (project / "private" / name).write_bytes(made)
        row["files"][name] = [str(project / "private" / name), hashlib.sha256(made).hexdigest()]
    row["facts"] |= {"leaks_passed": True, "leaks_summary": {"passed": True}}
    (project / "clips.jsonl").write_text(json.dumps(row) + "\n")


def test_without_consent_nothing_leaves_and_it_says_what_to_type(project: Path, eat: Path, tmp_path: Path, deemo: Deemo) -> None:
    said = deemo("ingest", project, eat)
    assert said.status == 0
    assert "1 have no consent on record" in said.out
    deemo("segment", project)
    passed(project)
    said = deemo("export", project)
    assert said.status == 2
    line = only_line(said)
    name = json.loads((project / "clips.jsonl").read_text())["id"]
    assert [w for w in (name, "consent", f"deemo ingest {project}", "--consent") if w not in line] == [], line
    assert not (project / "out" / "dataset").exists()
    assert not [*(project / "out").glob("released/*")]
    pushed = deemo("push", project, "--to-file", tmp_path / "tasks.json")
    assert pushed.status in (1, 2)
    assert "consent" in pushed.line_with(name)
    if (tmp_path / "tasks.json").exists():
        assert json.loads((tmp_path / "tasks.json").read_text()) == []
    assert deemo("ingest", project, eat, *CONSENT).status == 0
    pushed = deemo("push", project, "--to-file", tmp_path / "tasks.json")
    assert "--consent" not in pushed.err
    assert f"deemo run {project}" in pushed.line_with(name), "what only clips.jsonl claims is not in the store, and does not go"


def test_clips_that_no_stage_has_seen_are_not_exported(cut: Path, deemo: Deemo) -> None:
    said = deemo("export", cut)
    assert said.status == 2
    assert f"deemo run {cut}" in only_line(said)


def test_status_tells_what_is_to_do(cut: Path, deemo: Deemo) -> None:
    before = contents(cut)
    said = deemo("status", cut)
    assert said.status == 0
    assert "1 sources, 1 clips, 0 ready to be released" in said.out
    assert "track_body" in said.out
    assert "check_leaks" in said.out
    assert f"deemo run {cut}" in said.out
    assert contents(cut) == before


def test_status_tells_what_ingest_did_not_take_in(project: Path, eat: Path, tmp_path: Path, deemo: Deemo) -> None:
    (tmp_path / "footage").mkdir()
    for name in ("a.mkv", "b.mkv"):
        shutil.copyfile(eat, tmp_path / "footage" / name)
    (tmp_path / "footage" / "c.mkv").write_bytes(b"no footage")
    (tmp_path / "footage" / "notes.txt").write_text("about the footage")
    assert deemo("ingest", project, tmp_path / "footage", *CONSENT).status == 1
    assert deemo("segment", project).status == 0
    counts = "1 refused, 1 the same bytes as another, 1 passed over"
    assert f"not taken in by the last ingest: {counts} (see out/ingest.json)" in deemo("status", project).out
    for odd in ("[]", "no JSON", '{"refused": null}'):
        (project / "out" / "ingest.json").write_text(odd)
        said = deemo("status", project)
        assert said.status == 0
        assert "last ingest" not in said.out


# ── who speaks ───────────────────────────────────────────────────────────────────────────────────────────────


def test_speakers_are_shown_and_corrected(cut: Path, deemo: Deemo, weights: Path) -> None:
    source = json.loads((cut / "sources.jsonl").read_text().splitlines()[0])["id"]
    before = deemo("speakers", cut)
    assert (before.status, before.lines) == (0, [])
    assert "not made yet: deemo run" in before.out
    assert source in before.out
    noted = deemo("speakers", cut, source, "--count", 1, "--turn", "0-0.5=A", "--role", "A=interviewer")
    assert noted.status == 0
    assert "Next: deemo run" in noted.out
    said = json.loads((cut / "corrections" / "speakers.json").read_text())
    assert said == {source: {"count": 1, "roles": {"A": "interviewer"}, "turns": [[0, 500, "A"]]}}
    assert deemo("run", cut, "--until", "diarise", "--workers", 0).status == 0
    after = deemo("speakers", cut, source).out.splitlines()
    assert next(line for line in after if line.startswith("A ")).split()[-1] == "interviewer"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count", "2"], ["which source", "deemo speakers"]),
        (["nobody", "--count", "2"], ["no source 'nobody'", "Sources: "]),
        (["{source}", "--role", "A=boss"], ["boss is no role", "Roles: subject, interviewer"]),
        (["{source}", "--merge", "A"], ["--merge", "B=A"]),
        (["{source}", "--turn", "5-3=A"], ["5-3=A"]),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_what_cannot_be_said_of_speakers(cut: Path, deemo: Deemo, arguments: list[str], words: Sequence[str]) -> None:
    source = json.loads((cut / "sources.jsonl").read_text().splitlines()[0])["id"]
    said = deemo("speakers", cut, *(a.format(source=source) for a in arguments))
    assert said.status == 2
    said.line_with(*words)
    assert not (cut / "corrections" / "speakers.json").exists()
