"""Reads one annotation: its regions become events, its answers become labels about the whole clip.

Each region and each answer is counted once: as a label, or under the reason why it is none (tally.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from deemo_data.annotation.reading import tally
from deemo_data.annotation.reading.answers import TEXT_KINDS, choices_of, lines_of_text, read_answer
from deemo_data.annotation.reading.regions import CLASS_KEYS, find_other_results, is_accepted, read_region
from deemo_data.annotation.reading.shown import ShownVideo
from deemo_data.annotation.reading.state import Reading
from deemo_data.labels.drafts import TaskDrafts, collect_drafts
from deemo_data.labels.label import OTHERS_PREFIX, Label, region_key

SEEN_VALUES = {
    "": "nfbl",
    "nfbl_timeline": "nfbl",
    "adjudicate": "adjudicated",
}  # template -> value of the label "seen"; any other template: "clip"


@dataclass
class AnnotationReader:
    """Reads the results of one annotation into `labels`; problems and counts go into `reading`.

    key        the first two parts of the keys of its labels
    location   the beginning of its problems
    annotator  pseudonym of who made it
    facts      what Label Studio says of the annotation: ids and times
    drafts     what the text boxes of its page began with
    predicted  the results that it began with
    """

    key: str
    location: str
    annotator: str
    facts: dict[str, Any]
    video: ShownVideo
    reading: Reading
    drafts: TaskDrafts = field(default_factory=TaskDrafts)
    predicted: Sequence[dict[str, Any]] = ()
    labels: dict[str, Label] = field(default_factory=dict)
    _marked: set[str] = field(default_factory=set)

    def read(self, results: Sequence[Any], is_handed_in: bool = True) -> None:
        """Read all results. `is_handed_in`: the annotator has seen the clip, also when there is no result."""
        own = [r for r in results if self._is_own(r)]
        others = find_other_results(own)
        self.reading.tally.results.update(others.values())
        kept = [r for place, r in enumerate(own) if place not in others]
        other_ids = {own[place].get("id") for place in others} - {None}
        region_ids = {r.get("id") for r in kept if r.get("type") in CLASS_KEYS} - {None}
        answers: dict[Any, list[dict[str, Any]]] = {}
        for result in kept:
            if result.get("type") not in CLASS_KEYS and result.get("id") in region_ids:
                answers.setdefault(result["id"], []).append(result)
        counted: set[Any] = set()
        for result in kept:
            region_id = result.get("id")
            if result.get("type") in CLASS_KEYS:
                about = answers.get(region_id, [])
                fate = self._read_region(result, about)
                self.reading.tally.results[fate] += 1 + (len(about) if region_id not in counted else 0)
                counted.add(region_id)
            elif region_id not in region_ids:
                self.reading.tally.results[self._read_answer(result, region_id in other_ids)] += 1
        if is_handed_in:
            self._add_seen(kept)

    def _is_own(self, result: Any) -> TypeGuard[dict[str, Any]]:
        """Whether this is a result of this annotator; otherwise it is counted as malformed, or as a locked copy."""
        if not _is_result(result):
            self.reading.problems.append(f"{self.location}: a result without from_name or value, left out")
            self.reading.tally.results[tally.MALFORMED] += 1
            return False
        if result["from_name"].startswith(OTHERS_PREFIX):
            self.reading.tally.results[tally.LOCKED] += 1
            return False
        return True

    def _read_region(self, result: dict[str, Any], about: list[dict[str, Any]]) -> str:
        """Add the labels of a region; what became of it. `about`: answers about it, such as how certain the annotator is."""
        key = self._key_of(result)
        certainty = next((c for r in about if r["from_name"].endswith("certainty") for c in choices_of(r)), None)
        region = read_region(result, certainty, self.video, self.reading.vocabulary)
        if region.problems:
            place = f"{self.location} region {result.get('id', '?')}"
            self.reading.problems.extend(f"{place}: {problem}, left out" for problem in region.problems)
            self.reading.unread.update(f"{key}/{n}" for n in range(region.parts))
        if not region.labels:
            return region.reason
        repeated = 0
        for number, (kind, value, start_ms, end_ms) in region.labels.items():
            mark = json.dumps([kind, {k: v for k, v in value.items() if k != "certainty"}, start_ms, end_ms], sort_keys=True)
            if mark in self._marked:
                repeated += 1
                continue
            self._marked.add(mark)
            self.labels[f"{key}/{number}"] = self._make_label(kind, value, start_ms, end_ms, [result, *about])
            if kind == "sound":
                self.reading.tally.remark(
                    "marks on the sound without a class of the vocabulary, kept in labels/ and in no table: {n}"
                )
            elif result["type"] == "labels":
                self.reading.tally.remark("events marked on the sound, placed where its seconds say: {n}")
        self.reading.tally.remark("events marked twice by one person in one place, one of each kept: {n}", repeated)
        self.reading.tally.remark("proposed events handed in as they were: {n}", is_accepted(result, self.predicted))
        return tally.REPEATED if repeated == len(region.labels) else tally.LABEL

    def _read_answer(self, result: dict[str, Any], is_about_box: bool) -> str:
        """Add the label of an answer about the whole clip; what became of it."""
        key = self._key_of(result)
        if is_about_box:
            return tally.BOX
        if "ranges" in result["value"]:
            name = result["from_name"]
            self.reading.problems.append(f"{self.location}: {name} belongs to a region that is not there, left out")
            return tally.MALFORMED
        answer = read_answer(result, key, self.location, self.reading)
        if answer is None:
            return tally.MALFORMED
        kind, value = answer
        label = self._make_label(kind, value, self.video.start_ms, self.video.end_ms, [result])
        if kind in TEXT_KINDS:
            label.raw["origin"] = self.drafts.find_origin(kind, value)
            if label.raw["origin"] == "untouched":
                self.reading.tally.remark("drafts of texts handed in as they were, not exported as people's words: {n}")
        self.labels[key] = label
        return tally.LABEL

    def _add_seen(self, results: Sequence[dict[str, Any]]) -> None:
        """The label that says what the annotator has looked at the clip for."""
        has_events = any(label.kind == "nfbl" for label in self.labels.values())
        on_timeline = not results or has_events or any(r.get("type") == "timelinelabels" for r in results)
        value = SEEN_VALUES.get(self.video.template, "clip") if on_timeline else "clip"
        self.labels[f"{self.key}/seen"] = self._make_label("seen", value, self.video.start_ms, self.video.end_ms, [])

    def _key_of(self, result: dict[str, Any]) -> str:
        return f"{self.key}/{region_key(result.get('id'), result['from_name'])}"

    def _make_label(self, kind: str, value: Any, start_ms: int, end_ms: int, results: list[dict[str, Any]]) -> Label:
        if kind == "nfbl" and self.video.template == "adjudicate":
            value = value | {"adjudicated": True}
        raw = {"annotation": self.facts, "results": results, "vocabulary": self.reading.vocabulary.versioned_name}
        return Label(self.video.clip, self.video.source, start_ms, end_ms, kind, value, self.annotator, raw)


def collect_task_drafts(task: dict[str, Any], annotation: dict[str, Any], video: ShownVideo, reading: Reading) -> TaskDrafts:
    """What the text boxes of an annotation's page began with: drafts in the data, of every push, and predictions."""
    predicted: dict[str, list[str]] = {}
    for shown in predicted_results(annotation):
        predicted.setdefault(str(shown.get("from_name")), []).extend(lines_of_text(shown["value"]))
    data = task["data"] if isinstance(task.get("data"), dict) else {}
    return collect_drafts(data, reading.ledger.get(video.clip, ()), predicted, reading.emotions.labels)


def predicted_results(annotation: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of the prediction that an annotation began with."""
    prediction = annotation.get("prediction")
    results = prediction.get("result") if isinstance(prediction, dict) else None
    return [r for r in results if isinstance(r, dict) and isinstance(r.get("value"), dict)] if isinstance(results, list) else []


def _is_result(x: object) -> TypeGuard[dict[str, Any]]:
    """Whether `x` has the form of a result: a text `from_name`, an id that is text or a number, and an object `value`."""
    if not isinstance(x, dict) or not isinstance(x.get("value"), dict) or not isinstance(x.get("from_name"), str):
        return False
    return isinstance(x.get("type"), str | None) and isinstance(x.get("id"), str | int | None)
