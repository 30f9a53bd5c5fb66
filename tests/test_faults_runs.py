"""The same faults on the whole line, with real models: `deemo` as a process, killed, starved, crashed and lied to.

All slow. DEEMO_KILLS (12) says how often a build is killed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from deemo_data.pipeline.entry import read_entry
from deemo_data.pipeline.order import STAGE_ORDER
from deemo_data.project.clips import read_project_clips
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
from deemo_data.workflow import status as how_far
from tests.makers.commands import Said
from tests.makers.disks import disk, flip, grow
from tests.makers.quiet_runs import (
    DAY,
    Calm,
    calm,  # noqa: F401
    going_out,
    process,
)
from tests.makers.runs import members, same_lists, start, stored

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

REPO = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("DEEMO_KILLS", "12"))


def begun(calm: Calm, root: Path) -> Project:
    """An empty project under the same secret."""
    project = Project.make(root)
    shutil.copyfile(calm.project.private_dir / "secret.key", project.private_dir / "secret.key")
    return project


def twin(calm: Calm, root: Path, csv: bool = False) -> tuple[Project, Path]:
    """A copy that is as far, and, if need be, of footage of its own, that may be spoilt."""
    shutil.copytree(calm.project.root, root)
    footage = calm.csv
    if csv:
        shutil.copytree(calm.csv.parent, root.parent / "footage", ignore=shutil.ignore_patterns("calm"))
        footage = root.parent / "footage" / "s.csv"
        assert process("ingest", root, footage).status == 0
    assert process("run", root).status == 0
    return Project.open(root), footage


def check_no_half(project: Project, calm: Calm) -> None:
    """What stands under a final name is whole, and nothing goes out that would not go out anyway."""
    for home in project.store_dir.glob("[!.]*/[!.]*"):
        entry = read_entry(home)
        assert entry is not None, home
        assert {p.name for p in home.iterdir()} == {"entry.json", *(f["name"] for f in entry["files"].values())}
    assert stored(project).items() <= stored(calm.project).items()
    assert going_out(project).items() <= going_out(calm.project).items()
    for path in project.out_dir.glob("*.json"):
        json.loads(path.read_text())


def check_same(project: Project, calm: Calm) -> None:
    assert stored(project) == stored(calm.project)
    assert going_out(project) == going_out(calm.project)
    assert same_lists(project, calm.project)


def redo_masks(project: Project) -> None:
    config = project.root / "deemo.toml"
    config.write_text(config.read_text().replace("grow = 1.35", "grow = 1.5"))


def ready(said: Said) -> str:
    return next(line for line in said.out.splitlines() if "ready to be released" in line)


# ── kill -9 ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_kill_9_at_random_moments(calm: Calm, tmp_path: Path) -> None:
    """In turn the whole group is killed, and the run alone: then its workers must go of themselves."""
    dice, kills, rounds = random.Random(9), 0, 0
    os.environ |= DAY
    while kills < KILLS or rounds == 0:
        rounds += 1
        project = begun(calm, tmp_path / f"killed-{rounds}")
        while True:
            run = start("build", project.root, calm.csv, "--workers", "2")
            try:
                assert run.wait(dice.uniform(0, calm.seconds) if kills < KILLS else 300) == 1
                break
            except subprocess.TimeoutExpired:
                assert kills < KILLS
            kills += 1
            if kills % 2:
                os.kill(run.pid, signal.SIGKILL)
            else:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            until = time.monotonic() + 60
            while left := members(run.pid):
                assert time.monotonic() < until, f"still at work: {left}"
                time.sleep(0.05)
            check_no_half(project, calm)
        check_same(project, calm)
    print(f"{kills} kills in {rounds} rounds; an undisturbed build takes {calm.seconds:.1f} s")  # noqa: T201
    for name in DAY:
        del os.environ[name]


# ── a full disk ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_build_on_a_disk_that_is_full(calm: Calm, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 60) as small:
        project = begun(calm, small / "project")
        full = 0
        for kb in (72, 100, 160, 260, 400, 560, 700, 800):
            grow(small, kb)
            said = process("build", project.root, calm.csv, **DAY)
            if said.status == 1 and "No space" not in said.err:
                break
            full += 1
            assert said.status in (1, 2)
            assert "No space left on device" in said.err
            assert "Free some space and run again" in said.err
            check_no_half(project, calm)
            assert not [p for p in project.store_dir.glob("*/.*") if p.is_dir()], "nothing is left aside to fill it up"
        assert full >= 4
        grow(small, 20_000)
        assert process("build", project.root, calm.csv, **DAY).status == 1
        check_same(project, calm)


def test_an_export_on_a_disk_that_is_full(calm: Calm, tmp_path: Path) -> None:
    """The dataset and what is released are taken away, and room is given back 8 KB at a time."""
    full = 0
    with disk(tmp_path / "disk", 20_000) as small:
        project, _ = twin(calm, small / "project")
        shutil.rmtree(project.dataset_dir)
        shutil.rmtree(project.served_dir)
        (project.out_dir / "dataset.html").unlink()
        (project.out_dir / "export.json").unlink()
        stat = os.statvfs(small)
        used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize // 1024
        for more in (4, 8, 16, 24, 40, 80, 120, 160):
            grow(small, used + more)
            said = process("export", project.root, **DAY)
            if "No space" not in said.err:
                break
            full += 1
            assert said.status == 2
            assert said.line_with("No space left on device", "Free some space")
            assert going_out(project).items() <= going_out(calm.project).items()
        assert full >= 3
        grow(small, 20_000)
        assert process("export", project.root, **DAY).status == 1
        check_same(project, calm)


# ── a disk that is read-only ─────────────────────────────────────────────────────────────────────────────────


def mounted(*arguments: object) -> None:
    said = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if said.returncode:
        pytest.skip(f"nothing can be mounted here: {said.stderr.strip()}")


def test_a_store_that_is_read_only(calm: Calm, tmp_path: Path) -> None:
    project, _ = twin(calm, tmp_path / "twin")
    before = stored(project)
    mounted("--bind", project.store_dir, project.store_dir)
    try:
        mounted("-o", "remount,ro,bind", project.store_dir)
        said = process("status", project.root)
        assert (said.status, ready(said)) == (0, "3 sources, 3 clips, 2 ready to be released")
        said = process("run", project.root)
        assert (said.status, said.out) == (0, "3 clips done, 0 not\n"), said.err
        assert process("export", project.root, **DAY).status == 1
        redo_masks(project)
        said = process("run", project.root)
        assert said.status == 1
        for clip in read_project_clips(project):
            assert "Read-only file system" in said.line_with(clip.id)
            assert "Run again once that is mended" in said.line_with(clip.id)
    finally:
        subprocess.run(["umount", "-l", project.store_dir], check=True)
    assert stored(project) == before
    assert process("run", project.root).status == 0


def test_a_project_that_is_read_only(calm: Calm, tmp_path: Path) -> None:
    """Somebody else's, or on a snapshot: it can be looked at."""
    project, _ = twin(calm, tmp_path / "twin")
    mounted("--bind", project.root, project.root)
    try:
        mounted("-o", "remount,ro,bind", project.root)
        assert process("status", project.root).status == 0
        for command in ("run", "export"):
            said = process(command, project.root)
            assert said.status == 2
            assert said.line_with("Read-only file system", "Mend that and run again")
    finally:
        subprocess.run(["umount", "-l", project.root], check=True)


def test_a_store_that_another_user_may_only_read(calm: Calm) -> None:
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("only root can become somebody else, with setpriv")
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="deemo-"))
    try:
        folder.chmod(0o755)
        project, _ = twin(calm, folder / "twin", csv=True)
        redo = [sys.executable, "-m", "deemo_data.cli"]
        subprocess.run(["chown", "-R", "65534:65534", folder], check=True)
        subprocess.run(["chmod", "-R", "a-w", project.store_dir], check=True)
        env = os.environ | {"PYTHONPATH": str(REPO), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*other, *redo, "--help"], env=env, capture_output=True, check=False).returncode:
            pytest.skip("another user cannot run this Python")
        for command, status in (("status", 0), ("run", 0), ("until", 1)):
            if command == "until":
                redo_masks(project)
                command = "run"
            here = (
                ("--workers", "0") if command == "run" else ()
            )  # another user may not be let to Python's own folder by a worker
            said = subprocess.run(
                [*other, *redo, command, project.root, *here], env=env, capture_output=True, text=True, check=False
            )
            assert said.returncode == status, said.stderr
            assert "Traceback" not in said.stderr
        assert said.stderr.count("Permission denied") == 3, said.stderr
    finally:
        shutil.rmtree(folder)


# ── a stage that crashes, and footage that changes under it ──────────────────────────────────────────────────


def meddled(folder: Path, stage: str, what: str) -> dict[str, str]:
    """The environment in which `what` happens in every Python just before `stage` masks a clip of `$VICTIM`."""
    folder.mkdir(exist_ok=True)
    module = next(s.__module__ for s in STAGE_ORDER if s.__name__ == stage)
    (folder / "sitecustomize.py").write_text(
        "import os\n"
        f"from {module} import {stage} as Stage\n"
        "real = Stage.__call__\n"
        "def call(self, clip, out):\n"
        "    told = None\n"
        "    if os.environ['VICTIM'] in clip.files['source'].path:\n"
        f"        {what}\n"
        "    return real(self, clip, out)\n"
        "Stage.__call__ = call\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(REPO)])}


SEGFAULT = "import ctypes; ctypes.string_at(0)"


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_model_that_segfaults(calm: Calm, tmp_path: Path, workers: int) -> None:
    """In a worker it costs a clip. Without workers it is the run that dies: what was made stays, and the next goes on."""
    project, _ = twin(calm, tmp_path / "twin")
    redo_masks(project)
    env = meddled(tmp_path / "site", "MaskVideo", SEGFAULT)
    done = subprocess.run(
        [sys.executable, "-m", "deemo_data.cli", "run", project.root, "--workers", str(workers)],
        env=os.environ | env | {"VICTIM": "asl_eat"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (victim,) = [c for c in read_project_clips(project) if "asl_eat" in c.files["source"].path]
    if workers == 0:
        assert done.returncode == -signal.SIGSEGV
    else:
        assert done.returncode == 1, done.stderr
        (said,) = json.loads((project.out_dir / "run.json").read_text())["did_not"]
        assert (said["what"], said["step"]) == (victim.id, "mask_video")
        assert "the process working on it died" in said["reason"]
        assert "2 clips done, 1 not" in done.stdout
    assert all(read_entry(home) for home in project.store_dir.glob("[!.]*/[!.]*"))
    assert process("run", project.root).status == 0
    config = project.root / "deemo.toml"
    config.write_text(config.read_text().replace("grow = 1.5", "grow = 1.35"))
    assert process("run", project.root).status == 0
    assert process("export", project.root, **DAY).status == 1
    assert going_out(project) == going_out(calm.project)


@pytest.mark.parametrize(
    "how", ["rewritten, size and time put back", "appended to", "truncated", "replaced by rename", "deleted"]
)
def test_footage_that_changes_during_a_build(calm: Calm, tmp_path: Path, how: str) -> None:
    project, csv = twin(calm, tmp_path / "twin", csv=True)
    redo_masks(project)
    what = (
        f"from tests import test_faults; from pathlib import Path; test_faults.change(Path(clip.files['source'].path), {how!r})"
    )
    (victim,) = [c for c in read_project_clips(project) if "asl_eat" in c.files["source"].path]
    said = process("run", project.root, **meddled(tmp_path / "site", "MaskVideo", what), VICTIM="asl_eat")
    assert said.status == 1
    line = said.line_with(victim.id)
    assert "asl_eat.mkv" in line or "MaskVideo" in line or "mask" in line, line
    assert process("export", project.root).status == 1
    name = derive_public_id(project.secret, "c", victim.id)
    assert not [n for n in going_out(project) if name in n]
    assert len([n for n in going_out(project) if n.startswith("released/") and n.endswith(".mp4")]) == 1
    assert csv.parent.joinpath("grid_bbaf2n.mpg").exists()


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["safe", "masked"])
def test_flipped_bytes_do_not_leave(calm: Calm, tmp_path: Path, where: str) -> None:
    project, _ = twin(calm, tmp_path / "twin")
    (victim,) = [c for c in read_project_clips(project) if "asl_eat" in c.files["source"].path]
    flip(victim.path(where))
    if where == "masked":
        shutil.rmtree(victim.path("safe").parent)
        said = process("run", project.root)
        assert "is not what was written there" in said.line_with(victim.id)
        assert said.status == 1
    said = process("export", project.root, **DAY)
    assert said.status == 1
    name = derive_public_id(project.secret, "c", victim.id)
    assert not [n for n in going_out(project) if name in n]
    assert "deemo run" in said.line_with(victim.id)
    assert process("run", project.root).status == 0
    assert process("export", project.root, **DAY).status == 1
    assert stored(project) == stored(calm.project)
    assert videos(project) == videos(calm.project)


def videos(project: Project) -> set[tuple[str, str]]:
    """By name, wherever they lie: a clip that was gone for a while may come back into another split."""
    return {(Path(n).name, d) for n, d in going_out(project).items() if n.endswith(".mp4")}


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clock_that_goes_back_makes_no_work(calm: Calm, tmp_path: Path) -> None:
    """What is there seems to be of the next decade, and to every process it is 2016."""
    project, _ = twin(calm, tmp_path / "twin")
    assert process("export", project.root, **DAY).status == 1
    for path in project.root.rglob("*"):
        os.utime(path, (2.1e9, 2.1e9))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import time\nreal = time.time\ntime.time = lambda: real() - 3e8\n")
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(REPO)])} | DAY
    before = {p: p.stat().st_ino for p in project.root.rglob("*")}
    said = process("status", project.root, **env)
    assert ready(said) == "3 sources, 3 clips, 2 ready to be released"
    said = process("run", project.root, **env)
    assert (said.status, said.out) == (0, "3 clips done, 0 not\n")
    assert "0 files changed" in process("export", project.root, **env).out
    assert {p: p.stat().st_ino for p in project.root.rglob("*") if p in before} == before
    redo_masks(project)
    assert process("run", project.root, **env).status == 0
    assert "made anew" not in process("export", project.root, **env).err
    check = process("validate", project.dataset_dir)
    assert check.status == 0, check.err


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_a_push_an_export_and_a_withdrawal_at_once(calm: Calm, tmp_path: Path, seed: int) -> None:
    project, _ = twin(calm, tmp_path / "twin")
    redo_masks(project)
    (gone,) = [c for c in read_project_clips(project) if "asl_eat" in c.files["source"].path]
    names = [gone.source, derive_public_id(project.secret, "c", gone.id), derive_public_id(project.secret, "v", gone.source)]
    commands: list[Sequence[object]] = [
        ("run", project.root), ("run", project.root), ("export", project.root),
        ("push", project.root, "--to-file", tmp_path / "tasks.json"), ("forget", project.root, "two", "--yes"),
    ]  # fmt: skip
    dice, running = random.Random(seed), []
    for command in dice.sample(commands, len(commands)):
        running.append((command, start(*command)))
        time.sleep(dice.uniform(0, 2))
    ended = {str(c[0]): r.wait(300) for c, r in running}
    assert ended["forget"] == 0
    assert set(ended.values()) <= {0, 1, 2}
    assert process("run", project.root).status == 0
    assert process("export", project.root).status == 1
    assert len(read_project_clips(project)) == 2
    for path in [p for p in project.root.rglob("*") if p.is_file() and p.name != "withdrawn.jsonl"]:
        said = str(path.relative_to(project.root)).encode() + path.read_bytes()
        assert not [n for n in names if n.encode() in said], path
    assert all(read_entry(home) for home in project.store_dir.glob("[!.]*/[!.]*"))
    assert process("validate", project.dataset_dir).status == 0
    assert how_far.compute_status(project)[0]
