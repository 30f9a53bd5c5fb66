"""Reads converted folders as the projects they are for read them: the records, and what would go wrong there."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deemo_data.dataset.conversion.formats import FORMATS, INDEX, MANIFEST, VIDEOS, Record, kept, show
from deemo_data.dataset.layout import SPLITS
from deemo_data.errors import DatasetError

TAGS = ("<video>", "<image>", "<audio>")


@dataclass
class Found:
    """What was read: records (where they are to be kept), and one line for each thing that a reader would stumble over."""

    keep: bool
    records: list[Record] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ids: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record, where: str) -> None:
        self.ids[record.record_id] += 1
        if self.ids[record.record_id] == 2:
            self.faults.append(f"{where}: the id {record.record_id} is there twice")
        if not record.video.is_file():
            self.faults.append(f"{where}: record {record.record_id}: its video {record.video.name} is not there")
        if self.keep:
            self.records.append(record)


def read_back(folder: Path, to: str) -> list[Record]:
    """The records of a converted folder, in the order of its splits. A field that the format lost is empty.

    Raises DatasetError when a file is missing or cannot be read, or a row lacks what a record is made of.
    """
    return _read(folder, to, keep=True).records


def check(folder: Path, to: str) -> list[str]:
    """What would go wrong when the project that `to` is for reads the folder; empty when nothing would.

    Looks for files and keys that are missing, videos that are not where that project looks, ids that are there twice, empty
    texts, and texts whose <video> tags are not one for each video. It opens no video.
    """
    try:
        return _read(folder, to, keep=False).faults
    except DatasetError as e:
        return [e.what]


def _read(folder: Path, to: str, keep: bool) -> Found:
    readers: dict[str, Callable[[Path, Found], None]] = {
        "llava": _llava, "llama-factory": _llama_factory, "ms-swift": _ms_swift, "merr": _merr, "emer": _emer,
    }  # fmt: skip
    if to not in readers:
        raise DatasetError(f"there is no format {to!r}", f"There are: {', '.join(FORMATS)}")
    found = Found(keep)
    readers[to](folder, found)
    if not found.ids and not found.faults:
        raise DatasetError(f"{folder} holds no records as {to} has them", "Type: deemo convert DATASET --to FORMAT --out FOLDER")
    return found


def _llava(folder: Path, found: Found) -> None:
    """A list of rows with id, video and conversations; `video` is joined to --data_folder."""
    for split in SPLITS:
        path = folder / f"{split}.json"
        if not path.is_file():
            continue
        rows = _json(path)
        if not isinstance(rows, list):
            raise DatasetError(f"{path.name} is not a list of records")
        for number, row in enumerate(rows):
            where = f"{path.name}[{number}]"
            turns = _turns(row, where, "conversations", "from", "value", {"human": "human", "gpt": "gpt"})
            if not isinstance(row.get("video"), str):
                raise DatasetError(f"{where} has no video")
            _chat(row, [row["video"]], turns, split, folder, where, found)


def _llama_factory(folder: Path, found: Found) -> None:
    """The files that dataset_info.json names, with the columns and tags that it says; videos are joined to media_dir."""
    info = _json(folder / "dataset_info.json")
    if not isinstance(info, dict):
        raise DatasetError("dataset_info.json is not a table of datasets")
    for name, said in info.items():
        columns, tags = said.get("columns") or {}, said.get("tags") or {}
        if said.get("formatting") != "sharegpt" or not columns.get("videos"):
            found.faults.append(f"dataset_info.json: {name} is not said to be sharegpt with a column of videos")
            continue
        roles = {tags.get("user_tag", "human"): "human", tags.get("assistant_tag", "gpt"): "gpt"}
        keys = (columns.get("messages") or "conversations", tags.get("role_tag", "from"), tags.get("content_tag", "value"))
        split = name.removeprefix("deemo_")
        for where, row in _lines(folder / said["file_name"]):
            _chat(row, _paths(row, columns["videos"]), _turns(row, where, *keys, roles), split, folder, where, found)


def _ms_swift(folder: Path, found: Found) -> None:
    """Lines with messages and videos; videos are looked for from where it is started, or from ROOT_IMAGE_DIR."""
    for split in SPLITS:
        if (path := folder / f"{split}.jsonl").is_file():
            for where, row in _lines(path):
                turns = _turns(row, where, "messages", "role", "content", {"user": "human", "assistant": "gpt"})
                _chat(row, _paths(row, "videos"), turns, split, folder, where, found)


def _paths(row: Mapping[str, Any], key: str) -> list[str]:
    value = row.get(key)
    return [value] if isinstance(value, str) else list(value or ())


def _turns(
    row: Any, where: str, key: str, role: str, content: str, roles: Mapping[str, str]
) -> list[tuple[str, str]]:  # fmt: skip
    """(human or gpt, text) of each turn."""
    try:
        turns = [(roles[t[role]], t[content]) for t in row[key]]
    except (KeyError, TypeError) as e:
        raise DatasetError(f"{where}: {key} is not a list of {role} and {content}: {e}") from e
    if not all(isinstance(text, str) for _, text in turns):
        raise DatasetError(f"{where}: a turn is not text")
    return turns


def _chat(
    row: Mapping[str, Any],
    videos: Sequence[str],
    turns: list[tuple[str, str]],
    split: str,
    folder: Path,
    where: str,
    found: Found,
) -> None:
    """One record of a format of turns, checked by the rules that all of its readers have."""
    name = str(row.get("id", ""))
    where = f"{where} ({name})" if name else where
    if not name:
        found.faults.append(f"{where}: it has no id")
    if [w for w, _ in turns] != ["human", "gpt"] * (len(turns) // 2) or not turns:
        found.faults.append(f"{where}: its turns do not go human, gpt, human, gpt: it would be skipped")
    found.faults += [f"{where}: the {who}'s turn {n} is empty" for n, (who, text) in enumerate(turns) if not _words(text)]
    for tag, wanted in zip(TAGS, (len(videos), 0, 0), strict=True):
        if (there := sum(text.count(tag) for _, text in turns)) != wanted:
            found.faults.append(f"{where}: {there} {tag} in its turns, for {wanted} of them: readers refuse it")
    if not videos:
        found.faults.append(f"{where}: it has no video")
        return
    found.faults += [f"{where}: its video {v} is not there" for v in videos[1:] if not (folder / v).is_file()]
    shown = tuple((who, show(text)) for who, text in turns)
    video = folder / videos[0]
    found.add(Record(name, split, video.stem, response=shown[-1][1] if shown else "", conversations=shown, video=video), where)


def _words(text: str) -> str:
    for tag in TAGS:
        text = text.replace(tag, "")
    return text.strip()


def _merr(folder: Path, found: Found) -> None:
    """Lines of name, frames and emotion; the text of a name in the JSON beside; what was said in one CSV; NAME.mp4 or .avi."""
    said = _csv(folder / "transcription_en_all.csv", ("name", "sentence"), found)
    sentences = dict(zip(said["name"], said["sentence"], strict=True))
    index = _index(folder)
    for split in SPLITS:
        for kind, key, task in (("coarse", "caption", "recognition"), ("fine", "smp_reason_caption", "reasoning")):
            path = folder / f"{split}_{kind}_grained.txt"
            if not path.is_file():
                continue
            told, labels = _json(path.with_suffix(".json")), _labels(folder, kind)
            names = Counter[str]()
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                where = f"{path.name} line {number}"
                parts = line.strip().split(" ")
                if len(parts) < 3:
                    raise DatasetError(f"{where} is not name, frames and emotion")
                name, emotion = parts[0], parts[2]
                names[name] += 1
                if names[name] == 2:
                    found.faults.append(f"{where}: the name {name} is there twice")
                if emotion not in labels:
                    found.faults.append(f"{where}: emotion {emotion!r} is not among the labels of the YAML file")
                if name not in sentences:
                    found.faults.append(f"{where}: {name} has no row in transcription_en_all.csv")
                entry = told.get(name, {})
                text = entry.get(key)
                if (kind == "fine" or text is not None) and not _words(text or ""):
                    found.faults.append(f"{where}: {name} has no {key} in {path.with_suffix('.json').name}")
                root = folder / _root(folder, split)
                video = next((v for e in ("mp4", "avi") if (v := root / f"{name}.{e}").is_file()), root / f"{name}.mp4")
                clues = tuple(entry["clues"][m] for m in ("video", "audio", "text")) if entry.get("clues") else ()
                response = show(text or "") if kind == "fine" else emotion
                for record_id, clip in _ids(index, split, task, name, where, found):
                    found.add(Record(record_id, split, clip, task, show(kept(sentences.get(name, ""))), response, emotion, clues,
                                     video=video), where)  # fmt: skip
    _unused(index, found)


def _emer(folder: Path, found: Found) -> None:
    """Rows of names, emotions, subtitles and reasons, as pandas reads them; videos/NAME.avi."""
    index = _index(folder)
    for split in SPLITS:
        path = folder / f"{split}.csv"
        if not path.is_file():
            continue
        table = _csv(path, ("names", "emotions", "subtitles", "reasons"), found)
        names = Counter[str]()
        for number, (name, emotion, subtitle, reason) in enumerate(zip(*table.values(), strict=True), 1):
            where = f"{path.name} row {number}"
            names[name] += 1
            if names[name] == 2:
                found.faults.append(f"{where}: the name {name} is there twice")
            if not _words(kept(reason)):
                found.faults.append(f"{where}: {name} has no reasons: it cannot be read")
            video = folder / VIDEOS / f"{name}.avi"
            for record_id, clip in _ids(index, split, "reasoning", name, where, found):
                found.add(Record(record_id, split, clip, "reasoning", show(kept(subtitle)), show(kept(reason)), emotion,
                                 video=video), where)  # fmt: skip
    _unused(index, found)


Index = dict[tuple[str, str, str], tuple[str, str]]  # (split, task, name) -> (record id, clip id)


def _index(folder: Path) -> Index:
    path = folder / INDEX
    try:
        with open(path, encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        return {(r["split"], r["task"], r["name"]): (r["record_id"], r["clip_id"]) for r in rows}
    except (OSError, KeyError, csv.Error) as e:
        raise DatasetError(f"{INDEX} cannot be read: without it nobody knows which record is which: {e}") from e


def _ids(index: Index, split: str, task: str, name: str, where: str, found: Found) -> Iterator[tuple[str, str]]:
    if (split, task, name) in index:
        yield index.pop((split, task, name))
    else:
        found.faults.append(f"{where}: {name} is not in {INDEX}, or is there twice")


def _unused(index: Index, found: Found) -> None:
    found.faults += [f"{INDEX}: record {record} ({name} of {split}) is in no file"
                     for (split, _, name), (record, _) in index.items()]  # fmt: skip


def _labels(folder: Path, kind: str) -> list[str]:
    import yaml

    path = folder / ("stage2.yaml" if kind == "fine" else "stage1.yaml")
    try:
        return list(yaml.safe_load(path.read_text("utf-8"))["datasets"]["feature_face_caption"]["labels"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as e:
        raise DatasetError(f"{path.name} names no labels: {e}") from e


def _root(folder: Path, split: str) -> str:
    """The folder of a split's videos, seen from the converted one."""
    path = folder / MANIFEST
    roots = _json(path).get("videos", {}) if path.is_file() else {}
    return str(roots.get(split, VIDEOS))


def _csv(path: Path, columns: Sequence[str], found: Found) -> dict[str, list[str]]:
    """Columns of a CSV file as pandas reads them when it is told nothing; what it takes for nothing is empty."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as e:
        raise DatasetError(f"{path.name} cannot be read: {e}") from e
    if lacking := [c for c in columns if c not in table]:
        raise DatasetError(f"{path.name} has no column {lacking[0]}")
    for column in columns:
        if not pd.api.types.is_string_dtype(table[column]) and not table[column].isna().all():
            found.faults.append(f"{path.name}: pandas reads {column} as {table[column].dtype}, not as text")
    return {c: ["" if pd.isna(v) else str(v) for v in table[c]] for c in columns}


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where, and row, of each line of JSON."""
    try:
        with open(path, encoding="utf-8", newline="\n") as f:
            for number, line in enumerate(f, 1):
                yield f"{path.name} line {number}", json.loads(line)
    except (OSError, ValueError) as e:
        raise DatasetError(f"{path.name} cannot be read: {e}") from e


def _json(path: Path) -> Any:
    """A JSON file; a key that is there twice is refused, since readers would keep one of both."""
    try:
        return json.loads(path.read_text("utf-8"), object_pairs_hook=_once)
    except (OSError, ValueError) as e:
        raise DatasetError(f"{path.name} cannot be read: {e}") from e


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(k for k, n in Counter(k for k, _ in pairs).items() if n > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found
