"""Builds the tasks that Label Studio imports: the data of a clip, and proposals or annotators' versions as predictions.

`build_tasks` is for every template but adjudicate, `build_dispute_tasks` for adjudicate. A clip's frames are 0-based and end is
exclusive here; a region in Label Studio is 1-based and inclusive (`region_json`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.agreement.disputes import Dispute
from deemo_data.agreement.views import MarkedEvent
from deemo_data.labels import consensus
from deemo_data.labels.drafts import digest_drafts
from deemo_data.labels.label import (
    ADJUDICATION_TEMPLATE,
    DRAFT_FIELDS,
    OTHERS_PREFIX,
    TIMELINE_TEMPLATE,
    Label,
    PushRecord,
    region_key,
)
from deemo_data.labels.placing import group_by_clip
from deemo_data.labels.vocabulary import Nfbl

if TYPE_CHECKING:
    from deemo_data.clip import SafeClip


LOCAL_FILES_PREFIX = "/data/local-files/?d=clips/"  # URL of a video on the project's own server, up to its file name


@dataclass(frozen=True)
class ImportTask:
    """One clip for an annotator: its line of the ledger, and the JSON that Label Studio imports."""

    line: PushRecord
    payload: dict[str, Any]


def build_tasks(
    clips: Sequence[SafeClip],
    template: str,
    nfbl: Nfbl,
    labels: Iterable[Label] = (),
    *,
    share: float = 0,
    drafts: Mapping[str, Mapping[str, str]] = {},
    prefix: str = LOCAL_FILES_PREFIX,
) -> Iterator[ImportTask]:
    """One task per clip, in order of source and time.

    labels  the labels in force; the page mer_clues shows the events of a clip so far
    share   the share of the clips that goes to the timeline with proposals, 0 to 1
    drafts  {clip: {text box: initial text}} for the page mer_clues
    prefix  URL of the videos, up to the file name
    """
    labels_of = group_by_clip(labels, clips)
    for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms)):
        proposals = proposals_of(clip, nfbl) if template == TIMELINE_TEMPLATE and is_in_share(clip, share) else None
        data = data_of(clip, template, prefix, describe_events(clip, labels_of[clip.id], nfbl)) | dict(drafts.get(clip.id, {}))
        results = [(region_json(p), p["score"]) for p in proposals or ()]
        yield ImportTask(PushRecord.of(clip, nfbl, template, proposals, digest_drafts(data) or None), task_json(data, results))


def build_dispute_tasks(
    clips: Sequence[SafeClip], nfbl: Nfbl, labels: Iterable[Label], *, max_versions: int = 2, prefix: str = LOCAL_FILES_PREFIX
) -> Iterator[ImportTask]:
    """One task for each clip about which the first group disagrees and which nobody has adjudicated.

    The agreed events can be edited; the annotators' versions are shown and locked.

    max_versions  how many versions the page can show
    """
    from deemo_data.agreement.disputes import find_dispute

    labels_of = group_by_clip(labels, clips)
    for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms)):
        if consensus.find_adjudicators(clip, labels_of[clip.id]):
            continue
        if dispute := find_dispute(labels_of[clip.id], clip, nfbl):
            results = [(r, 1.0) for r in regions_of_dispute(dispute, max_versions=max_versions)]
            data = data_of(clip, ADJUDICATION_TEMPLATE, prefix)
            yield ImportTask(PushRecord.of(clip, nfbl, ADJUDICATION_TEMPLATE, None), task_json(data, results, "merged"))


def data_of(clip: SafeClip, template: str, prefix: str = LOCAL_FILES_PREFIX, events: str = "") -> dict[str, Any]:
    """The data of a task: what a template can use by $name. fps is a number, because Label Studio reads a text as 24."""
    fps = clip.grid.fps
    return {
        "clip": clip.id,
        "template": template,
        "video": f"{prefix}{clip.path('video').name}",
        "fps": int(fps) if fps.denominator == 1 else float(fps),
        "num_frames": clip.num_frames,
        "title": clip.id,
        "transcript": clip.facts.get("transcript") or "(no words)",
        "events_text": events or "(none yet)",
        **dict.fromkeys(DRAFT_FIELDS, ""),  # a page shows an error for a $name that is missing
    }


def task_json(
    data: dict[str, Any], results: Sequence[tuple[dict[str, Any], float]], model_version: str = "rules"
) -> dict[str, Any]:
    """The JSON of a task: its data and one prediction, if there are results.

    results  regions with their scores; the score of the prediction is the mean
    """
    if not results:
        return {"data": data}
    score = round(sum(s for _, s in results) / len(results), 4)
    return {"data": data, "predictions": [{"model_version": model_version, "score": score, "result": [r for r, _ in results]}]}


def is_in_share(clip: SafeClip, share: float) -> bool:
    """Whether a clip belongs to the share (0 to 1) that goes out with proposals. Its public id decides: it never changes."""
    return int(hashlib.sha256(f"proposals:{clip.id}".encode()).hexdigest()[:8], 16) < share * 16**8


def proposals_of(clip: SafeClip, nfbl: Nfbl) -> list[dict[str, Any]]:
    """The proposals of the rules for a clip, with classes of the vocabulary, as the ledger records them (`PushRecord`)."""
    proposals = []
    for p in clip.facts.get("proposals") or ():
        if proposed := nfbl.class_of_rule(p["rule"]):
            event = {"label": proposed.name, **{n: p[n] for n in ("start_frame", "end_frame", "score", "why")}}
            proposals.append({"id": region_key(clip.id, proposed.name, p["start_frame"], p["end_frame"]), **event})
    return proposals


def region_json(event: dict[str, Any], name: str = "nfbl") -> dict[str, Any]:
    """An event as a region of Label Studio. Its frames are 1-based and inclusive: [s, e) here is (s + 1, e) there.

    name  the control of the page that the region belongs to
    """
    return {
        "id": event["id"],
        "from_name": name,
        "to_name": "video",
        "type": "timelinelabels",
        "value": {"ranges": [{"start": event["start_frame"] + 1, "end": event["end_frame"]}], "timelinelabels": [event["label"]]},
        "score": event["score"],
        "meta": {"text": [event["why"]]},
    }


def describe_events(clip: SafeClip, labels: Sequence[Label], nfbl: Nfbl) -> str:
    """The events of a clip so far, one per line, for the annotator who writes its clues."""
    _, events = consensus.events_of_clip(clip, labels, nfbl)
    return "\n".join(f"{e['start_ms'] / 1000:.1f}–{e['end_ms'] / 1000:.1f} s  {e['label']} ({e['status']})" for e in events)


def regions_of_dispute(dispute: Dispute, max_versions: int | None = None) -> list[dict[str, Any]]:
    """The regions of one prediction for an adjudicator.

    Agreed events can be edited. Each annotator's version is a locked track, named `ann_` + letter. Disputed events stand only
    in the versions: the adjudicator draws them, without a draft that would suggest an answer.

    max_versions  how many versions the page can show; None for all
    """
    why = f"all {len(dispute.versions)} annotators marked it"
    regions = [
        region_of_marked_event(dispute.clip, number, "nfbl", event, why) for number, event in enumerate(dispute.agreed_events)
    ]
    for take in dispute.versions[:max_versions]:
        for number, event in enumerate(take.events):
            why = f"annotator {take.letter.upper()}" + (f": {event.certainty}" if event.certainty else "")
            regions.append(
                region_of_marked_event(dispute.clip, number, f"{OTHERS_PREFIX}{take.letter}", event, why) | {"readonly": True}
            )
    return regions


def region_of_marked_event(clip: str, number: int, name: str, event: MarkedEvent, why: str) -> dict[str, Any]:
    """One event of an annotator as a region; `number` is its place among the events of the track `name`."""
    fields = {"label": event.label, "start_frame": event.start, "end_frame": event.end, "score": 1.0, "why": why}
    return region_json({"id": region_key(clip, name, number, event.label, event.start, event.end), **fields}, name)
