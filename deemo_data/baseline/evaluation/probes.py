"""What a model is to be compared with: the majority, the words alone, a plain probe, the same with labels shuffled, the truth.

    majority         the most frequent emotion of the train split, with the shares of all
    transcript only  logistic regression on tf-idf of the redacted words
    plain probe      logistic regression on the figures of body and voice (probe_features.py)
    label-shuffled   the plain probe, its training labels dealt anew to whole subjects: what learning gives where there is nothing
    oracle           what annotators said: the most that the figures can be

All learn from the train split. How strongly the regressions are held back is chosen by folds of training subjects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.checks.statistics import deal_folds, whole_groups

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.checks.features import Summaries
    from deemo_data.baseline.data import Example


BASELINES = ("majority", "transcript only", "plain probe", "label-shuffled", "oracle")
STRENGTHS = (0.003, 0.03, 0.3, 3.0)  # C of the regressions: small holds back
USUAL = 0.03  # where there are too few subjects to choose it by
FOLDS = 3
STEPS = 5000  # of the solver, at most


@dataclass(frozen=True)
class Known:
    """What a baseline learns from and is asked about: clips, what they are like, and the names of all emotions.

    learn, ask  numbers of the clips of the train split, and of those that are scored
    """

    examples: Sequence[Example]
    summaries: Summaries
    emotions: Sequence[str]
    learn: np.ndarray
    ask: np.ndarray

    @property
    def labels(self) -> list[str]:
        return [self.examples[k].emotion for k in self.learn]

    @property
    def subjects(self) -> list[str]:
        return [self.examples[k].subject_id for k in self.learn]


def answers(name: str, known: Known, seed: int) -> list[Answer]:
    """What one of BASELINES says about the clips that are asked about. `seed` deals folds and shuffles labels."""
    match name:
        case "majority":
            return _majority(known)
        case "transcript only":
            return _spoken(known, seed)
        case "plain probe":
            return _probe(known, known.labels, seed)
        case "label-shuffled":
            return _probe(known, shuffled(known, seed), seed)
        case "oracle":
            return _oracle(known)
        case _:
            raise ValueError(f"{name!r} is none of {BASELINES}")


def shuffled(known: Known, seed: int) -> list[str]:
    """The training labels, dealt anew to whole subjects."""
    import numpy as np

    order = whole_groups(known.subjects)(np.random.default_rng(seed))
    return [known.labels[k] for k in order]


def _majority(known: Known) -> list[Answer]:
    counts = Counter(known.labels)
    shares = {e: counts[e] / len(known.learn) for e in known.emotions}
    most = max(known.emotions, key=lambda e: shares[e])
    return [Answer(known.examples[k].clip_id, most, dict(shares)) for k in known.ask]


def _oracle(known: Known) -> list[Answer]:
    found = []
    for k in known.ask:
        e = known.examples[k]
        certain = {name: float(name == e.emotion) for name in known.emotions}
        found.append(Answer(e.clip_id, e.emotion, certain, " ".join(e.words), dict(e.clues), e.reasoning))
    return found


def _spoken(known: Known, seed: int) -> list[Answer]:
    """Falls back to the majority where no transcript of the train split has a word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    texts = known.summaries.transcripts
    analyse = vectorizer.build_analyzer()
    if not any(analyse(texts[k]) for k in known.learn):
        return _majority(known)
    learned = vectorizer.fit_transform([texts[k] for k in known.learn])
    return _regression(known, learned * 10, vectorizer.transform([texts[k] for k in known.ask]) * 10, known.labels, seed)


def _probe(known: Known, labels: Sequence[str], seed: int) -> list[Answer]:
    """Each column counts by its standard deviation in the train split; body and voice count alike."""
    import numpy as np

    learned, asked = [], []
    for table in (known.summaries.body, known.summaries.voice):
        mean, spread = table[known.learn].mean(axis=0), table[known.learn].std(axis=0)
        kept = spread > 1e-6 * (1 + np.abs(table).max(axis=0))
        z = (table[:, kept] - mean[kept]) / spread[kept] / np.sqrt(max(kept.sum(), 1)) * 10
        learned.append(z[known.learn])
        asked.append(np.clip(z[known.ask], -10, 10))
    return _regression(known, np.concatenate(learned, axis=1), np.concatenate(asked, axis=1), labels, seed)


def _regression(known: Known, learned: Any, asked: Any, labels: Sequence[str], seed: int) -> list[Answer]:
    """Answers of a multinomial logistic regression; of one class there is nothing to learn."""
    import numpy as np

    kinds = sorted(set(labels))
    if len(kinds) == 1 or not learned.shape[1]:
        return _majority(known)
    truth = np.array([kinds.index(label) for label in labels])
    model = _fitted(learned, truth, _strength(learned, truth, known.subjects, seed))
    shares = model.predict_proba(asked)
    found = []
    for k, row in zip(known.ask, shares, strict=True):
        of = dict(zip((kinds[c] for c in model.classes_), (float(p) for p in row), strict=True))
        whole = {e: of.get(e, 0.0) for e in known.emotions}
        found.append(Answer(known.examples[k].clip_id, max(whole, key=lambda e: whole[e]), whole))
    return found


def _fitted(features: Any, truth: np.ndarray, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=STEPS, tol=1e-3).fit(features, truth)


def _strength(features: Any, truth: np.ndarray, subjects: Sequence[str], seed: int) -> float:
    """The C whose log-loss is smallest over folds of subjects; each fold must leave two classes to learn from."""
    import numpy as np

    if len(set(subjects)) < FOLDS:
        return USUAL
    folds = deal_folds(subjects, FOLDS, seed)
    if any(len(set(truth[folds != f])) < 2 for f in range(FOLDS)):
        return USUAL
    losses = []
    for strength in STRENGTHS:
        loss = 0.0
        for fold in range(FOLDS):
            model = _fitted(features[folds != fold], truth[folds != fold], strength)
            shares, held_out = model.predict_proba(features[folds == fold]), truth[folds == fold]
            column = {int(c): n for n, c in enumerate(model.classes_)}
            given = [row[column[t]] if t in column else 0.0 for row, t in zip(shares, held_out, strict=True)]
            loss -= float(np.log(np.maximum(given, 1e-6)).sum())
        losses.append(loss)
    return STRENGTHS[int(np.argmin(losses))]
