"""A project folder, and deemo.toml: everything that was chosen for it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from deemo_data import corrections, speakers
from deemo_data.clip import Clip, each_clip, read_clips, sync, write_if_changed
from deemo_data.errors import ConfigError, ProjectError
from deemo_data.export import Export
from deemo_data.ingest import read_subjects
from deemo_data.language_model import LanguageModel
from deemo_data.moments import Moments
from deemo_data.pipeline import ORDER, Stage
from deemo_data.segment import Segment
from deemo_data.splits import SPLITS

OWN = (
    "labels", "corrections", "private", "out", "out/released", "out/released/clips", "out/dataset",
    *(f"out/dataset/{split}{below}" for split in SPLITS for below in ("", "/clips")),
)  # fmt: skip
PROFILES = ("hardened", "deemo-paper")


@dataclass(frozen=True)
class About:
    """The [project] table."""

    profile: str = "hardened"  # which profile this file began as
    vfr_fps: Annotated[int, Field(ge=1, le=240)] = 30  # the grid's rate for footage of variable frame rate
    nfbl: str = "nfbl"  # vocabulary of body language: a name of ours, or a file
    emotions: str = "emotions"  # vocabulary of emotions: a name of ours, or a file


@dataclass(frozen=True)
class Labelling:
    """The [labelling] table: how clips go to annotators."""

    overlap: Annotated[int, Field(ge=1, le=20)] = 2  # people who label each clip, without seeing each other's work
    proposals: Annotated[float, Field(ge=0, le=1)] = 0.8  # share of the clips that go out with proposals
    size: Literal["1440x900", "1280x720"] = "1440x900"  # of the annotators' screens, at least
    batch: Annotated[int, Field(ge=1, le=1000)] = 250  # clips sent or fetched at once


@dataclass(frozen=True)
class Config:
    """deemo.toml, read. `attempts[0]` are the stages; later ones are for clips that the leak check refused."""

    project: About
    segment: Segment
    labelling: Labelling
    moments: Moments
    language_model: LanguageModel
    export: Export
    attempts: list[list[Stage]] = field(default_factory=list)


def table_name(stage: str) -> str:
    """MaskVideo -> mask_video."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", stage).lower()


def read_config(path: Path) -> Config:
    """Raises ConfigError for anything in the file that nothing reads, with the names that exist."""
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as e:  # a number may be too long, a list too deep
        raise ConfigError(f"{path}: {e}", "Mend that line and run again") from e
    tables: dict[str, Any] = {
        "project": About, "segment": Segment, "labelling": Labelling, "moments": Moments, "language_model": LanguageModel,
        "export": Export,
    }  # fmt: skip
    stages: dict[str, Any] = {table_name(s.__name__): s for s in ORDER}
    known = [*tables, *stages, "attempt"]
    if strange := [t for t in said if t not in known]:
        raise ConfigError(f"{path.name}: [{strange[0]}] is not known", f"Known tables: {', '.join(known)}")
    read = {name: _read(path, f"[{name}]", kind, said.get(name, {})) for name, kind in tables.items()}
    tries = said.get("attempt", [])
    if not isinstance(tries, list) or not all(isinstance(t, dict) for t in tries):
        raise ConfigError(f"{path.name}: attempt must be [[attempt]] tables", "See deemo init for an example")
    attempts = []
    for number, changes in enumerate([{}, *tries]):
        where = f"[[attempt]] {number}: " if number else ""
        if strange := [t for t in changes if t not in stages]:
            raise ConfigError(f"{path.name}: {where}{strange[0]} is not a stage", f"Known stages: {', '.join(stages)}")
        made = [_read(path, f"{where}[{n}]", kind, said.get(n, {}), changes.get(n, {})) for n, kind in stages.items()]
        attempts.append(made)
    return Config(**read, attempts=attempts)


def _read(path: Path, where: str, kind: Any, *tables: Any) -> Any:
    if not all(isinstance(t, dict) for t in tables):
        raise ConfigError(f"{path.name}: {where} must be a table", "See deemo init for an example")
    table = {key: value for t in tables for key, value in t.items()}
    known = [f.name for f in fields(kind)]
    if strange := [k for k in table if k not in known]:
        raise ConfigError(
            f"{path.name}: {where} has no key {strange[0]!r}",
            f"Known keys: {', '.join(known) or 'none, it has nothing to choose'}",
        )
    try:
        return TypeAdapter(kind).validate_python(table)
    except ValidationError as e:
        first = e.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        raise ConfigError(
            f"{path.name}: {where} {key} = {first['input']!r}: {first['msg']}", "Mend that line and run again"
        ) from e


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
                    sync(folder)
                with suppress(PermissionError):  # one that may be entered, not listed
                    sync(project.root.parent)
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


def profile_text(profile: str) -> str:
    return resources.files("deemo_data").joinpath("profiles", f"{profile}.toml").read_text()
