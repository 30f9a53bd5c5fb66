"""Validate(folder)."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from deemo_data.dataset import records
from deemo_data.dataset.counts import class_names, count, named
from deemo_data.dataset.layout import HALVES, TABLES
from deemo_data.dataset.records import MerRecord, NfblRecord, why
from deemo_data.dataset.validation import documents
from deemo_data.dataset.validation.findings import Finding, Seen
from deemo_data.dataset.validation.rows import check_clip, check_record, check_video, check_words, provenance, remember
from deemo_data.errors import DatasetError

MODELS: dict[str, type[BaseModel]] = {"nfbl": NfblRecord, "mer": MerRecord}


def validate(folder: Path) -> list[Finding]:
    """Everything that is wrong with a dataset folder; an empty list, or one of warnings only, means it is sound.

    Each row is checked by records.py, class names against the table's own ClassLabel; each video is opened, its frames
    counted and its digest compared with deemo.json; subjects, clips and videos may each be in one split only.
    Raises DatasetError when there is no such folder or no table in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder", "Give the folder of a dataset, such as PROJECT/out/dataset")
    if (folder / "deemo.toml").exists():
        raise DatasetError(f"{folder} is a project, not a dataset", f"Type: deemo validate {folder / 'out' / 'dataset'}")
    seen = Seen(folder)
    front = _front_matter(folder, seen)
    tables = list(_tables(folder, front, seen))
    if not tables:
        raise DatasetError(f"{folder} holds no Parquet table", "A dataset of ours has SPLIT/metadata.parquet")
    seen.manifest = documents.read_manifest(folder, seen.error, seen.warn)
    if seen.manifest:
        seen.wrong = documents.check_files(seen.manifest, folder, seen.digest, seen.error, seen.warn)
    seen.allowed = _allowed(seen.manifest, tables)
    for config, split, path in sorted(tables, key=lambda t: t[0] != "nfbl"):
        _check_table(config, split, path, seen)
    _check_splits(seen)
    _check_lookalikes(seen)
    if {f"{split}/{TABLES[config]}" for config, split, _ in tables if config in TABLES} == set(seen.tables):
        _check_documents(front, seen)
    return seen.findings


def _check_documents(front: Mapping[str, Any], seen: Seen) -> None:
    """What the documents say, for a dataset of our layout whose tables can be read and counted."""
    try:
        counted = count(seen.folder)
    except (KeyError, TypeError, AttributeError, ValueError, OSError):
        return  # a table lacks what is counted: that was said
    digests = {name: seen.digest(path.resolve()) for name, path in seen.tables.items()}
    if not seen.wrong & set(digests):
        documents.check_counts(seen.manifest, counted, seen.error)
    documents.check_card(seen.folder, front, seen.manifest, counted, seen.error)
    documents.check_croissant(seen.folder, seen.manifest, counted, seen.columns, digests, seen.error)
    documents.check_version(seen.folder, seen.manifest, seen.error)


def _tables(folder: Path, front: Mapping[str, Any], seen: Seen) -> Iterator[tuple[str, str, Path]]:
    """Config, split and file of each table: as the card's front matter says, else by what the columns look like."""
    found = False
    for config in front.get("configs") or []:
        if not isinstance(config, dict):
            seen.warn("README.md", f"a config that is no table: {config}")
            continue
        files = config.get("data_files")
        for entry in [{"split": "train", "path": files}] if isinstance(files, str) else files or []:
            if isinstance(entry, str):
                entry = {"split": "train", "path": entry}
            if not isinstance(entry, dict) or "path" not in entry:
                seen.warn("README.md", f"data_files without a path: {entry}")
                continue
            paths = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
            for path in sorted({p for pattern in paths for p in glob.glob(str(folder / pattern), recursive=True)}):
                if path.endswith(".parquet"):
                    found = True
                    yield _config(Path(path), str(config.get("config_name")), seen), str(entry.get("split", "train")), Path(path)
    if not found:
        for file in sorted(folder.rglob("*.parquet")):
            split = next((s for s in ("train", "validation", "test") if s in str(file.relative_to(folder))), "train")
            yield _config(file, "", seen), split, file


def _front_matter(folder: Path, seen: Seen) -> dict[str, Any]:
    import yaml

    card = folder / "README.md"
    if not card.is_file():
        seen.warn("README.md", "there is no card")
        return {}
    parts = card.read_text("utf-8", errors="replace").split("---\n")
    try:
        said = yaml.safe_load(parts[1]) if len(parts) > 2 else None
    except yaml.YAMLError as e:
        seen.error("README.md", f"its front matter cannot be read: {' '.join(str(e).split())}")
        return {}
    if not isinstance(said, dict) or not isinstance(said.get("configs"), list):
        seen.warn("README.md", "its front matter names no configs")
        return {}
    return said


def _config(path: Path, named: str, seen: Seen) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if named in MODELS:
        return named
    try:
        columns = set(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError):
        return named
    return max(MODELS, key=lambda m: len(columns & _columns(m)))


def _columns(config: str) -> set[str]:
    return {"file_name" if n == "video" else n for n in MODELS[config].model_fields}


def _allowed(manifest: Mapping[str, Any], tables: Sequence[tuple[str, str, Path]]) -> list[str]:
    """The classes that texts may name: of our own vocabulary those that can be seen, of another one all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from deemo_data.labels import screening
    from deemo_data.labels.vocabulary import load_nfbl

    ours = load_nfbl("nfbl")
    if (manifest.get("vocabularies") or {}).get("nfbl", {}).get("name") == ours.name:
        return screening.visible(ours)
    for config, _, path in tables:
        if config == "nfbl":
            try:
                return class_names(pq.read_schema(path)).get("events.label", [])
            except (pa.ArrowInvalid, OSError):
                continue
    return []


def _check_table(config: str, split: str, path: Path, seen: Seen) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = path.relative_to(seen.folder).as_posix()
    try:
        table = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as e:
        seen.error(where, f"cannot be read as Parquet: {' '.join(str(e).split())}")
        return
    seen.tables[where] = path
    names = set(table.schema_arrow.names)
    seen.columns.setdefault(config, list(table.schema_arrow.names))
    wanted = _columns(config)
    lacking = wanted - names - ({"file_name"} if "video" in names else set())
    if lacking:
        seen.error(where, f"config {config} needs the columns {', '.join(sorted(lacking))}")
    if strange := names - wanted - {"video"}:
        seen.warn(where, f"columns that config {config} does not know: {', '.join(sorted(strange))}")
    classes = class_names(table.schema_arrow)
    context = {
        "label": classes.get("events.label"), "group": classes.get("events.group"),
        "emotion": classes.get("emotion"), "sentiment": classes.get("sentiment"),
    }  # fmt: skip
    for batch in _batches(table, where, seen):
        bodies = {n: batch.column(n) for n in HALVES if n in batch.schema.names}
        for number, row in enumerate(batch.drop_columns([*bodies]).to_pylist()):
            row |= {n: c[number].values if c[number].is_valid else [] for n, c in bodies.items()}
            _check_row(config, split, where, path.parent, named(row, classes), context, not lacking, seen)


def _batches(table: Any, where: str, seen: Seen) -> Iterator[Any]:
    """The rows, 16 at a time, up to where the file is damaged."""
    import pyarrow as pa

    try:
        yield from table.iter_batches(batch_size=16)
    except (pa.ArrowException, OSError) as e:
        seen.error(where, f"cannot be read to its end: {' '.join(str(e).split())}")


def _check_row(
    config: str, split: str, where: str, base: Path, row: dict[str, Any], context: dict[str, Any], whole: bool, seen: Seen
) -> None:
    clip = str(row.get("clip_id"))
    here = f"{where} clip {clip}" if clip != "None" else where
    if config == "mer" and row.get("record_id"):
        here = f"{where} record {row['record_id']}"
    video = row.pop("file_name", None) or row.get("video")
    name = video.get("path") or "embedded" if isinstance(video, dict) else str(video or "")
    sound = whole and _fits_model(config, row | {"video": name}, context, here, seen)
    if subject := row.get("subject_id"):
        seen.splits_of_subject.setdefault(subject, set()).add(split)
        if row.get("subject_assumed"):
            seen.assumed.add(subject)
    if config == "mer":
        seen.lone.setdefault(clip, split)
        record = str(row.get("record_id"))
        seen.records[record] = seen.records.get(record, 0) + 1
        if sound:
            check_record(row, here, next(iter(seen.clips.get(clip, ())), None), seen.error, seen.warn)
    elif row.get("clip_id"):
        seen.clips.setdefault(clip, []).append(remember(row, split, sound))
    if sound:
        if config == "nfbl":
            check_clip(row, here, seen.error)
        check_words(records.texts_of(row, config), here, seen.allowed, seen.error, seen.warn)
    if isinstance(video, dict) and video.get("bytes"):
        if config == "nfbl":
            check_video(video["bytes"], row, here, seen.error)
        return
    if Path(name).is_absolute() or ".." in Path(name).parts:
        seen.error(here, f"its video {name} lies outside the table's folder: the loader refuses it")
        return
    path = (base / name).resolve()
    if not name or not path.is_file():
        if not name or (base / name).relative_to(seen.folder).as_posix() not in seen.wrong:
            seen.error(here, f"its video {name or '(none named)'} is not there")
        return
    if config == "nfbl" or not seen.clips:
        seen.videos.setdefault(seen.digest(path), set()).add((clip, split))
    if config == "nfbl":
        said, known = provenance(row), (base / name).relative_to(seen.folder).as_posix() not in seen.wrong
        if said and known and said != seen.digest(path):
            seen.error(here, "its video is not the one whose digest is in provenance")
        check_video(path, row, here, seen.error)


def _fits_model(config: str, row: dict[str, Any], context: dict[str, Any], here: str, seen: Seen) -> bool:
    fields = MODELS[config].model_fields
    try:
        MODELS[config].model_validate({k: v for k, v in row.items() if k in fields}, context=context)
    except ValidationError as e:
        seen.error(here, why(e))
        return False
    return True


def _check_splits(seen: Seen) -> None:
    for subject, splits in sorted(seen.splits_of_subject.items()):
        if len(splits) > 1:
            seen.error(f"subject {subject}", f"is in the splits {', '.join(sorted(splits))}")
    for clip, rows in sorted(seen.clips.items()):
        if len(rows) > 1:
            seen.error(f"clip {clip}", f"has {len(rows)} rows, in {', '.join(sorted({r.split for r in rows}))}")
    for record, times in sorted(seen.records.items()):
        if times > 1:
            seen.error(f"record {record}", f"has {times} rows")
    for found in seen.videos.values():
        splits = {s for _, s in found}
        ids = sorted({c for c, _ in found})
        if len(splits) > 1:
            seen.error(f"clips {', '.join(ids)}", f"have the same video in the splits {', '.join(sorted(splits))}")
        elif len(ids) > 1:
            seen.warn(f"clips {', '.join(ids)}", "have the same video")
    if seen.clips:
        for clip, split in sorted(seen.lone.items()):
            if clip not in seen.clips:
                seen.error(f"clip {clip}", "has records in config mer and no row in config nfbl")
            elif split not in {r.split for r in seen.clips[clip]}:
                seen.error(f"clip {clip}", f"is in split {split} of mer and in {seen.clips[clip][0].split} of nfbl")
    if seen.assumed:
        seen.warn(
            "subjects", f"{len(seen.assumed)} of {len(seen.splits_of_subject)} are assumed, one a source: nobody said who is seen"
        )


def _check_lookalikes(seen: Seen) -> None:
    """Clips of different subjects that look the same, and are on two sides."""
    from deemo_data.dataset import near_duplicates

    most = seen.manifest.get("alike", 0)
    if not most or not isinstance(most, int):
        return
    files = {sha256: path for path, sha256 in seen.digests.items()}
    known: Mapping[str, str] = seen.manifest.get("looks") or {}
    looks, whose, split_of = dict[str, str](), dict[str, str](), dict[str, str]()
    for sha256, found in seen.videos.items():
        said = known.get(sha256[:16])
        for clip, split in found:
            if clip in seen.clips:
                looks[clip] = near_duplicates.perceptual_hash(files[sha256]) if said is None else said
                whose[clip], split_of[clip] = seen.clips[clip][0].subject, split
    same = {frozenset(c for c, _ in found) for found in seen.videos.values() if len(found) > 1}  # said already
    for pair in near_duplicates.same_pictures(whose, looks, most):
        a, b = pair.clips
        if split_of[a] != split_of[b] and frozenset(pair.clips) not in same:
            seen.error(f"clips {a}, {b}", f"look the same and are in the splits {', '.join(sorted({split_of[a], split_of[b]}))}")
