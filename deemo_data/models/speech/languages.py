"""Which language is spoken when in a recording: English, which the names model knows, or another one.

Whisper base says for each window of up to 5 s of speech how likely each language is. Where that is not clear, the English
listener says how well it understands the window: it is sure of English and stumbles over other languages. A window alone may be
wrong, a short one most of all. So the language changes only where the windows give enough reason for it:

    score of a window = reasons for English - reasons against it, less the longer it is; a change costs CHANGE_COST

Doubt counts against English, because sound that is not understood may hold names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from deemo_data.media.sound import SAMPLE_RATE_HZ
from deemo_data.models.speech import invented, silero, whisper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.media.sound import SoundBlocks

ENGLISH = "en"
MOST_OTHERS = 5  # languages that are kept of a window
UNSPOKEN = "la"  # Whisper takes much that it does not know for Latin
WINDOW_MS, MIN_WINDOW_MS = 5000, 2000  # longer speech is parted; shorter speech is joined with what follows soon
PAUSE_MS, PAD_MS, JOINED_PAUSE_MS = 300, 100, 700
CLEAR = (0.05, 0.9)  # probability of English that needs no second opinion
SHORT_CLEAR = (0.02, 0.9)  # the same, for windows of less than SHORT_MS
SHORT_MS = 3000
UNDERSTOOD = -0.72  # mean log probability of the English listener: half-way between English and other languages
UNDERSTANDING_WEIGHT, MAX_UNDERSTANDING = 10.0, 3.0
NOT_UNDERSTOOD = -9.0
MAX_SCORE = 4.0
DOUBT_SCORE = -0.5  # what doubt adds to every score: a probability of 0.62 counts as even
FULL_WINDOW_MS = 4000  # a window of this length and more counts in full
CHANGE_COST = 2.0


class Window(NamedTuple):
    """A window of speech.

    english        probability of English by Whisper base
    others         the most likely other languages: {code: probability}
    understanding  how sure the English listener is (mean log probability); None where nobody asked it
    """

    start_ms: int
    end_ms: int
    english: float
    others: dict[str, float]
    understanding: float | None = None

    @property
    def is_clear(self) -> bool:
        return not CLEAR[0] <= self.english <= CLEAR[1]


class Stretch(NamedTuple):
    """A stretch of a recording in one language, with the mean probability of that language over its speech."""

    start_ms: int
    end_ms: int
    language: str
    probability: float


def listen_for_languages(sound: NDArray[np.float32] | SoundBlocks, base: Any, listener: Any, vad: str) -> list[Window]:
    """The windows of speech of a recording.

    base      a multilingual Whisper network
    listener  a Whisper network for English
    """
    spans = silero.detect_speech(
        sound, threshold=whisper.SPEECH_THRESHOLD, min_silence_ms=PAUSE_MS, min_speech_ms=0, pad_ms=PAD_MS, name=vad
    )
    planned = plan_windows(spans)
    return [_judge_window(span, wave, base, listener) for span, wave in zip(planned, _cut_waves(sound, planned), strict=True)]


def plan_windows(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Windows (start_ms, end_ms) for stretches of speech: long ones in even parts, short ones with what follows soon."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined:
            first, last = joined[-1]
            if min(last - first, end - start) < MIN_WINDOW_MS and start - last <= JOINED_PAUSE_MS and end - first <= WINDOW_MS:
                joined[-1] = (first, end)
                continue
        joined.append((start, end))
    windows = []
    for start, end in joined:
        parts = max(1, math.ceil((end - start) / WINDOW_MS))
        edges = [start + (end - start) * i // parts for i in range(parts + 1)]
        windows += list(pairwise(edges))
    return windows


def _cut_waves(sound: NDArray[np.float32] | SoundBlocks, spans: Iterable[tuple[int, int]]) -> Iterator[NDArray[np.float32]]:
    """The wave of each span (start_ms, end_ms), in order; the spans ascend."""
    import numpy as np

    blocks = iter([sound] if isinstance(sound, np.ndarray) else sound)
    held: NDArray[np.float32] = np.zeros(0, np.float32)
    begin = 0
    for start_ms, end_ms in spans:
        start, end = (ms * SAMPLE_RATE_HZ // 1000 for ms in (start_ms, end_ms))
        while begin + len(held) < end and (block := next(blocks, None)) is not None:
            done = min(max(start - begin, 0), len(held))
            held, begin = np.concatenate([held[done:], block]), begin + done
        yield held[start - begin : end - begin]


def _judge_window(span: tuple[int, int], wave: NDArray[np.float32], base: Any, listener: Any) -> Window:
    chances = whisper.estimate_languages(base, wave)
    english = chances.pop(ENGLISH)
    chances.pop(UNSPOKEN, None)
    likeliest = sorted(chances, key=lambda code: -chances[code])[:MOST_OTHERS]
    low, high = CLEAR if span[1] - span[0] >= SHORT_MS else SHORT_CLEAR
    understanding = None
    if low <= english <= high:
        said = whisper.rate_understanding(listener, wave, ENGLISH)
        understood = said is not None and said.repetition <= invented.MAX_REPETITION
        understanding = round(said.log_probability, 3) if said and understood else NOT_UNDERSTOOD
    return Window(*span, round(english, 4), {code: round(chances[code], 4) for code in likeliest}, understanding)


def score_window(window: Window) -> float:
    """How much a window speaks for English (above 0) or for another language (below 0)."""
    chance = min(max(window.english, 1e-6), 1 - 1e-6)
    length_ms = window.end_ms - window.start_ms
    score = math.log(chance / (1 - chance)) * min(1.0, length_ms / SHORT_MS) + DOUBT_SCORE
    if window.understanding is not None:
        understood = UNDERSTANDING_WEIGHT * (window.understanding - UNDERSTOOD)
        score += min(max(understood, -MAX_UNDERSTANDING), MAX_UNDERSTANDING)
    return min(1.0, length_ms / FULL_WINDOW_MS) * min(max(score, -MAX_SCORE), MAX_SCORE)


def find_english(windows: Sequence[Window]) -> list[bool]:
    """Whether each window is English: the sequence whose scores, less the cost of its changes, add up to most."""
    if not windows:
        return []
    best: dict[bool, tuple[float, Any]] = dict.fromkeys((True, False), (0.0, ()))  # the best sum that ends so, and its sequence
    for number, window in enumerate(windows):
        score = score_window(window)
        step: dict[bool, tuple[float, Any]] = {}
        for english in (True, False):
            change = CHANGE_COST if number else 0.0
            stay, turn = best[english], best[not english]
            total, before = stay if stay[0] >= turn[0] - change else (turn[0] - change, turn[1])
            step[english] = total + (score if english else -score), (before, english)
        best = step
    _, path = best[best[True][0] > best[False][0]]
    found = []
    while path:
        path, english = path
        found.append(english)
    return found[::-1]


def find_stretches(windows: Sequence[Window], end_ms: int) -> list[Stretch]:
    """The stretches of a recording [0, end_ms), one language each. They cover all of it; none where nobody speaks.

    Another language reaches from the last English speech before it to the first after it, so that no speech that went unnoticed
    is taken for English.
    """
    runs: list[tuple[bool, list[Window]]] = []
    for english, pairs in groupby(zip(windows, find_english(windows), strict=True), key=lambda pair: pair[1]):
        runs.append((english, [window for window, _ in pairs]))
    stretches = []
    for number, (english, group) in enumerate(runs):
        start = 0 if number == 0 else group[0].start_ms if english else runs[number - 1][1][-1].end_ms
        end = end_ms if number == len(runs) - 1 else group[-1].end_ms if english else runs[number + 1][1][0].start_ms
        stretches.append(Stretch(start, end, *_name_language(english, group)))
    return stretches


def _name_language(english: bool, windows: Sequence[Window]) -> tuple[str, float]:
    """The language of a run of windows, and its mean probability over their time."""
    whole = sum(w.end_ms - w.start_ms for w in windows) or 1
    if english:
        return ENGLISH, round(sum(w.english * (w.end_ms - w.start_ms) for w in windows) / whole, 3)
    sums: dict[str, float] = {}
    for w in windows:
        for code, chance in w.others.items():
            sums[code] = sums.get(code, 0.0) + chance * (w.end_ms - w.start_ms)
    code = max(sums, key=lambda c: sums[c])
    return code, round(sums[code] / whole, 3)
