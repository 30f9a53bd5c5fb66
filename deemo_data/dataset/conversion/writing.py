"""Writes records in the formats of other projects: one set of files per split, and the same bytes every time.

`RecordWriter` takes records one by one. All files are staged: they take their places when the last record is written.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from deemo_data.dataset.conversion.formats import INDEX_FILE, VIDEOS_DIR, Record, escape_cell, escape_tags
from deemo_data.errors import DatasetError
from deemo_data.files import File, link_or_copy, staged, write_if_changed


class FileFrame(NamedTuple):
    """The text before the first entry of a file, between entries, and after the last."""

    head: str
    between: str
    tail: str


LINES = FileFrame("", "\n", "\n")
ARRAY = FileFrame("[\n", ",\n", "\n]\n")
OBJECT = FileFrame("{\n", ",\n", "\n}\n")


class StagedFiles:
    """Files that are written entry by entry beside their places; `commit` puts them in place, `discard` removes them."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.changed = 0
        self._open: dict[str, tuple[TextIO, Path, FileFrame]] = {}
        self._staged = ExitStack()

    def add(self, name: str, entry: str, frame: FileFrame = LINES) -> None:
        if name in self._open:
            self._open[name][0].write(frame.between + entry)
            return
        self.out.mkdir(parents=True, exist_ok=True)
        staging = self._staged.enter_context(staged(self.out / name))
        file = open(staging, "w", encoding="utf-8", newline="")  # noqa: SIM115
        self._open[name] = (file, staging, frame)
        file.write(frame.head + entry)

    def commit(self) -> list[str]:
        """Put all files in place. Returns their names."""
        names = sorted(self._open)
        for name in names:  # while one of them can still fail, `discard` has to know them all
            file, staging, frame = self._open[name]
            file.write(frame.tail)
            file.close()
            path = self.out / name
            if path.exists() and File.of(path).sha256 == File.of(staging).sha256:
                staging.unlink()
            else:
                self.changed += 1
        self._open.clear()
        self._staged.close()
        return names

    def discard(self) -> None:
        """Remove all files that are not in place."""
        for file, staging, _ in self._open.values():
            with suppress(OSError):  # a full disk: the rest cannot be written, and need not be
                file.close()
            staging.unlink(missing_ok=True)
        self._open.clear()
        self._staged.close()


@dataclass
class RecordWriter:
    """Writes records one by one.

    link       link videos into the folder; otherwise the files name them where they lie
    digests    path of a video -> sha256, if it is known
    emotions   the emotions of the dataset's vocabulary, in its order
    clip_rows  clip id -> its row of config nfbl, for the split that is being written
    left_out   reason -> number of records that were not written
    linked     number of videos that were linked or copied
    """

    target: str
    out: Path
    link: bool
    digests: Mapping[Path, str]
    emotions: Sequence[str]
    clip_rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    video_dirs: dict[str, str] = field(default_factory=dict)  # split -> folder of its videos, relative to `out`
    videos: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    without_caption: int = 0
    linked: int = 0

    def __post_init__(self) -> None:
        self.files = StagedFiles(self.out)
        self._transcript_hashes: dict[str, int] = {}  # name -> hash of its transcript
        self._named_clips: set[tuple[str, str]] = set()  # (kind of record, clip id) that has the name of the clip

    def write(self, record: Record) -> bool:
        """Write a record; whether it could be written. The reason is counted in `left_out` otherwise."""
        if self.target in ("merr", "emer"):
            kind = "fine" if record.task == "reasoning" else "coarse"
            name = self._choose_name(record, kind)
            if not name:
                self.left_out["a second record of its clip needs a video of its own name: link the videos"] += 1
                return False
            self._place_video(record, f"{name}.{'avi' if self.target == 'emer' else 'mp4'}")
            self._write_merr(record, kind, name) if self.target == "merr" else self._write_emer(record, name)
            row = (record.record_id, record.split, record.task, name, record.clip_id)
            self.files.add(INDEX_FILE, _csv_line(row), FileFrame("record_id,split,task,name,clip_id\n", "\n", "\n"))
        else:
            self._write_chat(record, self._place_video(record, f"{record.clip_id}.mp4"))
        self.video_dirs.setdefault(record.split, VIDEOS_DIR if self.link else self._relative_to_out(record.video.parent))
        return True

    def close(self) -> list[str]:
        """Put all files in place, and write the configuration that their reader needs. Returns the names of the files."""
        names = self.files.commit()
        for name, text in self._render_configs(names).items():
            self.files.changed += write_if_changed(self.out / name, text)
            names.append(name)
        return names

    def _write_chat(self, record: Record, video: str) -> None:
        turns = [
            (who, _escape_first_turn(record, text) if n == 0 else escape_tags(text))
            for n, (who, text) in enumerate(record.conversations)
        ]
        entry: dict[str, Any]
        match self.target:
            case "llava":
                entry = {"id": record.record_id, "video": video, "conversations": [{"from": w, "value": t} for w, t in turns]}
                self.files.add(f"{record.split}.json", json.dumps(entry), ARRAY)
            case "llama-factory":
                entry = {"id": record.record_id, "conversations": [{"from": w, "value": t} for w, t in turns], "videos": [video]}
                self.files.add(f"{record.split}.jsonl", json.dumps(entry))
            case "ms-swift":
                role = {"human": "user", "gpt": "assistant"}
                messages = [{"role": role[w], "content": t} for w, t in turns]
                entry = {"id": record.record_id, "messages": messages, "videos": [video]}
                self.files.add(f"{record.split}.jsonl", json.dumps(entry))

    def _write_merr(self, record: Record, kind: str, name: str) -> None:
        clip_row = self.clip_rows.get(record.clip_id, {})
        entry: dict[str, Any] = {"text": escape_tags(record.transcript), "pseu_emotion": record.emotion}
        if kind == "fine":
            entry["smp_reason_caption"] = escape_tags(record.response)
        elif record.clues:
            entry["caption"] = escape_tags("\n".join(c for c in record.clues if c))
        else:
            self.without_caption += 1
        if record.clues:
            entry["clues"] = dict(zip(("video", "audio", "text"), record.clues, strict=True))
        entry["nfbl"] = [[e["label"], e["start_ms"], e["end_ms"]] for e in clip_row.get("events", ())]
        stem = f"{record.split}_{kind}_grained"
        self.files.add(f"{stem}.txt", f"{name} {clip_row.get('num_frames', 0)} {record.emotion}")
        self.files.add(f"{stem}.json", f"{json.dumps(name)}: {json.dumps(entry)}", OBJECT)
        if name not in self._transcript_hashes:
            self.files.add("transcription_en_all.csv", _csv_line((name, escape_cell(escape_tags(record.transcript)))),
                           FileFrame("name,sentence\n", "\n", "\n"))  # fmt: skip
        self._transcript_hashes[name] = hash(record.transcript)

    def _write_emer(self, record: Record, name: str) -> None:
        row = (name, record.emotion, escape_cell(escape_tags(record.transcript)), escape_cell(escape_tags(record.response)))
        self.files.add(f"{record.split}.csv", _csv_line(row), FileFrame("names,emotions,subtitles,reasons\n", "\n", "\n"))

    def _choose_name(self, record: Record, kind: str) -> str:
        """The name of a record in formats that name videos: its clip's id, or its own id when the clip's is taken.

        A name is taken by a record of the same kind, and by one with another transcript. It is empty when the record would need a
        video of its own, and videos are not linked.
        """
        clip, transcript = record.clip_id, hash(record.transcript)
        if (kind, clip) not in self._named_clips and self._transcript_hashes.get(clip, transcript) == transcript:
            self._named_clips.add((kind, clip))
            return clip
        return _check_file_name(record.record_id) if self.link else ""

    def _place_video(self, record: Record, name: str) -> str:
        """Link a video into the folder. Returns its path relative to `out`, for a missing video too."""
        if not self.link:
            self.videos.add(str(record.video))
            return self._relative_to_out(record.video)
        path = self.out / VIDEOS_DIR / _check_file_name(name)
        if name not in self.videos and record.video.is_file():
            sha256 = self.digests.get(record.video) or File.of(record.video).sha256
            self.linked += link_or_copy(record.video, path, sha256)
        self.videos.add(name)
        return f"{VIDEOS_DIR}/{name}"

    def _relative_to_out(self, path: Path) -> str:
        return Path(os.path.relpath(path.resolve(), self.out.resolve())).as_posix()

    def _render_configs(self, names: Sequence[str]) -> dict[str, str]:
        """The configuration files that tell the reader of a format about its data files: file name -> text."""
        if self.target == "llama-factory":
            columns = {"messages": "conversations", "videos": "videos"}
            tags = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
            settings = {"formatting": "sharegpt", "columns": columns, "tags": tags}
            entries = {f"deemo_{n.removesuffix('.jsonl')}": {"file_name": n, **settings} for n in names}
            return {"dataset_info.json": json.dumps(entries, indent=2) + "\n"}
        if self.target != "merr":
            return {}
        stages = {"stage1.yaml": ("coarse", "coarse_grained_json_path"), "stage2.yaml": ("fine", "fine_grained_json_path")}
        configs = {}
        for name, (kind, key) in stages.items():
            splits = [s for s in self.video_dirs if f"{s}_{kind}_grained.txt" in names]
            if splits:
                tasks = ["reason_v2"] if kind == "fine" else ["emotion"] + ["reason"] * (not self.without_caption)
                configs[name] = self._render_stage(splits[0], kind, key, tasks)
        return configs

    def _render_stage(self, split: str, kind: str, key: str, tasks: list[str]) -> str:
        import yaml

        paths = {
            "image_path": self.video_dirs[split], "ann_path": f"{split}_{kind}_grained.txt",
            "transcription_path": "transcription_en_all.csv", key: f"{split}_{kind}_grained.json",
        }  # fmt: skip
        dataset = {"task_pool": tasks, "labels": list(self.emotions), "build_info": paths}
        return str(yaml.safe_dump({"datasets": {"feature_face_caption": dataset}}, sort_keys=False, allow_unicode=True))


def _escape_first_turn(record: Record, text: str) -> str:
    """Escape the tags of a first turn, apart from the <video> at its beginning, which stands for the clip."""
    if not text.startswith("<video>"):
        raise DatasetError(
            f"record {record.record_id}: its first turn does not begin with <video>",
            "Put <video> and a line break before what is asked, so that readers know where the clip goes",
        )
    return "<video>" + escape_tags(text.removeprefix("<video>"))


def _check_file_name(name: str) -> str:
    """The name, if it is one that stays in its folder. Raises DatasetError otherwise."""
    if name != Path(name).name or name.startswith("."):
        raise DatasetError(
            f"{name!r} cannot be the name of a file", "Ids of clips and records hold no slashes and begin with no dot"
        )
    return name


def _csv_line(row: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(row)
    return line.getvalue()
