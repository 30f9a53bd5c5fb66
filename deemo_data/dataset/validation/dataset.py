"""Validates a dataset folder: `validate_dataset` finds everything that is wrong with it.

The checks go from the inside out: each row (rows.py), all rows together (index.py), the documents about them (documents.py).
tables.py finds the tables first; findings.py holds what the checks found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deemo_data.dataset.counts import class_names, count_dataset, decode_classes
from deemo_data.dataset.layout import FLOAT16_COLUMNS, TABLES
from deemo_data.dataset.validation import check_documents
from deemo_data.dataset.validation.files import DatasetFiles
from deemo_data.dataset.validation.findings import Finding, Findings
from deemo_data.dataset.validation.index import RowIndex, check_index, check_near_duplicates
from deemo_data.dataset.validation.rows import RowChecker
from deemo_data.dataset.validation.tables import TableFile, expected_columns, find_tables, read_front_matter
from deemo_data.errors import DatasetError
from deemo_data.labels import screening
from deemo_data.labels.vocabulary import load_nfbl

ROWS_PER_BATCH = 16


def validate_dataset(folder: Path) -> list[Finding]:
    """Everything that is wrong with a dataset folder. It is sound when the list is empty, or holds warnings only.

    Each row is checked by records.py, class names against the table's own ClassLabel. Each video is opened, its frames are
    counted and its digest is compared with deemo.json. Subjects, clips and videos may each be in one split only.
    Raises DatasetError when there is no such folder or no table in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder", "Give the folder of a dataset, such as PROJECT/out/dataset")
    if (folder / "deemo.toml").exists():
        raise DatasetError(f"{folder} is a project, not a dataset", f"Type: deemo validate {folder / 'out' / 'dataset'}")
    findings, files, index = Findings(), DatasetFiles(folder), RowIndex()
    front_matter = read_front_matter(folder, findings)
    tables = find_tables(folder, front_matter, findings)
    if not tables:
        raise DatasetError(f"{folder} holds no Parquet table", "A dataset of ours has SPLIT/metadata.parquet")
    manifest = check_documents.read_manifest(folder, findings)
    if manifest:
        files.damaged = check_documents.check_files(manifest, files, findings)
    allowed = _allowed_class_names(manifest, tables)
    for table in sorted(tables, key=lambda t: t.config != "nfbl"):  # nfbl first: records are compared with the rows of clips
        _check_table(table, allowed, files, index, findings)
    check_index(index, findings)
    check_near_duplicates(index, manifest, files.digests, findings)
    if {f"{t.split}/{TABLES[t.config]}" for t in tables if t.config in TABLES} == set(files.tables):
        _check_documents(manifest, front_matter, files, findings)
    return findings.items


def _allowed_class_names(manifest: Mapping[str, Any], tables: Sequence[TableFile]) -> list[str]:
    """The classes that texts may name: of our own vocabulary those that masked videos can show, of another one all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    default_vocabulary = load_nfbl("nfbl")
    if (manifest.get("vocabularies") or {}).get("nfbl", {}).get("name") == default_vocabulary.name:
        return screening.visible_class_names(default_vocabulary)
    for table in tables:
        if table.config == "nfbl":
            try:
                return class_names(pq.read_schema(table.path)).get("events.label", [])
            except (pa.ArrowInvalid, OSError):
                continue
    return []


def _check_table(table: TableFile, allowed: Sequence[str], files: DatasetFiles, index: RowIndex, findings: Findings) -> None:
    """The columns of a table, then its rows one by one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = table.path.relative_to(files.folder).as_posix()
    try:
        parquet = pq.ParquetFile(table.path)
    except (pa.ArrowInvalid, OSError) as e:
        findings.error(name, f"cannot be read as Parquet: {' '.join(str(e).split())}")
        return
    columns = parquet.schema_arrow.names
    files.tables[name] = table.path
    files.columns.setdefault(table.config, list(columns))
    is_complete = _check_columns(table.config, set(columns), name, findings)
    classes = class_names(parquet.schema_arrow)
    vocabulary = {
        "label": classes.get("events.label"), "group": classes.get("events.group"),
        "emotion": classes.get("emotion"), "sentiment": classes.get("sentiment"),
    }  # fmt: skip
    checker = RowChecker(
        config=table.config, split=table.split, table=name, folder=table.path.parent, class_names=vocabulary, allowed=allowed,
        is_complete=is_complete, files=files, index=index, findings=findings,
    )  # fmt: skip
    for batch in _read_batches(parquet, name, findings):
        arrays = {n: batch.column(n) for n in FLOAT16_COLUMNS if n in batch.schema.names}
        for number, row in enumerate(batch.drop_columns([*arrays]).to_pylist()):
            row |= {n: c[number].values if c[number].is_valid else [] for n, c in arrays.items()}
            checker.check(decode_classes(row, classes))


def _check_columns(config: str, columns: set[str], name: str, findings: Findings) -> bool:
    """Whether a table has all columns of its config. A video may be embedded as `video` instead of named as `file_name`."""
    expected = expected_columns(config)
    lacking = expected_columns(config, optional=False) - columns - ({"file_name"} if "video" in columns else set())
    if lacking:
        findings.error(name, f"config {config} needs the columns {', '.join(sorted(lacking))}")
    if unknown := columns - expected - {"video"}:
        findings.warn(name, f"columns that config {config} does not know: {', '.join(sorted(unknown))}")
    return not lacking


def _read_batches(parquet: Any, name: str, findings: Findings) -> Iterator[Any]:
    """The rows in batches, up to where the file is damaged."""
    import pyarrow as pa

    try:
        yield from parquet.iter_batches(batch_size=ROWS_PER_BATCH)
    except (pa.ArrowException, OSError) as e:
        findings.error(name, f"cannot be read to its end: {' '.join(str(e).split())}")


def _check_documents(
    manifest: Mapping[str, Any], front_matter: Mapping[str, Any], files: DatasetFiles, findings: Findings
) -> None:
    """What the documents say, for a dataset of our layout whose tables can be read and counted."""
    try:
        counts = count_dataset(files.folder)
    except (KeyError, TypeError, AttributeError, ValueError, OSError):
        return  # a table lacks columns that are counted: they are reported already
    digests = {name: files.digest(path.resolve()) for name, path in files.tables.items()}
    if not files.damaged & set(digests):
        check_documents.check_counts(manifest, counts, findings)
    check_documents.check_card(files.folder, front_matter, manifest, counts, findings)
    check_documents.check_croissant(files, manifest, counts, digests, findings)
    check_documents.check_version(files.folder, manifest, findings)
