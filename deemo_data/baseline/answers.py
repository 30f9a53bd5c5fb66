"""Answers of a model about clips: read from answers.jsonl with the line that is wrong, matched with the clips, and written.

One JSON object a line:

    clip_id        as in the dataset
    emotion        a label of the dataset, a word that means one, or null: the model gave none
    text           what the model said in its own words; the emotion is looked for in it where `emotion` is not there
    probabilities  optional: {label: probability}, summing to 1; a label that is not there has 0
    clues          optional: {"video": ..., "audio": ..., "text": ...}, what each modality shows
    reasoning      optional: how it comes to its answer
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
from deemo_data.dataset.records import why
from deemo_data.errors import DatasetError

SUM_IS_ONE = 0.01  # how far from 1 rounded probabilities may sum
NAMED = 5  # clips that an error names at most
FORM = 'One JSON object a line: {"clip_id": "c-…", "emotion": "…"}, or "text" for free text; see baseline/answers.py'


@dataclass(frozen=True)
class Answer:
    """What a model says about one clip.

    emotion        a label of the dataset; None: it refused, or said nothing that means one label
    probabilities  label -> probability, all labels, summing to 1
    text           in its own words; "" when it gave only a label
    """

    clip_id: str
    emotion: str | None = None
    probabilities: dict[str, float] | None = None
    text: str = ""
    clues: dict[str, str] | None = None
    reasoning: str = ""

    @property
    def said(self) -> str:
        """Its reasons in words: the reasoning, else the free text, else the clues."""
        return self.reasoning or self.text or " ".join(text for text in (self.clues or {}).values() if text)


@dataclass(frozen=True)
class Answers:
    """A file of answers beside the clips that are scored.

    answers  one a scored clip, in the order of the clips; a clip without one is refused
    missing  scored clips about which nothing was said
    refused  scored clips with an answer that means no label, or several
    unknown  ids that the dataset does not have
    outside  what stood in `emotion` and means no label: how often
    unused   how many answers are about clips of the dataset that are not scored
    """

    answers: tuple[Answer, ...]
    missing: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    outside: dict[str, int] | None = None
    unused: int = 0

    def summary(self) -> dict[str, Any]:
        """As evaluation.json has it: how many, and which."""
        told: dict[str, Any] = {"answers": len(self.answers) - len(self.missing), "clips": len(self.answers)}
        for name in ("missing", "refused", "unknown"):
            told[name] = {"count": len(getattr(self, name)), "clips": list(getattr(self, name))}
        return told | {"outside": self.outside or {}, "unused": self.unused}


class _Row(BaseModel, extra="forbid"):
    """One line of answers.jsonl."""

    clip_id: str = Field(min_length=1)
    emotion: str | None = None
    text: str = ""
    probabilities: dict[str, float] | None = None
    clues: dict[Literal["video", "audio", "text"], str] | None = None
    reasoning: str = ""

    @model_validator(mode="after")
    def _says_something(self) -> _Row:
        if not self.model_fields_set & {"emotion", "text", "probabilities"}:
            raise ValueError("there is no emotion, no text and no probabilities")
        if self.probabilities is not None:
            if any(not math.isfinite(p) or p < 0 for p in self.probabilities.values()):
                raise ValueError("probabilities: one is below 0 or no number")
            if abs(sum(self.probabilities.values()) - 1) > SUM_IS_ONE:
                raise ValueError(f"probabilities: they sum to {sum(self.probabilities.values()):.3g}, not to 1")
        return self


def read(path: Path, wording: EmotionLexicon, scored: Sequence[str], known: Iterable[str] = ()) -> Answers:
    """The answers of a file, one for each clip id of `scored`.

    known  further clip ids of the dataset, such as those of other splits: answers about them are left aside
    Raises DatasetError, with the line, for what cannot be read, and where no answer is about a scored clip.
    """
    wanted = set(scored)
    by_clip: dict[str, Answer] = {}
    line_of: dict[str, int] = {}
    outside: Counter[str] = Counter()
    for number, row in _rows(path):
        if row.clip_id in by_clip:
            first = line_of[row.clip_id]
            raise DatasetError(
                f"{path.name}, line {number}: {row.clip_id} was answered in line {first} already", "Keep one of them"
            )
        by_clip[row.clip_id], line_of[row.clip_id] = _answer(row, wording, f"{path.name}, line {number}"), number
        if row.emotion and row.clip_id in wanted and wording.label(row.emotion) is None:
            outside[row.emotion] += 1
    found = [clip for clip in scored if clip in by_clip]
    unknown = sorted(set(by_clip) - wanted - set(known))
    if not found:
        shown = ", ".join(sorted(by_clip)[:NAMED]) or "it is empty"
        what = f"{path.name} has no answer about any of the {len(scored)} clips that are scored ({shown})"
        raise DatasetError(what, "Compare its clip_id with the column clip_id of the dataset")
    return Answers(
        tuple(by_clip.get(clip, Answer(clip)) for clip in scored),
        missing=tuple(clip for clip in scored if clip not in by_clip),
        refused=tuple(clip for clip in found if by_clip[clip].emotion is None),
        unknown=tuple(unknown),
        outside=dict(outside.most_common()),
        unused=len(by_clip) - len(found) - len(unknown),
    )


def write(path: Path, answers: Iterable[Answer]) -> None:
    """Answers as `read` takes them. What an answer does not have is not written; a refusal is `"emotion": null`."""
    rows = []
    for a in answers:
        row: dict[str, Any] = {"clip_id": a.clip_id, "emotion": a.emotion}
        row |= {k: v for k in ("text", "probabilities", "clues", "reasoning") if (v := getattr(a, k))}
        rows.append(json.dumps(row, ensure_ascii=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")


def _rows(path: Path) -> Iterable[tuple[int, _Row]]:
    """(line, row), line by line; the first that is wrong is an error."""
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
            raise DatasetError(f"{path.name}, line {number}: {why(e)}", FORM) from e


def _answer(row: _Row, wording: EmotionLexicon, where: str) -> Answer:
    """A row with its emotion as a label: what it says, else the likeliest, else what its text names."""
    likely = None if row.probabilities is None else _all_labels(row.probabilities, wording, where)
    if "emotion" in row.model_fields_set:
        emotion = wording.label(row.emotion or "")
    elif likely:
        best = max(likely.values())
        emotion = max(likely, key=likely.__getitem__) if sum(p == best for p in likely.values()) == 1 else None
    else:
        emotion = wording.label(row.text)
    clues = None if row.clues is None else {str(k): v for k, v in row.clues.items()}
    return Answer(row.clip_id, emotion, likely, row.text, clues, row.reasoning)


def _all_labels(probabilities: dict[str, float], wording: EmotionLexicon, where: str) -> dict[str, float]:
    """In the order of the labels, summing to 1."""
    if strange := [name for name in probabilities if name not in wording.labels]:
        what = f"{where}: probabilities has {strange[0]!r}, which is no label of the dataset"
        raise DatasetError(what, f"Labels: {', '.join(wording.labels)}")
    total = sum(probabilities.values())
    return {label: probabilities.get(label, 0.0) / total for label in wording.labels}
