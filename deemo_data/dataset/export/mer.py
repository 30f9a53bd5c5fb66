"""Makes the records of a released clip in config mer: questions about its emotion, and their answers.

A clip gets records only when its annotators agree on an emotion. The wording of a question is drawn from
vocabularies/instructions.toml by the id of its record.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from pydantic import ValidationError

from deemo_data.clip import Clip
from deemo_data.dataset.records import MerRecord, first_error
from deemo_data.errors import DatasetError
from deemo_data.labels.consensus import last_votes, majority_value
from deemo_data.labels.label import Label
from deemo_data.labels.placing import select_clip_labels
from deemo_data.labels.vocabulary import Emotions

MODALITIES = ("video", "audio", "text")
DRAFT_ENDING = "…"  # a reasoning draft ends so, until an annotator completes it


def make_mer_records(
    clip: Clip, labels: Sequence[Label], vocabulary: Emotions, video: str, events: Sequence[dict[str, Any]] = ()
) -> tuple[list[MerRecord], list[str]]:
    """(records of a clip whose annotators agree on an emotion, one line per label that is left out).

    events  the events of the clip's nfbl row, in its order: they become the evidence of the records
    Raises DatasetError when a record would break a rule of records.py.
    """
    clip_labels = sorted(select_clip_labels(labels, clip), key=lambda lb: (lb.kind, lb.annotator, str(lb.value)))
    votes = [lb for lb in clip_labels if lb.kind == "emotion" and vocabulary.find(str(lb.value))]
    left_out = [
        f"clip {clip.id}: emotion {lb.value!r} is not in vocabulary {vocabulary.versioned_name}"
        for lb in clip_labels
        if lb.kind == "emotion" and not vocabulary.find(str(lb.value))
    ]
    if not votes:
        return [], left_out
    emotion = majority_value(votes)
    entry = vocabulary.find(emotion or "")
    if emotion is None or entry is None:
        divided = ", ".join(sorted({str(v.value) for v in votes}))
        return [], [*left_out, f"clip {clip.id}: no majority for one emotion ({divided})"]
    sentiments = [lb for lb in clip_labels if lb.kind == "sentiment" and lb.value in vocabulary.sentiments]
    agreeing = {v.annotator for v in last_votes(votes) if v.value == emotion}
    emotion_words = list(dict.fromkeys(w for lb in clip_labels if lb.kind == "emotion_words" for w in lb.value))
    texts = [lb.value for lb in last_votes([lb for lb in clip_labels if lb.kind == "reasoning"]) if lb.annotator in agreeing]
    reasons = list(dict.fromkeys(text for text in texts if not text.rstrip().endswith(DRAFT_ENDING)))
    if any(text.rstrip().endswith(DRAFT_ENDING) for text in texts):
        left_out.append(f"clip {clip.id}: a reasoning still ends in {DRAFT_ENDING}, as the draft did: it names no emotion")
    common = {
        "clip_id": clip.id,
        "subject_id": clip.facts["subject"],
        "video": video,
        "transcript": clip.facts.get("transcript") or "",
        "emotion": emotion,
        "sentiment": majority_value(sentiments) or entry.sentiment,
        "emotion_words": emotion_words,
        "clues": {m: "\n".join(dict.fromkeys(lb.value for lb in clip_labels if lb.kind == f"clue_{m}")) for m in MODALITIES},
        "evidence": [
            {"event": f"{clip.id}#{place}", "start_ms": e["start_ms"], "end_ms": e["end_ms"]} for place, e in enumerate(events)
        ],
        "status": "reviewed" if len(agreeing) > 1 else "single",
        "vocabulary": vocabulary.versioned_name,
    }
    answers = [("recognition", "recognition", emotion)]  # (name, task, response)
    answers += [("open", "recognition", ", ".join(emotion_words))] if emotion_words else []
    answers += [(f"reasoning{f'-{n}' if n else ''}", "reasoning", text) for n, text in enumerate(reasons)]
    return [_make_record(common, name, task, response, vocabulary) for name, task, response in answers], left_out


def _make_record(common: dict[str, Any], name: str, task: str, response: str, vocabulary: Emotions) -> MerRecord:
    record_id = f"{common['clip_id']}-{name}"
    instruction = question_template(name.split("-")[0], record_id).format(labels=", ".join(vocabulary.labels))
    speech = f"The person says: {common['transcript']}\n" if common["transcript"] else ""
    turns = [{"from": "human", "value": f"<video>\n{speech}{instruction}"}, {"from": "gpt", "value": response}]
    row = common | {
        "record_id": record_id, "task": task, "instruction": instruction, "response": response, "conversations": turns,
    }  # fmt: skip
    try:
        context = {"emotion": vocabulary.labels, "sentiment": vocabulary.sentiments}
        return MerRecord.model_validate(row, context=context)
    except ValidationError as e:
        raise DatasetError(f"clip {common['clip_id']}: {first_error(e)}", "This is a fault of deemo") from e


def question_template(kind: str, record_id: str) -> str:
    """One of the wordings of a kind of question, always the same one for a record."""
    choices = question_templates()[kind]
    return choices[int(hashlib.sha256(record_id.encode()).hexdigest()[:8], 16) % len(choices)]


@cache
def question_templates() -> dict[str, list[str]]:
    """Kind of question -> wordings, from vocabularies/instructions.toml."""
    text = resources.files("deemo_data").joinpath("vocabularies", "instructions.toml").read_text("utf-8")
    return {k: v for k, v in tomllib.loads(text).items() if isinstance(v, list)}
