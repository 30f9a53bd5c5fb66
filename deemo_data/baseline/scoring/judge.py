"""Clue overlap and label overlap, 0 to 10, judged by a language model of the user's choice: the scores that EMER reports.

`score_by_judge` scores one run of a model. The questions are in judge.toml; models/language_model.py sends them to any service
with an OpenAI-compatible interface. What is sent: the published reasons of a clip (its reasoning, otherwise its clues), its
emotion, and the answer of the scored model; no ids and no file names. Every question is asked `repeats` times, because judges
are not consistent. All replies are kept word for word in a JSONL file (the ledger), and a kept answer is not asked for again.

    clue_overlap   the model's reasons against the annotators' reasons; 0 when the model gives none
    label_overlap  the emotions that the judge infers from each side, against each other; 0 when the model names none

A judge's answer that cannot be used, because it is out of range or not in the required form, gives no score. Such answers are
counted and left out.
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

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deemo_data.baseline.answers import Answer
from deemo_data.baseline.scoring.metrics import BOOTSTRAP_ROUNDS, BootstrapDraws, Run, figure_to_json
from deemo_data.dataset.export.mer import MODALITIES
from deemo_data.errors import ConfigError, DatasetError, ModelError
from deemo_data.files import open_no_follow
from deemo_data.models.language_model import (
    FALLBACK_ADVICE,
    Exchange,
    LanguageModel,
    Pause,
    Prompt,
    Question,
    UnusableAnswer,
    ask,
    read_key,
)
from deemo_data.stats.figures import round_figure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deemo_data.baseline.data import Example


MIN_SCORE, MAX_SCORE = 0, 10
MAX_USELESS_ANSWERS = 10  # when none of the first answers can be used, the judge is not asked further
RETRY_ADVICE = "Look at --judge and --judge-model; what was judged so far is kept, so that typing the same goes on from there"

Scores = dict[str, float | None]  # "clue_overlap", "label_overlap" -> score; None: the judge's answer cannot be used
JudgeScore = Annotated[float, Field(ge=MIN_SCORE, le=MAX_SCORE, allow_inf_nan=False)]
T = TypeVar("T", bound=BaseModel)


def _keep_schema(title: str, description: str) -> ConfigDict:
    """Settings of an answer class, with the title and description that its JSON schema had before the class got its name.

    The keys of the ledger are digests of this schema. Another title or description would make every kept answer unusable.
    """
    return ConfigDict(extra="forbid", title=title, json_schema_extra={"description": description})


class DescriptionComparison(BaseModel):
    """The judge's comparison of two descriptions. The summaries come first, so that the judge writes them before the score."""

    model_config = _keep_schema(
        "Compared", "What the judge says about two descriptions; the summaries come first, so that it makes them first."
    )

    true_summary: str
    predicted_summary: str
    reason: str
    score: JudgeScore


class EmotionList(BaseModel):
    """The emotions that the judge infers from a description."""

    model_config = _keep_schema("Named", "The emotions that the judge reads out of a description.")

    emotions: list[Annotated[str, Field(min_length=1, max_length=60)]] = Field(max_length=12)


class EmotionComparison(BaseModel):
    """The judge's comparison of two lists of emotions."""

    model_config = _keep_schema("Overlap", "What the judge says about two lists of emotions.")

    reason: str
    score: JudgeScore


@dataclass(frozen=True)
class Judge:
    """A language model as judge. repeats: how often each question is asked; parallel: how many questions are sent at a time."""

    model: LanguageModel
    repeats: int = 3
    parallel: int = 4

    @classmethod
    def at(cls, address: str, model: str, *, repeats: int = 3, parallel: int = 4, **more: Any) -> Judge:
        """A judge from command-line options. more: further fields of LanguageModel.

        Raises ConfigError, which names the options instead of the keys of deemo.toml.
        """
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
    """The content of judge.toml: its name, version and language, and the three questions. digest: of the file, 16 hex digits."""

    name: str
    version: str
    language: str
    digest: str
    clue_overlap: str
    emotions: str
    label_overlap: str


@dataclass
class Ledger:
    """The JSONL file with one line per question and all replies to it. Threads of one process may share it.

    answers_by_key        usable answers of earlier runs, by the digest of their question
    asked, reused         how many questions this run sent, and how many an earlier run had answered
    failed, last_problem  how many answers of this run cannot be used, and what is wrong with the last of them
    """

    path: Path
    answers_by_key: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    reused: int = 0
    failed: int = 0
    last_problem: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def at(cls, path: Path) -> Ledger:
        """Open a ledger, or a new one. Lines that cannot be read, such as the last line of a killed run, are ignored."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8", errors="replace") if path.exists() else ""
        if text and not text.endswith("\n"):
            with open(path, "a", encoding="utf-8", opener=open_no_follow) as file:
                file.write("\n")
        ledger = cls(path)
        for line in text.split("\n"):
            with suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                ledger.answers_by_key[row["key"]] = row["answer"]
        return ledger

    def find(self, key: str, answer_type: type[T]) -> T | None:
        """The kept answer to a question, or None when there is none that can be used."""
        try:
            answer = answer_type.model_validate(self.answers_by_key.get(key))
        except ValidationError:
            return None
        with self.lock:
            self.reused += 1
        return answer

    def add(self, row: dict[str, Any]) -> None:
        """Append the outcome of a question; its answer may be None."""
        with self.lock, open(self.path, "a", encoding="utf-8", opener=open_no_follow) as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self.asked += 1
            if row["answer"] is None:
                self.failed, self.last_problem = self.failed + 1, row["why"]

    @property
    def is_hopeless(self) -> bool:
        """Whether many questions were sent and no answer could be used."""
        return not self.reused and self.failed == self.asked >= MAX_USELESS_ANSWERS


def score_by_judge(
    examples: Sequence[Example],
    run: Run,
    judge: Judge,
    ledger: Path,
    *,
    rounds: int = BOOTSTRAP_ROUNDS,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    pause: Pause = time.sleep,
) -> dict[str, Any]:
    """Both overlaps of one run of a model, as JSON values: figures as in metrics.py, with by_repeat in place of by_seed.

    ledger       path of the JSONL file; questions that it answers are not sent
    on_progress  called after each clip and repeat with (number done, number in total)
    pause        waits for a number of seconds between two tries
    Raises DatasetError when there are no clips; ModelError when the judge cannot be reached, refuses the key, or gives no usable
    answers.
    """
    if not examples:
        raise DatasetError("there is nothing to judge: no clips", "Give a split that has clips with an emotion")
    by_clip = {a.clip_id: a for a in run}
    pairs = [(e, by_clip.get(e.clip_id) or Answer(e.clip_id)) for e in examples]
    read_key(judge.model)  # a missing key stops the run before any clip is judged
    record = Ledger.at(ledger)
    scores: list[list[Scores]] = [[{} for _ in pairs] for _ in range(judge.repeats)]
    with ThreadPoolExecutor(judge.parallel) as pool:
        futures = {}
        for repeat in range(judge.repeats):
            for index, (example, answer) in enumerate(pairs):
                clip_judge = _ClipJudge(judge.model, pause, record, example.clip_id, repeat)
                futures[pool.submit(_judge_clip, example, answer, clip_judge)] = (repeat, index)
        try:
            for done, future in enumerate(as_completed(futures), 1):
                repeat, index = futures[future]
                scores[repeat][index] = future.result()
                on_progress(done, len(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    draws = BootstrapDraws.of([e.subject_id for e in examples], judge.repeats, rounds, seed)
    return {
        "judge": _describe_judge(judge),
        "questions": {"asked": record.asked, "kept": record.reused, "unusable": record.failed},
        "clue_overlap": _scores_to_json("clue_overlap", scores, draws)
        | {"without_reasons": sum(not a.explanation for _, a in pairs)},
        "label_overlap": _scores_to_json("label_overlap", scores, draws),
    }


@cache
def load_prompts() -> Prompts:
    """The questions of judge.toml."""
    raw = resources.files("deemo_data.baseline.scoring").joinpath("judge.toml").read_bytes()
    table = tomllib.loads(raw.decode())
    texts = {kind: " ".join(table[kind].split()) for kind in ("clue_overlap", "emotions", "label_overlap")}
    return Prompts(table["name"], table["version"], table["language"], hashlib.sha256(raw).hexdigest()[:16], **texts)


def _judge_clip(example: Example, answer: Answer, judge: _ClipJudge) -> Scores:
    """The scores of one clip in one repeat. There is no clue_overlap when the annotators gave no reasons."""
    gold_reasons, reasons = _published_reasons(example), answer.explanation
    scores: Scores = {}
    if gold_reasons and not reasons:
        scores["clue_overlap"] = float(MIN_SCORE)
    elif gold_reasons:
        comparison = judge.ask("clue_overlap", {"true": gold_reasons, "predicted": reasons}, DescriptionComparison)
        scores["clue_overlap"] = comparison.score if comparison else None
    description = _append_emotion(reasons, answer.emotion)
    if not description:
        return scores | {"label_overlap": float(MIN_SCORE)}
    true = judge.ask("emotions", {"description": _append_emotion(gold_reasons, example.emotion)}, EmotionList)
    predicted = judge.ask("emotions", {"description": description}, EmotionList)
    if true is None or predicted is None or not true.emotions:
        return scores | {"label_overlap": None}
    if not predicted.emotions:
        return scores | {"label_overlap": float(MIN_SCORE)}
    overlap = judge.ask("label_overlap", {"true": true.emotions, "predicted": predicted.emotions}, EmotionComparison)
    return scores | {"label_overlap": overlap.score if overlap else None}


def _published_reasons(example: Example) -> str:
    """The annotators' text: the reasoning, otherwise the clues, each after the name of its modality."""
    clues = [f"{m.capitalize()}: {example.clues[m]}" for m in MODALITIES if example.clues.get(m)]
    return example.reasoning or "\n".join(clues)


def _append_emotion(text: str, emotion: str | None) -> str:
    """The text, with the emotion on a line of its own; one of them may be missing."""
    return "\n".join(part for part in (text, f"Emotion: {emotion}" if emotion else "") if part)


@dataclass(frozen=True)
class _ClipJudge:
    """Asks the judge about one clip in one of the repeats."""

    model: LanguageModel
    pause: Pause
    ledger: Ledger
    clip_id: str
    repeat: int

    def ask(self, kind: str, material: dict[str, Any], answer_type: type[T]) -> T | None:
        """The judge's answer to a question of judge.toml about JSON material, or None when its answer cannot be used."""
        prompt = Prompt(getattr(load_prompts(), kind), json.dumps(material, ensure_ascii=False))
        cache = _LedgerCache(self.ledger, self.clip_id, kind, self.repeat)
        try:
            return ask(self.model, prompt, answer_type, cache, pause=self.pause)
        except UnusableAnswer:
            return None
        except ModelError as e:
            what = e.what.replace("the language model", "the judge", 1)
            raise ModelError(what, RETRY_ADVICE if e.advice == FALLBACK_ADVICE else e.advice) from e


@dataclass(frozen=True)
class _LedgerCache:
    """The ledger as the cache of one question about one clip. Unlike FolderCache, it also records unusable answers."""

    ledger: Ledger
    clip_id: str
    kind: str
    repeat: int

    def find(self, question: Question[T]) -> T | None:
        """The kept answer, or None. Raises ModelError instead of None after MAX_USELESS_ANSWERS answers without a usable one."""
        answer = self.ledger.find(self._key_of(question), question.answer_type)
        if answer is None and self.ledger.is_hopeless:
            model, ledger = question.settings, self.ledger
            count, problem = ledger.failed, ledger.last_problem
            what = f"the judge {model.model!r} at {model.host} gave {count} answers, and none can be used ({problem})"
            raise ModelError(what, f"Look at {ledger.path.name}: it has every word")
        return answer

    def add(self, question: Question[T], exchange: Exchange[T]) -> None:
        model, answer = question.settings, exchange.answer
        row = {"key": self._key_of(question), "clip_id": self.clip_id, "question": self.kind, "repeat": self.repeat}
        row |= {"prompts": load_prompts().digest, "model": model.model, "host": model.host, "temperature": model.temperature}
        row |= {"asked": question.messages, "replies": exchange.replies}
        row |= {"answer": answer.model_dump(mode="json") if answer else None}
        row |= {"why": exchange.problem if exchange.status == 200 else f"status {exchange.status}: {exchange.problem}"}
        self.ledger.add(row)

    def _key_of(self, question: Question[Any]) -> str:
        """Digest of the question, the model, its settings and the repeat."""
        model = question.settings
        parts = [model.address, model.model, model.temperature, model.max_tokens]
        return hashlib.sha256(json.dumps([*parts, question.messages, question.schema, self.repeat]).encode()).hexdigest()


def _scores_to_json(name: str, scores: Sequence[Sequence[Scores]], draws: BootstrapDraws) -> dict[str, Any]:
    """One overlap as JSON: the mean over clips, its interval, and how much the repeats differ. scores: per repeat, per clip.

    clips            how many clips have something that can be compared
    between_repeats  standard deviation of the means of the repeats
    within_clips     mean over clips of the standard deviation of a clip's scores
    unusable         how many scores are missing because the judge's answer cannot be used
    """
    import numpy as np

    values = np.array([[np.nan if (score := clip.get(name)) is None else score for clip in row] for row in scores], float)
    is_scored = np.isfinite(values)
    totals = draws.sum_over_draws(np.stack([np.where(is_scored, values, 0), is_scored], axis=-1))
    means = np.divide(totals[..., 0], totals[..., 1], out=np.full(totals.shape[:-1], np.nan), where=totals[..., 1] > 0)
    figure = figure_to_json(means, draws)
    figure["by_repeat"] = figure.pop("by_seed")
    scored_twice = values[:, is_scored.sum(axis=0) > 1]
    clips = sum(name in clip for clip in scores[0])
    return figure | {
        "range": [MIN_SCORE, MAX_SCORE],
        "clips": clips,
        "between_repeats": _std_of_finite(means[0]),
        "within_clips": round_figure(float(np.nanstd(scored_twice, axis=0, ddof=1).mean())) if scored_twice.size else None,
        "unusable": sum(name in clip and clip[name] is None for row in scores for clip in row),
        "why": None if is_scored.any() else ("no answer of the judge can be used" if clips else "people wrote no reasons"),
    }


def _std_of_finite(means: NDArray[np.float64]) -> float | None:
    """Standard deviation of the finite values; None when there are fewer than two."""
    import numpy as np

    finite = means[np.isfinite(means)]
    return round_figure(float(finite.std(ddof=1))) if len(finite) > 1 else None


def _describe_judge(judge: Judge) -> dict[str, Any]:
    """The judge as JSON. Scores are comparable only when model, settings, prompts, language and range are the same."""
    model, prompts = judge.model, load_prompts()
    description = {"model": model.model, "host": model.host, "temperature": model.temperature, "max_tokens": model.max_tokens}
    description |= {"repeats": judge.repeats, "range": [MIN_SCORE, MAX_SCORE], "language": prompts.language}
    return description | {"prompts": f"{prompts.name} {prompts.version}", "digest": prompts.digest}
