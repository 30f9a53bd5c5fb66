"""Clue overlap and label overlap, 0 to 10, as a language model of the user's choice judges them: what EMER reports, for reasons.

The questions are in judge.toml; the service is any OpenAI-compatible one, asked as language_model.py asks. It is sent what the
dataset publishes (a clip's reasoning, else its clues; its emotion) and what the scored model said; no ids, no names of files.
Every question is asked `repeats` times, since judges waver. What came back is kept in a JSONL file, word for word, and is
not asked for again.

    clue_overlap   reasons against reasons. Who gives none has 0
    label_overlap  the emotions that the judge reads out of either, against each other. Who names none has 0

An answer of the judge that cannot be used, out of range or not in the form asked for, is no score: it is counted and left out.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.scoring.metrics import ROUNDS, Draws, Run, figure
from deemo_data.dataset.export.mer import MODALITIES
from deemo_data.errors import ConfigError, DatasetError, ModelError
from deemo_data.files import open_no_follow
from deemo_data.models.language_model import FALLBACK, Call, LanguageModel, Pause, complaint, key_of, post, read_answer
from deemo_data.stats.figures import rounded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.baseline.data import Example


LOW, HIGH = 0, 10
HOPELESS = 10  # questions: when none of the first so many has an answer that can be used, none will
AGAIN = "Look at --judge and --judge-model; what was judged so far is kept, so that typing the same goes on from there"

Scores = dict[str, float | None]  # by measure; None: the judge's answer cannot be used
Scored = Annotated[float, Field(ge=LOW, le=HIGH, allow_inf_nan=False)]
T = TypeVar("T", bound=BaseModel)


class Compared(BaseModel, extra="forbid"):
    """What the judge says about two descriptions; the summaries come first, so that it makes them first."""

    true_summary: str
    predicted_summary: str
    reason: str
    score: Scored


class Named(BaseModel, extra="forbid"):
    """The emotions that the judge reads out of a description."""

    emotions: list[Annotated[str, Field(min_length=1, max_length=60)]] = Field(max_length=12)


class Overlap(BaseModel, extra="forbid"):
    """What the judge says about two lists of emotions."""

    reason: str
    score: Scored


@dataclass(frozen=True)
class Judge:
    """Who judges. repeats: how often each question is asked; parallel: questions under way at a time."""

    model: LanguageModel
    repeats: int = 3
    parallel: int = 4

    @classmethod
    def at(cls, address: str, model: str, *, repeats: int = 3, parallel: int = 4, **more: Any) -> Judge:
        """A judge by what is typed. more: further fields of LanguageModel. Raises ConfigError, in the command line's words."""
        if repeats < 1 or parallel < 1:
            raise ConfigError("a judge has to be asked at least once", "Give --repeats 1 or more")
        try:
            return cls(LanguageModel(address=address, model=model, **more), repeats, parallel)
        except ConfigError as e:
            raise ConfigError(
                e.what.replace("[language_model]", "--judge"), e.advice.replace("Set model", "Give --judge-model")
            ) from e


@dataclass(frozen=True)
class Prompts:
    """judge.toml. digest: of the file, sixteen hex digits."""

    name: str
    version: str
    language: str
    digest: str
    clue_overlap: str
    emotions: str
    label_overlap: str


@dataclass
class Ledger:
    """The JSONL file: a line for each question, with all that came back; what can be used of it is not asked again.

    asked, reused  questions of this run, and those whose answer was kept
    failed, last   how many answers cannot be used, and what is wrong with the last of them
    """

    path: Path
    kept: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    reused: int = 0
    failed: int = 0
    last: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def at(cls, path: Path) -> Ledger:
        """Lines that cannot be read, such as the last one of a run that was killed, are as if they were not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8", errors="replace") if path.exists() else ""
        if text and not text.endswith("\n"):
            with open(path, "a", encoding="utf-8", opener=open_no_follow) as file:
                file.write("\n")
        book = cls(path)
        for line in text.split("\n"):
            with suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                book.kept[row["key"]] = row["answer"]
        return book

    def find(self, key: str, shape: type[T]) -> T | None:
        try:
            answer = shape.model_validate(self.kept.get(key))
        except ValidationError:
            return None
        with self.lock:
            self.reused += 1
        return answer

    def add(self, row: dict[str, Any]) -> None:
        with self.lock, open(self.path, "a", encoding="utf-8", opener=open_no_follow) as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self.asked += 1
            if row["answer"] is None:
                self.failed, self.last = self.failed + 1, row["why"]

    @property
    def hopeless(self) -> bool:
        return not self.reused and self.failed == self.asked >= HOPELESS


def judged(
    examples: Sequence[Example],
    run: Run,
    judge: Judge,
    ledger: Path,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
    told: Callable[[int, int], None] = lambda done, of: None,
    pause: Pause = time.sleep,
) -> dict[str, Any]:
    """Both overlaps of one run of a model, JSON values only; figures as in metrics.py, by_repeat in place of by_seed.

    ledger  the JSONL file; what is in it is not asked again
    told    is called after each clip and repeat, with how many are done, of how many
    Raises ModelError when the judge cannot be reached, does not let us in, or says nothing that can be used.
    """
    if not examples:
        raise DatasetError("there is nothing to judge: no clips", "Give a split that has clips with an emotion")
    by_clip = {a.clip_id: a for a in run}
    pairs = [(e, by_clip.get(e.clip_id) or Answer(e.clip_id)) for e in examples]
    book, call = Ledger.at(ledger), Call(judge.model, key_of(judge.model), pause)
    found: list[list[Scores]] = [[{} for _ in pairs] for _ in range(judge.repeats)]
    with ThreadPoolExecutor(judge.parallel) as pool:
        under_way = {
            pool.submit(_overlaps, example, answer, _Asking(call, book, repeat, example.clip_id)): (repeat, place)
            for repeat in range(judge.repeats)
            for place, (example, answer) in enumerate(pairs)
        }
        try:
            for done, one in enumerate(as_completed(under_way), 1):
                repeat, place = under_way[one]
                found[repeat][place] = one.result()
                told(done, len(under_way))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    draws = Draws.of([e.subject_id for e in examples], judge.repeats, rounds, seed)
    return {
        "judge": _described(judge),
        "questions": {"asked": book.asked, "kept": book.reused, "unusable": book.failed},
        "clue_overlap": _figure("clue_overlap", found, draws) | {"without_reasons": sum(not a.said for _, a in pairs)},
        "label_overlap": _figure("label_overlap", found, draws),
    }


@cache
def prompts() -> Prompts:
    """What is asked, of judge.toml."""
    raw = resources.files("deemo_data.baseline.scoring").joinpath("judge.toml").read_bytes()
    said = tomllib.loads(raw.decode())
    texts = {kind: " ".join(said[kind].split()) for kind in ("clue_overlap", "emotions", "label_overlap")}
    return Prompts(said["name"], said["version"], said["language"], hashlib.sha256(raw).hexdigest()[:16], **texts)


def _overlaps(example: Example, answer: Answer, ask: _Asking) -> Scores:
    """The scores of one clip, once; None: the judge's answer cannot be used. Nothing for what people gave no reasons of."""
    gold, said = _reasons(example), answer.said
    told: Scores = {}
    if gold and not said:
        told["clue_overlap"] = float(LOW)
    elif gold:
        compared = ask("clue_overlap", {"true": gold, "predicted": said}, Compared)
        told["clue_overlap"] = compared.score if compared else None
    described = _with_emotion(said, answer.emotion)
    if not described:
        return told | {"label_overlap": float(LOW)}
    true = ask("emotions", {"description": _with_emotion(gold, example.emotion)}, Named)
    predicted = ask("emotions", {"description": described}, Named)
    if true is None or predicted is None or not true.emotions:
        return told | {"label_overlap": None}
    if not predicted.emotions:
        return told | {"label_overlap": float(LOW)}
    overlap = ask("label_overlap", {"true": true.emotions, "predicted": predicted.emotions}, Overlap)
    return told | {"label_overlap": overlap.score if overlap else None}


def _reasons(example: Example) -> str:
    """What people wrote: the reasoning, else the clues, each under its modality."""
    clues = [f"{m.capitalize()}: {example.clues[m]}" for m in MODALITIES if example.clues.get(m)]
    return example.reasoning or "\n".join(clues)


def _with_emotion(text: str, emotion: str | None) -> str:
    return "\n".join(part for part in (text, f"Emotion: {emotion}" if emotion else "") if part)


@dataclass(frozen=True)
class _Asking:
    """One clip's questions, in one of the repeats."""

    call: Call
    book: Ledger
    repeat: int
    clip_id: str

    def __call__(self, kind: str, about: dict[str, Any], shape: type[T]) -> T | None:
        """The answer in the form of `shape`, a kept one where there is one; None when it cannot be used."""
        how = self.call.how
        said = [
            {"role": "system", "content": getattr(prompts(), kind)},
            {"role": "user", "content": json.dumps(about, ensure_ascii=False)},
        ]
        asked = [how.address, how.model, how.temperature, how.max_tokens, said, shape.model_json_schema(), self.repeat]
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        if (kept := self.book.find(key, shape)) is not None:
            return kept
        if self.book.hopeless:
            what = (
                f"the judge {how.model!r} at {how.host} gave {self.book.failed} answers, and none can be used ({self.book.last})"
            )
            raise ModelError(what, f"Look at {self.book.path.name}: it has every word")
        try:
            answer, replies, why = _answer(self.call, said, shape)
        except ModelError as e:
            raise ModelError(
                e.what.replace("the language model", "the judge", 1), AGAIN if e.advice == FALLBACK else e.advice
            ) from e
        row = {"key": key, "clip_id": self.clip_id, "question": kind, "repeat": self.repeat, "prompts": prompts().digest}
        row |= {"model": how.model, "host": how.host, "temperature": how.temperature, "asked": said, "replies": replies}
        self.book.add(row | {"answer": answer.model_dump(mode="json") if answer else None, "why": why})
        return answer


def _answer(call: Call, said: list[dict[str, str]], shape: type[T]) -> tuple[T | None, list[str], str]:
    """(answer, all that came back, what is wrong). First with the schema as a parameter, then with the schema in the text."""
    how, schema = call.how, shape.model_json_schema()
    body = {"model": how.model, "temperature": how.temperature, "max_tokens": how.max_tokens, "stream": False}
    form = {"type": "json_schema", "json_schema": {"name": shape.__name__, "schema": schema, "strict": True}}
    wanted = f"Answer with one JSON object and nothing else. It must fit this JSON schema:\n{json.dumps(schema)}"
    in_words = [{**said[0], "content": f"{said[0]['content']}\n\n{wanted}"}, *said[1:]]
    replies, why = [], ""
    for more in ({"messages": said, "response_format": form}, {"messages": in_words}):
        status, got = post(call, {**body, **more})
        reply = got.decode(errors="replace")
        replies.append(reply.replace(call.key, "…") if call.key else reply)
        answer, why = (
            read_answer(got, shape, lambda answer: "") if status == 200 else (None, f"status {status}: {complaint(got)}")
        )
        if answer is not None:
            return answer, replies, ""
    return None, replies, why


def _figure(name: str, found: Sequence[Sequence[Scores]], draws: Draws) -> dict[str, Any]:
    """The mean over clips, its interval, and how far the repeats are apart.

    clips            of which people wrote something that could be compared
    between_repeats  standard deviation of the means of the repeats
    within_clips     mean over clips of the standard deviation of a clip's scores
    unusable         scores that are missing, as the judge's answer cannot be used
    """
    import numpy as np

    values = np.array([[np.nan if (score := clip.get(name)) is None else score for clip in row] for row in found], float)
    there = np.isfinite(values)
    totals = draws.total(np.stack([np.where(there, values, 0), there], axis=-1))
    means = np.divide(totals[..., 0], totals[..., 1], out=np.full(totals.shape[:-1], np.nan), where=totals[..., 1] > 0)
    told = figure(means, draws)
    told["by_repeat"] = told.pop("by_seed")
    often = values[:, there.sum(axis=0) > 1]
    clips = sum(name in clip for clip in found[0])
    return told | {
        "range": [LOW, HIGH],
        "clips": clips,
        "between_repeats": _spread(means[0]),
        "within_clips": rounded(float(np.nanstd(often, axis=0, ddof=1).mean())) if often.size else None,
        "unusable": sum(name in clip and clip[name] is None for row in found for clip in row),
        "why": None if there.any() else ("no answer of the judge can be used" if clips else "people wrote no reasons"),
    }


def _spread(means: NDArray[np.float64]) -> float | None:
    """Standard deviation of those that there are; None for fewer than two."""
    import numpy as np

    known = means[np.isfinite(means)]
    return rounded(float(known.std(ddof=1))) if len(known) > 1 else None


def _described(judge: Judge) -> dict[str, Any]:
    """What a figure has to be read with: another judge, other prompts, another language or range give another figure."""
    how, said = judge.model, prompts()
    told = {"model": how.model, "host": how.host, "temperature": how.temperature, "max_tokens": how.max_tokens}
    told |= {"repeats": judge.repeats, "range": [LOW, HIGH], "language": said.language}
    return told | {"prompts": f"{said.name} {said.version}", "digest": said.digest}
