"""Makers that tests of several packages share; taken from audit/test_run."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deemo_data.audit import report, sample
from deemo_data.audit import run as audit_run
from deemo_data.audit.attacks.scores import Score
from deemo_data.audit.material import ChannelResult, Material, ResultLine
from deemo_data.clip import Clip, Grid
from deemo_data.files import File
from deemo_data.media import encode
from deemo_data.project import clips as project_clips
from deemo_data.project.project import Project
from deemo_data.project.release import PUBLIC_FILES
from deemo_data.reports.privacy_verdict import UNPROTECTED
from deemo_data.workflow import run

GRID = Grid(Fraction(25), False, Fraction(0), 100, 64, 48)
NAME = "Jane Winterbottom"


def made(folder: Path, source: str, subject: str, **facts: Any) -> Clip:
    """A clip that has been through all stages, with a real picture of grey in `safe`."""
    out = folder / source
    out.mkdir()
    grey = np.full((GRID.height * 3 // 2, GRID.width), 96, np.uint8)
    encode.write_video(out / "safe.mp4", [grey] * GRID.frames, GRID, 23, "ultrafast")
    files = {"safe": File.of(out / "safe.mp4"), "source": File(str(folder / f"{NAME} interview.mp4"), "f" * 64)}
    (out / "leaks.json").write_text(json.dumps({"frames": [3], "looked_at": GRID.frames}))
    files["leaks"] = File.of(out / "leaks.json")
    for name in PUBLIC_FILES:
        if name not in files:
            (out / name).write_text(name)
            files[name] = File.of(out / name)
    known = {
        "grid": GRID.to_fact(), "has_sound": False, "subject": subject, "subject_assumed": False, "leaks_passed": True,
        "consent": {"statement": "yes", "asserted": False}, "known_names": [NAME], "licence": "",
    }  # fmt: skip
    return Clip(f"{source}-0-4000", source, 0, 4000, files, known | facts)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three clips of two subjects; both profiles have made the same of them; the last may not be released."""
    project = Project.make(tmp_path / "project", "hardened")
    clips = [made(tmp_path, "0123456789ab", "s-1"), made(tmp_path, "123456789abc", "s-2")]
    clips.append(made(tmp_path, "23456789abcd", "s-2", leaks_passed=False))
    for module in (sample, project_clips):
        monkeypatch.setattr(module, "read_current_clips", lambda _: clips)
    monkeypatch.setattr(run, "run_attempts", lambda other, chosen, *_: ({c.id: c for c in chosen}, {}))
    monkeypatch.setattr(report, "read_project_clips", lambda _: clips)
    return project


def found(material: Material) -> ChannelResult:
    """A channel as they come: figures for all sides, some that could not be computed, the closest clips."""
    cells = {
        UNPROTECTED: Score(1, 0.4, 1, 0.5, 3, "clips"),
        "deemo-paper": None,
        "hardened": Score(0.52, 0.1, 0.9, 0.5, 3, "clips"),
    }
    nothing = ResultLine("parrot", "a recogniser", "rank-1", {}, "low", note="needs two clips")
    use = ResultLine(
        "body points moved by", "MediaPipe", "shoulder widths", {"hardened": Score(1.23, 1, 2, None, 3, "clips")}, ""
    )
    worst = {c.id: (0.1 * k, 7, "likeness 0.40 & 0.30") for k, c in enumerate(material.clips)}
    return ChannelResult(
        [ResultLine("knows originals", "<i>net</i>", "rank-1", cells, "low", "w-123456"), nothing], [use], ["a note"], worst
    )


@pytest.fixture
def channels(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Material], ChannelResult]]:
    chosen: dict[str, Callable[[Material], ChannelResult]] = {"face": found}
    monkeypatch.setattr(audit_run, "CHANNELS", chosen)
    return chosen
