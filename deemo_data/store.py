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
from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deemo_data.clip import Clip, Facts, File, parsed
from deemo_data.errors import SourceError, StageError

if TYPE_CHECKING:
    from deemo_data.pipeline import Stage

# versions of these are kept beside each entry, not in its key
RECORDED = (
    "av", "onnxruntime", "mediapipe", "insightface", "opencv-contrib-python", "scenedetect-headless", "onnx", "numpy", "scipy",
    "faster-whisper", "ctranslate2", "spacy", "presidio-analyzer",
)  # fmt: skip


_json = json.JSONEncoder(sort_keys=True).encode


class Entries:
    """The entries of one stage. What is the same for all clips is worked out once, since there may be many."""

    def __init__(self, stage: Stage, store: Path, secret: bytes) -> None:
        self.stage, self.name = stage, type(stage).__name__
        self.needs = [n for n in stage.needs if n != "secret"]
        self.of_source: dict[str, Any] = {}  # for who looks up whole sources, many clips of each
        self._folder = str(store / self.name)
        self._secret = _key_id(derive(secret, self.name)) if "secret" in stage.needs else None
        self._how = _how(stage)
        self._made, self._told = set(stage.makes), set(stage.tells)

    def home(self, clip: Clip) -> str:
        """The folder of what the stage makes of the clip. Raises StageError when the clip lacks what it needs."""
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
        return f"{self._folder}/{_key(self._how, files, facts, clip)}"

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


def key(stage: Stage, clip: Clip) -> str:
    """sha256 over the stage, its version and parameters, the clip's span, and all it declared that it needs."""
    files = {n: clip.files[n].sha256 for n in stage.needs if n in clip.files}
    facts = {n: clip.facts[n] for n in stage.needs if n not in clip.files}
    if "secret" in facts:
        facts["secret"] = _key_id(facts["secret"])
    return _key(_how(stage), files, facts, clip)


def _how(stage: Stage) -> tuple[str, str]:
    parameters = _json(asdict(stage))  # type: ignore[call-overload]
    return parameters, f'"stage": {_json(type(stage).__name__)}, "version": {_json(stage.version)}'


def _key(how: tuple[str, str], files: dict[str, str], facts: Facts, clip: Clip) -> str:
    """The digest of one JSON object; it is put together here because its parameters are the same for all clips."""
    needed = _json({"facts": facts, "files": files})[1:-1]
    said = f'{{{needed}, "parameters": {how[0]}, "span": [{clip.start_ms}, {clip.end_ms}], {how[1]}}}'
    return hashlib.sha256(said.encode()).hexdigest()[:32]


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


def home_of(stage: Stage, clip: Clip, store: Path) -> Path:
    return store / type(stage).__name__ / key(stage, clip)


def entry_of(home: Path | str) -> dict[str, Any] | None:
    """What entry.json says, if the entry is whole: every file there with the size that was written."""
    try:
        entry: dict[str, Any] = parsed(_text(f"{home}/entry.json"))
        whole = isinstance(entry["facts"], dict) and all(
            "/" not in f["name"] and isinstance(f["sha256"], str) and os.stat(f"{home}/{f['name']}").st_size == f["bytes"]
            for f in entry["files"].values()
        )
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


def find(stage: Stage, clip: Clip, store: Path, secret: bytes) -> Clip | None:
    """The clip plus what `stage` made of it, if that is in the store."""
    made = Entries(stage, store, secret).find(clip)
    return clip.knowing(made.files, made.facts) if made else None


def apply(stage: Stage, clip: Clip, store: Path, secret: bytes) -> Clip:
    """The clip plus what `stage` makes of it: from the store if it is there, else made now."""
    done = find(stage, clip, store, secret)
    if done is None:
        seen = seen_by(stage, clip, secret)
        _make(stage, seen, home_of(stage, seen, store), partial(check_source, clip))
        done = find(stage, clip, store, secret)
    if done is None:
        raise StageError(f"{type(stage).__name__}: what it made for clip {clip.id} is not in the store", "Is the disk failing?")
    return done


def _make(stage: Stage, seen: Clip, home: Path, check: Callable[[], None]) -> None:
    aside = home.parent / f".{home.name}.{seen.source}.{uuid.uuid4().hex[:8]}"  # whose it is: deemo forget looks for that
    aside.mkdir(parents=True)
    name = type(stage).__name__
    try:
        began = time.monotonic()
        facts: Facts = stage(seen, aside)
        check()
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
        (aside / "entry.json").write_text(json.dumps(entry, indent=1, sort_keys=True))
        for path in aside.iterdir():
            path.chmod(0o444)  # out/ links to these: nobody edits them in place by mistake
        for path in [*aside.iterdir(), aside]:
            _fsync(path)
        _put(aside, home)
    finally:
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
        _fsync(home.parent)


def check_source(clip: Clip) -> None:
    """Footage may not change under us: size and time are compared, and on a difference the digest."""
    source = clip.files.get("source")
    if source is None or "stamp" not in clip.facts:
        return
    stat = Path(source.path).stat()
    if [stat.st_size, stat.st_mtime_ns] != clip.facts["stamp"] and File.of(Path(source.path)).sha256 != source.sha256:
        raise SourceError(f"{source.path} changed since it was taken in", "Type: deemo ingest DIR SOURCES")


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@cache
def versions() -> dict[str, str]:
    """The libraries whose version may change what comes out."""
    from deemo_data.programs import ffmpeg_version

    return {name: importlib.metadata.version(name) for name in RECORDED} | {"ffmpeg": ffmpeg_version()}


def tidy(store: Path) -> None:
    """Remove what killed runs left aside, once it is older than a day (a running process may still own it)."""
    for left in store.glob("*/.*"):
        if left.stat().st_mtime < time.time() - 86400:
            shutil.rmtree(left, ignore_errors=True)
