"""Whether what is released tells who it is: probes on its figures, on what untrained filters say, and on trained features."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from deemo_data.baseline.checks.check import FOLDS, Check, Material, cannot_check, make_check, plural, power_sentence, said
from deemo_data.baseline.checks.statistics import (
    Finding,
    as_numbers,
    deal_folds,
    draws,
    feared,
    judge,
    kernel,
    probe,
    smoothers,
    within_groups,
)

LEAST_CLIPS = 3  # of a subject: some to learn from, some to ask about
LEAST_SUBJECTS = 3


def identity(material: Material) -> Check:
    """Who is it, among the people of the train split, asked about clips that were not learned from.

    Null: people exchanged among clips of one emotion, so that a person's usual emotion gives nobody away.
    The verdict rests on the released inputs and the untrained encoder: training can hide a leak from a probe on its features.
    """
    import numpy as np

    title, asks = "Who is it?", "Can a person be recognised from the released clips, by somebody who has others of them?"
    train = [k for k, e in enumerate(material.examples) if e.split == "train"]
    clips = Counter(material.subjects[k] for k in train)
    rows = np.array([k for k in train if clips[material.subjects[k]] >= LEAST_CLIPS], int)
    subjects = [material.subjects[k] for k in rows]
    people = len(set(subjects))
    if people < LEAST_SUBJECTS:
        had = f"{people} {plural(people, 'subject')} of the train split with {LEAST_CLIPS} clips or more"
        why = f"The dataset is too small: {had}, {LEAST_SUBJECTS} are needed at least."
        return cannot_check("identity", title, asks, material, why)
    truth, names = as_numbers(subjects)
    folds = deal_folds([material.examples[k].clip_id for k in rows], FOLDS, material.seed)
    emotions = [material.labels[k] for k in rows]
    orders = draws(within_groups(emotions), material.rounds, material.seed)
    if math.prod(math.factorial(min(n, 20)) for n in Counter(emotions).values()) < 10 * material.rounds:
        return cannot_check(
            "identity", title, asks, material, f"The dataset is too small: {len(rows)} clips of {people} subjects."
        )
    dealt = truth[orders]

    def probes(parts: Mapping[str, np.ndarray]) -> list[Finding]:
        grams = {name: kernel(np.asarray(table)[rows]) for name, table in parts.items()}
        return judge([probe(n, smoothers(g, folds), dealt, len(names), subjects, material.seed) for n, g in grams.items()])

    found, trained = probes({**material.summaries.parts, **material.untrained}), probes(material.trained)
    verdict = feared(found)
    words = [
        f"Not by these probes, but from {len(rows)} clips of {people} people they would see a strong likeness only.",
        power_sentence(found),
    ]
    if verdict == "problem":
        which = "; ".join(f"{f.name} {said(f)}" for f in sorted(found, key=lambda f: -f.value) if f.seen())
        words = [
            f"Yes. Of {people} people the right one is named, averaged over people, by {which}.",
            "What is published gives people away to whoever has other clips of them. deemo audit says by which channel.",
        ]
    elif verdict == "ok":
        words = [f"Not by these probes, among {people} people.", power_sentence(found)]
    if trained:
        words.append("Trained features are shown beside it and count for nothing: training may hide a leak that is there.")
    words.append(
        "Clips of one recording share room, clothes and light. Where a person has one recording only, that is what is found."
    )
    asked = replace(material, examples=tuple(material.examples[k] for k in rows))
    return make_check("identity", title, asks, verdict, words, found, trained, asked)
