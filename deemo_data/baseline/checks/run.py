"""All checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deemo_data.baseline.checks.check import Check, Material
from deemo_data.baseline.checks.features import summarise
from deemo_data.baseline.checks.statistics import ROUNDS

if TYPE_CHECKING:
    from deemo_data.baseline.data import Dataset


def gather(
    dataset: Dataset,
    rounds: int = ROUNDS,
    seed: int = 0,
    pictures: bool = True,
    done: Callable[[str], None] = lambda name: None,
) -> Material:
    """Read the clips of a dataset. `pictures`: decode their videos, too. `done` is told the id of each clip."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        summaries = summarise(dataset.examples, pictures, done)
    return Material(dataset.examples, summaries, dataset.emotions, rounds, seed)


ORDER = ("learnable", "modalities", "shortcuts", "subject_and_label", "identity", "duplicates", "curve")


def run(material: Material, done: Callable[[str], None] = lambda name: None) -> list[Check]:
    """All checks, in the order of the page. `done` is told the name of each that is through.

    One thread: thousands of small matrices are slower with several, and very much so on a busy machine.
    """
    from threadpoolctl import threadpool_limits

    from deemo_data.baseline.checks import identity, learning, shortcuts

    makers = {
        "learnable": learning.learnable,
        "modalities": learning.modalities,
        "shortcuts": shortcuts.shortcuts,
        "subject_and_label": shortcuts.subject_and_label,
        "identity": identity.identity,
        "duplicates": shortcuts.duplicates,
        "curve": learning.curve,
    }
    found = []
    for name in ORDER:
        with threadpool_limits(limits=1):
            found.append(makers[name](material))
        done(name)
    return found
