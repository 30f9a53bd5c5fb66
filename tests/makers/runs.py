"""A whole run of the line for tests: two people's footage, `deemo` as a process, the bytes in the store, processes of a group."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deemo_data.files import File
from deemo_data.media.ffmpeg import find_ffmpeg
from deemo_data.project.project import Project

SUBJECTS = ("Zebulon Quixote", "Perpetua Birdwhistle")
NAMES = ("Marguerite", "Ozymandias")
FOLDER = "Quixote-family-1987"
TITLE = "Conversation at 51.4778N 0.0014W"
CONSENT = "signed form 12 of the study"


@dataclass(frozen=True)
class Made:
    """A project that `deemo build` made of `csv`, how long it took, and what it said."""

    root: Path
    csv: Path
    seconds: float
    said: str

    @property
    def project(self) -> Project:
        return Project.open(self.root)


@pytest.fixture(scope="module")
def csv(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, a span of 27 frames and a whole recording of 75, with all that must stay here in and around them."""
    folder = tmp_path_factory.mktemp("footage") / FOLDER
    folder.mkdir()
    signer, talker = folder / "interview with Marguerite.mkv", folder / "Perpetua_home.mpg"
    subprocess.run(
        [find_ffmpeg(), "-v", "error", "-i", str(media / "video" / "asl_eat.mkv"), "-c", "copy", "-metadata", f"title={TITLE}",
         "-metadata:s:v:0", "title=Ozymandias", str(signer)], check=True,
    )  # fmt: skip
    shutil.copyfile(media / "video" / "grid_bbaf2n.mpg", talker)
    (folder / "sources.csv").write_text(
        "uri,subject,known_names,consent,licence,start_ms,end_ms\n"
        f"{signer.name},{SUBJECTS[0]},{'; '.join(NAMES)},{CONSENT},CC BY 4.0,100,1000\n"
        f"{talker.name},{SUBJECTS[1]},,{CONSENT},,,\n"
    )
    return folder / "sources.csv"


def stored(project: Project) -> dict[str, Any]:
    """Every byte in the store, but for how long it took to make."""
    found: dict[str, Any] = {}
    for path in project.store_dir.glob("[!.]*/[!.]*/*"):
        name = path.relative_to(project.store_dir).as_posix()
        if path.name == "entry.json":
            found[name] = {k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"}
        else:
            found[name] = File.of(path).sha256
    return found


# ── kill -9, and two at once ─────────────────────────────────────────────────────────────────────────────────


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """`deemo ARGUMENTS` as a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "deemo_data.cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def same_lists(one: Project, other: Project) -> bool:
    def text(project: Project) -> str:
        return (project.root / "clips.jsonl").read_text().replace(str(project.root), "ROOT")

    return text(one) == text(other)


def members(group: int) -> list[int]:
    """Living processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state_, _, group_ = stat.read_text().rsplit(") ", 1)[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(group_) == group and state_ != "Z":
            found.append(int(stat.parent.name))
    return found
