"""Reference baselines that a model is compared with.

    majority         the most frequent emotion of the train split; its probabilities are the shares of all emotions
    transcript only  logistic regression on the tf-idf of the redacted words
    plain probe      logistic regression on the hand-made features of body and voice (checks/features.py)
    label-shuffled   the plain probe with its training labels permuted between subjects: the level without anything to learn
    oracle           the annotators' own labels and reasons: the highest score possible

All learn from the train split. The regularisation of the regressions is chosen by cross-validation over training subjects.
`score_baselines` scores all of them; `answer_by_baseline` gives the answers of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.checks.statistics import assign_folds, permute_whole_groups

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.checks.check import Material
    from deemo_data.baseline.checks.features import FeatureTables
    from deemo_data.baseline.data import Example
    from deemo_data.baseline.evaluation.scorer import Scorer


BASELINES = ("majority", "transcript only", "plain probe", "label-shuffled", "oracle")
INVERSE_PENALTIES = (0.003, 0.03, 0.3, 3.0)  # C of the regressions: a small one regularises strongly
DEFAULT_INVERSE_PENALTY = 0.03  # when there are too few subjects for cross-validation
FOLDS = 3  # of that cross-validation
MAX_SOLVER_STEPS = 5000
FEATURE_SCALE = 10  # multiplies all features, so that the penalties above suit them
MAX_SCALED_FEATURE = 10  # a feature of a scored clip is limited to this magnitude


@dataclass(frozen=True)
class BaselineTask:
    """What a baseline learns from and must answer: clips, their features, and the names of all emotions.

    train, scored  row numbers of the clips of the train split, and of the scored clips
    """

    examples: Sequence[Example]
    features: FeatureTables
    emotions: Sequence[str]
    train: np.ndarray
    scored: np.ndarray

    @property
    def labels(self) -> list[str]:
        """The emotion of each training clip."""
        return [self.examples[k].emotion for k in self.train]

    @property
    def subjects(self) -> list[str]:
        """The subject of each training clip."""
        return [self.examples[k].subject_id for k in self.train]


def score_baselines(scorer: Scorer, material: Material) -> list[dict[str, Any]]:
    """One line of the report's table per baseline. Without a train split only the oracle answers.

    The majority comes first; the scorer keeps its answers and compares all later lines with them.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    row_of = {e.clip_id: row for row, e in enumerate(material.examples)}
    train = np.array([row for row, e in enumerate(material.examples) if e.split == "train"], int)
    scored = np.array([row_of[e.clip_id] for e in scorer.clips], int)
    task = BaselineTask(material.examples, material.features, material.emotions, train, scored)
    scorer.watcher.on_stage("Baselines", len(BASELINES), 0)
    lines = []
    for name in BASELINES:
        if not len(train) and name != "oracle":
            continue
        with threadpool_limits(limits=1):
            runs = [answer_by_baseline(name, task, seed) for seed in range(scorer.settings.seeds)]
        scorer.majority_runs = scorer.majority_runs or runs
        lines.append(scorer.score_model(name, "baseline", runs))
        scorer.watcher.on_clip("Baselines")
    return lines


def answer_by_baseline(name: str, task: BaselineTask, seed: int) -> list[Answer]:
    """The answers of one of BASELINES about the scored clips. The seed assigns folds and permutes labels."""
    match name:
        case "majority":
            return _answer_majority(task)
        case "transcript only":
            return _answer_by_transcript(task, seed)
        case "plain probe":
            return _answer_by_probe(task, task.labels, seed)
        case "label-shuffled":
            return _answer_by_probe(task, shuffle_labels(task, seed), seed)
        case "oracle":
            return _answer_gold(task)
        case _:
            raise ValueError(f"{name!r} is none of {BASELINES}")


def shuffle_labels(task: BaselineTask, seed: int) -> list[str]:
    """The training labels, permuted between whole subjects."""
    import numpy as np

    order = permute_whole_groups(task.subjects)(np.random.default_rng(seed))
    return [task.labels[k] for k in order]


def _answer_majority(task: BaselineTask) -> list[Answer]:
    """The most frequent training label for every clip."""
    counts = Counter(task.labels)
    shares = {e: counts[e] / len(task.train) for e in task.emotions}
    most_frequent = max(task.emotions, key=lambda e: shares[e])
    return [Answer(task.examples[k].clip_id, most_frequent, dict(shares)) for k in task.scored]


def _answer_gold(task: BaselineTask) -> list[Answer]:
    """The annotators' labels and reasons."""
    answers = []
    for k in task.scored:
        e = task.examples[k]
        probabilities = {name: float(name == e.emotion) for name in task.emotions}
        answers.append(Answer(e.clip_id, e.emotion, probabilities, " ".join(e.emotion_words), dict(e.clues), e.reasoning))
    return answers


def _answer_by_transcript(task: BaselineTask, seed: int) -> list[Answer]:
    """Answers from the words; the majority when no transcript of the train split has a word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    texts = task.features.transcripts
    analyse = vectorizer.build_analyzer()
    if not any(analyse(texts[k]) for k in task.train):
        return _answer_majority(task)
    train = vectorizer.fit_transform([texts[k] for k in task.train]) * FEATURE_SCALE
    scored = vectorizer.transform([texts[k] for k in task.scored]) * FEATURE_SCALE
    return _answer_by_regression(task, train, scored, task.labels, seed)


def _answer_by_probe(task: BaselineTask, labels: Sequence[str], seed: int) -> list[Answer]:
    """Answers from body and voice. Columns are standardised by the train split, and the two tables weigh the same."""
    import numpy as np

    train, scored = [], []
    for table in (task.features.body, task.features.voice):
        mean, spread = table[task.train].mean(axis=0), table[task.train].std(axis=0)
        varies = spread > 1e-6 * (1 + np.abs(table).max(axis=0))
        z = (table[:, varies] - mean[varies]) / spread[varies] / np.sqrt(max(varies.sum(), 1)) * FEATURE_SCALE
        train.append(z[task.train])
        scored.append(np.clip(z[task.scored], -MAX_SCALED_FEATURE, MAX_SCALED_FEATURE))
    return _answer_by_regression(task, np.concatenate(train, axis=1), np.concatenate(scored, axis=1), labels, seed)


def _answer_by_regression(task: BaselineTask, train: Any, scored: Any, labels: Sequence[str], seed: int) -> list[Answer]:
    """Answers of a multinomial logistic regression; the majority when there is one class only, or no feature.

    train, scored  (clips, columns) features of the training clips and of the scored clips
    labels         of the training clips
    """
    import numpy as np

    classes = sorted(set(labels))
    if len(classes) == 1 or not train.shape[1]:
        return _answer_majority(task)
    truth = np.array([classes.index(label) for label in labels])
    model = _fit_regression(train, truth, _choose_inverse_penalty(train, truth, task.subjects, seed))
    answers = []
    for k, row in zip(task.scored, model.predict_proba(scored), strict=True):
        predicted = dict(zip((classes[c] for c in model.classes_), (float(p) for p in row), strict=True))
        probabilities = {e: predicted.get(e, 0.0) for e in task.emotions}
        answers.append(Answer(task.examples[k].clip_id, max(probabilities, key=probabilities.__getitem__), probabilities))
    return answers


def _fit_regression(features: Any, truth: np.ndarray, inverse_penalty: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=inverse_penalty, max_iter=MAX_SOLVER_STEPS, tol=1e-3).fit(features, truth)


def _choose_inverse_penalty(features: Any, truth: np.ndarray, subjects: Sequence[str], seed: int) -> float:
    """The C with the smallest log-loss in cross-validation over subjects; the default when that is not possible."""
    import numpy as np

    if len(set(subjects)) < FOLDS:
        return DEFAULT_INVERSE_PENALTY
    folds = assign_folds(subjects, FOLDS, seed)
    if any(len(set(truth[folds != f])) < 2 for f in range(FOLDS)):
        return DEFAULT_INVERSE_PENALTY
    losses = []
    for inverse_penalty in INVERSE_PENALTIES:
        loss = 0.0
        for fold in range(FOLDS):
            model = _fit_regression(features[folds != fold], truth[folds != fold], inverse_penalty)
            probabilities, held_out = model.predict_proba(features[folds == fold]), truth[folds == fold]
            column = {int(c): n for n, c in enumerate(model.classes_)}
            likelihoods = [row[column[t]] if t in column else 0.0 for row, t in zip(probabilities, held_out, strict=True)]
            loss -= float(np.log(np.maximum(likelihoods, 1e-6)).sum())
        losses.append(loss)
    return INVERSE_PENALTIES[int(np.argmin(losses))]
