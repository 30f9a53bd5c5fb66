"""deemo.toml: the settings of a project, read and checked.

Each table is a dataclass that is defined beside the code that uses it: Segment, Moments, LanguageModel, ExportSettings, and one
table per stage (pipeline/order.py), named in snake_case. An [[attempt]] changes tables of stages, for the clips that the leak
check refused.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from deemo_data.dataset.export.settings import ExportSettings
from deemo_data.errors import ConfigError
from deemo_data.models.language_model import LanguageModel
from deemo_data.pipeline.order import STAGE_ORDER
from deemo_data.pipeline.stage import Stage, table_name
from deemo_data.preannotation.moments import Moments
from deemo_data.stages.detect.segment import Segment

PROFILES = ("hardened", "deemo-paper")


@dataclass(frozen=True)
class ProjectSettings:
    """The [project] table."""

    profile: str = "hardened"  # the profile that this file was copied from
    vfr_fps: Annotated[int, Field(ge=1, le=240)] = 30  # the grid's rate for footage of variable frame rate
    nfbl: str = "nfbl"  # vocabulary of body language: one that comes with deemo_data, or a file
    emotions: str = "emotions"  # vocabulary of emotions: one that comes with deemo_data, or a file


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

    project: ProjectSettings
    segment: Segment
    labelling: Labelling
    moments: Moments
    language_model: LanguageModel
    export: ExportSettings
    attempts: list[list[Stage]] = field(default_factory=list)


def read_config(path: Path) -> Config:
    """Read a settings file. Raises ConfigError for a table or key that does not exist, with those that do, and for a value that
    does not fit.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as e:  # a number may be too long, a list too deep
        raise ConfigError(f"{path}: {e}", "Mend that line and run again") from e
    tables: dict[str, Any] = {
        "project": ProjectSettings, "segment": Segment, "labelling": Labelling, "moments": Moments,
        "language_model": LanguageModel, "export": ExportSettings,
    }  # fmt: skip
    stages: dict[str, Any] = {table_name(s.__name__): s for s in STAGE_ORDER}
    names = [*tables, *stages, "attempt"]
    if unknown := [t for t in content if t not in names]:
        raise ConfigError(f"{path.name}: [{unknown[0]}] is not known", f"Known tables: {', '.join(names)}")
    settings = {name: _read_table(path, f"[{name}]", kind, content.get(name, {})) for name, kind in tables.items()}
    retries = content.get("attempt", [])
    if not isinstance(retries, list) or not all(isinstance(t, dict) for t in retries):
        raise ConfigError(f"{path.name}: attempt must be [[attempt]] tables", "See deemo init for an example")
    attempts = []
    for number, changes in enumerate([{}, *retries]):
        where = f"[[attempt]] {number}: " if number else ""
        if unknown := [t for t in changes if t not in stages]:
            raise ConfigError(f"{path.name}: {where}{unknown[0]} is not a stage", f"Known stages: {', '.join(stages)}")
        attempts.append(
            [_read_table(path, f"{where}[{n}]", kind, content.get(n, {}), changes.get(n, {})) for n, kind in stages.items()]
        )
    return Config(**settings, attempts=attempts)


def _read_table(path: Path, where: str, kind: Any, *tables: Any) -> Any:
    """A dataclass `kind` from tables of the file; a later table overrides an earlier one. `where` names it in error messages."""
    if not all(isinstance(t, dict) for t in tables):
        raise ConfigError(f"{path.name}: {where} must be a table", "See deemo init for an example")
    table = {key: value for t in tables for key, value in t.items()}
    keys = [f.name for f in fields(kind)]
    if unknown := [k for k in table if k not in keys]:
        raise ConfigError(
            f"{path.name}: {where} has no key {unknown[0]!r}",
            f"Known keys: {', '.join(keys) or 'none, it has nothing to choose'}",
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
    """The text of a profile: what the deemo.toml of a new project is."""
    return resources.files("deemo_data").joinpath("profiles", f"{profile}.toml").read_text()


def read_profile(profile: str) -> Config:
    """The settings of a profile that comes with deemo_data."""
    with resources.as_file(resources.files("deemo_data").joinpath("profiles", f"{profile}.toml")) as path:
        return read_config(path)
