"""Project: a project folder with its settings, its secret and its lock.

`deemo init` makes the folder (Project.make); every other command opens it (Project.open). The clips in it are read by clips.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from deemo_data.clip import Clip, read_clips
from deemo_data.dataset.layout import SPLITS
from deemo_data.errors import ConfigError, ProjectError
from deemo_data.files import sync_to_disk, write_if_changed
from deemo_data.labels.vocabulary import Emotions, Nfbl, load_emotions, load_nfbl
from deemo_data.project.config import PROFILES, Config, profile_text, read_config, read_profile

PROJECT_FOLDERS = (
    "labels", "corrections", "private", "out", "out/released", "out/released/clips", "out/dataset",
    *(f"out/dataset/{split}{below}" for split in SPLITS for below in ("", "/clips")),
)  # fmt: skip


@dataclass(frozen=True)
class Project:
    """A project folder. Of its contents only out/released and out/dataset may leave the machine.

    root     the folder
    profile  a profile of deemo_data whose settings apply instead of those of deemo.toml; empty: deemo.toml applies
    """

    root: Path
    profile: str = ""

    @classmethod
    def open(cls, root: Path) -> Project:
        """The project in a folder. Raises ProjectError when there is none, or when one of its folders is a symbolic link."""
        if not (root / "deemo.toml").is_file():
            raise ProjectError(f"{root} is not a project: it has no deemo.toml", f"Type: deemo init {root} --profile hardened")
        _refuse_links(root)
        return cls(root.resolve())

    @classmethod
    def make(cls, root: Path, profile: str | None = None) -> Project:
        """Make a new project, with the profile `hardened` by default. A project that is there already stays as it is.

        Raises ConfigError for an unknown profile, or when the project was made from another one; ProjectError for a file.
        """
        if profile is not None and profile not in PROFILES:
            raise ConfigError(f"there is no profile {profile!r}", f"Profiles: {', '.join(PROFILES)}")
        if root.exists() and not root.is_dir():
            raise ProjectError(f"{root} is a file, not a folder", "Name another folder for the project")
        root.mkdir(parents=True, exist_ok=True)
        _refuse_links(root)
        project = cls(root.resolve())
        project.private_dir.mkdir(mode=0o700, exist_ok=True)
        project.private_dir.chmod(0o700)
        for folder in (project.store_dir, project.labels_dir, root / "corrections", project.out_dir):
            folder.mkdir(exist_ok=True)
        with project.lock():
            key = project.private_dir / "secret.key"
            if not key.exists():
                handle = os.open(key.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
                with os.fdopen(handle, "w") as f:
                    f.write(secrets.token_hex(32))
                    f.flush()
                    os.fsync(f.fileno())
                key.with_suffix(".new").rename(key)
                for folder in (project.private_dir, project.root):
                    sync_to_disk(folder)
                with suppress(PermissionError):  # a folder that may be entered but not listed
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
        """The settings: those of deemo.toml, or those of `profile` where that is set."""
        return read_profile(self.profile) if self.profile else read_config(self.root / "deemo.toml")

    def with_profile(self, profile: str) -> Project:
        """The same folder under the settings of another profile. Its results go into the same store and into no list."""
        return replace(self, profile=profile)

    @cached_property
    def secret(self) -> bytes:
        """The key of all public ids, pseudonyms and voices: 32 bytes. Raises ProjectError when it is missing or damaged."""
        path = self.private_dir / "secret.key"
        try:
            text = path.read_text().strip()
        except FileNotFoundError as e:
            raise ProjectError(f"{path} is gone: ids and voices cannot be made as before", "Put it back from your backup") from e
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise ProjectError(f"{path} is damaged: it must hold 64 hex digits", "Put it back from your backup")
        return bytes.fromhex(text)

    @property
    def private_dir(self) -> Path:
        """private/: the secret, names of people, downloads and the store. It never leaves the machine."""
        return self.root / "private"

    @property
    def store_dir(self) -> Path:
        """private/store: the results of every stage, each under a digest of its inputs and settings."""
        return self.private_dir / "store"

    @property
    def labels_dir(self) -> Path:
        """labels/: what annotators handed in, append-only."""
        return self.root / "labels"

    @property
    def out_dir(self) -> Path:
        """out/: reports, released clips and the dataset."""
        return self.root / "out"

    @property
    def served_dir(self) -> Path:
        """out/released: the only folder that Label Studio may serve. Nothing but `released_dir` lies in it."""
        return self.out_dir / "released"

    @property
    def released_dir(self) -> Path:
        """out/released/clips: the released clips. Label Studio requires a folder below the one that it serves."""
        return self.served_dir / "clips"

    @property
    def dataset_dir(self) -> Path:
        """out/dataset: the exported dataset."""
        return self.out_dir / "dataset"

    def read_sources(self) -> list[Clip]:
        """The sources in sources.jsonl. Raises ProjectError when there is no such file yet."""
        return read_clips(self.root / "sources.jsonl")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the project's lock: one process at a time writes out/ and the lists; a second one waits."""
        with open(self.private_dir / "lock", "a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def write_report(self, name: str, content: Any) -> None:
        """Write a JSON report into out/."""
        self.out_dir.mkdir(exist_ok=True)
        write_if_changed(self.out_dir / name, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _refuse_links(root: Path) -> None:
    """Raise ProjectError when a folder that commands write or delete in is a symbolic link, which may lead out of the project."""
    if linked := [name for name in PROJECT_FOLDERS if (root / name).is_symlink()]:
        what = f"{root / linked[0]} is a symbolic link, and nothing is written or deleted through it"
        raise ProjectError(what, "Put a folder there (a bind mount does), or make the whole project elsewhere")


def load_vocabularies(project: Project) -> tuple[Nfbl, Emotions]:
    """The project's vocabularies of body language and of emotions."""
    settings = project.config.project
    return load_nfbl(vocabulary_path(project, settings.nfbl)), load_emotions(vocabulary_path(project, settings.emotions))


def vocabulary_path(project: Project, name: str) -> str:
    """A vocabulary as deemo.toml names it: the name of one that comes with deemo_data, or a path below the project folder."""
    return str(project.root / name) if name.endswith(".toml") else name
