"""Finished work, filed under what it was made from: the only resume mechanism.

    store/<Stage>/<key>/      the files a stage made, and entry.json that says how

An entry exists or it does not: it is built aside, fsynced and renamed into place, so a killed run leaves
nothing half done, a failed clip is simply not there, and "resume" is running the same command again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import importlib.metadata
import json
import os
import shutil
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deemo_data.clip import Clip, Facts, File, parsed, sync
from deemo_data.errors import SourceError, StageError

if TYPE_CHECKING:
    from deemo_data.pipeline import Stage

# versions of these are kept beside each entry, not in its key
RECORDED = (
    "av", "mediapipe", "insightface", "opencv-contrib-python", "scenedetect-headless", "onnx", "numpy", "scipy",
    "faster-whisper", "ctranslate2", "spacy", "presidio-analyzer",
)  # fmt: skip
ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-rocm")  # builds of one module


_json = json.JSONEncoder(sort_keys=True).encode


class Entries:
    """The entries of one stage. What is the same for all clips is worked out once, since there may be many."""

    def __init__(self, stage: Stage, store: Path, secret: bytes) -> None:
        self.stage, self.name = stage, type(stage).__name__
        self.needs = [n for n in stage.needs if n != "secret"]
        self.of_source: dict[str, Any] = {}  # for who looks up whole sources, many clips of each
        self._folder = str(store / self.name)
        self._secret = _key_id(derive(secret, self.name)) if "secret" in stage.needs else None
        self._parameters = _json(asdict(stage))  # type: ignore[call-overload]
        self._which = f'"stage": {_json(self.name)}, "version": {_json(stage.version)}'
        self._made, self._told = set(stage.makes), set(stage.tells)

    def home(self, clip: Clip) -> str:
        """The folder of what the stage makes of the clip. Raises StageError when the clip lacks what it needs.

        Its name is the key: sha256 over the stage, its version and parameters, the clip's span, and all it declared that it
        needs. That is one JSON object with sorted keys, put together here because much of it is the same for all clips.
        """
        files, facts = {}, {}
        for n in self.needs:
            if n in clip.files:
                files[n] = clip.files[n].sha256
            elif n in clip.facts:
                facts[n] = clip.facts[n]
            else:
                clip.only(self.needs)
        if self._secret is not None:
            facts["secret"] = self._secret
        needed = _json({"facts": facts, "files": files})[1:-1]
        said = f'{{{needed}, "parameters": {self._parameters}, "span": [{clip.start_ms}, {clip.end_ms}], {self._which}}}'
        return f"{self._folder}/{hashlib.sha256(said.encode()).hexdigest()[:32]}"

    def find(self, clip: Clip) -> Made | None:
        """What the stage made of the clip, if that is in the store. Raises StageError when the clip lacks what it needs."""
        home = self.home(clip)
        entry = entry_of(home)
        if entry is None or not (self._made <= entry["files"].keys() and self._told <= entry["facts"].keys()):
            return None
        return Made({sys.intern(n): File(f"{home}/{f['name']}", f["sha256"]) for n, f in entry["files"].items()}, entry)


class Made(NamedTuple):
    """What an entry holds: its files, and all that entry.json says."""

    files: dict[str, File]
    entry: dict[str, Any]

    @property
    def facts(self) -> Facts:
        found: Facts = self.entry["facts"]
        return found


def seen_by(stage: Stage, clip: Clip, secret: bytes) -> Clip:
    """The clip as `stage` may see it: what it declared, and of the secret only a key derived for the stage's name."""
    if "secret" in stage.needs:
        clip = clip.knowing({}, {"secret": derive(secret, type(stage).__name__)})
    return clip.only(stage.needs)


def derive(secret: bytes, purpose: str) -> str:
    """A key for one purpose, from which the project's secret cannot be had: HMAC-SHA256, in hex."""
    return hmac.new(secret, purpose.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def _key_id(derived: str) -> str:
    return hashlib.sha256(f"key id of {derived}".encode()).hexdigest()[:16]


def entry_of(home: Path | str) -> dict[str, Any] | None:
    """What entry.json says, if it says what was written, and every file is there with the size that was written."""
    try:
        text = _text(f"{home}/entry.json")
        entry: dict[str, Any] = parsed(text)
        whole = isinstance(entry["facts"], dict) and all(
            "/" not in f["name"] and isinstance(f["sha256"], str) and os.stat(f"{home}/{f['name']}").st_size == f["bytes"]
            for f in entry["files"].values()
        )
        whole = whole and ("sum" not in entry or _is_unchanged(text, entry))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return None
    except OSError as e:
        if e.errno != errno.ENAMETOOLONG:
            raise
        return None
    return entry if whole else None


def _text(path: str) -> str:
    """A little file, in a quarter of the time that open() takes."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = part = os.read(handle, 65536)
        while len(part) == 65536:
            data += (part := os.read(handle, 65536))
    finally:
        os.close(handle)
    return data.decode()


def text_of(entry: dict[str, Any]) -> str:
    """entry.json, with the digest of its text: that is had much sooner than the digest of what it says."""
    entry = entry | {"sum": ""}
    text = json.dumps(entry, indent=1, sort_keys=True)
    return text.replace(_SUM % "", _SUM % _digest_of_text(text, entry), 1)


_SUM, _SECONDS = '\n "sum": "%s"', '\n "seconds": %s'  # lines of their own: within a string of JSON no line ends


def _digest_of_text(text: str, entry: dict[str, Any]) -> str:
    """Of all of it but for the digest itself, and for how long it took, which would be otherwise the next time."""
    same = text.replace(_SUM % entry["sum"], _SUM % "", 1).replace(_SECONDS % entry.get("seconds"), _SECONDS % 0, 1)
    return hashlib.sha256(same.encode()).hexdigest()


def _is_unchanged(text: str, entry: dict[str, Any]) -> bool:
    """Whether it is what was written; older versions gave the digest of what it says, not of its text."""
    if _digest_of_text(text, entry) == entry["sum"]:
        return True
    said = {n: v for n, v in entry.items() if n not in ("sum", "seconds")}
    return bool(hashlib.sha256(_json(said).encode()).hexdigest() == entry["sum"])


def find(stage: Stage, clip: Clip, store: Path, secret: bytes) -> Clip | None:
    """The clip plus what `stage` made of it, if that is in the store."""
    return _knowing(clip, Entries(stage, store, secret).find(clip))


def apply(stage: Stage, clip: Clip, store: Path, secret: bytes) -> Clip:
    """The clip plus what `stage` makes of it: from the store if it is there, else made now."""
    entries = Entries(stage, store, secret)
    done = _knowing(clip, entries.find(clip))
    if done is None:
        _make(stage, seen_by(stage, clip, secret), Path(entries.home(clip)), clip)
        done = _knowing(clip, entries.find(clip))
    if done is None:
        raise StageError(f"{type(stage).__name__}: what it made for clip {clip.id} is not in the store", "Is the disk failing?")
    return done


def _knowing(clip: Clip, made: Made | None) -> Clip | None:
    return clip.knowing(made.files, made.facts) if made else None


def _make(stage: Stage, seen: Clip, home: Path, clip: Clip) -> None:
    for name in seen.files:
        if name != "source":
            check_made(seen, name)
    aside = home.parent / f".{home.name}.{seen.source}.{uuid.uuid4().hex[:8]}"  # whose it is: deemo forget looks for that
    aside.mkdir(parents=True)
    handle = os.open(aside, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)  # for as long as this process lives: see `tidy`
    name = type(stage).__name__
    try:
        began, before = time.monotonic(), _stamp_now(clip)
        facts: Facts = stage(seen, aside)
        check_source(clip, before)
        if missing := [f for f in stage.makes.values() if not (aside / f).is_file()]:
            raise StageError(f"{name} promised {', '.join(missing)} for clip {seen.id} and did not write it")
        if set(facts) != set(stage.tells):
            raise StageError(f"{name} promised the facts {sorted(stage.tells)} and gave {sorted(facts)}")
        made = {n: {"name": f, "bytes": (aside / f).stat().st_size, "sha256": File.of(aside / f).sha256}
                for n, f in stage.makes.items()}  # fmt: skip
        entry = {
            "clip": seen.id,
            "source": seen.source,
            "stage": name,
            "version": stage.version,
            "parameters": asdict(stage),  # type: ignore[call-overload]
            "needs": {n: f.sha256 for n, f in seen.files.items()},
            "files": made,
            "facts": facts,
            "seconds": round(time.monotonic() - began, 3),
            "versions": versions(),
        }
        (aside / "entry.json").write_text(text_of(entry))
        for path in aside.iterdir():
            path.chmod(0o444)  # out/ links to these: nobody edits them in place by mistake
        for path in [*aside.iterdir(), aside]:
            sync(path)
        _put(aside, home)
    finally:
        os.close(handle)
        shutil.rmtree(aside, ignore_errors=True)


def _put(aside: Path, home: Path) -> None:
    """Give an entry its name, in one step. One process at a time, so that none takes away what another just put there."""
    with open(home.parent / ".lock", "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if entry_of(home) is not None:  # another worker got there first: its work is as good as ours
            return
        if home.exists():  # somebody truncated it: out of the way
            os.rename(home, home.parent / f".broken.{uuid.uuid4().hex[:8]}")
        os.rename(aside, home)
        sync(home.parent)
        sync(home.parent.parent)  # the stage's own folder may be new


def check_made(clip: Clip, name: str) -> None:
    """A file that a stage made must still be what it made, to the byte. Raises StageError when it is not.

    The entry it lies in is then given another name, so that the next run makes it anew.
    """
    file, home = clip.files[name], clip.path(name).parent
    if File.of(Path(file.path)).sha256 == file.sha256:
        return
    if (home / "entry.json").exists():
        os.rename(home, home.parent / f".broken.{uuid.uuid4().hex[:8]}")
    raise StageError(f"clip {clip.id}: {file.path} is not what was written there", "Type: deemo run, which makes it anew")


def stamp_of(path: Path) -> list[int]:
    """By what it is known, without reading it, that a file is as it was: size, time, and time of whatever was done to it last.

    The first two can be put back after a change, the third cannot.
    """
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _stamp_now(clip: Clip) -> list[int]:
    return stamp_of(clip.path("source")) if "source" in clip.files and "stamp" in clip.facts else []


def check_source(clip: Clip, before: list[int] | None = None) -> None:
    """Footage may not change under us: stamps are compared, and on a difference the digest. `before`: when the stage began."""
    now = _stamp_now(clip)
    if now and now != clip.facts["stamp"] and _digest(clip.files["source"].path, *now) != clip.files["source"].sha256:
        raise SourceError(f"{clip.files['source'].path} changed since it was taken in", "Type: deemo ingest DIR SOURCES")
    if before is not None and now != before:  # it is what it was, but was it meanwhile?
        raise SourceError(f"{clip.files['source'].path} was written to while it was read", "Run again")


@lru_cache(maxsize=1024)
def _digest(path: str, *stamp: int) -> str:
    """A file's digest, read once for each stamp."""
    return File.of(Path(path)).sha256


@cache
def versions() -> dict[str, str]:
    """The libraries whose version may change what comes out."""
    from deemo_data.programs import ffmpeg_version

    recorded = {name: importlib.metadata.version(name) for name in RECORDED}
    return recorded | onnxruntimes() | {"ffmpeg": ffmpeg_version()}


def onnxruntimes() -> dict[str, str]:
    """The builds of onnxruntime that are installed, with their versions."""
    found: dict[str, str] = {}
    for name in ONNXRUNTIMES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def tidy(store: Path) -> None:
    """Remove what killed runs left aside: what is older than a day, if no process holds it (a clock may say anything)."""
    for left in store.glob("*/.*"):
        with suppress(FileNotFoundError):  # whose it is was just done with it
            if left.is_dir() and left.stat().st_mtime < time.time() - 86400 and not _is_held(left):
                shutil.rmtree(left, ignore_errors=True)


def _is_held(aside: Path) -> bool:
    handle = os.open(aside, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
