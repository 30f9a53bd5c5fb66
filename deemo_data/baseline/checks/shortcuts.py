"""Ways to the answer that have nothing to do with emotion: facts of the file, who it is, and clips that are on both sides."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deemo_data.baseline.checks.check import FOLDS, Check, Material, cannot_check, lacking, make_check, power_sentence, said
from deemo_data.baseline.checks.features import COLOURS
from deemo_data.baseline.checks.statistics import (
    Measured,
    Verdict,
    as_numbers,
    deal_folds,
    draws,
    feared,
    freely,
    interval,
    judge,
    probe,
    recall,
    whole_groups,
)
from deemo_data.dataset import near_duplicates

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.data import Example


DEPTH, LEAF = 3, 5  # of the tree: at most 8 leaves, of at least so many clips
NEARLY = 0.9  # share of clips with one value, from which on (and with fewer others than a leaf has) it is as good as the same
ALIKE = 5  # of 256 bits in which two clips' pictures may differ and still show the same (as `alike` of deemo.toml)
SAME_COLOUR = 0.04  # mean distance of colours of 0 to 1 that encoding anew does not reach
WORDS = 20  # transcripts of at least so many words that are the same are no coincidence
FLAT = 0.2  # share of clips without a picture to compare, from which on the comparison says nothing
NAMED = 20  # pairs that are listed
DRAWN = ("clip length", "file size")  # by their first column, where they tell the emotion


def facts_of(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """What is known of each clip without looking into it, by kind: (n, columns)."""
    import numpy as np

    seconds = np.array([max(e.duration_ms, 1) / 1000 for e in examples])
    size = np.array([e.bytes for e in examples], float)
    sources = [str((e.source_facts["consent"], e.source_facts["asserted"], e.source_facts["licence"])) for e in examples]
    return {
        "clip length": np.stack([seconds, [e.num_frames for e in examples]], axis=1),
        "file size": np.stack([size, size / seconds], axis=1),
        "frame rate": np.array([[e.fps] for e in examples]),
        "picture size": np.array([[e.width, e.height] for e in examples], float),
        "consent and licence": _one_hot(sources),
        "how it was annotated": _one_hot([str(e.source_facts["annotation"]) for e in examples]),
    }


def _one_hot(values: Sequence[str]) -> np.ndarray:
    import numpy as np

    return np.array([[float(v == name) for name in sorted(set(values))] for v in values])


def shortcuts(material: Material) -> Check:
    """A depth-3 tree from each kind of fact to the emotion, people held out, against labels dealt anew to whole subjects."""
    import numpy as np

    title, asks = "Short cuts", "Can the emotion be told from the file alone: its length, size, frame rate, where it comes from?"
    if why := lacking(material.subjects, material.labels):
        return cannot_check("shortcuts", title, asks, material, why)
    truth, names = as_numbers(material.labels, material.emotions)
    folds = deal_folds(material.subjects, FOLDS, material.seed)
    dealt = truth[draws(whole_groups(material.subjects), material.rounds, material.seed)]
    kinds = facts_of(material.examples)
    same = [
        kind
        for kind, facts in kinds.items()
        if all(_most_alike(c) > max(len(truth) - LEAF, NEARLY * len(truth)) for c in facts.T)
    ]
    kinds = {kind: facts for kind, facts in kinds.items() if kind not in same}
    if len(kinds) > 1:
        kinds["all of these"] = np.concatenate(list(kinds.values()), axis=1)
    measured = []
    for kind, facts in kinds.items():
        guess = _trees(facts, folds, dealt, len(names))
        scores = recall(dealt, guess, len(names))
        span = interval(guess[0] == truth, truth, material.subjects, material.seed)
        measured.append(Measured(kind, float(scores[0]), scores[1:], len(truth), interval=span))
    found = judge(measured)
    verdict = feared(found) if found else "ok"
    seen = [f for f in found if f.seen()]
    drawn = {f.name: _drawn(kinds[f.name][:, 0], material.labels, names) for f in seen if f.name in DRAWN}
    which = f"by average recall: {'; '.join(f'{f.name} ({said(f)})' for f in seen)}"
    people = len(set(material.subjects))
    words = [
        {
            "ok": "Nothing of the kind was found.",
            "problem": f"The emotion can be told without looking into the clip, {which}. A model may learn that.",
            "inconclusive": f"Nothing was found, but from {people} subjects only something strong would be.",
        }[verdict]
    ]
    if found:
        words.append(power_sentence(found))
    if same:
        words.append(f"The same for all clips, or nearly, so no short cut: {', '.join(same)}.")
    words.append("Which recording a clip was cut from is not published: that can only be seen through its subject, see below.")
    return make_check("shortcuts", title, asks, verdict, words, found, (), material, {"same": same, "drawn": drawn})


def _most_alike(column: np.ndarray) -> int:
    """How many clips have the most frequent value."""
    import numpy as np

    return int(np.unique(column, return_counts=True)[1].max())


def _drawn(values: np.ndarray, labels: Sequence[str], names: Sequence[str]) -> dict[str, list[float]]:
    """Values by emotion, for the picture."""
    return {name: [round(float(v), 3) for v, label in zip(values, labels, strict=True) if label == name] for name in names}


def _trees(facts: np.ndarray, folds: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """What shallow trees say of clips whose people they have not seen: (rounds, n)."""
    import numpy as np
    import sklearn
    from sklearn.tree import DecisionTreeClassifier

    guess = np.zeros(labels.shape, int)
    facts = np.ascontiguousarray(facts, np.float32)
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
        for fold in np.unique(folds):
            train, test = folds != fold, folds == fold
            for number, row in enumerate(labels):
                weight = 1 / np.maximum(np.bincount(row[train], minlength=classes), 1)[row[train]]
                tree = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=LEAF, random_state=0)
                guess[number, test] = tree.fit(facts[train], row[train], sample_weight=weight).predict(facts[test])
    return guess


def subject_and_label(material: Material) -> Check:
    """What a subject's other clips say of a clip's emotion, against labels dealt anew to all clips."""
    import numpy as np

    title, asks = "Who, instead of what", "Does knowing who it is tell the emotion?"
    people = np.unique(np.array(material.subjects), return_inverse=True)[1]
    same = (people[:, None] == people[None]) & ~np.eye(len(people), dtype=bool)
    rows = np.flatnonzero(same.any(axis=1))
    subjects, labels = [material.subjects[k] for k in rows], [material.labels[k] for k in rows]
    if why := lacking(subjects, labels, 2):
        return cannot_check("subject_and_label", title, asks, material, f"{why} Only subjects with two clips or more count.")
    truth, names = as_numbers(labels, material.emotions)
    others = same[np.ix_(rows, rows)]
    dealt = truth[draws(freely(len(rows)), material.rounds, material.seed)]
    by_others = others / others.sum(axis=1, keepdims=True)
    found = judge([probe("the subject's other clips", [by_others], dealt, len(names), subjects)])
    verdict = feared(found)
    words = {
        "ok": f"No: guessing by the subject's other clips gives an average recall of {said(found[0])}.",
        "problem": f"Yes: guessing by the subject's other clips gives an average recall of {said(found[0])}. A model may learn "
        "who it is instead of what they show: judge it on people it has not seen only, and look at each emotion by itself.",
        "inconclusive": f"Guessing by the subject's other clips gives {said(found[0])}; of so few that may be luck.",
    }[verdict]
    return make_check("subject_and_label", title, asks, verdict, [words, power_sentence(found)], found, (), material)


def duplicates(material: Material) -> Check:
    """Clips of different splits that show the same pictures, have the same bytes or the same long transcript."""
    import numpy as np

    title, asks = "The same on both sides", "Is a clip of the test or validation split also in another split?"
    examples = material.examples
    splits = {e.split for e in examples}
    if len(splits) < 2:
        return cannot_check("duplicates", title, asks, material, f"There is only one split with emotions, {examples[0].split}.")
    whose = {e.clip_id: e.subject_id for e in examples}
    looks = {e.clip_id: near_duplicates.perceptual_hash(e.video) for e in examples}
    places = {e.clip_id: k for k, e in enumerate(examples)}
    alike = near_duplicates.same_pictures(whose, looks, ALIKE)
    pairs = [(p.clips, p.why) for p in alike if _same_colours(material, *(places[c] for c in p.clips))]
    pairs += _equal({e.clip_id: _digest(e.video) for e in examples}, "have the same video")
    pairs += _equal({e.clip_id: e.transcript for e in examples if len(e.transcript.split()) >= WORDS}, "have the same transcript")
    split_of = {e.clip_id: e.split for e in examples}
    across = [(clips, why) for clips, why in pairs if split_of[clips[0]] != split_of[clips[1]]]
    people = sorted(set(whose.values()))
    numbers = {name: n for n, name in enumerate(people)}
    twins = np.zeros((len(people), len(people)), bool)
    for (a, b), _ in pairs:
        twins[numbers[whose[a]], numbers[whose[b]]] = twins[numbers[whose[b]], numbers[whose[a]]] = whose[a] != whose[b]
    side = np.array([next(e.split for e in examples if e.subject_id == name) == "train" for name in people])
    shares = np.array([_with_twin(twins, side[o]) for o in draws(freely(len(people)), material.rounds, material.seed)])
    found = judge(
        [Measured("held-out subjects with a twin", shares[0], shares[1:], int((~side).sum()), "held-out subjects", scale=1)]
    )
    flat = sum(not look for look in looks.values())
    verdict: Verdict = "ok"
    words = [f"{len(examples)} clips of {len(splits)} splits were compared with each other, two and two."]
    if flat:
        words.append(f"{flat} of them are too even, or cannot be read, to be compared by their pictures.")
    if across:
        words.insert(
            0, f"{len(across)} pairs of clips in different splits show the same: figures on the test split are too good."
        )
        verdict = "problem"
    elif flat > FLAT * len(examples):
        verdict = "inconclusive"
    else:
        words.insert(0, "No clip of one split was found in another.")
    more = {"pairs": [{"clips": list(c), "splits": [split_of[c[0]], split_of[c[1]]], "why": why} for c, why in across[:NAMED]],
            "count": len(across), "not_compared": flat}  # fmt: skip
    return make_check("duplicates", title, asks, verdict, words, found, (), material, more)


def _same_colours(material: Material, a: int, b: int) -> bool:
    """Whether cells of the pictures have the same mean colours: looks are of grey, and even pictures may have them by chance."""
    import numpy as np

    if (frames := material.summaries.parts.get("frames")) is None:
        return True
    return float(np.abs(frames[a, :COLOURS] - frames[b, :COLOURS]).mean()) < SAME_COLOUR


def _with_twin(twins: np.ndarray, train: np.ndarray) -> float:
    held_out = ~train
    return float(twins[held_out][:, train].any(axis=1).mean()) if held_out.any() and train.any() else 0.0


def _equal(values: dict[str, str], why: str) -> list[tuple[tuple[str, str], str]]:
    """Each clip with the first that has the same value."""
    groups = defaultdict(list)
    for clip, value in values.items():
        groups[value].append(clip)
    return [((same[0], other), why) for same in groups.values() for other in same[1:]]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
