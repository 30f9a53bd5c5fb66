"""Clips that annotators may not see any more: those they report as identifying, and those that are barred for other reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from deemo_data.annotation.results import IDENTIFYING_QUESTION
from deemo_data.clip import Clip
from deemo_data.consent import has_consent
from deemo_data.labels.label import Label, PushRecord
from deemo_data.project import corrections, release
from deemo_data.project.clips import read_clips_if_any, read_sources_by_id
from deemo_data.pseudonyms import derive_public_id

if TYPE_CHECKING:
    from deemo_data.project.project import Project

NOTHING_IDENTIFYING = "nothing"  # the choice of an annotator who sees nothing that identifies a person


def withhold_identifying(project: Project, new_labels: Iterable[Label]) -> list[str]:
    """Withhold at once every span in which an annotator reports something identifying. Returns one line for each report.

    The clips of the span leave out/ now and stay away until the owner of the data has decided in `deemo review`.
    """
    reports = [label for label in new_labels if _reports_identifying(label)]
    if not reports:
        return []
    sources = {derive_public_id(project.secret, "v", i): i for i in read_sources_by_id(project)}
    lines = []
    for label in reports:
        what = ", ".join(sorted(set(label.value["choices"]) - {NOTHING_IDENTIFYING})) or "not said what"
        if source := sources.get(label.source):
            span = Clip(label.clip, source, label.start_ms, label.end_ms)
            if not corrections.is_withheld(project.root, span):
                corrections.withhold_clip(project.root, span)
            lines.append(f"clip {label.clip}: an annotator sees something identifying ({what}); withheld. Type: deemo review DIR")
        else:
            lines.append(f"clip {label.clip}: an annotator saw something identifying ({what}); its footage is no longer here")
    clips = read_clips_if_any(project)
    spans = corrections.read_withheld_spans(project.root)
    withheld = {c.id: c for span in spans for c in corrections.clips_under_correction(span, clips)}
    release.take_back_clips((), project, dropped=withheld.values())
    for label in reports:  # by its public id too: since the push, the footage may have been cut into other clips
        for path in project.served_dir.rglob(f"{label.clip}.*"):
            path.unlink()
    return lines


def _reports_identifying(label: Label) -> bool:
    return (
        label.kind == "choice"
        and label.value["name"] == IDENTIFYING_QUESTION
        and set(label.value["choices"]) != {NOTHING_IDENTIFYING}
    )


def find_barred_clips(project: Project, ledger: Iterable[PushRecord]) -> set[str]:
    """Public ids of the pushed clips that may not be shown any more.

    Such a clip is withheld, has no consent, was refused by the leak check, or its footage has left the project.
    """
    sources = {derive_public_id(project.secret, "v", i): s for i, s in read_sources_by_id(project).items()}
    refused_clips = [c for c in read_clips_if_any(project) if c.facts.get("leaks_passed") is False]
    refused = {derive_public_id(project.secret, "c", c.id) for c in refused_clips}
    spans = corrections.read_withheld_spans(project.root)
    barred = set()
    for line in ledger:
        source = sources.get(line.source)
        if source is None:
            if sources:  # a project without lists knows no footage at all: then nothing is barred for it
                barred.add(line.clip)
            continue
        clip = Clip(line.clip, source.source, line.start_ms, line.end_ms)
        if (
            not has_consent(source)
            or line.clip in refused
            or any(corrections.clips_under_correction(span, [clip]) for span in spans)
        ):
            barred.add(line.clip)
    return barred
