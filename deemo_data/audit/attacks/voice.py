"""Attacks on changed voices: whether two clips are still heard to be of one speaker, and whether the words survived.

An attacker is a table of scores: every enrolled clip (rows) against every clip on trial (columns), high for alike.
GE2E is a trained speaker encoder, "statistics" are plain means and deviations (voice_statistics.py), "fusion" adds the
two. To tune a voice against them, call `attack(original, changed)` and read the row "lowest", and `asr_wer`. Draw fresh
parameters for each clip as the stage would: one and the same change for all is found by every attacker.

Nobody here trained a network on changed voices. Who does will do better: read every figure as an upper bound on the
protection.
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


SHORTEST = 100  # frames of 10 ms with speech, below which a clip says too little of a voice
ENROLLED = 3  # clips of the stronger enrolment
TRAINERS = 2  # speakers at least that a back-end learns from, beside the two that are compared
EASY = 0.1  # keeps one number that hardly varies within a speaker from ruling all others
SCENARIOS = {
    "original": "enrolled and tried on originals: what the attackers can do at best",
    "ignorant": "enrolled on originals, tried on changed voices",
    "lazy": "enrolled and tried on changed voices (lazy-informed)",
    "adapted": "as lazy, with a back-end trained on changed voices of all speakers but the two compared (not semi-informed)",
}


@dataclass(frozen=True)
class Utterance:
    """Speech of one person: `wave` (n,) float32 at 16 kHz; the original and the changed sound of one stretch share `clip`."""

    speaker: str
    clip: str
    wave: NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """What one attacker reached in one scenario; without a score, `note` says why it could not run.

    attacker  GE2E, statistics or fusion; "GE2E x 3" enrols each speaker on three clips at once
    measure   EER, singling out or linkability (the last two by legal_eval: Vauquier et al., Interspeech 2025)
    """

    scenario: str
    attacker: str
    measure: str
    score: Score | None
    note: str = ""

    def to_row(self) -> dict[str, Any]:
        said = {"scenario": self.scenario, "attacker": self.attacker, "measure": self.measure, "note": self.note}
        return {**said, **(self.score.to_row() if self.score else {})}


@dataclass(frozen=True)
class Heard:
    """What attackers keep of n utterances: `vectors` holds an array (n, d) for GE2E and one for the statistics."""

    speakers: NDArray[np.str_]
    clips: NDArray[np.str_]
    vectors: dict[str, NDArray[np.float64]]


def attack(
    original: Sequence[Utterance] | Heard,
    changed: Sequence[Utterance] | Heard,
    seed: int = 0,
    more: Sequence[Utterance] | Heard = (),
) -> list[Row]:
    """All attackers on one set of speakers, and the row "lowest": the attacker with the lowest EER on changed voices.

    more  further changed speech for the adapted attackers to learn from, as whoever has this tool can make it with secrets
          of his own: of the same speakers or others. Nothing of the two speakers that are compared is ever used

    EER 0.5 is what guessing gives, 0 is everybody told apart. The lowest of many figures is by chance alone a little
    lower than each of them, which is the safe side. Clips with less than a second of speech are left out. What several
    calls share may be heard once: `hear(original)`.
    """
    before, after, taught = (side if isinstance(side, Heard) else hear(side) for side in (original, changed, more))
    rows = []
    for scenario, enrol, trial in [("original", before, before), ("ignorant", before, after), ("lazy", after, after)]:
        rows += judge(scenario, tables(enrol, trial), enrol, trial, seed)
    if len({*after.speakers, *taught.speakers}) < TRAINERS + 2:
        note = f"needs {TRAINERS + 2} speakers: it learns from others than the two it compares"
        rows.append(Row("adapted", "all", "EER", None, note))
    else:
        rows += judge("adapted", adapted_tables(after, taught), after, after, seed)
    return [*rows, lowest(rows)]


def lowest(rows: Sequence[Row]) -> Row:
    """The row with the lowest EER on changed voices, renamed."""
    tried = [(r.score.value, r) for r in rows if r.score and r.measure == "EER" and r.scenario not in ("original", "lowest")]
    if not tried:
        return Row("lowest", "none", "EER", None, "no attacker could run")
    least = min(tried, key=lambda pair: pair[0])[1]
    return Row("lowest", f"{least.attacker}, {least.scenario}", "EER", least.score, f"the lowest of {len(tried)}")


def hear(utterances: Sequence[Utterance]) -> Heard:
    """What the attackers keep of all utterances that have speech enough."""
    import numpy as np

    from deemo_data.audit.attacks import voice_statistics
    from deemo_data.models.speech import ge2e

    net, kept = ge2e.load(), []
    voices, plain = [], []
    for u in utterances:
        spoken = voice_statistics.speech(u.wave)
        if spoken.sum() >= SHORTEST:
            kept.append(u)
            voices.append(
                ge2e.embed_utterance(net, u.wave[: len(spoken) * voice_statistics.HOP][np.repeat(spoken, voice_statistics.HOP)])
            )
            plain.append(voice_statistics.statistics(u.wave))
    vectors = {name: np.array(rows, np.float64) for name, rows in (("GE2E", voices), ("statistics", plain))}
    return Heard(np.array([u.speaker for u in kept], str), np.array([u.clip for u in kept], str), vectors)


# ── tables of scores ─────────────────────────────────────────────────────────────────────────────────────────


def tables(enrol: Heard, trial: Heard) -> dict[str, NDArray[np.float64]]:
    """The scores of the attackers without a trained back-end: (enrolled, tried) each.

    The statistics have units of their own: each side is brought to mean 0 and deviation 1, as an attacker who holds
    all clips can do.
    """
    found: dict[str, NDArray[np.float64]] = {}
    if not len(enrol.speakers) or not len(trial.speakers):
        return found
    for name in enrol.vectors:
        rows, columns = enrol.vectors[name], trial.vectors[name]
        if name == "statistics":
            rows, columns = ((side - side.mean(axis=0)) / _spread(side) for side in (rows, columns))
        found[name] = _unit(rows) @ _unit(columns).T
    return {**found, "fusion": _fused(found, enrol, trial)}


def adapted_tables(heard: Heard, more: Heard | None = None) -> dict[str, NDArray[np.float64]]:
    """The scores of the attackers whose back-end learned on changed voices: for each two speakers, on all the others."""
    import numpy as np

    names = sorted(set(heard.speakers))
    found: dict[str, NDArray[np.float64]] = {}
    for name, vectors in heard.vectors.items():
        found[name] = np.zeros((len(vectors), len(vectors)))
        known, whose = vectors, heard.speakers
        if more is not None and len(more.speakers):
            known, whose = np.concatenate([known, more.vectors[name]]), np.concatenate([whose, more.speakers])
        for i, one in enumerate(names):
            for other in names[i:]:
                others = (whose != one) & (whose != other)
                middle, weight = backend(known[others], whose[others])
                a, b = (_unit((vectors[heard.speakers == who] - middle) * weight) for who in (one, other))
                found[name][np.ix_(heard.speakers == one, heard.speakers == other)] = a @ b.T
                found[name][np.ix_(heard.speakers == other, heard.speakers == one)] = b @ a.T
    return {**found, "fusion": _fused(found, heard, heard)}


def backend(vectors: NDArray[np.float64], speakers: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What to subtract from a vector and what to multiply it by, so that numbers count by how well they tell speakers apart.

    The weight is Fisher's: the deviation between speakers by the deviation within one. With some ten utterances to
    learn from, LDA and whitening over all numbers at once did worse on every voice tried.
    """
    import numpy as np

    middle, spread = vectors.mean(axis=0), _spread(vectors)
    scaled = (vectors - middle) / spread
    groups = [scaled[speakers == who] for who in sorted(set(speakers))]
    several = [g for g in groups if len(g) > 1]
    if not several:
        return middle, 1 / spread
    within = np.mean([g.var(axis=0, ddof=1) for g in several], axis=0)
    between = np.var([g.mean(axis=0) for g in groups], axis=0, ddof=1) - within / np.mean([len(g) for g in groups])
    return middle, np.sqrt(np.maximum(between, 0) / (within + EASY)) / spread


def _fused(found: dict[str, NDArray[np.float64]], enrol: Heard, trial: Heard) -> NDArray[np.float64]:
    """The sum of all tables, each brought to mean 0 and deviation 1 over the pairs that may be compared."""
    import numpy as np

    total = np.zeros((len(enrol.clips), len(trial.clips)))
    may = enrol.clips[:, None] != trial.clips[None]
    for table in found.values():
        if may.any():
            total += (table - table[may].mean()) / max(float(table[may].std()), 1e-9)
    return total


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _spread(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.maximum(vectors.std(axis=0), 1e-9)


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────


def judge(scenario: str, found: dict[str, NDArray[np.float64]], enrol: Heard, trial: Heard, seed: int = 0) -> list[Row]:
    """Every figure of every attacker's table; a clip is never compared with itself, changed or not."""
    if not found:
        return [Row(scenario, "all", "EER", None, "no clip has a second of speech")]
    rows = []
    for name, table in found.items():
        for clips in (1, ENROLLED):
            rows.append(_verification(scenario, name, table, enrol, trial, clips, seed))
        rows += _legal(scenario, name, table, enrol, trial, seed)
    return rows


def _verification(scenario: str, name: str, table: NDArray[np.float64], enrol: Heard, trial: Heard, clips: int, seed: int) -> Row:
    """EER over all pairs of clips, or over all pairs of a speaker (the mean of some clips) and a clip."""
    import numpy as np

    attacker = name if clips == 1 else f"{name} x {clips}"
    may = enrol.clips[:, None] != trial.clips[None]
    if clips == 1:
        if enrol is trial:
            may = np.triu(may)  # each pair once
        one, other = np.nonzero(may)
        values, whose, tried = table[one, other], enrol.speakers[one], trial.speakers[other]
    else:
        pairs = []
        for who in sorted(set(enrol.speakers)):
            for j in range(len(trial.clips)):
                rows = np.flatnonzero((enrol.speakers == who) & may[:, j])[:clips]
                if len(rows) == clips:
                    pairs.append((table[rows, j].mean(), who, trial.speakers[j]))
        if not pairs:
            return Row(scenario, attacker, "EER", None, f"no speaker has {clips} clips to enrol and another to try")
        values, whose, tried = (np.array(column) for column in zip(*pairs, strict=True))
    if not (whose == tried).any() or (whose == tried).all():
        return Row(scenario, attacker, "EER", None, "needs two speakers, and one of them in two clips")
    return Row(scenario, attacker, "EER", scores.eer_score(values, list(whose), list(tried), "speakers", seed))


def _legal(scenario: str, name: str, table: NDArray[np.float64], enrol: Heard, trial: Heard, seed: int) -> list[Row]:
    """Singling out and linkability among all speakers: half of a speaker's clips enrolled, one on trial, the rest calibrate.

    Each clip is on trial once. For n speakers guessing singles one out in (1 - 1/n)^(n-1) of all cases (0.37 of many),
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


# ── what is left for use ─────────────────────────────────────────────────────────────────────────────────────


def wer(reference: Sequence[str], hypothesis: Sequence[str]) -> float:
    """Word errors (exchanged, lost, added) by the words of the reference; above 1 where much was added, NaN without words."""
    from rapidfuzz.distance import Levenshtein

    said, heard = plain_words(reference), plain_words(hypothesis)
    return Levenshtein.distance(said, heard) / len(said) if said else float("nan")


def plain_words(words: Sequence[str]) -> list[str]:
    """Lower case, no punctuation but apostrophes inside a word, hyphenated words apart; numbers stay as they are."""
    text = " ".join(words).lower().replace("’", "'")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text)


def asr_words(utterances: Sequence[Utterance]) -> dict[str, list[str]]:
    """What Whisper hears in each clip."""
    from deemo_data.models.speech import whisper

    net = whisper.load()
    return {u.clip: [word.text for word in whisper.words(net, u.wave, "en")] for u in utterances}


def asr_wer(changed: Sequence[Utterance], original: Sequence[Utterance] | dict[str, list[str]], seed: int = 0) -> Score:
    """WER of Whisper on changed sound by what it hears in the original of the clip (`asr_words`): 0 for no change.

    Of all words of all clips; a clip counts at most as lost to the last word, since Whisper repeats itself without end in
    what it does not understand.
    """
    import numpy as np

    said = original if isinstance(original, dict) else asr_words(original)
    known = [u for u in changed if plain_words(said.get(u.clip, []))]
    heard = asr_words(known)
    rates = [min(wer(said[u.clip], heard[u.clip]), 1.0) for u in known]
    sizes = [len(plain_words(said[u.clip])) for u in known]
    value = float(np.average(rates, weights=sizes)) if rates else float("nan")
    interval = scores.mean_interval(rates, [u.speaker for u in known], seed, sizes)
    return Score(value, *interval, None, len(rates), "clips")


def melody_kept(changed: Sequence[Utterance], original: Sequence[Utterance], seed: int = 0) -> dict[str, Score]:
    """Correlation of F0 and of loudness between the changed and the original sound of each clip: the mean over clips."""
    import numpy as np

    from deemo_data.tracks import prosody

    known = {u.clip: u.wave for u in original}
    made = {}
    for name, alike in [("F0 correlation", prosody.f0_correlation), ("energy correlation", prosody.energy_correlation)]:
        found = [(alike(known[u.clip], u.wave), u.speaker) for u in changed if u.clip in known]
        values, people = [v for v, _ in found if v == v], [who for v, who in found if v == v]
        value = float(np.mean(values)) if values else float("nan")
        made[name] = Score(value, *scores.mean_interval(values, people, seed), None, len(people), "clips")
    return made
