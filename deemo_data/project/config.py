"""Deemo.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from deemo_data.dataset.export.export import Export
from deemo_data.errors import ConfigError
from deemo_data.models.language_model import LanguageModel
from deemo_data.pipeline.order import ORDER
from deemo_data.pipeline.stage import Stage, table_name
from deemo_data.preannotation.moments import Moments
from deemo_data.stages.detect.segment import Segment

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


def profile_text(profile: str) -> str:
    return resources.files("deemo_data").joinpath("profiles", f"{profile}.toml").read_text()
