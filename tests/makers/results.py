"""Makers that tests of several packages share; taken from annotation/test_export_file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deemo_data.annotation.export_file import read_export
from deemo_data.annotation.pages.tasks import data_of
from deemo_data.annotation.pull_result import PullResult
from deemo_data.clip import Clip, SafeClip
from deemo_data.labels.label import PushRecord
from deemo_data.labels.store import record_pushed
from deemo_data.labels.vocabulary import load_emotions, load_nfbl
from tests.makers.labels import clip_at

SECRET = b"k" * 32
CLIP = clip_at(300, 450)


def region(start: object, end: object, label: str = "Folding arms", name: str = "nfbl", id_: str = "r1") -> dict[str, Any]:
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}
    return {"id": id_, "from_name": name, "to_name": "video", "type": "timelinelabels", "origin": "manual", "value": value}


def choice(name: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"id": "x" + name, "from_name": name, "to_name": "video", "type": "choices", "value": {"choices": [answer]}} | more


def text_answer(name: str, *lines: str) -> dict[str, Any]:
    return {"id": "t" + name, "from_name": name, "to_name": "video", "type": "textarea", "value": {"text": list(lines)}}


def annotation(*results: Any, id_: int = 1, who: Any = 3, **more: Any) -> dict[str, Any]:
    return {"id": id_, "unique_id": f"u-{id_}", "completed_by": who, "was_cancelled": False, "result": list(results)} | more


def push(tmp_path: Path, clip: Clip, template: str = "nfbl_timeline") -> dict[str, Any]:
    """Note the clip in the ledger; what an annotator's page is given of it."""
    record_pushed(tmp_path / "labels", [PushRecord.of(SafeClip(clip), load_nfbl("nfbl"), template, None)])
    return data_of(SafeClip(clip), template)


def pull(
    tmp_path: Path,
    *annotations: Any,
    clip: Clip = CLIP,
    template: str = "nfbl_timeline",
    data: dict[str, Any] | None = None,
    **task: Any,
) -> PullResult:
    """Push `clip`, then read an export with these annotations on it."""
    pushed = push(tmp_path, clip, template)
    export = [
        {"id": 7, "project": 2, "created_at": "then", "annotations": list(annotations), "data": pushed | (data or {})} | task
    ]
    (tmp_path / "export.json").write_text(json.dumps(export))
    return read_export(tmp_path / "export.json", tmp_path / "labels", secret=SECRET, vocabulary=load_nfbl("nfbl"),
                       emotions=load_emotions("emotions"))  # fmt: skip
