"""Writes the videos and tables of a planned export, and keeps account of what it wrote.

Videos are hard links to the released clips. Tables are written one page of rows at a time. Only what differs from the folder is
replaced, so that a second export of the same clips and labels touches nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.dataset import versions
from deemo_data.dataset.export.mer import make_mer_records
from deemo_data.dataset.export.nfbl import make_nfbl_record
from deemo_data.dataset.layout import FLOAT16_COLUMNS, TABLES, remove_other_files
from deemo_data.dataset.records import texts_of_row
from deemo_data.dataset.tables import ROWS_PER_GROUP, TableWriter
from deemo_data.files import File, link_or_copy, staged, sync_to_disk, write_if_changed
from deemo_data.labels import screening

if TYPE_CHECKING:
    from deemo_data.clip import SafeClip
    from deemo_data.dataset.export.plan import ExportPlan


class DatasetWriter:
    """Writes a planned export, and keeps account of it.

    files        path in the folder -> sha256
    row_hashes   config -> hash of a row's id -> hashes of its content and of its clip's id (see versions.Past)
    left_out     one line per label or record that is not exported, with the reason
    unsupported  one line per statement in a text that the released data cannot support
    changed      how many files were written or removed
    """

    def __init__(self, plan: ExportPlan) -> None:
        self.plan = plan
        self.files: dict[str, str] = {}
        self.row_hashes: dict[str, dict[str, str]] = {config: {} for config in TABLES}
        self.left_out = list(plan.left_out)
        self.unsupported: list[str] = []
        self.changed = 0
        self._allowed = screening.visible_class_names(plan.nfbl)

    def write_split(self, split: str) -> None:
        """The videos of a split, then both of its tables."""
        clips = self.plan.clips_of_split(split)
        self._link_videos(split, clips)
        self._write_tables(split, clips)

    def write_document(self, name: str, text: str) -> None:
        """A document that the manifest lists."""
        self.changed += write_if_changed(self.plan.out / name, text)
        self.files[name] = hashlib.sha256(text.encode()).hexdigest()

    def write_manifest(self, name: str, text: str) -> None:
        """The file that lists the others, and not itself."""
        self.changed += write_if_changed(self.plan.out / name, text)

    def remove_other_files(self) -> None:
        """Remove from the split folders what is not part of this export."""
        self.changed += remove_other_files(self.plan.out, self.files)

    def _link_videos(self, split: str, clips: Sequence[SafeClip]) -> None:
        for clip in clips:
            name, sha256 = f"{split}/clips/{clip.id}.mp4", clip.files["video"].sha256
            self.files[name] = sha256
            self.changed += link_or_copy(clip.path("video"), self.plan.out / name, sha256)
        if clips:
            sync_to_disk(self.plan.out / split / "clips")

    def _write_tables(self, split: str, clips: Sequence[SafeClip]) -> None:
        plan = self.plan
        paths = {config: plan.out / split / table for config, table in TABLES.items()}
        with ExitStack() as stack:  # both tables take their places at its end, or neither
            tables = {
                c: TableWriter(stack.enter_context(staged(path)), plan.features[c], ROWS_PER_GROUP[c])
                for c, path in paths.items()
            }
            for clip in clips:
                self._add_rows(clip, tables["nfbl"], tables["mer"])
            for config, table in tables.items():
                if table.close():
                    self.changed += self._settle_table(table.path, paths[config])

    def _add_rows(self, clip: SafeClip, nfbl: TableWriter, mer: TableWriter) -> None:
        """Add the row of a clip to the nfbl table, and its records to the mer table."""
        plan, labels = self.plan, self.plan.labels_of_clip[clip.id]
        record = make_nfbl_record(clip, labels, plan.nfbl, f"clips/{clip.id}.mp4", plan.settings.allow_proposed)
        row = record.model_dump(by_alias=True)
        records, left_out = make_mer_records(clip, labels, plan.emotions, f"{clip.id}.mp4", row["events"])
        self.left_out += left_out
        nfbl.add(self._remember_row("nfbl", clip.id, row))
        texts: dict[str, str] = {}
        for mer_record in records:
            row = mer_record.model_dump(by_alias=True)
            texts |= texts_of_row(row, "mer")
            mer.add(self._remember_row("mer", mer_record.record_id, row))
        self._screen_texts(clip.id, texts)

    def _remember_row(self, config: str, row_id: str, row: dict[str, Any]) -> dict[str, Any]:
        """Note the hashes of a row, and return it with the name that the loader expects for the column of videos.

        Long columns are left out of the hash: `provenance` has digests of the files they come from.
        """
        content = versions.short_hash({name: value for name, value in row.items() if name not in FLOAT16_COLUMNS})
        self.row_hashes[config][versions.short_hash(row_id)] = f"{content}:{versions.short_hash(row['clip_id'])}"
        return {"file_name" if name == "video" else name: value for name, value in row.items()}

    def _screen_texts(self, clip_id: str, texts: dict[str, str]) -> None:
        """Note what texts about a clip claim that the released data cannot support."""
        for name, text in texts.items():
            for claim in screening.find_faults(text, allowed=self._allowed):
                self.unsupported.append(
                    f"clip {clip_id}: {name} has {screening.describe_claim(claim)}. Mend it on the page mer_clues"
                )

    def _settle_table(self, staging: Path, path: Path) -> bool:
        """Note the digest of a new table; whether it differs from the old one. An equal one is removed: the old one stays."""
        digest = File.of(staging).sha256
        self.files[path.relative_to(self.plan.out).as_posix()] = digest
        if path.exists() and File.of(path).sha256 == digest:
            staging.unlink()
            return False
        return True
