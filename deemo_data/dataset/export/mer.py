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
from deemo_data.labels.drafts import origin_of
from deemo_data.labels.label import Label
from deemo_data.labels.placing import select_clip_labels
from deemo_data.labels.vocabulary import Emotions

MODALITIES = ("video", "audio", "text")
CLUE_KINDS = tuple(f"clue_{m}" for m in MODALITIES)
WAYS = {  # drafts.Origin -> how an author contributed (records.Author)
    "written": "written",
    "edited": "edited",
    "completed": "drafted",
    "unknown": "unknown",
}
DRAFT_ENDING = "…"  # a reasoning draft ends so, until an annotator completes it


def make_mer_records(
    clip: Clip, labels: Sequence[Label], vocabulary: Emotions, video: str, events: Sequence[dict[str, Any]] = ()
) -> tuple[list[MerRecord], list[str]]:
    """(records of a clip whose annotators agree on an emotion, one line per label that is left out).

    events  the events of the clip's nfbl row, in its order: they become the evidence of the records
    Drafts that nobody changed are no people's words: they are left out.
    Raises DatasetError when a record would break a rule of records.py.
    """
    clip_labels = sorted(select_clip_labels(labels, clip), key=lambda lb: (lb.kind, lb.annotator, str(lb.value)))
    votes = [lb for lb in clip_labels if lb.kind == "emotion" and vocabulary.find(str(lb.value))]
    left_out = [
        f"clip {clip.id}: emotion {lb.value!r} is not in vocabulary {vocabulary.versioned_name}"
        for lb in clip_labels
        if lb.kind == "emotion" and not vocabulary.find(str(lb.value))
    ]
    texts, untouched = _split_texts(clip_labels)
    if untouched:
        left_out.append(
            f"clip {clip.id}: drafts that nobody changed, left out: {len(untouched)} ({', '.join(lb.kind for lb in untouched)})"
        )
    if not votes:
        return [], left_out + _explain_unused(clip, texts, "nobody chose an emotion")
    emotion = majority_value(votes)
    entry = vocabulary.find(emotion or "")
    if emotion is None or entry is None:
        divided = ", ".join(sorted({str(v.value) for v in votes}))
        unused = _explain_unused(clip, texts, "its annotators agree on no emotion")
        return [], [*left_out, f"clip {clip.id}: no majority for one emotion ({divided})", *unused]
    sentiments = [lb for lb in clip_labels if lb.kind == "sentiment" and lb.value in vocabulary.sentiments]
    agreeing = {v.annotator for v in last_votes(votes) if v.value == emotion}
    unfinished = [lb for lb in texts if lb.kind == "reasoning" and lb.value.rstrip().endswith(DRAFT_ENDING)]
    outvoted = [lb for lb in texts if lb.kind == "reasoning" and lb.annotator not in agreeing and lb not in unfinished]
    if unfinished:
        left_out.append(f"clip {clip.id}: a reasoning still ends in {DRAFT_ENDING}, as the draft did: it names no emotion")
    left_out += _explain_unused(clip, outvoted, "their authors chose another emotion")
    reasonings = [lb for lb in texts if lb.kind == "reasoning" and lb not in unfinished and lb not in outvoted]
    emotion_words = list(dict.fromkeys(w for lb in texts if lb.kind == "emotion_words" for w in lb.value))
    clues = [lb for lb in texts if lb.kind in CLUE_KINDS]
    status = "reviewed" if len(agreeing) > 1 else "single"
    common = {
        "clip_id": clip.id,
        "subject_id": clip.facts["subject"],
        "video": video,
        "transcript": clip.facts.get("transcript") or "",
        "emotion": emotion,
        "sentiment": majority_value(sentiments) or entry.sentiment,
        "emotion_words": emotion_words,
        "clues": {m: "\n".join(dict.fromkeys(lb.value for lb in clues if lb.kind == f"clue_{m}")) for m in MODALITIES},
        "evidence": [
            {"event": f"{clip.id}#{place}", "start_ms": e["start_ms"], "end_ms": e["end_ms"]} for place, e in enumerate(events)
        ],
        "vocabulary": vocabulary.versioned_name,
    }
    chosen = [_author(who, "chosen", emotion) for who in sorted(agreeing)]
    own_words = [_author(lb.annotator, "written", ", ".join(lb.value)) for lb in texts if lb.kind == "emotion_words"]
    answers = [("recognition", "recognition", emotion, chosen)]  # (name, task, response, its authors)
    answers += [("open", "recognition", ", ".join(emotion_words), own_words)] if emotion_words else []
    for number, text in enumerate(dict.fromkeys(lb.value for lb in reasonings)):
        authors = [_author(lb.annotator, WAYS[origin_of(lb)], text) for lb in reasonings if lb.value == text]
        answers.append((f"reasoning{f'-{number}' if number else ''}", "reasoning", text, authors))
    clue_authors = [_author(lb.annotator, WAYS[origin_of(lb)], lb.value, lb.kind) for lb in clues]
    return [
        _make_record(
            common | {"status": "drafted" if any(a["how"] == "drafted" for a in authors) else status},
            name, task, response, [*authors, *clue_authors], vocabulary,
        )
        for name, task, response, authors in answers
    ], left_out  # fmt: skip


def _split_texts(clip_labels: Sequence[Label]) -> tuple[list[Label], list[Label]]:
    """(texts that people wrote, drafts that they left as they were): of each annotator the last of each kind."""
    texts: list[Label] = []
    for kind in (*CLUE_KINDS, "reasoning", "emotion_words"):
        texts += sorted(last_votes([lb for lb in clip_labels if lb.kind == kind and lb.value]), key=lambda lb: lb.annotator)
    untouched = [lb for lb in texts if origin_of(lb) == "untouched"]
    return [lb for lb in texts if origin_of(lb) != "untouched"], untouched


def _explain_unused(clip: Clip, texts: Sequence[Label], why: str) -> list[str]:
    """One line about texts of a clip that are in no record; none without texts."""
    kinds = ", ".join(lb.kind for lb in texts)
    return [f"clip {clip.id}: texts in no record, since {why}: {len(texts)} ({kinds})"] if texts else []


def _author(annotator: str, how: str, text: str, field: str = "response") -> dict[str, str]:
    return {"field": field, "annotator": publish_annotator(annotator), "how": how, "text": text}


def publish_annotator(annotator: str) -> str:
    """The id of an annotator in datasets: `w-` and 8 hex digits. It is another one than in labels/, which are not published."""
    return f"w-{hashlib.sha256(f'author:{annotator}'.encode()).hexdigest()[:8]}"


def _make_record(
    common: dict[str, Any], name: str, task: str, response: str, authors: Sequence[dict[str, str]], vocabulary: Emotions
) -> MerRecord:
    record_id = f"{common['clip_id']}-{name}"
    instruction = question_template(name.split("-")[0], record_id).format(labels=", ".join(vocabulary.labels))
    speech = f"The person says: {common['transcript']}\n" if common["transcript"] else ""
    turns = [{"from": "human", "value": f"<video>\n{speech}{instruction}"}, {"from": "gpt", "value": response}]
    row = common | {
        "record_id": record_id, "task": task, "instruction": instruction, "response": response, "conversations": turns,
        "authors": authors,
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
