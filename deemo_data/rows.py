"""From a released clip and what was said about it to its records: one of body language, and those of its emotion."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from deemo_data.clip import Clip, round_half_up
from deemo_data.errors import DatasetError
from deemo_data.labels import Label, Placed, events_of, watchers, whole_clip
from deemo_data.records import Annotation, MerRecord, NfblRecord, ms_of
from deemo_data.vocabulary import Emotions, Nfbl

if TYPE_CHECKING:
    import pyarrow as pa

SAME = Fraction(1, 2)  # two people's events of one class are one event when they overlap by this much (IoU)


def nfbl_record(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, video: str, allow_proposed: bool = False) -> NfblRecord:
    """The row of a released clip. Classes that `vocabulary` does not know are not in it.

    video  the file, relative to the table
    Raises DatasetError, naming the clip, when the row would break a rule of records.py.
    """
    events = merged(clip, labels, vocabulary)
    if allow_proposed:
        events += proposed(clip, labels, vocabulary)
        events.sort(key=lambda e: (e["start_frame"], e["end_frame"], e["label"], e["status"]))
    looked = len(_lookers(clip, labels, vocabulary))
    fallback: Annotation = "proposed" if events else "none"
    level: Annotation = fallback if looked == 0 else "single" if looked == 1 else "reviewed"
    grid, facts = clip.grid, clip.facts
    points, confidence, shape = _body(clip)
    row = {
        "clip_id": clip.id,
        "subject_id": facts["subject"],
        "subject_assumed": bool(facts.get("subject_assumed")),
        "video": video,
        "fps": float(grid.fps),
        "fps_num": grid.fps.numerator,
        "fps_den": grid.fps.denominator,
        "num_frames": clip.num_frames,
        "duration_ms": ms_of(clip.num_frames, grid.fps),
        "width": grid.width,
        "height": grid.height,
        "annotation": level,
        "events": events,
        "body": points,
        "body_confidence": confidence,
        **dict(zip(("body_frames", "body_people", "body_points", "body_dims"), shape, strict=True)),
        "body_unit": facts.get("body_unit"),
        **_prosody(clip),
        "transcript": facts.get("transcript") or "",
        "consent": facts["consent"],
        "licence": facts.get("licence"),
        "leaks": json.dumps(facts.get("leaks") or {}, sort_keys=True),
        "provenance": [{"name": n, "sha256": s} for n, s in sorted(_digests(clip).items())],
        "vocabulary": vocabulary.said,
    }
    try:
        return NfblRecord.model_validate(row, context={"label": vocabulary.labels, "group": list(vocabulary.groups)})
    except ValidationError as e:
        raise DatasetError(f"clip {clip.id}: {why(e)}", "This is a fault of deemo, or the store was changed by hand") from e


def merged(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> list[dict[str, Any]]:
    """The clip's events, those that several people marked as one: same class, IoU of at least a half, median edges."""
    looked = _lookers(clip, labels, vocabulary)
    heaps: list[list[Placed]] = []
    for placed in _known(clip, labels, vocabulary, "nfbl"):
        near = [
            (iou, -number, heap)
            for number, heap in enumerate(heaps)
            if heap[0].label.value["label"] == placed.label.value["label"]
            and placed.label.annotator not in {p.label.annotator for p in heap}
            and (iou := _iou(_span(heap), (placed.start_frame, placed.end_frame))) >= SAME
        ]
        if near:
            max(near, key=lambda n: n[:2])[2].append(placed)
        else:
            heaps.append([placed])
    events = []
    for heap in heaps:
        people = len({p.label.annotator for p in heap})
        share = round(people / len(looked), 4) if len(looked) > 1 else None
        said = {"annotators": people, "agreement": share, "status": "reviewed" if people > 1 else "single"}
        events.append(_event(clip, heap, vocabulary) | said)
    return sorted(events, key=lambda e: (e["start_frame"], e["end_frame"], e["label"]))


def proposed(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> list[dict[str, Any]]:
    """The machine's proposals, marked as such."""
    said = {"annotators": 0, "agreement": None, "status": "proposed"}
    return [_event(clip, [p], vocabulary) | said for p in _known(clip, labels, vocabulary, "proposal")]


def mer_records(clip: Clip, labels: Sequence[Label], vocabulary: Emotions, video: str) -> tuple[list[MerRecord], list[str]]:
    """The recognition record of a clip whose emotion people agree on, and one line for each thing left out."""
    about = sorted(whole_clip(labels, clip), key=lambda lb: (lb.kind, lb.annotator, str(lb.value)))
    votes = [lb for lb in about if lb.kind == "emotion" and vocabulary.find(str(lb.value))]
    left_out = [
        f"clip {clip.id}: emotion {lb.value!r} is not in vocabulary {vocabulary.said}"
        for lb in about
        if lb.kind == "emotion" and not vocabulary.find(str(lb.value))
    ]
    if not votes:
        return [], left_out
    emotion = _majority(votes)
    if emotion is None:
        said = ", ".join(sorted({str(v.value) for v in votes}))
        return [], [*left_out, f"clip {clip.id}: no majority for one emotion ({said})"]
    found = vocabulary.find(emotion)
    sentiments = [lb for lb in about if lb.kind == "sentiment" and lb.value in vocabulary.sentiments]
    sentiment = _majority(sentiments) or (found.sentiment if found else "")
    transcript = clip.facts.get("transcript") or ""
    instruction = (
        f"Which of these emotions does the person feel most likely: {', '.join(vocabulary.labels)}? Answer with one of them."
    )
    asked = "<video>\n" + (f"The person says: {transcript}\n" if transcript else "") + instruction
    people = len({v.annotator for v in votes if v.value == emotion})
    row = {
        "record_id": f"{clip.id}-recognition",
        "clip_id": clip.id,
        "subject_id": clip.facts["subject"],
        "video": video,
        "transcript": transcript,
        "task": "recognition",
        "instruction": instruction,
        "response": emotion,
        "emotion": emotion,
        "sentiment": sentiment,
        "emotion_words": list(dict.fromkeys(w for lb in about if lb.kind == "emotion_words" for w in lb.value)),
        "clues": {
            m: "\n".join(dict.fromkeys(lb.value for lb in about if lb.kind == f"clue_{m}")) for m in ("video", "audio", "text")
        },
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": emotion}],
        "evidence": [],
        "status": "reviewed" if people > 1 else "single",
        "vocabulary": vocabulary.said,
    }
    try:
        context = {"emotion": vocabulary.labels, "sentiment": vocabulary.sentiments}
        return [MerRecord.model_validate(row, context=context)], left_out
    except ValidationError as e:
        raise DatasetError(f"clip {clip.id}: {why(e)}", "This is a fault of deemo") from e


def why(error: ValidationError) -> str:
    """The first thing pydantic found wrong, in words."""
    first = error.errors()[0]
    where = ".".join(str(p) for p in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")


def _lookers(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> set[str]:
    return watchers(labels, clip) | {p.label.annotator for p in _known(clip, labels, vocabulary, "nfbl")}


def _known(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, kind: str) -> list[Placed]:
    return [p for p in events_of(labels, clip, (kind,)) if vocabulary.find(p.label.value["label"])]


def _event(clip: Clip, heap: Sequence[Placed], vocabulary: Nfbl) -> dict[str, Any]:
    start, end = _span(heap)
    found = vocabulary.find(heap[0].label.value["label"])
    if found is None:
        raise DatasetError(f"clip {clip.id}: {heap[0].label.value['label']!r} is not in vocabulary {vocabulary.said}")
    return {
        "start_ms": ms_of(start, clip.grid.fps),
        "end_ms": ms_of(end, clip.grid.fps),
        "start_frame": start,
        "end_frame": end,
        "label": found.name,
        "group": found.group,
        "truncated": any(p.truncated for p in heap),
    }


def _span(heap: Sequence[Placed]) -> tuple[int, int]:
    start, end = (
        round_half_up(Fraction(median(edges))) for edges in zip(*((p.start_frame, p.end_frame) for p in heap), strict=True)
    )
    return start, end


def _iou(a: tuple[int, int], b: tuple[int, int]) -> Fraction:
    both = min(a[1], b[1]) - max(a[0], b[0])
    return Fraction(max(both, 0), (a[1] - a[0]) + (b[1] - b[0]) - max(both, 0))


def _majority(votes: Sequence[Label]) -> str | None:
    """What more than half of the annotators said; None when nobody did or they are divided."""
    in_time = sorted(votes, key=lambda v: (str(v.raw.get("annotation", {}).get("updated_at") or ""), str(v.value)))
    by_person = {v.annotator: str(v.value) for v in in_time}  # of two votes of one person, the later
    ranked = Counter(by_person.values()).most_common(1)
    return ranked[0][0] if ranked and 2 * ranked[0][1] > len(by_person) else None


def _digests(clip: Clip) -> dict[str, str]:
    made = clip.facts.get("provenance") or {}
    return {
        **made,
        **{n: clip.files[n].sha256 for n in ("video", "body", "prosody")},
    }  # never that of the footage: it can be looked up


def _body(clip: Clip) -> tuple[pa.Array, pa.Array, list[int]]:
    """Flat float16 points and confidence as they lie in the clip's body file, and their shape."""
    import pyarrow.parquet as pq

    table = pq.read_table(clip.path("body"))
    return table["points"].combine_chunks().flatten(), table["confidence"].combine_chunks().flatten(), table["shape"][0].as_py()


def _prosody(clip: Clip) -> dict[str, pa.Array]:
    """The curves as they lie in the clip's prosody file, as float16."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(clip.path("prosody"))
    curves = {"prosody_f0": "f0_semitones", "prosody_energy": "energy_db", "prosody_rate": "speech_rate"}
    return {name: table[column].combine_chunks().cast(pa.float32()).cast(pa.float16()) for name, column in curves.items()}
