"""Layout of a dataset folder: which file lies where, and how a dataset is removed again.

OUT/SPLIT/metadata.parquet        the rows of config nfbl, one per clip
OUT/SPLIT/clips/metadata.parquet  the rows of config mer, one per question and answer
OUT/SPLIT/clips/CLIP.mp4          the videos
OUT/README.md, datasheet.md, croissant.json, CHANGELOG.md, deemo.json
OUT.html, OUT.past.json           beside the folder, because they are not published
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from deemo_data.dataset import versions
from deemo_data.files import write_if_changed

SPLITS = ("train", "validation", "test")
TABLES = {"nfbl": "metadata.parquet", "mer": "clips/metadata.parquet"}  # config -> path of its table in the folder of a split
FLOAT16_COLUMNS = ("body", "body_confidence", "prosody_f0", "prosody_energy", "prosody_rate")  # long, flat, never counted
MANIFEST = "deemo.json"
DOCUMENTS = ("README.md", "datasheet.md", "croissant.json", "CHANGELOG.md")


def snapshot_path(out: Path) -> Path:
    """The file that keeps the snapshot of a dataset that was taken back. It lies beside the folder and is not published."""
    return out.with_name(f"{out.name}.past.json")


def page_path(out: Path) -> Path:
    """The page that shows the dataset. It lies beside the folder: it is meant for the project, and holds stills."""
    return out.with_name(f"{out.name}.html")


def clear_dataset(out: Path) -> None:
    """Take back a whole dataset that we wrote: remove all its files. The snapshot that the next version needs stays beside it."""
    if (out / MANIFEST).exists():
        if (snapshot := versions.read_snapshot(out / MANIFEST)).versions:
            text = json.dumps({"past": versions.to_row(snapshot)}, sort_keys=True)
            write_if_changed(snapshot_path(out), text, mode=0o600)
        page_path(out).unlink(missing_ok=True)
        remove_other_files(out, ())
        for name in (*DOCUMENTS, MANIFEST):
            (out / name).unlink(missing_ok=True)


def remove_other_files(out: Path, wanted: Iterable[str]) -> int:
    """Remove all files from the split folders except `wanted`: clips that were taken back, and leftovers of killed runs.

    It also removes half-written documents. Returns how many files it removed.
    """
    wanted_paths = {out / name for name in wanted}
    old = [p for split in SPLITS for p in (out / split).rglob("*") if p.is_file() and p not in wanted_paths]
    old += [p for name in (*DOCUMENTS, MANIFEST) for p in out.glob(f".{name}.*")]
    for path in old:
        path.unlink()
    for split in SPLITS:
        for folder in (out / split / "clips", out / split):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    return len(old)
