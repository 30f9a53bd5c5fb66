"""Work filed under what made it: find, apply, tidy, erase."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.clip import Clip, Facts
from deemo_data.errors import SourceError, StageError
from deemo_data.files import File, stamp_of, sync_to_disk
from deemo_data.pipeline.entry import Made, entry_of, text_of, to_json
from deemo_data.pipeline.environment import versions
from deemo_data.pseudonyms import derive

if TYPE_CHECKING:
    from deemo_data.pipeline.stage import Stage


class Entries:
    """The entries of one stage. What is the same for all clips is worked out once, since there may be many."""

    def __init__(self, stage: Stage, store: Path, secret: bytes) -> None:
        self.stage, self.name = stage, type(stage).__name__
        self.needs = [n for n in stage.needs if n != "secret"]
        self.of_source: dict[str, Any] = {}  # for who looks up whole sources, many clips of each
        self._folder = str(store / self.name)
        self._secret = _key_id(derive(secret, self.name)) if "secret" in stage.needs else None
        self._parameters = to_json(asdict(stage))  # type: ignore[call-overload]
        self._which = f'"stage": {to_json(self.name)}, "version": {to_json(stage.version)}'
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
        needed = to_json({"facts": facts, "files": files})[1:-1]
        said = f'{{{needed}, "parameters": {self._parameters}, "span": [{clip.start_ms}, {clip.end_ms}], {self._which}}}'
        return f"{self._folder}/{hashlib.sha256(said.encode()).hexdigest()[:32]}"

    def find(self, clip: Clip) -> Made | None:
        """What the stage made of the clip, if that is in the store. Raises StageError when the clip lacks what it needs."""
        home = self.home(clip)
        entry = entry_of(home)
        if entry is None or not (self._made <= entry["files"].keys() and self._told <= entry["facts"].keys()):
            return None
        return Made({sys.intern(n): File(f"{home}/{f['name']}", f["sha256"]) for n, f in entry["files"].items()}, entry)


def seen_by(stage: Stage, clip: Clip, secret: bytes) -> Clip:
    """The clip as `stage` may see it: what it declared, and of the secret only a key derived for the stage's name."""
    if "secret" in stage.needs:
        clip = clip.knowing({}, {"secret": derive(secret, type(stage).__name__)})
    return clip.only(stage.needs)


def _key_id(derived: str) -> str:
    return hashlib.sha256(f"key id of {derived}".encode()).hexdigest()[:16]


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
            sync_to_disk(path)
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
        sync_to_disk(home.parent)
        sync_to_disk(home.parent.parent)  # the stage's own folder may be new


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


def from_store(store: Path, sources: set[str]) -> None:
    """Remove what was ever made of their footage, under whatever settings, and what a run is just making of it.

    It is given another name first, with the source in it: one that was removed in part would not say whose it is.
    """
    for home in [h for h in store.glob("*/*") if h.is_dir() and not h.is_symlink()] if sources else ():
        mine = sources & {*home.name.split("."), _source_of(home)}
        if not mine:
            continue
        if not mine & set(home.name.split(".")):
            home = home.rename(home.with_name(f".{home.name}.{min(mine)}.{uuid.uuid4().hex[:8]}"))
        with suppress(FileNotFoundError):
            shutil.rmtree(home)


def _source_of(home: Path) -> str:
    try:
        return str(json.loads((home / "entry.json").read_text())["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
