"""Runs all checks on a dataset, in the order of the report.

`gather_material` reads the clips and computes their features; `run_checks` asks every question of CHECKS about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from deemo_data.baseline.checks import identity, learning, shortcuts
from deemo_data.baseline.checks.check import Check, Material
from deemo_data.baseline.checks.features import extract_features
from deemo_data.baseline.checks.statistics import PERMUTATION_ROUNDS

if TYPE_CHECKING:
    from deemo_data.baseline.data import Dataset

CHECKS: Mapping[str, Callable[[Material], Check]] = {
    "learnable": learning.check_learnable,
    "modalities": learning.check_modalities,
    "shortcuts": shortcuts.check_shortcuts,
    "subject_and_label": shortcuts.check_subject_and_label,
    "identity": identity.check_identity,
    "duplicates": shortcuts.check_duplicates,
    "curve": learning.check_learning_curve,
}  # by the name of the check, in the order of the report


def gather_material(
    dataset: Dataset,
    rounds: int = PERMUTATION_ROUNDS,
    seed: int = 0,
    pictures: bool = True,
    on_clip: Callable[[str], None] = lambda clip_id: None,
) -> Material:
    """Read the clips of a dataset and compute their features.

    rounds    permutations for each null distribution
    pictures  whether to decode the videos, which takes most of the time
    on_clip   called with the id of each clip after it was read
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        features = extract_features(dataset.examples, pictures, on_clip)
    return Material(dataset.examples, features, dataset.emotions, rounds, seed)


def run_checks(material: Material, on_check: Callable[[str], None] = lambda name: None) -> list[Check]:
    """The results of all checks, in the order of CHECKS.

    on_check  called with the name of each check after it is done

    Runs on one thread: thousands of small matrix products are slower with several, and much slower on a busy machine.
    """
    from threadpoolctl import threadpool_limits

    results = []
    for name, check in CHECKS.items():
        with threadpool_limits(limits=1):
            results.append(check(material))
        on_check(name)
    return results
