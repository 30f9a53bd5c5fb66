"""`deemo agree`: how far annotators agree, measured over a project; and how far the labelling is, for `deemo status`.

The measures are in agreement/measure.py, the report page in reports/agreement.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.files import write_if_changed
from deemo_data.labels import store
from deemo_data.labels.label import ADJUDICATION_TEMPLATE, TIMELINE_TEMPLATE
from deemo_data.labels.placing import drop_repeated
from deemo_data.project import withdrawals
from deemo_data.project.project import load_vocabularies
from deemo_data.project.release import release_current_clips

if TYPE_CHECKING:
    from deemo_data.project.project import Project


def measure_agreement(project: Project, rounds: int = 1000) -> dict[str, Any]:
    """Measure the agreement of the annotators. Writes out/agreement.json and out/agreement.html, and returns the former.

    rounds  of the bootstrap, for the intervals
    """
    from deemo_data.agreement import measure
    from deemo_data.reports import agreement

    nfbl, emotions = load_vocabularies(project)
    with project.lock():
        clips, _ = release_current_clips(project)
        labels, pushed = drop_repeated(store.read_labels(project.labels_dir)), store.read_ledger(project.labels_dir)
        marks = withdrawals.read_marks(project)
    report = measure.measure_agreement(labels, clips, nfbl, emotions, pushed, rounds=rounds)
    with withdrawals.unless_withdrawn(project, marks):
        project.write_report("agreement.json", report)
        write_if_changed(project.out_dir / "agreement.html", agreement.render_page(report))
    return report


@dataclass(frozen=True)
class Progress:
    """How far the labelling of body language is, in numbers of clips.

    pushed       clips that were sent to annotators
    single       of these, labelled by one person
    reviewed     labelled by several people
    adjudicated  decided by an adjudicator; such a clip counts here only
    people       number of annotators and adjudicators
    """

    pushed: int
    single: int
    reviewed: int
    adjudicated: int
    people: int


def count_progress(project: Project) -> Progress:
    """Count from the ledger and the labels in force."""
    lines = [
        line for line in store.read_ledger(project.labels_dir) if line.template in (TIMELINE_TEMPLATE, ADJUDICATION_TEMPLATE)
    ]
    groups_of: dict[str, dict[str, set[str]]] = {line.clip: {} for line in lines}
    for label in store.read_labels(project.labels_dir):
        if label.kind == "seen" and label.clip in groups_of and label.value in ("nfbl", "adjudicated"):
            groups_of[label.clip].setdefault(label.value, set()).add(label.annotator)
    clips = groups_of.values()  # of each clip: who saw it, as a member of which group
    adjudicated = [c for c in clips if c.get("adjudicated", set()) - c.get("nfbl", set())]
    labellers = [len(c.get("nfbl", ())) for c in clips if c not in adjudicated]
    people = {annotator for c in clips for group in c.values() for annotator in group}
    return Progress(len(clips), labellers.count(1), sum(n > 1 for n in labellers), len(adjudicated), len(people))
