"""A model's answers about clips: reads answers.jsonl, matches it with the scored clips, and writes it.

Any model can be scored through this file. It is JSON Lines, one object per clip:

    clip_id        as in the dataset
    emotion        a label of the dataset, a word that means one, or null when the model gave none
    text           the model's answer in its own words; without `emotion`, the emotion is searched in this text
    probabilities  optional: {label: probability}, summing to 1; a label that is missing has 0
    clues          optional: {"video": ..., "audio": ..., "text": ...}, what each modality shows
    reasoning      optional: how the model comes to its answer

An error names the file and the line that is wrong.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from deemo_data.baseline.wording import EmotionLexicon
from deemo_data.dataset.records import first_error
from deemo_data.errors import DatasetError

MAX_SUM_ERROR = 0.01  # rounded probabilities may sum to a value this far from 1
MAX_LISTED_CLIPS = 5  # clips that an error names
FORMAT_ADVICE = 'One JSON object a line: {"clip_id": "c-…", "emotion": "…"}, or "text" for free text; see baseline/answers.py'


@dataclass(frozen=True)
class Answer:
    """A model's answer about one clip.

    emotion        a label of the dataset; None: the model refused, or its answer does not mean exactly one label
    probabilities  label -> probability, for all labels, summing to 1
    text           the answer in the model's own words; "" when it gave only a label
    """

    clip_id: str
    emotion: str | None = None
    probabilities: dict[str, float] | None = None
    text: str = ""
    clues: dict[str, str] | None = None
    reasoning: str = ""

    @property
    def explanation(self) -> str:
        """The model's reasons as text: the reasoning, otherwise the free text, otherwise the clues."""
        return self.reasoning or self.text or " ".join(text for text in (self.clues or {}).values() if text)


@dataclass(frozen=True)
class Answers:
    """The answers of a file, matched with the scored clips.

    answers  one per scored clip, in the order of the clips; a clip without an answer counts as refused
    missing  ids of scored clips without an answer
    refused  ids of scored clips whose answer means no label, or several
    unknown  ids in the file that the dataset does not have
    outside  values of `emotion` that mean no label -> how often they occur
    unused   how many answers are about clips of the dataset that are not scored
    """

    answers: tuple[Answer, ...]
    missing: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    outside: dict[str, int] | None = None
    unused: int = 0

    def to_json(self) -> dict[str, Any]:
        """The counts and ids as evaluation.json holds them."""
        report: dict[str, Any] = {"answers": len(self.answers) - len(self.missing), "clips": len(self.answers)}
        for name in ("missing", "refused", "unknown"):
            report[name] = {"count": len(getattr(self, name)), "clips": list(getattr(self, name))}
        return report | {"outside": self.outside or {}, "unused": self.unused}


class _Row(BaseModel, extra="forbid"):
    """One line of answers.jsonl."""

    clip_id: str = Field(min_length=1)
    emotion: str | None = None
    text: str = ""
    probabilities: dict[str, float] | None = None
    clues: dict[Literal["video", "audio", "text"], str] | None = None
    reasoning: str = ""

    @model_validator(mode="after")
    def _check_content(self) -> _Row:
        if not self.model_fields_set & {"emotion", "text", "probabilities"}:
            raise ValueError("there is no emotion, no text and no probabilities")
        if self.probabilities is not None:
            if any(not math.isfinite(p) or p < 0 for p in self.probabilities.values()):
                raise ValueError("probabilities: one is below 0 or no number")
            if abs(sum(self.probabilities.values()) - 1) > MAX_SUM_ERROR:
                raise ValueError(f"probabilities: they sum to {sum(self.probabilities.values()):.3g}, not to 1")
        return self


def read_answers(path: Path, lexicon: EmotionLexicon, scored_clips: Sequence[str], other_clips: Iterable[str] = ()) -> Answers:
    """The answers of a file, one for each scored clip.

    lexicon       finds the label that a text means
    scored_clips  the ids of the clips that are scored
    other_clips   further clip ids of the dataset, such as those of other splits: answers about them are counted and not used
    Raises DatasetError, naming the line, when the file cannot be read, and when no answer is about a scored clip.
    """
    scored_ids = set(scored_clips)
    by_clip: dict[str, Answer] = {}
    line_of: dict[str, int] = {}
    outside: Counter[str] = Counter()
    for number, row in _read_rows(path):
        if row.clip_id in by_clip:
            first = line_of[row.clip_id]
            raise DatasetError(
                f"{path.name}, line {number}: {row.clip_id} was answered in line {first} already", "Keep one of them"
            )
        by_clip[row.clip_id], line_of[row.clip_id] = _answer_of_row(row, lexicon, f"{path.name}, line {number}"), number
        if row.emotion and row.clip_id in scored_ids and lexicon.find_label(row.emotion) is None:
            outside[row.emotion] += 1
    answered = [clip for clip in scored_clips if clip in by_clip]
    unknown = sorted(set(by_clip) - scored_ids - set(other_clips))
    if not answered:
        first_ids = ", ".join(sorted(by_clip)[:MAX_LISTED_CLIPS]) or "it is empty"
        what = f"{path.name} has no answer about any of the {len(scored_clips)} clips that are scored ({first_ids})"
        raise DatasetError(what, "Compare its clip_id with the column clip_id of the dataset")
    return Answers(
        tuple(by_clip.get(clip, Answer(clip)) for clip in scored_clips),
        missing=tuple(clip for clip in scored_clips if clip not in by_clip),
        refused=tuple(clip for clip in answered if by_clip[clip].emotion is None),
        unknown=tuple(unknown),
        outside=dict(outside.most_common()),
        unused=len(by_clip) - len(answered) - len(unknown),
    )


def write_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Write answers as `read_answers` reads them. Empty fields are left out; a refusal is `"emotion": null`."""
    rows = []
    for a in answers:
        row: dict[str, Any] = {"clip_id": a.clip_id, "emotion": a.emotion}
        row |= {k: v for k in ("text", "probabilities", "clues", "reasoning") if (v := getattr(a, k))}
        rows.append(json.dumps(row, ensure_ascii=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")


def _read_rows(path: Path) -> Iterable[tuple[int, _Row]]:
    """(line number, row) of each line that is not blank. Raises DatasetError at the first line that is wrong."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except OSError as e:
        raise DatasetError(f"{path} cannot be read: {e.strerror or e}", "Give a file with --predictions") from e
    except UnicodeDecodeError as e:
        raise DatasetError(f"{path.name} is not UTF-8 (byte {e.start})", "Save it as UTF-8") from e
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, _Row.model_validate_json(line)
        except ValidationError as e:
            raise DatasetError(f"{path.name}, line {number}: {first_error(e)}", FORMAT_ADVICE) from e


def _answer_of_row(row: _Row, lexicon: EmotionLexicon, location: str) -> Answer:
    """The answer of a row. Its emotion is that of the row, otherwise the most probable label, otherwise the label in its text."""
    probabilities = None if row.probabilities is None else _normalise_probabilities(row.probabilities, lexicon, location)
    if "emotion" in row.model_fields_set:
        emotion = lexicon.find_label(row.emotion or "")
    elif probabilities:
        best = max(probabilities.values())
        is_unique = sum(p == best for p in probabilities.values()) == 1
        emotion = max(probabilities, key=probabilities.__getitem__) if is_unique else None
    else:
        emotion = lexicon.find_label(row.text)
    clues = None if row.clues is None else {str(k): v for k, v in row.clues.items()}
    return Answer(row.clip_id, emotion, probabilities, row.text, clues, row.reasoning)


def _normalise_probabilities(probabilities: dict[str, float], lexicon: EmotionLexicon, location: str) -> dict[str, float]:
    """Probabilities of all labels, in the order of the labels, summing to 1."""
    if foreign := [name for name in probabilities if name not in lexicon.labels]:
        what = f"{location}: probabilities has {foreign[0]!r}, which is no label of the dataset"
        raise DatasetError(what, f"Labels: {', '.join(lexicon.labels)}")
    total = sum(probabilities.values())
    return {label: probabilities.get(label, 0.0) / total for label in lexicon.labels}
