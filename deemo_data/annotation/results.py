"""Reads what annotators did in Label Studio, one of their tasks at a time: results in frames to labels on the source's clock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeGuard

from deemo_data.clip import round_half_up
from deemo_data.labels.label import OTHERS, Label, Pushed, short_id
from deemo_data.labels.store import read_ledger
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.pseudonyms import pseudonym

ABOUT = {"": "nfbl", "nfbl_timeline": "nfbl", "adjudicate": "adjudicated"}  # page -> what "seen" says; others are about a clip
ALARM = "identifying"  # the question of clip_review that counts even when the clip is then skipped
WRITTEN = ("clue_video", "clue_audio", "clue_text", "reasoning")
CHOSEN = ("emotion", "sentiment")
REGIONS = {"timelinelabels": "timelinelabels", "labels": "labels"}  # type -> where its class stands in value
KEPT_OF_ANNOTATION = ("id", "unique_id", "created_at", "updated_at", "lead_time", "ground_truth", "parent_prediction")


@dataclass(frozen=True)
class Shown:
    """The video an annotator saw, on its source's clock: frame k begins at base_ms + (first_frame + k) / fps."""

    clip: str
    source: str
    start_ms: int
    end_ms: int
    base_ms: int
    first_frame: int
    num_frames: int
    fps: Fraction
    template: str = ""  # the page; unknown for footage labelled elsewhere

    def ms_at(self, frame: int) -> int:
        return self.base_ms + round_half_up((self.first_frame + frame) * 1000 / self.fps)


@dataclass(frozen=True)
class Reading:
    """What is known while annotations are read, and what has been found. `ledger`: see `pushed_by_clip`."""

    secret: bytes
    vocabulary: Nfbl
    emotions: Emotions
    ledger: Mapping[str, Sequence[Pushed]]
    said: dict[str, Label] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)  # keys of what could not be understood: it deletes nothing
    problems: list[str] = field(default_factory=list)


def name_of(task: dict[str, Any]) -> str:
    """How a line about one of their tasks begins: its number, and the file it is about."""
    names = file_names(task.get("data"))
    return f"task {task.get('id', '?')}" + (f" ({names[0]})" if names else "")


def file_names(data: object) -> list[str]:
    """Whatever in a task's data may name a file: the last part of each text, without Label Studio's upload prefix."""
    texts = [v for v in data.values() if isinstance(v, str) and v] if isinstance(data, dict) else []
    lasts = [re.split(r"[/\\=]", t)[-1] for t in texts]
    named = [n for n in lasts if re.search(r"\.\w{2,4}$", n)]
    return [*named, *(re.sub(r"^[0-9a-f]{8}-", "", n) for n in named)]


def pushed_by_clip(folder: Path) -> dict[str, list[Pushed]]:
    """The ledger, {public clip id: its lines, oldest first}, without what was proposed."""
    found: dict[str, list[Pushed]] = {}
    for line in read_ledger(folder):
        found.setdefault(line.clip, []).append(replace(line, proposals=None))
    return found


def ours(task: dict[str, Any], reading: Reading) -> Shown | None:
    """The last push under the clip id that the task carries, with the rate and number of frames that it was shown at."""
    data = task["data"] if isinstance(task.get("data"), dict) else {}
    fps, frames = data.get("fps"), data.get("num_frames")
    fitting = [
        p for p in reading.ledger.get(str(data.get("clip")), ())
        if (not is_number(fps) or abs(float(Fraction(p.fps)) - fps) < 1e-3) and frames in (None, p.num_frames)
    ]  # fmt: skip
    if not fitting:
        return None
    p = fitting[-1]
    if p.vocabulary != reading.vocabulary.said:
        reading.problems.append(f"{name_of(task)}: pushed with vocabulary {p.vocabulary}, read with {reading.vocabulary.said}")
    template = str(data.get("template") or fitting[0].template)  # one without is of the time when there was one page only
    return Shown(p.clip, p.source, p.start_ms, p.end_ms, 0, p.first_frame, p.num_frames, Fraction(p.fps), template)


def task_key(clip: object, number: object, project: object, created_at: object) -> str:
    """The first part of the keys of all labels of one of their tasks. Its number alone is given out anew after a deletion."""
    return short_id(clip, number, project, created_at)


def key_of(task: dict[str, Any], shown: Shown) -> str:
    return task_key(shown.clip, task.get("id"), task.get("project"), task.get("created_at"))


def read_task(task: dict[str, Any], shown: Shown, reading: Reading) -> int:
    """The labels of its annotations, into `reading.said`; how many annotations were read."""
    name = name_of(task)
    if isinstance(drafts := task.get("drafts"), list) and drafts:
        reading.problems.append(f"{name}: {len(drafts)} draft(s) never handed in, left out")
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        reading.problems.append(f"{name}: has no list of annotations")
        return 0
    read = 0
    for number, annotation in enumerate(annotations):
        where = f"{name} annotation {annotation.get('id', number) if isinstance(annotation, dict) else number}"
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            reading.problems.append(f"{where}: its result is not a list, left out")
        elif annotation.get("was_cancelled"):
            reading.problems.append(f"{where}: was skipped by its annotator, left out")
            alarm = [r for r in annotation["result"] if isinstance(r, dict) and r.get("from_name") == ALARM]
            if alarm:
                _read_annotation(annotation | {"result": alarm}, _key_of(annotation, number, task, shown), where, shown, reading)
        else:
            if annotation.get("completed_by") is None:
                reading.problems.append(f"{where}: does not say who made it")
            _read_annotation(annotation, _key_of(annotation, number, task, shown), where, shown, reading)
            read += 1
    return read


def annotations_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations of one of their tasks, without what is none."""
    found = task.get("annotations")
    return [a for a in found if isinstance(a, dict)] if isinstance(found, list) else []


def _key_of(annotation: dict[str, Any], number: int, task: dict[str, Any], shown: Shown) -> str:
    return f"{key_of(task, shown)}/{short_id(annotation.get('unique_id') or annotation.get('id', number))}"


def _read_annotation(annotation: dict[str, Any], key: str, where: str, shown: Shown, reading: Reading) -> None:
    results = []
    for result in annotation["result"]:
        if _is_result(result):
            if not result["from_name"].startswith(OTHERS):
                results.append(result)
        else:
            reading.problems.append(f"{where}: a result without from_name or value, left out")
    regions = {r.get("id") for r in results if r.get("type") in REGIONS}
    about = {k: annotation[k] for k in KEPT_OF_ANNOTATION if k in annotation}
    who = pseudonym(reading.secret, annotation.get("completed_by", "unknown"))

    def label(kind: str, value: Any, start_ms: int, end_ms: int, raw: list[dict[str, Any]]) -> Label:
        said = {"annotation": about, "results": raw, "vocabulary": reading.vocabulary.said}
        return Label(shown.clip, shown.source, start_ms, end_ms, kind, value, who, said)

    timeline = not results or any(r.get("type") == "timelinelabels" for r in results)
    seen = ABOUT.get(shown.template, "clip") if timeline else "clip"
    if not annotation.get("was_cancelled"):
        reading.said[f"{key}/seen"] = label("seen", seen, shown.start_ms, shown.end_ms, [])
    for result in results:
        of_region = result.get("id") in regions and result.get("id") is not None
        own = f"{key}/{short_id(result.get('id'), result['from_name'])}"
        if result.get("type") in REGIONS:
            beside = [r for r in results if of_region and r.get("id") == result["id"] and r.get("type") not in REGIONS]
            for number, (kind, value, start, end) in enumerate(_region(result, beside, own, where, shown, reading)):
                reading.said[f"{own}/{number}"] = label(kind, value, start, end, [result, *beside])
        elif not of_region and "ranges" in result["value"]:
            reading.problems.append(f"{where}: {result['from_name']} belongs to a region that is not there, left out")
        elif not of_region and (got := _whole(result, own, where, reading)):
            reading.said[own] = label(*got, shown.start_ms, shown.end_ms, [result])


def _is_result(x: object) -> TypeGuard[dict[str, Any]]:
    """Whether it has the form of a result: names and an id that are text or a number, and a value."""
    if not isinstance(x, dict) or not isinstance(x.get("value"), dict) or not isinstance(x.get("from_name"), str):
        return False
    return isinstance(x.get("type"), str | None) and isinstance(x.get("id"), str | int | None)


def _region(
    result: dict[str, Any], beside: list[dict[str, Any]], key: str, where: str, shown: Shown, reading: Reading
) -> Iterator[tuple[str, Any, int, int]]:
    value, kind = result["value"], result["type"]
    where = f"{where} region {result.get('id', '?')}"
    names = value.get(REGIONS[kind])
    before = len(reading.problems)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        reading.problems.append(f"{where}: has no class, left out")
        names = []
    certainty = next((c for r in beside if r["from_name"].endswith("certainty") for c in _choices(r)), None)
    for start, end in _spans(value, kind, where, shown, reading):
        for name in names:
            if kind == "labels":
                yield "sound", {"name": result["from_name"], "label": name}, start, end
            elif found := reading.vocabulary.find(name):
                said = {"label": found.name, "certainty": certainty}
                yield "nfbl", said | ({"adjudicated": True} if shown.template == "adjudicate" else {}), start, end
            else:
                reading.problems.append(f"{where}: {name!r} is not in vocabulary {reading.vocabulary.said}, left out")
    if len(reading.problems) > before:
        ranges = value.get("ranges")
        parts = len(ranges) if isinstance(ranges, list) else 1
        reading.unread.update(f"{key}/{n}" for n in range(max(parts, 1) * max(len(names), 1)))


def _choices(result: dict[str, Any]) -> list[Any]:
    chosen = result["value"].get("choices")
    return chosen if isinstance(chosen, list) else []


def _spans(value: dict[str, Any], kind: str, where: str, shown: Shown, reading: Reading) -> list[tuple[int, int]]:
    """The spans of a region on the source's clock; what makes no sense becomes a problem."""
    if kind == "labels":
        start, end = value.get("start"), value.get("end")
        length = (shown.end_ms - shown.start_ms) / 1000
        if not is_number(start) or not is_number(end) or not 0 <= start < end <= length + 0.1:
            reading.problems.append(f"{where}: from {start} to {end} s in {length:.3f} s of sound, left out")
            return []
        ends = [shown.start_ms + round_half_up(Fraction(t) * 1000) for t in (start, end)]
        return [(ends[0], min(ends[1], shown.end_ms))]
    ranges = value.get("ranges")
    if not isinstance(ranges, list) or not ranges:
        reading.problems.append(f"{where}: has no ranges, left out")
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
        elif end > shown.num_frames + 1:  # one more: a player may count a last frame that we do not
            wrong = f"goes past frame {shown.num_frames}, the last"
        else:
            spans.append((shown.ms_at(int(start) - 1), min(shown.ms_at(int(end)), shown.end_ms)))
            if spans[-1][0] < spans[-1][1]:
                continue
            spans.pop()
            wrong = f"goes past frame {shown.num_frames}, the last"
        reading.problems.append(f"{where}: {start}-{end} {wrong}, left out")
    return spans


def _whole(result: dict[str, Any], key: str, where: str, reading: Reading) -> tuple[str, Any] | None:
    """Kind and value of what was said about the whole clip."""
    name, value = result["from_name"], result["value"]
    chosen, text = value.get("choices"), value.get("text")
    if isinstance(text, str):
        text = [text]
    wrong = ""
    if result.get("type") == "choices" and isinstance(chosen, list) and chosen:
        if name not in CHOSEN:
            return "choice", {"name": name, "choices": chosen}
        known = reading.emotions.labels if name == "emotion" else reading.emotions.sentiments
        found = [k for k in known for c in chosen if k.casefold() == str(c).strip().casefold()]
        if len(found) == 1 == len(chosen):
            return name, found[0]
        wrong = f"{name} {', '.join(map(str, chosen))!r} is not one of vocabulary {reading.emotions.said}"
    elif result.get("type") == "textarea" and isinstance(text, list) and any(str(t).strip() for t in text):
        lines = [str(t).strip() for t in text if str(t).strip()]
        if name == "emotion_words":
            return name, [w.strip().lower() for t in lines for w in re.split(r"[,;\n]", t) if w.strip()]
        return (name, "\n".join(lines)) if name in WRITTEN else ("text", {"name": name, "text": "\n".join(lines)})
    elif result.get("type") == "rating" and is_number(value.get("rating")):
        return "rating", {"name": name, "rating": value["rating"]}
    reading.problems.append(f"{where}: {wrong or f'{name} says nothing that can be read'}, left out")
    reading.unread.add(key)
    return None


def is_number(x: object) -> TypeGuard[float]:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and x == x and abs(x) != float("inf")
