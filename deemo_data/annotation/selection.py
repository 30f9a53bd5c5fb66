"""Which clips a push sends for a template, and as which tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from deemo_data.annotation.drafts import draft_clues, rank_moments
from deemo_data.annotation.pages import tasks
from deemo_data.errors import LabelError
from deemo_data.labels import label, store
from deemo_data.project.project import load_vocabularies

if TYPE_CHECKING:
    from deemo_data.clip import SafeClip
    from deemo_data.project.project import Project


def select_tasks(
    project: Project, clips: Sequence[SafeClip], template: str, pushed: Collection[str] = ()
) -> Iterator[tasks.ImportTask]:
    """The tasks of a template, for released clips that were not `pushed` (public ids) before.

    adjudicate     only clips whose annotators disagree
    clip_review    only candidates for strong emotion (see `deemo moments`); every clip when there is no candidate
    mer_clues      every clip, with drafts of the clues
    nfbl_timeline  every clip; raises LabelError when a clip has no proposals yet
    """
    (nfbl, emotions), labels = load_vocabularies(project), store.read_labels(project.labels_dir)
    new = [c for c in clips if c.id not in pushed]
    if template == label.ADJUDICATION_TEMPLATE:
        return tasks.build_dispute_tasks(new, nfbl, labels, max_versions=project.config.labelling.overlap)
    drafts = draft_clues(project, clips, labels, nfbl, emotions) if template == label.CLUES_TEMPLATE else {}
    if template == label.REVIEW_TEMPLATE:
        candidates = {m.clip for m in rank_moments(project, clips, labels) if m.candidate}
        new = [c for c in new if c.id in candidates or not candidates]
    if template == label.TIMELINE_TEMPLATE and (lacking := [c.id for c in new if c.facts.get("proposals") is None]):
        raise LabelError(f"{len(lacking)} clips have no proposals yet, first {lacking[0]}", f"Type: deemo run {project.root}")
    return tasks.build_tasks(new, template, nfbl, labels, share=project.config.labelling.proposals, drafts=drafts)
