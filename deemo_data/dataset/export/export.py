"""Exports released clips and their labels as a dataset folder.

`export` runs in three steps: plan.py decides what goes where, writer.py writes videos and tables, documents.py writes the card
and the other documents. page.py writes a page that shows the dataset, next to its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.dataset.export import page
from deemo_data.dataset.export.plan import DocumentInputs, plan_export
from deemo_data.dataset.export.settings import ExportSettings
from deemo_data.dataset.export.write_documents import write_documents
from deemo_data.dataset.export.writer import DatasetWriter
from deemo_data.dataset.layout import SPLITS, page_path, snapshot_path
from deemo_data.errors import DatasetError
from deemo_data.labels.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    from deemo_data.clip import SafeClip
    from deemo_data.labels.label import Label


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    splits    split -> clips
    left_out  one line per label or record that is not exported, with the reason
    changed   how many files were written or removed
    """

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


def export_dataset(
    clips: Sequence[SafeClip], labels: Sequence[Label], out: Path, *, nfbl: Nfbl, emotions: Emotions,
    settings: ExportSettings | None = None, inputs: DocumentInputs | None = None,
) -> ExportResult:  # fmt: skip
    """Write the dataset folder: tables and videos per split, the documents, and deemo.json; and OUT.html beside it.

    Only files that differ are written; files that are no longer part of the dataset are removed from the split folders.
    `labels` are those in force (labels.store.in_force). Raises DatasetError when there is no clip, or a row breaks a rule of
    records.py.
    """
    if not clips:
        raise DatasetError("there is no clip that may be exported", "Type: deemo status, it says what each clip waits for")
    settings, inputs = settings or ExportSettings(), inputs or DocumentInputs()
    plan = plan_export(clips, labels, out, nfbl=nfbl, emotions=emotions, settings=settings, inputs=inputs)
    writer = DatasetWriter(plan)
    for split in SPLITS:
        writer.write_split(split)
    documented = write_documents(plan, writer)
    writer.remove_other_files()
    snapshot_path(out).unlink(missing_ok=True)
    page_changed = page.write_page(out, page_path(out), nfbl, inputs.agreement)
    return ExportResult(
        splits={split: row["clips"] for split, row in documented.counts["splits"].items()},
        subjects=len(plan.split_of),
        events=documented.counts["events"],
        records=documented.counts["records"],
        left_out=tuple(writer.left_out),
        warnings=(*documented.warnings, *writer.unsupported),
        changed=writer.changed + page_changed,
        version=documented.version,
    )
