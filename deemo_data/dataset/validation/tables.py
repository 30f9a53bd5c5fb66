"""Finds the tables of a dataset folder: which file belongs to which config and split."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deemo_data.dataset.layout import SPLITS
from deemo_data.dataset.validation.findings import Findings
from deemo_data.dataset.validation.rows import MODELS

CARD = "README.md"


@dataclass(frozen=True)
class TableFile:
    """A Parquet file of a dataset, and the config and split that its rows belong to."""

    config: str
    split: str
    path: Path


def read_front_matter(folder: Path, findings: Findings) -> dict[str, Any]:
    """The YAML front matter of the card; empty when there is none that names configs."""
    import yaml

    card = folder / CARD
    if not card.is_file():
        findings.warn(CARD, "there is no card")
        return {}
    parts = card.read_text("utf-8", errors="replace").split("---\n")
    try:
        front_matter = yaml.safe_load(parts[1]) if len(parts) > 2 else None
    except yaml.YAMLError as e:
        findings.error(CARD, f"its front matter cannot be read: {' '.join(str(e).split())}")
        return {}
    if not isinstance(front_matter, dict) or not isinstance(front_matter.get("configs"), list):
        findings.warn(CARD, "its front matter names no configs")
        return {}
    return front_matter


def find_tables(folder: Path, front_matter: Mapping[str, Any], findings: Findings) -> list[TableFile]:
    """All tables: those that the front matter names; if it names none, every Parquet file, by its path and columns."""
    if tables := list(_find_named_tables(folder, front_matter, findings)):
        return tables
    tables = []
    for path in sorted(folder.rglob("*.parquet")):
        split = next((s for s in SPLITS if s in str(path.relative_to(folder))), "train")
        tables.append(TableFile(_find_config(path, ""), split, path))
    return tables


def _find_named_tables(folder: Path, front_matter: Mapping[str, Any], findings: Findings) -> Iterator[TableFile]:
    for config in front_matter.get("configs") or []:
        if not isinstance(config, dict):
            findings.warn(CARD, f"a config that is no table: {config}")
            continue
        files = config.get("data_files")
        for entry in [files] if isinstance(files, str) else files or []:
            if isinstance(entry, str):
                entry = {"split": "train", "path": entry}
            if not isinstance(entry, dict) or "path" not in entry:
                findings.warn(CARD, f"data_files without a path: {entry}")
                continue
            patterns = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
            found = {p for pattern in patterns for p in glob.glob(str(pattern), root_dir=folder, recursive=True)}
            for path in sorted(folder / p for p in found if p.endswith(".parquet")):
                name = _find_config(path, str(config.get("config_name")))
                yield TableFile(name, str(entry.get("split", "train")), path)


def _find_config(path: Path, name: str) -> str:
    """The config of a table: its name, if there is such a config, otherwise the one that shares most columns with it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if name in MODELS:
        return name
    try:
        columns = set(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError):
        return name
    return max(MODELS, key=lambda config: len(columns & expected_columns(config)))


def expected_columns(config: str, optional: bool = True) -> set[str]:
    """The columns of a config, as tables name them: `file_name` is what the loader turns into `video`.

    optional  also those that datasets of earlier versions lack
    """
    fields = MODELS[config].model_fields.items()
    return {"file_name" if name == "video" else name for name, f in fields if optional or f.is_required()}
