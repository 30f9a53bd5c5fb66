"""Counts what is in a dataset, for its documents, its page and its validation."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.layout import FLOAT16_COLUMNS, SPLITS, TABLES
from deemo_data.files import parse_json

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]

NAME_PLACEHOLDERS = ("[NAME", "[PLACE", "[ORG")  # how the placeholders of names in a transcript begin
ROWS_PER_BATCH = 256
COUNTED_VALUES = (
    "annotation", "people", "emotions", "sentiments", "tasks", "statuses", "lengths", "consent", "licences", "rates", "sizes",
    "units", "vocabularies",
)  # fmt: skip


def count_dataset(folder: Path, of: Collection[str] | None = None) -> dict[str, Any]:
    """All counts of a dataset, as deemo.json holds them. A split or config without a table has no rows.

    splits       split -> clips, subjects, seconds, events, records, emotions (clips by emotion)
    clips, subjects, subjects_assumed, seconds, events, records, transcripts (clips with words), names (placeholders in them)
    annotation   level -> clips; people: number of annotators of an event -> events
    classes      class -> group, events, median_ms, clips, subjects; classes without an event are left out
    emotions     emotion -> clips; sentiments, tasks, statuses -> records
    together     emotion -> class -> clips that have both; "": clips without an emotion
    lengths      whole seconds -> clips
    consent, licences, rates (frames per second), sizes -> clips; asserted: clips whose consent is one statement for all sources
    leaks        looked_at, with_a_face, not_confirmed: frames or hits, over all clips

    of  paths of the tables that count, when the folder may still hold others
    """
    values, classes, totals = _ValueCounter(), _ClassCounter(), _TotalCounter()
    splits: dict[str, _SplitCounter] = {}
    for split in SPLITS:
        mer, nfbl = (path if of is None or path in of else None for path in (f"{split}/{TABLES[c]}" for c in ("mer", "nfbl")))
        counter = _SplitCounter()
        for row in read_rows(folder / mer) if mer else ():
            counter.add_record(row)
            values.add_record(row)
        for row in read_rows(folder / nfbl) if nfbl else ():
            counter.add_clip(row)
            values.add_clip(row)
            totals.add_clip(row)
            classes.add_clip(row, counter.emotion_of_clip.get(row["clip_id"], ""))
        if counter.clips or counter.records:
            splits[split] = counter
            values.add_emotions(counter)
    return {
        "splits": {split: counter.to_json() for split, counter in splits.items()},
        **totals.to_json(list(splits.values())),
        **values.to_json(),
        **classes.to_json(),
    }


@dataclass
class _SplitCounter:
    """Counts the rows of one split. Records are added before clips: `emotion_of_clip` says which emotion a clip has."""

    clips: int = 0
    events: int = 0
    records: int = 0
    duration_ms: int = 0
    subjects: set[str] = field(default_factory=set)
    emotion_of_clip: dict[str, str] = field(default_factory=dict)

    def add_record(self, row: Row) -> None:
        self.records += 1
        self.emotion_of_clip.setdefault(row["clip_id"], row["emotion"])

    def add_clip(self, row: Row) -> None:
        self.clips += 1
        self.events += len(row["events"])
        self.duration_ms += row["duration_ms"]
        self.subjects.add(row["subject_id"])

    def to_json(self) -> dict[str, Any]:
        emotions = Counter(self.emotion_of_clip.values())
        return {
            "clips": self.clips, "subjects": len(self.subjects), "seconds": round(self.duration_ms / 1000, 1),
            "events": self.events, "records": self.records, "emotions": dict(sorted(emotions.items())),
        }  # fmt: skip


@dataclass
class _TotalCounter:
    """Counts over all splits: transcripts, placeholders in them, consent asserted for all sources, leak checks."""

    numbers: Counter[str] = field(default_factory=Counter)
    assumed_subjects: set[str] = field(default_factory=set)

    def add_clip(self, row: Row) -> None:
        if row["subject_assumed"]:
            self.assumed_subjects.add(row["subject_id"])
        transcript, consent = row["transcript"] or "", row["consent"] or {"asserted": False}
        leaks = json.loads(row["leaks"] or "{}")
        self.numbers.update(
            transcripts=bool(transcript),
            names=sum(transcript.count(placeholder) for placeholder in NAME_PLACEHOLDERS),
            asserted=bool(consent["asserted"]),
            looked_at=leaks.get("frames_looked_at", 0),
            with_a_face=leaks.get("frames_with_a_face", 0),
            not_confirmed=leaks.get("hits_not_confirmed", 0),
        )

    def to_json(self, splits: list[_SplitCounter]) -> dict[str, Any]:
        return {
            "clips": sum(s.clips for s in splits),
            "events": sum(s.events for s in splits),
            "records": sum(s.records for s in splits),
            **{name: self.numbers[name] for name in ("transcripts", "names", "asserted")},
            "subjects": len(set().union(*(s.subjects for s in splits))),
            "subjects_assumed": len(self.assumed_subjects),
            "seconds": round(sum(s.duration_ms for s in splits) / 1000, 1),
            "leaks": {name: self.numbers[name] for name in ("looked_at", "with_a_face", "not_confirmed")},
        }


@dataclass
class _ValueCounter:
    """Counts how often each value of a column occurs."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COUNTED_VALUES})

    def add_record(self, row: Row) -> None:
        self.counts["sentiments"][row["sentiment"]] += 1
        self.counts["tasks"][row["task"]] += 1
        self.counts["statuses"][row["status"]] += 1

    def add_clip(self, row: Row) -> None:
        consent = row["consent"] or {"statement": ""}
        self.counts["annotation"][row["annotation"]] += 1
        self.counts["lengths"][str(row["duration_ms"] // 1000).rjust(4)] += 1
        self.counts["consent"][consent["statement"]] += 1
        self.counts["licences"][row["licence"] or ""] += 1
        self.counts["rates"][f"{row['fps_num']}/{row['fps_den']}"] += 1
        self.counts["sizes"][f"{row['width']}x{row['height']}"] += 1
        self.counts["units"][row["body_unit"]] += 1
        self.counts["vocabularies"][row["vocabulary"]] += 1
        self.counts["people"].update(str(event["annotators"]) for event in row["events"])

    def add_emotions(self, split: _SplitCounter) -> None:
        self.counts["emotions"].update(split.emotion_of_clip.values())

    def to_json(self) -> dict[str, dict[str, int]]:
        return {name: dict(sorted(counter.items())) for name, counter in self.counts.items()}


@dataclass
class _ClassCounter:
    """Counts the events of each class, and in how many clips of each emotion a class occurs."""

    groups: dict[str, str] = field(default_factory=dict)
    durations_ms: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    clips: Counter[str] = field(default_factory=Counter)
    subjects: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    clips_by_emotion: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add_clip(self, row: Row, emotion: str) -> None:
        for name in {event["label"] for event in row["events"]}:
            self.clips[name] += 1
            self.subjects[name].add(row["subject_id"])
            self.clips_by_emotion[emotion][name] += 1
        for event in row["events"]:
            self.groups[event["label"]] = event["group"]
            self.durations_ms[event["label"]].append(event["end_ms"] - event["start_ms"])

    def to_json(self) -> dict[str, Any]:
        return {
            "classes": {
                name: {
                    "group": group, "events": len(self.durations_ms[name]),
                    "median_ms": round(median(self.durations_ms[name])),
                    "clips": self.clips[name], "subjects": len(self.subjects[name]),
                }
                for name, group in sorted(self.groups.items())
            },
            "together": {emotion: dict(sorted(row.items())) for emotion, row in sorted(self.clips_by_emotion.items())},
        }  # fmt: skip


# ── rows of tables ───────────────────────────────────────────────────────────────────────────────────────────


def read_rows(table: Path, batch_size: int = ROWS_PER_BATCH) -> Iterator[dict[str, Any]]:
    """The rows of a table without its float16 columns, class numbers as names. A table that is not there has no rows."""
    import pyarrow.parquet as pq

    if not table.is_file():
        return
    file = pq.ParquetFile(table)
    classes = class_names(file.schema_arrow)
    columns = [name for name in file.schema_arrow.names if name not in FLOAT16_COLUMNS]
    for batch in file.iter_batches(batch_size=batch_size, columns=columns):
        for row in batch.to_pylist():
            yield decode_classes(row, classes)


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """ClassLabel columns ("events.label") -> their names, from the metadata that `datasets` writes into the schema."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    names: dict[str, list[str]] = {}

    def collect(column: str, feature: Any) -> None:
        if isinstance(feature, list):
            collect(column, feature[0])
        elif not isinstance(feature, dict):
            return
        elif feature.get("_type") == "ClassLabel":
            names[column] = feature["names"]
        elif "feature" in feature and "_type" in feature:
            collect(column, feature["feature"])
        else:
            for name, inner in feature.items():
                collect(f"{column}.{name}" if column else name, inner)

    collect("", features)
    return names


def decode_classes(value: Any, classes: Mapping[str, list[str]], column: str = "") -> Any:
    """A value with class numbers replaced by names. A number without a name becomes "number 77", which no vocabulary has."""
    if isinstance(value, dict):
        return {k: decode_classes(v, classes, f"{column}.{k}" if column else k) for k, v in value.items()}
    if isinstance(value, list):
        return [decode_classes(v, classes, column) for v in value]
    if column in classes and isinstance(value, int):
        return classes[column][value] if 0 <= value < len(classes[column]) else f"number {value}"
    return value
