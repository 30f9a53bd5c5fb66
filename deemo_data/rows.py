"""From a released clip and what was said about it to its record of body language."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from deemo_data.clip import Clip, round_half_up
from deemo_data.errors import DatasetError
from deemo_data.labels import Label, Placed, covers, events_of, latest, said_at, watchers
from deemo_data.records import Annotation, NfblRecord, ms_of, why
from deemo_data.vocabulary import Nfbl, NfblClass

if TYPE_CHECKING:
    import pyarrow as pa

SAME = Fraction(1, 2)  # two people's events of one class are one event when they overlap by this much (IoU)


def nfbl_record(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, video: str, allow_proposed: bool = False) -> NfblRecord:
    """The row of a released clip. Classes that `vocabulary` does not know are not in it.

    video  the file, relative to the table
    Raises DatasetError, naming the clip, when the row would break a rule of records.py.
    """
    level, events = said_of(clip, labels, vocabulary, allow_proposed)
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


def said_of(
    clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, allow_proposed: bool = False
) -> tuple[Annotation, list[dict[str, Any]]]:
    """How far the clip's labelling has come, and its events: an adjudicator's, else people's, else (if allowed) the machine's.

    Of what somebody handed in twice about the clip, the later counts.
    """
    labels = latest(labels, clip)
    if adjudicator := adjudicators(clip, labels):
        return "adjudicated", _adjudicated(clip, labels, vocabulary, adjudicator[-1])
    looked = len(lookers(clip, labels, vocabulary))
    if looked:
        return "single" if looked == 1 else "reviewed", merged(clip, labels, vocabulary)
    events = proposed(clip, vocabulary) if allow_proposed else []
    return "proposed" if events else "none", events


def merged(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> list[dict[str, Any]]:
    """The clip's events, those that several people marked as one: same class, IoU of at least a half, median edges."""
    looked = lookers(clip, labels, vocabulary)
    events = []
    for heap in heaps(clip, labels, vocabulary):
        people = len({p.label.annotator for p in heap})
        share = round(people / len(looked), 4) if len(looked) > 1 else None
        said = {"annotators": people, "agreement": share, "status": "reviewed" if people > 1 else "single"}
        events.append(_event(clip, heap, vocabulary) | said)
    return sorted(events, key=lambda e: (e["start_frame"], e["end_frame"], e["label"]))


def heaps(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> list[list[Placed]]:
    """The first group's events on the clip, together where several people marked one: same class, IoU of at least a half."""
    found: list[list[Placed]] = []
    for placed in _known(clip, labels, vocabulary):
        near = [
            (iou, -number, heap)
            for number, heap in enumerate(found)
            if heap[0].label.value["label"] == placed.label.value["label"]
            and placed.label.annotator not in {p.label.annotator for p in heap}
            and (iou := _iou(span_of(heap), (placed.start_frame, placed.end_frame))) >= SAME
        ]
        if near:
            max(near, key=lambda n: n[:2])[2].append(placed)
        else:
            found.append([placed])
    return found


def adjudicators(clip: Clip, labels: Sequence[Label]) -> list[str]:
    """Who adjudicated the clip, the latest last. Nobody adjudicates a clip that they labelled."""
    first = watchers(labels, clip)
    seen = [lb for lb in labels if covers(lb, clip, "adjudicated") and lb.annotator not in first]
    return [lb.annotator for lb in sorted(seen, key=lambda lb: (said_at(lb), lb.annotator))]


def _adjudicated(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, who: str) -> list[dict[str, Any]]:
    """The events as the adjudicator left them; with each, how many people marked it, and the share of the first group who did."""
    looked, first = lookers(clip, labels, vocabulary), _known(clip, labels, vocabulary)
    events = []
    for placed in _known(clip, labels, vocabulary, adjudicated=True):
        if placed.label.annotator != who:
            continue
        span, name = (placed.start_frame, placed.end_frame), placed.label.value["label"]
        agreed = {
            p.label.annotator
            for p in first
            if p.label.value["label"] == name and _iou((p.start_frame, p.end_frame), span) >= SAME
        }
        share = round(len(agreed) / len(looked), 4) if looked else None
        events.append(
            _event(clip, [placed], vocabulary) | {"annotators": 1 + len(agreed), "agreement": share, "status": "adjudicated"}
        )
    return sorted(events, key=lambda e: (e["start_frame"], e["end_frame"], e["label"]))


def proposed(clip: Clip, vocabulary: Nfbl) -> list[dict[str, Any]]:
    """The machine's proposals, marked as such."""
    said = {"annotators": 0, "agreement": None, "status": "proposed"}
    return [
        _event_of(clip, (p["start_frame"], p["end_frame"]), found) | said
        for p in clip.facts.get("proposals") or ()
        if (found := vocabulary.by_rule(p["rule"]))
    ]


def lookers(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl) -> set[str]:
    """The first group's annotators who looked at the clip."""
    return watchers(labels, clip) | {p.label.annotator for p in _known(clip, labels, vocabulary)}


def _known(clip: Clip, labels: Sequence[Label], vocabulary: Nfbl, adjudicated: bool = False) -> list[Placed]:
    """The events on the clip of the first group, or of adjudicators, whose class the vocabulary knows."""
    return [
        p for p in events_of(labels, clip)
        if bool(p.label.value.get("adjudicated")) == adjudicated and vocabulary.find(p.label.value["label"])
    ]  # fmt: skip


def _event(clip: Clip, heap: Sequence[Placed], vocabulary: Nfbl) -> dict[str, Any]:
    found = vocabulary.find(heap[0].label.value["label"])
    if found is None:
        raise DatasetError(f"clip {clip.id}: {heap[0].label.value['label']!r} is not in vocabulary {vocabulary.said}")
    return _event_of(clip, span_of(heap), found) | {"truncated": any(p.truncated for p in heap)}


def _event_of(clip: Clip, span: tuple[int, int], found: NfblClass) -> dict[str, Any]:
    start, end = span
    return {
        "start_ms": ms_of(start, clip.grid.fps),
        "end_ms": ms_of(end, clip.grid.fps),
        "start_frame": start,
        "end_frame": end,
        "label": found.name,
        "group": found.group,
        "truncated": False,
    }


def span_of(heap: Sequence[Placed]) -> tuple[int, int]:
    """[start, end) in frames of the clip: the medians of the edges."""
    start, end = (
        round_half_up(Fraction(median(edges))) for edges in zip(*((p.start_frame, p.end_frame) for p in heap), strict=True)
    )
    return start, end


def _iou(a: tuple[int, int], b: tuple[int, int]) -> Fraction:
    both = min(a[1], b[1]) - max(a[0], b[0])
    return Fraction(max(both, 0), (a[1] - a[0]) + (b[1] - b[0]) - max(both, 0))


def _digests(clip: Clip) -> dict[str, str]:
    made = clip.facts.get("provenance") or {}
    return {
        **made,
        **{n: clip.files[n].sha256 for n in ("video", "body", "prosody")},
    }  # never that of the footage: it can be looked up


def _body(clip: Clip) -> tuple[pa.Array, pa.Array, list[int]]:
    """Flat float16 points and confidence as they lie in the clip's body file, and their shape."""
    table = _read(clip, "body")
    return table["points"].combine_chunks().flatten(), table["confidence"].combine_chunks().flatten(), table["shape"][0].as_py()


def _prosody(clip: Clip) -> dict[str, pa.Array]:
    """The curves as they lie in the clip's prosody file, as float16."""
    import pyarrow as pa

    table = _read(clip, "prosody")
    curves = {"prosody_f0": "f0_semitones", "prosody_energy": "energy_db", "prosody_rate": "speech_rate"}
    return {name: table[column].combine_chunks().cast(pa.float32()).cast(pa.float16()) for name, column in curves.items()}


def _read(clip: Clip, name: str) -> pa.Table:
    """A little table, without the threads and the look for a folder of tables that cost more than to read it."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(clip.files[name].path) as file:
        return file.read(use_threads=False)
