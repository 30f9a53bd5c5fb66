"""deemo.toml says everything that was chosen, and nothing in it is passed over."""

from __future__ import annotations

import multiprocessing
import time
import tomllib
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import pytest

from deemo_data.clip import Clip, Grid, write_clips
from deemo_data.errors import ConfigError, ProjectError
from deemo_data.files import File
from deemo_data.pipeline.order import STAGE_ORDER
from deemo_data.pipeline.stage import table_name
from deemo_data.project import config, corrections
from deemo_data.project.clips import read_project_clips
from deemo_data.project.config import PROFILES, read_config
from deemo_data.project.project import Project
from deemo_data.sources.subjects import Person, write_subjects

MASK = [s.__name__ for s in STAGE_ORDER].index("MaskVideo")


def read(tmp_path: Path, text: str) -> config.Config:
    (tmp_path / "deemo.toml").write_text(text)
    return read_config(tmp_path / "deemo.toml")


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    made = read(tmp_path, "")
    assert made.attempts == [[stage() for stage in STAGE_ORDER]]
    assert made.project == config.ProjectSettings()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_a_whole_file_of_known_keys(tmp_path: Path, profile: str) -> None:
    made = read(tmp_path, config.profile_text(profile))
    assert made.project.profile == profile
    assert len(made.attempts) == 2, "a clip that the leak check refused gets another try"
    for stages in made.attempts:
        assert [type(s) for s in stages] == list(STAGE_ORDER)


def test_hardened_says_what_the_defaults_are(tmp_path: Path) -> None:
    made = read(tmp_path, config.profile_text("hardened"))
    for stage, default in zip(made.attempts[0], [s() for s in STAGE_ORDER], strict=True):
        assert stage == default, "a default is written in two places, and they differ"
    said = tomllib.loads(config.profile_text("hardened"))
    assert set(said["project"]) == {f.name for f in fields(config.ProjectSettings)}
    assert set(said["mask_video"]) == {f.name for f in fields(made.attempts[0][MASK])}


def test_the_paper_is_weaker(tmp_path: Path) -> None:
    stages = {table_name(type(s).__name__): s for s in read(tmp_path, config.profile_text("deemo-paper")).attempts[0]}
    assert stages["mask_video"].mode == "blur"  # type: ignore[attr-defined]
    assert stages["anonymise_voice"].method == "mcadams"  # type: ignore[attr-defined]


def test_an_attempt_changes_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    made = read(
        tmp_path, "[mask_video]\ncrf = 30\n[[attempt]]\nmask_video = { grow = 2 }\n[[attempt]]\nfind_faces = { every = 1 }\n"
    )
    masks = [stages[MASK] for stages in made.attempts]
    assert [(m.crf, m.grow) for m in masks] == [(30, 1.35), (30, 2.0), (30, 1.35)]  # type: ignore[attr-defined]
    assert [stages[1].every for stages in made.attempts] == [5, 5, 1]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "says", "advice"),
    [
        ("[mask_vidoe]\n", r"deemo.toml: \[mask_vidoe\] is not known", "mask_video"),
        (
            "[mask_video]\ncfr = 3\n",
            r"\[mask_video\] has no key 'cfr'",
            "Known keys: mode, shape, grow, hands, agree_mm, fast_mm, crf, preset",
        ),
        ("[assemble]\nx = 3\n", "has no key 'x'", "nothing to choose"),
        ("[mask_video]\nmode = 'pixels'\n", r"\[mask_video\] mode = 'pixels'.*'fill', 'mosaic' or 'blur'", "Mend"),
        ("[mask_video]\ncrf = 99\n", r"\[mask_video\] crf = 99", "Mend"),
        ("[find_faces]\nthreshold = 'high'\n", r"\[find_faces\] threshold = 'high'", "Mend"),
        ("[project]\nvfr_fps = 0\n", r"\[project\] vfr_fps = 0", "Mend"),
        ("[[attempt]]\nmask = { grow = 2 }\n", r"\[\[attempt\]\] 1: mask is not a stage", "mask_video"),
        ("[[attempt]]\nmask_video = { gorw = 2 }\n", r"\[\[attempt\]\] 1: \[mask_video\] has no key 'gorw'", "grow"),
        ("[mask_video\n", r"deemo.toml", "Mend"),
        ("segment = 3\n", "segment.* must be a table", ""),
        ("mask_video = 3\n", "mask_video.* must be a table", ""),
        ("[[mask_video]]\ncrf = 3\n", "mask_video.* must be a table", ""),
        ("[[attempt]]\nmask_video = 3\n", r"attempt.*mask_video.* must be a table", ""),
        ("[attempt]\nmask_video = { grow = 2 }\n", "attempt", ""),
        ("attempt = 3\n", "attempt", ""),
    ],
)
def test_what_is_not_understood_is_said(tmp_path: Path, text: str, says: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=says) as e:
        read(tmp_path, text)
    assert advice in e.value.advice
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(("stage", "name"), [("MaskVideo", "mask_video"), ("AnonymiseVoice", "anonymise_voice")])
def test_table_names(stage: str, name: str) -> None:
    assert table_name(stage) == name


# ── the project folder ───────────────────────────────────────────────────────────────────────────────────────


def test_a_new_project(tmp_path: Path) -> None:
    made = Project.make(tmp_path / "p", "hardened")
    assert (made.private_dir.stat().st_mode & 0o777, (made.private_dir / "secret.key").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (made.root / ".gitignore").read_text() == "*\n"
    assert len(made.secret) == 32
    assert {p.name for p in made.root.iterdir()} >= {"deemo.toml", "private", "labels", "corrections", "out"}
    assert Project.open(tmp_path / "p") == made
    assert Project.make(tmp_path / "q", "hardened").secret != made.secret


def test_making_it_again_changes_nothing(tmp_path: Path) -> None:
    made = Project.make(tmp_path / "p", "hardened")
    (made.root / "deemo.toml").write_text("[mask_video]\ncrf = 30\n")
    secret = made.secret
    again = Project.make(tmp_path / "p")
    assert again.secret == secret
    assert (made.root / "deemo.toml").read_text() == "[mask_video]\ncrf = 30\n"


def test_no_such_profile(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no profile 'hardend'") as e:
        Project.make(tmp_path / "p", "hardend")
    assert "hardened" in e.value.advice
    assert not (tmp_path / "p").exists()


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is not a project") as e:
        Project.open(tmp_path)
    assert "deemo init" in e.value.advice


@pytest.mark.parametrize("text", [None, "", "abc", "z" * 64, "ab" * 15])
def test_a_secret_that_is_lost_or_damaged_is_not_made_anew(tmp_path: Path, text: str | None) -> None:
    made = Project.make(tmp_path / "p", "hardened")
    key = made.private_dir / "secret.key"
    key.unlink()
    if text is not None:
        key.write_text(text)
    with pytest.raises(ProjectError, match=r"secret\.key") as e:
        _ = made.secret
    assert "backup" in e.value.advice
    assert key.exists() == (text is not None)


GRID = Grid(Fraction(25), False, Fraction(0), 22, 64, 48).to_fact()


def test_clips_know_what_their_source_knows(tmp_path: Path) -> None:
    made = Project.make(tmp_path / "p", "hardened")
    facts = {"subject": "s-1", "consent": {"statement": "yes"}, "grid": GRID}
    source = Clip("aa", "aa", 0, 900, {"source": File("raw.mp4", "1")}, facts)
    write_clips([source], made.root / "sources.jsonl")
    mine = Clip("aa-0-400", "aa", 0, 400, {"safe": File("safe.mp4", "2")}, {"leaks_passed": True})
    write_clips([mine, Clip("bb-0-5", "bb", 0, 5)], made.root / "clips.jsonl")
    (clip,) = read_project_clips(made)
    assert (clip.id, clip.start_ms, clip.end_ms) == ("aa-0-400", 0, 400)
    assert clip.files == {"source": File("raw.mp4", "1"), "safe": File("safe.mp4", "2")}
    said = {"known_names": [], "drawn": [], "speakers_said": {}}
    assert clip.facts == facts | {"leaks_passed": True} | said


def test_clips_know_what_people_said_of_them(tmp_path: Path) -> None:
    made = Project.make(tmp_path / "p", "hardened")
    write_clips([Clip("aa", "aa", 0, 900, {}, {"subject": "s-1", "grid": GRID})], made.root / "sources.jsonl")
    write_clips([Clip("aa-0-400", "aa", 0, 400), Clip("aa-400-900", "aa", 400, 900)], made.root / "clips.jsonl")
    write_subjects(made.private_dir / "subjects.csv", [Person("aa", "s-1", "Johanna Falkenberg", ("Toni", "Falke"))])
    corrections.add_box(made.root, "aa", 500, 600, [0.1, 0.2, 0.3, 0.4])
    first, second = read_project_clips(made)
    assert first.facts["known_names"] == ["Toni", "Falke", "Johanna Falkenberg"]
    assert first.facts["drawn"] == [], "a box elsewhere does not touch it"
    assert second.facts["drawn"] == [{"start_ms": 500, "end_ms": 600, "box": [0.1, 0.2, 0.3, 0.4]}]


@pytest.mark.parametrize("name", ["P01", "subject 3", "12", "AB", "", "subj_3", "0042", "n/a", "f3a9c2d1"])
def test_a_code_is_no_name(name: str) -> None:
    assert Person("aa", "s-1", name, ()).all_names == ()


def test_reports_are_stable(tmp_path: Path) -> None:
    made = Project.make(tmp_path / "p", "hardened")
    made.write_report("run.json", {"b": 1, "a": ["é"]})
    stat = (made.out_dir / "run.json").stat()
    made.write_report("run.json", {"a": ["é"], "b": 1})
    assert (made.out_dir / "run.json").stat().st_mtime_ns == stat.st_mtime_ns


def hold(root: Path, seconds: float, log: Path) -> None:
    with Project.open(root).lock():
        with open(log, "a") as f:
            f.write("in\n")
        time.sleep(seconds)
        with open(log, "a") as f:
            f.write("out\n")


@pytest.mark.timeout(60)
def test_one_writer_at_a_time(tmp_path: Path) -> None:
    made = Project.make(tmp_path / "p", "hardened")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=hold, args=(made.root, 0.2, tmp_path / "log")) for _ in range(3)]
    for w in writers:
        w.start()
    for w in writers:
        w.join(30)
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 3


def test_the_other_profile_is_another_config_of_the_same_folder(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "p", "hardened")
    other = project.with_profile("deemo-paper")
    assert (project.config.project.profile, other.config.project.profile) == ("hardened", "deemo-paper")
    assert (other.store_dir, other.secret) == (project.store_dir, project.secret)
    assert project.config.attempts[0] != other.config.attempts[0]
    assert project.with_profile("hardened").config == project.config
