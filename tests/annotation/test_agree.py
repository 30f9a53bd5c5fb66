"""How far the labelling of a project is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deemo_data.annotation.agree import Progress, count_progress
from deemo_data.clip import SafeClip
from deemo_data.labels import store
from deemo_data.labels.label import PushRecord
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.project.project import Project
from tests.makers.labels import clip_at, said


def test_how_far_it_is(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "p")
    assert count_progress(project) == Progress(0, 0, 0, 0, 0)
    nfbl = load_nfbl("nfbl")
    clips = [SafeClip(replace(clip_at(0, 100), id=f"c-{n}")) for n in range(5)]
    lines = [PushRecord.of(c, nfbl, "nfbl_timeline", None) for c in clips]
    store.record_pushed(project.labels_dir, [*lines, PushRecord.of(clips[3], nfbl, "adjudicate", None)])
    looks = [
        (1, "a-1", "nfbl"),
        (2, "a-1", "nfbl"),
        (2, "a-2", "nfbl"),
        (3, "a-1", "nfbl"),
        (3, "a-9", "adjudicated"),
        (4, "a-1", "clip"),
    ]
    store.update_labels(
        project.labels_dir, "p", {f"k{n}": said("seen", value, clips[c], who) for n, (c, who, value) in enumerate(looks)}
    )
    assert count_progress(project) == Progress(pushed=5, single=1, reviewed=1, adjudicated=1, people=3)
