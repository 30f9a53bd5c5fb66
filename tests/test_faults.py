"""What breaks on a machine: a full disk, damaged files, a clock that jumps, footage that changes, a power cut. Small and fast.

The same with real models: test_faults_runs.py.
"""

from __future__ import annotations

import ctypes
import errno
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deemo_data import files
from deemo_data.clip import Clip, Facts, Grid, write_clips
from deemo_data.errors import NotReleasable, StageError
from deemo_data.files import File
from deemo_data.labels.store import read_labels, update_labels
from deemo_data.pipeline import store
from deemo_data.pipeline.entry import read_entry
from deemo_data.pipeline.run import Failure, run_stages
from deemo_data.project import release
from deemo_data.project.project import Project
from deemo_data.sources import intake, source_table
from deemo_data.sources.intake import IntakeOptions
from tests.makers.disks import disk, flip, grow
from tests.makers.labels import event

SECRET = b"k" * 32
REPO = Path(__file__).resolve().parents[1]
FOOTAGE = bytes(range(256)) * 40
OTHER = FOOTAGE[::-1]
GRID = Grid(Fraction(25), False, Fraction(0), 100, 64, 48).to_fact()


@dataclass(frozen=True)
class Reads:
    """A stage that reads footage, while something happens to it."""

    mode: str = ""

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid")
    makes: ClassVar[dict[str, str]] = {"seen": "seen.bin"}
    tells: ClassVar[tuple[str, ...]] = ("level",)

    def __call__(self, clip: Clip, out: Path) -> Facts:
        path = clip.path("source")
        first = path.read_bytes()[:5000]
        if self.mode == "segfault" and clip.id == "b":
            ctypes.string_at(0)
        if self.mode == "waits":
            (out / "seen.bin").write_bytes(first)
            time.sleep(60)
        if self.mode:
            change(path, self.mode)
        (out / "seen.bin").write_bytes(first + (path.read_bytes()[5000:] if path.exists() else b""))
        return {"level": 3}


@dataclass(frozen=True)
class Goes:
    """A stage that reads what the first made."""

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("seen",)
    makes: ClassVar[dict[str, str]] = {"safe": "safe.bin", "public_body": "b.bin", "prosody": "p.bin", "leaks": "leaks.json"}
    tells: ClassVar[tuple[str, ...]] = ("leaks_passed", "leaks_summary")

    def __call__(self, clip: Clip, out: Path) -> Facts:
        for name in ("safe.bin", "b.bin", "p.bin"):
            (out / name).write_bytes(name.encode() + clip.path("seen").read_bytes())
        (out / "leaks.json").write_text(json.dumps({"looked_at": 1, "frames": []}))
        return {"leaks_passed": True, "leaks_summary": {"frames": 0}}


STAGES = (Reads(), Goes())


def change(path: Path, how: str) -> None:
    """What may happen to footage: its bytes are others afterwards, or are gone; or were others for a moment ("and back")."""
    was = path.stat()
    match how:
        case "rewritten, size and time put back":
            path.write_bytes(OTHER)
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        case "other bytes, and back":
            for data in (OTHER, FOOTAGE):
                path.write_bytes(data)
                os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        case "appended to":
            with path.open("ab") as f:
                f.write(b"more")
        case "truncated":
            os.truncate(path, 700)
        case "replaced by rename":
            path.with_name("new").write_bytes(OTHER)
            os.utime(path.with_name("new"), ns=(was.st_atime_ns, was.st_mtime_ns))
            path.with_name("new").rename(path)
        case "deleted":
            path.unlink()


CHANGES = (
    "rewritten, size and time put back",
    "other bytes, and back",
    "appended to",
    "truncated",
    "replaced by rename",
    "deleted",
)


def footage(folder: Path, name: str = "a") -> Clip:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.mkv"
    path.write_bytes(FOOTAGE)
    time.sleep(0.02)  # a file system's clock ticks some hundred times a second: what happens next gets another time
    consent = {"statement": "yes", "asserted": False}
    facts = {"grid": GRID, "stamp": files.stamp_of(path), "consent": consent, "subject": "s-1"}
    return Clip(name, name, 0, 4000, {"source": File.of(path)}, facts)


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return footage(tmp_path)


def run(stages: Any, them: list[Clip], where: Path, **more: Any) -> tuple[list[Clip], list[Failure]]:
    return run_stages(stages, them, store_dir=where, secret=SECRET, **more)


def through(clip: Clip, where: Path) -> Clip:
    """Made, or found, by both stages."""
    for stage in STAGES:
        clip = store.apply_stage(stage, clip, where, SECRET)
    return clip


def named(where: Path) -> list[Path]:
    return sorted(p for p in where.glob("*/[!.]*"))


def content(where: Path) -> dict[str, str]:
    """Every file of every entry, each whole: by its digest, which must be the one that was noted."""
    found = {}
    for home in named(where):
        entry = read_entry(home)
        assert entry is not None, f"{home} is half made"
        for file in entry["files"].values():
            found[f"{home.parent.name}/{home.name}/{file['name']}"] = File.of(home / file["name"]).sha256
            assert found[f"{home.parent.name}/{home.name}/{file['name']}"] == file["sha256"], home
    return found


# ── footage that changes ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", CHANGES)
def test_footage_that_changes_while_a_stage_reads_it(clip: Clip, tmp_path: Path, how: str) -> None:
    _, (failure,) = run([Reads(how)], [clip], tmp_path / "store")
    assert "a.mkv" in failure.reason
    assert "changed" in failure.reason or "written to" in failure.reason or "No such file" in failure.reason
    assert failure.advice
    assert named(tmp_path / "store") == [], "nothing is made of two"


@pytest.mark.parametrize("how", [h for h in CHANGES if "and back" not in h])
@pytest.mark.parametrize("stamp", [3, 2])
def test_footage_that_changes_between_two_stages(clip: Clip, tmp_path: Path, how: str, stamp: int) -> None:
    """Also that of a project from before stamps had three parts."""
    clip = clip.with_results({}, {"stamp": clip.facts["stamp"][:stamp]})
    change(clip.path("source"), how)
    done, (failure,) = run([Reads()], [clip], tmp_path / "store")
    assert not done
    assert "a.mkv" in failure.reason
    assert failure.advice
    assert named(tmp_path / "store") == []


@pytest.mark.parametrize("how", CHANGES)
def test_footage_that_changes_while_it_is_taken_in(tmp_path: Path, how: str) -> None:
    path = footage(tmp_path).path("source")

    def probe(path: Path, fps: int, wish: object) -> Facts:
        change(path, how)
        return {"grid": GRID, "has_sound": False, "duration_ms": 4000}

    rows = [source_table.SourceRow(str(path))]
    outcome = intake.take_in_sources(rows, IntakeOptions(SECRET, tmp_path, consent="yes", probe=probe))
    taken, [refused] = outcome.sources, outcome.refusals
    assert taken == []
    assert "a.mkv" in refused.reason
    assert refused.advice


def test_footage_whose_rights_were_changed_is_read_once_more_and_is_the_same(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip.path("source").chmod(0o600)
    read: list[str] = []
    monkeypatch.setattr(File, "of", classmethod(lambda cls, p, real=File.of: (read.append(p.name), real(p))[1]))
    for mode in ("", "once", "twice"):
        store.apply_stage(Reads(mode), clip, tmp_path / "store", SECRET)
    assert read.count("a.mkv") == 1, "not once for each stage: it may be hours of footage"


# ── what is in the store is damaged ──────────────────────────────────────────────────────────────────────────

DAMAGES = (
    "flipped bytes",
    "shortened",
    "no bytes",
    "a folder",
    "gone",
    "entry cut",
    "entry says else",
    "entry a folder",
    "no entry",
)


def damage(path: Path, how: str) -> None:
    entry = path.parent / "entry.json"
    for one in (path, entry):
        one.chmod(0o600)
    match how:
        case "flipped bytes":
            flip(path)
        case "shortened":
            os.truncate(path, path.stat().st_size - 1)
        case "no bytes":
            os.truncate(path, 0)
        case "gone":
            path.unlink()
        case "entry cut":
            os.truncate(entry, 200)
        case "entry says else":
            entry.write_text(entry.read_text().replace('"level": 3', '"level": 2').replace('_passed": true', '_passed": 1'))
        case "no entry":
            entry.unlink()
        case _:
            at = entry if "entry" in how else path
            at.unlink()
            at.mkdir()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.make(tmp_path / "project")


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("where", ["seen", "safe", "prosody", "leaks"])
def test_a_damaged_entry_is_never_released_and_the_next_run_makes_it(project: Project, clip: Clip, where: str, how: str) -> None:
    made = through(clip, project.store_dir)
    before = content(project.store_dir)
    released = {p.name: p.read_bytes() for p in map(Path, (f.path for f in release.release_clip(made, project).files.values()))}
    damage(made.path(where), how)
    if where == "seen":
        shutil.rmtree(made.path("safe").parent)  # so that the next stage has to read it
    for _ in range(2):  # found by the stage that reads it or by the release; then made
        done, failures = run(STAGES, [clip], project.store_dir)
        safe, kept = release.release_clips(done, project)
        for one in safe:
            assert {Path(f.path).name: Path(f.path).read_bytes() for f in one.files.values()} == released
        if not safe:
            assert not [p for p in project.served_dir.rglob("*") if p.is_file()], "what went out before is taken back"
        for said in (*(f.reason for f in failures), *(str(e) for _, e in kept)):
            assert "fault of deemo" not in said
        for advice in (*(f.advice for f in failures), *(e.advice for _, e in kept)):
            assert advice.startswith("Type: deemo run")
    assert safe
    assert content(project.store_dir) == before


def test_a_release_reads_every_byte_it_gives_out(project: Project, clip: Clip) -> None:
    made = through(clip, project.store_dir)
    release.release_clip(made, project)
    flip(made.path("safe"))
    with pytest.raises(NotReleasable, match=r"safe\.bin is not what was written there\. Type: deemo run"):
        release.release_clip(made, project)


def test_a_damaged_file_that_is_none_of_ours_is_left_where_it_is(clip: Clip, tmp_path: Path) -> None:
    made = store.apply_stage(Reads(), clip, tmp_path / "store", SECRET)
    shutil.copyfile(made.path("seen"), tmp_path / "mine.bin")
    flip(tmp_path / "mine.bin")
    with pytest.raises(StageError, match="is not what was written"):
        store.check_stage_file(
            made.with_results({"seen": replace(made.files["seen"], path=str(tmp_path / "mine.bin"))}, {}), "seen"
        )
    assert (tmp_path / "mine.bin").exists()


# ── a crash inside a library ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workers", [1, 2])
def test_a_segfault_costs_one_clip(clip: Clip, tmp_path: Path, workers: int) -> None:
    them = [replace(clip, id=name, start_ms=n) for n, name in enumerate("abc")]
    done, (failure,) = run([Reads("segfault")], them, tmp_path / "store", workers=workers)
    assert {c.id for c in done} == {"a", "c"}
    assert (failure.clip.id, failure.stage) == ("b", "Reads")
    assert failure.reason.startswith("the process working on it died")
    assert len(content(tmp_path / "store")) == 2


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────


def work_on(clip: Clip, where: str) -> None:
    store.apply_stage(Reads("waits"), clip, Path(where), SECRET)


def test_what_a_living_process_makes_is_not_tidied_whatever_the_clock_says(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was at 1970 when the run began, or jumps by ten years now."""
    where = tmp_path / "store"
    process = multiprocessing.get_context("spawn").Process(target=work_on, args=(clip, str(where)))
    process.start()
    until = time.monotonic() + 30
    while not (half := list(where.glob("Reads/.*/seen.bin"))):
        assert time.monotonic() < until
        time.sleep(0.02)
    aside = half[0].parent
    os.utime(aside, (1, 1))
    monkeypatch.setattr(time, "time", lambda: 4e9)
    store.remove_leftovers(where)
    assert half[0].exists(), "it lives"
    process.kill()
    process.join()
    store.remove_leftovers(where)
    assert not aside.exists(), "it does not"


@pytest.mark.parametrize("years", [-10, 10])
def test_times_far_off_make_no_work(clip: Clip, project: Project, monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    made = through(clip, project.store_dir)
    release.release_clip(made, project)
    then = time.time() + years * 365 * 86400
    for path in project.root.rglob("*"):
        os.utime(path, (then, then))
    before = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in project.root.rglob("*")}
    monkeypatch.setattr(time, "time", lambda real=time.time: real() - 2 * years * 365 * 86400)
    store.remove_leftovers(project.store_dir)
    (again,), _ = run([Reads(), Goes()], [clip], project.store_dir)
    release.release_clips([again], project)
    assert again == made
    assert {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in project.root.rglob("*") if p in before} == before


def test_tidying_while_others_finish(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was listed a moment ago may have got its name since."""
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([self / "Reads" / ".gone"]))
    monkeypatch.setattr(Path, "is_dir", lambda self: True)
    store.remove_leftovers(tmp_path / "store")


def test_a_disk_that_is_full_at_any_size(clip: Clip, tmp_path: Path) -> None:
    through(clip, tmp_path / "calm")
    calm, failed = content(tmp_path / "calm"), 0
    with disk(tmp_path / "disk", 4) as small:
        for kb in range(8, 100, 4):
            grow(small, kb)
            done, failures = run(STAGES, [clip], small / "store")
            for f in failures:
                failed += 1
                assert (f.reason.split(":")[0], f.advice) == ("No space left on device", "Free some space and run again")
            assert set(content(small / "store").items()) <= set(calm.items())
            assert not [p for p in (small / "store").glob("*/.*") if p.is_dir()], "nothing is left aside to fill it up"
        assert failed > 5, "it was full most of the time"
        assert done
        assert content(small / "store") == calm


@contextmanager
def no_file_larger(size: int) -> Iterator[None]:
    """Another way to be full, for which nobody needs rights: a quota on the size of a file."""
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, was[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)


def test_no_file_may_grow_at_any_size(clip: Clip, tmp_path: Path) -> None:
    through(clip, tmp_path / "calm")
    calm = content(tmp_path / "calm")
    for size in range(0, 11_000, 500):
        with no_file_larger(size):
            done, failures = run(STAGES, [clip], tmp_path / "store")
        assert done or [f.reason.split(":")[0] for f in failures] == [os.strerror(errno.EFBIG)]
        assert set(content(tmp_path / "store").items()) <= set(calm.items())
    assert done
    assert content(tmp_path / "store") == calm


@pytest.mark.parametrize("links", [True, False])
def test_a_disk_that_is_full_while_files_are_released(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    with disk(tmp_path / "disk", 400, ",nr_inodes=40") as small:
        project = Project.make(small / "project")
        made = through(clip, project.store_dir)
        if links:
            used = 40 - os.statvfs(small).f_favail
            sizes = [(400, used + n) for n in range(1, 7)]
        else:
            monkeypatch.setattr(os, "link", lambda *a: (_ for _ in ()).throw(OSError(errno.EXDEV, "no links here")))
            used = 400 - os.statvfs(small).f_bavail * 4
            sizes = [(used + 4 * n, 1000) for n in range(0, 10, 2)]
        full = 0
        for kb, inodes in sizes:
            subprocess.run(["mount", "-o", f"remount,size={kb}k,nr_inodes={inodes}", str(small)], check=True)
            try:
                release.release_clip(made, project)
            except OSError as e:
                full += e.errno == errno.ENOSPC
            for path in project.released_dir.glob("*"):
                assert File.of(path).sha256 in {f.sha256 for f in made.files.values()}, f"{path.name} is not whole"
        assert full >= 2
        grow(small, 2000)
        safe, kept = release.release_clips([made], project)
        assert (len(safe), kept) == (1, [])
        assert len(list(project.released_dir.iterdir())) == 3


def test_a_disk_that_is_full_while_labels_are_written(tmp_path: Path) -> None:
    said = {f"t/{n}": replace(event(n * 10, n * 10 + 5), raw={"long": "x" * 300}) for n in range(60)}
    update_labels(tmp_path / "calm", "project-1", said)
    full = 0
    with disk(tmp_path / "disk", 4) as small:
        for kb in range(8, 64, 4):
            grow(small, kb)
            try:
                update_labels(small / "labels", "project-1", said)
            except OSError as e:
                full += e.errno == errno.ENOSPC
            assert all(label in said.values() for label in read_labels(small / "labels")), "no half label is one"
        assert full > 2
        assert (small / "labels" / "project-1.jsonl").read_bytes() == (tmp_path / "calm" / "project-1.jsonl").read_bytes()


def test_a_list_on_a_full_disk_stays_as_it_was(clip: Clip, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 16) as small:
        write_clips([clip], small / "clips.jsonl")
        before = (small / "clips.jsonl").read_bytes()
        with pytest.raises(OSError, match="No space left"):
            write_clips([replace(clip, id=f"{n}", start_ms=n) for n in range(200)], small / "clips.jsonl")
        assert [p.name for p in small.iterdir()] == ["clips.jsonl"], "nothing is left aside"
        assert (small / "clips.jsonl").read_bytes() == before


# ── whose parent is killed ───────────────────────────────────────────────────────────────────────────────────


def test_a_worker_ends_with_its_run_also_in_the_middle_of_a_clip(clip: Clip, tmp_path: Path) -> None:
    """A clip may take an hour: nobody works on it for a run that is gone."""
    said = json.dumps([clip.to_row(), str(tmp_path / "store")])
    script = (
        "import json, sys; from pathlib import Path; from deemo_data.clip import Clip; from tests import test_faults as t\n"
        "if __name__ == '__main__':\n"
        "    row, where = json.loads(sys.argv[1]); t.run([t.Reads('waits')], [Clip.of_row(row)], Path(where), workers=1)\n"
    )
    (tmp_path / "run.py").write_text(script)
    env = os.environ | {"PYTHONPATH": f"{REPO}"}
    begun = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), said], env=env, start_new_session=True)
    until = time.monotonic() + 30
    while not list((tmp_path / "store").glob("Reads/.*/seen.bin")):
        assert time.monotonic() < until
        time.sleep(0.02)
    begun.kill()
    begun.wait()
    from tests.makers.runs import members

    until = time.monotonic() + 20  # the clip takes 60
    while members(begun.pid):
        assert time.monotonic() < until, "it works on"
        time.sleep(0.05)
    assert not [p for p in (tmp_path / "store").glob("Reads/.*") if p.is_dir()], "and tidies up after itself"
