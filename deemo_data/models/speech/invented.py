"""Tells what somebody said from what Whisper made up: for music, noise and other languages it writes "Thank you very much".

Whisper rates each passage itself (`Passage`). Real speech, also in noise and of several people at once, is rated above -0.8 in
mean log probability; what is made up is rated below -1, repeats itself, or comes faster than anybody speaks.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

from deemo_data.models.speech.whisper import Passage, is_slow_enough

Verdict = Literal["said", "doubtful", "invented"]

MIN_LOG_PROBABILITY = -1.0  # what is rated lower is invented
SURE_LOG_PROBABILITY = -0.8  # what is rated higher was said, by this sign
MAX_REPETITION = 2.4  # Whisper's own limit (Radford et al. 2022, section 4.5)
MAX_NO_SPEECH, SURE_NO_SPEECH = 0.75, 0.5
MAX_LOOPS = 3  # the same words at most so many times in a row
STOCK_PHRASES = {  # the ends of videos that Whisper learned from, without marks and capitals
    "you", "bye", "bye bye", "the end", "thank you", "thank you very much", "thank you so much", "thanks for watching",
    "thank you for watching", "thank you so much for watching", "please subscribe", "see you next time",
    "see you in the next video", "ill see you next time", "ill see you in the next video",
}  # fmt: skip
STOCK_PROBABILITY = 0.6  # of its words, from which on a stock phrase was said


def judge_passage(passage: Passage) -> Verdict:
    """Whether a passage was said, may have been said, or is invented."""
    if (
        passage.log_probability < MIN_LOG_PROBABILITY
        or passage.repetition > MAX_REPETITION
        or passage.no_speech > MAX_NO_SPEECH
        or not is_slow_enough(passage.words)
        or count_loops([w.text for w in passage.words]) > MAX_LOOPS
    ):
        return "invented"
    if passage.log_probability < SURE_LOG_PROBABILITY or passage.no_speech > SURE_NO_SPEECH or _is_unsure_stock_phrase(passage):
        return "doubtful"
    return "said"


def judge_passages(passages: list[Passage]) -> list[Verdict]:
    """The verdict on each passage of a recording. The same passage again and again is invented from the second time on."""
    verdicts = [judge_passage(p) for p in passages]
    texts = [_plain(" ".join(w.text for w in p.words)) for p in passages]
    run = 1
    for i, (text, later) in enumerate(pairwise(texts), 1):
        run = run + 1 if text == later and len(text.split()) > 1 else 1
        if run > MAX_LOOPS:
            verdicts[i - run + 2 : i + 1] = ["invented"] * (run - 1)
    return verdicts


def count_loops(texts: list[str]) -> int:
    """How many times in a row a phrase of up to six words is repeated in a list of words: at least 1."""
    words, most = [_plain(t) for t in texts], 1
    for size in range(1, min(6, len(words) // 2) + 1):
        run = size
        for i in range(size, len(words)):
            run = run + 1 if words[i] == words[i - size] else size
            most = max(most, run // size)
    return most


def _is_unsure_stock_phrase(passage: Passage) -> bool:
    mean = sum(w.probability for w in passage.words) / len(passage.words)
    return mean < STOCK_PROBABILITY and _plain(" ".join(w.text for w in passage.words)) in STOCK_PHRASES


def _plain(text: str) -> str:
    """Text without marks and capitals."""
    return re.sub(r"[^\w\s]", "", text).casefold().strip()
