"""Scores the answers of models about one dataset: one line of the report's table per model.

`Scorer.open` loads the dataset and selects the scored clips; `score_model` computes a line. Baselines, a trained model and a
file of predictions all go through the same `score_model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deemo_data.baseline.answers import Answer, Answers, read_answers
from deemo_data.baseline.data import Dataset, load_dataset
from deemo_data.baseline.scoring import judge, metrics, overlap
from deemo_data.baseline.wording import EmotionLexicon
from deemo_data.errors import DatasetError
from deemo_data.labels.vocabulary import Emotions, Nfbl, load_emotions, load_nfbl
from deemo_data.pipeline.run import Watcher

if TYPE_CHECKING:
    from deemo_data.baseline.data import Example
    from deemo_data.baseline.evaluation.settings import Settings

LEDGER_FILE = "judged.jsonl"


@dataclass
class Scorer:
    """A dataset, its scored clips, and how answers about them are scored.

    clips           the scored clips; empty when all clips are of the train split
    emotions, nfbl  the vocabularies of this package, if the dataset was labelled by them: they add synonyms
    out             folder of the results
    majority_runs   answers of the majority baseline, one run per seed, with which later lines are compared; empty at first
    """

    dataset: Dataset
    clips: Sequence[Example]
    settings: Settings
    emotions: Emotions | None
    nfbl: Nfbl | None
    out: Path
    watcher: Watcher
    majority_runs: list[list[Answer]] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, settings: Settings, out: Path, watcher: Watcher) -> Scorer:
        """The scorer of a dataset folder. Raises DatasetError when the dataset, or the split, cannot be used."""
        dataset = load_dataset(folder)
        emotions, nfbl = load_emotions("emotions"), load_nfbl("nfbl")
        return cls(
            dataset,
            select_scored_clips(dataset, settings),
            settings,
            emotions if emotions.versioned_name in dataset.vocabularies else None,
            nfbl if set(dataset.classes) <= set(nfbl.labels) else None,
            out,
            watcher,
        )

    def read_predictions(self) -> Answers | None:
        """The answers of the file of predictions, None when there is no such file. Raises DatasetError, naming a wrong line."""
        if self.settings.predictions is None:
            return None
        lexicon = EmotionLexicon.of(self.dataset.emotions, self.emotions)
        all_ids = [e.clip_id for e in self.dataset.examples]
        return read_answers(self.settings.predictions, lexicon, [e.clip_id for e in self.clips], all_ids)

    def score_model(self, name: str, kind: str, runs: Sequence[Sequence[Answer]], note: str = "") -> dict[str, Any]:
        """One line of the table, as JSON.

        kind  "baseline", "model", "ablation" or "predictions"
        runs  the answers of each seed
        note  a remark that the report shows
        """
        emotions, classes = self.dataset.emotions, self.dataset.classes
        line: dict[str, Any] = {"name": name, "kind": kind, "note": note}
        line["recognition"] = metrics.score_recognition(self.clips, runs, emotions)
        if self.majority_runs:
            line["above_majority"] = metrics.score_difference(self.clips, runs, self.majority_runs, emotions)
        line["reasoning"] = None
        if any(a.explanation for run in runs for a in run):
            line["reasoning"] = overlap.score_overlaps(self.clips, runs, emotions, classes, self.emotions, self.nfbl)
            line["judged"] = self._judge_run(name, runs[0]) if kind in ("model", "predictions") else None
        return line

    def _judge_run(self, name: str, run: Sequence[Answer]) -> dict[str, Any] | None:
        """The judge's scores of one run; None without a judge."""
        if not self.settings.judge:
            return None
        title = f"Judge {name}"
        self.watcher.on_stage(title, len(self.clips) * self.settings.repeats, 0)
        return judge.score_by_judge(
            self.clips,
            run,
            self.settings.make_judge(),
            self.out / LEDGER_FILE,
            on_progress=lambda done, of: self.watcher.on_clip(title),
        )


def select_scored_clips(dataset: Dataset, settings: Settings) -> tuple[Example, ...]:
    """The clips of the split that is scored; none when all clips are of the train split, unless the settings name that split.

    Raises DatasetError when the settings name a split without a clip that has an emotion.
    """
    if settings.split:
        clips = dataset.in_split(settings.split)
        if not clips:
            raise DatasetError(f"no clip of split {settings.split} has an emotion", "Give another --split")
        return clips
    return dataset.in_split("test") or dataset.in_split("validation")
