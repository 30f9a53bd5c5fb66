"""Which file lies where; taking a dataset back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from deemo_data.dataset import versions
from deemo_data.files import write_if_changed

TABLES = {"nfbl": "metadata.parquet", "mer": "clips/metadata.parquet"}  # config -> where its table lies in a split's folder
MANIFEST = "deemo.json"


DOCUMENTS = ("README.md", "datasheet.md", "croissant.json", "CHANGELOG.md")


def past_path(out: Path) -> Path:
    """Where it is remembered what a dataset held that was taken back: beside its folder, so that it is not published."""
    return out.with_name(f"{out.name}.past.json")


def page_path(out: Path) -> Path:
    """The report to look at, beside the folder: it is for the project, and holds stills."""
    return out.with_name(f"{out.name}.html")


def clear(out: Path) -> None:
    """Take back a dataset of ours, whole: nothing in it may go out any more. What its next version needs is kept beside it."""
    if (out / MANIFEST).exists():
        if (past := versions.read_past(out / MANIFEST)).versions:
            kept = json.dumps({"past": versions.to_row(past)}, sort_keys=True)
            write_if_changed(past_path(out), kept, mode=0o600)
        page_path(out).unlink(missing_ok=True)
        sweep(out, ())
        for name in (*DOCUMENTS, MANIFEST):
            (out / name).unlink(missing_ok=True)


def sweep(out: Path, wanted: Iterable[str]) -> int:
    """Remove from the split folders what is not of this dataset: clips taken back, and what a killed run left."""
    keep = {out / name for name in wanted}
    old = [p for split in SPLITS for p in (out / split).rglob("*") if p.is_file() and p not in keep]
    old += [p for name in (*DOCUMENTS, MANIFEST) for p in out.glob(f".{name}.*")]
    for path in old:
        path.unlink()
    for split in SPLITS:
        for folder in (out / split / "clips", out / split):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    return len(old)


SPLITS = ("train", "validation", "test")


HALVES = ("body", "body_confidence", "prosody_f0", "prosody_energy", "prosody_rate")  # columns of flat float16, never counted
