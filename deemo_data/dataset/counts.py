"""What is in a dataset, counted."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from deemo_data.dataset.layout import HALVES, SPLITS, TABLES
from deemo_data.files import parse_json

if TYPE_CHECKING:
    import pyarrow as pa

MARKS = ("[NAME", "[PLACE", "[ORG")  # what stands for a name in a transcript


def count(folder: Path, of: Collection[str] | None = None) -> dict[str, Any]:
    """Everything that is counted, as JSON holds it. A split or config without a table has no rows.

    splits       split -> clips, subjects, seconds, events, records, emotions (clips by emotion)
    clips, subjects, subjects_assumed, seconds, events, records, transcripts (clips with words), names (placeholders in them)
    annotation   level -> clips; people: annotators of an event -> events
    classes      class -> group, events, median_ms, clips, subjects; classes that are not there are left out
    emotions     emotion -> clips; sentiments, tasks, statuses -> records
    together     emotion -> class -> clips that have both; "" -> of the clips that have no emotion
    lengths      whole seconds -> clips
    consent, licences, rates (frames a second), sizes -> clips; asserted: clips whose consent is one statement for all sources
    leaks        looked_at, with_a_face, not_confirmed: frames or hits, over all clips

    of  paths of the tables that belong to it, where others may lie in the folder still
    """
    all_: dict[str, Any] = {"splits": {}}
    told: dict[str, Counter[str]] = defaultdict(Counter)
    classes: dict[str, dict[str, Any]] = defaultdict(lambda: {"group": "", "ms": [], "clips": 0, "subjects": set()})
    numbers, subjects, assumed = Counter[str](), set[str](), set[str]()
    together: dict[str, Counter[str]] = defaultdict(Counter)
    for split in SPLITS:
        emotion_of: dict[str, str] = {}
        here = Counter[str]()
        mer, nfbl = (folder / path if of is None or path in of else None for path in (f"{split}/{t}" for t in
                     (TABLES["mer"], TABLES["nfbl"])))  # fmt: skip
        for row in rows_of(mer):
            here["records"] += 1
            emotion_of.setdefault(row["clip_id"], row["emotion"])
            for key, name in (("sentiment", "sentiments"), ("task", "tasks"), ("status", "statuses")):
                told[name][row[key]] += 1
        people = set()
        for row in rows_of(nfbl):
            people.add(row["subject_id"])
            here.update(clips=1, ms=row["duration_ms"], events=len(row["events"]))
            _note(row, told, numbers, assumed)
            for name in {e["label"] for e in row["events"]}:
                classes[name]["clips"] += 1
                classes[name]["subjects"].add(row["subject_id"])
                together[emotion_of.get(row["clip_id"], "")][name] += 1
            for event in row["events"]:
                classes[event["label"]]["group"] = event["group"]
                classes[event["label"]]["ms"].append(event["end_ms"] - event["start_ms"])
        if here:
            emotions = dict(sorted(Counter(emotion_of.values()).items()))
            told["emotions"].update(emotions)
            all_["splits"][split] = {
                "clips": here["clips"], "subjects": len(people), "seconds": round(here["ms"] / 1000, 1), "events": here["events"],
                "records": here["records"], "emotions": emotions,
            }  # fmt: skip
            subjects |= people
            numbers.update(here)
    return all_ | {
        **{key: numbers[key] for key in ("clips", "events", "records", "transcripts", "names", "asserted")},
        "subjects": len(subjects),
        "subjects_assumed": len(assumed),
        "seconds": round(numbers["ms"] / 1000, 1),
        **{name: dict(sorted(told[name].items())) for name in NAMED},
        "leaks": {name: numbers[name] for name in ("looked_at", "with_a_face", "not_confirmed")},
        "classes": {
            name: {"group": c["group"], "events": len(c["ms"]), "median_ms": round(median(c["ms"])), "clips": c["clips"],
                   "subjects": len(c["subjects"])}
            for name, c in sorted(classes.items())
        },
        "together": {emotion: dict(sorted(row.items())) for emotion, row in sorted(together.items())},
    }  # fmt: skip


NAMED = ("annotation", "people", "emotions", "sentiments", "tasks", "statuses", "lengths", "consent", "licences", "rates",
         "sizes", "units", "vocabularies")  # fmt: skip


def _note(row: Mapping[str, Any], told: Mapping[str, Counter[str]], numbers: Counter[str], assumed: set[str]) -> None:
    if row["subject_assumed"]:
        assumed.add(row["subject_id"])
    consent, text = row["consent"] or {"statement": "", "asserted": False}, row["transcript"] or ""
    told["annotation"][row["annotation"]] += 1
    told["lengths"][str(row["duration_ms"] // 1000).rjust(4)] += 1
    told["consent"][consent["statement"]] += 1
    told["licences"][row["licence"] or ""] += 1
    told["rates"][f"{row['fps_num']}/{row['fps_den']}"] += 1
    told["sizes"][f"{row['width']}x{row['height']}"] += 1
    told["units"][row["body_unit"]] += 1
    told["vocabularies"][row["vocabulary"]] += 1
    told["people"].update(str(e["annotators"]) for e in row["events"])
    numbers.update(asserted=bool(consent["asserted"]), transcripts=bool(text), names=sum(text.count(m) for m in MARKS))
    leaks = json.loads(row["leaks"] or "{}")
    numbers.update(
        looked_at=leaks.get("frames_looked_at", 0),
        with_a_face=leaks.get("frames_with_a_face", 0),
        not_confirmed=leaks.get("hits_not_confirmed", 0),
    )


def rows_of(table: Path | None, page: int = 256) -> Iterator[dict[str, Any]]:
    """The rows of a table of ours without its long columns, class numbers as names; none where there is no table."""
    import pyarrow.parquet as pq

    if table is None or not table.is_file():
        return
    file = pq.ParquetFile(table)
    classes = class_names(file.schema_arrow)
    columns = [n for n in file.schema_arrow.names if n not in HALVES]
    for batch in file.iter_batches(batch_size=page, columns=columns):
        for row in batch.to_pylist():
            yield named(row, classes)


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """ClassLabel columns ("events.label") -> their names, from the metadata that datasets writes into the schema."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    found: dict[str, list[str]] = {}

    def walk(at: str, feature: Any) -> None:
        if isinstance(feature, list):
            walk(at, feature[0])
        elif not isinstance(feature, dict):
            return
        elif feature.get("_type") == "ClassLabel":
            found[at] = feature["names"]
        elif "feature" in feature and "_type" in feature:
            walk(at, feature["feature"])
        else:
            for name, inner in feature.items():
                walk(f"{at}.{name}" if at else name, inner)

    walk("", features)
    return found


def named(value: Any, classes: Mapping[str, list[str]], at: str = "") -> Any:
    """Class numbers as names; one that has none becomes "number 77", which no vocabulary knows."""
    if isinstance(value, dict):
        return {k: named(v, classes, f"{at}.{k}" if at else k) for k, v in value.items()}
    if isinstance(value, list):
        return [named(v, classes, at) for v in value]
    if at in classes and isinstance(value, int):
        return classes[at][value] if 0 <= value < len(classes[at]) else f"number {value}"
    return value
