"""Reads converted folders the way the projects that they are made for read them.

`read_converted` returns the records, `check_converted` what would go wrong in such a project. Neither needs the project itself:
each `_read_...` function follows the code of its reader, in the version that formats.py names.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deemo_data.dataset.conversion.formats import (
    CONVERSION_MANIFEST,
    FORMATS,
    INDEX_FILE,
    VIDEOS_DIR,
    Record,
    unescape_cell,
    unescape_tags,
)
from deemo_data.dataset.layout import SPLITS
from deemo_data.errors import DatasetError
from deemo_data.files import read_lines

MEDIA_TAGS = ("<video>", "<image>", "<audio>")


@dataclass
class ReadResult:
    """What was read: the records (if `keep` is set), and one line per fault that a reader would stumble over."""

    keep: bool
    records: list[Record] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ids: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record, location: str) -> None:
        self.ids[record.record_id] += 1
        if self.ids[record.record_id] == 2:
            self.faults.append(f"{location}: the id {record.record_id} is there twice")
        if not record.video.is_file():
            self.faults.append(f"{location}: record {record.record_id}: its video {record.video.name} is not there")
        if self.keep:
            self.records.append(record)


def read_converted(folder: Path, target: str) -> list[Record]:
    """The records of a converted folder, in the order of its splits. A field that the format loses is empty.

    Raises DatasetError when a file is missing or cannot be read, or when a row lacks a required value.
    """
    return _read(folder, target, keep=True).records


def check_converted(folder: Path, target: str) -> list[str]:
    """What would go wrong when a project that uses the format `target` reads the folder; empty when nothing would.

    It finds missing files and keys, videos that are not where that project looks for them, duplicate ids, empty texts, and texts
    that do not have one <video> tag per video. It opens no video.
    """
    try:
        return _read(folder, target, keep=False).faults
    except DatasetError as e:
        return [e.what]


def _read(folder: Path, target: str, keep: bool) -> ReadResult:
    readers: dict[str, Callable[[Path, ReadResult], None]] = {
        "llava": _read_llava, "llama-factory": _read_llama_factory, "ms-swift": _read_ms_swift, "merr": _read_merr,
        "emer": _read_emer,
    }  # fmt: skip
    if target not in readers:
        raise DatasetError(f"there is no format {target!r}", f"There are: {', '.join(FORMATS)}")
    result = ReadResult(keep)
    readers[target](folder, result)
    if not result.ids and not result.faults:
        what = f"{folder} holds no records as {target} has them"
        raise DatasetError(what, "Type: deemo convert DATASET --to FORMAT --out FOLDER")
    return result


def _read_llava(folder: Path, result: ReadResult) -> None:
    """A list of rows with id, video and conversations; the path of a video is joined to --data_folder."""
    for split in SPLITS:
        path = folder / f"{split}.json"
        if not path.is_file():
            continue
        rows = _read_json(path)
        if not isinstance(rows, list):
            raise DatasetError(f"{path.name} is not a list of records")
        for number, row in enumerate(rows):
            location = f"{path.name}[{number}]"
            turns = _read_turns(row, location, "conversations", "from", "value", {"human": "human", "gpt": "gpt"})
            if not isinstance(row.get("video"), str):
                raise DatasetError(f"{location} has no video")
            _add_chat(row, [row["video"]], turns, split, folder, location, result)


def _read_llama_factory(folder: Path, result: ReadResult) -> None:
    """The files, columns and tags that dataset_info.json names; paths of videos are joined to media_dir."""
    info = _read_json(folder / "dataset_info.json")
    if not isinstance(info, dict):
        raise DatasetError("dataset_info.json is not a table of datasets")
    for name, entry in info.items():
        columns, tags = entry.get("columns") or {}, entry.get("tags") or {}
        if entry.get("formatting") != "sharegpt" or not columns.get("videos"):
            result.faults.append(f"dataset_info.json: {name} is not said to be sharegpt with a column of videos")
            continue
        roles = {tags.get("user_tag", "human"): "human", tags.get("assistant_tag", "gpt"): "gpt"}
        keys = (columns.get("messages") or "conversations", tags.get("role_tag", "from"), tags.get("content_tag", "value"))
        split = name.removeprefix("deemo_")
        for location, row in _read_json_lines(folder / entry["file_name"]):
            turns = _read_turns(row, location, *keys, roles)
            _add_chat(row, _video_paths(row, columns["videos"]), turns, split, folder, location, result)


def _read_ms_swift(folder: Path, result: ReadResult) -> None:
    """Lines with messages and videos; paths of videos are relative to the working directory, or to ROOT_IMAGE_DIR."""
    for split in SPLITS:
        if (path := folder / f"{split}.jsonl").is_file():
            for location, row in _read_json_lines(path):
                turns = _read_turns(row, location, "messages", "role", "content", {"user": "human", "assistant": "gpt"})
                _add_chat(row, _video_paths(row, "videos"), turns, split, folder, location, result)


def _video_paths(row: Mapping[str, Any], key: str) -> list[str]:
    value = row.get(key)
    return [value] if isinstance(value, str) else list(value or ())


def _read_turns(
    row: Any, location: str, key: str, role: str, content: str, roles: Mapping[str, str]
) -> list[tuple[str, str]]:  # fmt: skip
    """(human or gpt, text) of each turn."""
    try:
        turns = [(roles[t[role]], t[content]) for t in row[key]]
    except (KeyError, TypeError) as e:
        raise DatasetError(f"{location}: {key} is not a list of {role} and {content}: {e}") from e
    if not all(isinstance(text, str) for _, text in turns):
        raise DatasetError(f"{location}: a turn is not text")
    return turns


def _add_chat(
    row: Mapping[str, Any],
    videos: Sequence[str],
    turns: list[tuple[str, str]],
    split: str,
    folder: Path,
    location: str,
    result: ReadResult,
) -> None:
    """Add a record of a chat format, checked by the rules that all readers of these formats share."""
    name = str(row.get("id", ""))
    location = f"{location} ({name})" if name else location
    if not name:
        result.faults.append(f"{location}: it has no id")
    if [role for role, _ in turns] != ["human", "gpt"] * (len(turns) // 2) or not turns:
        result.faults.append(f"{location}: its turns do not go human, gpt, human, gpt: it would be skipped")
    for number, (role, text) in enumerate(turns):
        if not _without_tags(text):
            result.faults.append(f"{location}: the {role}'s turn {number} is empty")
    for tag, wanted in zip(MEDIA_TAGS, (len(videos), 0, 0), strict=True):
        if (count := sum(text.count(tag) for _, text in turns)) != wanted:
            result.faults.append(f"{location}: {count} {tag} in its turns, for {wanted} of them: readers refuse it")
    if not videos:
        result.faults.append(f"{location}: it has no video")
        return
    result.faults += [f"{location}: its video {v} is not there" for v in videos[1:] if not (folder / v).is_file()]
    conversations = tuple((role, unescape_tags(text)) for role, text in turns)
    response = conversations[-1][1] if conversations else ""
    video = folder / videos[0]
    result.add(Record(name, split, video.stem, response=response, conversations=conversations, video=video), location)


def _without_tags(text: str) -> str:
    for tag in MEDIA_TAGS:
        text = text.replace(tag, "")
    return text.strip()


def _read_merr(folder: Path, result: ReadResult) -> None:
    """Lines of name, frames and emotion; texts by name in a JSON file; transcripts in one CSV file; NAME.mp4 or NAME.avi."""
    transcripts = _read_csv(folder / "transcription_en_all.csv", ("name", "sentence"), result)
    sentences = dict(zip(transcripts["name"], transcripts["sentence"], strict=True))
    index = _read_index(folder)
    for split in SPLITS:
        for kind, key, task in (("coarse", "caption", "recognition"), ("fine", "smp_reason_caption", "reasoning")):
            path = folder / f"{split}_{kind}_grained.txt"
            if not path.is_file():
                continue
            texts, labels = _read_json(path.with_suffix(".json")), _read_emotions(folder, kind)
            names = Counter[str]()
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                location = f"{path.name} line {number}"
                parts = line.strip().split(" ")
                if len(parts) < 3:
                    raise DatasetError(f"{location} is not name, frames and emotion")
                name, emotion = parts[0], parts[2]
                names[name] += 1
                if names[name] == 2:
                    result.faults.append(f"{location}: the name {name} is there twice")
                if emotion not in labels:
                    result.faults.append(f"{location}: emotion {emotion!r} is not among the labels of the YAML file")
                if name not in sentences:
                    result.faults.append(f"{location}: {name} has no row in transcription_en_all.csv")
                entry = texts.get(name, {})
                text = entry.get(key)
                if (kind == "fine" or text is not None) and not _without_tags(text or ""):
                    result.faults.append(f"{location}: {name} has no {key} in {path.with_suffix('.json').name}")
                root = folder / _videos_dir(folder, split)
                video = next((v for e in ("mp4", "avi") if (v := root / f"{name}.{e}").is_file()), root / f"{name}.mp4")
                clues = tuple(entry["clues"][m] for m in ("video", "audio", "text")) if entry.get("clues") else ()
                response = unescape_tags(text or "") if kind == "fine" else emotion
                transcript = unescape_tags(unescape_cell(sentences.get(name, "")))
                for record_id, clip in _take_ids(index, split, task, name, location, result):
                    record = Record(record_id, split, clip, task, transcript, response, emotion, clues, video=video)
                    result.add(record, location)
    _report_unused(index, result)


def _read_emer(folder: Path, result: ReadResult) -> None:
    """Rows of names, emotions, subtitles and reasons, as pandas reads them; videos/NAME.avi."""
    index = _read_index(folder)
    for split in SPLITS:
        path = folder / f"{split}.csv"
        if not path.is_file():
            continue
        table = _read_csv(path, ("names", "emotions", "subtitles", "reasons"), result)
        names = Counter[str]()
        for number, (name, emotion, subtitle, reason) in enumerate(zip(*table.values(), strict=True), 1):
            location = f"{path.name} row {number}"
            names[name] += 1
            if names[name] == 2:
                result.faults.append(f"{location}: the name {name} is there twice")
            if not _without_tags(unescape_cell(reason)):
                result.faults.append(f"{location}: {name} has no reasons: it cannot be read")
            video = folder / VIDEOS_DIR / f"{name}.avi"
            transcript, response = unescape_tags(unescape_cell(subtitle)), unescape_tags(unescape_cell(reason))
            for record_id, clip in _take_ids(index, split, "reasoning", name, location, result):
                record = Record(record_id, split, clip, "reasoning", transcript, response, emotion, video=video)
                result.add(record, location)
    _report_unused(index, result)


Index = dict[tuple[str, str, str], tuple[str, str]]  # (split, task, name) -> (record id, clip id)


def _read_index(folder: Path) -> Index:
    path = folder / INDEX_FILE
    try:
        with open(path, encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        return {(r["split"], r["task"], r["name"]): (r["record_id"], r["clip_id"]) for r in rows}
    except (OSError, KeyError, csv.Error) as e:
        raise DatasetError(f"{INDEX_FILE} cannot be read: without it nobody knows which record is which: {e}") from e


def _take_ids(index: Index, split: str, task: str, name: str, location: str, result: ReadResult) -> Iterator[tuple[str, str]]:
    """(record id, clip id) of a name, taken out of the index; nothing, and a fault, when the name is not in it."""
    if (split, task, name) in index:
        yield index.pop((split, task, name))
    else:
        result.faults.append(f"{location}: {name} is not in {INDEX_FILE}, or is there twice")


def _report_unused(index: Index, result: ReadResult) -> None:
    result.faults += [f"{INDEX_FILE}: record {record} ({name} of {split}) is in no file"
                     for (split, _, name), (record, _) in index.items()]  # fmt: skip


def _read_emotions(folder: Path, kind: str) -> list[str]:
    import yaml

    path = folder / ("stage2.yaml" if kind == "fine" else "stage1.yaml")
    try:
        return list(yaml.safe_load(path.read_text("utf-8"))["datasets"]["feature_face_caption"]["labels"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as e:
        raise DatasetError(f"{path.name} names no labels: {e}") from e


def _videos_dir(folder: Path, split: str) -> str:
    """The folder of a split's videos, relative to the converted folder."""
    path = folder / CONVERSION_MANIFEST
    roots = _read_json(path).get("videos", {}) if path.is_file() else {}
    return str(roots.get(split, VIDEOS_DIR))


def _read_csv(path: Path, columns: Sequence[str], result: ReadResult) -> dict[str, list[str]]:
    """Columns of a CSV file as pandas reads them by default; a cell that it takes for a missing value is empty."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as e:
        raise DatasetError(f"{path.name} cannot be read: {e}") from e
    if lacking := [c for c in columns if c not in table]:
        raise DatasetError(f"{path.name} has no column {lacking[0]}")
    for column in columns:
        if not pd.api.types.is_string_dtype(table[column]) and not table[column].isna().all():
            result.faults.append(f"{path.name}: pandas reads {column} as {table[column].dtype}, not as text")
    return {c: ["" if pd.isna(v) else str(v) for v in table[c]] for c in columns}


def _read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it is, row) of each line of a list."""
    try:
        for number, _, row in read_lines(path, lambda _, why: DatasetError(f"{path.name} cannot be read: {why}"), strict=True):
            yield f"{path.name} line {number}", row
    except OSError as e:
        raise DatasetError(f"{path.name} cannot be read: {e}") from e


def _read_json(path: Path) -> Any:
    """A JSON file. A duplicate key is refused, because readers would keep only one of its values."""
    try:
        return json.loads(path.read_text("utf-8"), object_pairs_hook=_refuse_duplicate_keys)
    except (OSError, ValueError) as e:
        raise DatasetError(f"{path.name} cannot be read: {e}") from e


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(k for k, n in Counter(k for k, _ in pairs).items() if n > 1)
        raise ValueError(f"{twice!r} is there twice")
    return result
