"""Checks whether emotions can be learned from the clips, from which modality, and whether more people would help.

All three questions use kernel ridge probes on hand-made features, with whole subjects held out, and compare with labels that
are permuted between subjects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deemo_data.baseline.checks.check import (
    FOLDS,
    Check,
    Material,
    answer_check,
    explain_shortage,
    format_finding,
    leave_unanswered,
    limit_clips,
    power_sentence,
)
from deemo_data.baseline.checks.statistics import (
    Finding,
    Measurement,
    Verdict,
    assign_folds,
    average_recall,
    draw_permutations,
    encode_labels,
    fit_smoothers,
    judge_measurements,
    judge_wanted_effect,
    linear_kernel,
    measure_probe,
    permute_whole_groups,
    predict_classes,
    recall_interval,
)

if TYPE_CHECKING:
    import numpy as np


MODALITY_PHRASES = {"body": "the body", "voice": "the voice", "transcript": "the transcript"}
MAX_EXCHANGED_CLIPS = 600  # the modality check uses no more clips, because each exchange needs a new fit
RIDGE_STRENGTH = 1.0  # regularisation of probes that are fitted again in each round
CURVE_SIZES = (2, 4, 8, 16, 32, 64, 128)  # numbers of subjects at the points of the learning curve, as far as there are enough
MIN_CURVE_SUBJECTS = 8  # with fewer there is no learning curve
DRAWS_PER_POINT = 4  # random sets of subjects for each point of the learning curve
CEILING_RECALL = 0.9  # from this average recall on, there is little left to gain

LEARNABLE = Check("learnable", "Can it be learned?", "Can the emotions of people who were not learned from be told at all?")
MODALITIES = Check(
    "modalities",
    "What does each modality add?",
    "Does each of body, voice and transcript add something that the others do not have?",
)
CURVE = Check("curve", "Learning curve", "Does more data teach more, and would still more help?")


def modality_kernels(material: Material) -> dict[str, np.ndarray]:
    """One kernel (n, n) per modality, scaled so that all modalities count alike."""
    features = material.features
    return {
        "body": linear_kernel(features.body),
        "voice": linear_kernel(features.voice),
        "transcript": word_kernel(features.transcripts),
    }


def word_kernel(transcripts: Sequence[str]) -> np.ndarray:
    """(n, n): similarity of transcripts by the tf-idf of their words and word pairs, centred, with a mean diagonal of 1.

    All zeros when no word occurs in two transcripts, or when all transcripts are the same.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    analyse = vectorizer.build_analyzer()
    document_counts: dict[str, int] = {}
    for text in transcripts:
        for term in set(analyse(text)):
            document_counts[term] = document_counts.get(term, 0) + 1
    if max(document_counts.values(), default=0) < 2:
        return np.zeros((len(transcripts), len(transcripts)))
    words = vectorizer.fit_transform(transcripts).toarray()
    words -= words.mean(axis=0)
    gram = words @ words.T
    mean_diagonal = float(np.trace(gram)) / len(gram)
    return gram / mean_diagonal if mean_diagonal > 1e-6 else np.zeros_like(gram)


def check_learnable(material: Material) -> Check:
    """Whether a ridge probe predicts the emotions of held-out subjects better than it does with permuted labels."""
    if shortage := explain_shortage(material.subjects, material.labels):
        return leave_unanswered(LEARNABLE, material, shortage)
    grams, truth, names = modality_kernels(material), *encode_labels(material.labels, material.emotions)
    folds = assign_folds(material.subjects, FOLDS, material.seed)
    labels = truth[draw_permutations(permute_whole_groups(material.subjects), material.rounds, material.seed)]
    inputs = {"body and voice": grams["body"] + grams["voice"], "body, voice and transcript": sum(grams.values())}
    findings = judge_measurements(
        [measure_probe(name, fit_smoothers(gram, folds), labels, len(names), material.subjects) for name, gram in inputs.items()]
    )
    best, guess = max(findings, key=lambda f: f.value), 1 / len(names)
    verdict = judge_wanted_effect(findings)
    if verdict == "ok" and (best.low is None or best.low <= guess):
        verdict = "inconclusive"
    recall = format_finding(best)
    answer = {
        "ok": f"Yes. From {best.name}, average recall over {len(names)} emotions is {recall}; always saying the most "
        f"frequent one gives {guess:.2f}.",
        "problem": f"Not learnable by these probes: average recall is {recall}, no better than with shuffled labels. "
        "Labels may be wrong or shuffled, or rest on what these probes do not see.",
        "inconclusive": f"Average recall is {recall}; from {len(set(material.subjects))} subjects that may be luck.",
    }[verdict]
    return answer_check(LEARNABLE, material, verdict=verdict, sentences=[answer, power_sentence(findings)], findings=findings)


def check_modalities(material: Material) -> Check:
    """What a probe loses when it is retrained without one modality.

    Null distribution: the rows of that modality are exchanged between subjects, so that it carries no information.
    """
    import numpy as np

    if shortage := explain_shortage(material.subjects, material.labels):
        return leave_unanswered(MODALITIES, material, shortage)
    material = limit_clips(material, MAX_EXCHANGED_CLIPS)
    subjects = material.subjects
    if shortage := explain_shortage(subjects, material.labels):
        return leave_unanswered(MODALITIES, material, shortage)
    truth, names = encode_labels(material.labels, material.emotions)
    grams = modality_kernels(material)
    present = {modality: gram for modality, gram in grams.items() if gram.any()}
    folds = assign_folds(subjects, FOLDS, material.seed)
    orders = draw_permutations(permute_whole_groups(subjects), material.rounds, material.seed)
    with_all = _ridge_recall(np.sum(list(present.values()), axis=0), folds, truth, len(names))
    losses, alone = [], []
    for name, gram in present.items():
        others = sum((g for m, g in present.items() if m != name), np.zeros_like(gram))
        without = _ridge_recall(others, folds, truth, len(names)) if others.any() else 1 / len(names)
        null = [_ridge_recall(others + gram[np.ix_(o, o)], folds, truth, len(names)) - without for o in orders[1:]]
        losses.append(Measurement(name, with_all - without, np.array(null), len(truth), scale=1 - 1 / len(names)))
        smoothers = fit_smoothers(gram, folds, ridges=[RIDGE_STRENGTH])
        alone.append(measure_probe(f"{name} alone", smoothers, truth[orders], len(names), subjects))
    loss_findings, alone_findings = judge_measurements(losses), judge_measurements(alone)
    results = [_judge_modality(loss, one) for loss, one in zip(loss_findings, alone_findings, strict=True)]
    verdicts = [verdict for _, verdict in results]
    headings = {"ok": "of use", "problem": "of no use to these probes", "inconclusive": "nothing can be said of"}
    lists = [
        f"{heading}: {', '.join(which)}"
        for verdict, heading in headings.items()
        if (which := [f.name for f, own_verdict in zip(loss_findings, verdicts, strict=True) if own_verdict == verdict])
    ]
    sentences = [f"{'; '.join(lists).capitalize()}.", *(sentence for sentence, _ in results)]
    for name in grams.keys() - present.keys():
        sentences.append(f"{MODALITY_PHRASES[name].capitalize()} is empty, or the same in all clips.")
    worst: Verdict = "problem" if "problem" in verdicts else "inconclusive" if "inconclusive" in verdicts else "ok"
    return answer_check(
        MODALITIES,
        material,
        verdict=worst,
        sentences=sentences,
        findings=[replace(f, name=f"lost without {f.name}") for f in loss_findings],
        context_findings=alone_findings,
        details={"all": round(with_all, 6), "clips": len(truth)},
    )


def _judge_modality(loss: Finding, alone: Finding) -> tuple[str, Verdict]:
    """A sentence about one modality, and its verdict, from what is lost without it and what it reaches alone."""
    name = MODALITY_PHRASES[loss.name].capitalize()
    change = f"{round(-loss.value, 2) + 0.0:+.2f}"
    figures = f"retrained without it, average recall changes by {change}; alone it reaches {format_finding(alone)}"
    if loss.is_detected():
        return f"{name} adds something: {figures}.", "ok"
    if alone.is_detected():
        return f"{name} says something, but nothing that the others do not say: {figures}.", "ok"
    if alone.is_sensitive():
        return f"{name} adds nothing that these probes can use: {figures}.", "problem"
    return f"Of {MODALITY_PHRASES[loss.name]} nothing can be said: {figures}. The dataset is too small for it.", "inconclusive"


def _ridge_recall(gram: np.ndarray, folds: np.ndarray, truth: np.ndarray, classes: int) -> float:
    """Average recall of a ridge probe with held-out folds. Faster than `fit_smoothers`: one linear system per fold."""
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve

    share = np.bincount(truth, minlength=classes) / len(truth)
    targets = (np.eye(classes)[truth] - share) / np.sqrt(share)
    predicted = np.empty(len(truth), int)
    for fold in np.unique(folds):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        penalty = RIDGE_STRENGTH * np.eye(len(train))
        factor = cho_factor(gram[np.ix_(train, train)] + penalty, overwrite_a=True, check_finite=False)
        scores = gram[np.ix_(test, train)] @ cho_solve(factor, targets[train], check_finite=False)
        predicted[test] = scores.argmax(axis=1)
    return float(average_recall(truth, predicted, classes))


def check_learning_curve(material: Material) -> Check:
    """Average recall on held-out subjects by the number of subjects learned from, and whether it rises more than by chance."""
    import numpy as np

    if shortage := explain_shortage(material.subjects, material.labels, MIN_CURVE_SUBJECTS):
        return leave_unanswered(CURVE, material, shortage)
    grams, truth, names = modality_kernels(material), *encode_labels(material.labels, material.emotions)
    folds = assign_folds(material.subjects, FOLDS, material.seed)
    labels = truth[draw_permutations(permute_whole_groups(material.subjects), material.rounds, material.seed)]
    gram, subjects = np.sum(list(grams.values()), axis=0), np.array(material.subjects)
    people = np.unique(subjects)
    max_size = round(len(people) * (FOLDS - 1) / FOLDS)
    sizes = [size for size in CURVE_SIZES if size < 0.75 * max_size] + [max_size]
    rng, points, spans = np.random.default_rng(material.seed), [], []
    for size in sizes:
        recalls = []
        for _ in range(DRAWS_PER_POINT if size < max_size else 1):
            learnable = np.isin(subjects, rng.permutation(people)[: round(len(people) * size / max_size)])
            predicted = predict_classes(fit_smoothers(gram, folds, learnable, [RIDGE_STRENGTH])[0], labels, len(names))
            recalls.append(average_recall(labels, predicted, len(names)))
        spans.append(recall_interval(predicted[0] == truth, truth, subjects))
        points.append(np.mean(recalls, axis=0))
    scale = 1 - 1 / len(names)
    rises = {"from the first point to the last": points[-1] - points[0], "by the last step": points[-1] - points[-2]}
    findings = judge_measurements(
        [Measurement(name, float(rise[0]), rise[1:], len(truth), scale=scale) for name, rise in rises.items()]
    )
    verdict, sentences = _judge_rise(findings, points, sizes)
    details: Mapping[str, object] = {
        "points": [
            {
                "subjects": size,
                "value": round(float(point[0]), 6),
                "null": [round(float(v), 6) for v in np.percentile(point[1:], [5, 95])],
                "low": None if span is None else round(span[0], 6),
                "high": None if span is None else round(span[1], 6),
            }
            for size, point, span in zip(sizes, points, spans, strict=True)
        ]
    }
    return answer_check(CURVE, material, verdict=verdict, sentences=sentences, findings=findings, details=details)


def _judge_rise(findings: Sequence[Finding], points: Sequence[np.ndarray], sizes: Sequence[int]) -> tuple[Verdict, list[str]]:
    """The verdict of the learning curve and its sentences; findings: the whole rise, then that of the last step."""
    rise, last_step = findings
    first_recall, last_recall = float(points[0][0]), float(points[-1][0])
    course = (
        f"From {sizes[0]} to {sizes[-1]} people learned from, average recall goes from {first_recall:.2f} to {last_recall:.2f}."
    )
    if rise.is_detected():
        if last_step.is_detected():
            return "ok", [course, "It still rises by the last step: more people would help."]
        return "ok", [course, "The last step brings little: for probes like these there are people enough."]
    if first_recall >= CEILING_RECALL:
        return "ok", [course, "A few people are enough to learn it from, so there is nothing left to rise."]
    if rise.is_sensitive():
        advice = "More data teaches these probes nothing: see whether it can be learned at all."
        return "problem", [course, advice, power_sentence([rise])]
    return "inconclusive", [course, "With so few people a rise could be chance.", power_sentence([rise])]
