"""Writes the folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from deemo_data import __version__
from deemo_data.dataset import versions
from deemo_data.dataset.layout import HALVES, MANIFEST, SPLITS, TABLES, page_path, past_path, sweep
from deemo_data.dataset.tables import PAGES, Table, mer_features, nfbl_features
from deemo_data.errors import DatasetError
from deemo_data.files import File, link_or_copy, sync_to_disk, write_if_changed
from deemo_data.labels.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    from datasets import Features

    from deemo_data.clip import SafeClip
    from deemo_data.dataset.documents.statements import DatasetFacts
    from deemo_data.dataset.near_duplicates import NearDuplicate
    from deemo_data.labels.label import Label

TOLD = 10  # pairs of subjects tied together that are named


@dataclass(frozen=True)
class Export:
    """The [export] table."""

    seed: int = 0  # another seed deals the subjects to the splits otherwise
    validation: Annotated[float, Field(ge=0, lt=0.5)] = 0.15  # share of the subjects
    test: Annotated[float, Field(ge=0, lt=0.5)] = 0.2  # share of the subjects
    keep_splits: bool = True  # subjects stay in the split that the version before has them in
    alike: Annotated[int, Field(ge=0, le=64)] = (
        5  # clips whose pictures differ in so few of 256 bits show the same; 0: not looked
    )
    allow_proposed: bool = False  # let machine proposals out, marked as such
    gated: bool = True  # the card asks who wants access, and for consent to the terms
    terms: str = ""  # what they agree to, in Markdown; empty: our text
    contact: str = ""  # whom people write to who want to withdraw


@dataclass(frozen=True)
class Known:
    """What is known of a project beside its clips and labels, for the dataset's documents.

    agreement, privacy  out/agreement.json and out/privacy.json, where somebody measured them
    tombstones  the project's withdrawn.jsonl: on which days how many clips went
    date        of this version, should it become one; empty: today
    """

    agreement: Mapping[str, Any] | None = None
    privacy: Mapping[str, Any] | None = None
    tombstones: Sequence[versions.Withdrawn] = ()
    date: str = ""


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
    version: str

    @property
    def clips(self) -> int:
        return sum(self.splits.values())


@dataclass
class Written:
    """What has been written so far: path in the folder -> sha256, rows that are remembered, what was left out, and what the
    released data cannot support."""

    files: dict[str, str] = field(default_factory=dict)
    ids: dict[str, dict[str, str]] = field(default_factory=lambda: {"nfbl": {}, "mer": {}})
    left_out: list[str] = field(default_factory=list)
    doubted: list[str] = field(default_factory=list)
    changed: int = 0


def export(
    clips: Sequence[SafeClip], labels: Sequence[Label], out: Path, *, nfbl: Nfbl, emotions: Emotions,
    settings: Export = Export(), known: Known = Known(),
) -> Exported:  # fmt: skip
    """Write the dataset folder: tables and videos per split, the documents, and deemo.json; and OUT.html beside it.

    Only what changed is written; what is no longer part of the dataset is removed from the split folders.
    `labels` are those in force (labels.in_force). Raises DatasetError when there is no clip or a row breaks a rule.
    """
    from deemo_data.dataset.export import page
    from deemo_data.labels.placing import by_clip

    if not clips:
        raise DatasetError("there is no clip that may be exported", "Type: deemo status, it says what each clip waits for")
    clips = sorted(clips, key=lambda c: c.id)
    before, past = _before(out)
    looks, pairs = _lookalikes(clips, before.get("looks", {}), settings)
    split_of = _deal(clips, labels, emotions, pairs, past, settings)
    features = {"nfbl": nfbl_features(nfbl), "mer": mer_features(emotions)}
    made = Written()
    made.left_out += _left_out(labels, clips, nfbl)
    near = by_clip(labels, clips)
    for split in SPLITS:
        here = [c for c in clips if split_of[c.facts["subject"]] == split]
        for clip in here:
            name, sha256 = f"{split}/clips/{clip.id}.mp4", clip.files["video"].sha256
            made.files[name] = sha256
            made.changed += link_or_copy(clip.path("video"), out / name, sha256)
        if here:
            sync_to_disk(out / split / "clips")
        _write_split(split, here, near, out, features, nfbl, emotions, settings, made)
    counts, warnings, version = _document(out, split_of, features, nfbl, emotions, settings, known, past, looks, pairs, made)
    made.changed += sweep(out, made.files)
    past_path(out).unlink(missing_ok=True)
    made.changed += page.write(out, page_path(out), nfbl, known.agreement)
    splits = {s: row["clips"] for s, row in counts["splits"].items()}
    return Exported(
        splits,
        len(split_of),
        counts["events"],
        counts["records"],
        tuple(made.left_out),
        (*warnings, *made.doubted),
        made.changed,
        version,
    )


def _left_out(labels: Sequence[Label], clips: Sequence[SafeClip], nfbl: Nfbl) -> list[str]:
    """A line for each label that no clip takes, or whose class is not known."""
    from deemo_data.labels.placing import stale_labels

    found, left = [], {id(lb) for lb in stale_labels(labels, clips)}
    for lb in labels:
        if id(lb) in left:
            found.append(
                f"{lb.kind} {_short(lb.value)} at {lb.start_ms}-{lb.end_ms} ms of {lb.source}: no clip is there any more"
            )
        if lb.kind == "nfbl" and not nfbl.find(lb.value["label"]):
            found.append(f"nfbl {lb.value['label']!r} of {lb.clip} is not in vocabulary {nfbl.said}")
    return found


def _before(out: Path) -> tuple[dict[str, Any], versions.Past]:
    """The manifest that is there, and what is remembered of the version before; of a dataset that was taken back, only that."""
    try:
        said = dict(json.loads((out / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}, versions.read_past(past_path(out))
    return said, versions.read_past(out / MANIFEST)


def _lookalikes(
    clips: Sequence[SafeClip], seen: Mapping[str, str], settings: Export
) -> tuple[dict[str, str], list[NearDuplicate]]:
    """(Short digest of a video -> looks; clips of different subjects that show the same). What was `seen` is not read again."""
    from concurrent.futures import ThreadPoolExecutor

    from deemo_data.dataset import near_duplicates

    keys = {c.id: c.files["video"].sha256[:16] for c in clips}
    looks: dict[str, str] = {}
    if settings.alike:
        looks = {k: seen[k] for k in keys.values() if k in seen}
        new = {keys[c.id]: c.files["video"].path for c in clips if keys[c.id] not in looks}
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            looks |= dict(zip(new, pool.map(near_duplicates.perceptual_hash, new.values()), strict=True))
    return looks, near_duplicates.find_near_duplicates(clips, {c: looks.get(k, "") for c, k in keys.items()}, settings.alike)


def _deal(
    clips: Sequence[SafeClip], labels: Sequence[Label], emotions: Emotions, pairs: Sequence[NearDuplicate], past: versions.Past,
    settings: Export,
) -> dict[str, str]:  # fmt: skip
    from deemo_data.dataset.export.splits import Shares, deal, weigh

    weights = weigh(clips, labels, emotions)
    been = {s: past.splits[k] for s in weights if (k := versions.short_hash(s)) in past.splits} if settings.keep_splits else {}
    shares = Shares(settings.seed, settings.validation, settings.test)
    return deal(weights, shares, [p.subjects for p in pairs], been)


def _write_split(
    split: str, clips: Sequence[SafeClip], near: Mapping[str, Sequence[Label]], out: Path, features: Mapping[str, Features],
    nfbl: Nfbl, emotions: Emotions, settings: Export, made: Written,
) -> None:  # fmt: skip
    """Both tables of a split, a page at a time."""
    from deemo_data.dataset.export import mer
    from deemo_data.dataset.export.nfbl import nfbl_record
    from deemo_data.dataset.records import texts_of
    from deemo_data.labels import screening

    allowed = screening.visible(nfbl)
    tables = {config: Table(out / split / TABLES[config], features[config], PAGES[config]) for config in TABLES}
    try:
        for clip in clips:
            said = near[clip.id]
            record = nfbl_record(clip, said, nfbl, f"clips/{clip.id}.mp4", settings.allow_proposed).model_dump(by_alias=True)
            found, lacking = mer.mer_records(clip, said, emotions, f"{clip.id}.mp4", record["events"])
            made.left_out += lacking
            tables["nfbl"].add(_remember(made.ids["nfbl"], clip.id, record))
            written: dict[str, str] = {}
            for r in found:
                row = r.model_dump(by_alias=True)
                written |= texts_of(row, "mer")
                tables["mer"].add(_remember(made.ids["mer"], r.record_id, row))
            for name, text in written.items():
                for flag in screening.faults(text, allowed=allowed):
                    made.doubted.append(f"clip {clip.id}: {name} has {screening.said(flag)}. Mend it on the page mer_clues")
        for table in tables.values():
            if table.close():
                made.changed += _settle(table.aside, table.path, made.files, out)
    finally:
        for table in tables.values():
            table.aside.unlink(missing_ok=True)


def _remember(ids: dict[str, str], row_id: str, row: dict[str, Any]) -> dict[str, Any]:
    """Note what a row says, its long columns by the digests in `provenance`; the row, with the loader's name for its video."""
    said = versions.short_hash({k: v for k, v in row.items() if k not in HALVES})
    ids[versions.short_hash(row_id)] = f"{said}:{versions.short_hash(row['clip_id'])}"
    return {"file_name" if k == "video" else k: v for k, v in row.items()}


def _settle(aside: Path, path: Path, wanted: dict[str, str], out: Path) -> bool:
    """Put a new table in place of the old one, unless both say the same."""
    digest = File.of(aside).sha256
    wanted[path.relative_to(out).as_posix()] = digest
    if path.exists() and File.of(path).sha256 == digest:
        return False
    with open(aside, "rb") as f:
        os.fsync(f.fileno())
    aside.replace(path)
    sync_to_disk(path.parent)
    return True


def _document(
    out: Path, split_of: Mapping[str, str], features: Mapping[str, Features], nfbl: Nfbl, emotions: Emotions, settings: Export,
    known: Known, past: versions.Past, looks: Mapping[str, str], pairs: Sequence[NearDuplicate], made: Written,
) -> tuple[dict[str, Any], tuple[str, ...], str]:  # fmt: skip
    """Card, datasheet, Croissant, changelog and manifest, for tables that are there: (what they count, warnings, version)."""
    from deemo_data.dataset.counts import count
    from deemo_data.dataset.documents import statements

    counted = count(out, of=made.files)
    warnings = _warnings(counted, pairs)
    shape = {f"columns of {c}": versions.short_hash(list(f)) for c, f in features.items() if made.ids[c]}
    shape |= {"vocabulary of body language": nfbl.said} | ({"vocabulary of emotions": emotions.said} if made.ids["mer"] else {})
    date = known.date or versions.today()
    now = versions.Past(made.ids, {versions.short_hash(s): split for s, split in split_of.items()}, shape)
    entry = versions.compare(past, now, known.tombstones, date)
    entries = (*past.versions, *([entry] if entry else []))
    tables = {n: d for n, d in made.files.items() if n.endswith(".parquet")}

    def written(entries: tuple[versions.Entry, ...]) -> dict[str, str]:
        last = entries[-1]
        measured = statements.DatasetFacts(
            counted, nfbl, emotions, known.agreement, known.privacy, warnings, last.version, last.date,
            settings.contact, settings.terms, settings.gated,
        )  # fmt: skip
        return documents(measured, features, tables, entries)

    texts = written(entries)
    if entry is None and any(not _says(out / name, text) for name, text in texts.items() if (out / name).exists()):
        entries = (*entries, versions.documents_only(past, date))
        texts = written(entries)
    for name, text in texts.items():
        made.changed += write_if_changed(out / name, text)
        made.files[name] = hashlib.sha256(text.encode()).hexdigest()
    past = versions.Past(now.ids, now.splits, shape, entries, max(len(known.tombstones), past.tombstones))
    content = {
        "format": 2,
        "deemo_data": __version__,
        "version": entries[-1].version,
        "vocabularies": {v: {"name": x.name, "version": x.version} for v, x in (("nfbl", nfbl), ("emotions", emotions))},
        "seed": settings.seed,
        "alike": settings.alike,
        "counts": counted,
        "files": made.files,
        "looks": looks,
        "past": versions.to_row(past),
    }
    made.changed += write_if_changed(out / MANIFEST, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return counted, warnings, entries[-1].version


def documents(
    measured: DatasetFacts, features: Mapping[str, Features], tables: Mapping[str, str], entries: Sequence[versions.Entry]
) -> dict[str, str]:
    """Every document of a dataset, by its name. `tables`: path -> sha256."""
    from deemo_data.dataset.documents import card, croissant, datasheet

    return {
        "README.md": card.text(measured, features),
        "datasheet.md": datasheet.text(measured),
        "croissant.json": croissant.text(measured, features, tables),
        "CHANGELOG.md": versions.changelog(entries),
    }


def _says(path: Path, text: str) -> bool:
    return path.read_text("utf-8") == text


def _warnings(counted: Mapping[str, Any], pairs: Sequence[NearDuplicate]) -> tuple[str, ...]:
    found = []
    if assumed := counted["subjects_assumed"]:
        found.append(f"{assumed} of {counted['subjects']} subjects are assumed: one a source, since nobody said who is seen")
    if lacking := [s for s in SPLITS if s not in counted["splits"]]:
        found.append(f"no {' and no '.join(lacking)} split: there are {counted['subjects']} subjects")
    subjects = dict.fromkeys(p.subjects for p in pairs)
    for a, b in list(subjects)[:TOLD]:
        first = next(p for p in pairs if p.subjects == (a, b))
        found.append(f"subjects {a} and {b} are on one side: their clips {' and '.join(first.clips)} {first.why}")
    if len(subjects) > TOLD:
        found.append(f"{len(subjects) - TOLD} more pairs of subjects are on one side, since clips of theirs show the same")
    if not counted["records"]:
        found.append("no config mer: no clip has an emotion label")
    return tuple(found)


def _short(value: Any) -> str:
    said = value.get("label", value) if isinstance(value, dict) else value
    return repr(said)[:60]
