"""The record formats of other projects: who reads each format, what it can hold, and what it loses.

writing.py writes these formats, reading.py reads them back, convert.py does both. Two kinds of text need care: tags that readers
take for the place of a video (`escape_tags`), and CSV cells that pandas takes for numbers or missing values (`escape_cell`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONVERSION_MANIFEST = "convert.json"
VIDEOS_DIR = "videos"
INDEX_FILE = "records.csv"  # our own file, for formats that name clips only: it says which record is which
WORD_JOINER = "\u2060"  # a character without width that escapes tags and cells


@dataclass(frozen=True)
class Record:
    """A row of config mer, reduced to the fields that at least one format can hold. A field that a format loses is empty.

    conversations  turns as (human or gpt, text), in order
    clues          texts about video, audio and words
    video          the file; records are compared without it
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
        """`folder`: the folder of the row's table, from which it names its video."""
        turns = tuple((t["from"], t["value"]) for t in row["conversations"])
        clues = tuple(row["clues"][m] for m in ("video", "audio", "text"))
        return cls(row["record_id"], split, row["clip_id"], row["task"], row["transcript"], row["response"], row["emotion"],
                   clues if any(clues) else (), turns, folder / row["file_name"])  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A format to convert to.

    reader  the project that reads it, and the version whose code we checked
    use     how to load it there, in Markdown
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

_LOST_EVERYWHERE = {
    "subject_id": "join by record_id",
    "sentiment": "join by record_id",
    "emotion_words": "join by record_id",
    "evidence": "join by record_id",
    "status": "join by record_id: a model cannot tell one annotator's word from a reviewed one",
    "vocabulary": "join by record_id",
    "authors": "join by record_id: who chose or wrote what, and whether a draft was there",
}
_LOST_IN_CHATS = _LOST_EVERYWHERE | {
    "task": "no field of its own",
    "transcript": "no field of its own; as far as it is in the first turn",
    "emotion": "no field of its own; as far as it is in the answer",
    "clues": "no field of their own; as far as they are in a turn",
}
LOST_COLUMNS: dict[str, dict[str, str]] = {  # format -> column of config mer that it loses -> reason
    "llava": _LOST_IN_CHATS,
    "llama-factory": _LOST_IN_CHATS,
    "ms-swift": _LOST_IN_CHATS,
    "merr": _LOST_EVERYWHERE | {
        "instruction": "Emotion-LLaMA asks with questions of its own",
        "conversations": "Emotion-LLaMA makes its own; it lower-cases answers and cuts them after 200 words",
    },
    "emer": _LOST_EVERYWHERE | {
        "instruction": "AffectGPT asks with one question of its own",
        "conversations": "AffectGPT makes its own",
        "clues": "as far as they are in the reasons",
    },
}  # fmt: skip


def strip_lost_fields(record: Record, target: str) -> Record:
    """The record as it comes back when the format is read: fields that the format loses are empty."""
    empty: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(Record) if f.name in LOST_COLUMNS[target]}
    return dataclasses.replace(record, **empty)


def find_obstacle(record: Record, target: str) -> str:
    """Why a format cannot hold a record at all; empty when it can hold it."""
    if target == "emer" and record.task != "reasoning":
        return "EMER holds reasoning only"
    if target == "merr" and record.task == "recognition" and record.response != record.emotion:
        return "MERR's answer to a recognition question is the emotion's name"
    if target == "merr" and (record.emotion.split() != [record.emotion] or record.clip_id.split() != [record.clip_id]):
        return "MERR parts name and emotion by spaces, and one of them has a space"
    return ""


_TAG = re.compile(
    rf"<({WORD_JOINER}*)((?:video|image|audio|bbox|ref-object|cot-process|start-image|(?:Video|Image|Audio|Feature)Here)>)"
)
_ESCAPED_TAG = re.compile(_TAG.pattern.replace("*)", "+)", 1))


def escape_tags(text: str) -> str:
    """Escape tags in speech, which readers would take for the place of a video: `<video>` gets a WORD_JOINER after its `<`."""
    return _TAG.sub(rf"<\g<1>{WORD_JOINER}\g<2>", text)


def unescape_tags(text: str) -> str:
    """The inverse of `escape_tags`."""
    return _ESCAPED_TAG.sub(lambda m: f"<{m[1][1:]}{m[2]}", text)


_PANDAS_MISSING = {
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN",
    "None", "n/a", "nan", "null",
}  # fmt: skip


def escape_cell(text: str) -> str:
    """A CSV cell that pandas reads as this text. It would read "None" or "7" as a missing value or a number."""
    return text + WORD_JOINER if text in _PANDAS_MISSING or text.endswith(WORD_JOINER) or _is_number(text) else text


def unescape_cell(cell: str) -> str:
    """The inverse of `escape_cell`."""
    return cell.removesuffix(WORD_JOINER)


def _is_number(text: str) -> bool:
    if text.strip().lower() in ("true", "false"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
