"""Work is found again when, and only when, nothing that went into it changed; a kill leaves nothing half done."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from deemo_data import pseudonyms
from deemo_data.clip import Clip, Facts
from deemo_data.errors import SourceError, StageError
from deemo_data.files import File
from deemo_data.pipeline import environment, store
from deemo_data.pipeline.entry import read_entry

SECRET = b"k" * 32
REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Louder:
    """A small stage: writes what it sees, twice."""

    gain: float = 2.0
    mode: str = "plain"  # how it misbehaves
    wait: float = 0.0

    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "secret")
    makes: ClassVar[dict[str, str]] = {"loud": "loud.bin", "more": "more.bin"}
    tells: ClassVar[tuple[str, ...]] = ("level",)

    def __call__(self, clip: Clip, out: Path) -> Facts:
        told: Facts = {"level": [self.gain, clip.start_ms]}
        if self.mode == "peeks at a file":
            clip.path("faces")
        if self.mode == "peeks at a fact":
            told["level"] = clip.facts["subject"]
        (out / "loud.bin").write_bytes(clip.path("source").read_bytes() * 2)
        if self.mode == "breaks off":
            raise OSError(28, "No space left on device")
        time.sleep(self.wait)
        (out / "more.bin").write_text(hashlib.sha256(clip.facts["secret"].encode()).hexdigest())
        if self.mode == "forgets a file":
            (out / "more.bin").unlink()
        if self.mode == "tells more":
            told["extra"] = 1
        if self.mode == "tells less":
            told.clear()
        if self.mode == "tells no JSON":
            told["level"] = {1, 2}
        if self.mode == "changes the source":
            clip.path("source").write_bytes(b"other footage")
        return told


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    source, faces = tmp_path / "raw.mkv", tmp_path / "faces.parquet"
    source.write_bytes(b"footage " * 100)
    faces.write_bytes(b"boxes")
    stat = source.stat()
    facts = {"grid": {"fps": "25"}, "subject": "s-1", "stamp": [stat.st_size, stat.st_mtime_ns]}
    return Clip("aa-0-100", "aa", 0, 100, {"source": File.of(source), "faces": File.of(faces)}, facts)


def key(stage: object, clip: Clip, secret: bytes = SECRET) -> str:
    return Path(store.StageEntries(stage, Path("store"), secret).entry_dir(clip)).name  # type: ignore[arg-type]


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Quieter(Louder):
    """The same, under another name."""


def test_what_changes_a_key(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {
        "as it is": key(Louder(), clip),
        "parameter": key(Louder(gain=2.5), clip),
        "stage": key(Quieter(), clip),
        "start": key(Louder(), replace(clip, start_ms=1)),
        "end": key(Louder(), replace(clip, end_ms=101)),
        "file": key(Louder(), clip.with_results({"source": File(clip.files["source"].path, "0" * 64)}, {})),
        "fact": key(Louder(), clip.with_results({}, {"grid": {"fps": "24"}})),
        "secret": key(Louder(), clip, b"another"),
    }
    monkeypatch.setattr(Louder, "version", 2)
    keys["version"] = key(Louder(), clip)
    assert len(set(keys.values())) == len(keys), keys


def test_what_changes_no_key(clip: Clip) -> None:
    same = key(Louder(), clip)
    assert same == key(Louder(gain=2.0), replace(clip, id="other"))
    assert same == key(Louder(), clip.with_results({"source": replace(clip.files["source"], path="/elsewhere")}, {}))
    assert same == key(Louder(), clip.with_results({"faces": File("f", "1" * 64), "new": File("n", "2")}, {}))
    assert same == key(Louder(), clip.with_results({}, {"subject": "s-2", "stamp": [0, 0], "words": "said"}))


def test_each_stage_gets_a_key_of_its_own(clip: Clip) -> None:
    ours, theirs = (store.restrict_clip(s, clip, SECRET).facts["secret"] for s in (Louder(), Quieter()))
    assert len({ours, theirs, SECRET.hex(), SECRET.decode()}) == 4


# ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────


def apply(stage: Louder, clip: Clip, where: Path) -> Clip:
    return store.apply_stage(stage, clip, store_dir=where, secret=SECRET)


def entries(where: Path) -> list[Path]:
    return sorted(p for p in where.glob("*/*") if p.name != ".lock")


def test_made_once_and_found_again(clip: Clip, tmp_path: Path) -> None:
    where = tmp_path / "store"
    assert store.find_outputs(Louder(), clip, where, SECRET) is None
    made = apply(Louder(), clip, where)
    assert made.path("loud").read_bytes() == b"footage " * 200
    assert made.files["loud"] == File.of(made.path("loud"))
    assert made.facts == clip.facts | {"level": [2.0, 0]}
    assert made.files.keys() == {"source", "faces", "loud", "more"}
    (home,) = entries(where)
    before = {p: p.stat().st_mtime_ns for p in [home, *home.iterdir()]}
    assert apply(Louder(), clip, where) == made == store.find_outputs(Louder(), clip, where, SECRET)
    assert {p: p.stat().st_mtime_ns for p in [home, *home.iterdir()]} == before, "not touched again"


def test_an_entry_says_how_it_was_made(clip: Clip, tmp_path: Path) -> None:
    apply(Louder(gain=3), clip, tmp_path / "store")
    (home,) = entries(tmp_path / "store")
    entry = json.loads((home / "entry.json").read_text())
    assert (entry["stage"], entry["version"], entry["clip"]) == ("Louder", 1, "aa-0-100")
    assert entry["parameters"]["gain"] == 3
    assert entry["needs"] == {"source": clip.files["source"].sha256}
    assert entry["versions"]["av"]
    assert entry["files"]["loud"]["bytes"] == 1600


def test_the_build_of_onnxruntime_is_among_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = importlib.metadata.version
    there = {"onnxruntime-gpu": "1.31.1", "onnxruntime": None}

    def version(name: str) -> str:
        if name not in there:
            return plain(name)
        if (found := there[name]) is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    environment.library_versions.cache_clear()
    try:
        assert environment.library_versions()["onnxruntime-gpu"] == "1.31.1"
        assert "onnxruntime" not in environment.library_versions()
    finally:
        environment.library_versions.cache_clear()


@pytest.mark.parametrize("kind", ["of the text", "of what it says", "none"])
def test_an_entry_is_what_was_written(clip: Clip, tmp_path: Path, kind: str) -> None:
    """Also one of a version that gave another digest, or none."""
    apply(Louder(gain=3), clip, tmp_path / "store")
    (home,) = entries(tmp_path / "store")
    path = home / "entry.json"
    if kind != "of the text":
        said = {n: v for n, v in json.loads(path.read_text()).items() if n not in ("sum", "seconds")}
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        path.chmod(0o600)
        path.write_text(json.dumps(said | {"seconds": 1.5} | ({"sum": digest} if kind != "none" else {}), indent=1))
    whole = path.read_text()
    assert read_entry(home) == json.loads(whole)
    path.chmod(0o600)
    path.write_text(re.sub('"seconds": [0-9.e-]+', '"seconds": 1234.5', whole))
    assert read_entry(home), "how long it took is not looked at: a store that is made again has the same digests"
    path.write_text(whole.replace('"gain": 3', '"gain": 4'))
    assert (read_entry(home) is None) == (kind != "none")


def test_no_secret_is_written_down(clip: Clip, tmp_path: Path) -> None:
    apply(Louder(), clip, tmp_path / "store")
    derived = pseudonyms.derive_key(SECRET, "Louder")
    for path in (tmp_path / "store").rglob("*"):
        said = str(path).encode() + (path.read_bytes() if path.is_file() else b"")
        for word in (SECRET, SECRET.hex().encode(), derived.encode(), bytes.fromhex(derived)):
            assert word not in said, path


@pytest.mark.parametrize(
    "damage", ["truncate", "lose a file", "lose entry.json", "empty entry.json", "zeros", "another's", "a file"]
)
def test_a_damaged_entry_is_made_anew(clip: Clip, tmp_path: Path, damage: str) -> None:
    where = tmp_path / "store"
    made = apply(Louder(), clip, where)
    (home,) = entries(where)
    match damage:
        case "truncate":
            os.truncate(made.path("loud"), 10)
        case "lose a file":
            made.path("more").unlink()
        case "lose entry.json":
            (home / "entry.json").unlink()
        case "empty entry.json":
            (home / "entry.json").write_text("")
        case "zeros":
            (home / "entry.json").write_bytes(b"\xff\0" * 500)
        case "another's":
            (home / "entry.json").write_text('{"something": "else"}')
        case "a file":
            os.rename(home, tmp_path / "gone")
            home.write_text("?")
    assert store.find_outputs(Louder(), clip, where, SECRET) is None
    assert apply(Louder(), clip, where) == made
    assert made.path("loud").read_bytes() == b"footage " * 200
    assert [p for p in entries(where) if not p.name.startswith(".")] == [home]


@pytest.mark.parametrize(
    ("mode", "error", "says"),
    [
        ("forgets a file", StageError, "promised more.bin for clip aa-0-100"),
        ("tells more", StageError, "promised the facts"),
        ("tells less", StageError, "promised the facts"),
        ("tells no JSON", TypeError, "not JSON"),
        ("peeks at a file", KeyError, "faces"),
        ("peeks at a fact", KeyError, "subject"),
        ("breaks off", OSError, "No space left"),
        ("changes the source", SourceError, "changed since it was taken in"),
    ],
)
def test_broken_promises_leave_nothing(clip: Clip, tmp_path: Path, mode: str, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        apply(Louder(mode=mode), clip, tmp_path / "store")
    assert entries(tmp_path / "store") == []


def test_footage_that_was_only_touched_is_the_same_footage(clip: Clip, tmp_path: Path) -> None:
    os.utime(clip.path("source"), ns=(5, 5))
    apply(Louder(), clip, tmp_path / "store")


def test_footage_of_the_same_size_that_was_changed_is_refused(clip: Clip, tmp_path: Path) -> None:
    path = clip.path("source")
    path.write_bytes(path.read_bytes().upper())
    with pytest.raises(SourceError, match=r"raw\.mkv changed"):
        apply(Louder(), clip, tmp_path / "store")
    assert entries(tmp_path / "store") == []


def test_what_was_never_made_is_said(clip: Clip, tmp_path: Path) -> None:
    bare = replace(clip, facts={})
    with pytest.raises(StageError, match="grid was never made"):
        store.find_outputs(Louder(), bare, tmp_path / "store", SECRET)


def test_old_leavings_are_tidied_and_fresh_ones_are_not(clip: Clip, tmp_path: Path) -> None:
    where = tmp_path / "store"
    apply(Louder(), clip, where)
    old, fresh = where / "Louder" / ".x.1", where / "Louder" / ".x.2"
    for left in (old, fresh):
        left.mkdir()
        (left / "half.mp4").touch()
    os.utime(old, (1, 1))
    store.remove_leftovers(where)
    assert not old.exists()
    assert fresh.exists()
    assert store.find_outputs(Louder(), clip, where, SECRET)


# ── kills and races ──────────────────────────────────────────────────────────────────────────────────────────


def make(clip: Clip, where: Path, stage: Louder, begin: float = 0) -> None:
    while time.time() < begin:
        pass
    apply(stage, clip, where)


@pytest.mark.timeout(60)
def test_a_kill_leaves_no_entry_and_the_next_run_makes_the_same(clip: Clip, tmp_path: Path) -> None:
    where, calm = tmp_path / "store", tmp_path / "calm"
    expected = apply(Louder(), clip, calm)
    said = json.dumps([clip.to_row(), str(where)])
    script = (
        "import json, sys; from pathlib import Path; from deemo_data.clip import Clip; from tests.pipeline import test_store\n"
        "row, where = json.loads(sys.argv[1]); test_store.make(Clip.of_row(row), Path(where), test_store.Louder(wait=60))"
    )
    run = subprocess.Popen([sys.executable, "-c", script, said], env=os.environ | {"PYTHONPATH": f"{REPO}"})
    until = time.monotonic() + 30
    while not list(where.glob("*/.*/loud.bin")):
        assert time.monotonic() < until
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert not [p for p in entries(where) if not p.name.startswith(".")], "nothing half done has a final name"
    assert store.find_outputs(Louder(), clip, where, SECRET) is None
    made = apply(Louder(), clip, where)
    assert [made.files[n].sha256 for n in Louder.makes] == [expected.files[n].sha256 for n in Louder.makes]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("before", ["nothing", "a truncated entry"])
def test_racing_for_one_entry(clip: Clip, tmp_path: Path, before: str) -> None:
    where = tmp_path / "store"
    if before != "nothing":
        os.truncate(apply(Louder(), clip, where).path("loud"), 3)
    context = multiprocessing.get_context("spawn")
    begin = time.time() + 1.5
    racers = [context.Process(target=make, args=(clip, where, Louder(), begin)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert [r.exitcode for r in racers] == [0, 0, 0, 0]
    named = [p for p in entries(where) if not p.name.startswith(".")]
    assert len(named) == 1
    assert read_entry(named[0])
    assert len(entries(where)) <= 1 + (before != "nothing"), "nothing left aside but what was broken"
