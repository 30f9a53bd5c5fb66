"""Deemo agree; progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.files import write_if_changed
from deemo_data.labels import store
from deemo_data.labels.label import ADJUDICATE, TIMELINE
from deemo_data.project import release, withdrawals
from deemo_data.project.clips import current
from deemo_data.project.project import vocabularies

if TYPE_CHECKING:
    from deemo_data.project.project import Project


def agree(project: Project, rounds: int = 1000) -> dict[str, Any]:
    """How far the annotators agree, into out/agreement.json and out/agreement.html."""
    from deemo_data.agreement import measure
    from deemo_data.reports import agreement

    nfbl, emotions = vocabularies(project)
    with project.locked():
        safe, _ = release.release_all(current(project), project)
        said, pushed = store.in_force(project.labels), store.read_ledger(project.labels)
        gone = withdrawals.marks(project)
    measured = measure.measure(said, safe, nfbl, emotions, pushed, rounds=rounds)
    with project.locked():
        withdrawals.raise_if_new(project, gone)
        project.write_report("agreement.json", measured)
        write_if_changed(project.out / "agreement.html", agreement.page(measured))
    return measured


@dataclass(frozen=True)
class Progress:
    """How far the labelling of body language is, in clips: each is counted once, under the furthest that it has come."""

    pushed: int
    single: int
    reviewed: int
    adjudicated: int
    people: int


def progress(project: Project) -> Progress:
    """By the ledger and the labels in force."""
    lines = [line for line in store.read_ledger(project.labels) if line.template in (TIMELINE, ADJUDICATE)]
    seen: dict[str, dict[str, set[str]]] = {line.clip: {} for line in lines}
    for label in store.in_force(project.labels):
        if label.kind == "seen" and label.clip in seen and label.value in ("nfbl", "adjudicated"):
            seen[label.clip].setdefault(label.value, set()).add(label.annotator)
    done = [c for c in seen.values() if c.get("adjudicated", set()) - c.get("nfbl", set())]
    looked = [len(c.get("nfbl", ())) for c in seen.values() if c not in done]
    people = {who for c in seen.values() for group in c.values() for who in group}
    return Progress(len(seen), looked.count(1), sum(n > 1 for n in looked), len(done), len(people))
