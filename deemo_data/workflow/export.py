"""`deemo export`: releases the clips of a project and writes the dataset into out/dataset.

dataset/export/ writes it and knows no project. This file gathers what it needs: released clips, labels, reports and settings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deemo_data import pseudonyms
from deemo_data.dataset import versions
from deemo_data.dataset.export.export import ExportResult, export_dataset
from deemo_data.dataset.export.plan import DocumentInputs
from deemo_data.dataset.layout import clear_dataset
from deemo_data.errors import NotReleasable
from deemo_data.labels import store
from deemo_data.labels.label import Label
from deemo_data.project import release, withdrawals
from deemo_data.project.problems import Problem
from deemo_data.project.project import Project, load_vocabularies
from deemo_data.sources import subjects

FREE_TEXT_KINDS = (
    "clue_video",
    "clue_audio",
    "clue_text",
    "reasoning",
    "emotion_words",
)  # kinds of labels whose value is free text


def export_project(project: Project, allow_proposed: bool = False) -> tuple[ExportResult, list[Problem]]:
    """Release every clip that may go and export it with its labels; the result, and a problem for each clip that stays.

    allow_proposed  also export events that no person has confirmed

    Raises NotReleasable when no clip may go; a dataset that is there is then removed.
    """
    settings = project.config.export
    nfbl, emotions = load_vocabularies(project)
    with project.lock():
        safe, problems = release.release_current_clips(project)
        project.write_report("export.json", [vars(p) for p in problems])
        if not safe:
            clear_dataset(project.dataset_dir)
            reason = f"nothing may be exported: {problems[0]}" if problems else "there are no clips"
            raise NotReleasable(reason, "" if problems else f"Type: deemo segment {project.root}, then deemo run {project.root}")
        labels, left_out = drop_labels_with_names(project, store.read_labels(project.labels_dir))
        result = export_dataset(
            safe, labels, project.dataset_dir, inputs=read_document_inputs(project), nfbl=nfbl, emotions=emotions,
            settings=replace(settings, allow_proposed=settings.allow_proposed or allow_proposed),
        )  # fmt: skip
    return replace(result, left_out=(*left_out, *result.left_out)), problems


def drop_labels_with_names(project: Project, labels: Sequence[Label]) -> tuple[list[Label], list[str]]:
    """The labels without those whose free text has a known name of their source, and a line for each label left out.

    An annotator may have recognised a person and written the name. So free text is searched for names, as speech is.
    """
    from deemo_data.models.text import known_names

    people = subjects.read_subjects(project.private_dir / "subjects.csv")
    names_by_source = {pseudonyms.derive_public_id(project.secret, "v", p.source): p.all_names for p in people}
    without_names, lines = [], []
    for label in labels:
        texts = [t for t in (label.value if isinstance(label.value, list) else [label.value]) if isinstance(t, str)]
        names = names_by_source.get(label.source, ())
        if label.kind in FREE_TEXT_KINDS and names and any(known_names.find_known_names(t.split(), names) for t in texts):
            lines.append(f"clip {label.clip}: {label.kind} has a name that is known of its source, left out: it must be mended")
        else:
            without_names.append(label)
    return without_names, lines


def read_document_inputs(project: Project) -> DocumentInputs:
    """The reports of `deemo agree` and `deemo audit`, where there are any, and the withdrawals: for the dataset's documents."""

    def read_report(name: str) -> dict[str, Any] | None:
        path = project.out_dir / name
        return json.loads(path.read_text("utf-8")) if path.is_file() else None

    return DocumentInputs(
        read_report("agreement.json"),
        read_report("privacy.json"),
        versions.read_tombstones(project.root / withdrawals.WITHDRAWALS_FILE),
    )
