"""Writes the results of an evaluation: evaluation.json, and evaluation.html for people.

Also says where results go by default, and describes the dataset and the library versions for the report.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.layout import MANIFEST, SPLITS
from deemo_data.files import write_if_changed
from deemo_data.reports.evaluation import render_page

if TYPE_CHECKING:
    from deemo_data.baseline.data import Dataset, Example

SCHEMA_VERSION = 1  # of evaluation.json
JSON_FILE, HTML_FILE = "evaluation.json", "evaluation.html"
LIBRARIES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "av",
    "pyarrow",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "safetensors",
)  # fmt: skip  (their versions may change the figures)


def default_results_folder(folder: Path) -> Path:
    """The folder of the results when none is given.

    It is out/ of a project, also for the dataset inside a project; otherwise DATASET-evaluation beside the dataset.
    """
    if (folder / "deemo.toml").is_file():
        return folder / "out"
    folder = folder.resolve()
    is_in_project = folder.name == "dataset" and (folder.parents[1] / "deemo.toml").is_file()
    return folder.parent if is_in_project else folder.with_name(f"{folder.name}-evaluation")


def write_report(report: dict[str, Any], out: Path) -> None:
    """Write evaluation.json and evaluation.html. Of several processes (torchrun), only the first writes."""
    if os.environ.get("RANK", "0") != "0":
        return
    out.mkdir(parents=True, exist_ok=True)
    write_if_changed(out / JSON_FILE, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_if_changed(out / HTML_FILE, render_page(report))


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """The dataset as the report holds it: counts, name, version, and a digest of its manifest."""
    path = dataset.folder / MANIFEST
    manifest = path.read_bytes() if path.is_file() else b"{}"
    return {
        **count_clips(dataset.examples),
        "name": dataset.folder.name,
        "version": json.loads(manifest).get("version"),
        "digest": hashlib.sha256(manifest).hexdigest(),
        "splits": {split: count_clips(dataset.in_split(split)) for split in SPLITS},
        "emotions": dict(Counter(e.emotion for e in dataset.examples).most_common()),
        "vocabularies": list(dataset.vocabularies),
    }


def count_clips(examples: Sequence[Example]) -> dict[str, int]:
    """The numbers of clips and of subjects."""
    return {"clips": len(examples), "subjects": len({e.subject_id for e in examples})}


def find_versions() -> Mapping[str, str]:
    """Python and each of LIBRARIES that is installed -> its version."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        if importlib.util.find_spec({"scikit-learn": "sklearn"}.get(name, name)) is not None:
            versions[name] = metadata.version(name)
    return versions
