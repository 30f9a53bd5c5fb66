"""The store: what each stage made of each clip, filed under a key of everything that went into it.

An entry is a folder `STORE/<Stage>/<key>/` with the stage's files and entry.json (see entry.py). A result is found again when
and only when nothing that it depends on changed. Entries are made in a hidden staging folder and renamed at the end, so that a
killed process leaves nothing half done under a final name. run.py uses this file for one clip after another.
"""

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
from typing import Any

from deemo_data.clip import Clip, Facts
from deemo_data.errors import SourceError, StageError
from deemo_data.files import File, stamp_of, sync_to_disk
from deemo_data.pipeline.entry import StoreEntry, canonical_json, format_entry, read_entry
from deemo_data.pipeline.environment import library_versions
from deemo_data.pipeline.stage import Stage
from deemo_data.pseudonyms import derive_key


class StageEntries:
    """The entries of one stage in the store. What is the same for all clips is computed once, because there may be many."""

    def __init__(self, stage: Stage, store_dir: Path, secret: bytes) -> None:
        self.stage, self.name = stage, type(stage).__name__
        self.needs = [n for n in stage.needs if n != "secret"]
        self.by_source: dict[str, Any] = {}  # a cache for callers: the entry of a whole source, which its clips share
        self._folder = str(store_dir / self.name)
        self._secret_id = _id_of_key(derive_key(secret, self.name)) if "secret" in stage.needs else None
        self._parameters = canonical_json(asdict(stage))  # type: ignore[call-overload]
        self._stage_and_version = f'"stage": {canonical_json(self.name)}, "version": {canonical_json(stage.version)}'
        self._files, self._facts = set(stage.makes), set(stage.tells)

    def entry_dir(self, clip: Clip) -> str:
        """The folder for the stage's result on this clip. Raises StageError when the clip lacks what the stage needs.

        The folder's name is the key: SHA-256 over the stage, its version and parameters, the clip's span, and the digests and
        values of everything that the stage declares as needed. These form one JSON object with sorted keys. It is put together
        from strings here, because much of it is the same for all clips.
        """
        files, facts = {}, {}
        for n in self.needs:
            if n in clip.files:
                files[n] = clip.files[n].sha256
            elif n in clip.facts:
                facts[n] = clip.facts[n]
            else:
                clip.restrict_to(self.needs)
        if self._secret_id is not None:
            facts["secret"] = self._secret_id
        needs = canonical_json({"facts": facts, "files": files})[1:-1]
        span = f"[{clip.start_ms}, {clip.end_ms}]"
        text = f'{{{needs}, "parameters": {self._parameters}, "span": {span}, {self._stage_and_version}}}'
        return f"{self._folder}/{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def find(self, clip: Clip) -> StoreEntry | None:
        """The stage's entry for the clip, if the store has it. Raises StageError when the clip lacks what the stage needs."""
        entry_dir = self.entry_dir(clip)
        record = read_entry(entry_dir)
        if record is None or not (self._files <= record["files"].keys() and self._facts <= record["facts"].keys()):
            return None
        files = {sys.intern(n): File(f"{entry_dir}/{f['name']}", f["sha256"]) for n, f in record["files"].items()}
        return StoreEntry(files, record)


def restrict_clip(stage: Stage, clip: Clip, secret: bytes) -> Clip:
    """The clip with only what `stage` declares as needed; for "secret", a key derived for the stage's name."""
    if "secret" in stage.needs:
        clip = clip.with_results({}, {"secret": derive_key(secret, type(stage).__name__)})
    return clip.restrict_to(stage.needs)


def _id_of_key(key: str) -> str:
    return hashlib.sha256(f"key id of {key}".encode()).hexdigest()[:16]


def find_outputs(stage: Stage, clip: Clip, store_dir: Path, secret: bytes) -> Clip | None:
    """The clip with the files and facts of `stage` added, if the store has them."""
    return _with_outputs(clip, StageEntries(stage, store_dir, secret).find(clip))


def apply_stage(stage: Stage, clip: Clip, store_dir: Path, secret: bytes) -> Clip:
    """The clip with the files and facts of `stage` added. The stage runs only if the store does not have them yet.

    Raises StageError when the clip lacks what the stage needs or when the stage breaks its contract, SourceError when the
    footage changed, and whatever the stage itself raises. Nothing is stored then.
    """
    entries = StageEntries(stage, store_dir, secret)
    done = _with_outputs(clip, entries.find(clip))
    if done is None:
        _run_and_store(stage, restrict_clip(stage, clip, secret), Path(entries.entry_dir(clip)), clip)
        done = _with_outputs(clip, entries.find(clip))
    if done is None:
        raise StageError(f"{type(stage).__name__}: what it made for clip {clip.id} is not in the store", "Is the disk failing?")
    return done


def _with_outputs(clip: Clip, entry: StoreEntry | None) -> Clip | None:
    return clip.with_results(entry.files, entry.facts) if entry else None


def _run_and_store(stage: Stage, restricted: Clip, entry_dir: Path, clip: Clip) -> None:
    """Run the stage in a staging folder beside `entry_dir`, write entry.json, and move the folder into place."""
    for name in restricted.files:
        if name != "source":
            check_stage_file(restricted, name)
    # the name holds the source id: deemo forget finds a staging folder by it
    staging_dir = entry_dir.parent / f".{entry_dir.name}.{restricted.source}.{uuid.uuid4().hex[:8]}"
    staging_dir.mkdir(parents=True)
    handle = os.open(staging_dir, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)  # held as long as this process lives: see `remove_leftovers`
    name = type(stage).__name__
    try:
        began, stamp_before = time.monotonic(), _current_stamp(clip)
        facts: Facts = stage(restricted, staging_dir)
        check_source_unchanged(clip, stamp_before)
        if missing := [f for f in stage.makes.values() if not (staging_dir / f).is_file()]:
            raise StageError(f"{name} promised {', '.join(missing)} for clip {restricted.id} and did not write it")
        if set(facts) != set(stage.tells):
            raise StageError(f"{name} promised the facts {sorted(stage.tells)} and gave {sorted(facts)}")
        files = {n: {"name": f, "bytes": (staging_dir / f).stat().st_size, "sha256": File.of(staging_dir / f).sha256}
                 for n, f in stage.makes.items()}  # fmt: skip
        record = {
            "clip": restricted.id,
            "source": restricted.source,
            "stage": name,
            "version": stage.version,
            "parameters": asdict(stage),  # type: ignore[call-overload]
            "needs": {n: f.sha256 for n, f in restricted.files.items()},
            "files": files,
            "facts": facts,
            "seconds": round(time.monotonic() - began, 3),
            "versions": library_versions(),
        }
        (staging_dir / "entry.json").write_text(format_entry(record))
        for path in staging_dir.iterdir():
            path.chmod(0o444)  # out/ has hard links to these files: nobody edits them in place by mistake
        for path in [*staging_dir.iterdir(), staging_dir]:
            sync_to_disk(path)
        _move_into_place(staging_dir, entry_dir)
    finally:
        os.close(handle)
        shutil.rmtree(staging_dir, ignore_errors=True)


def _move_into_place(staging_dir: Path, entry_dir: Path) -> None:
    """Rename the staging folder to its final name. A lock keeps two processes from removing each other's entry."""
    with open(entry_dir.parent / ".lock", "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if read_entry(entry_dir) is not None:  # another worker was first: its result is as good as ours
            return
        if entry_dir.exists():  # it is damaged
            os.rename(entry_dir, entry_dir.parent / f".broken.{uuid.uuid4().hex[:8]}")
        os.rename(staging_dir, entry_dir)
        sync_to_disk(entry_dir.parent)
        sync_to_disk(entry_dir.parent.parent)  # the stage's own folder may be new


def check_stage_file(clip: Clip, name: str) -> None:
    """Check that a file of the store still has the digest that it had when a stage wrote it. Raises StageError otherwise.

    The damaged entry is renamed, so that the next run makes it again.
    """
    file, entry_dir = clip.files[name], clip.path(name).parent
    if File.of(Path(file.path)).sha256 == file.sha256:
        return
    if (entry_dir / "entry.json").exists():
        os.rename(entry_dir, entry_dir.parent / f".broken.{uuid.uuid4().hex[:8]}")
    raise StageError(f"clip {clip.id}: {file.path} is not what was written there", "Type: deemo run, which makes it anew")


def _current_stamp(clip: Clip) -> list[int]:
    return stamp_of(clip.path("source")) if "source" in clip.files and "stamp" in clip.facts else []


def check_source_unchanged(clip: Clip, stamp_before: list[int] | None = None) -> None:
    """Check that the footage is what it was at ingest: by its stamp and, if that differs, by its digest.

    With `stamp_before`, the stamp when the stage began, the footage must not have been written to since then either.
    Raises SourceError.
    """
    now = _current_stamp(clip)
    if now and now != clip.facts["stamp"] and _digest_of(clip.files["source"].path, *now) != clip.files["source"].sha256:
        raise SourceError(f"{clip.files['source'].path} changed since it was taken in", "Type: deemo ingest DIR SOURCES")
    if stamp_before is not None and now != stamp_before:  # it has the right content now, but did it while the stage read it?
        raise SourceError(f"{clip.files['source'].path} was written to while it was read", "Run again")


@lru_cache(maxsize=1024)
def _digest_of(path: str, *stamp: int) -> str:
    """The digest of a file, computed once per stamp."""
    return File.of(Path(path)).sha256


def remove_leftovers(store_dir: Path) -> None:
    """Remove the hidden folders that killed runs left: those older than a day that no process holds locked.

    The lock counts too, because a clock may be wrong.
    """
    for path in store_dir.glob("*/.*"):
        with suppress(FileNotFoundError):  # its owner has just removed or renamed it
            if path.is_dir() and path.stat().st_mtime < time.time() - 86400 and not _is_locked(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_locked(staging_dir: Path) -> bool:
    handle = os.open(staging_dir, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def erase_sources(store_dir: Path, sources: set[str]) -> None:
    """Remove every entry of these sources (ids), whatever the settings it was made with, and what a run is making of them.

    An entry is first renamed to a name that holds the source id. An entry that was only partly removed has perhaps no
    entry.json any more, and could not be assigned to its source otherwise.
    """
    for path in [p for p in store_dir.glob("*/*") if p.is_dir() and not p.is_symlink()] if sources else ():
        matching = sources & {*path.name.split("."), _read_source(path)}
        if not matching:
            continue
        if not matching & set(path.name.split(".")):
            path = path.rename(path.with_name(f".{path.name}.{min(matching)}.{uuid.uuid4().hex[:8]}"))
        with suppress(FileNotFoundError):
            shutil.rmtree(path)


def _read_source(entry_dir: Path) -> str:
    """The source id in entry.json, or "" if it cannot be read. The entry may be damaged: `read_entry` would refuse it."""
    try:
        return str(json.loads((entry_dir / "entry.json").read_text())["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
