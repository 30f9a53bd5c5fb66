"""Writes the documents of an export: card, datasheet, Croissant file, changelog and manifest.

The tables are written by then: the documents report what is counted in them. The version follows from a comparison of their rows
with those of the previous version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data import __version__
from deemo_data.dataset import versions
from deemo_data.dataset.counts import count_dataset
from deemo_data.dataset.documents import card, croissant, datasheet
from deemo_data.dataset.documents.statements import DatasetFacts
from deemo_data.dataset.layout import MANIFEST, SPLITS
from deemo_data.labels.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    from datasets import Features

    from deemo_data.dataset.export.plan import ExportPlan
    from deemo_data.dataset.export.writer import DatasetWriter
    from deemo_data.dataset.near_duplicates import NearDuplicate

MAX_LISTED_PAIRS = 10  # pairs of subjects with near duplicates that are named


@dataclass(frozen=True)
class DocumentedVersion:
    """What the documents of an export say: counts of the tables, warnings, the version."""

    counts: Mapping[str, Any]
    warnings: tuple[str, ...]
    version: str


def write_documents(plan: ExportPlan, writer: DatasetWriter) -> DocumentedVersion:
    """Write all documents and the manifest about the tables that the writer wrote."""
    counts = count_dataset(plan.out, of=writer.files)
    warnings = collect_warnings(counts, plan.near_duplicates)
    now = _describe_version(plan, writer)
    date = plan.inputs.date or versions.today()
    entry = versions.compare_versions(plan.previous, now, plan.inputs.tombstones, date)
    entries = (*plan.previous.versions, *([entry] if entry else []))
    tables = {path: sha256 for path, sha256 in writer.files.items() if path.endswith(".parquet")}

    def render(entries: Sequence[versions.VersionEntry]) -> dict[str, str]:
        facts = DatasetFacts(
            counts=counts, nfbl=plan.nfbl, emotions=plan.emotions, agreement=plan.inputs.agreement, privacy=plan.inputs.privacy,
            warnings=warnings, version=entries[-1].version, date=entries[-1].date, contact=plan.settings.contact,
            terms=plan.settings.terms, gated=plan.settings.gated,
        )  # fmt: skip
        return render_documents(facts, plan.features, tables, entries)

    texts = render(entries)
    if entry is None and any(_differs(plan.out / name, text) for name, text in texts.items()):
        entries = (*entries, versions.documents_only_entry(plan.previous, date))
        texts = render(entries)
    for name, text in texts.items():
        writer.write_document(name, text)
    tombstones = max(len(plan.inputs.tombstones), plan.previous.tombstones)
    snapshot = versions.Snapshot(now.ids, now.splits, now.shape, entries, tombstones)
    writer.write_manifest(MANIFEST, _manifest_text(plan, writer, counts, snapshot))
    return DocumentedVersion(counts, warnings, entries[-1].version)


def render_documents(
    facts: DatasetFacts, features: Mapping[str, Features], tables: Mapping[str, str], entries: Sequence[versions.VersionEntry]
) -> dict[str, str]:
    """Every document of a dataset, by its file name. A new document is one line here.

    tables  path in the dataset -> sha256
    """
    return {
        "README.md": card.render_card(facts, features),
        "datasheet.md": datasheet.render_datasheet(facts),
        "croissant.json": croissant.render_croissant(facts, features, tables),
        "CHANGELOG.md": versions.render_changelog(entries),
    }


def collect_warnings(counts: Mapping[str, Any], pairs: Sequence[NearDuplicate]) -> tuple[str, ...]:
    """What whoever exports or uses the dataset should know: assumed subjects, missing splits, near duplicates."""
    warnings = []
    if assumed := counts["subjects_assumed"]:
        warnings.append(f"{assumed} of {counts['subjects']} subjects are assumed: one a source, since nobody said who is seen")
    if lacking := [s for s in SPLITS if s not in counts["splits"]]:
        warnings.append(f"no {' and no '.join(lacking)} split: there are {counts['subjects']} subjects")
    first_pair: dict[tuple[str, str], NearDuplicate] = {}
    for pair in pairs:
        first_pair.setdefault(pair.subjects, pair)
    for (a, b), pair in list(first_pair.items())[:MAX_LISTED_PAIRS]:
        warnings.append(f"subjects {a} and {b} are on one side: their clips {' and '.join(pair.clips)} {pair.reason}")
    if len(first_pair) > MAX_LISTED_PAIRS:
        more = len(first_pair) - MAX_LISTED_PAIRS
        warnings.append(f"{more} more pairs of subjects are on one side, since clips of theirs show the same")
    if not counts["records"]:
        warnings.append("no config mer: no clip has an emotion label")
    return tuple(warnings)


def _describe_version(plan: ExportPlan, writer: DatasetWriter) -> versions.Snapshot:
    """The rows, splits and columns of this export, in the form in which the manifest remembers them."""
    columns = {c: features for c, features in plan.features.items() if writer.row_hashes[c]}
    shape = {f"columns of {config}": versions.short_hash(list(features)) for config, features in columns.items()}
    shape["vocabulary of body language"] = plan.nfbl.versioned_name
    if "mer" in columns:
        shape["vocabulary of emotions"] = plan.emotions.versioned_name
    splits = {versions.short_hash(subject): split for subject, split in plan.split_of.items()}
    return versions.Snapshot(writer.row_hashes, splits, shape)


def _differs(path: Path, text: str) -> bool:
    """Whether there is such a file, and it holds another text."""
    return path.exists() and path.read_text("utf-8") != text


def _manifest_text(plan: ExportPlan, writer: DatasetWriter, counts: Mapping[str, Any], snapshot: versions.Snapshot) -> str:
    vocabularies: dict[str, Nfbl | Emotions] = {"nfbl": plan.nfbl, "emotions": plan.emotions}
    content = {
        "format": 2,
        "deemo_data": __version__,
        "version": snapshot.version,
        "vocabularies": {key: {"name": v.name, "version": v.version} for key, v in vocabularies.items()},
        "seed": plan.settings.seed,
        "alike": plan.settings.alike,
        "counts": counts,
        "files": writer.files,
        "looks": plan.hashes,
        "past": versions.to_row(snapshot),
    }
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
