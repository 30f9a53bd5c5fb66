"""A project with two people, for tests: traces of both are wherever a project keeps any."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from deemo_data.annotation.raw_log import RawLog, snapshot_of
from deemo_data.clip import Clip, Grid, SafeClip, write_clips
from deemo_data.files import File
from deemo_data.labels import store
from deemo_data.labels.label import PushRecord
from deemo_data.labels.vocabulary import load_nfbl
from deemo_data.project import corrections, speakers
from deemo_data.project.project import Project
from deemo_data.pseudonyms import derive_public_id
from deemo_data.sources.subjects import Person, write_subjects
from tests.makers.labels import event

GRID = Grid(Fraction(25), False, Fraction(0), 300, 64, 36)
NAMES = {"aaaaaaaaaaaa": "Zebulon Quixote", "bbbbbbbbbbbb": "Perpetua Birdwhistle"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return two_people(tmp_path)


def two_people(folder: Path) -> Project:
    """Two people, a source and a clip each, and traces of both wherever a project keeps any."""
    made = Project.make(folder / "project")
    (folder / "footage").mkdir()
    sources, nfbl = [], load_nfbl("nfbl")
    for number, source in enumerate(NAMES):
        footage = folder / "footage" / f"{source}.mp4"
        footage.write_bytes(source.encode() * 99)
        facts = {"grid": GRID.to_fact(), "subject": f"s-{number:08x}", "subject_assumed": False, "has_sound": False, "spans": [],
                 "stamp": [1, 1], "licence": "", "consent": {"statement": "yes", "asserted": False}}  # fmt: skip
        sources.append(Clip(source, source, 0, 12_000, {"source": File(str(footage), File.of(footage).sha256)}, facts))
    write_clips(sources, made.root / "sources.jsonl")
    clips = [Clip.of_span(s, 0, 4000) for s in sources]
    write_clips([replace(c, files={}, facts={}) for c in clips], made.root / "clips.jsonl")
    write_subjects(
        made.private_dir / "subjects.csv",
        [Person(i, f"s-{n:08x}", name, ("Aunt May",)) for n, (i, name) in enumerate(NAMES.items())],
    )
    for clip in clips:
        outside, whole = derive_public_id(made.secret, "c", clip.id), derive_public_id(made.secret, "v", clip.source)
        shown = SafeClip(replace(clip, id=outside, source=whole))
        store.record_pushed(made.labels_dir, [PushRecord.of(shown, nfbl, "nfbl_timeline", None)])
        store.update_labels(made.labels_dir, "project-1", {f"{outside}/1": replace(event(0, 400), clip=outside, source=whole)})
        store.update_labels(made.labels_dir, "project-1", {}, deleted=[f"{outside}/1"])
        store.update_labels(made.labels_dir, "project-1", {f"{outside}/2": replace(event(0, 900), clip=outside, source=whole)})
        held = snapshot_of({"id": 1, "data": {"clip": outside}, "annotations": []}, made.secret)
        RawLog(made.labels_dir / "raw" / "project-1.jsonl", "v").record({outside: held}, {})
        for stage in ("MaskVideo", "OfOldSettings"):
            home = made.store_dir / stage / f"key-{clip.source}"
            home.mkdir(parents=True)
            (home / "entry.json").write_text(json.dumps({"source": clip.source, "clip": clip.id}))
            (home / "masked.mp4").write_bytes(b"...")
        made.released_dir.mkdir(parents=True, exist_ok=True)
        (made.released_dir / f"{outside}.mp4").write_bytes(b"...")
        corrections.add_box(made.root, clip.source, 0, 100, [0, 0, 0.5, 0.5])
        corrections.withhold_clip(made.root, clip)
        speakers.write_speakers(made.root, clip.source, {"count": 2})
    made.write_report("run.json", [c.id for c in clips])
    return made


def everything(project: Project) -> str:
    return "\n".join(f"{p.relative_to(project.root)} {p.read_bytes()!r}" for p in sorted(project.root.rglob("*")) if p.is_file())


def traces(project: Project, source: str, name: str) -> list[str]:
    """By what somebody of that source would be found in `everything`."""
    clips = [f"{source}-0-4000", f"{source}-4000-9000"]
    return [
        source,
        name,
        derive_public_id(project.secret, "v", source),
        *(derive_public_id(project.secret, "c", c) for c in clips),
    ]
