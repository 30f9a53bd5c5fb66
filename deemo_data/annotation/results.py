"""Converts Label Studio results to labels, one task at a time.

In: the JSON of a task with its annotations, as Label Studio exports it. Out: labels (labels/label.py) in milliseconds on the
clock of the source, keyed so that the same region gets the same key at every pull. `read_task` is the entry point. Both ways
to labels use it: pull.py (from a server, through task_batch.py) and export_file.py (from a JSON export).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeGuard

from deemo_data.clip import round_half_up
from deemo_data.labels.label import OTHERS_PREFIX, Label, PushRecord, region_key
from deemo_data.labels.store import read_ledger
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.pseudonyms import derive_pseudonym

SEEN_VALUES = {
    "": "nfbl",
    "nfbl_timeline": "nfbl",
    "adjudicate": "adjudicated",
}  # template -> value of the label "seen"; any other template: "clip"
IDENTIFYING_QUESTION = "identifying"  # control of clip_review; its answer counts even in a skipped annotation
TEXT_KINDS = ("clue_video", "clue_audio", "clue_text", "reasoning")
CHOICE_KINDS = ("emotion", "sentiment")
CLASS_KEYS = {"timelinelabels": "timelinelabels", "labels": "labels"}  # type of a region -> key of its class names in `value`
ANNOTATION_KEYS = ("id", "unique_id", "created_at", "updated_at", "lead_time", "ground_truth", "parent_prediction")


@dataclass(frozen=True)
class ShownVideo:
    """The video that an annotator saw, on the clock of its source.

    Frame k begins at base_ms + 1000 * (first_frame + k) / fps milliseconds.

    clip, source   public ids
    start_ms       first millisecond of the video on the clock of the source
    end_ms         first millisecond after it
    base_ms        where frame 0 of the grid lies on the clock of the source
    first_frame    the video's frame 0 on the grid
    template       the labelling page; empty for footage that was labelled elsewhere
    """

    clip: str
    source: str
    start_ms: int
    end_ms: int
    base_ms: int
    first_frame: int
    num_frames: int
    fps: Fraction
    template: str = ""

    def ms_at(self, frame: int) -> int:
        """When frame `frame` of the video begins, in ms on the clock of the source."""
        return self.base_ms + round_half_up((self.first_frame + frame) * 1000 / self.fps)


@dataclass(frozen=True)
class Reading:
    """The inputs and the results of reading annotations; `read_task` adds to `labels`, `unread` and `problems`.

    secret      key of the annotators' pseudonyms
    vocabulary  classes that timeline labels may have
    emotions    values that emotion and sentiment may have
    ledger      what was pushed, by public clip id: see `read_pushed_by_clip`
    labels      the labels read so far, by key
    unread      keys of regions that could not be read: their earlier labels stay in force
    problems    one line for each thing that was left out
    """

    secret: bytes
    vocabulary: Nfbl
    emotions: Emotions
    ledger: Mapping[str, Sequence[PushRecord]]
    labels: dict[str, Label] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def empty_copy(self) -> Reading:
        """The same inputs, without results."""
        return Reading(self.secret, self.vocabulary, self.emotions, self.ledger)


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

    Nothing raises: what cannot be read becomes a line of `reading.problems`.
    """
    name = name_of_task(task)
    if isinstance(drafts := task.get("drafts"), list) and drafts:
        reading.problems.append(f"{name}: {len(drafts)} draft(s) never handed in, left out")
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        reading.problems.append(f"{name}: has no list of annotations")
        return 0
    read = 0
    for number, annotation in enumerate(annotations):
        location = f"{name} annotation {annotation.get('id', number) if isinstance(annotation, dict) else number}"
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            reading.problems.append(f"{location}: its result is not a list, left out")
        elif annotation.get("was_cancelled"):
            reading.problems.append(f"{location}: was skipped by its annotator, left out")
            answers = [r for r in annotation["result"] if isinstance(r, dict) and r.get("from_name") == IDENTIFYING_QUESTION]
            if answers:
                _read_annotation(
                    annotation | {"result": answers},
                    _key_of_annotation(annotation, number, task, video),
                    location,
                    video,
                    reading,
                )
        else:
            if annotation.get("completed_by") is None:
                reading.problems.append(f"{location}: does not say who made it")
            _read_annotation(annotation, _key_of_annotation(annotation, number, task, video), location, video, reading)
            read += 1
    return read


def annotations_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations of a task; entries that are not JSON objects are left out."""
    annotations = task.get("annotations")
    return [a for a in annotations if isinstance(a, dict)] if isinstance(annotations, list) else []


def _key_of_annotation(annotation: dict[str, Any], number: int, task: dict[str, Any], video: ShownVideo) -> str:
    return f"{key_of_task(task, video)}/{region_key(annotation.get('unique_id') or annotation.get('id', number))}"


def _read_annotation(annotation: dict[str, Any], key: str, location: str, video: ShownVideo, reading: Reading) -> None:
    results = []
    for result in annotation["result"]:
        if _is_result(result):
            if not result["from_name"].startswith(OTHERS_PREFIX):
                results.append(result)
        else:
            reading.problems.append(f"{location}: a result without from_name or value, left out")
    regions = {r.get("id") for r in results if r.get("type") in CLASS_KEYS}
    facts = {k: annotation[k] for k in ANNOTATION_KEYS if k in annotation}
    annotator = derive_pseudonym(reading.secret, annotation.get("completed_by", "unknown"))

    def label(kind: str, value: Any, start_ms: int, end_ms: int, raw: list[dict[str, Any]]) -> Label:
        origin = {"annotation": facts, "results": raw, "vocabulary": reading.vocabulary.versioned_name}
        return Label(video.clip, video.source, start_ms, end_ms, kind, value, annotator, origin)

    timeline = not results or any(r.get("type") == "timelinelabels" for r in results)
    seen_value = SEEN_VALUES.get(video.template, "clip") if timeline else "clip"
    if not annotation.get("was_cancelled"):
        reading.labels[f"{key}/seen"] = label("seen", seen_value, video.start_ms, video.end_ms, [])
    for result in results:
        of_region = result.get("id") in regions and result.get("id") is not None
        result_key = f"{key}/{region_key(result.get('id'), result['from_name'])}"
        if result.get("type") in CLASS_KEYS:
            region_answers = [r for r in results if of_region and r.get("id") == result["id"] and r.get("type") not in CLASS_KEYS]
            for number, (kind, value, start, end) in enumerate(
                _read_region(result, region_answers, result_key, location, video, reading)
            ):
                reading.labels[f"{result_key}/{number}"] = label(kind, value, start, end, [result, *region_answers])
        elif not of_region and "ranges" in result["value"]:
            reading.problems.append(f"{location}: {result['from_name']} belongs to a region that is not there, left out")
        elif not of_region and (answer := _read_clip_result(result, result_key, location, reading)):
            reading.labels[result_key] = label(*answer, video.start_ms, video.end_ms, [result])


def _is_result(x: object) -> TypeGuard[dict[str, Any]]:
    """Whether `x` has the form of a result: a text `from_name`, an id that is text or a number, and an object `value`."""
    if not isinstance(x, dict) or not isinstance(x.get("value"), dict) or not isinstance(x.get("from_name"), str):
        return False
    return isinstance(x.get("type"), str | None) and isinstance(x.get("id"), str | int | None)


def _read_region(
    result: dict[str, Any], answers: list[dict[str, Any]], key: str, location: str, video: ShownVideo, reading: Reading
) -> Iterator[tuple[str, Any, int, int]]:
    """(kind, value, start_ms, end_ms) of a region: one for each of its spans and classes.

    answers  results that belong to this region, such as how certain the annotator is
    key      key of the region, for `reading.unread`
    """
    value, kind = result["value"], result["type"]
    location = f"{location} region {result.get('id', '?')}"
    names = value.get(CLASS_KEYS[kind])
    before = len(reading.problems)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        reading.problems.append(f"{location}: has no class, left out")
        names = []
    certainty = next((c for r in answers if r["from_name"].endswith("certainty") for c in _choices_of(r)), None)
    for start, end in _read_spans(value, kind, location, video, reading):
        for name in names:
            if kind == "labels":
                yield "sound", {"name": result["from_name"], "label": name}, start, end
            elif known_class := reading.vocabulary.find(name):
                event = {"label": known_class.name, "certainty": certainty}
                yield "nfbl", event | ({"adjudicated": True} if video.template == "adjudicate" else {}), start, end
            else:
                reading.problems.append(
                    f"{location}: {name!r} is not in vocabulary {reading.vocabulary.versioned_name}, left out"
                )
    if len(reading.problems) > before:
        ranges = value.get("ranges")
        parts = len(ranges) if isinstance(ranges, list) else 1
        reading.unread.update(f"{key}/{n}" for n in range(max(parts, 1) * max(len(names), 1)))


def _choices_of(result: dict[str, Any]) -> list[Any]:
    choices = result["value"].get("choices")
    return choices if isinstance(choices, list) else []


def _read_spans(value: dict[str, Any], kind: str, location: str, video: ShownVideo, reading: Reading) -> list[tuple[int, int]]:
    """The spans [start, end) of a region in ms on the clock of the source; an invalid span becomes a problem.

    A region of a video has ranges of frames, 1-based and inclusive. A region of sound (`kind` "labels") has seconds.
    """
    if kind == "labels":
        start, end = value.get("start"), value.get("end")
        length_s = (video.end_ms - video.start_ms) / 1000
        if not is_number(start) or not is_number(end) or not 0 <= start < end <= length_s + 0.1:
            reading.problems.append(f"{location}: from {start} to {end} s in {length_s:.3f} s of sound, left out")
            return []
        ends = [video.start_ms + round_half_up(Fraction(t) * 1000) for t in (start, end)]
        return [(ends[0], min(ends[1], video.end_ms))]
    ranges = value.get("ranges")
    if not isinstance(ranges, list) or not ranges:
        reading.problems.append(f"{location}: has no ranges, left out")
        return []
    spans = []
    for r in ranges:
        start, end = (r.get("start"), r.get("end")) if isinstance(r, dict) else (None, None)
        if not is_number(start) or not is_number(end) or start != int(start) or end != int(end):
            wrong = "is not in whole frames"
        elif start < 1:
            wrong = "begins before frame 1, the first"
        elif start > end:
            wrong = "ends before it starts"
        elif end > video.num_frames + 1:  # one frame of tolerance: a player may count a last frame that our grid does not have
            wrong = f"goes past frame {video.num_frames}, the last"
        else:
            spans.append((video.ms_at(int(start) - 1), min(video.ms_at(int(end)), video.end_ms)))
            if spans[-1][0] < spans[-1][1]:
                continue
            spans.pop()
            wrong = f"goes past frame {video.num_frames}, the last"
        reading.problems.append(f"{location}: {start}-{end} {wrong}, left out")
    return spans


def _read_clip_result(result: dict[str, Any], key: str, location: str, reading: Reading) -> tuple[str, Any] | None:
    """(kind, value) of an answer about the whole clip. None, with a problem, when it cannot be read."""
    name, value = result["from_name"], result["value"]
    choices, text = value.get("choices"), value.get("text")
    if isinstance(text, str):
        text = [text]
    wrong = ""
    if result.get("type") == "choices" and isinstance(choices, list) and choices:
        if name not in CHOICE_KINDS:
            return "choice", {"name": name, "choices": choices}
        allowed = reading.emotions.labels if name == "emotion" else reading.emotions.sentiments
        matches = [k for k in allowed for c in choices if k.casefold() == str(c).strip().casefold()]
        if len(matches) == 1 == len(choices):
            return name, matches[0]
        wrong = f"{name} {', '.join(map(str, choices))!r} is not one of vocabulary {reading.emotions.versioned_name}"
    elif result.get("type") == "textarea" and isinstance(text, list) and any(str(t).strip() for t in text):
        lines = [str(t).strip() for t in text if str(t).strip()]
        if name == "emotion_words":
            return name, [w.strip().lower() for t in lines for w in re.split(r"[,;\n]", t) if w.strip()]
        return (name, "\n".join(lines)) if name in TEXT_KINDS else ("text", {"name": name, "text": "\n".join(lines)})
    elif result.get("type") == "rating" and is_number(value.get("rating")):
        return "rating", {"name": name, "rating": value["rating"]}
    reading.problems.append(f"{location}: {wrong or f'{name} says nothing that can be read'}, left out")
    reading.unread.add(key)
    return None


def is_number(x: object) -> TypeGuard[float]:
    """Whether `x` is a finite JSON number; true and false are not numbers."""
    return isinstance(x, (int, float)) and not isinstance(x, bool) and x == x and abs(x) != float("inf")
