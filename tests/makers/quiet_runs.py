"""Makers that tests of several packages share; taken from test_faults_runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from deemo_data.files import File
from deemo_data.project.project import Project
from tests.makers.commands import Said

DAY = {"SOURCE_DATE_EPOCH": "1790000000"}  # the changelog has the day in it, and a test may run over midnight


@dataclass(frozen=True)
class Calm:
    """What an undisturbed build made, how long that took, and its footage: two who agreed, and one who did not."""

    project: Project
    csv: Path
    seconds: float


@pytest.fixture(scope="module")
def calm(weights: Path, media: Path, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    folder = tmp_path_factory.mktemp("calm")
    rows = ["uri,subject,consent,start_ms,end_ms"]
    for name, subject, consent, ms in (("grid_bbaf2n.mpg", "one", "yes", 600), ("asl_eat.mkv", "two", "yes", 400),
                                       ("asl_want.mkv", "three", "none", 300)):  # fmt: skip
        shutil.copyfile(media / "video" / name, folder / name)
        rows.append(f"{name},{subject},{consent},0,{ms}")
    (folder / "s.csv").write_text("\n".join(rows) + "\n")
    began = time.monotonic()
    said = process("build", folder / "calm", folder / "s.csv", **DAY)
    assert said.status == 1, said.err  # one may not leave
    made = Calm(Project.open(folder / "calm"), folder / "s.csv", time.monotonic() - began)
    assert len(going_out(made.project)) > 10
    return made


def process(*arguments: object, **env: str) -> Said:
    """`deemo ARGUMENTS` as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "deemo_data.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=600, env=os.environ | env, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def going_out(project: Project) -> dict[str, str]:
    """Every file that may leave, by its digest."""
    files = [p for where in (project.served_dir, project.dataset_dir) for p in where.rglob("[!.]*") if p.is_file()]
    return {p.relative_to(project.out_dir).as_posix(): File.of(p).sha256 for p in files}
