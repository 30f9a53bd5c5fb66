"""Attacks on changed voices: speaker verification between clips, and how many words survive.

An attacker is a table of scores: every enrolled clip (rows) against every trial clip (columns), high for similar.
GE2E is a trained speaker encoder, "statistics" are plain means and deviations (voice_statistics.py), "fusion" adds the
two. To tune a voice against them, call `attack(original, changed)` and read the row "lowest", and `asr_wer`. Draw new
parameters for each clip, as the stage does: every attacker defeats a change that is the same for all clips.

No network was trained on changed voices here. An attacker who trains one does better: read every figure as an upper bound on
the protection.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.audit.attacks import scores
from deemo_data.audit.attacks.scores import Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MIN_SPEECH_FRAMES = 100  # of 10 ms; a clip with less speech is left out
ENROLMENT_CLIPS = 3  # clips per speaker in the stronger enrolment
MIN_TRAINING_SPEAKERS = 2  # speakers that a back-end needs to learn from, besides the two that are compared
WITHIN_VARIANCE_FLOOR = 0.1  # so that a feature that hardly varies within a speaker does not dominate all others


@dataclass(frozen=True)
class Utterance:
    """Speech of one person: `wave` (n,) float32 at 16 kHz. The original and the changed sound of one span share `clip`."""

    speaker: str
    clip: str
    wave: NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """The score of one attacker in one scenario; without a score, `note` says why it could not run.

    scenario  original: enrolled and tried on originals, the best that the attackers can do
              ignorant: enrolled on originals, tried on changed voices
              lazy: enrolled and tried on changed voices (lazy-informed)
              adapted: as lazy, with a back-end trained on changed voices of all speakers but the two compared (not semi-informed)
    attacker  GE2E, statistics or fusion; "GE2E x 3" enrols each speaker on three clips at once
    measure   EER, singling out or linkability (the last two by legal_eval: Vauquier et al., Interspeech 2025)
    """

    scenario: str
    attacker: str
    measure: str
    score: Score | None
    note: str = ""

    def to_row(self) -> dict[str, Any]:
        row = {"scenario": self.scenario, "attacker": self.attacker, "measure": self.measure, "note": self.note}
        return {**row, **(self.score.to_row() if self.score else {})}


@dataclass(frozen=True)
class Embeddings:
    """The vectors of n utterances: `vectors` holds one array (n, d) for GE2E and one for the statistics."""

    speakers: NDArray[np.str_]
    clips: NDArray[np.str_]
    vectors: dict[str, NDArray[np.float64]]


def attack_voices(
    original: Sequence[Utterance] | Embeddings,
    changed: Sequence[Utterance] | Embeddings,
    seed: int = 0,
    more: Sequence[Utterance] | Embeddings = (),
) -> list[Row]:
    """All attackers on one set of speakers, and the row "lowest": the attacker with the lowest EER on changed voices.

    more  more changed speech for the adapted attackers to learn from, of the same speakers or others; anybody with this tool
          can make it with secrets of their own. Speech of the two speakers that are compared is never used

    EER 0.5 is chance, 0 means that all speakers are told apart. The lowest of many figures is by chance a little lower than
    each of them, which is the safe side. Clips with less than a second of speech are left out. Several calls may share the
    vectors of one side: `hear(original)`.
    """
    before, after, extra = (
        side if isinstance(side, Embeddings) else embed_utterances(side) for side in (original, changed, more)
    )
    rows = []
    for scenario, enrol, trial in [("original", before, before), ("ignorant", before, after), ("lazy", after, after)]:
        rows += score_scenario(scenario, score_tables(enrol, trial), enrol, trial, seed)
    if len({*after.speakers, *extra.speakers}) < MIN_TRAINING_SPEAKERS + 2:
        note = f"needs {MIN_TRAINING_SPEAKERS + 2} speakers: it learns from others than the two it compares"
        rows.append(Row("adapted", "all", "EER", None, note))
    else:
        rows += score_scenario("adapted", adapted_score_tables(after, extra), after, after, seed)
    return [*rows, lowest_eer_row(rows)]


def lowest_eer_row(rows: Sequence[Row]) -> Row:
    """The row with the lowest EER on changed voices, renamed."""
    scored = [(r.score.value, r) for r in rows if r.score and r.measure == "EER" and r.scenario not in ("original", "lowest")]
    if not scored:
        return Row("lowest", "none", "EER", None, "no attacker could run")
    lowest = min(scored, key=lambda pair: pair[0])[1]
    return Row("lowest", f"{lowest.attacker}, {lowest.scenario}", "EER", lowest.score, f"the lowest of {len(scored)}")


def embed_utterances(utterances: Sequence[Utterance]) -> Embeddings:
    """The vectors of all utterances that hold at least a second of speech."""
    import numpy as np

    from deemo_data.audit.attacks import voice_statistics
    from deemo_data.models.speech import ge2e

    net, long_enough = ge2e.load(), []
    voices, plain = [], []
    for u in utterances:
        is_speech = voice_statistics.find_speech_frames(u.wave)
        if is_speech.sum() >= MIN_SPEECH_FRAMES:
            long_enough.append(u)
            voices.append(
                ge2e.embed_utterance(
                    net,
                    u.wave[: len(is_speech) * voice_statistics.HOP_SAMPLES][np.repeat(is_speech, voice_statistics.HOP_SAMPLES)],
                )
            )
            plain.append(voice_statistics.voice_vector(u.wave))
    vectors = {name: np.array(rows, np.float64) for name, rows in (("GE2E", voices), ("statistics", plain))}
    return Embeddings(np.array([u.speaker for u in long_enough], str), np.array([u.clip for u in long_enough], str), vectors)


# ── tables of scores ─────────────────────────────────────────────────────────────────────────────────────────


def score_tables(enrol: Embeddings, trial: Embeddings) -> dict[str, NDArray[np.float64]]:
    """The score tables (enrolled, trial) of the attackers without a trained back-end.

    The statistics have different units. Each side is therefore standardised to mean 0 and deviation 1, which an attacker who
    has all clips can do.
    """
    by_attacker: dict[str, NDArray[np.float64]] = {}
    if not len(enrol.speakers) or not len(trial.speakers):
        return by_attacker
    for name in enrol.vectors:
        rows, columns = enrol.vectors[name], trial.vectors[name]
        if name == "statistics":
            rows, columns = ((side - side.mean(axis=0)) / _deviation(side) for side in (rows, columns))
        by_attacker[name] = _unit(rows) @ _unit(columns).T
    return {**by_attacker, "fusion": _fuse_tables(by_attacker, enrol, trial)}


def adapted_score_tables(embeddings: Embeddings, more: Embeddings | None = None) -> dict[str, NDArray[np.float64]]:
    """The score tables of the attackers whose back-end learned on changed voices: for each pair of speakers, on all others."""
    import numpy as np

    names = sorted(set(embeddings.speakers))
    by_attacker: dict[str, NDArray[np.float64]] = {}
    for name, vectors in embeddings.vectors.items():
        by_attacker[name] = np.zeros((len(vectors), len(vectors)))
        learning, learning_speakers = vectors, embeddings.speakers
        if more is not None and len(more.speakers):
            learning, learning_speakers = (
                np.concatenate([learning, more.vectors[name]]),
                np.concatenate([learning_speakers, more.speakers]),
            )
        for i, one in enumerate(names):
            for other in names[i:]:
                others = (learning_speakers != one) & (learning_speakers != other)
                middle, weight = fit_backend(learning[others], learning_speakers[others])
                a, b = (_unit((vectors[embeddings.speakers == who] - middle) * weight) for who in (one, other))
                by_attacker[name][np.ix_(embeddings.speakers == one, embeddings.speakers == other)] = a @ b.T
                by_attacker[name][np.ix_(embeddings.speakers == other, embeddings.speakers == one)] = b @ a.T
    return {**by_attacker, "fusion": _fuse_tables(by_attacker, embeddings, embeddings)}


def fit_backend(vectors: NDArray[np.float64], speakers: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(offset, weight) of a vector's features, so that each feature counts by how well it separates speakers.

    The weight is Fisher's ratio: the deviation between speakers divided by the deviation within a speaker. With about ten
    utterances to learn from, LDA and whitening over all features at once did worse on every voice that was tried.
    """
    import numpy as np

    middle, spread = vectors.mean(axis=0), _deviation(vectors)
    scaled = (vectors - middle) / spread
    groups = [scaled[speakers == who] for who in sorted(set(speakers))]
    several = [g for g in groups if len(g) > 1]
    if not several:
        return middle, 1 / spread
    within = np.mean([g.var(axis=0, ddof=1) for g in several], axis=0)
    between = np.var([g.mean(axis=0) for g in groups], axis=0, ddof=1) - within / np.mean([len(g) for g in groups])
    return middle, np.sqrt(np.maximum(between, 0) / (within + WITHIN_VARIANCE_FLOOR)) / spread


def _fuse_tables(by_attacker: dict[str, NDArray[np.float64]], enrol: Embeddings, trial: Embeddings) -> NDArray[np.float64]:
    """The sum of all tables, each standardised to mean 0 and deviation 1 over the pairs that may be compared."""
    import numpy as np

    total = np.zeros((len(enrol.clips), len(trial.clips)))
    comparable = enrol.clips[:, None] != trial.clips[None]
    for table in by_attacker.values():
        if comparable.any():
            total += (table - table[comparable].mean()) / max(float(table[comparable].std()), 1e-9)
    return total


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _deviation(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.maximum(vectors.std(axis=0), 1e-9)


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────


def score_scenario(
    scenario: str, by_attacker: dict[str, NDArray[np.float64]], enrol: Embeddings, trial: Embeddings, seed: int = 0
) -> list[Row]:
    """All figures of all attackers in one scenario. A clip is never compared with itself, changed or not."""
    if not by_attacker:
        return [Row(scenario, "all", "EER", None, "no clip has a second of speech")]
    rows = []
    for name, table in by_attacker.items():
        for clips in (1, ENROLMENT_CLIPS):
            rows.append(_verification_row(scenario, name, table, enrol, trial, clips, seed))
        rows += _linkage_rows(scenario, name, table, enrol, trial, seed)
    return rows


def _verification_row(
    scenario: str, name: str, table: NDArray[np.float64], enrol: Embeddings, trial: Embeddings, clips: int, seed: int
) -> Row:
    """EER over all pairs of clips, or over all pairs of a speaker (the mean of several clips) and a clip."""
    import numpy as np

    attacker = name if clips == 1 else f"{name} x {clips}"
    comparable = enrol.clips[:, None] != trial.clips[None]
    if clips == 1:
        if enrol is trial:
            comparable = np.triu(comparable)  # each pair once
        one, other = np.nonzero(comparable)
        values, enrolled_speakers, trial_speakers = table[one, other], enrol.speakers[one], trial.speakers[other]
    else:
        pairs = []
        for who in sorted(set(enrol.speakers)):
            for j in range(len(trial.clips)):
                rows = np.flatnonzero((enrol.speakers == who) & comparable[:, j])[:clips]
                if len(rows) == clips:
                    pairs.append((table[rows, j].mean(), who, trial.speakers[j]))
        if not pairs:
            return Row(scenario, attacker, "EER", None, f"no speaker has {clips} clips to enrol and another to try")
        values, enrolled_speakers, trial_speakers = (np.array(column) for column in zip(*pairs, strict=True))
    if not (enrolled_speakers == trial_speakers).any() or (enrolled_speakers == trial_speakers).all():
        return Row(scenario, attacker, "EER", None, "needs two speakers, and one of them in two clips")
    return Row(
        scenario, attacker, "EER", scores.eer_score(values, list(enrolled_speakers), list(trial_speakers), "speakers", seed)
    )


def _linkage_rows(
    scenario: str, name: str, table: NDArray[np.float64], enrol: Embeddings, trial: Embeddings, seed: int
) -> list[Row]:
    """Singling out and linkability among all speakers: half of a speaker's clips enrol, one is the trial, the rest calibrate.

    Each clip is the trial once. With n speakers, chance singles one out in (1 - 1/n)^(n-1) of all cases (0.37 for large n)
    and links 1/n.
    """
    import legal_eval
    import numpy as np
    from legal_eval.io import ScoreMatrix
    from legal_eval.metrics import ConversationScores

    clips = {who: sorted(set(enrol.clips[enrol.speakers == who]) & set(trial.clips[trial.speakers == who]))
             for who in sorted(set(enrol.speakers))}  # fmt: skip
    names = [who for who, own in clips.items() if len(own) >= 3]
    if len(names) < 2:
        note = "needs two speakers with three clips each"
        return [Row(scenario, name, measure, None, note) for measure in ("singling out", "linkability")]
    row = {clip: i for i, clip in enumerate(enrol.clips)}
    column = {clip: i for i, clip in enumerate(trial.clips)}
    singled: dict[str, list[float]] = {who: [] for who in names}
    linked: dict[str, list[float]] = {who: [] for who in names}
    for turn in range(max(len(clips[who]) for who in names)):
        own = {who: [*clips[who][turn % len(clips[who]) :], *clips[who][: turn % len(clips[who])]] for who in names}
        known = np.stack([table[[row[c] for c in own[who][-(len(own[who]) // 2) :]]].mean(axis=0) for who in names])
        tests = known[:, [column[own[who][0]] for who in names]]
        spare = {who: own[who][1 : -(len(own[who]) // 2)] for who in names}
        ends = np.cumsum([0, *(len(spare[who]) for who in names)])
        rest = known[:, [column[c] for who in names for c in spare[who]]]
        slices = list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
        talks = ConversationScores(names, names, tests, rest, slices)
        for who, out in legal_eval.singling_out(talks, len(names), n_runs=1, seed=seed, fold=turn).items():
            singled[who] += out
        matrix = ScoreMatrix(tests, names, names, {})
        beaters = np.asarray(legal_eval.metrics.count_beaters(matrix))
        for i, who in enumerate(names):
            linked[who] += legal_eval.linkability(matrix, len(names), estimator="exact", beaters=beaters[i : i + 1])
    n = len(names)
    figures = [("singling out", singled, (1 - 1 / n) ** (n - 1)), ("linkability", linked, 1 / n)]
    return [
        Row(scenario, name, measure, scores.share_score([np.mean(r[who]) for who in names], names, "speakers", chance, seed))
        for measure, r, chance in figures
    ]


# ── what is left of words and prosody ─────────────────────────────────────────────────────────────────────────────────────


def word_error_rate(reference: Sequence[str], hypothesis: Sequence[str]) -> float:
    """WER: substitutions, deletions and insertions per word of the reference; above 1 with many insertions, NaN without words."""
    from rapidfuzz.distance import Levenshtein

    reference_words, hypothesis_words = normalise_transcript(reference), normalise_transcript(hypothesis)
    return Levenshtein.distance(reference_words, hypothesis_words) / len(reference_words) if reference_words else float("nan")


def normalise_transcript(words: Sequence[str]) -> list[str]:
    """Words in lower case without punctuation (apostrophes inside a word stay); hyphenated words are split, numbers stay."""
    text = " ".join(words).lower().replace("’", "'")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text)


def transcribe_utterances(utterances: Sequence[Utterance]) -> dict[str, list[str]]:
    """{clip: the words that Whisper hears in it}."""
    from deemo_data.models.speech import whisper

    net = whisper.load()
    return {u.clip: [word.text for word in whisper.transcribe(net, u.wave, "en")] for u in utterances}


def asr_word_error_rate(
    changed: Sequence[Utterance], original: Sequence[Utterance] | dict[str, list[str]], seed: int = 0
) -> Score:
    """WER of Whisper on changed sound against its own transcript of the original (`asr_words`): 0 for no change.

    Over all words of all clips. The WER of a clip is capped at 1, because Whisper repeats itself without end on speech that it
    does not understand.
    """
    import numpy as np

    originals = original if isinstance(original, dict) else transcribe_utterances(original)
    comparable = [u for u in changed if normalise_transcript(originals.get(u.clip, []))]
    transcripts = transcribe_utterances(comparable)
    rates = [min(word_error_rate(originals[u.clip], transcripts[u.clip]), 1.0) for u in comparable]
    sizes = [len(normalise_transcript(originals[u.clip])) for u in comparable]
    value = float(np.average(rates, weights=sizes)) if rates else float("nan")
    interval = scores.mean_interval(rates, [u.speaker for u in comparable], seed, sizes)
    return Score(value, *interval, None, len(rates), "clips")


def prosody_correlations(changed: Sequence[Utterance], original: Sequence[Utterance], seed: int = 0) -> dict[str, Score]:
    """Correlation of F0 and of energy between the changed and the original sound of each clip: the mean over clips."""
    import numpy as np

    from deemo_data.tracks import prosody

    original_waves = {u.clip: u.wave for u in original}
    by_measure = {}
    for name, correlate in [("F0 correlation", prosody.correlate_f0), ("energy correlation", prosody.correlate_energy)]:
        pairs = [(correlate(original_waves[u.clip], u.wave), u.speaker) for u in changed if u.clip in original_waves]
        values, people = [v for v, _ in pairs if v == v], [who for v, who in pairs if v == v]
        value = float(np.mean(values)) if values else float("nan")
        by_measure[name] = Score(value, *scores.mean_interval(values, people, seed), None, len(people), "clips")
    return by_measure
