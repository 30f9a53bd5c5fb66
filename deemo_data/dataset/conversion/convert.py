"""Converts a dataset to the record formats of other projects, and checks the result the way those projects read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deemo_data import __version__
from deemo_data.dataset.conversion.formats import FORMATS, LOSES, MANIFEST, VIDEOS, Record, barred
from deemo_data.dataset.conversion.reading import check
from deemo_data.dataset.conversion.writing import Writer
from deemo_data.dataset.documents import statements
from deemo_data.dataset.layout import MANIFEST as DATASET_MANIFEST
from deemo_data.dataset.layout import SPLITS, TABLES
from deemo_data.errors import DatasetError
from deemo_data.files import write_if_changed

CARRIED = ("Access", "Uses that are prohibited", "Privacy", "Limits")  # sections of the dataset's card that go along


@dataclass(frozen=True)
class Converted:
    """What was written.

    splits    split -> records
    left_out  why -> how many records the format cannot hold for that reason
    notes     what is worth knowing
    faults    what check() found: empty when everything can be read
    changed   how many files are new
    """

    to: str
    splits: dict[str, int]
    videos: int
    left_out: dict[str, int]
    notes: tuple[str, ...]
    faults: tuple[str, ...]
    changed: int

    @property
    def records(self) -> int:
        return sum(self.splits.values())


def convert(dataset: Path, to: str, out: Path, *, link: bool = True, force: bool = False) -> Converted:
    """Write the records of `dataset` in a format of FORMATS into `out`, one file set a split, and check them.

    link   videos are hard-linked (or copied) into `out`; else they are named where they lie in `dataset`
    force  convert a dataset too that deemo_data.validate finds errors in
    Raises DatasetError when the dataset is not sound, when `out` holds something else, or the format can hold nothing of it.
    """
    if to not in FORMATS:
        raise DatasetError(f"there is no format {to!r}", f"There are: {', '.join(FORMATS)}")
    if to == "emer" and not link:
        raise DatasetError("EMER's reader asks for NAME.avi, and the dataset has no such files", "Let the videos be linked")
    _refuse(dataset, to, out, force)
    splits: dict[str, int] = {}
    writer = Writer(to, out, link, _digests(dataset), _labels(dataset))
    try:
        for split in SPLITS:
            writer.about = _about(dataset, split) if to == "merr" else {}
            for record in _records(dataset, split):
                if why := barred(record, to):
                    writer.left_out[why] += 1
                elif _claim(out, to) and writer.write(record):
                    splits[split] = splits.get(split, 0) + 1
        if not splits:
            whys = "; ".join(f"{why} ({n} records)" for why, n in sorted(writer.left_out.items()))
            raise DatasetError(f"nothing of {dataset} can be held by {to}{f': {whys}' if whys else ''}",
                               "Records come from people's emotion labels; reasoning records from their clues")  # fmt: skip
        names = writer.close()
    finally:
        writer.files.drop()
    left_out, notes = dict(sorted(writer.left_out.items())), _notes(writer)
    changed = writer.files.changed + writer.linked
    changed += write_if_changed(out / "README.md", _readme(dataset, to, splits, left_out, notes))
    files = [*names, "README.md"]
    told = {"format": 1, "to": to, "deemo_data": __version__, "records": splits, "videos": writer.roots,
            "files": files}  # fmt: skip
    changed += _sweep(out, files, writer.videos if link else set())
    changed += write_if_changed(out / MANIFEST, json.dumps(told, indent=1, sort_keys=True) + "\n")
    return Converted(to, splits, len(writer.videos), left_out, notes, tuple(check(out, to)), changed)


def _refuse(dataset: Path, to: str, out: Path, force: bool) -> None:
    from deemo_data.dataset.validation.dataset import validate

    inner, outer = out.resolve(), dataset.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise DatasetError(f"{out} and the dataset lie in each other", "Give a folder beside the dataset")
    ours = _manifest(out / MANIFEST).get("to")
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and ours != to:
        holds = f"records as {ours}" if ours else "something else"
        raise DatasetError(f"{out} holds {holds}", "Give a new folder, or remove that one")
    errors = [f for f in validate(dataset) if f.level == "error"]
    if errors and not force:
        more = f", and {len(errors) - 1} errors more" if len(errors) > 1 else ""
        what = f"{dataset} is not sound: {errors[0].where}: {errors[0].what}{more}"
        raise DatasetError(what, f"Type: deemo validate {dataset}; to convert it all the same, add --force")


def _claim(out: Path, to: str) -> bool:
    """Mark the folder as ours before anything lies in it, so that a run that was cut short can be run again."""
    if not (out / MANIFEST).exists():
        out.mkdir(parents=True, exist_ok=True)
        write_if_changed(out / MANIFEST, json.dumps({"to": to}) + "\n")
    return True


def _records(dataset: Path, split: str) -> Iterator[Record]:
    """The records of a split, a row group at a time."""
    from deemo_data.dataset.counts import rows_of

    table, root = dataset / split / TABLES["mer"], dataset.resolve()
    for row in rows_of(table):
        if not isinstance(row.get("file_name"), str):
            raise DatasetError(f"{table} holds its videos in itself", "Convert a dataset whose videos are files")
        record = Record.of_row(row, split, table.parent)
        if not record.video.resolve().is_relative_to(root):
            raise DatasetError(f"record {record.record_id}: its video {row['file_name']} lies outside the dataset")
        yield record


def _about(dataset: Path, split: str) -> dict[str, dict[str, Any]]:
    """Clip id -> its frames and events, as config nfbl has them."""
    from deemo_data.dataset.counts import rows_of

    return {
        r["clip_id"]: {"num_frames": r["num_frames"], "events": r["events"]} for r in rows_of(dataset / split / TABLES["nfbl"])
    }


def _labels(dataset: Path) -> list[str]:
    """The emotions of the vocabulary that the dataset was made with."""
    import pyarrow.parquet as pq

    from deemo_data.dataset.counts import class_names

    tables = [p for s in SPLITS if (p := dataset / s / TABLES["mer"]).is_file()]
    return class_names(pq.read_schema(tables[0])).get("emotion", []) if tables else []


def _digests(dataset: Path) -> dict[Path, str]:
    files: Mapping[str, str] = _manifest(dataset / DATASET_MANIFEST).get("files", {})
    return {dataset / name: sha256 for name, sha256 in files.items() if name.endswith(".mp4")}


def _manifest(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _notes(writer: Writer) -> tuple[str, ...]:
    found = []
    if writer.to == "merr":
        if writer.without_caption:
            found.append(f"{writer.without_caption} recognition records have no clues, so no caption: with them Emotion-LLaMA's "
                         "task `reason` stops; `emotion` does not need them")  # fmt: skip
        nine = {"neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt"}
        if strange := [n for n in writer.labels if n not in nine]:
            found.append(f"emotions that Emotion-LLaMA does not know by itself, and takes from `labels`: {', '.join(strange)}")
    return tuple(found)


def _sweep(out: Path, files: list[str], videos: set[str]) -> int:
    """Remove what an earlier run of ours put here and this one did not, and what a killed one left."""
    before = _manifest(out / MANIFEST).get("files", [])
    old = [p for n in before if n not in files and (p := out / Path(n).name).is_file()]
    old += [p for p in out.glob(".*") if p.suffix[1:].isdigit() and p.is_file()]
    if (folder := out / VIDEOS).is_dir():
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


def _readme(dataset: Path, to: str, splits: Mapping[str, int], left_out: Mapping[str, int], notes: tuple[str, ...]) -> str:
    from deemo_data.dataset import counts

    counted = counts.count(dataset)
    lines = [f"{n} records are not in it: {why}." for why, n in left_out.items()] + [f"{n[0].upper()}{n[1:]}." for n in notes]
    return README.format(
        title=statements.TITLE,
        to=to,
        version=__version__,
        reader=FORMATS[to].reader,
        splits="\n".join(f"| {s} | {n} |" for s, n in splits.items()),
        use=FORMATS[to].use,
        sections=_sections(dataset),
        consent="\n".join(f"- {line}" for line in [*statements.consent(counted), statements.licences(counted)]),
        loses="\n".join(["| of a record | |", "|---|---|", *(f"| `{name}` | {why} |" for name, why in LOSES[to].items())]),
        nfbl=NFBL if to == "merr" else NO_NFBL,
        left_out="".join(f"\n- {line}" for line in lines) + "\n" if lines else "",
    )


def _sections(dataset: Path) -> str:
    """What the dataset's card says about its use; without a card, at least what is prohibited."""
    card = dataset / "README.md"
    parts = card.read_text("utf-8").split("\n## ")[1:] if card.is_file() else []
    found = {name: text.strip() for name, _, text in (p.partition("\n") for p in parts) if name in CARRIED}
    found.setdefault("Uses that are prohibited", "\n".join(f"- {line}" for line in statements.PROHIBITED))
    return "\n\n".join(f"## {name}\n\n{found[name]}" for name in CARRIED if name in found)
