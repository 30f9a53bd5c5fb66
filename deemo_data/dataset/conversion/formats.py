"""The record formats of other projects: what each one is read by, what it holds, and what of a record it loses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "convert.json"
VIDEOS = "videos"
INDEX = "records.csv"  # ours, beside formats that know a clip by its name only: which record is which
JOINER = "\u2060"  # a character without width; see hide() and keep()


@dataclass(frozen=True)
class Record:
    """A row of config mer, as far as any of the formats can hold it. A field that a format lost is empty.

    conversations  (human or gpt, text) after each other
    clues          of video, audio, text
    video          the file; two records are the same wherever it lies
    """

    record_id: str
    split: str
    clip_id: str
    task: str = ""
    transcript: str = ""
    response: str = ""
    emotion: str = ""
    clues: tuple[str, ...] = ()
    conversations: tuple[tuple[str, str], ...] = ()
    video: Path = field(default=Path(), compare=False)

    @classmethod
    def of_row(cls, row: Mapping[str, Any], split: str, folder: Path) -> Record:
        """`folder`: where the row's table lies."""
        turns = tuple((t["from"], t["value"]) for t in row["conversations"])
        clues = tuple(row["clues"][m] for m in ("video", "audio", "text"))
        return cls(row["record_id"], split, row["clip_id"], row["task"], row["transcript"], row["response"], row["emotion"],
                   clues if any(clues) else (), turns, folder / row["file_name"])  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A format to convert to.

    reader  who reads it, and which version of it we read
    use     Markdown: what to type there
    """

    reader: str
    use: str


FORMATS: dict[str, Format] = {
    "llava": Format(
        "VideoLLaMA2, and what else reads LLaVA's shape with `video` (as its `LazySupervisedDataset` does, commit c0bb03a of "
        "January 2025)",
        "Give `--data_path train.json --data_folder .`, from this folder. All of the file is read at once.",
    ),
    "llama-factory": Format(
        "LLaMA-Factory (0.9.5 and commit ff6d4d1 of August 2026), its sharegpt format",
        "Set `dataset_dir` to this folder and `dataset: deemo_train`; `eval_dataset: deemo_validation`. "
        "`media_dir` is `dataset_dir` when nothing else is said: leave it so.",
    ),
    "ms-swift": Format(
        "ms-swift (4.6.0 and commit 3602360 of August 2026), its standard format",
        "From this folder, since it looks for videos from where it is started: `swift sft --dataset train.jsonl "
        "--val_dataset validation.jsonl …`. From elsewhere, set `ROOT_IMAGE_DIR` to this folder.",
    ),
    "merr": Format(
        "Emotion-LLaMA (commit 4ee28d2 of May 2026, and the later version that takes paths, tasks and labels from YAML)",
        "`stage1.yaml` and `stage2.yaml` are what goes under `datasets`; put the path of this folder before `image_path` and "
        "`ann_path`. Where `first_face.py` still has paths and nine emotions in its source, put those of the YAML in their "
        "place, or it stops with a KeyError at the first other emotion. The features in `mae_340_UTT`, `maeV_399_UTT` and "
        "`HL-UTT` (NAME.npy) are to be computed with its tools.",
    ),
    "emer": Format(
        "AffectGPT of 2024 (commit e0aec19), which reads EMER-v1: names, emotions, subtitles, reasons. EMER-v2 (name, chinese, "
        "english) asks for a translation that we do not have",
        "`ann_path: train.csv`, `vis_root: videos`. The videos are MP4 under the ending .avi, since it asks for NAME.avi; "
        "FFmpeg, which it reads them with, goes by the content.",
    ),
}  # fmt: skip

_EVERYWHERE = {
    "subject_id": "join by record_id",
    "sentiment": "join by record_id",
    "emotion_words": "join by record_id",
    "evidence": "join by record_id",
    "status": "join by record_id: a model cannot tell one annotator's word from a reviewed one",
    "vocabulary": "join by record_id",
}
_CHAT = _EVERYWHERE | {
    "task": "no field of its own",
    "transcript": "no field of its own; as far as it is in the first turn",
    "emotion": "no field of its own; as far as it is in the answer",
    "clues": "no field of their own; as far as they are in a turn",
}
LOSES: dict[str, dict[str, str]] = {  # format -> column of config mer -> why it is not in it
    "llava": _CHAT,
    "llama-factory": _CHAT,
    "ms-swift": _CHAT,
    "merr": _EVERYWHERE | {
        "instruction": "Emotion-LLaMA asks with questions of its own",
        "conversations": "Emotion-LLaMA makes its own; it lower-cases answers and cuts them after 200 words",
    },
    "emer": _EVERYWHERE | {
        "instruction": "AffectGPT asks with one question of its own",
        "conversations": "AffectGPT makes its own",
        "clues": "as far as they are in the reasons",
    },
}  # fmt: skip


def held(record: Record, to: str) -> Record:
    """What reading a format back gives of a record: what the format loses is empty."""
    empty: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(Record) if f.name in LOSES[to]}
    return dataclasses.replace(record, **empty)


def barred(record: Record, to: str) -> str:
    """Why a format cannot hold a record at all; empty when it can."""
    if to == "emer" and record.task != "reasoning":
        return "EMER holds reasoning only"
    if to == "merr" and record.task == "recognition" and record.response != record.emotion:
        return "MERR's answer to a recognition question is the emotion's name"
    if to == "merr" and (record.emotion.split() != [record.emotion] or record.clip_id.split() != [record.clip_id]):
        return "MERR parts name and emotion by spaces, and one of them has a space"
    return ""


_TAG = re.compile(
    rf"<({JOINER}*)((?:video|image|audio|bbox|ref-object|cot-process|start-image|(?:Video|Image|Audio|Feature)Here)>)"
)
_HIDDEN = re.compile(_TAG.pattern.replace("*)", "+)", 1))


def hide(text: str) -> str:
    """What people said, so that no reader takes it for the place of a picture: <video> in speech gets a JOINER behind its <."""
    return _TAG.sub(rf"<\g<1>{JOINER}\g<2>", text)


def show(text: str) -> str:
    """What hide() was given."""
    return _HIDDEN.sub(lambda m: f"<{m[1][1:]}{m[2]}", text)


_MISSING = {
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN",
    "None", "n/a", "nan", "null",
}  # fmt: skip


def keep(text: str) -> str:
    """A CSV cell that pandas reads as this text, where it would read a number or nothing ("None.", said without the stop)."""
    return text + JOINER if text in _MISSING or text.endswith(JOINER) or _is_number(text) else text


def kept(cell: str) -> str:
    """What keep() was given."""
    return cell.removesuffix(JOINER)


def _is_number(text: str) -> bool:
    if text.strip().lower() in ("true", "false"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
