"""The dataset: a Hugging Face folder with the configs nfbl and mer, every video once, no subject in two splits."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from deemo_data import __version__
from deemo_data.card import MANIFEST, TABLES
from deemo_data.clip import File, place, write_if_changed
from deemo_data.errors import DatasetError
from deemo_data.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

    from deemo_data.labels import Label
    from deemo_data.release import SafeClip

SPLITS = ("train", "validation", "test")
LEVELS = ["none", "proposed", "single", "reviewed", "adjudicated"]
UNITS = ["picture", "shoulders"]  # of body points: shares of the picture, or shoulder widths from between the shoulders
HALVES = ("body", "body_confidence", "prosody_f0", "prosody_energy", "prosody_rate")  # columns of flat float16
ROWS = 16  # a row group, which is what a reader takes at once: some 1 MB of body points


@dataclass(frozen=True)
class Export:
    """The [export] table."""

    seed: int = 0  # another seed deals the subjects to the splits otherwise
    validation: Annotated[float, Field(ge=0, lt=0.5)] = 0.15  # share of the subjects
    test: Annotated[float, Field(ge=0, lt=0.5)] = 0.2  # share of the subjects
    allow_proposed: bool = False  # let machine proposals out, marked as such


@dataclass(frozen=True)
class Exported:
    """What was written. `left_out`: one line for each label or record that could not go along, with the reason."""

    splits: dict[str, int]
    subjects: int
    events: int
    records: int
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]
    changed: int

    @property
    def clips(self) -> int:
        return sum(self.splits.values())


def export(
    clips: Sequence[SafeClip], labels: Sequence[Label], out: Path, *, nfbl: Nfbl, emotions: Emotions, settings: Export = Export()
) -> Exported:
    """Write the dataset folder: card, manifest, and per split metadata.parquet (nfbl), clips/metadata.parquet (mer), clips/*.mp4.

    Only what changed is written; what is no longer part of the dataset is removed from the split folders.
    `labels` are those in force (labels.in_force). Raises DatasetError when there is no clip or a row breaks a rule.
    """
    from deemo_data import card, rows
    from deemo_data.labels import stale

    if not clips:
        raise DatasetError("there is no clip that may be exported", "Type: deemo status, it says what each clip waits for")
    clips = sorted(clips, key=lambda c: c.id)
    split_of = assign(sorted({c.facts["subject"] for c in clips}), settings)
    features = {"nfbl": nfbl_features(nfbl), "mer": mer_features(emotions)}
    of_source: dict[str, list[Label]] = {}
    for label in labels:
        of_source.setdefault(label.source, []).append(label)
    wanted: dict[str, str] = {}
    counts: dict[str, dict[str, int]] = {"nfbl": {}, "mer": {}}
    left_out = [f"{lb.kind} {_short(lb.value)} at {lb.start_ms}-{lb.end_ms} ms of {lb.source}: no clip is there any more"
                for lb in stale(labels, clips)]  # fmt: skip
    left_out += [f"nfbl {lb.value['label']!r} of {lb.clip} is not in vocabulary {nfbl.said}"
                 for lb in labels if lb.kind == "nfbl" and not nfbl.find(lb.value["label"])]  # fmt: skip
    events = changed = 0
    for split in SPLITS:
        here = [c for c in clips if split_of[c.facts["subject"]] == split]
        mer: list[dict[str, Any]] = []
        for clip in here:
            name = f"{split}/clips/{clip.id}.mp4"
            wanted[name] = clip.files["video"].sha256
            changed += place(clip.path("video"), out / name, wanted[name])
        if here:
            aside = out / split / f".nfbl.{os.getpid()}"
            with _writer(aside, features["nfbl"]) as writer:
                for first in range(0, len(here), ROWS):
                    page = []
                    for clip in here[first : first + ROWS]:
                        near = of_source.get(clip.source, [])
                        record = rows.nfbl_record(clip, near, nfbl, f"clips/{clip.id}.mp4", settings.allow_proposed)
                        found, lacking = rows.mer_records(clip, near, emotions, f"{clip.id}.mp4")
                        left_out += lacking
                        events += len(record.events)
                        mer += [_row(r.model_dump(by_alias=True)) for r in found]
                        page.append(_row(record.model_dump(by_alias=True)))
                    writer.write_table(_table(page, features["nfbl"]), row_group_size=ROWS)
            changed += _settle(aside, out / split / TABLES["nfbl"], wanted, out)
            counts["nfbl"][split] = len(here)
        if mer:
            aside = out / split / f".mer.{os.getpid()}"
            with _writer(aside, features["mer"]) as writer:
                writer.write_table(_table(mer, features["mer"]), row_group_size=1024)
            changed += _settle(aside, out / split / TABLES["mer"], wanted, out)
            counts["mer"][split] = len(mer)
    warnings = _warnings(clips, split_of, counts)
    subjects = {s: sum(split == s for split in split_of.values()) for s in SPLITS}
    text = card.text(clips, counts, events, features, nfbl, emotions, subjects, warnings)
    changed += write_if_changed(out / "README.md", text)
    wanted["README.md"] = hashlib.sha256(text.encode()).hexdigest()
    changed += write_if_changed(out / MANIFEST, _manifest(wanted, counts, settings, nfbl, emotions))
    changed += _sweep(out, wanted)
    return Exported(counts["nfbl"], len(split_of), events, sum(counts["mer"].values()), tuple(left_out), warnings, changed)


def assign(subjects: Sequence[str], settings: Export) -> dict[str, str]:
    """Subject -> split, by the order of sha256(seed, subject). One subject: train only; two: train and test."""
    dealt = sorted(subjects, key=lambda s: hashlib.sha256(f"{settings.seed}:{s}".encode()).hexdigest())
    n = len(dealt)
    test = min(max(1, round(n * settings.test)), n - 1) if n > 1 and settings.test else 0
    validation = min(max(1, round(n * settings.validation)), n - 1 - test) if n > 2 and settings.validation else 0
    names = ["test"] * test + ["validation"] * validation + ["train"] * (n - test - validation)
    return dict(zip(dealt, names, strict=True))


def nfbl_features(vocabulary: Nfbl) -> Features:
    """The columns of config nfbl. `file_name` is what the loader makes `video` of."""
    from datasets import ClassLabel, Features, List, Value

    event = {
        "start_ms": Value("int64"), "end_ms": Value("int64"), "start_frame": Value("int32"), "end_frame": Value("int32"),
        "label": ClassLabel(names=vocabulary.labels), "group": ClassLabel(names=list(vocabulary.groups)),
        "annotators": Value("int32"), "agreement": Value("float32"), "status": ClassLabel(names=LEVELS),
        "truncated": Value("bool"),
    }  # fmt: skip
    text, number, half = Value("string"), Value("int32"), List(Value("float16"))
    return Features({
        "clip_id": text, "subject_id": text, "subject_assumed": Value("bool"), "file_name": text, "fps": Value("float64"),
        "fps_num": number, "fps_den": number, "num_frames": number, "duration_ms": Value("int64"), "width": number,
        "height": number, "annotation": ClassLabel(names=LEVELS), "events": List(event), "body": half, "body_confidence": half,
        "body_frames": number, "body_people": number, "body_points": number, "body_dims": number,
        "body_unit": ClassLabel(names=UNITS), "prosody_f0": half, "prosody_energy": half, "prosody_rate": half,
        "transcript": text,
        "consent": {"statement": text, "asserted": Value("bool")}, "licence": text, "leaks": text,
        "provenance": List({"name": text, "sha256": text}), "vocabulary": text,
    })  # fmt: skip


def mer_features(vocabulary: Emotions) -> Features:
    """The columns of config mer."""
    from datasets import ClassLabel, Features, List, Value

    text = Value("string")
    return Features({
        "record_id": text, "clip_id": text, "subject_id": text, "file_name": text, "transcript": text,
        "task": ClassLabel(names=["recognition", "reasoning"]), "instruction": text, "response": text,
        "emotion": ClassLabel(names=vocabulary.labels), "sentiment": ClassLabel(names=list(vocabulary.sentiments)),
        "emotion_words": List(text), "clues": {"video": text, "audio": text, "text": text},
        "conversations": List({"from": text, "value": text}),
        "evidence": List({"event": text, "start_ms": Value("int64"), "end_ms": Value("int64")}),
        "status": ClassLabel(names=LEVELS), "vocabulary": text,
    })  # fmt: skip


def _row(record: dict[str, Any]) -> dict[str, Any]:
    return {"file_name" if k == "video" else k: v for k, v in record.items()}


def _table(page: Sequence[dict[str, Any]], features: Features) -> pa.Table:
    """Rows as an Arrow table whose schema carries the features; float16 lists are put together without Python numbers."""
    import pyarrow as pa

    schema = features.arrow_schema
    columns = []
    for column in schema:
        values = [row[column.name] for row in page]
        if values and isinstance(values[0], pa.Array):
            ends = [0]
            for v in values:
                ends.append(ends[-1] + len(v))
            lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.concat_arrays(values))
            columns.append(lists.cast(column.type))
        else:
            columns.append(pa.array([_coded(v, features[column.name]) for v in values], column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _coded(value: Any, feature: Any) -> Any:
    """Class names as the numbers that ClassLabel stores."""
    if isinstance(feature, dict):
        return {k: _coded(value[k], f) for k, f in feature.items()}
    if hasattr(feature, "str2int"):
        return feature.str2int(value)
    if hasattr(feature, "feature"):
        return [_coded(v, feature.feature) for v in value]
    return value


def _writer(path: Path, features: Features) -> Any:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    schema = features.arrow_schema
    halves = [f"{n}.list.element" for n in HALVES if n in schema.names]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, use_byte_stream_split=halves)


def _settle(aside: Path, path: Path, wanted: dict[str, str], out: Path) -> bool:
    """Put a new table in place of the old one, unless both say the same."""
    digest = File.of(aside).sha256
    wanted[path.relative_to(out).as_posix()] = digest
    if path.exists() and File.of(path).sha256 == digest:
        aside.unlink()
        return False
    with open(aside, "rb") as f:
        os.fsync(f.fileno())
    path.parent.mkdir(parents=True, exist_ok=True)
    aside.replace(path)
    return True


def clear(out: Path) -> None:
    """Take back a dataset of ours, whole: nothing in it may go out any more."""
    if (out / MANIFEST).exists():
        _sweep(out, ())
        for name in ("README.md", MANIFEST):
            (out / name).unlink(missing_ok=True)


def _sweep(out: Path, wanted: Iterable[str]) -> int:
    """Remove from the split folders what is not of this dataset: clips taken back, and what a killed run left."""
    keep = {out / name for name in wanted}
    old = [p for split in SPLITS for p in (out / split).rglob("*") if p.is_file() and p not in keep]
    old += [p for name in ("README.md", MANIFEST) for p in out.glob(f".{name}.*")]
    for path in old:
        path.unlink()
    for split in SPLITS:
        for folder in (out / split / "clips", out / split):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    return len(old)


def _manifest(wanted: dict[str, str], counts: dict[str, dict[str, int]], settings: Export, nfbl: Nfbl, emotions: Emotions) -> str:
    content = {
        "format": 1,
        "deemo_data": __version__,
        "vocabularies": {v: {"name": x.name, "version": x.version} for v, x in (("nfbl", nfbl), ("emotions", emotions))},
        "seed": settings.seed,
        "rows": counts,
        "files": wanted,
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _warnings(clips: Sequence[SafeClip], split_of: dict[str, str], counts: dict[str, dict[str, int]]) -> tuple[str, ...]:
    found = []
    if assumed := len({c.facts["subject"] for c in clips if c.facts.get("subject_assumed")}):
        found.append(f"{assumed} of {len(split_of)} subjects are assumed: one a source, since nobody said who is seen")
    if lacking := [s for s in SPLITS if s not in counts["nfbl"]]:
        found.append(f"no {' and no '.join(lacking)} split: there are {len(split_of)} subjects")
    if not counts["mer"]:
        found.append("no config mer: no clip has an emotion label")
    return tuple(found)


def _short(value: Any) -> str:
    said = value.get("label", value) if isinstance(value, dict) else value
    return repr(said)[:60]
