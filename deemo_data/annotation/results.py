"""Converts Label Studio results to labels, one task at a time.

In: the JSON of a task with its annotations, as Label Studio exports it. Out: labels (labels/label.py) in milliseconds on the
clock of the source, keyed so that the same region gets the same key at every pull. `read_task` is the entry point. Both ways
to labels use it: pull.py (from a server, through task_batch.py) and export_file.py (from a JSON export). reading/ has its parts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from deemo_data.annotation.reading import tally
from deemo_data.annotation.reading.annotation import AnnotationReader, collect_task_drafts, predicted_results
from deemo_data.annotation.reading.rate import settle_rate_of_page
from deemo_data.annotation.reading.shown import ShownVideo, is_number
from deemo_data.annotation.reading.state import Reading
from deemo_data.errors import LabelError
from deemo_data.labels.drafts import TaskDrafts
from deemo_data.labels.label import PushRecord, region_key
from deemo_data.labels.store import read_ledger
from deemo_data.pseudonyms import derive_pseudonym

IDENTIFYING_QUESTION = "identifying"  # control of clip_review; its answer counts even in a skipped annotation
ANNOTATION_KEYS = ("id", "unique_id", "created_at", "updated_at", "lead_time", "ground_truth", "parent_prediction")


def name_of_task(task: dict[str, Any]) -> str:
    """The beginning of a message about a task: its number and its file name."""
    names = file_names_of(task.get("data"))
    return f"task {task.get('id', '?')}" + (f" ({names[0]})" if names else "")


def file_names_of(data: object) -> list[str]:
    """File names in the data of a task: the last path part of each text, with and without Label Studio's upload prefix."""
    texts = [v for v in data.values() if isinstance(v, str) and v] if isinstance(data, dict) else []
    last_parts = [re.split(r"[/\\=]", t)[-1] for t in texts]
    names = [n for n in last_parts if re.search(r"\.\w{2,4}$", n)]
    return [*names, *(re.sub(r"^[0-9a-f]{8}-", "", n) for n in names)]


def read_pushed_by_clip(folder: Path) -> dict[str, list[PushRecord]]:
    """{public clip id: its lines of the ledger, oldest first}, without the proposals."""
    lines: dict[str, list[PushRecord]] = {}
    for line in read_ledger(folder):
        lines.setdefault(line.clip, []).append(replace(line, proposals=None))
    return lines


def find_shown_video(task: dict[str, Any], reading: Reading) -> ShownVideo | None:
    """The video of a task: the last push of its clip with the frame rate and the number of frames in the task's data.

    None when the ledger has no such push.
    """
    data = task["data"] if isinstance(task.get("data"), dict) else {}
    fps, frames = data.get("fps"), data.get("num_frames")
    matches = [
        p for p in reading.ledger.get(str(data.get("clip")), ())
        if (not is_number(fps) or abs(float(Fraction(p.fps)) - fps) < 1e-3) and frames in (None, p.num_frames)
    ]  # fmt: skip
    if not matches:
        return None
    last = matches[-1]
    if last.vocabulary != reading.vocabulary.versioned_name:
        reading.problems.append(
            f"{name_of_task(task)}: pushed with vocabulary {last.vocabulary}, read with {reading.vocabulary.versioned_name}"
        )
    template = str(data.get("template") or matches[0].template)  # older tasks name no template: there was only one
    return ShownVideo(
        last.clip, last.source, last.start_ms, last.end_ms, 0, last.first_frame, last.num_frames, Fraction(last.fps), template
    )


def make_task_key(clip: object, number: object, project: object, created_at: object) -> str:
    """The first part of the keys of all labels of a task. The task number alone is not enough: the server may reuse it."""
    return region_key(clip, number, project, created_at)


def key_of_task(task: dict[str, Any], video: ShownVideo) -> str:
    """`make_task_key` of the JSON of a task."""
    return make_task_key(video.clip, task.get("id"), task.get("project"), task.get("created_at"))


def read_task(task: dict[str, Any], video: ShownVideo, reading: Reading) -> int:
    """Add the labels of a task's annotations to `reading.labels`, and return the number of annotations that were read.

    Nothing raises: what cannot be read becomes a line of `reading.problems`, and everything is counted in `reading.tally`.
    """
    name = name_of_task(task)
    if isinstance(drafts := task.get("drafts"), list) and drafts:
        reading.problems.append(f"{name}: {len(drafts)} draft(s) never handed in, left out")
        reading.tally.annotations[tally.UNSUBMITTED] += len(drafts)
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        reading.problems.append(f"{name}: has no list of annotations")
        return 0
    read = 0
    for number, annotation in enumerate(annotations):
        location = f"{name} annotation {annotation.get('id', number) if isinstance(annotation, dict) else number}"
        fate = _read_one(task, annotation, number, location, video, reading)
        reading.tally.annotations[fate] += 1
        read += fate == tally.READ
    return read


def _read_one(task: dict[str, Any], annotation: Any, number: int, location: str, video: ShownVideo, reading: Reading) -> str:
    """Read one annotation; READ, or the reason why it was not read (tally.py)."""
    if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
        reading.problems.append(f"{location}: its result is not a list, left out")
        return tally.UNREADABLE
    key = _key_of_annotation(annotation, number, task, video)
    if annotation.get("was_cancelled"):
        reading.problems.append(f"{location}: was skipped by its annotator, left out")
        answers = [r for r in annotation["result"] if isinstance(r, dict) and r.get("from_name") == IDENTIFYING_QUESTION]
        reading.tally.results.update([tally.OF_SKIPPED] * (len(annotation["result"]) - len(answers)))
        if answers:
            _read_results(annotation | {"result": answers}, key, location, video, reading, TaskDrafts(), is_handed_in=False)
        return tally.SKIPPED
    try:
        at_rate = settle_rate_of_page(task, annotation, video, reading)
    except LabelError as e:
        reading.problems.append(f"{location}: {e.what}, left out. {e.advice}")
        reading.tally.results.update([tally.UNCLEAR_RATE] * len(annotation["result"]))
        reading.unread.add(f"{key}/")
        return tally.UNCLEAR_RATE
    if annotation.get("completed_by") is None:
        reading.problems.append(f"{location}: does not say who made it")
    _read_results(annotation, key, location, at_rate, reading, collect_task_drafts(task, annotation, video, reading))
    return tally.READ


def _read_results(
    annotation: dict[str, Any], key: str, location: str, video: ShownVideo, reading: Reading, drafts: TaskDrafts,
    is_handed_in: bool = True,
) -> None:  # fmt: skip
    facts = {k: annotation[k] for k in ANNOTATION_KEYS if k in annotation}
    annotator = derive_pseudonym(reading.secret, annotation.get("completed_by", "unknown"))
    reader = AnnotationReader(key, location, annotator, facts, video, reading, drafts, predicted_results(annotation))
    reader.read(annotation["result"], is_handed_in)
    reading.labels.update(reader.labels)


def annotations_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations of a task; entries that are not JSON objects are left out."""
    annotations = task.get("annotations")
    return [a for a in annotations if isinstance(a, dict)] if isinstance(annotations, list) else []


def _key_of_annotation(annotation: dict[str, Any], number: int, task: dict[str, Any], video: ShownVideo) -> str:
    return f"{key_of_task(task, video)}/{region_key(annotation.get('unique_id') or annotation.get('id', number))}"
