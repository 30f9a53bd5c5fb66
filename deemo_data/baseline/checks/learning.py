"""Whether emotions can be learned from the clips, from which modality, and whether more people would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deemo_data.baseline.checks.check import (
    FOLDS,
    Check,
    Material,
    cannot_check,
    lacking,
    make_check,
    power_sentence,
    said,
    thinned,
)
from deemo_data.baseline.checks.statistics import (
    Finding,
    Measured,
    Verdict,
    as_numbers,
    deal_folds,
    draws,
    guesses,
    hoped,
    interval,
    judge,
    kernel,
    probe,
    recall,
    smoothers,
    whole_groups,
)

if TYPE_CHECKING:
    import numpy as np


MODALITIES = {"body": "the body", "voice": "the voice", "transcript": "the transcript"}
FEW = 600  # clips whose modalities are exchanged: each exchange is a new fit
RIDGE = 1.0  # of probes that are fitted anew in each round
CURVE_SUBJECTS = 8  # with fewer there is no curve
TRIES = 4  # draws of subjects for each point of the curve
CEILING = 0.9  # recall from which on there is little left to rise


def kernels(material: Material) -> dict[str, np.ndarray]:
    """(n, n) for each modality, in units in which each counts as much as another."""
    summaries = material.summaries
    return {"body": kernel(summaries.body), "voice": kernel(summaries.voice), "transcript": word_kernel(summaries.transcripts)}


def word_kernel(transcripts: Sequence[str]) -> np.ndarray:
    """(n, n): likeness of transcripts by their words and pairs of words (tf-idf), centred, mean diagonal 1; 0 without words."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    analyse = vectorizer.build_analyzer()
    seen: dict[str, int] = {}
    for text in transcripts:
        for term in set(analyse(text)):
            seen[term] = seen.get(term, 0) + 1
    if max(seen.values(), default=0) < 2:
        return np.zeros((len(transcripts), len(transcripts)))
    words = vectorizer.fit_transform(transcripts).toarray()
    words -= words.mean(axis=0)
    gram = words @ words.T
    size = float(np.trace(gram)) / len(gram)
    return gram / size if size > 1e-6 else np.zeros_like(gram)  # all say the same


def learnable(material: Material) -> Check:
    """Held-out people's emotions by a ridge probe on all clips, against labels dealt anew to whole subjects."""
    asks = "Can the emotions of people who were not learned from be told at all?"
    if why := lacking(material.subjects, material.labels):
        return cannot_check("learnable", "Can it be learned?", asks, material, why)
    grams, truth, names = kernels(material), *as_numbers(material.labels, material.emotions)
    folds = deal_folds(material.subjects, FOLDS, material.seed)
    dealt = truth[draws(whole_groups(material.subjects), material.rounds, material.seed)]
    inputs = {"body and voice": grams["body"] + grams["voice"], "body, voice and transcript": sum(grams.values())}
    found = judge([probe(n, smoothers(g, folds), dealt, len(names), material.subjects) for n, g in inputs.items()])
    best, guess = max(found, key=lambda f: f.value), 1 / len(names)
    verdict = hoped(found)
    if verdict == "ok" and (best.low is None or best.low <= guess):
        verdict = "inconclusive"
    words = {
        "ok": f"Yes. From {best.name}, average recall over {len(names)} emotions is {said(best)}; always saying the most "
        f"frequent one gives {guess:.2f}.",
        "problem": f"Not learnable by these probes: average recall is {said(best)}, no better than with shuffled labels. Labels "
        "may be wrong or shuffled, or rest on what these probes do not see.",
        "inconclusive": f"Average recall is {said(best)}; from {len(set(material.subjects))} subjects that may be luck.",
    }[verdict]
    return make_check("learnable", "Can it be learned?", asks, verdict, [words, power_sentence(found)], found, (), material)


def modalities(material: Material) -> Check:
    """What is lost when a probe is retrained without a modality, against that modality's rows exchanged between subjects."""
    import numpy as np

    asks = "Does each of body, voice and transcript add something that the others do not have?"
    title = "What does each modality add?"
    if why := lacking(material.subjects, material.labels):
        return cannot_check("modalities", title, asks, material, why)
    material = thinned(material, FEW)
    people = material.subjects
    if why := lacking(people, material.labels):
        return cannot_check("modalities", title, asks, material, why)
    truth, names = as_numbers(material.labels, material.emotions)
    grams = kernels(material)
    present = {m: g for m, g in grams.items() if g.any()}
    folds = deal_folds(people, FOLDS, material.seed)
    orders = draws(whole_groups(people), material.rounds, material.seed)
    whole = _recall(np.sum(list(present.values()), axis=0), folds, truth, len(names))
    lost, alone = [], []
    for name, gram in present.items():
        rest = sum((g for m, g in present.items() if m != name), np.zeros_like(gram))
        without = _recall(rest, folds, truth, len(names)) if rest.any() else 1 / len(names)
        null = [_recall(rest + gram[np.ix_(o, o)], folds, truth, len(names)) - without for o in orders[1:]]
        lost.append(Measured(name, whole - without, np.array(null), len(truth), scale=1 - 1 / len(names)))
        alone.append(probe(f"{name} alone", smoothers(gram, folds, ridges=[RIDGE]), truth[orders], len(names), people))
    found, by_itself = judge(lost), judge(alone)
    parted = [_modality(f, a) for f, a in zip(found, by_itself, strict=True)]
    verdicts = [verdict for _, verdict in parted]
    told = {"ok": "of use", "problem": "of no use to these probes", "inconclusive": "nothing can be said of"}
    short_of = [f"{words}: {', '.join(which)}" for v, words in told.items()
                if (which := [f.name for f, own in zip(found, verdicts, strict=True) if own == v])]  # fmt: skip
    words = [f"{'; '.join(short_of).capitalize()}.", *(sentence for sentence, _ in parted)]
    for name in grams.keys() - present.keys():
        words.append(f"{MODALITIES[name].capitalize()} is empty, or the same in all clips.")
    worst: Verdict = "problem" if "problem" in verdicts else "inconclusive" if "inconclusive" in verdicts else "ok"
    more = {"all": round(whole, 6), "clips": len(truth)}
    lost_without = [replace(f, name=f"lost without {f.name}") for f in found]
    return make_check("modalities", title, asks, worst, words, lost_without, by_itself, material, more)


def _modality(lost: Finding, alone: Finding) -> tuple[str, Verdict]:
    name = MODALITIES[lost.name].capitalize()
    figures = (
        f"retrained without it, average recall changes by {round(-lost.value, 2) + 0.0:+.2f}; alone it reaches {said(alone)}"
    )
    if lost.seen():
        return f"{name} adds something: {figures}.", "ok"
    if alone.seen():
        return f"{name} says something, but nothing that the others do not say: {figures}.", "ok"
    if alone.could_see():
        return f"{name} adds nothing that these probes can use: {figures}.", "problem"
    return f"Of {MODALITIES[lost.name]} nothing can be said: {figures}. The dataset is too small for it.", "inconclusive"


def _recall(gram: np.ndarray, folds: np.ndarray, truth: np.ndarray, classes: int) -> float:
    """Average recall of a ridge probe with people held out: one fit a fold."""
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve

    share = np.bincount(truth, minlength=classes) / len(truth)
    targets = (np.eye(classes)[truth] - share) / np.sqrt(share)
    said = np.empty(len(truth), int)
    for fold in np.unique(folds):
        test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        factor = cho_factor(gram[np.ix_(train, train)] + RIDGE * np.eye(len(train)), overwrite_a=True, check_finite=False)
        said[test] = (gram[np.ix_(test, train)] @ cho_solve(factor, targets[train], check_finite=False)).argmax(axis=1)
    return float(recall(truth, said, classes))


def curve(material: Material) -> Check:
    """Average recall by number of people learned from, with others held out; its rise, against shuffled labels."""
    import numpy as np

    asks = "Does more data teach more, and would still more help?"
    title = "Learning curve"
    if why := lacking(material.subjects, material.labels, CURVE_SUBJECTS):
        return cannot_check("curve", title, asks, material, why)
    grams, truth, names = kernels(material), *as_numbers(material.labels, material.emotions)
    folds = deal_folds(material.subjects, FOLDS, material.seed)
    dealt = truth[draws(whole_groups(material.subjects), material.rounds, material.seed)]
    gram, subjects = np.sum(list(grams.values()), axis=0), np.array(material.subjects)
    people = np.unique(subjects)
    learned = round(len(people) * (FOLDS - 1) / FOLDS)
    sizes = [s for s in (2, 4, 8, 16, 32, 64, 128) if s < 0.75 * learned] + [learned]
    rng, points, spans = np.random.default_rng(material.seed), [], []
    for size in sizes:
        tries = []
        for _ in range(TRIES if size < learned else 1):
            kept = np.isin(subjects, rng.permutation(people)[: round(len(people) * size / learned)])
            said_of = guesses(smoothers(gram, folds, kept, [RIDGE])[0], dealt, len(names))
            tries.append(recall(dealt, said_of, len(names)))
        spans.append(interval(said_of[0] == truth, truth, subjects))
        points.append(np.mean(tries, axis=0))
    scale = 1 - 1 / len(names)
    rises = {"from the first point to the last": points[-1] - points[0], "by the last step": points[-1] - points[-2]}
    found = judge([Measured(n, float(r[0]), r[1:], len(truth), scale=scale) for n, r in rises.items()])
    verdict, words = _rise(found, points, sizes)
    more: Mapping[str, object] = {
        "points": [
            {"subjects": s, "value": round(float(p[0]), 6), "null": [round(float(v), 6) for v in np.percentile(p[1:], [5, 95])],
             "low": None if span is None else round(span[0], 6), "high": None if span is None else round(span[1], 6)}
            for s, p, span in zip(sizes, points, spans, strict=True)
        ]
    }  # fmt: skip
    return make_check("curve", title, asks, verdict, words, found, (), material, more)


def _rise(found: Sequence[Finding], points: Sequence[np.ndarray], sizes: Sequence[int]) -> tuple[Verdict, list[str]]:
    rise, last = found
    first, end = float(points[0][0]), float(points[-1][0])
    told = f"From {sizes[0]} to {sizes[-1]} people learned from, average recall goes from {first:.2f} to {end:.2f}."
    if rise.seen():
        more = "It still rises by the last step: more people would help." if last.seen() else (
            "The last step brings little: for probes like these there are people enough."
        )  # fmt: skip
        return "ok", [told, more]
    if first >= CEILING:
        return "ok", [told, "A few people are enough to learn it from, so there is nothing left to rise."]
    if rise.could_see():
        return "problem", [
            told,
            "More data teaches these probes nothing: see whether it can be learned at all.",
            power_sentence([rise]),
        ]
    return "inconclusive", [told, "With so few people a rise could be chance.", power_sentence([rise])]
