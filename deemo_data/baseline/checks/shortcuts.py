"""Checks for short cuts: ways to the right answer that have nothing to do with emotion.

shortcuts          facts of the file (length, size, frame rate, origin) that tell the emotion
subject_and_label  knowing who it is tells the emotion
duplicates         the same clip is in two splits
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deemo_data.baseline.checks.check import (
    FOLDS,
    Check,
    Material,
    answer_check,
    explain_shortage,
    format_finding,
    leave_unanswered,
    power_sentence,
)
from deemo_data.baseline.checks.features import COLOUR_COLUMNS
from deemo_data.baseline.checks.statistics import (
    Finding,
    Measurement,
    Verdict,
    assign_folds,
    average_recall,
    draw_permutations,
    encode_labels,
    judge_measurements,
    judge_unwanted_effect,
    measure_probe,
    permute_freely,
    permute_whole_groups,
    recall_interval,
)
from deemo_data.dataset import near_duplicates
from deemo_data.files import File

if TYPE_CHECKING:
    import numpy as np

    from deemo_data.baseline.data import Example


TREE_DEPTH = 3  # at most 8 leaves
MIN_LEAF_CLIPS = 5
NEAR_CONSTANT_SHARE = 0.9  # a fact counts as constant when more clips share one value, and fewer than a leaf's differ
MAX_HASH_DISTANCE_BITS = 5  # of 256: the hashes of two clips with the same pictures differ by no more (as `alike` of deemo.toml)
MAX_COLOUR_DISTANCE = 0.04  # mean distance of colours (0 to 1) between two encodings of the same pictures
MIN_TRANSCRIPT_WORDS = 20  # equal transcripts of at least this length are no coincidence
MAX_FLAT_SHARE = 0.2  # of clips whose pictures cannot be compared; with more, the comparison is inconclusive
MAX_LISTED_PAIRS = 20  # duplicates that the report lists
PLOTTED_FACTS = ("clip length", "file size")  # the report plots the first column of these, where they tell the emotion

SHORTCUTS = Check(
    "shortcuts", "Short cuts", "Can the emotion be told from the file alone: its length, size, frame rate, where it comes from?"
)
SUBJECT_AND_LABEL = Check("subject_and_label", "Who, instead of what", "Does knowing who it is tell the emotion?")
DUPLICATES = Check("duplicates", "The same on both sides", "Is a clip of the test or validation split also in another split?")


def collect_file_facts(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """Facts about each clip that need no look at its content, by kind: (n, columns)."""
    import numpy as np

    seconds = np.array([max(e.duration_ms, 1) / 1000 for e in examples])
    size = np.array([e.video_bytes for e in examples], float)
    sources = [str((e.source_facts["consent"], e.source_facts["asserted"], e.source_facts["licence"])) for e in examples]
    return {
        "clip length": np.stack([seconds, [e.num_frames for e in examples]], axis=1),
        "file size": np.stack([size, size / seconds], axis=1),
        "frame rate": np.array([[e.fps] for e in examples]),
        "picture size": np.array([[e.width, e.height] for e in examples], float),
        "consent and licence": _encode_one_hot(sources),
        "how it was annotated": _encode_one_hot([str(e.source_facts["annotation"]) for e in examples]),
    }


def _encode_one_hot(values: Sequence[str]) -> np.ndarray:
    """(n, distinct values): 1 in the column of each value."""
    import numpy as np

    return np.array([[float(v == name) for name in sorted(set(values))] for v in values])


def check_shortcuts(material: Material) -> Check:
    """Whether a decision tree on one kind of file facts predicts the emotions of held-out subjects.

    Null distribution: labels permuted between whole subjects.
    """
    import numpy as np

    if shortage := explain_shortage(material.subjects, material.labels):
        return leave_unanswered(SHORTCUTS, material, shortage)
    truth, names = encode_labels(material.labels, material.emotions)
    folds = assign_folds(material.subjects, FOLDS, material.seed)
    labels = truth[draw_permutations(permute_whole_groups(material.subjects), material.rounds, material.seed)]
    facts_by_kind = collect_file_facts(material.examples)
    min_equal = max(len(truth) - MIN_LEAF_CLIPS, NEAR_CONSTANT_SHARE * len(truth))
    constant = [
        kind for kind, facts in facts_by_kind.items() if all(_count_most_frequent(column) > min_equal for column in facts.T)
    ]
    facts_by_kind = {kind: facts for kind, facts in facts_by_kind.items() if kind not in constant}
    if len(facts_by_kind) > 1:
        facts_by_kind["all of these"] = np.concatenate(list(facts_by_kind.values()), axis=1)
    measurements = []
    for kind, facts in facts_by_kind.items():
        predicted = _predict_by_trees(facts, folds, labels, len(names))
        scores = average_recall(labels, predicted, len(names))
        span = recall_interval(predicted[0] == truth, truth, material.subjects, material.seed)
        measurements.append(Measurement(kind, float(scores[0]), scores[1:], len(truth), interval=span))
    findings = judge_measurements(measurements)
    verdict = judge_unwanted_effect(findings) if findings else "ok"
    detected = [f for f in findings if f.is_detected()]
    return answer_check(
        SHORTCUTS,
        material,
        verdict=verdict,
        sentences=_describe_shortcuts(verdict, findings, constant, len(set(material.subjects))),
        findings=findings,
        details={
            "same": constant,
            "drawn": {
                f.name: _values_by_emotion(facts_by_kind[f.name][:, 0], material.labels, names)
                for f in detected
                if f.name in PLOTTED_FACTS
            },
        },
    )


def _describe_shortcuts(verdict: Verdict, findings: Sequence[Finding], constant: Sequence[str], people: int) -> list[str]:
    """The sentences of check_shortcuts. constant: kinds of facts that are the same for nearly all clips."""
    which = "; ".join(f"{f.name} ({format_finding(f)})" for f in findings if f.is_detected())
    sentences = [
        {
            "ok": "Nothing of the kind was found.",
            "problem": f"The emotion can be told without looking into the clip, by average recall: {which}. A model may learn "
            "that.",
            "inconclusive": f"Nothing was found, but from {people} subjects only something strong would be.",
        }[verdict]
    ]
    if findings:
        sentences.append(power_sentence(findings))
    if constant:
        sentences.append(f"The same for all clips, or nearly, so no short cut: {', '.join(constant)}.")
    sentences.append(
        "Which recording a clip was cut from is not published: that can only be seen through its subject, see below."
    )
    return sentences


def _count_most_frequent(column: np.ndarray) -> int:
    """How many clips have the most frequent value."""
    import numpy as np

    return int(np.unique(column, return_counts=True)[1].max())


def _values_by_emotion(values: np.ndarray, labels: Sequence[str], names: Sequence[str]) -> dict[str, list[float]]:
    """Emotion -> the values of its clips, for the plot."""
    return {name: [round(float(v), 3) for v, label in zip(values, labels, strict=True) if label == name] for name in names}


def _predict_by_trees(facts: np.ndarray, folds: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The classes that shallow decision trees predict, for each row of labels: (rounds, n).

    The tree for a clip is fitted on the other folds. All classes weigh the same.
    """
    import numpy as np
    import sklearn
    from sklearn.tree import DecisionTreeClassifier

    predicted = np.zeros(labels.shape, int)
    facts = np.ascontiguousarray(facts, np.float32)
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
        for fold in np.unique(folds):
            train, test = folds != fold, folds == fold
            for number, row in enumerate(labels):
                weight = 1 / np.maximum(np.bincount(row[train], minlength=classes), 1)[row[train]]
                tree = DecisionTreeClassifier(max_depth=TREE_DEPTH, min_samples_leaf=MIN_LEAF_CLIPS, random_state=0)
                predicted[number, test] = tree.fit(facts[train], row[train], sample_weight=weight).predict(facts[test])
    return predicted


def check_subject_and_label(material: Material) -> Check:
    """Whether the labels of a subject's other clips predict the label of a clip.

    Null distribution: labels permuted among all clips.
    """
    import numpy as np

    subject_of_clip = np.unique(np.array(material.subjects), return_inverse=True)[1]
    is_other = (subject_of_clip[:, None] == subject_of_clip[None]) & ~np.eye(len(subject_of_clip), dtype=bool)
    rows = np.flatnonzero(is_other.any(axis=1))
    subjects, labels = [material.subjects[k] for k in rows], [material.labels[k] for k in rows]
    if shortage := explain_shortage(subjects, labels, 2):
        return leave_unanswered(SUBJECT_AND_LABEL, material, f"{shortage} Only subjects with two clips or more count.")
    truth, names = encode_labels(labels, material.emotions)
    others = is_other[np.ix_(rows, rows)]
    permuted = truth[draw_permutations(permute_freely(len(rows)), material.rounds, material.seed)]
    by_others = others / others.sum(axis=1, keepdims=True)  # a smoother: the mean over the subject's other clips
    finding = judge_measurements([measure_probe("the subject's other clips", [by_others], permuted, len(names), subjects)])[0]
    verdict = judge_unwanted_effect([finding])
    recall = format_finding(finding)
    answer = {
        "ok": f"No: guessing by the subject's other clips gives an average recall of {recall}.",
        "problem": f"Yes: guessing by the subject's other clips gives an average recall of {recall}. A model may learn who it is "
        "instead of what they show: judge it on people it has not seen only, and look at each emotion by itself.",
        "inconclusive": f"Guessing by the subject's other clips gives {recall}; of so few that may be luck.",
    }[verdict]
    return answer_check(
        SUBJECT_AND_LABEL, material, verdict=verdict, sentences=[answer, power_sentence([finding])], findings=[finding]
    )


def check_duplicates(material: Material) -> Check:
    """Whether clips of different splits have similar pictures, the same bytes or the same long transcript."""
    examples = material.examples
    split_of = {e.clip_id: e.split for e in examples}
    splits = set(split_of.values())
    if len(splits) < 2:
        return leave_unanswered(DUPLICATES, material, f"There is only one split with emotions, {examples[0].split}.")
    hashes = {e.clip_id: near_duplicates.perceptual_hash(e.video) for e in examples}
    pairs = _find_pairs(material, hashes)
    across = [(clips, reason) for clips, reason in pairs if split_of[clips[0]] != split_of[clips[1]]]
    flat = sum(not picture_hash for picture_hash in hashes.values())
    verdict: Verdict = "ok"
    sentences = [f"{len(examples)} clips of {len(splits)} splits were compared with each other, two and two."]
    if flat:
        sentences.append(f"{flat} of them are too even, or cannot be read, to be compared by their pictures.")
    if across:
        sentences.insert(
            0, f"{len(across)} pairs of clips in different splits show the same: figures on the test split are too good."
        )
        verdict = "problem"
    elif flat > MAX_FLAT_SHARE * len(examples):
        verdict = "inconclusive"
    else:
        sentences.insert(0, "No clip of one split was found in another.")
    return answer_check(
        DUPLICATES,
        material,
        verdict=verdict,
        sentences=sentences,
        findings=judge_measurements([_measure_twins(material, [clips for clips, _ in pairs])]),
        details={
            "pairs": [
                {"clips": list(clips), "splits": [split_of[clip] for clip in clips], "why": reason}
                for clips, reason in across[:MAX_LISTED_PAIRS]
            ],
            "count": len(across),
            "not_compared": flat,
        },
    )


def _find_pairs(material: Material, hashes: dict[str, str]) -> list[tuple[tuple[str, str], str]]:
    """(two clip ids, what they have in common), for all pairs of duplicates, in one split or across splits."""
    examples = material.examples
    row_of = {e.clip_id: row for row, e in enumerate(examples)}
    subject_of = {e.clip_id: e.subject_id for e in examples}
    similar = near_duplicates.find_similar_pictures(subject_of, hashes, MAX_HASH_DISTANCE_BITS)
    pairs = [(p.clips, p.reason) for p in similar if _has_same_colours(material, *(row_of[clip] for clip in p.clips))]
    pairs += _pair_equal_values({e.clip_id: File.of(e.video).sha256 for e in examples}, "have the same video")
    transcripts = {e.clip_id: e.transcript for e in examples if len(e.transcript.split()) >= MIN_TRANSCRIPT_WORDS}
    return pairs + _pair_equal_values(transcripts, "have the same transcript")


def _measure_twins(material: Material, pairs: Sequence[tuple[str, str]]) -> Measurement:
    """The share of held-out subjects with a twin: another subject, of the train split, who has a duplicate of one of their clips.

    Null distribution: subjects permuted between the train split and the others.
    """
    import numpy as np

    subject_of = {e.clip_id: e.subject_id for e in material.examples}
    subjects = sorted(set(subject_of.values()))
    number_of = {subject: n for n, subject in enumerate(subjects)}
    twins = np.zeros((len(subjects), len(subjects)), bool)
    for a, b in pairs:
        one, other = number_of[subject_of[a]], number_of[subject_of[b]]
        twins[one, other] = twins[other, one] = one != other
    split_of_subject = {e.subject_id: e.split for e in reversed(material.examples)}
    is_train = np.array([split_of_subject[subject] == "train" for subject in subjects])
    orders = draw_permutations(permute_freely(len(subjects)), material.rounds, material.seed)
    shares = np.array([_share_with_twin(twins, is_train[order]) for order in orders])
    held_out = int((~is_train).sum())
    return Measurement("held-out subjects with a twin", shares[0], shares[1:], held_out, "held-out subjects", scale=1)


def _has_same_colours(material: Material, a: int, b: int) -> bool:
    """Whether the cells of two clips' frames have the same mean colours; True when the frames were not read.

    Perceptual hashes are computed from grey pictures, and those of flat pictures may agree by chance.
    """
    import numpy as np

    if (frames := material.features.identity_inputs.get("frames")) is None:
        return True
    return float(np.abs(frames[a, :COLOUR_COLUMNS] - frames[b, :COLOUR_COLUMNS]).mean()) < MAX_COLOUR_DISTANCE


def _share_with_twin(twins: np.ndarray, is_train: np.ndarray) -> float:
    """Share of the other subjects with a twin (subjects, subjects) in the train split; 0 when either side is empty."""
    held_out = ~is_train
    return float(twins[held_out][:, is_train].any(axis=1).mean()) if held_out.any() and is_train.any() else 0.0


def _pair_equal_values(values: dict[str, str], reason: str) -> list[tuple[tuple[str, str], str]]:
    """Each clip with the first clip that has the same value, and the reason."""
    groups = defaultdict(list)
    for clip, value in values.items():
        groups[value].append(clip)
    return [((same[0], other), reason) for same in groups.values() for other in same[1:]]
