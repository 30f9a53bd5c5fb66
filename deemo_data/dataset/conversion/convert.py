"""Converts a dataset to the record formats of other projects, and checks the result the way those projects read it.

Only the records of config mer are converted; formats.py says what each format loses. The folder gets a README that carries the
sections of the dataset's card about its use, and convert.json, which marks the folder as ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deemo_data import __version__
from deemo_data.dataset.conversion.formats import CONVERSION_MANIFEST, FORMATS, LOST_COLUMNS, VIDEOS_DIR, Record, find_obstacle
from deemo_data.dataset.conversion.reading import check_converted
from deemo_data.dataset.conversion.writing import RecordWriter
from deemo_data.dataset.counts import class_names, count_dataset, read_rows
from deemo_data.dataset.documents import statements
from deemo_data.dataset.layout import MANIFEST as DATASET_MANIFEST
from deemo_data.dataset.layout import SPLITS, TABLES
from deemo_data.dataset.validation.dataset import validate_dataset
from deemo_data.errors import DatasetError
from deemo_data.files import is_staging_name, write_if_changed

CARD_SECTIONS = ("Access", "Uses that are prohibited", "Privacy", "Limits")  # sections of the card that are carried over


@dataclass(frozen=True)
class ConversionResult:
    """What a conversion wrote.

    splits    split -> records
    left_out  reason -> number of records that the format cannot hold
    notes     sentences worth knowing
    faults    what check_converted found: empty when everything can be read
    changed   how many files were written or removed
    """

    target: str
    splits: dict[str, int]
    videos: int
    left_out: dict[str, int]
    notes: tuple[str, ...]
    faults: tuple[str, ...]
    changed: int

    @property
    def records(self) -> int:
        return sum(self.splits.values())


def convert_dataset(dataset: Path, target: str, out: Path, *, link: bool = True, force: bool = False) -> ConversionResult:
    """Write the records of `dataset` in a format of FORMATS into `out`, one set of files per split, and check them.

    link   hard-link (or copy) videos into `out`; otherwise the files name them where they lie in `dataset`
    force  convert a dataset even when `validate_dataset` finds errors in it
    Raises DatasetError when the dataset is not sound, when `out` holds something else, or when the format can hold no record.
    """
    if target not in FORMATS:
        raise DatasetError(f"there is no format {target!r}", f"There are: {', '.join(FORMATS)}")
    if target == "emer" and not link:
        raise DatasetError("EMER's reader asks for NAME.avi, and the dataset has no such files", "Let the videos be linked")
    _check_input(dataset, target, out, force)
    splits: dict[str, int] = {}
    writer = RecordWriter(target, out, link, _read_digests(dataset), _read_emotions(dataset))
    try:
        for split in SPLITS:
            writer.clip_rows = _read_clip_rows(dataset, split) if target == "merr" else {}
            for record in _read_records(dataset, split):
                if reason := find_obstacle(record, target):
                    writer.left_out[reason] += 1
                    continue
                _claim_folder(out, target)
                if writer.write(record):
                    splits[split] = splits.get(split, 0) + 1
        if not splits:
            reasons = "; ".join(f"{reason} ({n} records)" for reason, n in sorted(writer.left_out.items()))
            raise DatasetError(f"nothing of {dataset} can be held by {target}{f': {reasons}' if reasons else ''}",
                               "Records come from people's emotion labels; reasoning records from their clues")  # fmt: skip
        names = writer.close()
    finally:
        writer.files.discard()
    left_out, notes = dict(sorted(writer.left_out.items())), _collect_notes(writer)
    changed = writer.files.changed + writer.linked
    changed += write_if_changed(out / "README.md", _render_readme(dataset, target, splits, left_out, notes))
    files = [*names, "README.md"]
    manifest = {
        "format": 1, "to": target, "deemo_data": __version__, "records": splits, "videos": writer.video_dirs, "files": files,
    }  # fmt: skip
    changed += _remove_old_files(out, files, writer.videos if link else set())
    changed += write_if_changed(out / CONVERSION_MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return ConversionResult(
        target=target, splits=splits, videos=len(writer.videos), left_out=left_out, notes=notes,
        faults=tuple(check_converted(out, target)), changed=changed,
    )  # fmt: skip


def _check_input(dataset: Path, target: str, out: Path, force: bool) -> None:
    """Refuse a folder that is not free for this conversion, and a dataset with errors."""
    inner, outer = out.resolve(), dataset.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise DatasetError(f"{out} and the dataset lie in each other", "Give a folder beside the dataset")
    earlier = _read_manifest(out / CONVERSION_MANIFEST).get("to")
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and earlier != target:
        content = f"records as {earlier}" if earlier else "something else"
        raise DatasetError(f"{out} holds {content}", "Give a new folder, or remove that one")
    errors = [f for f in validate_dataset(dataset) if f.level == "error"]
    if errors and not force:
        more = f", and {len(errors) - 1} errors more" if len(errors) > 1 else ""
        what = f"{dataset} is not sound: {errors[0].where}: {errors[0].what}{more}"
        raise DatasetError(what, f"Type: deemo validate {dataset}; to convert it all the same, add --force")


def _claim_folder(out: Path, target: str) -> None:
    """Mark the folder as ours before anything else lies in it, so that an interrupted run can be repeated."""
    if not (out / CONVERSION_MANIFEST).exists():
        out.mkdir(parents=True, exist_ok=True)
        write_if_changed(out / CONVERSION_MANIFEST, json.dumps({"to": target}) + "\n")


def _read_records(dataset: Path, split: str) -> Iterator[Record]:
    """The records of a split, one row group in memory at a time."""
    table, root = dataset / split / TABLES["mer"], dataset.resolve()
    for row in read_rows(table):
        if not isinstance(row.get("file_name"), str):
            raise DatasetError(f"{table} holds its videos in itself", "Convert a dataset whose videos are files")
        record = Record.of_row(row, split, table.parent)
        if not record.video.resolve().is_relative_to(root):
            raise DatasetError(f"record {record.record_id}: its video {row['file_name']} lies outside the dataset")
        yield record


def _read_clip_rows(dataset: Path, split: str) -> dict[str, dict[str, Any]]:
    """Clip id -> number of frames and events of the clip, from config nfbl."""
    rows = read_rows(dataset / split / TABLES["nfbl"])
    return {row["clip_id"]: {"num_frames": row["num_frames"], "events": row["events"]} for row in rows}


def _read_emotions(dataset: Path) -> list[str]:
    """The emotions of the dataset's vocabulary, in its order."""
    import pyarrow.parquet as pq

    tables = [p for s in SPLITS if (p := dataset / s / TABLES["mer"]).is_file()]
    return class_names(pq.read_schema(tables[0])).get("emotion", []) if tables else []


def _read_digests(dataset: Path) -> dict[Path, str]:
    """Path of a video -> sha256, as deemo.json states it."""
    files: Mapping[str, str] = _read_manifest(dataset / DATASET_MANIFEST).get("files", {})
    return {dataset / name: sha256 for name, sha256 in files.items() if name.endswith(".mp4")}


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _collect_notes(writer: RecordWriter) -> tuple[str, ...]:
    notes = []
    if writer.target == "merr":
        if writer.without_caption:
            notes.append(f"{writer.without_caption} recognition records have no clues, so no caption: with them Emotion-LLaMA's "
                         "task `reason` stops; `emotion` does not need them")  # fmt: skip
        known_emotions = {"neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt"}
        if unknown := [name for name in writer.emotions if name not in known_emotions]:
            notes.append(f"emotions that Emotion-LLaMA does not know by itself, and takes from `labels`: {', '.join(unknown)}")
    return tuple(notes)


def _remove_old_files(out: Path, files: list[str], videos: set[str]) -> int:
    """Remove files of an earlier conversion that this one did not write, and leftovers of killed runs; how many."""
    earlier = _read_manifest(out / CONVERSION_MANIFEST).get("files", [])
    old = [p for n in earlier if n not in files and (p := out / Path(n).name).is_file()]
    old += [p for p in out.glob(".*") if is_staging_name(p.name) and p.is_file()]
    if (folder := out / VIDEOS_DIR).is_dir():
        old += [p for p in folder.iterdir() if p.is_file() and p.name not in videos]
    for path in old:
        path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return len(old)


NFBL = "Of config `nfbl` the number of frames and the events are in it; for the rest, join by the id of the clip."
NO_NFBL = "Config `nfbl` (body points, prosody, events) is not in it either; join by the id of the clip."
README = """\
# {title}: as {to}

Converted by deemo_data {version} from the dataset of that name, for {reader}.

| split | records |
|---|---|
{splits}

{use}

The clips are **de-identified, not anonymous**. What holds for the dataset holds for this folder: the sections below come from its
card.

{sections}

## Consent and licence

{consent}

## What this format loses

{loses}

{nfbl}
{left_out}
## Odd text

Where somebody says what readers take for the place of a video (`<video>`, `<image>` and the like), U+2060, a character without
width, stands behind its `<`. In CSV files it stands behind texts that pandas would take for a number or for nothing ("None").
"""


def _render_readme(
    dataset: Path, target: str, splits: Mapping[str, int], left_out: Mapping[str, int], notes: tuple[str, ...]
) -> str:
    counts = count_dataset(dataset)
    lines = [f"{n} records are not in it: {reason}." for reason, n in left_out.items()]
    lines += [f"{note[0].upper()}{note[1:]}." for note in notes]
    consent = [*statements.consent_statements(counts), statements.licence_statement(counts)]
    losses = [f"| `{column}` | {reason} |" for column, reason in LOST_COLUMNS[target].items()]
    return README.format(
        title=statements.TITLE,
        to=target,
        version=__version__,
        reader=FORMATS[target].reader,
        splits="\n".join(f"| {s} | {n} |" for s, n in splits.items()),
        use=FORMATS[target].use,
        sections=_card_sections(dataset),
        consent="\n".join(f"- {line}" for line in consent),
        loses="\n".join(["| of a record | |", "|---|---|", *losses]),
        nfbl=NFBL if target == "merr" else NO_NFBL,
        left_out="".join(f"\n- {line}" for line in lines) + "\n" if lines else "",
    )


def _card_sections(dataset: Path) -> str:
    """The sections of the dataset's card about its use; without a card, at least the prohibited uses."""
    card = dataset / "README.md"
    parts = card.read_text("utf-8").split("\n## ")[1:] if card.is_file() else []
    sections = {name: text.strip() for name, _, text in (p.partition("\n") for p in parts) if name in CARD_SECTIONS}
    sections.setdefault("Uses that are prohibited", "\n".join(f"- {line}" for line in statements.PROHIBITED_USES))
    return "\n\n".join(f"## {name}\n\n{sections[name]}" for name in CARD_SECTIONS if name in sections)
