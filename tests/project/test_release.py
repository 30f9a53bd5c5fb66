"""The one door out: what may not pass stays, and what passes carries nothing along."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from deemo_data.clip import Clip
from deemo_data.errors import NotReleasable
from deemo_data.files import File
from deemo_data.project import release
from deemo_data.project.project import Project

GRID = {"fps": "25", "vfr": False, "zero": "0", "frames": 100, "width": 64, "height": 48}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path / "p", "hardened")


@pytest.fixture
def clip(project: Project, tmp_path: Path) -> Clip:
    """One that may go."""
    files = {}
    for name in ("source", "body", "faces", "masked", "voice", "prosody", "safe", "public_body", "leaks"):
        path = project.store_dir / f"{name}.bin"
        path.write_text(json.dumps({"frames": [3, 4], "looked_at": 100}) if name == "leaks" else f"bytes of {name}")
        files[name] = File.of(path)
    facts = {
        "grid": GRID, "has_sound": True, "stamp": [1, 2], "subject": "s-12345678", "subject_assumed": False, "spans": [[0, 4]],
        "consent": {"statement": "yes", "asserted": False}, "licence": "CC BY 4.0", "leaks_passed": True,
        "leaks_summary": {"frames": 0}, "known_names": ["Jane Doe"],
    }  # fmt: skip
    return Clip("0123456789ab-0-4000", "0123456789ab", 0, 4000, files, facts)


def test_what_passes_carries_nothing_along(project: Project, clip: Clip) -> None:
    safe = release.release_clip(clip, project)
    assert set(safe.files) == {"video", "body", "prosody"}
    assert safe.path("video").read_text() == "bytes of safe"
    assert safe.path("body").read_text() == "bytes of public_body"
    assert safe.files["video"] == File.of(safe.path("video"))
    assert safe.path("video").parent == safe.path("body").parent == project.released_dir
    assert {"subject", "consent", "licence", "leaks", "grid"} <= set(safe.facts)
    assert safe.facts["leaks"] == {"frames": 0}
    said = json.dumps(safe.to_row())
    for word in ("0123456789ab", "Jane", "stamp", "store", "masked", "faces", clip.files["source"].sha256, project.secret.hex()):
        assert word not in said, word


def test_names_outside_are_stable_and_say_nothing(project: Project, clip: Clip, tmp_path: Path) -> None:
    safe, again = release.release_clip(clip, project), release.release_clip(clip, project)
    assert safe == again
    assert safe.id.startswith("c-")
    assert safe.source.startswith("v-")
    assert len(safe.id) == len(safe.source) == 18
    other = release.release_clip(replace(clip, id="0123456789ab-4000-8000"), project)
    assert other.id != safe.id
    assert other.source == safe.source
    elsewhere = release.release_clip(clip, Project.make(tmp_path / "q", "hardened"))
    assert {elsewhere.id, elsewhere.source}.isdisjoint({safe.id, safe.source}), "the same footage elsewhere is not recognised"
    assert len(list(project.released_dir.iterdir())) == 6


@pytest.mark.parametrize(
    ("change", "says", "advice"),
    [
        ({"leaks_passed": False}, "saw a face in 2 of 100 frames, first in frame 3", "privacy"),
        ({"leaks_passed": None}, "clip 0123456789ab-0-4000", ""),
        ({"leaks_passed": 1}, "clip 0123456789ab-0-4000", ""),
        ({"consent": None}, "no consent is on record", "--consent"),
        ({"consent": {}}, "no consent is on record", "--consent"),
        ({"consent": {"statement": "withdrawn 2024", "asserted": False}}, "no consent is on record", "it was withdrawn"),
        ({"consent": {"statement": "pending", "asserted": False}}, "no consent is on record", "not decided yet"),
    ],
)
def test_what_stays(project: Project, clip: Clip, change: dict[str, object], says: str, advice: str) -> None:
    with pytest.raises(NotReleasable, match=says) as e:
        release.release_clip(clip.with_results({}, change), project)
    assert clip.id in e.value.what
    assert advice in e.value.advice
    assert not project.released_dir.exists() or not list(project.released_dir.iterdir())


@pytest.mark.parametrize("lacking", ["safe", "public_body"])
def test_what_is_not_made_yet_stays(project: Project, clip: Clip, lacking: str) -> None:
    bare = replace(clip, files={n: f for n, f in clip.files.items() if n != lacking})
    with pytest.raises(NotReleasable, match=f"is not made yet \\(no {lacking}\\)") as e:
        release.release_clip(bare, project)
    assert "deemo run" in e.value.advice


def test_never_looked_at_is_not_passed(project: Project, clip: Clip) -> None:
    unseen = replace(
        clip,
        files={n: f for n, f in clip.files.items() if n != "leaks"},
        facts={n: v for n, v in clip.facts.items() if "leaks" not in n},
    )
    with pytest.raises(NotReleasable, match="has not looked at it"):
        release.release_clip(unseen, project)


def test_what_may_no_longer_go_is_taken_back(project: Project, clip: Clip) -> None:
    other = replace(clip, id="0123456789ab-4000-8000")
    safe, kept = release.release_clips([clip, other], project)
    assert (len(safe), kept) == (2, [])
    safe, kept = release.release_clips([clip, other.with_results({}, {"consent": None})], project)
    assert [s.id for s in safe] == [release.release_clip(clip, project).id]
    ((stayed, why),) = kept
    assert stayed.id == other.id
    assert "consent" in why.what
    assert {p.name for p in project.released_dir.iterdir()} == {Path(f.path).name for f in safe[0].files.values()}


def test_a_second_release_touches_nothing(project: Project, clip: Clip) -> None:
    safe = release.release_clip(clip, project)
    before = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in project.released_dir.iterdir()}
    release.release_clips([clip], project)
    assert {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in project.released_dir.iterdir()} == before
    assert safe.path("video").exists()


def test_a_new_rendering_replaces_the_old(project: Project, clip: Clip) -> None:
    old = release.release_clip(clip, project)
    new = project.store_dir / "again.bin"
    new.write_text("rendered anew")
    safe = release.release_clip(clip.with_results({"safe": File.of(new)}, {}), project)
    assert safe.id == old.id
    assert safe.path("video").read_text() == "rendered anew"
    assert safe.files["video"].sha256 != old.files["video"].sha256
    assert clip.path("safe").read_text() == "bytes of safe", "what the store has is not written to"


def test_where_no_links_can_be_made_there_are_copies(project: Project, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*args: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no)
    safe = release.release_clip(clip, project)
    assert safe.path("video").read_text() == "bytes of safe"
    assert safe.path("video").stat().st_nlink == 1
    assert len(list(project.released_dir.iterdir())) == 3, "nothing left aside"


def test_the_whole_project_is_released_at_once(project: Project, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(clip, id="0123456789ab-4000-8000").with_results({}, {"consent": None})
    monkeypatch.setattr(release, "read_current_clips", lambda project: [clip, other])
    safe, problems = release.release_current_clips(project)
    assert safe == [release.release_clip(clip, project)]
    ((what, step, reason),) = [(p.what, p.step, p.reason) for p in problems]
    assert (what, step) == (other.id, "release")
    assert reason == "no consent is on record for its source"
