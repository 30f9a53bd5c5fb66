"""The settings of `deemo evaluate`, as the command line gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deemo_data.baseline.checks.statistics import PERMUTATION_ROUNDS
from deemo_data.baseline.scoring.judge import Judge
from deemo_data.dataset.layout import SPLITS
from deemo_data.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """What to evaluate. The field names are also keys of evaluation.json.

    model          train DEEMO-LLaMA and score it (needs the extra [baseline])
    preset         size of that model, see llama/presets.py
    base           folder or name of a language model that replaces the preset's own; "": the preset's own
    seeds          how many times the model, and each baseline, is trained with another seed
    retrain        number of seeds for which the model is also trained without each modality
    predictions    a file of answers that is scored, too (see answers.py)
    judge          address of an OpenAI-compatible service that judges reasons; "": none
    judge_model    the service's name for the model
    judge_key_env  environment variable that holds its key
    repeats        how often the judge is asked each question
    resume         continue a training that was stopped, and keep a model that is done
    rounds         permutations for each null distribution
    split          the split that is scored; "": test, or validation when no clip of test has an emotion
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
    rounds: int = PERMUTATION_ROUNDS
    split: str = ""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"--seeds {self.seeds} leaves nothing to score", "Give 1 or more")
        if self.rounds < PERMUTATION_ROUNDS:
            raise ConfigError(f"{self.rounds} permutations are too few for a verdict", f"Give {PERMUTATION_ROUNDS} or more")
        if self.split not in ("", *SPLITS):
            raise ConfigError(f"there is no split {self.split!r}", f"Splits: {', '.join(SPLITS)}")
        if self.judge:
            self.make_judge()  # reports a wrong judge before anything is trained
            if not (self.model or self.predictions):
                raise ConfigError(
                    "there is nothing to judge: baselines give no reasons", "Give --predictions, or train the model"
                )

    def make_judge(self) -> Judge:
        """The judge of these settings. Raises ConfigError when they are wrong."""
        return Judge.at(self.judge, self.judge_model, repeats=self.repeats, key_env=self.judge_key_env)

    def to_json(self) -> dict[str, Any]:
        """The settings as evaluation.json holds them: of the predictions only the file name, not the folder."""
        return {**vars(self), "predictions": self.predictions.name if self.predictions else None}


DEFAULT_SETTINGS = Settings()
