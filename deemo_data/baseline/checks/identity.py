"""Checks whether a person can be recognised from the released clips.

Probes try to name the person, from the published features, from the responses of untrained filters, and (for information only)
from the features of a trained model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from deemo_data.baseline.checks.check import (
    FOLDS,
    Check,
    Material,
    answer_check,
    format_finding,
    leave_unanswered,
    pluralise,
    power_sentence,
)
from deemo_data.baseline.checks.statistics import (
    Finding,
    assign_folds,
    draw_permutations,
    encode_labels,
    fit_smoothers,
    judge_measurements,
    judge_unwanted_effect,
    linear_kernel,
    measure_probe,
    permute_within_groups,
)

if TYPE_CHECKING:
    import numpy as np

MIN_CLIPS_PER_SUBJECT = 3  # some to learn from, some to ask about
MIN_SUBJECTS = 3

IDENTITY = Check(
    "identity", "Who is it?", "Can a person be recognised from the released clips, by somebody who has others of them?"
)


def check_identity(material: Material) -> Check:
    """Whether probes can name the person of a clip, among the subjects of the train split, from other clips of them.

    Null distribution: persons are exchanged among clips of the same emotion, so that a person's frequent emotion does not count
    as recognition. The verdict rests on the released features and the untrained encoder only: training can hide a leak from a
    probe on the trained features.
    """
    import numpy as np

    train = [k for k, e in enumerate(material.examples) if e.split == "train"]
    clips = Counter(material.subjects[k] for k in train)
    rows = np.array([k for k in train if clips[material.subjects[k]] >= MIN_CLIPS_PER_SUBJECT], int)
    subjects = [material.subjects[k] for k in rows]
    people = len(set(subjects))
    if people < MIN_SUBJECTS:
        subjects_there = f"{people} {pluralise(people, 'subject')} of the train split with {MIN_CLIPS_PER_SUBJECT} clips or more"
        reason = f"The dataset is too small: {subjects_there}, {MIN_SUBJECTS} are needed at least."
        return leave_unanswered(IDENTITY, material, reason)
    truth, names = encode_labels(subjects)
    folds = assign_folds([material.examples[k].clip_id for k in rows], FOLDS, material.seed)
    emotions = [material.labels[k] for k in rows]
    orders = draw_permutations(permute_within_groups(emotions), material.rounds, material.seed)
    if math.prod(math.factorial(min(n, 20)) for n in Counter(emotions).values()) < 10 * material.rounds:  # too few permutations
        reason = f"The dataset is too small: {len(rows)} clips of {people} subjects."
        return leave_unanswered(IDENTITY, material, reason)
    labels = truth[orders]

    def probe_tables(tables: Mapping[str, np.ndarray]) -> list[Finding]:
        grams = {name: linear_kernel(np.asarray(table)[rows]) for name, table in tables.items()}
        return judge_measurements(
            [
                measure_probe(name, fit_smoothers(gram, folds), labels, len(names), subjects, material.seed)
                for name, gram in grams.items()
            ]
        )

    findings = probe_tables({**material.features.identity_inputs, **material.untrained_features})
    trained_findings = probe_tables(material.trained_features)
    verdict = judge_unwanted_effect(findings)
    sentences = [
        f"Not by these probes, but from {len(rows)} clips of {people} people they would see a strong likeness only.",
        power_sentence(findings),
    ]
    if verdict == "problem":
        detected = sorted((f for f in findings if f.is_detected()), key=lambda f: -f.value)
        which = "; ".join(f"{f.name} {format_finding(f)}" for f in detected)
        sentences = [
            f"Yes. Of {people} people the right one is named, averaged over people, by {which}.",
            "What is published gives people away to whoever has other clips of them. deemo audit says by which channel.",
        ]
    elif verdict == "ok":
        sentences = [f"Not by these probes, among {people} people.", power_sentence(findings)]
    if trained_findings:
        sentences.append("Trained features are shown beside it and count for nothing: training may hide a leak that is there.")
    sentences.append(
        "Clips of one recording share room, clothes and light. Where a person has one recording only, that is what is found."
    )
    return answer_check(
        IDENTITY,
        replace(material, examples=tuple(material.examples[k] for k in rows)),
        verdict=verdict,
        sentences=sentences,
        findings=findings,
        context_findings=trained_findings,
    )
