"""Checks a dataset folder, ours or someone's: rows, videos, digests, splits. It changes nothing."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from deemo_data.card import MANIFEST
from deemo_data.clip import File
from deemo_data.errors import DatasetError
from deemo_data.export import HALVES
from deemo_data.records import MerRecord, NfblRecord
from deemo_data.rows import why

if TYPE_CHECKING:
    import pyarrow as pa

MODELS: dict[str, type[BaseModel]] = {"nfbl": NfblRecord, "mer": MerRecord}
HARMLESS_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "language", "handler_name", "vendor_id"}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (error) or worth knowing (warning), and where: a file, or a clip of a split."""

    level: Literal["error", "warning"]
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.what}"


@dataclass
class Seen:
    """What has been met so far, over all tables."""

    findings: list[Finding] = field(default_factory=list)
    splits_of_subject: dict[str, set[str]] = field(default_factory=dict)
    splits_of_clip: dict[str, list[str]] = field(default_factory=dict)
    clips_of_video: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    clips: dict[tuple[str, str], int] = field(default_factory=dict)  # (config, split) -> rows
    known: dict[Path, str] = field(default_factory=dict)  # digests that were computed
    assumed: set[str] = field(default_factory=set)
    mer_clips: dict[str, str] = field(default_factory=dict)

    def error(self, where: str, what: str) -> None:
        self.findings.append(Finding("error", where, what))

    def warn(self, where: str, what: str) -> None:
        self.findings.append(Finding("warning", where, what))

    def digest(self, path: Path) -> str:
        if path not in self.known:
            self.known[path] = File.of(path).sha256
        return self.known[path]


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
    seen = Seen()
    tables = list(_tables(folder, seen))
    if not tables:
        raise DatasetError(f"{folder} holds no Parquet table", "A dataset of ours has SPLIT/metadata.parquet")
    for config, split, path in tables:
        _check_table(folder, config, split, path, seen)
    _check_splits(seen)
    _check_manifest(folder, seen)
    return seen.findings


def _tables(folder: Path, seen: Seen) -> Iterator[tuple[str, str, Path]]:
    """Config, split and file of each table: as the card's front matter says, else by what the columns look like."""
    found = False
    for config in _front_matter(folder, seen).get("configs") or []:
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


def _check_table(folder: Path, config: str, split: str, path: Path, seen: Seen) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = path.relative_to(folder).as_posix()
    try:
        table = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as e:
        seen.error(where, f"cannot be read as Parquet: {' '.join(str(e).split())}")
        return
    names = set(table.schema_arrow.names)
    wanted = _columns(config)
    lacking = wanted - names - ({"file_name"} if "video" in names else set())
    if lacking:
        seen.error(where, f"config {config} needs the columns {', '.join(sorted(lacking))}")
    if strange := names - wanted - {"video"}:
        seen.warn(where, f"columns that config {config} does not know: {', '.join(sorted(strange))}")
    classes = _class_names(table.schema_arrow)
    context = {
        "label": classes.get("events.label"), "group": classes.get("events.group"),
        "emotion": classes.get("emotion"), "sentiment": classes.get("sentiment"),
    }  # fmt: skip
    count = 0
    for batch in table.iter_batches(batch_size=16):
        bodies = {n: batch.column(n) for n in HALVES if n in batch.schema.names}
        rows = batch.drop_columns([*bodies]).to_pylist()
        for number, row in enumerate(rows):
            row |= {n: c[number].values if c[number].is_valid else [] for n, c in bodies.items()}
            _check_row(config, split, where, path.parent, _named(row, classes), context, not lacking, seen)
            count += 1
    seen.clips[config, split] = seen.clips.get((config, split), 0) + count


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """ClassLabel columns ("events.label") -> their names, from the metadata that datasets writes into the schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError):
        return {}
    found: dict[str, list[str]] = {}

    def walk(at: str, feature: Any) -> None:
        if isinstance(feature, list):
            walk(at, feature[0])
        elif not isinstance(feature, dict):
            return
        elif feature.get("_type") == "ClassLabel":
            found[at] = feature["names"]
        elif "feature" in feature and "_type" in feature:
            walk(at, feature["feature"])
        else:
            for name, inner in feature.items():
                walk(f"{at}.{name}" if at else name, inner)

    walk("", features)
    return found


def _named(value: Any, classes: dict[str, list[str]], at: str = "") -> Any:
    """Class numbers as names; a number that has none stays one, and the record refuses it."""
    if isinstance(value, dict):
        return {k: _named(v, classes, f"{at}.{k}" if at else k) for k, v in value.items()}
    if isinstance(value, list):
        return [_named(v, classes, at) for v in value]
    if at in classes and isinstance(value, int) and 0 <= value < len(classes[at]):
        return classes[at][value]
    return value


def _check_row(
    config: str, split: str, where: str, base: Path, row: dict[str, Any], context: dict[str, Any], whole: bool, seen: Seen
) -> None:
    clip = str(row.get("clip_id"))
    here = f"{where} clip {clip}" if clip != "None" else where
    video = row.pop("file_name", None) or row.get("video")
    name = video.get("path") or "embedded" if isinstance(video, dict) else str(video or "")
    if whole:
        fields = MODELS[config].model_fields
        try:
            MODELS[config].model_validate({k: v for k, v in (row | {"video": name}).items() if k in fields}, context=context)
        except ValidationError as e:
            seen.error(here, why(e))
    if subject := row.get("subject_id"):
        seen.splits_of_subject.setdefault(subject, set()).add(split)
        if row.get("subject_assumed"):
            seen.assumed.add(subject)
    if config == "mer":
        seen.mer_clips.setdefault(clip, split)
    elif row.get("clip_id"):
        seen.splits_of_clip.setdefault(clip, []).append(split)
    if isinstance(video, dict) and video.get("bytes"):
        if config == "nfbl":
            _check_video(video["bytes"], row, here, seen)
        return
    if Path(name).is_absolute() or ".." in Path(name).parts:
        seen.error(here, f"its video {name} lies outside the table's folder: the loader refuses it")
        return
    path = (base / name).resolve()
    if not name or not path.is_file():
        seen.error(here, f"its video {name or '(none named)'} is not there")
        return
    seen.clips_of_video.setdefault(seen.digest(path), set()).add((clip, split))
    if config == "nfbl":
        _check_video(path, row, here, seen)


def _check_video(video: Path | bytes, row: dict[str, Any], here: str, seen: Seen) -> None:
    import io

    import av

    container: Any  # av's stubs do not tell reading from writing
    try:
        with av.open(io.BytesIO(video) if isinstance(video, bytes) else str(video)) as container:
            if not container.streams.video:
                seen.error(here, "its video has no picture")
                return
            stream = container.streams.video[0]
            size = (stream.width, stream.height)
            tags = {k for s in (container, *container.streams) for k in s.metadata} - HARMLESS_TAGS
            if container.chapters() or {s.type for s in container.streams} - {"video", "audio"}:
                seen.error(here, "its video carries chapters or other streams")
            frames = sum(bool(p.size) for p in container.demux(stream))
    except (av.error.FFmpegError, OSError) as e:
        seen.error(here, f"its video cannot be opened: {e}")
        return
    if isinstance(row.get("num_frames"), int) and frames != row["num_frames"]:
        seen.error(here, f"num_frames is {row['num_frames']}, its video has {frames}")
    if "width" in row and size != (row.get("width"), row.get("height")):
        seen.error(here, f"the row says {row.get('width')}x{row.get('height')}, its video is {size[0]}x{size[1]}")
    if tags:
        seen.warn(here, f"its video carries tags: {', '.join(sorted(tags))}")


def _check_splits(seen: Seen) -> None:
    for subject, splits in sorted(seen.splits_of_subject.items()):
        if len(splits) > 1:
            seen.error(f"subject {subject}", f"is in the splits {', '.join(sorted(splits))}")
    for clip, rows in sorted(seen.splits_of_clip.items()):
        if len(rows) > 1:
            seen.error(f"clip {clip}", f"has {len(rows)} rows, in {', '.join(sorted(set(rows)))}")
    for clips in seen.clips_of_video.values():
        splits = {s for _, s in clips}
        ids = sorted({c for c, _ in clips})
        if len(splits) > 1:
            seen.error(f"clips {', '.join(ids)}", f"have the same video in the splits {', '.join(sorted(splits))}")
        elif len(ids) > 1:
            seen.warn(f"clips {', '.join(ids)}", "have the same video")
    if seen.splits_of_clip:
        for clip, split in sorted(seen.mer_clips.items()):
            if clip not in seen.splits_of_clip:
                seen.error(f"clip {clip}", "has records in config mer and no row in config nfbl")
            elif split not in seen.splits_of_clip[clip]:
                seen.error(f"clip {clip}", f"is in split {split} of mer and in {seen.splits_of_clip[clip][0]} of nfbl")
    if seen.assumed:
        seen.warn(
            "subjects", f"{len(seen.assumed)} of {len(seen.splits_of_subject)} are assumed, one a source: nobody said who is seen"
        )


def _check_manifest(folder: Path, seen: Seen) -> None:
    path = folder / MANIFEST
    if not path.is_file():
        seen.warn(MANIFEST, "there is none: digests cannot be compared")
        return
    try:
        files = json.loads(path.read_text("utf-8"))["files"]
    except (ValueError, KeyError, TypeError) as e:
        seen.error(MANIFEST, f"cannot be read: {e}")
        return
    for name, sha256 in sorted(files.items()):
        file = (folder / name).resolve()
        if not file.is_file():
            seen.error(name, "is in deemo.json and not there")
        elif seen.digest(file) != sha256:
            seen.error(name, "is not the file that was exported: its digest differs from deemo.json")
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}
    if extra := sorted(present - set(files) - {MANIFEST}):
        seen.warn(extra[0], f"is not in deemo.json{f', nor are {len(extra) - 1} more' if len(extra) > 1 else ''}")
