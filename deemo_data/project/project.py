"""Project: the folder, its secret, lock, lists, vocabularies."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deemo_data.clip import Clip, each_clip, read_clips
from deemo_data.dataset.layout import SPLITS
from deemo_data.errors import ConfigError, ProjectError
from deemo_data.files import sync_to_disk, write_if_changed
from deemo_data.labels.vocabulary import Emotions, Nfbl, load_emotions, load_nfbl
from deemo_data.project import corrections, speakers
from deemo_data.project.config import PROFILES, Config, profile_text, read_config
from deemo_data.sources.subjects import read_subjects

OWN = (
    "labels", "corrections", "private", "out", "out/released", "out/released/clips", "out/dataset",
    *(f"out/dataset/{split}{below}" for split in SPLITS for below in ("", "/clips")),
)  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A project folder. Of what is in it only `out/released` and `out/dataset` may leave the machine."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> Project:
        if not (root / "deemo.toml").is_file():
            raise ProjectError(f"{root} is not a project: it has no deemo.toml", f"Type: deemo init {root} --profile hardened")
        _no_links(root)
        return cls(root.resolve())

    @classmethod
    def make(cls, root: Path, profile: str | None = None) -> Project:
        """A new project (hardened, unless told otherwise); a folder that is one already is left as it is."""
        if profile is not None and profile not in PROFILES:
            raise ConfigError(f"there is no profile {profile!r}", f"Profiles: {', '.join(PROFILES)}")
        if root.exists() and not root.is_dir():
            raise ProjectError(f"{root} is a file, not a folder", "Name another folder for the project")
        root.mkdir(parents=True, exist_ok=True)
        _no_links(root)
        project = cls(root.resolve())
        project.private.mkdir(mode=0o700, exist_ok=True)
        project.private.chmod(0o700)
        for folder in (project.store, project.labels, root / "corrections", project.out):
            folder.mkdir(exist_ok=True)
        with project.locked():
            key = project.private / "secret.key"
            if not key.exists():
                handle = os.open(key.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
                with os.fdopen(handle, "w") as f:
                    f.write(secrets.token_hex(32))
                    f.flush()
                    os.fsync(f.fileno())
                key.with_suffix(".new").rename(key)
                for folder in (project.private, project.root):
                    sync_to_disk(folder)
                with suppress(PermissionError):  # one that may be entered, not listed
                    sync_to_disk(project.root.parent)
        write_if_changed(root / ".gitignore", "*\n")
        if not (root / "deemo.toml").exists():
            write_if_changed(root / "deemo.toml", profile_text(profile or PROFILES[0]))
        elif profile and project.config.project.profile != profile:
            what = f"{root} was made from the profile {project.config.project.profile}, not {profile}"
            raise ConfigError(what, "Edit its deemo.toml, or name another folder")
        return project

    @cached_property
    def config(self) -> Config:
        return read_config(self.root / "deemo.toml")

    @cached_property
    def secret(self) -> bytes:
        path = self.private / "secret.key"
        try:
            text = path.read_text().strip()
        except FileNotFoundError as e:
            raise ProjectError(f"{path} is gone: ids and voices cannot be made as before", "Put it back from your backup") from e
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise ProjectError(f"{path} is damaged: it must hold 64 hex digits", "Put it back from your backup")
        return bytes.fromhex(text)

    private = property(lambda self: self.root / "private")
    store = property(lambda self: self.private / "store")
    labels = property(lambda self: self.root / "labels")
    out = property(lambda self: self.root / "out")
    served = property(lambda self: self.out / "released")  # what Label Studio may see: nothing else lies below it
    released = property(lambda self: self.served / "clips")  # Label Studio wants a folder below the one it serves
    dataset = property(lambda self: self.out / "dataset")

    def sources(self) -> list[Clip]:
        return read_clips(self.root / "sources.jsonl")

    def clips(self) -> list[Clip]:
        """All clips, each with what is known of its source and what people said; a source that is gone takes its clips along."""
        return list(self.each_clip())

    def each_clip(self) -> Iterator[Clip]:
        """`clips`, one at a time."""
        sources = {s.source: s for s in self.sources()}
        names = {p.source: p.all_names for p in read_subjects(self.private / "subjects.csv")}
        boxes, voices = corrections.boxes_in_force(self.root), speakers.said(self.root)
        for row in each_clip(self.root / "clips.jsonl"):
            if source := sources.get(row.source):
                said = {
                    "drawn": corrections.drawn(row, boxes), "speakers_said": voices.get(row.source, {}),
                    "known_names": list(names.get(row.source, ())),
                }  # fmt: skip
                yield source.knowing(row.files, row.facts | said).at(row)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer of out/ and of the lists at a time; a second one waits."""
        with open(self.private / "lock", "a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def write_report(self, name: str, content: Any) -> None:
        self.out.mkdir(exist_ok=True)
        write_if_changed(self.out / name, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _no_links(root: Path) -> None:
    """Commands write and delete in these folders: a symbolic link would take them out of the project. Raises ProjectError."""
    if linked := [name for name in OWN if (root / name).is_symlink()]:
        what = f"{root / linked[0]} is a symbolic link, and nothing is written or deleted through it"
        raise ProjectError(what, "Put a folder there (a bind mount does), or make the whole project elsewhere")


def vocabularies(project: Project) -> tuple[Nfbl, Emotions]:
    about = project.config.project
    return load_nfbl(within(project, about.nfbl)), load_emotions(within(project, about.emotions))


def within(project: Project, said: str) -> str:
    """A vocabulary as deemo.toml names it: a name of ours, or a file, relative to the project folder."""
    return str(project.root / said) if said.endswith(".toml") else said
