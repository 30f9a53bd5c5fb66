"""Deemo export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deemo_data import pseudonyms
from deemo_data.dataset import versions
from deemo_data.dataset.export.export import Exported, Known
from deemo_data.dataset.export.export import export as write_dataset
from deemo_data.dataset.layout import clear
from deemo_data.errors import NotReleasable
from deemo_data.labels import store
from deemo_data.labels.label import Label
from deemo_data.project import release, withdrawals
from deemo_data.project.clips import current
from deemo_data.project.problems import Problem, as_problems
from deemo_data.project.project import Project, vocabularies
from deemo_data.sources import subjects

WRITTEN = ("clue_video", "clue_audio", "clue_text", "reasoning", "emotion_words")  # labels that people write freely


def export(project: Project, allow_proposed: bool = False) -> tuple[Exported, list[Problem]]:
    """Release and export: every clip that may go, with its labels, to out/dataset."""
    settings = project.config.export
    nfbl, emotions = vocabularies(project)
    with project.locked():
        safe, kept = release.release_all(current(project), project)
        missing = as_problems(kept)
        project.write_report("export.json", [vars(m) for m in missing])
        if not safe:
            clear(project.dataset)
            reason = f"nothing may be exported: {missing[0]}" if missing else "there are no clips"
            raise NotReleasable(reason, "" if missing else f"Type: deemo segment {project.root}, then deemo run {project.root}")
        said, unnamed = without_names(project, store.in_force(project.labels))
        made = write_dataset(
            safe, said, project.dataset, known=document_inputs(project), nfbl=nfbl, emotions=emotions,
            settings=replace(settings, allow_proposed=settings.allow_proposed or allow_proposed),
        )  # fmt: skip
    return replace(made, left_out=(*unnamed, *made.left_out)), missing


def without_names(project: Project, said: Sequence[Label]) -> tuple[list[Label], list[str]]:
    """Labels without those whose text has a name that is known of their source, and a line for each of these.

    Who writes a clue may have recognised somebody: what annotators write is looked through like what is spoken.
    """
    from deemo_data.models.text import known_names

    people = subjects.read_subjects(project.private / "subjects.csv")
    known_of = {pseudonyms.public_id(project.secret, "v", p.source): p.all_names for p in people}
    kept, lines = [], []
    for label in said:
        texts = [t for t in (label.value if isinstance(label.value, list) else [label.value]) if isinstance(t, str)]
        known = known_of.get(label.source, ())
        if label.kind in WRITTEN and known and any(known_names.find_known_names(t.split(), known) for t in texts):
            lines.append(f"clip {label.clip}: {label.kind} has a name that is known of its source, left out: it must be mended")
        else:
            kept.append(label)
    return kept, lines


def document_inputs(project: Project) -> Known:
    """What was measured of the project, and who withdrew, for the dataset's documents."""

    def said(name: str) -> dict[str, Any] | None:
        path = project.out / name
        return json.loads(path.read_text("utf-8")) if path.is_file() else None

    return Known(said("agreement.json"), said("privacy.json"), versions.read_tombstones(project.root / withdrawals.WITHDRAWN))
