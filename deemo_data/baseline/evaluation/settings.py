"""What is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.checks.statistics import ROUNDS
from deemo_data.baseline.scoring import metrics, overlap
from deemo_data.baseline.scoring.judge import Judge
from deemo_data.dataset.layout import SPLITS
from deemo_data.errors import ConfigError
from deemo_data.labels.vocabulary import Emotions, Nfbl
from deemo_data.pipeline.run import Watcher

if TYPE_CHECKING:
    from deemo_data.baseline.answers import Answer
    from deemo_data.baseline.data import Dataset, Example


SCHEMA = 1
JSON, HTML, LEDGER = "evaluation.json", "evaluation.html", "judged.jsonl"


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    model        train DEEMO-LLaMA and score it (needs the extra [baseline])
    preset       of that model; `base`: folder or name of a language model instead of the preset's own
    seeds        of the model and of each baseline
    retrain      seeds for which the model is also trained without each modality
    predictions  a file of answers that is scored, too
    judge        address of an OpenAI-compatible judge of reasons, "" for none; `repeats`: how often it is asked;
                 `judge_key_env`: the environment variable that holds its key
    resume       go on with a model whose training was stopped, and keep one that is done
    rounds       of each permutation null
    split        that is scored; "": test, or validation where no clip of test has an emotion
    """

    model: bool = False
    preset: str = "tiny"
    base: str = ""
    seeds: int = 3
    retrain: int = 1
    predictions: Path | None = None
    judge: str = ""
    judge_model: str = ""
    judge_key_env: str = ""
    repeats: int = 3
    resume: bool = True
    rounds: int = ROUNDS
    split: str = ""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"--seeds {self.seeds} leaves nothing to score", "Give 1 or more")
        if self.rounds < ROUNDS:
            raise ConfigError(f"{self.rounds} permutations are too few for a verdict", f"Give {ROUNDS} or more")
        if self.split not in ("", *SPLITS):
            raise ConfigError(f"there is no split {self.split!r}", f"Splits: {', '.join(SPLITS)}")
        if self.judge:
            self.judged_by()  # what is wrong with it should be known before anything is trained
            if not (self.model or self.predictions):
                raise ConfigError(
                    "there is nothing to judge: baselines give no reasons", "Give --predictions, or train the model"
                )

    def judged_by(self) -> Judge:
        return Judge.at(self.judge, self.judge_model, repeats=self.repeats, key_env=self.judge_key_env)

    def told(self) -> dict[str, Any]:
        """As evaluation.json has it; of a file its name, not where it lies."""
        return {**vars(self), "predictions": self.predictions.name if self.predictions else None}


@dataclass
class Scoring:
    """What is scored, and how it is called."""

    dataset: Dataset
    scored: Sequence[Example]
    settings: Settings
    emotions: Emotions | None
    nfbl: Nfbl | None
    out: Path
    watcher: Watcher
    majority: list[list[Answer]] = field(default_factory=list)

    def of(self, name: str, kind: str, runs: Sequence[Sequence[Answer]], note: str = "") -> dict[str, Any]:
        """One line of the table. `runs`: the answers of each seed."""
        whole = self.dataset.emotions
        told: dict[str, Any] = {"name": name, "kind": kind, "note": note}
        told["recognition"] = metrics.recognition(self.scored, runs, whole)
        if self.majority:
            told["above_majority"] = metrics.difference(self.scored, runs, self.majority, whole)
        told["reasoning"] = None
        if any(a.said for run in runs for a in run):
            told["reasoning"] = overlap.overlaps(self.scored, runs, whole, self.dataset.classes, self.emotions, self.nfbl)
            told["judged"] = self._judged(name, runs[0]) if kind in ("model", "predictions") else None
        return told

    def _judged(self, name: str, run: Sequence[Answer]) -> dict[str, Any] | None:
        if not self.settings.judge:
            return None
        title = f"Judge {name}"
        self.watcher.stage(title, len(self.scored) * self.settings.repeats, 0)
        from deemo_data.baseline.scoring import judge

        return judge.judged(
            self.scored, run, self.settings.judged_by(), self.out / LEDGER, told=lambda done, of: self.watcher.clip(title)
        )
