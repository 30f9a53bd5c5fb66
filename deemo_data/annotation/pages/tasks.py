"""A clip as Label Studio imports it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deemo_data.agreement.disputes import Dispute
from deemo_data.agreement.views import MarkedEvent
from deemo_data.labels import consensus
from deemo_data.labels.label import ADJUDICATE, DRAFTS, OTHERS, TIMELINE, Label, Pushed, short_id
from deemo_data.labels.placing import by_clip
from deemo_data.labels.vocabulary import Nfbl

if TYPE_CHECKING:
    from deemo_data.clip import SafeClip


PREFIX = "/data/local-files/?d=clips/"  # before a video's file name, where a server of `make label-studio` has it


@dataclass(frozen=True)
class ImportTask:
    """One clip as an annotator will be shown it: its line of the ledger, and what Label Studio is given."""

    line: Pushed
    payload: dict[str, Any]


def import_tasks(
    clips: Sequence[SafeClip],
    template: str,
    nfbl: Nfbl,
    said: Iterable[Label] = (),
    *,
    share: float = 0,
    drafts: Mapping[str, Mapping[str, str]] = {},
    prefix: str = PREFIX,
) -> Iterator[ImportTask]:
    """The clips in the order of their sources and time. On the timeline, a `share` of them goes out with proposals.

    said    the labels in force: what was said of a clip so far is shown beside its clues
    drafts  by clip, what the text boxes of mer_clues begin with
    """
    near = by_clip(said, clips)
    for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms)):
        shown = proposals(clip, nfbl) if template == TIMELINE and with_proposals(clip, share) else None
        data = data_of(clip, template, prefix, events_text(clip, near[clip.id], nfbl)) | dict(drafts.get(clip.id, {}))
        yield ImportTask(Pushed.of(clip, nfbl, template, shown), task_json(data, [(region(p), p["score"]) for p in shown or ()]))


def disputes(
    clips: Sequence[SafeClip], nfbl: Nfbl, said: Iterable[Label], *, tracks: int = 2, prefix: str = PREFIX
) -> Iterator[ImportTask]:
    """The clips that the first group disagrees about and nobody has adjudicated: agreed events drawable, versions to look at.

    tracks  for so many people's versions the page has room
    """
    from deemo_data.agreement.disputes import disputed

    near = by_clip(said, clips)
    for clip in sorted(clips, key=lambda c: (c.source, c.start_ms, c.end_ms)):
        if consensus.adjudicators(clip, near[clip.id]):
            continue
        if dispute := disputed(near[clip.id], clip, nfbl):
            results = [(r, 1.0) for r in regions(dispute, most=tracks)]
            data = data_of(clip, ADJUDICATE, prefix)
            yield ImportTask(Pushed.of(clip, nfbl, ADJUDICATE, None), task_json(data, results, "merged"))


def data_of(clip: SafeClip, template: str, prefix: str = PREFIX, events: str = "") -> dict[str, Any]:
    """What a template may ask for by $name. fps is a number: Label Studio takes text for 24."""
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
        **dict.fromkeys(DRAFTS, ""),  # a page that asks for what is not there shows an error
    }


def task_json(data: dict[str, Any], results: Sequence[tuple[dict[str, Any], float]], by: str = "rules") -> dict[str, Any]:
    """What Label Studio imports: the data and, unless there is nothing to show, one prediction."""
    if not results:
        return {"data": data}
    score = round(sum(s for _, s in results) / len(results), 4)
    return {"data": data, "predictions": [{"model_version": by, "score": score, "result": [r for r, _ in results]}]}


def with_proposals(clip: SafeClip, share: float) -> bool:
    """Whether a clip belongs to the share that goes out with proposals: by its public id, the same every time."""
    return int(hashlib.sha256(f"proposals:{clip.id}".encode()).hexdigest()[:8], 16) < share * 16**8


def proposals(clip: SafeClip, nfbl: Nfbl) -> list[dict[str, Any]]:
    """What the rules propose on a clip, in the words of the vocabulary: as the ledger has it (labels.Pushed)."""
    found = []
    for p in clip.facts.get("proposals") or ():
        if known := nfbl.by_rule(p["rule"]):
            about = {"label": known.name, **{n: p[n] for n in ("start_frame", "end_frame", "score", "why")}}
            found.append({"id": short_id(clip.id, known.name, p["start_frame"], p["end_frame"]), **about})
    return found


def region(event: dict[str, Any], name: str = "nfbl") -> dict[str, Any]:
    """An event as Label Studio's region. Frames there are 1-based and inclusive: [s, e) is (s + 1, e)."""
    return {
        "id": event["id"],
        "from_name": name,
        "to_name": "video",
        "type": "timelinelabels",
        "value": {"ranges": [{"start": event["start_frame"] + 1, "end": event["end_frame"]}], "timelinelabels": [event["label"]]},
        "score": event["score"],
        "meta": {"text": [event["why"]]},
    }


def events_text(clip: SafeClip, said: Sequence[Label], nfbl: Nfbl) -> str:
    """The clip's events so far, one a line, for whoever writes its clues."""
    _, events = consensus.events_of_clip(clip, said, nfbl)
    return "\n".join(f"{e['start_ms'] / 1000:.1f}–{e['end_ms'] / 1000:.1f} s  {e['label']} ({e['status']})" for e in events)


def regions(dispute: Dispute, most: int | None = None) -> list[dict[str, Any]]:
    """One merged prediction for Label Studio: what is agreed can be drawn on; each version is a locked track, `ann_` + letter.

    What is not agreed is in the versions only: whoever adjudicates draws it, and is not led by a draft.

    most  of the versions to show, where the page has tracks for so many only
    """
    why = f"all {len(dispute.takes)} annotators marked it"
    found = [region_of_event(dispute.clip, number, "nfbl", event, why) for number, event in enumerate(dispute.agreed)]
    for take in dispute.takes[:most]:
        for number, event in enumerate(take.events):
            why = f"annotator {take.letter.upper()}" + (f": {event.certainty}" if event.certainty else "")
            found.append(region_of_event(dispute.clip, number, f"{OTHERS}{take.letter}", event, why) | {"readonly": True})
    return found


def region_of_event(clip: str, number: int, name: str, event: MarkedEvent, why: str) -> dict[str, Any]:
    about = {"label": event.label, "start_frame": event.start, "end_frame": event.end, "score": 1.0, "why": why}
    return region({"id": short_id(clip, name, number, event.label, event.start, event.end), **about}, name)
