"""Transcribe: the words of a clip, each with its time on the source's clock, and in which languages they are.

In:  the sound of the clip, with some context, the languages of the source, and the names known for it. Out: words. What Whisper
made up is told apart (models/speech/invented.py). redact.py takes the names out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from deemo_data.clip import Clip, Facts
from deemo_data.media import sound
from deemo_data.notices import Notice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.models.speech.whisper import Passage, Word

ENGLISH = "en"
GUESS_PROBABILITY = 0.3  # of a language, below which it is not named at all
SURE_PROBABILITY = 0.5  # of a language, from which on it is named without "perhaps"
MIN_UNSURE_MS = 2000  # a shorter window is too often unsure to be told


@dataclass(frozen=True)
class Transcribe:
    """Makes `words`: {"words", "before", "after", "dropped", "hinted", "others"}.

        before |            words            | after
    -----------[========== the clip ========)-----------  `context_ms` more is transcribed on both sides, so that a
               |                             |            word at the clip's edge is complete, and is in `words`

    A word is {start_ms, end_ms, text, probability}; one that may not have been said has `doubtful`: true. `dropped` are words
    that Whisper made up, as far as one can tell. They are in no transcript; `redact` looks for names in them all the same.
    `others` are the stretches of other languages: {start_ms, end_ms, language, probability}; `other_model` transcribes them.
    `hinted` has one list of words for each of the source's known names: a further transcription, prompted with that name.
    (If it is prompted with several names at once, Whisper tiny may repeat one of them again and again.)
    All of this is private: `redact` makes the transcript that may be read. Tells `language`: the languages of the clip's speech,
    most of it first: {language, share, probability}.
    """

    model: str = "whisper-tiny-en-2a4410"  # for English; or a folder made by ct2-transformers-converter (its whole path)
    model_sha256: str = ""  # of that folder's model.bin
    other_model: str = "whisper-base-753752"  # for other languages, where `model` knows English only
    context_ms: Annotated[int, Field(ge=0, le=10_000)] = 2000

    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("source", "grid", "has_sound", "sound", "known_names", "languages")
    makes: ClassVar[dict[str, str]] = {"words": "words.json"}
    tells: ClassVar[tuple[str, ...]] = ("language", "transcribe_notices")

    def __call__(self, clip: Clip, out: Path) -> Facts:
        payload: dict[str, Any] = {n: [] for n in ("words", "before", "after", "dropped", "hinted", "others")}
        heard = json.loads(clip.path("languages").read_text())
        notices: list[Notice] = []
        if clip.facts["has_sound"]:
            from deemo_data.models.speech import invented, whisper

            widened = widen_clip(clip, self.context_ms)
            payload["others"] = [s for s in find_overlaps(heard["stretches"], widened) if s["language"] != ENGLISH]
            wave, zero_ms = sound.read_levelled_sound(widened), clip.grid.ms_at(widened.first_frame)
            listener = _Listener(self, wave, plan_tasks(whisper.find_speech(wave), payload["others"], zero_ms))
            passages = listener.hear()
            verdicts = invented.judge_passages(passages)
            for passage, verdict in zip(passages, verdicts, strict=True):
                for word in rows_of_words(passage.words, zero_ms):
                    row = {**word, "doubtful": True} if verdict == "doubtful" else word
                    payload["dropped" if verdict == "invented" else _place(word, clip)].append(row)
            for name in dict.fromkeys(n for n in clip.facts["known_names"] if n.strip()):
                hinted = rows_of_words(listener.hear_name(name), zero_ms)
                payload["hinted"].append([w for w in hinted if _place(w, clip) == "words"])
            notices = describe_passages([p for p in zip(passages, verdicts, strict=True) if _touches(p[0], clip, zero_ms)])
        (out / self.makes["words"]).write_text(json.dumps(payload, ensure_ascii=False))
        language = measure_languages(heard, clip)
        notices += describe_languages(language, heard, clip)
        return {"language": language, "transcribe_notices": [n.to_fact() for n in notices]}


class Task(NamedTuple):
    """Stretches of a wave (start_ms, end_ms) that are transcribed in one language."""

    language: str
    spans: list[tuple[int, int]]


class _Listener:
    """The networks of a Transcribe, and what they are to listen to."""

    def __init__(self, stage: Transcribe, wave: NDArray[np.float32], tasks: list[Task]) -> None:
        self._stage, self._wave, self._tasks = stage, wave, tasks

    def hear(self) -> list[Passage]:
        """All passages, in order of time."""
        from deemo_data.models.speech import whisper

        passages = [
            p for t in self._tasks for p in whisper.hear_passages(self._load(t.language), self._wave, t.spans, t.language)
        ]
        return sorted(passages, key=lambda p: (p.words[0].start_s, p.words[-1].end_s))

    def hear_name(self, name: str) -> list[Word]:
        """The words of a transcription that is prompted with a name, in order of time."""
        from deemo_data.models.speech import whisper

        words = [
            w
            for t in self._tasks
            for w in whisper.transcribe_spans(self._load(t.language), self._wave, t.spans, t.language, hint=name)
        ]
        return sorted(words, key=lambda w: (w.start_s, w.end_s))

    def _load(self, language: str) -> Any:
        from deemo_data.models.speech import whisper

        own = "/" in self._stage.model
        net = whisper.load_folder(self._stage.model, self._stage.model_sha256) if own else whisper.load(self._stage.model)
        return net if language == ENGLISH or net.model.is_multilingual else whisper.load(self._stage.other_model)


def plan_tasks(speech: list[tuple[int, int]], others: list[Facts], zero_ms: int) -> list[Task]:
    """What is transcribed in which language: English first, and each stretch of another language by itself.

    speech   stretches of speech of a wave (start_ms, end_ms)
    others   stretches of other languages, on the source's clock; the wave begins there at `zero_ms`
    """
    english, tasks = speech, []
    for stretch in others:
        start, end = stretch["start_ms"] - zero_ms, stretch["end_ms"] - zero_ms
        inside = [(max(a, start), min(b, end)) for a, b in speech if a < end and b > start]
        if inside:
            tasks.append(Task(stretch["language"], inside))
        english = [part for a, b in english for part in ((a, min(b, start)), (max(a, end), b)) if part[0] < part[1]]
    return [Task(ENGLISH, english), *tasks] if english else tasks


def find_overlaps(rows: Iterable[Facts], clip: Clip) -> list[Facts]:
    """The rows (start_ms, end_ms, …) that share time with a clip."""
    return [row for row in rows if row["start_ms"] < clip.end_ms and row["end_ms"] > clip.start_ms]


def measure_languages(heard: Facts, clip: Clip) -> list[Facts]:
    """The languages of a clip's speech, most of it first: {language, share, probability}. Empty where nobody speaks.

    The share is of the time of speech, and of the clip's time where the language was not heard but set.
    """
    times: dict[str, float] = {}
    chances: dict[str, float] = {}
    for stretch in find_overlaps(heard["stretches"], clip):
        spoken = heard["windows"] or [{"start_ms": stretch["start_ms"], "end_ms": stretch["end_ms"]}]
        first, end = max(stretch["start_ms"], clip.start_ms), min(stretch["end_ms"], clip.end_ms)
        time = sum(max(0, min(w["end_ms"], end) - max(w["start_ms"], first)) for w in spoken)
        if time:
            code = stretch["language"]
            times[code] = times.get(code, 0.0) + time
            chances[code] = chances.get(code, 0.0) + time * stretch["probability"]
    whole = sum(times.values())
    return [
        {"language": code, "share": round(time / whole, 3), "probability": round(chances[code] / time, 3)}
        for code, time in sorted(times.items(), key=lambda item: (-item[1], item[0]))
    ]


def name_language(row: Facts) -> str:
    """The code of a language for people: "de", "perhaps de" where Whisper is not sure, "unknown" where it only guesses."""
    if row["probability"] < GUESS_PROBABILITY:
        return "unknown"
    code: str = row["language"]
    return code if row["probability"] >= SURE_PROBABILITY else f"perhaps {code}"


def describe_languages(language: list[Facts], heard: Facts, clip: Clip) -> list[Notice]:
    """Notices of speech in another language, and of windows where Whisper could not tell."""
    notices = []
    if others := [row for row in language if row["language"] != ENGLISH]:
        share, names = sum(row["share"] for row in others), ", ".join(name_language(row) for row in others)
        notices.append(Notice("other_language", f"{share:.0%} of the speech is in another language than English ({names})"))
    unsure = [
        w for w in find_overlaps(heard["windows"], clip)
        if w["understanding"] is not None and w["end_ms"] - w["start_ms"] >= MIN_UNSURE_MS
    ]  # fmt: skip
    if unsure:
        seconds = sum(min(w["end_ms"], clip.end_ms) - max(w["start_ms"], clip.start_ms) for w in unsure) / 1000
        others = [s for s in heard["stretches"] if s["language"] != ENGLISH]
        taken = sum(any(s["start_ms"] < w["end_ms"] and w["start_ms"] < s["end_ms"] for s in others) for w in unsure)
        notices.append(
            Notice(
                "unsure_language",
                f"for {seconds:.1f} s of its speech it was not clear whether it is English: {len(unsure) - taken} of "
                f"{len(unsure)} windows were taken for English",
            )
        )
    return notices


def describe_passages(judged: list[tuple[Passage, str]]) -> list[Notice]:
    """Notices of the passages that Whisper made up, and of those that are doubtful."""
    notices = []
    for verdict, kind, what in (
        ("invented", "invented_words", "were taken for made up by Whisper and left out of the transcript"),
        ("doubtful", "doubtful_words", "are doubtful: the transcript has [UNCLEAR] in their place"),
    ):
        if found := [passage for passage, own in judged if own == verdict]:
            words, seconds = sum(len(p.words) for p in found), sum(p.words[-1].end_s - p.words[0].start_s for p in found)
            parts = f"{len(found)} passage" + ("s" if len(found) > 1 else "")
            notices.append(Notice(kind, f"{words} words in {parts} ({seconds:.1f} s) {what}"))
    return notices


def _place(word: Facts, clip: Clip) -> str:
    return "after" if word["start_ms"] >= clip.end_ms else "before" if word["end_ms"] <= clip.start_ms else "words"


def _touches(passage: Passage, clip: Clip, zero_ms: int) -> bool:
    return any(_place(word, clip) == "words" for word in rows_of_words(passage.words, zero_ms))


def widen_clip(clip: Clip, by_ms: int) -> Clip:
    """The clip with `by_ms` more of its source on both sides, as far as the source goes."""
    end = clip.grid.ms_at(clip.grid.frames)
    return replace(clip, start_ms=max(0, clip.start_ms - by_ms), end_ms=min(max(end, clip.end_ms), clip.end_ms + by_ms))


def rows_of_words(words: Iterable[Word], zero_ms: int) -> list[dict[str, Any]]:
    """Words of a wave that begins at `zero_ms` of the source, with times on the source's clock."""
    return [
        {
            "start_ms": zero_ms + round(w.start_s * 1000),
            "end_ms": zero_ms + round(w.end_s * 1000),
            "text": w.text,
            "probability": round(w.probability, 3),
        }
        for w in words
    ]
