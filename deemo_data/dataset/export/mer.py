"""A clip -> its mer records."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from pydantic import ValidationError

from deemo_data.clip import Clip
from deemo_data.dataset.records import MerRecord, why
from deemo_data.errors import DatasetError
from deemo_data.labels.consensus import last_said, majority
from deemo_data.labels.label import Label
from deemo_data.labels.placing import whole_clip
from deemo_data.labels.vocabulary import Emotions

MODALITIES = ("video", "audio", "text")
UNFINISHED = "…"  # how a draft ends that nobody has thought to its end


def mer_records(
    clip: Clip, labels: Sequence[Label], vocabulary: Emotions, video: str, events: Sequence[dict[str, Any]] = ()
) -> tuple[list[MerRecord], list[str]]:
    """The records of a clip whose emotion people agree on, and one line for each thing left out.

    events  those of the clip's nfbl record, in its order: what the records rest on
    Raises DatasetError when a record would break a rule of records.py.
    """
    about = sorted(whole_clip(labels, clip), key=lambda lb: (lb.kind, lb.annotator, str(lb.value)))
    votes = [lb for lb in about if lb.kind == "emotion" and vocabulary.find(str(lb.value))]
    left_out = [
        f"clip {clip.id}: emotion {lb.value!r} is not in vocabulary {vocabulary.said}"
        for lb in about
        if lb.kind == "emotion" and not vocabulary.find(str(lb.value))
    ]
    if not votes:
        return [], left_out
    emotion = majority(votes)
    found = vocabulary.find(emotion or "")
    if emotion is None or found is None:
        divided = ", ".join(sorted({str(v.value) for v in votes}))
        return [], [*left_out, f"clip {clip.id}: no majority for one emotion ({divided})"]
    sentiments = [lb for lb in about if lb.kind == "sentiment" and lb.value in vocabulary.sentiments]
    agreeing = {v.annotator for v in last_said(votes) if v.value == emotion}
    words = list(dict.fromkeys(w for lb in about if lb.kind == "emotion_words" for w in lb.value))
    said = [lb.value for lb in last_said([lb for lb in about if lb.kind == "reasoning"]) if lb.annotator in agreeing]
    reasons = list(dict.fromkeys(text for text in said if not text.rstrip().endswith(UNFINISHED)))
    if any(text.rstrip().endswith(UNFINISHED) for text in said):
        left_out.append(f"clip {clip.id}: a reasoning still ends in {UNFINISHED}, as the draft did: it names no emotion")
    common = {
        "clip_id": clip.id,
        "subject_id": clip.facts["subject"],
        "video": video,
        "transcript": clip.facts.get("transcript") or "",
        "emotion": emotion,
        "sentiment": majority(sentiments) or found.sentiment,
        "emotion_words": words,
        "clues": {m: "\n".join(dict.fromkeys(lb.value for lb in about if lb.kind == f"clue_{m}")) for m in MODALITIES},
        "evidence": [
            {"event": f"{clip.id}#{place}", "start_ms": e["start_ms"], "end_ms": e["end_ms"]} for place, e in enumerate(events)
        ],
        "status": "reviewed" if len(agreeing) > 1 else "single",
        "vocabulary": vocabulary.said,
    }
    asked = [("recognition", "recognition", emotion)]
    asked += [("open", "recognition", ", ".join(words))] if words else []
    asked += [(f"reasoning{f'-{n}' if n else ''}", "reasoning", text) for n, text in enumerate(reasons)]
    return [_record(common, name, task, response, vocabulary) for name, task, response in asked], left_out


def _record(common: dict[str, Any], name: str, task: str, response: str, vocabulary: Emotions) -> MerRecord:
    record_id = f"{common['clip_id']}-{name}"
    instruction = question_template(name.split("-")[0], record_id).format(labels=", ".join(vocabulary.labels))
    says = f"The person says: {common['transcript']}\n" if common["transcript"] else ""
    turns = [{"from": "human", "value": f"<video>\n{says}{instruction}"}, {"from": "gpt", "value": response}]
    row = common | {
        "record_id": record_id, "task": task, "instruction": instruction, "response": response, "conversations": turns,
    }  # fmt: skip
    try:
        context = {"emotion": vocabulary.labels, "sentiment": vocabulary.sentiments}
        return MerRecord.model_validate(row, context=context)
    except ValidationError as e:
        raise DatasetError(f"clip {common['clip_id']}: {why(e)}", "This is a fault of deemo") from e


def question_template(kind: str, record_id: str) -> str:
    """One of the wordings of a kind of question; of a record always the same one."""
    choices = question_templates()[kind]
    return choices[int(hashlib.sha256(record_id.encode()).hexdigest()[:8], 16) % len(choices)]


@cache
def question_templates() -> dict[str, list[str]]:
    """{kind: wordings}, of vocabularies/instructions.toml."""
    text = resources.files("deemo_data").joinpath("vocabularies", "instructions.toml").read_text("utf-8")
    return {k: v for k, v in tomllib.loads(text).items() if isinstance(v, list)}
