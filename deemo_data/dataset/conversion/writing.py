"""Writes records in the formats of other projects: one file set a split, the same bytes every time."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from deemo_data.dataset.conversion.formats import INDEX, VIDEOS, Record, hide, keep
from deemo_data.errors import DatasetError
from deemo_data.files import File, link_or_copy, write_if_changed


class Shape(NamedTuple):
    """What stands before, between and behind the entries of a file."""

    head: str
    between: str
    tail: str


LINES = Shape("", "\n", "\n")
ARRAY = Shape("[\n", ",\n", "\n]\n")
OBJECT = Shape("{\n", ",\n", "\n}\n")


class Files:
    """Files that are being written beside their places, an entry at a time, until settle() or drop()."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.changed = 0
        self._open: dict[str, tuple[TextIO, Shape]] = {}

    def add(self, name: str, entry: str, shape: Shape = LINES) -> None:
        if name in self._open:
            self._open[name][0].write(shape.between + entry)
            return
        self.out.mkdir(parents=True, exist_ok=True)
        file = open(self._aside(name), "w", encoding="utf-8", newline="")  # noqa: SIM115
        self._open[name] = (file, shape)
        file.write(shape.head + entry)

    def settle(self) -> list[str]:
        """The names of all files that were written to."""
        names = sorted(self._open)
        for name in names:
            file, shape = self._open.pop(name)
            file.write(shape.tail)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            path, aside = self.out / name, self._aside(name)
            if path.exists() and File.of(path).sha256 == File.of(aside).sha256:
                aside.unlink()
            else:
                aside.replace(path)
                self.changed += 1
        return names

    def drop(self) -> None:
        """Leave nothing of what was not settled."""
        for name, (file, _) in self._open.items():
            file.close()
            self._aside(name).unlink(missing_ok=True)

    def _aside(self, name: str) -> Path:
        return self.out / f".{name}.{os.getpid()}"


@dataclass
class Writer:
    """Writes one record after another.

    link     videos are linked into the folder; else they are named where they lie
    digests  path of a video -> sha256, as far as it is known
    about    clip id -> what config nfbl says of it, for the split that is being written
    labels   the emotions of the dataset's vocabulary, in its order
    """

    to: str
    out: Path
    link: bool
    digests: Mapping[Path, str]
    labels: Sequence[str]
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)  # split -> the folder of its videos, seen from `out`
    videos: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    without_caption: int = 0
    linked: int = 0

    def __post_init__(self) -> None:
        self.files = Files(self.out)
        self._names: dict[str, int] = {}  # name -> hash of its transcript
        self._told: set[tuple[str, str]] = set()

    def write(self, record: Record) -> bool:
        """Whether the record is in the files now; why not is counted in `left_out`."""
        if self.to in ("merr", "emer"):
            kind = "fine" if record.task == "reasoning" else "coarse"
            name = self._name(record, kind)
            if not name:
                self.left_out["a second record of its clip needs a video of its own name: link the videos"] += 1
                return False
            self._video(record, f"{name}.{'avi' if self.to == 'emer' else 'mp4'}")
            self._merr(record, kind, name) if self.to == "merr" else self._emer(record, name)
            row = (record.record_id, record.split, record.task, name, record.clip_id)
            self.files.add(INDEX, _cells(row), Shape("record_id,split,task,name,clip_id\n", "\n", "\n"))
        else:
            self._chat(record, self._video(record, f"{record.clip_id}.mp4"))
        self.roots.setdefault(record.split, VIDEOS if self.link else self._from_here(record.video.parent))
        return True

    def close(self) -> list[str]:
        """Put everything in place; the names of the files."""
        names = self.files.settle()
        for name, text in self._configs(names).items():
            self.files.changed += write_if_changed(self.out / name, text)
            names.append(name)
        return names

    def _chat(self, record: Record, video: str) -> None:
        turns = [(who, _first(record, text) if n == 0 else hide(text)) for n, (who, text) in enumerate(record.conversations)]
        said: dict[str, Any]
        match self.to:
            case "llava":
                said = {"id": record.record_id, "video": video, "conversations": [{"from": w, "value": t} for w, t in turns]}
                self.files.add(f"{record.split}.json", json.dumps(said), ARRAY)
            case "llama-factory":
                said = {"id": record.record_id, "conversations": [{"from": w, "value": t} for w, t in turns], "videos": [video]}
                self.files.add(f"{record.split}.jsonl", json.dumps(said))
            case _:
                role = {"human": "user", "gpt": "assistant"}
                messages = [{"role": role[w], "content": t} for w, t in turns]
                said = {"id": record.record_id, "messages": messages, "videos": [video]}
                self.files.add(f"{record.split}.jsonl", json.dumps(said))

    def _merr(self, record: Record, kind: str, name: str) -> None:
        about = self.about.get(record.clip_id, {})
        said: dict[str, Any] = {"text": hide(record.transcript), "pseu_emotion": record.emotion}
        if kind == "fine":
            said["smp_reason_caption"] = hide(record.response)
        elif record.clues:
            said["caption"] = hide("\n".join(c for c in record.clues if c))
        else:
            self.without_caption += 1
        if record.clues:
            said["clues"] = dict(zip(("video", "audio", "text"), record.clues, strict=True))
        said["nfbl"] = [[e["label"], e["start_ms"], e["end_ms"]] for e in about.get("events", ())]
        stem = f"{record.split}_{kind}_grained"
        self.files.add(f"{stem}.txt", f"{name} {about.get('num_frames', 0)} {record.emotion}")
        self.files.add(f"{stem}.json", f"{json.dumps(name)}: {json.dumps(said)}", OBJECT)
        if name not in self._names:
            self.files.add("transcription_en_all.csv", _cells((name, keep(hide(record.transcript)))),
                           Shape("name,sentence\n", "\n", "\n"))  # fmt: skip
        self._names[name] = hash(record.transcript)

    def _emer(self, record: Record, name: str) -> None:
        row = (name, record.emotion, keep(hide(record.transcript)), keep(hide(record.response)))
        self.files.add(f"{record.split}.csv", _cells(row), Shape("names,emotions,subtitles,reasons\n", "\n", "\n"))

    def _name(self, record: Record, kind: str) -> str:
        """The clip's id; where the clip is taken by another record of this kind, the record's own, if it can have one."""
        clip, words = record.clip_id, hash(record.transcript)
        if (kind, clip) not in self._told and self._names.get(clip, words) == words:
            self._told.add((kind, clip))
            return clip
        return _plain(record.record_id) if self.link else ""

    def _video(self, record: Record, name: str) -> str:
        """The video's path as the folder knows it, after it was put there; one that is missing is named all the same."""
        if not self.link:
            self.videos.add(str(record.video))
            return self._from_here(record.video)
        there = self.out / VIDEOS / _plain(name)
        if name not in self.videos and record.video.is_file():
            sha256 = self.digests.get(record.video) or File.of(record.video).sha256
            self.linked += link_or_copy(record.video, there, sha256)
        self.videos.add(name)
        return f"{VIDEOS}/{name}"

    def _from_here(self, path: Path) -> str:
        return Path(os.path.relpath(path.resolve(), self.out.resolve())).as_posix()

    def _configs(self, names: Sequence[str]) -> dict[str, str]:
        """What the reader is told about the files, as a file that it takes."""
        if self.to == "llama-factory":
            columns = {"messages": "conversations", "videos": "videos"}
            tags = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
            told = {"formatting": "sharegpt", "columns": columns, "tags": tags}
            entries = {f"deemo_{n.removesuffix('.jsonl')}": {"file_name": n, **told} for n in names}
            return {"dataset_info.json": json.dumps(entries, indent=2) + "\n"}
        if self.to != "merr":
            return {}
        stages = {"stage1.yaml": ("coarse", "coarse_grained_json_path"), "stage2.yaml": ("fine", "fine_grained_json_path")}
        found = {}
        for name, (kind, key) in stages.items():
            splits = [s for s in self.roots if f"{s}_{kind}_grained.txt" in names]
            if splits:
                tasks = ["reason_v2"] if kind == "fine" else ["emotion"] + ["reason"] * (not self.without_caption)
                found[name] = self._stage(splits[0], kind, key, tasks)
        return found

    def _stage(self, split: str, kind: str, key: str, tasks: list[str]) -> str:
        import yaml

        paths = {
            "image_path": self.roots[split], "ann_path": f"{split}_{kind}_grained.txt",
            "transcription_path": "transcription_en_all.csv", key: f"{split}_{kind}_grained.json",
        }  # fmt: skip
        told = {"task_pool": tasks, "labels": list(self.labels), "build_info": paths}
        return str(yaml.safe_dump({"datasets": {"feature_face_caption": told}}, sort_keys=False, allow_unicode=True))


def _first(record: Record, text: str) -> str:
    """The first turn, with the one <video> that stands for the clip."""
    if not text.startswith("<video>"):
        raise DatasetError(
            f"record {record.record_id}: its first turn does not begin with <video>",
            "Put <video> and a line break before what is asked, so that readers know where the clip goes",
        )
    return "<video>" + hide(text.removeprefix("<video>"))


def _plain(name: str) -> str:
    """A name that stays in its folder."""
    if name != Path(name).name or name.startswith("."):
        raise DatasetError(
            f"{name!r} cannot be the name of a file", "Ids of clips and records hold no slashes and begin with no dot"
        )
    return name


def _cells(row: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(row)
    return line.getvalue()
